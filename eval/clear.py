"""CLEAR: which prediction is which object in every frame, by the rule of TrackEval or by that of motmetrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    mostly_kept: int = 0


Pairs = Iterator[tuple[np.ndarray, np.ndarray]]


def match(frames: Sequence[FramePair], gate: float) -> Pairs:
    """The pairs of every frame: places in its ``gt`` and in its ``pred``.

    As many pairs as can be of those of the last frame stay, and of what that allows the sum of overlaps is largest.
    The last frame is the last one in which both an object and a prediction were: pairs do not outlive the loss of
    the object, as they do in the rule of Bernardin and Stiefelhagen (2008), ``match_lasting``.
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


def match_lasting(frames: Sequence[FramePair], gate: float) -> Pairs:
    """The pairs of every frame by the rule of Bernardin and Stiefelhagen (2008), as motmetrics has it.

    An object keeps the prediction that it was last matched with, however long ago, if both are there and overlap.
    Where several objects would keep one, the first in the frame does. Of the others as many as can be are matched,
    and of what that allows the sum of overlaps is largest.
    """
    last: dict[int, int] = {}
    for gt, pred, iou in frames:
        near = iou >= gate - EPS
        place = {name: j for j, name in enumerate(pred.tolist())}
        kept: dict[int, int] = {}
        for i, who in enumerate(gt.tolist()):
            j = place.get(last.get(who, -1))
            if j is not None and near[i, j] and j not in kept.values():
                kept[i] = j
        near[list(kept)] = False
        near[:, list(kept.values())] = False
        rows, cols = linear_sum_assignment(np.where(near, _KEPT + iou, 0.0), maximize=True)
        new = near[rows, cols]
        rows = np.array([*kept, *rows[new]], dtype=np.int64)
        cols = np.array([*kept.values(), *cols[new]], dtype=np.int64)
        last.update(zip(gt[rows].tolist(), pred[cols].tolist(), strict=True))
        yield rows, cols


def count_clear(
    frames: Sequence[FramePair], gate: float, rule: Callable[[Sequence[FramePair], float], Pairs] = match
) -> Clear:
    """The counts of one clip, pairs matching from an overlap of ``gate`` by a ``rule``, ``match`` or ``match_lasting``.

    A switch is a match with another prediction than the object's last match, however long ago. An object that is
    found in at least 80 % of its frames is mostly tracked, in less than 20 % mostly lost; mostly kept is one that is
    found in at least 80 % of its frames without a switch there.
    """
    last: dict[int, int] = {}
    switches, matched_iou = 0, 0.0
    objects, found, kept = [], [], []
    for frame, (rows, cols) in zip(frames, rule(frames, gate), strict=True):
        matched_iou += float(frame.iou[rows, cols].sum())
        same = []
        for who, prediction in zip(frame.gt[rows].tolist(), frame.pred[cols].tolist(), strict=True):
            same.append(last.get(who, prediction) == prediction)
            last[who] = prediction
        switches += same.count(False)
        objects.append(frame.gt)
        kept.append(np.isin(np.arange(len(frame.gt)), rows[np.array(same, dtype=bool)]))
        found.append(np.isin(np.arange(len(frame.gt)), rows))
    if not objects:
        return Clear()
    who, there, steady = (np.concatenate(part) for part in (objects, found, kept))
    by_object = np.argsort(who, kind="stable")
    who, there, steady = who[by_object], there[by_object], steady[by_object]
    _, place, present = np.unique(who, return_inverse=True, return_counts=True)
    ratio, same_ratio = (
        np.bincount(place.reshape(-1), weights=of, minlength=len(present)) / present for of in (there, steady)
    )
    return Clear(
        int(there.sum()), matched_iou, switches, _fragmentations(who, there),
        int((ratio >= 0.8).sum()), int((ratio < 0.2).sum()), int((same_ratio >= 0.8).sum()),
    )  # fmt: skip


def _fragmentations(who: np.ndarray, found: np.ndarray) -> int:
    """Gaps between two findings of the same object; rows ([R]) are ordered by object, then by frame."""
    (at,) = np.nonzero(found)
    return int(((np.diff(at) > 1) & (np.diff(who[at]) == 0)).sum())
