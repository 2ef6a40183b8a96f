"""Boxes of what a frame was explained by: those of z_where, or tight around visible ink."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sqair.config import ModelConfig
from sqair.geometry import top_left_box, where_to_box
from sqair.state import Step
from sqair.stretch import stretched
from sqair.tracks import Tracks

BoxKind = Literal["ink", "patch"]

_EXPLAINED, _CLEAR, _INK = 0.1, 0.5, 0.02
"""A pixel is visible ink of an object that changes it by more than the first, or by more than the second in standard
deviations of the likelihood, where the frame has more than the third of ink."""


def ink_boxes(images: Tensor, ink: Tensor, std: float) -> tuple[Tensor, Tensor]:
    """Boxes tight around the visible ink that each object explains.

    Args:
        images: ``[M, C, h, w]``, what each object does to an otherwise empty canvas.
        ink: ``[M, C, h, w]``, how much the frame it is in differs from the background.
        std: standard deviation of the likelihood.

    Returns:
        Boxes ``[M, 4]`` (x, y, w, h; whole pixels), and whether there is any such ink ``[M]``.
    """
    mask = (images.amax(1) > min(_EXPLAINED, _CLEAR * std)) & (ink.amax(1) > _INK)
    rows, columns = mask.any(2), mask.any(1)

    def span(line: Tensor) -> tuple[Tensor, Tensor]:
        first = line.to(torch.uint8).argmax(1)
        return first, line.shape[1] - line.flip(1).to(torch.uint8).argmax(1) - first

    (y, h), (x, w) = span(rows), span(columns)
    return torch.stack([x, y, w, h], -1).float(), rows.any(1)


def step_tracks(step: Step, frame: Tensor, number: int, config: ModelConfig, box: BoxKind) -> list[Tracks]:
    """Tracks of one explained ``frame [B, C, H, W]``, the clip's ``number``-th, one for each of the B clips."""
    objects = step.objects
    boxes = top_left_box(where_to_box(objects.where, config))
    if box == "ink":
        behind = None if step.behind is None else step.behind.image
        ink = config.render.visible(*stretched(frame, behind, config))
        windows = step.patches.windows
        std = math.hypot(config.likelihood_std, config.ink_std)
        tight, any_ink = ink_boxes(step.patches.image, windows.cut(ink), std)
        tight = tight + F.pad(windows.corner, (0, 2))
        boxes = torch.where(any_ink[:, None], tight, boxes)
    clip, ids, boxes, score = (v.cpu().numpy() for v in (objects.clip, objects.id, boxes, step.confidence))
    tracks = []
    for b in range(len(frame)):
        mine = clip == b
        tracks.append(Tracks(np.full(mine.sum(), number), ids[mine], boxes[mine], score[mine]))
    return tracks


def moved(box: np.ndarray, shift: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes ``[M, 4]`` (x, y, w, h) moved by a ``shift [2]`` (x, y).

    Those that were within a frame of ``size`` (H, W) are cut where they leave it, but for a pixel.
    """
    if not np.any(shift):
        return box
    edge = np.array([size[1], size[0]], dtype=np.float64)
    first, last = box[:, :2] + shift, box[:, :2] + box[:, 2:] + shift
    within = (box[:, :2] >= 0) & (box[:, :2] + box[:, 2:] <= edge)
    first = np.where(within, first.clip(0, edge - 1), first)
    last = np.where(within, np.maximum(last.clip(0, edge), first + 1e-3), last)
    return np.concatenate([first, last - first], 1)
