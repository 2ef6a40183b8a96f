"""Ground truth and predictions of a clip, frame by frame, with the ignored rows taken out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from sqair.eval.boxes import iou as box_iou
from sqair.tracks import Tracks


class FramePair(NamedTuple):
    """What is scored in one frame.

    Attributes:
        gt: ``[M]`` int64, ids of the ground truth.
        pred: ``[N]`` int64, ids of the predictions.
        iou: ``[M, N]``, the overlap of their boxes.
    """

    gt: np.ndarray
    pred: np.ndarray
    iou: np.ndarray


def pair_frames(gt: Tracks, pred: Tracks, length: int, *, gate: float, ignore: bool) -> list[FramePair]:
    """The ``length`` frames of a clip.

    With ``ignore``, ground-truth rows of score 0 are left out, and so are the predictions that match them: in
    every frame all rows, those to score and those to ignore, are assigned to predictions together (Hungarian,
    largest sum of IoU over pairs of at least ``gate``).
    """
    ticks = np.arange(length + 1)
    gt_at, pred_at = np.searchsorted(gt.frame, ticks), np.searchsorted(pred.frame, ticks)
    ignored = (gt.score == 0) & ignore
    frames = []
    for t in range(length):
        g, p = slice(gt_at[t], gt_at[t + 1]), slice(pred_at[t], pred_at[t + 1])
        frame = FramePair(gt.id[g], pred.id[p], box_iou(gt.box[g], pred.box[p]))
        if ignored[g].any():
            frame = _drop_ignored(frame, ignored[g], gate)
        frames.append(frame)
    return frames


def _drop_ignored(frame: FramePair, ignored: np.ndarray, gate: float) -> FramePair:
    """``frame`` without the ground truth where ``ignored`` ([M], bool) and the predictions matched to it."""
    weight = np.where(frame.iou >= gate, frame.iou, 0.0)
    rows, cols = linear_sum_assignment(weight, maximize=True)
    dropped = cols[(weight[rows, cols] > 0) & ignored[rows]]
    keep = np.ones(len(frame.pred), dtype=bool)
    keep[dropped] = False
    return FramePair(frame.gt[~ignored], frame.pred[keep], frame.iou[~ignored][:, keep])
