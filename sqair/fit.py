"""Frames of any size on a canvas of one size: scaled to fit, at its top left corner, with black where none is left."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Fit:
    """How frames of a ``size`` (H, W) lie on a ``canvas`` (h, w), both in pixels."""

    size: tuple[int, int]
    canvas: tuple[int, int]

    @property
    def scale(self) -> float:
        """Canvas pixels to a pixel of the frame, the same on both axes."""
        return min(side / own for side, own in zip(self.canvas, self.size, strict=True))

    @property
    def inner(self) -> tuple[int, int]:
        """Height and width of what a frame covers of the canvas, pixels."""
        sides = zip(self.canvas, self.size, strict=True)
        height, width = (max(1, min(side, round(self.scale * own))) for side, own in sides)
        return height, width

    def frame(self, frame: np.ndarray) -> np.ndarray:
        """The canvas, uint8 ``[h, w]`` or ``[h, w, C]``, of a frame ``[H, W]`` or ``[H, W, C]``.

        Smaller frames are averages over areas, larger ones linear in between.
        """
        if self.size == self.canvas:
            return frame
        height, width = self.inner
        how = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        scaled = cv2.resize(frame, (width, height), interpolation=how)
        below = ((0, self.canvas[0] - height), (0, self.canvas[1] - width), (0, 0))
        return np.pad(scaled, below[: frame.ndim])

    def boxes(self, box: np.ndarray) -> np.ndarray:
        """Boxes ``[M, 4]`` (x, y, w, h) of the canvas, in the frame's pixels."""
        return box / self.scale
