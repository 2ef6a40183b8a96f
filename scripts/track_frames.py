"""The frames of clips as a model takes them, and what does not fit it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice

import numpy as np

from sqair.camera import Stabilise
from sqair.config import ModelConfig
from sqair.datasets.clip import ClipSource, Frame, TruncatedClip
from sqair.datasets.images import to_channels
from sqair.errors import UserError
from sqair.files.pretrained import is_unfinished
from sqair.model import SQAIR
from sqair.scripts.any_camera import ANY_CAMERA, any_camera
from sqair.scripts.arenas import Arenas

DIGITS, DIGITS_SIZE = "moving-mnist", (50, 50)
"""The model that ships for moving MNIST, and the size (h, w) of its clips."""
WATCHED = 50
"""Frames of a clip from which a model learns the scene, if its background is still: evenly spread over the clip, or the
first ones where its length is not known."""
COLOUR_SOUGHT = 100
"""First frames of a clip in which colour is looked for, if some frame has none."""


def model_name(clips: Sequence[ClipSource], name: str) -> str:
    """What model ``name`` stands for: ``auto`` is the one that ships for clips of this size."""
    if name != "auto":
        return name
    return DIGITS if all(clip.size == DIGITS_SIZE for clip in clips) else ANY_CAMERA


def model_for(clips: Sequence[ClipSource], name: str, device: str, stabilise: Stabilise = "auto") -> SQAIR:
    """The model called ``name``; what there is to say of it is printed.

    That for any camera is fitted to the clips, ``stabilise`` as the tracker would.

    That is how far its training has got, if it has not come to its end, and where other values of a clip are black and
    white than of what it was trained on. Raises UserError as ``from_pretrained`` and ``check_sizes`` do.
    """
    if name == ANY_CAMERA:
        return any_camera(clips, device, stabilise)
    model = SQAIR.from_pretrained(name, device)
    check_sizes(clips, model.config)
    if model.trained is not None and is_unfinished(model.trained):
        print("{} is of a run that is not finished: step {} of {}".format(name, *model.trained), flush=True)
    say_range(clips, model)
    return model


def say_range(clips: Sequence[ClipSource], model: SQAIR) -> None:
    """Says, of the first clip of which that is so, that other values are black and white than the model knows."""
    other = next((clip for clip in clips if clip.shown not in ((0, 255), model.shown)), None)
    if other is not None and model.shown is not None:
        low, high = model.shown
        print(f"{other.path}: the model was trained on another range: --range {low:g} {high:g} takes that", flush=True)


def with_room(model: SQAIR, most: int | None, count: int) -> SQAIR:
    """The same with room for ``most`` objects at a time; by default for as many as there are, or as individuals that
    are known of footage."""
    config = model.config
    slots = most or (max(count, config.slots) if config.fit else config.slots)
    if slots == config.slots:
        return model
    first = slots if config.first_steps == config.slots else config.first_steps
    return model.refitted(replace(config, slots=slots, first_steps=first), model.price)


def check_sizes(clips: Sequence[ClipSource], config: ModelConfig) -> None:
    """Raises UserError, which names the sizes, if the frames of a clip are not of the model's size."""
    for clip in clips:
        if not config.fit and clip.size != (config.height, config.width):
            has, takes = f"{clip.size[1]}x{clip.size[0]}", f"{config.width}x{config.height}"
            raise UserError(
                f"{clip.path}: frames are {has} pixels, the model takes {takes}: train one on such frames, "
                f"sqair train --data {shlex.quote(str(clip.path))} --output runs/mine"
            )


def fitted(clip: ClipSource, config: ModelConfig) -> Iterator[Frame]:
    """The frames of ``clip`` as the model takes them: ``[H, W]`` for one channel, ``[H, W, 3]`` for three.

    Colour becomes grey for a grey model, and grey three channels for one that sees colour. Raises UserError where a
    model that is not of footage sees colour and no frame has any, and as ``ClipSource.frames`` does.
    """
    for frame in clip.stamped():
        if config.channels == 3 and frame.image.ndim == 2 and not config.fit and _is_grey(clip):
            raise UserError(f"{clip.path}: frames are grey, but the model was trained on colour")
        yield frame._replace(image=to_channels(frame.image, config.channels))


@lru_cache(8)
def _is_grey(clip: ClipSource) -> bool:
    """Whether a clip has no colour, as far as its beginning shows; images in a folder may be of both kinds."""
    return all(image.ndim == 2 for image in islice(clip.frames(), COLOUR_SOUGHT))


def thin(frames: Iterator[Frame], stride: int, most: int | None) -> Iterator[Frame]:
    """The first there is of every ``stride`` frames of the source, which end after ``most`` of them.

    They are counted from the first that there is: images may be numbered from any number on.
    """
    first, due = None, 0
    for frame in frames:
        first = frame.number if first is None else first
        place = frame.number - first
        if most is not None and place >= most:
            return
        if place >= due:
            due = (place // stride + 1) * stride
            yield frame
        if most is not None and max(due, place + 1) >= most:
            return


def open_clip(tracker: Arenas, clip: ClipSource, live: bool = False) -> Iterator[Frame]:
    """The frames of ``clip`` for the tracker, which has first seen the scene if its model's background is still.

    That is in frames of the whole clip, or in its first ones if that is ``live`` or has no known length.
    """
    model = tracker.model
    frames = fitted(clip, model.config)
    if model.config.background == "still" and clip.length is not None and not live:
        tracker.watch_clip(clip, WATCHED)
    elif model.config.background == "still":
        frames = _watched(frames, tracker)
    return frames


def _watched(frames: Iterator[Frame], tracker: Arenas) -> Iterator[Frame]:
    """The frames, of which the tracker sees the first ones before they are tracked."""
    first: list[Frame] = []
    truncated = None
    try:
        for frame in islice(frames, WATCHED):
            first.append(frame)
    except TruncatedClip as error:
        truncated = error
    if first:
        tracker.watch(np.stack([frame.image for frame in first]))
    yield from first
    if truncated is not None:
        raise truncated
    yield from frames
