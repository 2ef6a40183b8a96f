"""The Concrete relaxation (Maddison et al.; Jang et al., 2016) of whole clips."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from sqair.bounds import Terms
from sqair.config import ModelConfig
from sqair.distributions import logistic
from sqair.estimators.base import Estimator
from sqair.inference import Explored, Sampled
from sqair.scene import Evidence, Proposal

_FAINTEST = 0.01
"""Objects of less presence than this are dropped: they would take slots and time for nothing."""


class Annealed(Estimator):
    """What all relaxations share: a temperature that falls from ``hottest``, by half every ``halving`` steps."""

    hottest, coolest, halving = 1.0, 0.2, 400
    steps: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def passed(self, steps: int) -> None:
        self.steps += steps

    def temperature(self) -> float:
        return max(self.coolest, self.hottest * 0.5 ** (float(self.steps) / self.halving))


@dataclass
class Relaxed(Explored):
    """z_pres = sigmoid(y), y = (logit + logistic noise) / temperature; ``hard`` rounds it, but not its gradient."""

    temperature: float = 1.0
    hard: bool = False
    odds: list[Tensor] = field(default_factory=list)
    """y ``[M]`` of all rows so far, in the order of ``Terms.rows``."""

    def together(self, limit: int) -> int:
        """One: what is asked for after it counts by as much as it is there."""
        return 1

    def presence(self, proposal: Proposal, evidence: Evidence, q_logit: Tensor) -> Tensor:
        noise = torch.empty_like(evidence.gain).uniform_(generator=self.generator)
        odds = (q_logit + logistic(noise)) / self.temperature
        self.odds.append(odds)
        soft = torch.sigmoid(odds)
        if self.hard:
            return (odds > 0).to(soft) + (soft - soft.detach())
        return soft * (soft > _FAINTEST)


class Concrete(Annealed):
    """Presence is soft in the model, so that the whole bound is reparametrised; the KL is of the relaxed densities.

    Objects carry their softness: what depends on an object being there counts by as much as it is. Biased, as it is
    the bound of a relaxed model; that goes to the bound with the temperature, while the variance grows.
    """

    hard = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.relaxed = Relaxed()

    def inference(self, sampled: Sampled, length: int) -> Sampled:
        self.relaxed = Relaxed(**vars(sampled), temperature=self.temperature(), hard=self.hard)
        return self.relaxed

    def kl_presence(self, total: Terms) -> Tensor:
        """log q(y) - log p(y) of the relaxed presences, each counted by the weight of its row, ``[B]``."""
        odds = torch.cat([total.log_likelihood.new_zeros(0), *self.relaxed.odds])
        q_logit, p_logit = total.each(lambda r: r.q_logit), total.each(lambda r: r.proposal.p_logit)
        ratio = log_ratio(odds, q_logit, p_logit, self.relaxed.temperature)
        return total.clip_sum(total.each(lambda r: r.proposal.weight) * ratio) - total.log_p_nothing

    def forward(self, total: Terms, frames: Tensor, particles: int) -> Tensor:
        self.steps += 1
        return -(total.log_likelihood - total.kl_z - self.kl_presence(total)).mean()


class ConcreteHard(Concrete):
    """Straight-through: bits in the model, and the gradient of their relaxed values; the KL is that of the bits."""

    hard = True

    def kl_presence(self, total: Terms) -> Tensor:
        return total.kl_presence


def log_ratio(odds: Tensor, q_logit: Tensor, p_logit: Tensor, temperature: float) -> Tensor:
    """log q - log p ``[M]`` of relaxed presences at ``odds [M]``."""
    return concrete_log_prob(odds, q_logit, temperature) - concrete_log_prob(odds, p_logit, temperature)


def concrete_log_prob(odds: Tensor, logit: Tensor, temperature: float) -> Tensor:
    """log density of y = (logit + logistic noise) / temperature at ``odds``, all ``[M]``."""
    noise = temperature * odds - logit
    return math.log(temperature) - noise - 2 * F.softplus(-noise)
