"""A clip to be read, and what is raised where it ends too early."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

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


@dataclass(frozen=True)
class ClipSource:
    """One clip, to be read from its first frame on, any number of times.

    Attributes:
        name: the stem of the files that are written about this clip.
        path: what its errors name.
        size: ``(H, W)`` of every frame, in pixels.
        length: the number of frames that the source promises, or None where it gives only an estimate.
        fps: frames per second; ``DEFAULT_FPS`` where the source does not say.
        reader: makes the iterator that :meth:`frames` returns.
    """

    name: str
    path: Path
    size: tuple[int, int]
    length: int | None
    fps: float
    reader: Callable[[], Iterator[np.ndarray]] = field(repr=False)

    def frames(self) -> Iterator[np.ndarray]:
        """The frames, one at a time: uint8 ``[H, W]`` or ``[H, W, 3]``, all of one shape.

        Raises:
            TruncatedClip: after the last frame, if the source promised more.
            UserError: a frame cannot be read, or is of another shape than the first.
        """
        return self.reader()
