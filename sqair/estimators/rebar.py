"""REBAR (Tucker et al., 2017) and RELAX (Grathwohl et al., 2018), bit by bit.

The logits of later presences depend on earlier bits, so that a whole clip cannot be relaxed without bias. One bit can:
given the bits before it, its control variate may be any function of its own relaxed value. Here that is what the
bound gains locally from the object at soft presence, which the compositing gives exactly (``scene.Evidence.at``).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sqair.bounds import Terms
from sqair.config import ModelConfig
from sqair.distributions import logistic
from sqair.estimators.base import by_frame, to_go
from sqair.estimators.score_function import RunningMean
from sqair.inference import Sampled
from sqair.networks import mlp
from sqair.scene import Rows


class Rebar(RunningMean):
    """The score function with a relaxed control variate, whose scale and temperature learn to lower the variance."""

    learning_rate = 1e-2

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.scale = nn.Parameter(torch.ones(()))
        self.log_temperature = nn.Parameter(torch.zeros(()))
        self.generator: torch.Generator | None = None

    def inference(self, sampled: Sampled, length: int) -> Sampled:
        self.generator = sampled.generator
        return super().inference(sampled, length)

    def control(self, rows: Rows, soft: Tensor) -> Tensor:
        """The control variate ``[M]`` at relaxed presences ``soft [M]`` in (0, 1)."""
        return self.scale * (rows.evidence.at(soft) - soft * rows.evidence.kl.detach())

    def forward(self, total: Terms, frames: Tensor, particles: int) -> Tensor:
        bound, _ = by_frame(total)
        coming = to_go(bound.detach())
        coming = coming - self.baseline(coming)
        loss, variance = -bound.sum(), bound.new_zeros(())
        for signal, step in zip(coming, total.steps, strict=True):
            for rows in step.rows:
                slope = self.slope(rows, signal[rows.clip])
                loss = loss - (slope.detach() * rows.q_logit).sum()
                variance = variance + slope.square().sum()
        own = variance / variance.detach().clamp_min(1e-12)
        return loss / bound.shape[1] + own - own.detach()

    def slope(self, rows: Rows, signal: Tensor) -> Tensor:
        """Derivative of the bound in each presence logit ``[M]``, given the bound still to come, ``signal [M]``."""
        noise = torch.empty_like(signal).expand(2, -1).clone().uniform_(generator=self.generator)
        temperature = self.log_temperature.exp()

        def control(z: Tensor) -> Tensor:
            return self.control(rows, torch.sigmoid(z / temperature))

        return rebar_slope(rows.q_logit.detach(), rows.pres.detach(), signal, control, noise)


class Relax(Rebar):
    """REBAR's control variate plus a network of the object's encoding, trained to lower the variance."""

    unit = 10.0
    """Nats in which the network speaks."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.net = mlp(config.features + 1, 32, 1, last_gain=0.1)

    def control(self, rows: Rows, soft: Tensor) -> Tensor:
        seen = torch.cat([rows.proposal.posterior.encoding.detach(), soft[:, None]], -1)
        return super().control(rows, soft) + self.unit * self.net(seen)[:, 0]


def conditional(logit: Tensor, pres: Tensor, noise: Tensor) -> Tensor:
    """z = logit + logistic noise, given that z > 0 (``pres`` 1) or not, from uniform ``noise``: all ``[M]``."""
    odds = logistic(noise)
    above = F.softplus(odds - F.logsigmoid(-logit))
    below = -F.softplus(odds - F.logsigmoid(logit))
    return torch.where(pres > 0, above, below)


def rebar_slope(
    logit: Tensor, pres: Tensor, signal: Tensor, control: Callable[[Tensor], Tensor], noise: Tensor
) -> Tensor:
    """(f - c(z~)) (b - q) + d c(z) - d c(z~), derivatives in the logit; its expectation is that of f (b - q).

    Args:
        logit, pres: ``[M]``, of q(b = 1), and b; no gradient.
        signal: f ``[M]``.
        control: c, from ``[M]`` to ``[M]``.
        noise: ``[2, M]``, uniform: z and z~ are two draws given b, z with its noise fixed, z~ with b fixed.
    """
    with torch.enable_grad():
        logit = logit.detach().requires_grad_()
        z = logit + (conditional(logit, pres, noise[0]) - logit).detach()
        again = conditional(logit, pres, noise[1])
        value, anew = control(z), control(again)
        (path,) = torch.autograd.grad((value - anew).sum(), logit, create_graph=True)
        return (signal - anew) * (pres - torch.sigmoid(logit.detach())) + path
