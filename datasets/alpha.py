"""Alpha: what is transparent shows black."""

from __future__ import annotations

import numpy as np


def over_black(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """``colour [H, W]`` or ``[H, W, 3]`` over black, where ``alpha [H, W]`` is how opaque it is; of the same type.

    Full opacity is the largest value of an integer type, and 1 of a float. The colour is not yet multiplied by it.
    """
    alpha = alpha if colour.ndim == 2 else alpha[..., None]
    if colour.dtype.kind == "f":
        return colour * alpha
    full = int(np.iinfo(colour.dtype).max)
    if (alpha == full).all():
        return np.ascontiguousarray(colour)
    wide = colour.astype(np.uint32 if full < 2**16 else np.uint64) * alpha
    return ((wide + full // 2) // full).astype(colour.dtype)
