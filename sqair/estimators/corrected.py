"""The local expectation as a control variate: what it leaves out is made up for by the score function."""

from __future__ import annotations

import torch
from torch import Tensor

from sqair.bounds import Terms, local_presence_gain
from sqair.distributions import bernoulli_log_prob
from sqair.estimators.base import by_frame, to_go
from sqair.estimators.score_function import RunningMean


class Corrected(RunningMean):
    """``closed_form`` without its bias.

    For each bit with local gain g, known before the bit is drawn, and bound still to come f:
    (f - b g - baseline) d log q(b) + g d q(1). The second part is the expectation of what the first takes away.
    The baseline is what the other particles of the clip reach, and with one particle a running mean.
    """

    def baseline(self, signal: Tensor, particles: int = 1) -> Tensor:
        if particles == 1:
            return super().baseline(signal)
        each = signal.view(len(signal), particles, -1)
        return ((each.sum(1, keepdim=True) - each) / (particles - 1)).flatten(1)

    def forward(self, total: Terms, frames: Tensor, particles: int) -> Tensor:
        bound, _ = by_frame(total)
        coming = to_go(bound.detach())
        coming = coming - self.baseline(coming, particles)
        loss = -bound.sum()
        for signal, step in zip(coming, total.steps, strict=True):
            for rows in step.rows:
                gain, pres = local_presence_gain(rows), rows.pres.detach()
                left = signal[rows.clip] - pres * gain
                local = torch.sigmoid(rows.q_logit) * gain
                loss = loss - (left * bernoulli_log_prob(rows.q_logit, pres) + local).sum()
        return loss / bound.shape[1]
