"""The densities of the model: Gaussians, Bernoulli presence, and the truncated geometric prior of the count."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class Gaussian(NamedTuple):
    """A diagonal Gaussian; ``mean`` and ``log_std`` are ``[..., D]``."""

    mean: Tensor
    log_std: Tensor

    @staticmethod
    def around(
        start: Tensor, shift: Tensor, spread: Tensor, log_std: float, reach: float = 3.0, unit: Tensor | None = None
    ) -> Gaussian:
        """A posterior from raw network outputs: softly bounded, so that no update can throw it out of reach.

        In units of ``unit [D]`` the mean is within ``reach`` of ``start``, the log standard deviation within 3 of
        ``log_std``.
        """
        shift, spread = reach * torch.tanh(shift / reach), log_std + 3 * torch.tanh(spread / 3)
        if unit is None:
            return Gaussian(start + shift, spread)
        return Gaussian(start + unit * shift, unit.log() + spread)

    @staticmethod
    def standard(like: Tensor) -> Gaussian:
        return Gaussian(torch.zeros_like(like), torch.zeros_like(like))

    def sample(self, generator: torch.Generator | None) -> Tensor:
        """A reparametrised sample; the mean itself where ``generator`` is None."""
        if generator is None:
            return self.mean
        noise = torch.randn(self.mean.shape, generator=generator, dtype=self.mean.dtype, device=self.mean.device)
        return self.mean + self.log_std.exp() * noise

    def log_prob(self, value: Tensor) -> Tensor:
        """log density of ``value [..., D]``, summed over D."""
        z = (value - self.mean) * (-self.log_std).exp()
        return (-0.5 * z * z - self.log_std - _HALF_LOG_2PI).sum(-1)


def gaussian_kl(q: Gaussian, p: Gaussian) -> Tensor:
    """KL(q || p), summed over the last axis."""
    ratio = (2 * (q.log_std - p.log_std)).exp()
    distance = ((q.mean - p.mean) * (-p.log_std).exp()) ** 2
    return (0.5 * (ratio + distance - 1) + p.log_std - q.log_std).sum(-1)


def bernoulli_log_prob(logit: Tensor, value: Tensor) -> Tensor:
    """log Bernoulli(value; sigmoid(logit)), finite at any finite logit."""
    return value * F.logsigmoid(logit) + (1 - value) * F.logsigmoid(-logit)


def bernoulli_kl(q_logit: Tensor, p_logit: Tensor) -> Tensor:
    """KL(Bernoulli(q) || Bernoulli(p)), from logits."""
    q = torch.sigmoid(q_logit)
    on = F.logsigmoid(q_logit) - F.logsigmoid(p_logit)
    off = F.logsigmoid(-q_logit) - F.logsigmoid(-p_logit)
    return q * on + (1 - q) * off


def sample_bernoulli(logit: Tensor, generator: torch.Generator | None) -> Tensor:
    """A sample in {0., 1.}; the mode where ``generator`` is None."""
    if generator is None:
        return (logit > 0).to(logit.dtype)
    uniform = torch.rand(logit.shape, generator=generator, dtype=logit.dtype, device=logit.device)
    return (uniform < torch.sigmoid(logit)).to(logit.dtype)


def logistic(uniform: Tensor) -> Tensor:
    """Standard logistic noise from uniform noise, finite at its ends."""
    limits = torch.finfo(uniform.dtype)
    return torch.logit(uniform.clamp(limits.tiny, 1 - limits.eps))


def geometric_log_prob(price: float | Tensor, limit: int) -> Tensor:
    """log p(n) for n = 0..limit of the geometric prior, equation (2), truncated: p(n) proportional to exp(-price n).

    ``price [...]`` is the cost of one more object in nats: minus the log of the success probability of the seed.
    """
    price = torch.as_tensor(price, dtype=torch.float64) if not isinstance(price, Tensor) else price
    return F.log_softmax(-price[..., None] * torch.arange(limit + 1, dtype=price.dtype, device=price.device), -1)


def geometric_logits(price: float | Tensor, limit: int) -> Tensor:
    """Logits ``[..., limit]`` of finding one more object when i < limit have been found.

    They are the hazard of the truncated geometric prior, p(n > i | n >= i): with them the prior of the count
    is the prior of the presence variables, z_pres = n ones followed by a zero.
    """
    log_p = geometric_log_prob(price, limit)
    tail = torch.logcumsumexp(log_p.flip(-1), -1).flip(-1)  # log p(n >= i)
    return tail[..., 1:] - log_p[..., :-1]


def count_log_prob(logits: Tensor) -> Tensor:
    """log q(n), ``[..., N + 1]``, of presence variables that stop at the first zero; ``logits [..., N]``."""
    on = F.logsigmoid(logits).cumsum(-1)
    reached = torch.cat([torch.zeros_like(on[..., :1]), on], -1)
    stop = torch.cat([F.logsigmoid(-logits), torch.zeros_like(on[..., :1])], -1)
    return reached + stop
