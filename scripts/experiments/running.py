"""What the studies share: trained models, tracks, tables."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sqair.datasets.recipes import Recipe
from sqair.errors import UserError
from sqair.files.mot_io import read_mot
from sqair.files.pretrained import is_finished
from sqair.model import SQAIR
from sqair.scripts import train
from sqair.scripts.experiments.study import Line
from sqair.scripts.track import Args as TrackArgs
from sqair.scripts.tracking import track
from sqair.tracks import Tracks

STATIC = tuple(f"--model.temporal.no-{name}" for name in ("hidden", "position", "appearance", "presence"))
"""Words of ``sqair train`` for a model that explains each frame by itself: static AIR."""


def check_names(only: Sequence[str], known: Collection[str], what: str) -> None:
    """Raises UserError if one of ``only`` is not the name of a ``what`` that is ``known``."""
    for name in only:
        if name not in known:
            raise UserError(f"unknown {what} {name!r}: choose from {', '.join(known)}")


def finish(folder: Path, words: Sequence[str]) -> dict[str, Any]:
    """What the weights in ``folder`` say of their training, ``sqair train WORDS``; as ``save_weights`` was given it.

    It is trained now unless it has been, and on from its checkpoint if it has one.
    """
    if not is_finished(folder):
        training = train.parse(["--output", str(folder), *words])
        train.main(replace(training, resume=(folder / "checkpoint.pt").exists()))
    return json.loads((folder / "weights" / "config.json").read_text())["info"]


def recipe_of(info: dict[str, Any]) -> Recipe:
    """The video of a training that was ``finish``ed."""
    return Recipe(**info["settings"]["data"], name=info["settings"]["recipe"])


def trained(folder: Path, words: Sequence[str]) -> tuple[SQAIR, Recipe, float]:
    """The model of ``sqair train WORDS``, what video it was trained on, and the CPU-seconds that took.

    See ``finish``; what training prints goes to ``folder.log``.
    """
    torch.set_num_threads(1)
    with folder.with_suffix(".log").open("a") as log, redirect_stdout(log), redirect_stderr(log):
        info = finish(folder, ["--validate-every", "0", "--device", "cpu", *words])
    return SQAIR.from_pretrained(folder), recipe_of(info), info["cpu_seconds"]


def tracked(clip: Path, run: Path, output: Path, *, overlay: bool = False) -> tuple[Tracks, float]:
    """Tracks of ``sqair track`` by the model of a ``run``, whose files are in ``output``; frames per second."""
    rate = track(TrackArgs(str(clip), output, str(run), overlay=overlay, overwrite=True))
    return read_mot(output / f"{clip.stem}.txt"), rate


def train_and_track(clip: Path, output: Path, seed: int) -> tuple[Tracks, Line]:
    """Tracks by a model trained on the clip with no other setting; how long both took, seconds by the clock and CPU's.

    The run, unless it is there, and the tracks are folders of ``output``.
    """
    folder = output / f"{clip.stem}-{seed}"
    began = time.monotonic()
    info = finish(folder, ["--data", str(clip), "--train.seed", str(seed)])
    trained = time.monotonic()
    tracks, rate = tracked(clip, folder, output / f"tracks-{clip.stem}-{seed}", overlay=True)
    return tracks, {
        "training_seconds": round(trained - began),
        "training_cpu_seconds": info["cpu_seconds"],
        "tracking_seconds": round(time.monotonic() - trained),
        "frames_per_second": round(rate, 1),
    }


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean (lowest to highest); a dash without any."""
    if not values:
        return "-"
    mean = sum(values) / len(values)
    return f"{mean:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], *, rule: str = " --- ") -> str:
    """A table, ``rule`` below each of its heads."""
    lines = ["| " + " | ".join(line) + " |" for line in (head, *rows)]
    return "\n".join([lines[0], f"|{rule}" * len(head) + "|", *lines[1:]])
