"""Footage that a model is trained on: what may be given as ``--data``, and what a survey of it sets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqair.camera import Stabilise
from sqair.config import ModelConfig, TrainConfig
from sqair.datasets.clip import ClipSource
from sqair.datasets.depth import FULL, Range
from sqair.datasets.footage import Footage
from sqair.datasets.recipes import BENCHMARKS, RECIPES
from sqair.datasets.regions import EVERYWHERE, Choice, arenas
from sqair.datasets.suggest import GENERAL, adapting
from sqair.datasets.survey import Survey, suggest, survey
from sqair.datasets.video import read_source
from sqair.errors import UserError
from sqair.model import SQAIR
from sqair.process import set_threads
from sqair.scripts.any_camera import ANY_CAMERA, fitted_to
from sqair.scripts.yaml_flags import changed
from sqair.trainer import Trainer

SCRATCH = "none"
"""No weights to start from."""
_LIVE = re.compile(r"(rtsp|rtsps|rtmp|rtmps|rtp|srt|udp|tcp)://", re.IGNORECASE)


def training_clips(
    sources: Sequence[str | Path], shown: Range | None = None, choice: Choice = EVERYWHERE
) -> list[ClipSource]:
    """The clips of ``sources``, whatever ``sqair track`` takes as one, that can be read more than once.

    ``shown`` are the values of black and of white; None tells them from each clip. Each region of a ``choice`` is a
    clip of its own.

    Raises:
        UserError: a source is missing, bad, or a camera, or there is none.
    """
    words = [str(source) for source in sources]
    if not words:
        raise UserError("--data names no video: give files, folders or globs")
    for word in words:
        if word in RECIPES | BENCHMARKS and not Path(word).exists():
            raise UserError(f"{word}: no such file or folder (generated video of that name: --recipe {word})")
        if (word.isdecimal() and not Path(word).exists()) or _LIVE.match(word):
            raise UserError(f"{word}: a camera is seen once, and training looks at its video often: record it first")
    return arenas(read_source(words, shown=shown), choice)


def contents(footage: Footage) -> str:
    """The names of the clips of ``footage`` and how many frames each has: a glob may match others another day."""
    pairs = zip(footage.clips, footage.frames, strict=True)
    return ", ".join(f"{clip.name} of {len(frames)} frames" for clip, frames in pairs)


def look_at(
    sources: Sequence[str | Path],
    threads: int,
    shown: Range | None = None,
    stabilise: Stabilise = "auto",
    start: str | None = None,
    choice: Choice = EVERYWHERE,
) -> tuple[Survey, dict[str, Any]]:
    """What a survey of footage sees, with so many threads, and the settings that follow, nested as in a YAML file.

    The range that was told from all clips alike is one of them. ``shown`` is another, and ``start`` the weights that
    training is to start from, if it was said; a ``choice`` says where to look.

    Raises:
        UserError: as ``training_clips`` and ``survey`` do, or there are no such weights.
    """
    set_threads(max(1, threads))
    clips = training_clips(sources, shown, choice)
    seen = survey(clips, stabilise)
    ranges = {clip.shown for clip in clips}
    told = {"range": list(ranges.pop())} if len(ranges) == 1 and FULL not in ranges else {}
    start, model, schedule = plan(seen, start)
    settings = {"model": changed(model), "train": changed(schedule), "stabilise": stabilised(seen), "start": start}
    return seen, {**settings, **told}


def plan(seen: Survey, start: str | None = None) -> tuple[str, ModelConfig, TrainConfig]:
    """What to train on footage: from which weights, ``start`` if it is said, which model, and the schedule.

    Sets of clips have models of their own, from scratch. Raises UserError if there are no such weights.
    """
    start = start or (SCRATCH if seen.is_set else ANY_CAMERA)
    if start == SCRATCH:
        return start, *suggest(seen)
    model = fitted_to(seen, start)
    return start, model.config, adapting(seen, model.price / GENERAL)


def start_from(trainer: Trainer, weights: str) -> None:
    """Puts ``weights`` into the model of a training that has not begun.

    Raises:
        UserError: there are none, or they are those of another model.
    """
    try:
        trainer.model.load_state_dict(SQAIR.from_pretrained(weights, trainer.device).state_dict())
    except RuntimeError as error:
        raise UserError(f"--from {weights}: the weights are those of another model: --from none trains anew") from error


def stabilised(seen: Survey) -> Stabilise:
    """Whether frames are to be put where the scene is."""
    return "auto" if seen.trembling else "off"
