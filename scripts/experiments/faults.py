"""Faults: killed processes, damaged files, broken videos, full disks, and what is lost to them.

sqair experiments faults --output runs/faults                 all of it; under an hour on 2 cores
sqair experiments faults --output runs/quick --quick          a tenth of it
sqair experiments faults --output runs/some --only videos footage

Every line of results.jsonl is one fault, or a number of the same kind. What is finished is not done again.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sqair.scripts.experiments import fault_damage, fault_disk, fault_kills, fault_training, fault_videos
from sqair.scripts.experiments.fault_commands import run
from sqair.scripts.experiments.running import check_names, markdown
from sqair.scripts.experiments.study import Line, Study

PARTS = ("kills", "damage", "attacks", "videos", "not finite", "footage", "full disk")
KILLS = 10
"""Kills of one run."""
BAD = {
    "checkpoints lost", "bad ends", "runs that differ", "wrong values", "other error", "executed",
    "something lost", "breaks", "hangs", "not as it should be",
}  # fmt: skip
"""What must not happen."""


@dataclass(frozen=True)
class Args:
    """Cause faults of every kind, and tally what comes of them; resumable."""

    output: Path
    """Folder of all that is spoiled, results.jsonl and table.md."""
    only: tuple[str, ...] = ()
    """Parts to do, by default all: kills, damage, attacks, videos, 'not finite', footage, 'full disk' (needs root)."""
    kills: int = 100
    """Kills of a training run, 10 of each run; and a tenth as many SIGTERM and Ctrl-C."""
    damages: int = 1000
    """Files that are cut short or have a bit flipped."""
    fills: int = 10
    """Times that each kind of output meets a full disk."""
    workers: int = 2
    """Faults at a time."""
    quick: bool = False
    """A tenth of the kills, the damages and the full disks."""


def main(args: Args) -> None:
    """Does what is missing, then prints the tally. Raises UserError for an unknown part."""
    check_names(args.only, PARTS, "part")
    if args.quick:
        args = replace(args, kills=args.kills // 10, damages=args.damages // 10, fills=2)
    study = Study(args.output, args.workers)
    for part in args.only or PARTS:
        study.work(part, perform, [(part, *call) for call in plan(args, part) if not study.has(part, *call[1:3])])
    study.publish(table(study.lines))


def plan(args: Args, part: str) -> Iterator[tuple]:
    """The calls of a part: its folder, two words that name the fault, and whatever else there is to say."""
    folder = (args.output / part.replace(" ", "-")).resolve()
    if part == "kills":
        for name, kills in (("SIGKILL", args.kills), ("SIGTERM", args.kills // 10), ("SIGINT", args.kills // 10)):
            yield from ((folder, name, seed, KILLS) for seed in range(-(-kills // KILLS)))
    elif part == "damage":
        cells = [(name, kind) for name in fault_damage.FILES for kind in fault_damage.KINDS]
        yield from ((folder, *cell, -(-args.damages // len(cells))) for cell in cells)
    elif part == "attacks":
        yield folder, "pickles", ""
    elif part == "not finite":
        yield from ((folder, name, "") for name in fault_training.PLANTED)
    elif part == "full disk":
        yield from ((folder, name, "", args.fills) for name in fault_disk.OUTPUTS)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        sources = (fault_videos.make_sources if part == "videos" else fault_training.make_footage)(folder)
        yield from ((folder, name, "", expected) for name, expected in sources.items())


def perform(part: str, folder: Path, name: str, kind: str | int, *more) -> list[Line]:
    """Causes the faults of one call; the key of its line is the part and its two words."""
    if part == "kills":
        line = fault_kills.kill(folder, name, int(kind), *more)
    elif part == "damage":
        line = fault_damage.damage(folder, name, str(kind), *more)
    elif part == "attacks":
        line = fault_damage.craft(folder)
    elif part == "not finite":
        line = fault_training.plant(folder, name)
    elif part == "full disk":
        line = fault_disk.fill(folder, name, *more)
    else:
        line = (fault_videos.track if part == "videos" else fault_training.learn)(folder, name, *more, run)
    return [{"key": [part, name, kind], **line}]


def table(lines: list[Line]) -> str:
    """For each part and kind of fault how often it was caused, what came of it, and what must not."""
    rows: dict[tuple[str, str], Counter[str]] = {}
    for line in lines:
        part, name, kind = line["key"]
        single = part in ("videos", "footage", "not finite")
        counts = rows.setdefault((part, "" if single else f"{name} {kind}" if part == "damage" else name), Counter())
        if single:
            counts[line["outcome"]] += 1
            counts["not as it should be"] += not line["good"]
        else:
            counts.update({word: count for word, count in line.items() if isinstance(count, int)})
    return markdown(["part", "fault", "what came of it", "what must not"], [_row(*item) for item in rows.items()])


def _row(fault: tuple[str, str], counts: Counter[str]) -> list[str]:
    came = [f"{count} {word}" for word, count in counts.items() if count and word not in BAD]
    bad = [f"{count} {word}" for word, count in counts.items() if count and word in BAD]
    return [*fault, ", ".join(came), ", ".join(bad) or "0"]
