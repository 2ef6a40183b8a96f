"""A small training of every recipe, to be run before a change of the model is called done: minutes on two cores.

sqair experiments canary --output runs/canary              what today's code has not been tried on yet
sqair experiments canary --output runs/canary --publish    and then write docs/results/canary.jsonl

Schedules are short, so that scores are below those of the README; clips are of validation digits. Below its least value
a score is an error, and the tests fail until docs/results/canary.jsonl has been made with the code that they test.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqair.datasets.generate import make_clips
from sqair.datasets.video_out import write_video
from sqair.errors import UserError
from sqair.eval.mot import score
from sqair.scripts.experiments.bars_table import CHECKOUT, SAME, Code, Line, alike, read_lines
from sqair.scripts.experiments.looking import scores
from sqair.scripts.experiments.provenance import GENERATED, PARTS, commit, fingerprints
from sqair.scripts.experiments.running import check_names, markdown, spread, tracked, trained
from sqair.scripts.experiments.study import Study
from sqair.scripts.experiments.walkers import FPS, walker_clip
from sqair.tracker import track_clips

RESULTS = "docs/results/canary.jsonl"
WALKERS = "walkers"
_SHORT = ("--train.stages", "1x1100x64", "3x125x106", "5x125x64", "10x125x32", "--train.price-steps", "1250")
_FRAMES = ("--train.stages", "1x1500x64", "--train.price-steps", "500")
"""Of the recurrent search some seeds stay at one object a frame (docs/restarts.md), such as seed 0."""
_TEXTURE = ("--data.background", "texture", "--model.background", "still")
CANARIES: Mapping[str, tuple[str, ...]] = {
    "moving-mnist": _SHORT,
    "sqair-script": ("--preset", "sqair-script", *_SHORT),
    "birth-death": ("--preset", "birth-death", *_SHORT),
    "static-air": ("--preset", "static-air", *_FRAMES, "--train.seed", "1"),
    "gradient": ("--data.background", "gradient", "--model.background", "smooth", *_SHORT),
    "texture": (*_TEXTURE, *_SHORT),
    "colour": ("--data.colour", "--model.objects", "opaque", *_TEXTURE, *_SHORT),
    WALKERS: ("--from", "none", "--train.stages", "1x500x16", "3x120x8", "5x80x6", "10x60x4"),
}
"""Words of ``sqair train`` by name; that of walkers trains on a clip of them, by a survey of it."""
LEAST: Mapping[str, Mapping[str, float]] = {
    "moving-mnist": {"count_accuracy": 0.97, "mota": 0.96, "idf1": 0.98},
    "sqair-script": {"count_accuracy": 0.965, "mota": 0.92, "idf1": 0.935},
    "birth-death": {"count_accuracy": 0.96, "mota": 0.91, "idf1": 0.895},
    "static-air": {"count_accuracy": 0.985, "mota": 0.975},
    "gradient": {"count_accuracy": 0.965, "mota": 0.95, "idf1": 0.97},
    "texture": {"count_accuracy": 0.955, "mota": 0.94, "idf1": 0.965},
    "colour": {"count_accuracy": 0.925, "mota": 0.92, "idf1": 0.95},
    WALKERS: {"mota": 0.87, "idf1": 0.58},
}
"""The least of each score, a little below what one seed had: two seeds of moving-mnist differ by .02 in MOTA."""
CLIPS = 200
"""Validation clips."""
LENGTH = 300
"""Frames of the clip of walkers."""


@dataclass(frozen=True)
class Args:
    """Train a little of everything, and fail if one of the scores is worse than it was; resumable."""

    output: Path
    """Folder of the runs and of results.jsonl."""
    only: tuple[str, ...] = ()
    """Trainings, by default all: moving-mnist, sqair-script, birth-death, static-air, gradient, texture, colour,
    walkers."""
    seeds: int = 1
    """Seeds 0 to this, of training."""
    workers: int = 2
    """Trainings at a time."""
    publish: bool = False
    """Write docs/results/canary.jsonl, if all are well."""


def main(args: Args) -> None:
    """Runs what is missing, and prints the scores beside the least of each.

    Raises:
        UserError: a score is below its least value.
    """
    check_names(args.only, CANARIES, "training")
    study, now, same = Study(args.output, args.workers), fingerprints(PARTS), read_lines(SAME)
    wanted = [(name, seed) for seed in range(args.seeds) for name in args.only or CANARIES]
    calls = [(str(args.output), *key, commit(), now) for key in wanted if key not in current(study.lines, now, same)]
    study.work("trainings", run, calls)
    found = current(study.lines, now, same)
    lines = [found[key] for key in wanted]
    print(table(lines))
    if wrong := failures(lines):
        raise UserError("; ".join(wrong))
    if args.publish:
        (CHECKOUT / RESULTS).write_text("".join(json.dumps(line) + "\n" for line in lines))


def run(output: str, name: str, seed: int, origin: str, code: dict[str, str]) -> list[dict[str, Any]]:
    """Trains and scores one of them."""
    folder = Path(output) / f"{name}-{seed}-{code['model']}"
    found = _walkers(folder, seed) if name == WALKERS else _digits(folder, name, seed)
    return [{"key": [name, seed, *code.values()], "name": name, "seed": seed, "commit": origin, "code": code, **found}]


def _digits(folder: Path, name: str, seed: int) -> dict[str, Any]:
    model, recipe, seconds = trained(folder, ["--train.seed", str(seed), *CANARIES[name]])
    clips = make_clips(recipe, "val", 7, 0, CLIPS)
    found = track_clips(model, clips.frames, refine=name != "static-air")
    return {**scores(clips, found), "cpu_seconds": seconds}


def _walkers(folder: Path, seed: int) -> dict[str, Any]:
    clip = folder.with_suffix(".mp4")
    frames, truth = walker_clip(seed, LENGTH)
    write_video(clip, iter(frames), FPS)
    _, _, seconds = trained(folder, ["--data", str(clip), *CANARIES[WALKERS], "--train.seed", str(seed)])
    found, _ = tracked(clip, folder, folder.with_name(f"{folder.name}-tracks"))
    return {**score({"walkers": truth}, {"walkers": found}, {"walkers": LENGTH}).overall, "cpu_seconds": seconds}


def failures(lines: Iterable[Line]) -> list[str]:
    """What is below its least value."""
    return [
        f"{line['name']}, seed {line['seed']}: {key} {line[key]:.3f} is below {least}"
        for line in lines
        for key, least in LEAST.get(line["name"], {}).items()
        if line[key] < least
    ]


def current(lines: Iterable[Line], now: Code, same: Iterable[Line]) -> dict[tuple[str, int], Line]:
    """The lines of the code of ``now``, all of provenance.fingerprints, by name and seed.

    Code will do that is known to do the same on generated video, by the lines ``same`` of docs/results/same.jsonl; for
    walkers, what looks at footage has to be the same too.
    """
    valid = alike({part: now[part] for part in GENERATED}, same)
    kept = (line for line in lines if line["name"] != WALKERS or line["code"]["footage"] == now["footage"])
    generated = ((line, {part: line["code"][part] for part in GENERATED}) for line in kept)
    return {(line["name"], line["seed"]): line for line, code in generated if code in valid}


def stale(lines: Iterable[Line], now: Code, same: Iterable[Line]) -> list[str]:
    """The trainings that have no result of ``current`` code."""
    tried = {name for name, _ in current(lines, now, same)}
    return [name for name in CANARIES if name not in tried]


def table(lines: Iterable[Line]) -> str:
    """Scores over seeds, and the least that they may be."""
    lines, rows = list(lines), []
    for name in dict.fromkeys(line["name"] for line in lines):
        group = [line for line in lines if line["name"] == name]
        cells = [name, str(len(group)), f"{max(line['cpu_seconds'] for line in group):.0f}"]
        for key in ("count_accuracy", "mota", "idf1"):
            least = LEAST.get(name, {}).get(key)
            cells.append(spread([line[key] for line in group]) + (f", at least {least}" if least is not None else ""))
        rows.append([*cells, ", ".join(f"{line['switches']:.0f}" for line in group)])
    return markdown(("training", "seeds", "CPU-s", "count", "MOTA", "IDF1", "id switches"), rows)
