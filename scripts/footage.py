"""Footage that a model is trained on: what may be given as ``--data``, and what a survey of it sets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqair.camera import Stabilise
from sqair.datasets.clip import ClipSource
from sqair.datasets.depth import FULL, Range
from sqair.datasets.footage import Footage
from sqair.datasets.recipes import BENCHMARKS, RECIPES
from sqair.datasets.survey import Survey, suggest, survey
from sqair.datasets.video import read_source
from sqair.errors import UserError
from sqair.process import set_threads
from sqair.scripts.yaml_flags import changed

_LIVE = re.compile(r"(rtsp|rtsps|rtmp|rtmps|rtp|srt|udp|tcp)://", re.IGNORECASE)


def training_clips(sources: Sequence[str | Path], shown: Range | None = None) -> list[ClipSource]:
    """The clips of ``sources``, whatever ``sqair track`` takes as one, that can be read more than once.

    ``shown`` are the values of black and of white; None tells them from each clip.

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
    return read_source(words, shown=shown)


def contents(footage: Footage) -> str:
    """The names of the clips of ``footage`` and how many frames each has: a glob may match others another day."""
    pairs = zip(footage.clips, footage.frames, strict=True)
    return ", ".join(f"{clip.name} of {len(frames)} frames" for clip, frames in pairs)


def look_at(
    sources: Sequence[str | Path], threads: int, shown: Range | None = None, stabilise: Stabilise = "auto"
) -> tuple[Survey, dict[str, Any]]:
    """What a survey of footage sees, with so many threads, and the settings that follow, nested as in a YAML file.

    The range that was told from all clips alike is one of them. ``shown`` is another.

    Raises:
        UserError: as ``training_clips`` and ``survey`` do.
    """
    set_threads(max(1, threads))
    clips = training_clips(sources, shown)
    seen = survey(clips, stabilise)
    ranges = {clip.shown for clip in clips}
    told = {"range": list(ranges.pop())} if len(ranges) == 1 and FULL not in ranges else {}
    model, schedule = suggest(seen)
    return seen, {"model": changed(model), "train": changed(schedule), "stabilise": stabilised(seen), **told}


def stabilised(seen: Survey) -> Stabilise:
    """Whether frames are to be put where the scene is."""
    return "auto" if seen.trembling else "off"
