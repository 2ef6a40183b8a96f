"""Gradient estimators for the discrete latents: from a pass over clips to a loss.

An estimator gets the terms of the bound for K particles of each clip and returns a loss ``[]`` whose gradient is,
or approximates, minus that of its objective. A new one is a function here and a line in ``ESTIMATORS``. Gradients
of z_what and z_where are reparametrised in all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sqair.bounds import Terms, iwae, local_presence_gain
from sqair.errors import UserError


@dataclass
class Baseline:
    """A running mean of the learning signal, the control variate of the score function."""

    value: float = 0.0
    decay: float = 0.9
    empty: bool = True

    def update(self, signal: Tensor) -> float:
        """Returns the baseline for ``signal`` as it was before seeing it, then takes it in."""
        before, mean = self.value, float(signal.mean())
        self.value = mean if self.empty else self.decay * self.value + (1 - self.decay) * mean
        self.empty = False
        return before


def closed_form(total: Terms, particles: int, baseline: Baseline) -> Tensor:
    """Local expectation of presence: d ELBO / d q(z_pres) is the gain of the object, which is exact and cheap.

    After Titsias and Lazaro-Gredilla (2015). For each object the others stay as they were sampled and both values
    of its own presence are enumerated. Biased on clips: what an object's presence changes in later frames, and for
    objects discovered after it, is left out.
    """
    loss = -(total.log_likelihood - total.kl_z).sum()
    for rows in total.rows:
        loss = loss - (torch.sigmoid(rows.q_logit) * local_presence_gain(rows)).sum()
    return (loss + total.kl_presence.sum()) / len(total.log_likelihood)


def score_function(total: Terms, particles: int, baseline: Baseline) -> Tensor:
    """REINFORCE (Williams, 1992) on the ELBO with closed-form KLs, and a running-mean baseline."""
    signal = total.elbo.detach()
    return -(total.elbo + (signal - baseline.update(signal)) * total.log_q_presence).mean()


def vimco(total: Terms, particles: int, baseline: Baseline) -> Tensor:
    """VIMCO (Mnih and Rezende, 2016): the K-particle bound, each particle's signal relative to the others' mean.

    Gradient: sum_k (L - L^{-k}) d log q_k + d L at fixed presences, with L^{-k} the bound in which log w_k is the
    mean of the other log weights.
    """
    if particles < 2:
        raise UserError("the vimco estimator needs at least 2 particles")
    log_weight, log_q = (v.view(particles, -1) for v in (total.log_weight, total.log_q_presence))
    bound = iwae(log_weight)
    signal = bound.detach() - leave_one_out(log_weight.detach())
    # log w holds -log q(z_pres), whose own gradient at a fixed sample belongs to the bound
    return -(bound + (signal * log_q).sum(0)).mean()


def leave_one_out(log_weight: Tensor) -> Tensor:
    """L^{-k} ``[K, B]``: the bound with log w_k replaced by the mean of the others (their geometric mean)."""
    particles = len(log_weight)
    others = (log_weight.sum(0) - log_weight) / (particles - 1)
    replaced = log_weight.expand(particles, -1, -1).clone()
    replaced.diagonal(dim1=0, dim2=1).copy_(others.T)
    return replaced.logsumexp(1) - torch.log(torch.tensor(float(particles), dtype=log_weight.dtype))


Estimator = Callable[[Terms, int, Baseline], Tensor]

ESTIMATORS: dict[str, Estimator] = {
    "closed_form": closed_form,
    "score_function": score_function,
    "vimco": vimco,
}


def get_estimator(name: str) -> Estimator:
    """Raises UserError for an unknown name."""
    if name not in ESTIMATORS:
        raise UserError(f"unknown estimator '{name}'; there are {', '.join(ESTIMATORS)}")
    return ESTIMATORS[name]
