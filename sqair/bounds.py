"""The bounds: what the terms of a pass over clips add up to.

A pass gives, for every clip, the log-likelihood of its frames and the latents that were inferred. Put together
they are the single-sample bound log w = log p(x, z) - log q(z | x), equation (7); the same with closed-form KLs
where they exist, equations (8) to (10); and, over K particles, the importance-weighted bound of Burda et al.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from sqair.distributions import bernoulli_kl, bernoulli_log_prob
from sqair.scene import Rows
from sqair.state import Step


class Terms:
    """Terms of the bound of B clips, each summed over frames and objects, ``[B]``, in nats; computed when asked for."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self.rows = [rows for step in steps for rows in step.rows]
        self.fixed = any(step.roster.fixed for step in steps)

    def each(self, value: Callable[[Rows], Tensor]) -> Tensor:
        """A value of all objects of ``self.rows`` in one list ``[M]``, of what it is of some rows; 0 of empty seats."""
        every = torch.cat([self.log_likelihood.new_zeros(0), *map(value, self.rows)])
        return torch.where(self.asked, every, 0) if self.fixed and self.rows else every

    def clip_sum(self, value: Tensor) -> Tensor:
        """Adds up a value of each object ``[M]`` over the objects of each clip."""
        total = torch.zeros_like(self.log_likelihood)
        if not self.rows:
            return total
        value = torch.where(self.asked, value, 0) if self.fixed else value
        return total.index_add(0, torch.cat([r.clip for r in self.rows]), value)

    @cached_property
    def asked(self) -> Tensor:
        """Of which of all rows z_pres is asked for, ``[M]``."""
        return torch.cat([r.proposal.asked for r in self.rows])

    @cached_property
    def log_likelihood(self) -> Tensor:
        """log p(x | z)."""
        return torch.stack([step.log_likelihood for step in self.steps]).sum(0)

    @cached_property
    def log_p_nothing(self) -> Tensor:
        """log prior of the presence variables that were 0 for sure, since there was nothing to see."""
        return torch.stack([step.log_p_nothing for step in self.steps]).sum(0)

    @cached_property
    def objects(self) -> Tensor:
        """How many objects are there, summed over frames."""
        return self.clip_sum(self.each(lambda r: r.pres.detach()))

    @cached_property
    def kl_presence(self) -> Tensor:
        """KL of each presence variable that was reached, given what was sampled before it."""
        kl = bernoulli_kl(self.each(lambda r: r.q_logit), self.each(lambda r: r.proposal.p_logit))
        return self.clip_sum(self.each(lambda r: r.proposal.weight) * kl) - self.log_p_nothing

    @cached_property
    def kl_z(self) -> Tensor:
        """KL of z_what and z_where of the objects that are there, and of the background."""
        behind = sum(step.behind.kl() for step in self.steps if step.behind)
        return self.clip_sum(self.each(lambda r: r.pres * r.evidence.kl)) + behind

    @cached_property
    def log_ratio_z(self) -> Tensor:
        """log q - log p of the sampled z_what and z_where of the objects that are there, and of the background."""
        behind = sum(step.behind.log_ratio() for step in self.steps if step.behind)
        return self.clip_sum(self.each(lambda r: r.pres * r.proposal.posterior.log_ratio())) + behind

    @cached_property
    def log_q_presence(self) -> Tensor:
        """log q of the sampled presence variables."""
        return self.clip_sum(bernoulli_log_prob(self.each(lambda r: r.q_logit), self.each(lambda r: r.pres.detach())))

    @cached_property
    def log_p_presence(self) -> Tensor:
        """log p of the sampled presence variables."""
        log_p = bernoulli_log_prob(self.each(lambda r: r.proposal.p_logit), self.each(lambda r: r.pres.detach()))
        return self.clip_sum(log_p) + self.log_p_nothing

    @property
    def elbo(self) -> Tensor:
        """log p(x | z) - KL(n) - KL(z | n) along the sampled presences: the seed's form, (8) and (10)."""
        return self.log_likelihood - self.kl_presence - self.kl_z

    @property
    def log_weight(self) -> Tensor:
        """log p(x, z) - log q(z | x) of the sample, equation (7) before the expectation."""
        return self.log_likelihood + self.log_p_presence - self.log_q_presence - self.log_ratio_z

    def means(self, weight: Tensor | float = 1.0) -> dict[str, Tensor]:
        """Means per frame of the bound and its parts, nats, and of the objects; clips count by ``weight [B]``."""
        names = ("elbo", "log_likelihood", "kl_presence", "kl_z", "objects")
        return {name: (weight * getattr(self, name).detach()).mean() for name in names}

    def summary(self, weight: Tensor | float = 1.0) -> dict[str, float]:
        """``means`` as numbers."""
        return {name: float(mean) / len(self.steps) for name, mean in self.means(weight).items()}


def iwae(log_weight: Tensor) -> Tensor:
    """The importance-weighted bound ``[B]`` of ``log_weight [K, B]``."""
    return log_weight.logsumexp(0) - math.log(len(log_weight))


def local_presence_gain(rows: Rows) -> Tensor:
    """What the bound gains if the object is there, all else as sampled, ``[M]``; no gradient.

    The exact derivative of the expected bound in q(z_pres = 1) for the last object of the last frame; for the
    others it leaves out what their presence changes later.
    """
    return rows.evidence.gain - rows.evidence.kl.detach()
