"""Overlap of boxes."""

from __future__ import annotations

import numpy as np


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of ``a`` with every box of ``b``.

    Args:
        a: ``[M, 4]``, boxes ``x, y, w, h`` in pixels, ``x, y`` the top left corner.
        b: ``[N, 4]``, likewise.

    Returns:
        ``[M, N]`` in [0, 1]; 0 where both boxes have no area.
    """
    a = np.asarray(a, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(b, dtype=np.float64).reshape(1, -1, 4)
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    inside = np.clip(high - low, 0.0, None).prod(axis=-1)
    union = a[..., 2:].prod(axis=-1) + b[..., 2:].prod(axis=-1) - inside
    return np.clip(np.divide(inside, union, out=np.zeros_like(inside), where=union > 0), 0.0, 1.0)
