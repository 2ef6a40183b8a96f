"""From objects to the canvas, its likelihood, and each object's share in it.

Objects are blended by noisy-or, y = 1 - prod_k (1 - z_pres_k g_k): what two objects both explain is not counted
twice, their order does not matter, and taking one out of the picture is a division.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_OPAQUE = 0.99
_DIMMEST = 0.3
"""Least 1 - b over which ink is fully told from background."""


def log_clear(image: Tensor) -> Tensor:
    """log(1 - g) of an object's image g ``[M, C, H, W]`` with values in [0, 1]."""
    return torch.log1p(-_OPAQUE * image)


def uncover(frame: Tensor, empty: Tensor) -> Tensor:
    """The ink of objects ``[..., C, H, W]`` in [0, 1]: frames without their backgrounds, log(1 - b) ``empty``.

    It is what makes 1 - (1 - b) (1 - ink) the frame; less than that where the background is nearly white, and what
    lies before it can hardly be seen.
    """
    clear = empty.exp()
    return ((frame - 1 + clear) / clear.clamp_min(_DIMMEST)).clamp(0, 1)


def contrast(empty: Tensor) -> Tensor:
    """Share ``[B]`` of what objects are worth on black, in nats, that is left over backgrounds of log(1 - b) ``empty``.

    Errors of a canvas shrink by 1 - b, and nats with their squares: the mean of (1 - b)^2.
    """
    return torch.exp(2 * empty).flatten(1).mean(1)


def blend(log_clear: Tensor, clip: Tensor, clips: int) -> Tensor:
    """Sums log(1 - g) of the objects ``[M, C, H, W]`` of each clip: ``[B, C, H, W]``; the canvas is 1 - exp of it."""
    return log_clear.new_zeros(clips, *log_clear.shape[1:]).index_add(0, clip, log_clear)


def log_likelihood(frame: Tensor, canvas: Tensor, std: float) -> Tensor:
    """log Normal(frame; canvas, std), summed over pixels: ``[B, C, H, W]`` to ``[B]``."""
    constant = math.log(std * math.sqrt(2 * math.pi)) * frame[0].numel()
    return -((frame - canvas) ** 2).flatten(1).sum(1) / (2 * std * std) - constant


def gain(frame: Tensor, clear_without: Tensor, log_clear: Tensor, std: float) -> Tensor:
    """Log-likelihood with the object minus without it, exactly.

    Args:
        frame: ``[M, C, H, W]``, the frame of each object's clip.
        clear_without: ``[M, C, H, W]``, prod (1 - g) over the other objects.
        log_clear: ``[M, C, H, W]``, log(1 - g) of the object.
    """
    added = clear_without * -torch.expm1(log_clear)
    rest = frame - 1 + clear_without
    return (added * (2 * rest - added)).flatten(1).sum(1) / (2 * std * std)
