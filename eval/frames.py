"""Ground truth and predictions of a clip, frame by frame, with what is not scored taken out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from sqair.eval.benchmarks import Role
from sqair.eval.boxes import iou as box_iou
from sqair.files.mot_rows import Rows

EPS = np.finfo(float).eps
"""By so much an overlap may fall short of a threshold, as in TrackEval."""


class FramePair(NamedTuple):
    """What is scored in one frame.

    Attributes:
        gt: ``[M]`` int64, the objects of the ground truth, counted from 0 over the clip.
        pred: ``[N]`` int64, the predicted objects, likewise.
        iou: ``[M, N]``, the overlap of their boxes.
    """

    gt: np.ndarray
    pred: np.ndarray
    iou: np.ndarray


def pair_frames(gt: Rows, pred: Rows, role: np.ndarray, *, gate: float) -> list[FramePair]:
    """The frames of a clip in which any row is, in their order; how long the clip is does not matter.

    Rows that are not scored (``role``, ``[M]``) are left out. The predictions that match those which take them along
    are, too: in every frame all rows, those to score and those not, are assigned to predictions together (Hungarian,
    largest sum of IoU over pairs of at least ``gate``).
    """
    gt_id, pred_id = _numbered(gt.id), _numbered(pred.id)
    frames = []
    for g, p in _by_frame(gt.frame, pred.frame):
        frame = FramePair(gt_id[g], pred_id[p], box_iou(gt.box[g], pred.box[p]))
        if role[g].any():
            frame = _scored(frame, role[g], gate)
        frames.append(frame)
    return frames


def _numbered(ids: np.ndarray) -> np.ndarray:
    """The place of each id among those that occur."""
    return np.unique(ids, return_inverse=True)[1].reshape(-1)


def _by_frame(gt: np.ndarray, pred: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Which rows of ``gt`` and ``pred`` ([M] and [N] frame numbers) are in each frame, in the order of the rows."""
    ticks = np.union1d(gt, pred)
    parts = []
    for frame in (gt, pred):
        order = np.argsort(frame, kind="stable")
        parts.append(np.split(order, np.searchsorted(frame[order], ticks[1:])))
    return zip(*parts, strict=True) if len(ticks) else iter(())


def _scored(frame: FramePair, role: np.ndarray, gate: float) -> FramePair:
    """``frame`` without the ground truth that is not scored (``role``, [M]), and what that takes along."""
    keep = np.ones(len(frame.pred), dtype=bool)
    if (role == Role.TAKES_ALONG).any():
        weight = np.where(frame.iou >= gate - EPS, frame.iou, 0.0)
        rows, cols = linear_sum_assignment(weight, maximize=True)
        keep[cols[(weight[rows, cols] > EPS) & (role[rows] == Role.TAKES_ALONG)]] = False
    scored = role == Role.SCORED
    return FramePair(frame.gt[scored], frame.pred[keep], frame.iou[scored][:, keep])
