"""Depth: values of 10, 12 and 16 bits, signed ones and floats become the uint8 that a frame is made of.

A clip has one range: the values that are shown as black and as white. It is told from some of its frames, by rules that
give the same for most clips of one camera, or given by ``--range LOW HIGH``:

- the least of these that holds the values: 8, 10, 12, 14 or 16 bits for whole numbers of 0 and more; 0 to 1, -1 to 1
  and then the same for floats;
- the values' own range, where they fill less than a quarter of that, as those of a thermal camera do, or where nothing
  of it holds them. Black is the least value and white the greatest that two neighbouring pixels share, in all but a
  hundred-thousandth of the pixels of each frame, so that a hot pixel decides nothing.

Values beyond the range are black or white. uint8 is as it is, unless a range is given or none of it is more than 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from sqair.datasets.sayings import say
from sqair.errors import UserError

Range = tuple[float, float]

SAMPLED = 32
"""Frames, spread over a clip, from which its range is told."""
FULL: Range = (0, 255)
STRAY = 1e-5
"""Share of the pixels of a frame that decide nothing."""
FILLED = 0.25
"""Share of a nominal range that values fill; if it is less they are shown by their own."""
OVER = 0.02
"""Part of its width by which values may pass a nominal range: resampling rings, and 12 bits may mean 4096."""
BITS = (8, 10, 12, 14, 16)
"""Depths that cameras have."""
_BITS = [(0.0, 2.0**bits - 1) for bits in BITS]


def to_uint8(frame: np.ndarray, shown: Range) -> np.ndarray:
    """``frame [H, W]`` or ``[H, W, C]`` of any real numbers as uint8: ``shown`` are the values of black and of white.

    Raises:
        UserError: a value is NaN or infinite; the message says which and where.
    """
    low, high = shown
    if frame.dtype == np.uint8 and (low, high) == FULL:
        return frame
    if frame.dtype in (np.uint8, np.uint16):
        return _table(float(low), float(high), 2 ** (8 * frame.dtype.itemsize))[frame]
    check_finite(frame)
    return _shade(frame, low, high)


def check_finite(frame: np.ndarray) -> None:
    """Raises UserError, which says where, if a value of ``frame [H, W]`` or ``[H, W, C]`` is NaN or infinite."""
    if frame.dtype.kind == "f" and not np.isfinite(frame).all():
        y, x, *_ = np.argwhere(~np.isfinite(frame))[0]
        raise UserError(f"the value at x {x}, y {y} is {frame[y, x] if frame.ndim == 2 else frame[y, x].tolist()}")


def _shade(values: np.ndarray, low: float, high: float) -> np.ndarray:
    wide = values.astype(np.float64 if values.dtype.itemsize > 4 else np.float32)
    return np.rint((wide - low) * 255 / (high - low)).clip(0, 255).astype(np.uint8)


@lru_cache(4)
def _table(low: float, high: float, size: int) -> np.ndarray:
    return _shade(np.arange(size, dtype=np.int32), low, high)


def told_range(frames: Iterable[np.ndarray]) -> Range:
    """The values that are black and white in a clip, told from some of its frames: see the head of this module.

    Args:
        frames: some frames ``[H, W]`` or ``[H, W, C]``, spread over the clip, all of one type.

    Raises:
        UserError: a value is NaN or infinite.
        ValueError: there is no frame.
    """
    ends, kind = [], np.dtype(np.uint8)
    for frame in frames:
        check_finite(frame)
        kind = frame.dtype
        ends.append(_ends(frame))
    lows, highs = zip(*ends, strict=True)
    if kind == np.uint8:
        return (0, 1) if max(highs) == 1 else FULL
    return nominal_range(min(lows), max(highs), floats=kind.kind == "f")


def nominal_range(low: float, high: float, *, floats: bool) -> Range:
    """The range by which values from ``low`` to ``high`` are shown."""
    for least, most in [(0.0, 1.0), (-1.0, 1.0), *_BITS] if floats else _BITS:
        margin = OVER * (most - least)
        if least - margin * floats <= low and high <= most + margin:
            return (least, most) if high - low >= FILLED * (most - least) or high == low else (low, high)
    return (low, high) if high > low else (low, low + 1)


def _ends(frame: np.ndarray) -> Range:
    """The least and the greatest value that two neighbouring pixels share, but for strays."""
    if frame.dtype == np.bool_:
        return 0.0, 1.0
    pairs = [part for part in ((frame[1:], frame[:-1]), (frame[:, 1:], frame[:, :-1])) if part[0].size]
    both = pairs or [(frame, frame)]
    shared = np.concatenate([np.minimum(a, b).ravel() for a, b in both])
    stray = int(STRAY * frame.size)
    high = shared.max() if not stray else np.partition(shared, -1 - stray)[-1 - stray]
    shared = np.concatenate([np.maximum(a, b).ravel() for a, b in both])
    low = shared.min() if not stray else np.partition(shared, stray)[stray]
    return float(low), float(high)


def say_range(path: object, kind: np.dtype, shown: Range) -> None:
    """Says, once, how the values of a clip are shown, where that is not how they are stored."""
    if kind == np.uint8 and shown == FULL:
        return
    held = 8 * kind.itemsize
    bits = next((n for n in BITS if shown == (0, 2**n - 1)), held)
    what = f"{bits} bits in {held}" if kind.kind in "iu" and bits < held else str(kind)
    low, high = (f"{value:.6g}" for value in shown)
    say(f"{path}: {what}: {low} to {high} shown as black to white; --range LOW HIGH overrides")


def spread(count: int, most: int = SAMPLED) -> list[int]:
    """At most so many of ``count`` places, evenly spread over them."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(int)).tolist() if count else []


def checked_range(shown: tuple[float, float] | None) -> Range | None:
    """What ``--range LOW HIGH`` says. Raises UserError unless low is less than high and both are finite."""
    if shown is not None and not (np.isfinite(shown).all() and shown[0] < shown[1]):
        raise UserError(f"--range {shown[0]:g} {shown[1]:g}: it takes two numbers, the lower one first")
    return shown
