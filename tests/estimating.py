"""What the tests of gradient estimators share: exact gradients, and expectations over every outcome of small models."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from conftest import STATIC, TINY, Dictated, gradient, outcomes, spots, tiny_model
from sqair.bounds import Terms, iwae
from sqair.config import ModelConfig
from sqair.estimators import Estimator, make_estimator
from sqair.model import SQAIR

TWO_FRAMES = replace(TINY, slots=2, first_steps=1)
Loss = Callable[[Terms, Tensor, int], Tensor]
"""An estimator, or what stands in for one: from terms, frames and particles to a loss."""
CASES = {"one frame": (replace(STATIC, first_steps=2), 1), "two frames": (TWO_FRAMES, 2)}


def terms_of(model: SQAIR, frames: Tensor, scripts: list[tuple[int, ...]]) -> Terms:
    """The clip ``[T, 1, C, H, W]`` once for each script of presences; z at the posterior means."""
    return Terms(model(frames.expand(-1, len(scripts), -1, -1, -1), Dictated(script=scripts)))


def exact_elbo(terms: Terms) -> Tensor:
    return (terms.log_q_presence.exp() * terms.elbo).sum()


def exact_iwae(particles: int) -> Callable[[Terms], Tensor]:
    def bound(terms: Terms) -> Tensor:
        picks = torch.cartesian_prod(*[torch.arange(len(terms.elbo))] * particles)
        q = terms.log_q_presence[picks].sum(1).exp()
        return (q * iwae(terms.log_weight[picks].T)).sum()

    return bound


def exact_gradient(model: SQAIR, frames: Tensor, bound: Callable[[Terms], Tensor]) -> Tensor:
    """Autograd through the expectation itself."""
    return gradient(model, bound(terms_of(model, frames, outcomes(model, frames))))


def expected_gradient(model: SQAIR, frames: Tensor, estimator: Loss, particles: int) -> Tensor:
    """The estimator's gradient for every joint outcome of the particles, weighted by its probability."""
    scripts = outcomes(model, frames)
    total, mass = torch.zeros(()), 0.0
    for joint in itertools.product(scripts, repeat=particles):
        terms = terms_of(model, frames, list(joint))
        q = float(terms.log_q_presence.detach().sum().exp())
        fresh = copy.deepcopy(estimator)  # it may remember what it saw
        total = total - q * gradient(model, fresh(terms, frames.expand(-1, particles, -1, -1, -1), particles))
        mass += q
    assert mass == pytest.approx(1, abs=1e-12)
    return total


def error(found: Tensor, exact: Tensor) -> float:
    """The largest difference, relative to the largest derivative."""
    assert exact.abs().max() > 0.1
    return float((found - exact).abs().max() / exact.abs().max())


def case(name: str, discovery: str = "recurrent") -> tuple[SQAIR, Tensor]:
    config, length = CASES[name]
    config = replace(config, discovery=discovery)
    return tiny_model(config, price=0.8), spots(config, length, 1)


def extreme(name: str, logit: float, dtype: torch.dtype) -> tuple[SQAIR, Tensor]:
    """The case ``name`` with residual discovery and q(z_pres) that is next to sure, in the precision ``dtype``."""
    torch.set_default_dtype(dtype)  # the fixture float64 restores it
    model, frames = case(name, "residual")
    assert model.new_presence is not None
    model.new_presence.bias = model.old_presence.bias = logit
    return model, frames


def experienced(name: str, config: ModelConfig) -> Estimator:
    """An estimator whose baselines expect something, none of it right."""
    estimator = make_estimator(name, config)
    with torch.no_grad():
        for parameter in estimator.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for buffer in estimator.buffers():
            buffer.fill_(37)
    return estimator


def picks_of(terms: Terms, particles: int) -> tuple[Tensor, Tensor]:
    """All joint outcomes ``[J, K]`` of K particles, and their probabilities ``[J]``."""
    picks = torch.cartesian_prod(*[torch.arange(len(terms.elbo))] * particles)
    return picks, terms.log_q_presence[picks].sum(1).exp()


def published(particles: int) -> Callable[[Terms], Tensor]:
    """The K-particle bound at fixed presences, and the one-particle bound in q(z_pres)."""

    def mixed(terms: Terms) -> Tensor:
        picks, q = picks_of(terms, particles)
        fixed = (q.detach() * iwae(terms.log_weight[picks].T)).sum()
        return fixed + (terms.log_q_presence.exp() * terms.log_weight.detach()).sum()

    return mixed


def posterior_seeking(particles: int) -> Callable[[Terms], Tensor]:
    """What wake-wake ascends: the K-particle bound at a fixed q(z_pres), and E of normalised weights times log q."""

    def mixed(terms: Terms) -> Tensor:
        picks, q = picks_of(terms, particles)
        log_q = terms.log_q_presence[picks]
        joint = terms.log_weight[picks] + log_q - log_q.detach()
        share = torch.exp(joint.detach() - joint.detach().logsumexp(1, keepdim=True))
        return (q.detach() * (iwae(joint.T) + (share * log_q).sum(1))).sum()

    return mixed
