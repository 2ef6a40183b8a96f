"""Layouts: which axis of an array of clips is what.

Axes are N clips, T frames, H and W pixels, C channels. The shape says most: 1, 3 or 4 channels are the last axis, or
1 or 3 the one before the pixels, and what is left is ``[T, H, W]`` or ``[N, T, H, W]``. What it leaves open the pixels
say: frames that follow each other are more alike than frames of different clips, or far apart. So
``[20, 10000, 64, 64]``, as Moving MNIST is published, is told to be ``[T, N, H, W]``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sqair.datasets.alpha import over_black
from sqair.datasets.depth import spread

LOOKED_AT = 16
"""Places along an axis at which neighbours are compared, at most."""
SURE = 4.0
"""Standard errors by which neighbours along one axis have to be more alike than along the other."""
ALIKE = 0.9
"""How unlike they are along time, at most, in units of how unlike they are along the other axis."""


class Layout(NamedTuple):
    """An array of clips: anything with ``shape`` and ``dtype`` that takes a tuple of integers and slices.

    Attributes:
        axes: a letter for each axis of ``array``, of N, T, H, W and C.
    """

    array: Any
    axes: str

    def size(self, axis: str) -> int:
        """How long an axis is; 1 if there is none."""
        return self.array.shape[self.axes.index(axis)] if axis in self.axes else 1

    def raw(self, clip: int, frame: int) -> np.ndarray:
        """A frame, ``[H, W]`` or ``[H, W, C]``, as it is stored."""
        place = {"N": clip, "T": frame}
        image = np.array(self.array[tuple(place.get(axis, slice(None)) for axis in self.axes)])
        image = np.ascontiguousarray(np.moveaxis(image, 0, -1)) if self.axes.endswith("CHW") else image
        return image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image

    def image(self, clip: int, frame: int) -> np.ndarray:
        """A frame, ``[H, W]`` or ``[H, W, 3]``, of the array's type, over black where it has alpha."""
        image = self.raw(clip, frame)
        return over_black(image[..., :3], image[..., 3]) if image.shape[2:] == (4,) else image


def told_layout(array: Any, *, clips_first: bool = False) -> tuple[Layout | None, bool]:
    """The layout of an array, and whether its shape alone does not say it; None if it is no clip and no clips.

    ``clips_first`` says that clips come before frames, ``[N, T, ...]``.
    """
    shape = tuple(array.shape)
    if len(shape) == 3:
        return (None if shape[2] in (1, 3, 4) else Layout(array, "THW")), False
    if len(shape) == 5:
        axes = "NTHWC" if shape[4] in (1, 3, 4) else "NTCHW" if shape[2] in (1, 3) else ""
        return _ordered(array, axes, clips_first) if axes else (None, False)
    if len(shape) != 4:
        return None, False
    if shape[3] in (1, 3, 4) and not clips_first:
        return Layout(array, "THWC"), False
    if shape[1] in (1, 3) and not clips_first:
        frames = Layout(array, "TCHW")
        near, far = _unlike(frames, 1), _unlike(frames, max(2, shape[0] // 2))
        return (frames if _is_less(near, far) else Layout(array, "NTHW")), True
    return _ordered(array, "NTHW", clips_first)


def _ordered(array: Any, axes: str, clips_first: bool) -> tuple[Layout, bool]:
    """Which of the first two axes is time."""
    usual = Layout(array, axes)
    if clips_first or min(array.shape[:2]) < 2:
        return usual, False
    other = Layout(array, "TN" + axes[2:])
    swapped = _is_less(_unlike(other, 1), _unlike(usual, 1))
    return (other if swapped else usual), swapped


def _unlike(layout: Layout, apart: int) -> np.ndarray:
    """Mean differences between frames so many ``apart`` in time, at some places of some clips, ``[P]``."""
    starts = [t for t in spread(layout.size("T"), LOOKED_AT) if t + apart < layout.size("T")]
    clips = spread(layout.size("N"), LOOKED_AT)
    pairs = [(layout.raw(n, t), layout.raw(n, t + apart)) for n in clips for t in starts]
    return np.array([np.abs(a.astype(np.float64) - b.astype(np.float64)).mean() for a, b in pairs])


def _is_less(near: np.ndarray, far: np.ndarray) -> bool:
    """Whether the mean of ``near [P]`` is less than that of ``far [Q]``, beyond chance."""
    if min(len(near), len(far)) < 2 or not np.isfinite([near.sum(), far.sum()]).all():
        return False
    error = np.hypot(near.std(ddof=1) / np.sqrt(len(near)), far.std(ddof=1) / np.sqrt(len(far)))
    return bool(near.mean() < ALIKE * far.mean() and near.mean() + SURE * error < far.mean())
