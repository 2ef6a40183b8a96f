"""The frames of scored clips: how many there are, and what the floor finds in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import takewhile

import numpy as np
from tqdm import tqdm

from sqair.datasets.clip import ClipSource
from sqair.datasets.video import read_source
from sqair.errors import UserError
from sqair.eval.blobs import track_blobs
from sqair.eval.floor import track_components
from sqair.scripts.ground_truth import Truth
from sqair.tracks import Tracks

SMALL = 128
"""Pixels of the longer side of generated clips of digits and their like; larger ones are footage."""


def list_frames(source: str, names: list[str]) -> dict[str, ClipSource]:
    """The clips of ``source`` by ``names``; a single one goes with a single name whatever it is called."""
    clips = {clip.name: clip for clip in read_source(source)}
    if len(names) == 1 and len(clips) == 1:
        clips = dict(zip(names, clips.values(), strict=True))
    for name in names:
        if name not in clips:
            raise UserError(f"{source} has no frames of clip {name}")
    return {name: clips[name] for name in names}


def list_own_frames(truths: Mapping[str, Truth]) -> dict[str, ClipSource]:
    """The clips of the frames that lie beside the ground truth; {} unless all clips have them."""
    clips: dict[str, ClipSource] = {}
    archive = cache(lambda source: list_frames(source, list(truths)))
    for name, truth in truths.items():
        if truth.frames is None:
            return {}
        source = str(truth.frames)
        clips[name] = (list_frames(source, [name]) if truth.frames.is_dir() else archive(source))[name]
    return clips


def count_frames(clip: ClipSource) -> int:
    """The number of the last frame, counted from 1; all of them are read."""
    return max((frame.number + 1 for frame in clip.stamped()), default=0)


def floor_of(clip: ClipSource, length: int | None) -> tuple[Tracks, int]:
    """The floor's tracks of a clip, and the number of its last frame, counted from 1; no more than ``length``.

    Pictures of at most ``SMALL`` pixels have the components of what is brighter than black, all others blobs.

    Raises:
        UserError: the clip cannot be read.
    """
    numbers: list[int] = []

    def images() -> Iterator[np.ndarray]:
        numbers.clear()
        frames = takewhile(lambda frame: length is None or frame.number < length, clip.stamped())
        for frame in tqdm(frames, desc="floor", unit="frame", total=clip.length, disable=None, leave=False):
            numbers.append(frame.number)
            yield frame.image

    if max(clip.size) > SMALL:
        found = track_blobs(images)
    else:
        found = track_components(np.array(list(images()), np.uint8))
    if not numbers:
        return Tracks.empty(), 0
    return replace(found, frame=np.array(numbers)[found.frame]), numbers[-1] + 1
