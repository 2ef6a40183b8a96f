"""Frames of more than 8 bits, brought to 8 by the range of values that their clip has."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import numpy as np

Range = tuple[float, float]

SAMPLED = 32
"""Frames, spread over a clip, from which its range is told."""
_said: set[str] = set()


def told_range(frames: Iterable[np.ndarray]) -> Range:
    """The values that are to be black and white, told from a sample of a clip's frames, uint16 or float.

    Whole numbers are those of a sensor: white is the greatest value of the fewest bits, 8 or more, that hold them all.
    """
    highest, whole = 0.0, True
    for frame in frames:
        highest, whole = max(highest, float(np.nanmax(frame))), whole and frame.dtype.kind in "ui"
    if not whole:
        return 0.0, highest or 1.0
    return 0.0, float(2 ** max(8, int(highest).bit_length()) - 1)


def to_uint8(frame: np.ndarray, shown: Range) -> np.ndarray:
    """``frame``, uint16 or float of any shape, as uint8: the low end of ``shown`` is 0, the high end 255."""
    low, high = shown
    scaled = (frame.astype(np.float32) - low) * (255 / (high - low))
    return np.rint(np.nan_to_num(scaled).clip(0, 255)).astype(np.uint8)


def say_range(path: object, kind: np.dtype, shown: Range) -> None:
    """Says, once, which values of a clip are shown as black and white."""
    line = f"{path}: {kind}: {shown[0]:g} to {shown[1]:g} shown as black to white; --range LOW HIGH overrides"
    if line not in _said:
        _said.add(line)
        print(line, file=sys.stderr, flush=True)
