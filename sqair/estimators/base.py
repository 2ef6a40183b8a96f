"""What every estimator is: a rule that turns a pass over clips into a loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sqair.bounds import Terms
from sqair.config import ModelConfig
from sqair.inference import Explored, Sampled


class Estimator(nn.Module):
    """A loss ``[]`` whose gradient is, or approximates, minus that of an objective; z_what and z_where reparametrised.

    What it learns or remembers (baselines) are its parameters and buffers: they are trained beside the model's, at a
    ``learning_rate`` of their own, and saved with the run.
    """

    learning_rate = 1e-3
    """Of its own parameters, if it has any."""
    fixed = False
    """Whether it does with rows of empty seats (roster.Fixed), and remembers nothing from step to step."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def particles(self, wanted: int, length: int) -> int:
        """Particles K per clip of ``length`` frames, of ``wanted``.

        Raises:
            UserError: it cannot do with so many.
        """
        return wanted

    def inference(self, sampled: Sampled, length: int) -> Sampled:
        """How it chooses the latents of clips of ``length`` frames, given how training samples them.

        Here: so, with the boldness in the posterior.
        """
        return Explored(**vars(sampled))

    def weight(self, total: Terms, particles: int) -> Tensor:
        """What each clip of ``total`` counts for in a mean over particles and clips: ``[K * B]``, 1 if sampled."""
        return torch.ones_like(total.log_likelihood)

    def passed(self, steps: int) -> None:
        """Notes ``steps`` of the schedule that went by in other processes at the same time."""

    def forward(self, total: Terms, frames: Tensor, particles: int) -> Tensor:
        """
        Args:
            total: terms of the bound of ``frames``.
            frames: ``[T, K * B, C, H, W]``, all clips once for each particle.
            particles: K.
        """
        raise NotImplementedError


def by_frame(total: Terms) -> tuple[Tensor, Tensor]:
    """The bound (closed-form KLs) and log q(z_pres) of each frame, both ``[T, B]``."""
    parts = [Terms([step]) for step in total.steps]
    return torch.stack([p.elbo for p in parts]), torch.stack([p.log_q_presence for p in parts])


def to_go(value: Tensor) -> Tensor:
    """What is still to come, this frame included: sums over later frames of ``value [T, ...]``."""
    return value.flip(0).cumsum(0).flip(0)
