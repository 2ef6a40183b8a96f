"""Average precision of boxes that come with a confidence."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from sqair.eval.boxes import iou
from sqair.tracks import Tracks

IOUS = np.arange(1, 10) / 10
RECALLS = np.arange(11) / 10


def average_precision(clips: Iterable[tuple[Tracks, Tracks]]) -> float:
    """The best precision at a recall of at least r, mean over r in ``RECALLS`` and over overlaps in ``IOUS``.

    In every frame each prediction, the surest first, takes the object that it overlaps most of those not yet taken; it
    is right if that is by more than the overlap asked for. Predictions of the same confidence count together.

    Args:
        clips: ground truth and predictions of each clip; ``score`` is the confidence of a prediction.

    Returns:
        A number in [0, 1], NaN without any ground truth.
    """
    objects, scores, hits = 0, [np.zeros(0)], [np.zeros((len(IOUS), 0), dtype=bool)]
    for truth, found in clips:
        objects += len(truth)
        for frame in np.unique(found.frame).tolist():
            seen = found.at(frame)
            scores.append(seen.score)
            hits.append(_hits(iou(truth.at(frame).box, seen.box), seen.score))
    if not objects:
        return math.nan
    return _mean_precision(np.concatenate(scores), np.concatenate(hits, 1), objects)


def _hits(overlap: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Which predictions of a frame are right at each of ``IOUS``, ``[I, N]``, of overlaps ``[M, N]``."""
    hits = np.zeros((len(IOUS), len(score)), dtype=bool)
    free = np.ones((len(IOUS), len(overlap)), dtype=bool)
    if not len(overlap):
        return hits
    for j in np.argsort(-score, kind="stable"):
        mine = np.where(free, overlap[:, j], 0.0)
        best = mine.argmax(1)
        hits[:, j] = mine.max(1) > IOUS
        free[np.flatnonzero(hits[:, j]), best[hits[:, j]]] = False
    return hits


def _mean_precision(score: np.ndarray, hits: np.ndarray, objects: int) -> float:
    """The mean of predictions ``[N]`` that are right or not at each overlap, ``hits [I, N]``."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=-np.inf))
    precisions = []
    for right in hits:
        found = np.cumsum(right[order])[ends]
        precision, recall = found / (ends + 1), found / objects
        precisions += [precision[recall >= r - 1e-9].max(initial=0.0) for r in RECALLS]
    return float(np.mean(precisions))
