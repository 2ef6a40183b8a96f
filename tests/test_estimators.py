"""Gradient estimators against the exact gradient: every outcome of every presence, weighted by its probability."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import STATIC, TINY, Dictated, gradient, outcomes, spots, tiny_model
from sqair.bounds import Terms, iwae
from sqair.config import ModelConfig
from sqair.errors import UserError
from sqair.estimators import (
    ESTIMATORS,
    Baseline,
    Estimator,
    closed_form,
    get_estimator,
    leave_one_out,
    score_function,
    vimco,
)
from sqair.model import SQAIR
from sqair.presence import Sampled

pytestmark = pytest.mark.usefixtures("float64")

TWO_FRAMES = replace(TINY, slots=2, first_steps=1)
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


def expected_gradient(
    model: SQAIR, frames: Tensor, estimator: Estimator, particles: int, baseline: float = 0.0
) -> Tensor:
    """The estimator's gradient for every joint outcome of the particles, weighted by its probability."""
    scripts = outcomes(model, frames)
    total, mass = torch.zeros(()), 0.0
    for joint in itertools.product(scripts, repeat=particles):
        terms = terms_of(model, frames, list(joint))
        q = float(terms.log_q_presence.detach().sum().exp())
        loss = estimator(terms, particles, Baseline(value=baseline, empty=False))
        total = total - q * gradient(model, loss)
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


@pytest.mark.parametrize("discovery", ["recurrent", "residual"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("baseline", [0.0, 37.5])
def test_score_function_is_unbiased(name: str, discovery: str, baseline: float) -> None:
    model, frames = case(name, discovery)
    exact = exact_gradient(model, frames, exact_elbo)
    assert error(expected_gradient(model, frames, score_function, 1, baseline), exact) < 1e-10


@pytest.mark.parametrize("discovery", ["recurrent", "residual"])
@pytest.mark.parametrize(("name", "particles"), [("one frame", 2), ("one frame", 3), ("two frames", 2)])
def test_vimco_is_unbiased(name: str, discovery: str, particles: int) -> None:
    model, frames = case(name, discovery)
    exact = exact_gradient(model, frames, exact_iwae(particles))
    assert error(expected_gradient(model, frames, vimco, particles), exact) < 1e-10


def test_score_function_of_many_particles_is_still_that_of_the_elbo() -> None:
    model, frames = case("one frame")
    exact = exact_gradient(model, frames, exact_elbo)
    assert error(expected_gradient(model, frames, score_function, 2, 5.0), exact) < 1e-10


def test_closed_form_is_exact_for_a_single_object_of_a_last_frame() -> None:
    config = replace(STATIC, first_steps=1)
    for seed, discovery in itertools.product(range(3), ["recurrent", "residual"]):
        model = tiny_model(replace(config, discovery=discovery), seed=seed, price=0.8)
        frames = spots(config, 1, 1, seed=seed)
        exact = exact_gradient(model, frames, exact_elbo)
        assert error(expected_gradient(model, frames, closed_form, 1), exact) < 1e-10


def test_closed_form_of_presence_does_not_depend_on_the_sample() -> None:
    """Its gradient in the parameters of q(z_pres) has no variance, where the score function's has."""
    model, frames = case("one frame")
    model.config = replace(model.config, first_steps=1)
    logit = model.get_parameter("discovery.search.omega.2.bias")

    def derivative(estimator: Estimator, pres: int) -> Tensor:
        loss = estimator(terms_of(model, frames, [(pres,)]), 1, Baseline())
        return torch.autograd.grad(loss, logit)[0][8]

    torch.testing.assert_close(derivative(closed_form, 0), derivative(closed_form, 1), rtol=1e-12, atol=0)
    assert (derivative(score_function, 0) - derivative(score_function, 1)).abs() > 1


def test_closed_form_is_biased_where_it_says_so() -> None:
    """It leaves out what an object's presence changes later; the check can tell."""
    for name in CASES:
        model, frames = case(name)
        exact = exact_gradient(model, frames, exact_elbo)
        assert error(expected_gradient(model, frames, closed_form, 1), exact) > 1e-4


def test_the_exact_gradient_is_that_of_the_exact_bound() -> None:
    """Finite differences in parameters that no detached reading comes after."""
    config = replace(STATIC, first_steps=1)
    model, frames = tiny_model(config, price=0.8), spots(config, 1, 1)
    scripts = outcomes(model, frames)
    checked = [
        ("discovery.search.omega.2.bias", 8),
        ("discovery.search.omega.2.weight", (8, 3)),
        ("decoder.net.0.bias", 5),
        ("decoder.net.4.bias", 14),
        ("discovery.appearance.head.0.bias", 2),
        ("discovery.appearance.head.0.bias", config.z_what + 1),
    ]
    bound = exact_elbo(terms_of(model, frames, scripts))
    exact = torch.autograd.grad(bound, [model.get_parameter(name) for name, _ in checked])
    for (name, place), derivative in zip(checked, exact, strict=True):
        parameter = model.get_parameter(name)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter[place] += sign * 1e-5
                values.append(float(exact_elbo(terms_of(model, frames, scripts))))
                parameter[place] -= sign * 1e-5
        slope = (values[0] - values[1]) / 2e-5
        assert slope == pytest.approx(float(derivative[place]), rel=1e-5, abs=1e-6)


# planted faults: what the checks above are for


def score(signal: Tensor, terms: Terms) -> Tensor:
    return -(terms.elbo + signal * terms.log_q_presence).mean()


def vimco_with(signal: Callable[[Tensor, Tensor], Tensor], reduce: Callable[[Tensor], Tensor]) -> Estimator:
    def faulty(total: Terms, particles: int, baseline: Baseline) -> Tensor:
        log_weight, log_q = (v.view(particles, -1) for v in (total.log_weight, total.log_q_presence))
        bound = iwae(log_weight)
        return -(bound + reduce(signal(log_weight.detach(), bound.detach()) * log_q)).mean()

    return faulty


def mean_of_all(log_weight: Tensor) -> Tensor:
    """L^{-k} in which the sample that it should leave out takes part in the mean."""
    replaced = log_weight.expand(len(log_weight), -1, -1).clone()
    replaced.diagonal(dim1=0, dim2=1).copy_(log_weight.mean(0)[:, None].expand(-1, len(log_weight)))
    return replaced.logsumexp(1) - math.log(len(log_weight))


SCORE_FAULTS: dict[str, Estimator] = {
    "sign flipped": lambda t, k, b: score(-t.elbo.detach(), t),
    "signal forgotten": lambda t, k, b: score(torch.zeros_like(t.elbo), t),
    "baseline sees its own sample": lambda t, k, b: score(t.elbo.detach() - 0.5 * t.elbo.detach() - 10, t),
    "signal not detached": lambda t, k, b: score(t.elbo, t),
    "signal without the KLs": lambda t, k, b: score(t.log_likelihood.detach(), t),
}

VIMCO_FAULTS: dict[str, Estimator] = {
    "sign flipped": vimco_with(lambda w, L: leave_one_out(w) - L, lambda s: s.sum(0)),
    "no leave-one-out": vimco_with(lambda w, L: L - mean_of_all(w), lambda s: s.sum(0)),
    "the signal of the published code": vimco_with(lambda w, L: w - leave_one_out(w), lambda s: s.mean(0)),
    "mean over particles": vimco_with(lambda w, L: L - leave_one_out(w), lambda s: s.mean(0)),
    "the ELBO's gradient": score_function,
}


@pytest.mark.parametrize("fault", SCORE_FAULTS)
def test_the_check_finds_faults_of_the_score_function(fault: str) -> None:
    model, frames = case("one frame")
    exact = exact_gradient(model, frames, exact_elbo)
    assert error(expected_gradient(model, frames, SCORE_FAULTS[fault], 1), exact) > 1e-3


@pytest.mark.parametrize("fault", VIMCO_FAULTS)
def test_the_check_finds_faults_of_vimco(fault: str) -> None:
    model, frames = case("one frame")
    exact = exact_gradient(model, frames, exact_iwae(2))
    assert error(expected_gradient(model, frames, VIMCO_FAULTS[fault], 2), exact) > 1e-3
    right = vimco_with(lambda w, L: L - leave_one_out(w), lambda s: s.sum(0))
    assert error(expected_gradient(model, frames, right, 2), exact) < 1e-10


# the parts


@pytest.mark.parametrize("particles", [2, 3, 20])
def test_leave_one_out_equals_a_loop_in_long_double(particles: int) -> None:
    log_weight = 30 * torch.randn(particles, 4)
    w = log_weight.numpy().astype(np.longdouble)
    for k, b in itertools.product(range(particles), range(4)):
        others = [w[j, b] for j in range(particles) if j != k]
        all_but = [*others, sum(others) / (particles - 1)]
        top = max(all_but)
        bound = top + np.log(sum(np.exp(v - top) for v in all_but)) - np.log(np.longdouble(particles))
        assert float(leave_one_out(log_weight)[k, b]) == pytest.approx(float(bound), abs=1e-11)


def test_the_signal_of_a_particle_does_not_see_it() -> None:
    log_weight = torch.randn(3, 2)
    changed = log_weight.clone()
    changed[1] += 5
    before, after = leave_one_out(log_weight), leave_one_out(changed)
    torch.testing.assert_close(before[1], after[1], rtol=0, atol=1e-12)
    assert ((before - after)[[0, 2]].abs() > 0.1).all()


def test_particles_of_one_clip_compete_with_each_other_only() -> None:
    """A batch of two clips gives the mean of the losses of each."""
    model, first = case("one frame")
    frames = torch.cat([first, spots(model.config, 1, 1, seed=9)], 1)
    scripts = [(1, 0), (0,), (1, 1), (1, 0), (0,), (1, 1)]  # particle by particle, both clips in each
    both = vimco(Terms(model(frames.repeat(1, 3, 1, 1, 1), Dictated(script=scripts))), 3, Baseline())
    alone = [vimco(terms_of(model, frames[:, b : b + 1], scripts[b::2]), 3, Baseline()) for b in (0, 1)]
    torch.testing.assert_close(both, (alone[0] + alone[1]) / 2, rtol=1e-12, atol=0)


def test_the_baseline_is_the_mean_of_what_came_before() -> None:
    baseline = Baseline(decay=0.5)
    assert baseline.update(torch.tensor([2.0, 4.0])) == 0
    assert baseline.update(torch.tensor([9.0])) == 3
    assert baseline.update(torch.tensor([0.0])) == 6
    assert baseline.value == 3


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("logit", [-1e4, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_extreme_logits(name: str, logit: float, dtype: torch.dtype) -> None:
    """Presences both likely and impossible under q, in clips of two frames."""
    torch.set_default_dtype(dtype)  # the fixture restores it
    model, frames = case("two frames", "residual")
    assert model.new_presence is not None
    model.new_presence.bias = model.old_presence.bias = logit
    scripts = [(1, 1, 0), (1, 0, 0), (0, 1), (1, 1, 1)]
    terms = terms_of(model, frames, scripts)
    loss = ESTIMATORS[name](terms, 2, Baseline())
    assert loss.isfinite() and gradient(model, loss).isfinite().all()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_moves_the_whole_model(name: str) -> None:
    """As training runs it: everything sampled, particles stacked; also clips in which nothing was ever found."""
    config = ModelConfig(height=24, width=20, slots=2, first_steps=2, glimpse=8, z_what=4, hidden=8, features=8)
    model = tiny_model(config)
    frames = spots(config, 3, 4).repeat(1, 2, 1, 1, 1)
    found = gradient(model, get_estimator(name)(Terms(model(frames, Sampled(torch.Generator()))), 2, Baseline()))
    assert found.isfinite().all() and found.abs().max() > 0
    nothing = get_estimator(name)(Terms(model(0 * frames, Sampled(torch.Generator()))), 2, Baseline())
    assert nothing.isfinite()


def test_what_cannot_be_estimated_is_refused() -> None:
    with pytest.raises(UserError, match="unknown estimator 'reinforse'; there are closed_form, "):
        get_estimator("reinforse")
    model, frames = case("one frame")
    with pytest.raises(UserError, match="at least 2 particles"):
        vimco(terms_of(model, frames, [(0,)]), 1, Baseline())
