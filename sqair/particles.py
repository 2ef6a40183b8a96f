"""Estimates of p(x) by K weighted particles: importance sampling, and a particle filter that resamples at frames.

Both are unbiased for p(x), so that the log of either is in expectation at most log p(x), and comes nearer with K (Burda
et al. 2015; Maddison et al. 2017). The weight of a whole clip is a product over frames: without resampling its variance
grows exponentially with their number, with it about linearly.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

FEWEST = 0.5
"""Share of the particles of a clip below which the effective number of them has to fall for a resampling."""


class Particles(Protocol):
    """K particles of each of B clips."""

    def weigh(self, t: int) -> Tensor:
        """Goes on to frame ``t``; returns log p(x_t, z_t | past) - log q(z_t | past, x), ``[K, B]``."""
        ...

    def resample(self, ancestors: Tensor) -> None:
        """Particle k of clip b goes on as a copy of particle ``ancestors[k, b]`` of the same clip."""
        ...


def importance_weights(particles: Particles, length: int) -> Tensor:
    """log p(x, z) - log q(z | x) of each particle, ``[K, B]``: ``bounds.iwae`` is the estimate of log p(x)."""
    return torch.stack([particles.weigh(t) for t in range(length)]).sum(0)


def filtered(particles: Particles, length: int, generator: torch.Generator) -> Tensor:
    """The estimate ``[B]`` of log p(x) by a particle filter over ``length`` frames.

    Particles of a clip are resampled after a frame, systematically, when their effective number is below ``FEWEST`` of
    K: an unbiased estimate all the same, since that is decided by what was sampled before.
    """
    log_weight = particles.weigh(0)
    log_p = torch.zeros_like(log_weight[0])
    for t in range(1, length):
        few = effective(log_weight) < FEWEST  # [B]
        if few.any():
            log_p = log_p + torch.where(few, log_mean(log_weight), 0.0)
            same = torch.arange(len(log_weight), device=few.device)[:, None].expand_as(log_weight)
            particles.resample(torch.where(few, systematic(log_weight, generator), same))
            log_weight = torch.where(few, 0.0, log_weight)
        log_weight = log_weight + particles.weigh(t)
    return log_p + log_mean(log_weight)


def log_mean(log_weight: Tensor) -> Tensor:
    """log of the mean weight ``[B]`` of ``log_weight [K, B]``."""
    return log_weight.logsumexp(0) - math.log(len(log_weight))


def effective(log_weight: Tensor) -> Tensor:
    """Effective share of the particles, 1 / (K sum of squares of normalised weights), ``[B]`` in [1 / K, 1]."""
    return 1 / (len(log_weight) * log_weight.softmax(0).square().sum(0))


def systematic(log_weight: Tensor, generator: torch.Generator) -> Tensor:
    """Ancestors ``[K, B]`` by weights ``[K, B]``: of K evenly spaced points, moved by one uniform number a clip."""
    number, clips = log_weight.shape
    edge = log_weight.double().softmax(0).cumsum(0).T.contiguous()  # [B, K]
    start = torch.rand(clips, 1, generator=generator, dtype=torch.float64, device=edge.device)
    point = (torch.arange(number, device=edge.device) + start) / number  # [B, K]
    return torch.searchsorted(edge, point, right=True).clamp_max(number - 1).T
