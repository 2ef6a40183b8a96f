"""What the studies share: trained models, tracks, tables."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqair.datasets.recipes import Recipe
    from sqair.model import SQAIR
    from sqair.scripts.experiments.study import Line
    from sqair.tracks import Tracks

STATIC = tuple(f"--model.temporal.no-{name}" for name in ("hidden", "position", "appearance", "presence"))
"""Words of ``sqair train`` for a model that explains each frame by itself: static AIR."""


def check_names(only: Sequence[str], known: Collection[str], what: str) -> None:
    """Raises UserError if one of ``only`` is not the name of a ``what`` that is ``known``."""
    from sqair.errors import UserError

    for name in only:
        if name not in known:
            raise UserError(f"unknown {what} {name!r}: choose from {', '.join(known)}")


def trained(folder: Path, words: Sequence[str]) -> tuple[SQAIR, Recipe, float]:
    """The model of ``sqair train WORDS``, what video it was trained on, and the CPU-seconds that took.

    It is trained now unless ``folder`` has its weights, and on from its checkpoint if it has one. What training
    prints goes to ``folder.log``.
    """
    import torch

    from sqair.files.pretrained import is_finished
    from sqair.model import SQAIR
    from sqair.scripts.train import main, parse, recipe_of

    torch.set_num_threads(1)
    training = parse(["--output", str(folder), "--validate-every", "0", "--device", "cpu", *words])
    if not is_finished(folder):
        with folder.with_suffix(".log").open("a") as log, redirect_stdout(log), redirect_stderr(log):
            main(replace(training, resume=(folder / "checkpoint.pt").exists()))
    info = json.loads((folder / "weights" / "config.json").read_text())["info"]
    return SQAIR.from_pretrained(folder), recipe_of(training), info["cpu_seconds"]


def train_and_track(clip: Path, output: Path, seed: int) -> tuple[Tracks, Line]:
    """Tracks by a model trained on the clip with no other setting; how long both took, seconds by the clock and CPU's.

    The run, unless it is there, and the tracks are folders of ``output``.
    """
    import time

    from sqair.files.mot_io import read_mot
    from sqair.files.pretrained import is_finished
    from sqair.scripts.track import Args as TrackArgs
    from sqair.scripts.tracking import track
    from sqair.scripts.train import main as train
    from sqair.scripts.train import parse

    folder, tracks = output / f"{clip.stem}-{seed}", output / f"tracks-{clip.stem}-{seed}"
    began = time.monotonic()
    if not is_finished(folder):
        training = parse(["--data", str(clip), "--output", str(folder), "--train.seed", str(seed)])
        train(replace(training, resume=(folder / "checkpoint.pt").exists()))
    trained = time.monotonic()
    rate = track(TrackArgs(str(clip), tracks, str(folder), overlay=True, overwrite=True))
    tracked = time.monotonic()
    info = json.loads((folder / "weights" / "config.json").read_text())["info"]
    return read_mot(tracks / f"{clip.stem}.txt"), {
        "training_seconds": round(trained - began),
        "training_cpu_seconds": info["cpu_seconds"],
        "tracking_seconds": round(tracked - trained),
        "frames_per_second": round(rate, 1),
    }


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean (lowest to highest); a dash without any."""
    if not values:
        return "-"
    mean = sum(values) / len(values)
    return f"{mean:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
