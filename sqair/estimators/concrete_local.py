"""The Concrete relaxation (Maddison et al.; Jang et al., 2016), bit by bit."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sqair.bounds import Terms
from sqair.config import ModelConfig
from sqair.estimators.concrete import Annealed
from sqair.estimators.rebar import conditional
from sqair.inference import Sampled
from sqair.scene import Evidence


class ConcreteLocal(Annealed):
    """The hard bit goes on in the model; its gradient is that of the local bound at its relaxed value.

    As the temperature goes to 0 the expectation goes to that of ``closed_form``, and the variance grows.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.generator: torch.Generator | None = None

    def inference(self, sampled: Sampled, length: int) -> Sampled:
        self.generator = sampled.generator
        return super().inference(sampled, length)

    def forward(self, total: Terms, frames: Tensor, particles: int) -> Tensor:
        loss = -total.elbo.sum()
        temperature = self.temperature()
        self.steps += 1
        for rows in total.rows:
            evidence = rows.evidence
            noise = torch.empty_like(evidence.gain).uniform_(generator=self.generator)

            def local(soft: Tensor, evidence: Evidence = evidence) -> Tensor:
                return evidence.at(soft) - soft * evidence.kl.detach()

            slope = concrete_slope(rows.q_logit.detach(), rows.pres.detach(), local, temperature, noise)
            loss = loss - (slope * rows.q_logit).sum()
        return loss / len(total.elbo)


def concrete_slope(
    logit: Tensor, pres: Tensor, bound: Callable[[Tensor], Tensor], temperature: float, noise: Tensor
) -> Tensor:
    """d bound(sigmoid(z / temperature)) / d logit ``[M]`` at fixed noise, z being positive where ``pres`` is 1.

    ``logit``, ``pres`` and the uniform ``noise`` are ``[M]``, ``bound`` goes from ``[M]`` to ``[M]``.
    """
    with torch.enable_grad():
        logit = logit.detach().requires_grad_()
        z = logit + (conditional(logit, pres, noise) - logit).detach()
        (slope,) = torch.autograd.grad(bound(torch.sigmoid(z / temperature)).sum(), logit)
    return slope
