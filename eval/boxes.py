"""Overlap of boxes."""

from __future__ import annotations

import numpy as np

EPS = np.finfo(float).eps
"""A box of at most so many square pixels overlaps nothing."""


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of ``a`` with every box of ``b``.

    All of it is computed from the four edges, as in TrackEval, so that ties at a threshold fall as they do there.

    Args:
        a: ``[M, 4]``, boxes ``x, y, w, h`` in pixels, ``x, y`` the top left corner.
        b: ``[N, 4]``, likewise.

    Returns:
        ``[M, N]`` in [0, 1]; 0 where a box has no area.
    """
    a = np.asarray(a, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(b, dtype=np.float64).reshape(1, -1, 4)
    a_end, b_end = a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:]
    a_area, b_area = ((end - box[..., :2]).prod(axis=-1) for box, end in ((a, a_end), (b, b_end)))
    inside = np.maximum(np.minimum(a_end, b_end) - np.maximum(a[..., :2], b[..., :2]), 0.0).prod(axis=-1)
    union = a_area + b_area - inside
    there = (a_area > EPS) & (b_area > EPS) & (union > EPS)
    return np.divide(inside, union, out=np.zeros_like(inside), where=there)
