"""The score function (Williams, 1992) on the ELBO, with baselines that do not look at the frames."""

from __future__ import annotations

import torch
from torch import Tensor

from sqair.bounds import Terms
from sqair.config import ModelConfig
from sqair.estimators.base import Estimator, by_frame, to_go


class ScoreFunction(Estimator):
    """REINFORCE without a baseline: the score of a frame's presences times the bound that is still to come.

    What a presence cannot change, the bound of earlier frames, is no part of its signal: that leaves the expectation
    as it is and takes variance out.
    """

    def baseline(self, signal: Tensor) -> Tensor:
        """What is expected of ``signal [T, B]``, before seeing it: broadcasts to it."""
        return torch.zeros_like(signal)

    def forward(self, total: Terms, frames: Tensor, particles: int) -> Tensor:
        bound, log_q = by_frame(total)
        signal = to_go(bound.detach())
        signal = signal - self.baseline(signal)
        return -(bound + signal * log_q).sum(0).mean()


class RunningMean(ScoreFunction):
    """The baseline is a running mean of the bound of a frame, times the frames that are still to come."""

    decay = 0.9
    value: Tensor
    """Running mean of the bound of a frame."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.register_buffer("value", torch.zeros(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def baseline(self, signal: Tensor) -> Tensor:
        ahead = torch.arange(len(signal), 0, -1, device=signal.device)[:, None]
        before = self.value
        self.take(signal[0].mean() / len(signal))
        return before * ahead

    def take(self, mean: Tensor) -> None:
        """Takes in the mean bound of a frame of one batch."""
        keep = 0.0 if self.batches == 0 else self.decay
        self.value = keep * self.value + (1 - keep) * mean
        self.batches += 1


class Constant(RunningMean):
    """The baseline is the mean bound of a frame of the first batch, times the frames that are still to come."""

    decay = 1.0
