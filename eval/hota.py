"""HOTA (Luiten et al. 2020): detection and association accuracy, averaged over 19 localisation thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from sqair.eval.frames import EPS, FramePair

ALPHAS = np.arange(1, 20) / 20


@dataclass(frozen=True)
class HotaCounts:
    """What a clip adds to HOTA; OVERALL is the sum over clips.

    Attributes:
        tp: ``[19]``, matches at each threshold.
        association: ``[19]``, the sum over those matches of the Jaccard index of the two tracks matched.
        boxes: number of boxes, ground truth and predictions together.
    """

    tp: np.ndarray = field(default_factory=lambda: np.zeros(len(ALPHAS)))
    association: np.ndarray = field(default_factory=lambda: np.zeros(len(ALPHAS)))
    boxes: int = 0

    def __add__(self, other: HotaCounts) -> HotaCounts:
        return HotaCounts(self.tp + other.tp, self.association + other.association, self.boxes + other.boxes)


def count_hota(frames: Sequence[FramePair]) -> HotaCounts:
    """The counts of one clip.

    Each frame is assigned once, for all thresholds, by overlap times the alignment of the whole tracks; a
    pair counts at the thresholds that its overlap reaches.
    """
    gt_at, gt_size = _number([f.gt for f in frames])
    pred_at, pred_size = _number([f.pred for f in frames])
    boxes = int(gt_size.sum() + pred_size.sum())
    both = [(g, p, f.iou) for g, p, f in zip(gt_at, pred_at, frames, strict=True) if f.iou.size]
    if not both:
        return HotaCounts(boxes=boxes)
    pair, overlap = [], []
    for (g, p, iou), worth in zip(both, _alignments(both, gt_size, pred_size), strict=True):
        rows, cols = linear_sum_assignment(worth * iou, maximize=True)
        pair.append(g[rows] * len(pred_size) + p[cols])
        overlap.append(iou[rows, cols])
    pairs, which = np.unique(np.concatenate(pair), return_inverse=True)
    reached = np.concatenate(overlap) >= ALPHAS[:, None] - EPS
    matched = np.stack([np.bincount(which[r], minlength=len(pairs)) for r in reached])
    size = gt_size[pairs // len(pred_size)] + pred_size[pairs % len(pred_size)]
    return HotaCounts(matched.sum(axis=1), (matched**2 / (size - matched)).sum(axis=1), boxes)


def hota(counts: HotaCounts) -> tuple[float, float, float]:
    """HOTA, DetA and AssA, each the mean over the thresholds; all NaN where there are no boxes at all."""
    if counts.boxes == 0:
        return float("nan"), float("nan"), float("nan")
    detection = counts.tp / (counts.boxes - counts.tp)
    association = counts.association / np.maximum(1, counts.tp)
    return float(np.sqrt(detection * association).mean()), float(detection.mean()), float(association.mean())


def _number(ids: list[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Every frame's ids as places among all ids that occur, and how often each of those occurs."""
    everything = np.concatenate([*ids, np.zeros(0, dtype=np.int64)])
    known, size = np.unique(everything, return_counts=True)
    return [np.searchsorted(known, i) for i in ids], size


def _alignments(
    both: list[tuple[np.ndarray, np.ndarray, np.ndarray]], gt_size: np.ndarray, pred_size: np.ndarray
) -> Iterator[np.ndarray]:
    """For each frame ``[M, N]``: the soft Jaccard index of every pair of whole tracks, before any matching.

    Pairs that do not overlap in the frame get 0: there the index does not matter. So only pairs that meet are kept.
    """
    meet = [np.nonzero(iou) for _, _, iou in both]
    key = [g[i] * len(pred_size) + p[j] for (g, p, _), (i, j) in zip(both, meet, strict=True)]
    pairs, which = np.unique(np.concatenate(key), return_inverse=True)
    share = []
    for (_, _, iou), at in zip(both, meet, strict=True):
        union = iou.sum(axis=0, keepdims=True) + iou.sum(axis=1, keepdims=True) - iou
        share.append(np.divide(iou, union, out=np.zeros_like(iou), where=union > EPS)[at])
    shared = np.bincount(which.reshape(-1), weights=np.concatenate(share), minlength=len(pairs))
    index = shared / (gt_size[pairs // len(pred_size)] + pred_size[pairs % len(pred_size)] - shared)
    ends = np.cumsum([len(k) for k in key])
    for (_, _, iou), at, mine in zip(both, meet, np.split(which.reshape(-1), ends[:-1]), strict=True):
        worth = np.zeros_like(iou)
        worth[at] = index[mine]
        yield worth
