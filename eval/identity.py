"""Identity (Ristani et al. 2016): the boxes that agree under the best one-to-one assignment of whole tracks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sqair.eval.frames import FramePair


def count_identity(frames: Sequence[FramePair], gate: float) -> int:
    """IDTP of one clip, pairs agreeing from an overlap of ``gate``.

    Only tracks that meet compete: each group of those is assigned by itself, so that many tracks cost no more than
    their boxes do.
    """
    close = [np.nonzero(frame.iou >= gate) for frame in frames]
    who = np.concatenate([np.zeros(0, dtype=np.int64), *(f.gt[g] for f, (g, _) in zip(frames, close, strict=True))])
    as_ = np.concatenate([np.zeros(0, dtype=np.int64), *(f.pred[p] for f, (_, p) in zip(frames, close, strict=True))])
    if not len(who):
        return 0
    width = as_.max() + 1
    pairs, times = np.unique(who * width + as_, return_counts=True)
    rows, cols = (np.unique(side, return_inverse=True)[1].reshape(-1) for side in np.divmod(pairs, width))
    size = rows.max() + cols.max() + 2
    links = coo_array((np.ones(len(times)), (rows, rows.max() + 1 + cols)), shape=(size, size))
    group = connected_components(links, directed=False)[1][rows]
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order])) + 1
    return sum(_best(rows[part], cols[part], times[part]) for part in np.split(order, starts))


def _best(rows: np.ndarray, cols: np.ndarray, times: np.ndarray) -> int:
    """The largest sum of ``times`` ([R]) over pairs of which none share a row or a column."""
    if len(times) == 1:
        return int(times[0])
    rows, cols = (np.unique(side, return_inverse=True)[1].reshape(-1) for side in (rows, cols))
    shared = np.zeros((rows.max() + 1, cols.max() + 1))
    shared[rows, cols] = times
    return int(shared[linear_sum_assignment(shared, maximize=True)].sum())
