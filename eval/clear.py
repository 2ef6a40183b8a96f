"""CLEAR: which prediction is which object in every frame, by the rule of TrackEval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from sqair.eval.frames import EPS, FramePair

_KEPT = 1000.0
"""What it is worth to keep a pair, in overlap: more than any number of better overlaps in a frame."""


class Clear(NamedTuple):
    """What a clip adds to the CLEAR scores; see :class:`sqair.eval.scores.Counts`."""

    matches: int = 0
    matched_iou: float = 0.0
    switches: int = 0
    fragmentations: int = 0
    mostly_tracked: int = 0
    mostly_lost: int = 0


def count_clear(frames: Sequence[FramePair], gate: float) -> Clear:
    """The counts of one clip, pairs matching from an overlap of ``gate``.

    A switch is a match with another prediction than the object's last match, however long ago. An object that is
    found in at least 80 % of its frames is mostly tracked, in less than 20 % mostly lost.
    """
    last: dict[int, int] = {}
    switches, matched_iou = 0, 0.0
    objects, found = [], []
    for frame, (rows, cols) in zip(frames, match(frames, gate), strict=True):
        matched_iou += float(frame.iou[rows, cols].sum())
        for who, prediction in zip(frame.gt[rows].tolist(), frame.pred[cols].tolist(), strict=True):
            switches += last.get(who, prediction) != prediction
            last[who] = prediction
        objects.append(frame.gt)
        found.append(np.isin(np.arange(len(frame.gt)), rows))
    if not objects:
        return Clear()
    who, there = np.concatenate(objects), np.concatenate(found)
    by_object = np.argsort(who, kind="stable")
    who, there = who[by_object], there[by_object]
    _, place, present = np.unique(who, return_inverse=True, return_counts=True)
    ratio = np.bincount(place.reshape(-1), weights=there, minlength=len(present)) / present
    return Clear(
        int(there.sum()), matched_iou, switches, _fragmentations(who, there),
        int((ratio >= 0.8).sum()), int((ratio < 0.2).sum()),
    )  # fmt: skip


def match(frames: Sequence[FramePair], gate: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pairs of every frame: places in its ``gt`` and in its ``pred``.

    As many pairs as can be of those of the last frame stay, and of what that allows the sum of overlaps is largest.
    The last frame is the last one in which both an object and a prediction were: pairs do not outlive the loss of
    the object, as they do in the rule of Bernardin and Stiefelhagen (2008).
    """
    nothing = np.zeros(0, dtype=np.int64)
    before: dict[int, int] = {}
    for gt, pred, iou in frames:
        if not iou.size:
            yield nothing, nothing
            continue
        mine = np.array([before.get(who, -1) for who in gt.tolist()])
        worth = np.where(iou < gate - EPS, 0.0, _KEPT * (mine[:, None] == pred) + iou)
        rows, cols = linear_sum_assignment(worth, maximize=True)
        matched = worth[rows, cols] > EPS
        rows, cols = rows[matched], cols[matched]
        before = dict(zip(gt[rows].tolist(), pred[cols].tolist(), strict=True))
        yield rows, cols


def _fragmentations(who: np.ndarray, found: np.ndarray) -> int:
    """Gaps between two findings of the same object; rows ([R]) are ordered by object, then by frame."""
    (at,) = np.nonzero(found)
    return int(((np.diff(at) > 1) & (np.diff(who[at]) == 0)).sum())
