"""A clip to be read, and what is raised where it ends too early."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sqair.errors import UserError

DEFAULT_FPS = 10.0
"""Frames per second where nothing says how many there are."""


class TruncatedClip(UserError):
    """A clip ended before the frames that it promised. It is raised after the last frame that is there.

    Attributes:
        frames: how many frames were read, so that what was made of them can be kept.
    """

    def __init__(self, message: str, frames: int) -> None:
        super().__init__(message)
        self.frames = frames


class Frame(NamedTuple):
    """A frame and what it is in its source.

    Attributes:
        image: uint8 ``[H, W]`` or RGB ``[H, W, 3]``.
        number: its number in the source, from 0; frames that the source has lost keep theirs.
        seconds: when it is shown, from the beginning of the source.
    """

    image: np.ndarray
    number: int
    seconds: float


def evenly(images: Iterable[np.ndarray], fps: float) -> Iterator[Frame]:
    """Images as frames that follow each other ``fps`` times a second."""
    return (Frame(image, number, number / fps) for number, image in enumerate(images))


@dataclass(frozen=True)
class ClipSource:
    """One clip, to be read from its first frame on, any number of times.

    Attributes:
        name: the stem of the files that are written about this clip.
        path: what its errors name: a path, or the address of a stream.
        size: ``(H, W)`` of every frame, in pixels.
        length: the number of frames that the source promises, those included that it has lost and that keep their
            numbers; None where it gives only an estimate.
        fps: frames per second, on average where the rate varies; ``DEFAULT_FPS`` where the source does not say.
        reader: makes the iterator that :meth:`stamped` returns.
        shown: the values in the source that are black and white in its frames; (0, 255) where they are as stored.
    """

    name: str
    path: Path | str
    size: tuple[int, int]
    length: int | None
    fps: float
    reader: Callable[[], Iterator[Frame]] = field(repr=False)
    shown: tuple[float, float] = (0, 255)

    def stamped(self) -> Iterator[Frame]:
        """The frames, one at a time, all of one shape, each with its number and its time, which both increase.

        Raises:
            TruncatedClip: after the last frame, if the source promised more.
            UserError: a frame cannot be read, or is of another shape than the first.
        """
        return self.reader()

    def at_rate(self, fps: float) -> ClipSource:
        """This clip with ``fps`` frames per second, whatever its source says: times follow from the numbers."""

        def frames() -> Iterator[Frame]:
            return (frame._replace(seconds=frame.number / fps) for frame in self.stamped())

        return replace(self, fps=fps, reader=frames)

    def frames(self) -> Iterator[np.ndarray]:
        """The images of :meth:`stamped`: uint8 ``[H, W]`` or ``[H, W, 3]``."""
        return (frame.image for frame in self.stamped())
