"""VIMCO (Mnih and Rezende, 2016) on the K-particle bound, and what the published SQAIR code does in its place."""

from __future__ import annotations

import torch
from torch import Tensor

from sqair.bounds import Terms, iwae
from sqair.errors import UserError
from sqair.estimators.base import Estimator
from sqair.geometry import constant


class Vimco(Estimator):
    """Each particle's signal is relative to the others' mean: sum_k (L - L^{-k}) d log q_k, and d L at fixed presences.

    L^{-k} is the bound in which log w_k is the mean of the other log weights.
    """

    fixed = True

    def particles(self, wanted: int, length: int = 1) -> int:
        if wanted < 2:
            raise UserError("the vimco and wake_wake estimators need at least 2 particles: set --particles")
        return wanted

    def score(self, log_weight: Tensor, bound: Tensor, log_q: Tensor) -> Tensor:
        """The part of the presences, ``[B]``.

        Args:
            log_weight: ``[K, B]``; bound: ``[B]``, of it.
            log_q: log q(z_pres) ``[K, B]``.
        """
        return ((bound - leave_one_out(log_weight)) * log_q).sum(0)

    def forward(self, total: Terms, frames: Tensor, particles: int) -> Tensor:
        log_weight, log_q = (v.view(self.particles(particles), -1) for v in (total.log_weight, total.log_q_presence))
        bound = iwae(log_weight)
        # log w holds -log q(z_pres), whose own gradient at a fixed sample belongs to the bound
        return -(bound + self.score(log_weight.detach(), bound.detach(), log_q)).mean()


class VimcoSqair(Vimco):
    """The variant of the published SQAIR code: signal log w_k - L^{-k}, averaged over particles.

    Its expectation is the K-particle bound's gradient at fixed presences and the one-particle bound's gradient in
    q(z_pres): the discrete part does not know that there are K particles.
    """

    def score(self, log_weight: Tensor, bound: Tensor, log_q: Tensor) -> Tensor:
        return ((log_weight - leave_one_out(log_weight)) * log_q).mean(0)


def leave_one_out(log_weight: Tensor) -> Tensor:
    """L^{-k} ``[K, B]``: the bound with log w_k replaced by the mean of the others (their geometric mean)."""
    particles = len(log_weight)
    others = (log_weight.sum(0) - log_weight) / (particles - 1)
    replaced = log_weight.expand(particles, -1, -1).clone()
    replaced.diagonal(dim1=0, dim2=1).copy_(others.T)
    return replaced.logsumexp(1) - torch.log(constant((float(particles),), log_weight.dtype, log_weight.device))
