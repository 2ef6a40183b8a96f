"""Overlap of masks: labels that say for each pixel which object shows there, 0 for the background."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sqair.eval.frames import FramePair


def contingency(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many pixels have each pair of labels ``[A, B]``, and which labels these are, ``[A]`` and ``[B]``."""
    of_a, row = np.unique(a, return_inverse=True)
    of_b, column = np.unique(b, return_inverse=True)
    count = np.bincount(row.ravel() * len(of_b) + column.ravel(), minlength=len(of_a) * len(of_b))
    return count.reshape(len(of_a), len(of_b)), of_a, of_b


def pair_masks(
    truth: np.ndarray, found: np.ndarray, *, smallest: int = 1, most_behind: float = 1.0
) -> Iterator[FramePair]:
    """What is scored in each frame of a clip, as ``sqair.eval.frames.pair_frames`` says it of boxes.

    Args:
        truth: ``[T, H, W]`` labels of the ground truth.
        found: ``[T, H, W]``, of the predictions.
        smallest: masks of fewer pixels in a frame are left out of it, on both sides.
        most_behind: a prediction whose overlap with the background of the ground truth is more is left out.
    """
    for of_truth, of_found in zip(truth, found, strict=True):
        shared, gt, pred = contingency(of_truth, of_found)
        gt_size, pred_size = shared.sum(1), shared.sum(0)
        iou = shared / (gt_size[:, None] + pred_size - shared)
        behind = iou[gt == 0].sum(0)
        rows = (gt > 0) & (gt_size >= smallest)
        cols = (pred > 0) & (pred_size >= smallest) & (behind <= most_behind)
        yield FramePair(gt[rows].astype(np.int64), pred[cols].astype(np.int64), iou[rows][:, cols])
