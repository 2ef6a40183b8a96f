"""Exact enumeration of the count: on a single frame n has only N + 1 values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sqair.bounds import Terms
from sqair.errors import UserError
from sqair.estimators.base import Estimator
from sqair.objects import Rows
from sqair.presence import Sampled


@dataclass
class Counted(Sampled):
    """Particle n of each clip is made to find n objects."""

    particles: int = 1
    found: int = 0
    """Discovery steps of this frame so far."""

    def decide(self, rows: Rows, frame: Tensor, image: Tensor, std: float) -> Tensor:
        self.found = 0 if rows.first else self.found + 1
        return (count_of(rows.clip, len(frame), self.particles) > self.found).to(rows.gain)


def count_of(clip: Tensor, clips: int, particles: int) -> Tensor:
    """n of the particle that each of the ``clip [M]`` is."""
    return clip // (clips // particles)


class Enumeration(Estimator):
    """sum_n q(n) ELBO(n), with one particle for each n from 0 to the number of discovery steps; single frames only."""

    def particles(self, wanted: int) -> int:
        return self.config.first_steps + 1

    def inference(self, sampled: Sampled) -> Sampled:
        return Counted(sampled.generator, particles=self.particles(1))

    def weight(self, total: Terms, particles: int) -> Tensor:
        clips = len(total.elbo)
        n = count_of(torch.arange(clips, device=total.elbo.device), clips, particles)
        # where there was nothing more to see, fewer than n were found, and q(n) is 0
        return particles * torch.where(total.objects == n, total.log_q_presence.exp(), 0.0)

    def forward(self, total: Terms, frames: Tensor, particles: int) -> Tensor:
        if len(frames) > 1:
            raise UserError("the enumeration estimator is for single frames: set --train.stages to clips of length 1")
        return -(self.weight(total, particles) * total.elbo).mean()
