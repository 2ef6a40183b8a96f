"""Masks: which object shows in each pixel, as the model explains the frame."""

from __future__ import annotations

import torch
from torch import Tensor

from sqair.state import Step
from sqair.windows import Patches

EXPLAINED = 0.1
"""An object that only adds light shows in a pixel to which it adds more than this, of 1."""


def segments(step: Step, count: int) -> Tensor:
    """The object that shows in each pixel of a frame of ``count`` clips B: 1 and its id, or 0 where none does.

    Of objects that hide what is behind them, it is the one with the largest share of the pixel, if that is more than
    the background has (render.py): of a single object, more than half. Of objects that only add light, it is the one
    that adds the most, if that is more than ``EXPLAINED``.

    Returns:
        ``[B, H, W]`` int64.
    """
    if step.depth is None:
        found, most = _strongest(step.patches, step.objects.id, count)
        return torch.where(most > EXPLAINED, found, 0)
    total = step.depth.total(torch.ones_like(step.confidence), count)  # [B, layers, H, W]
    behind = (-total.sum(1)).exp()  # [B, H, W]
    found, most = _strongest(_shares(step.depth, total), step.objects.id, count)
    return torch.where(most > behind, found, 0)


def outlines(step: Step, count: int) -> Tensor:
    """The object that shows most clearly in each pixel, as ``segments`` gives it, of objects that hide what is behind.

    That is where it has half of its largest share of a pixel, or more: something dark may be drawn as dark, or as half
    transparent and black.
    """
    assert step.depth is not None
    shares = _shares(step.depth, step.depth.total(torch.ones_like(step.confidence), count))
    clear = shares.image / shares.image.flatten(1).amax(1).clamp_min(1e-9)[:, None, None, None]
    found, most = _strongest(Patches(clear, shares.windows), step.objects.id, count)
    return torch.where(most > 0.5, found, 0)


def _shares(depth: Patches, total: Tensor) -> Patches:
    """The share ``[M, 1, h, w]`` that each object has of each pixel; ``total [B, layers, H, W]`` is w of all."""
    through = (total.cumsum(1) - total.sum(1, keepdim=True)).exp()  # of the layers in front
    each = -torch.expm1(-total) / total.clamp_min(1e-9) * through
    return Patches((depth.image * depth.windows.cut(each)).sum(1, keepdim=True), depth.windows)


def _strongest(patches: Patches, ids: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """1 and the id of what is strongest in any channel in each pixel, 0 where nothing is, and that, ``[B, H, W]``."""
    windows, strength = patches.windows, patches.image.amax(1)
    found = ids.new_zeros(count, *windows.canvas)
    most = strength.new_zeros(found.shape)
    height, width = windows.size
    places = zip(windows.clip.tolist(), windows.corner.tolist(), ids.tolist(), strength, strict=True)
    for clip, (x, y), name, own in places:
        there = (clip, slice(y, y + height), slice(x, x + width))
        wins = own > most[there]
        found[there] = torch.where(wins, 1 + name, found[there])
        most[there] = torch.where(wins, own, most[there])
    return found, most
