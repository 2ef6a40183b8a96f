"""Snug boxes: the mean of q(z_where) of an object that is whole and alone is pulled to the box of its ink.

The bound does not care whether a drawing fills its window or a window is larger than what is drawn in it, so that boxes
of z_where would be of any slack. The pull is no part of the bound. It has no gradient but that of this mean: drawings
follow, since the bound asks them to.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sqair.boxes import ink_boxes
from sqair.config import ModelConfig
from sqair.geometry import constant, where_to_box
from sqair.roster import EXACT, Exact
from sqair.state import Step
from sqair.stretch import stretched
from sqair.windows import Patches

_FAR = 2.0
"""Pixels from which on the pull grows no more."""
_COVERED = 0.1
"""Of a pixel, that counts as covered by an object."""
_SHARED = 2
"""Fewest pixels shared with others for which an object is not alone."""


def slack(frames: Tensor, steps: list[Step], config: ModelConfig, roster: Exact = EXACT) -> Tensor:
    """By how much the means of q(z_where) miss the ink that their objects explain of ``frames [T, B, C, H, W]``.

    The Huber loss of centres and half sides, pixels^2, summed over objects that lie within the canvas and touch no
    others.
    """
    rows = [r for step in steps for r in step.rows]
    if not rows:
        return frames.new_zeros(())
    row = roster.pick(torch.cat([r.there for r in rows]))
    box = where_to_box(torch.cat([r.proposal.posterior.q_where.mean for r in rows])[row], config)  # [M, 4]
    with torch.no_grad():
        tight, told = _ink(frames, steps, config)
    away = (box - tight) * constant((1, 1, 0.5, 0.5), box.dtype, box.device)
    return (told[:, None] * F.huber_loss(away, torch.zeros_like(away), reduction="none", delta=_FAR)).sum()


def pull(frames: Tensor, steps: list[Step], weight: float, config: ModelConfig, roster: Exact = EXACT) -> Tensor:
    """What ``slack`` costs, ``weight`` nats for the square of a pixel: nats per frame ``[]``."""
    if not weight:
        return frames.new_zeros(())
    return weight * slack(frames, steps, config, roster) / frames.shape[:2].numel()


def _ink(frames: Tensor, steps: list[Step], config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Boxes ``[M, 4]`` (centre x, y, w, h; pixels) of the ink of objects, and of which of them all of it is seen."""
    clips = frames.shape[1]
    patches = Patches.concat([step.patches.of(t * clips) for t, step in enumerate(steps)])
    image, windows = patches.image, patches.windows
    behind = [step.behind.image for step in steps if step.behind]
    frame, scene = stretched(frames.flatten(0, 1), torch.cat(behind) if behind else None, config)
    mask = (image.amax(1, keepdim=True) > _COVERED).to(image)
    alone = (mask * (windows.cut(windows.add(mask, len(frame))) - mask)).flatten(1).sum(1) < _SHARED
    ink = windows.cut(config.render.visible(frame, scene))
    around = _spread(_spread(image).mT).mT  # ink that a window cuts off is beside what is drawn
    box, any_ink = ink_boxes(around, ink, math.hypot(config.likelihood_std, config.ink_std))
    low = box[:, :2] + windows.corner
    high = low + box[:, 2:]
    within = (low > 0).all(1) & (high < constant((config.width, config.height), high.dtype, high.device)).all(1)
    return torch.cat([(low + high) / 2, box[:, 2:]], 1), any_ink & alone & within


def _spread(image: Tensor) -> Tensor:
    """The most of each pixel of images ``[M, C, h, w]`` in [0, 1] and those to its left and right."""
    wide = F.pad(image, (1, 1))
    return torch.maximum(torch.maximum(wide[..., :-2], image), wide[..., 2:])
