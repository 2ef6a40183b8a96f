"""The gallery of docs/: looping clips of what ``sqair track`` finds, each with the commands that made it.

sqair experiments gallery --output gallery                       all of it: some minutes of one core
sqair experiments gallery --only arena cells --output gallery    a clip or two, to try the commands on
sqair experiments gallery --output gallery --publish             writes them into docs/ as well

Clips are generated, with their ground truth; no setting was chosen on them. Seeds are 0, but that of the school: of
the five of docs/footage.md number 3 has the median HOTA. What is shown is the same part of each clip, and the scores
are of all of it. What is finished is not run again.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sqair.datasets.video import read_source
from sqair.datasets.video_out import write_video
from sqair.errors import UserError
from sqair.files.mot_io import write_mot
from sqair.scripts import cli
from sqair.scripts.experiments.cell_clip import cell_clip
from sqair.scripts.experiments.gallery_page import publish, table
from sqair.scripts.experiments.pitch_clip import pitch_clip
from sqair.scripts.experiments.plaza_clip import plaza_clip
from sqair.scripts.experiments.provenance import commit
from sqair.scripts.experiments.running import check_names
from sqair.scripts.experiments.school import school_clip
from sqair.scripts.experiments.shape_clip import shape_clip
from sqair.scripts.experiments.study import Line, Study
from sqair.scripts.looping import loop
from sqair.tracks import Tracks

FROM, EVERY, PICTURES = 60, 2, 45
"""What is shown of a clip: so many pictures from this frame on, one frame in two."""
KEPT = ("mota", "idf1", "hota", "switches")


class Exhibit(NamedTuple):
    """A clip of so many frames, and how it is tracked: words after ``sqair``; ``make`` takes a seed and a length.

    Without ``make`` a command generates it.
    """

    length: int
    fps: int
    calls: tuple[str, ...]
    make: Callable[[int, int], tuple[np.ndarray, Tracks]] | None = None
    overlay: str = ""
    """The video that is shown; by default that of the name."""
    seed: int = 0


def _tracked(name: str, *options: str) -> tuple[str, ...]:
    track = ["track", "--source", f"{name}.mp4", "--output", f"tracks/{name}", *options, "--overlay"]
    score = ["score", "--truth", f"truth/{name}.txt", "--pred", f"tracks/{name}", "--frames-from", f"{name}.mp4"]
    return shlex.join(track), shlex.join([*score, "--output", f"scores/{name}"])


DIGITS = "moving-mnist"
EXHIBITS = {
    "arena": Exhibit(300, 25, _tracked("arena", "--count", "8"), school_clip, seed=3),
    "cells": Exhibit(300, 10, _tracked("cells"), cell_clip),
    "street": Exhibit(750, 25, _tracked("street"), plaza_clip),
    "sport": Exhibit(300, 25, _tracked("sport"), pitch_clip),
    DIGITS: Exhibit(
        150,
        10,
        (
            f"generate --recipe {DIGITS} --min-objects 2 --length 150 --count 8 --output clips",
            f"track --source clips/{DIGITS}-test.npz --output tracks/{DIGITS} --overlay",
            f"score --truth clips/{DIGITS}-test.npz --pred tracks/{DIGITS} --output scores/{DIGITS}",
        ),
        overlay=f"tracks/{DIGITS}/000000.mp4",
    ),
    "shapes": Exhibit(300, 25, _tracked("shapes"), shape_clip),
}


@dataclass(frozen=True)
class Args:
    """Make the clips of the gallery, track them, score them and write them as looping pictures; resumable."""

    output: Path
    """Folder of the clips, truth/, tracks/, scores/, the pictures, results.jsonl and table.md."""
    only: tuple[str, ...] = ()
    """Names of clips: arena, cells, street, sport, moving-mnist, shapes; by default all."""
    publish: bool = False
    """Write pictures, results and the figures of pages into docs/ of the checkout; needs all clips."""


def main(args: Args) -> None:
    """Runs what is missing and prints the table.

    Raises:
        UserError: there is no clip of such a name, only some are to be published, or the output cannot be written.
    """
    check_names(args.only, EXHIBITS, "clip")
    if args.publish and args.only:
        raise UserError("--publish writes all of the gallery: leave --only out")
    study = Study(args.output)
    for name in args.only or tuple(EXHIBITS):
        if not study.has(name):
            study.add(run(args.output, name))
    study.publish(table(study.lines))
    if args.publish:
        publish(args.output, study.lines)


def run(output: Path, name: str) -> Line:
    """Makes a clip, runs its commands and writes its picture; what they scored."""
    exhibit = EXHIBITS[name]
    with contextlib.chdir(output):
        if exhibit.make is not None:
            frames, truth = exhibit.make(exhibit.seed, exhibit.length)
            write_video(f"{name}.mp4", iter(frames), exhibit.fps)
            Path("truth").mkdir(exist_ok=True)
            write_mot(Path("truth") / f"{name}.txt", truth, truth=True)
        began = time.process_time()
        for call in exhibit.calls:
            print(f"\n$ sqair {call}", flush=True)
            command, *words = shlex.split(call)
            if cli.run(command, [*words, "--overwrite"]):
                raise UserError(f"sqair {call}: failed, as the line before says")
        seconds = time.process_time() - began
        shown = _shown(exhibit.overlay or f"tracks/{name}/{name}.mp4", exhibit.length)
        size = loop(Path(f"{name}.webp"), shown, exhibit.fps / EVERY)
        scores = json.loads((Path("scores") / name / "scores.json").read_text())
    kept = {who: {key: scores[who][key] for key in KEPT} for who in ("overall", "floor")}
    told = {"frames": scores["overall"]["frames"], "cpu_seconds": round(seconds), "bytes": size}
    return {"key": [name], "calls": [f"sqair {call}" for call in exhibit.calls], "commit": commit(), **told, **kept}


def _shown(overlay: str, length: int) -> Iterator[np.ndarray]:
    """The part of the overlay of a clip of a ``length`` that is shown; of a short one it is the last."""
    (clip,) = read_source(overlay, channels=3)
    first = min(FROM, max(0, length - EVERY * PICTURES))
    return islice(clip.frames(), first, first + EVERY * PICTURES, EVERY)
