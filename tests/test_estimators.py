"""Gradient estimators against the exact gradient: every outcome of every presence, weighted by its probability."""

import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from conftest import STATIC, TINY, Dictated, gradient, outcomes, seeded, spots, tiny_model
from sqair.bounds import Terms, iwae, local_presence_gain
from sqair.config import ModelConfig
from sqair.distributions import bernoulli_log_prob
from sqair.errors import UserError
from sqair.estimators import ESTIMATORS, Estimator, make_estimator
from sqair.estimators.concrete_local import ConcreteLocal, concrete_slope
from sqair.estimators.nvil import NVIL
from sqair.estimators.rebar import Rebar, conditional, rebar_slope
from sqair.estimators.score_function import Constant, RunningMean
from sqair.estimators.vimco import Vimco, leave_one_out
from sqair.model import SQAIR
from sqair.presence import Sampled

pytestmark = pytest.mark.usefixtures("float64")

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


UNBIASED = [
    "closed_form_corrected", "score_function", "score_function_constant", "score_function_plain", "nvil_unscaled"
]  # fmt: skip


def experienced(name: str, config: ModelConfig) -> Estimator:
    """An estimator whose baselines expect something, none of it right."""
    estimator = make_estimator(name, config)
    with torch.no_grad():
        for parameter in estimator.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for buffer in estimator.buffers():
            buffer.fill_(37)
    return estimator


@pytest.mark.parametrize("discovery", ["recurrent", "residual"])
@pytest.mark.parametrize("case_name", CASES)
@pytest.mark.parametrize("name", UNBIASED)
def test_score_functions_are_unbiased(name: str, case_name: str, discovery: str) -> None:
    model, frames = case(case_name, discovery)
    exact = exact_gradient(model, frames, exact_elbo)
    for estimator in (make_estimator(name, model.config), experienced(name, model.config)):
        assert error(expected_gradient(model, frames, estimator, 1), exact) < 1e-10


@pytest.mark.parametrize("discovery", ["recurrent", "residual"])
@pytest.mark.parametrize(("name", "particles"), [("one frame", 2), ("one frame", 3), ("two frames", 2)])
def test_vimco_is_unbiased(name: str, discovery: str, particles: int) -> None:
    model, frames = case(name, discovery)
    exact = exact_gradient(model, frames, exact_iwae(particles))
    assert error(expected_gradient(model, frames, make_estimator("vimco", model.config), particles), exact) < 1e-10


@pytest.mark.parametrize("name", ["closed_form_corrected", "score_function", "nvil_unscaled"])
def test_score_functions_of_many_particles_are_still_those_of_the_elbo(name: str) -> None:
    model, frames = case("one frame")
    exact = exact_gradient(model, frames, exact_elbo)
    assert error(expected_gradient(model, frames, experienced(name, model.config), 2), exact) < 1e-10


@pytest.mark.parametrize("discovery", ["recurrent", "residual"])
def test_enumeration_is_exact_in_one_pass(discovery: str) -> None:
    """Its loss and gradient are those of the exact bound, whatever is sampled: here nothing is."""
    model, frames = case("one frame", discovery)
    estimator = make_estimator("enumeration", model.config)
    particles = estimator.particles(1, 1)
    repeated = frames.expand(-1, particles, -1, -1, -1)
    loss = estimator(Terms(model(repeated, estimator.inference(Sampled(None), 1))), repeated, particles)
    bound = exact_elbo(terms_of(model, frames, outcomes(model, frames)))
    assert -float(loss.detach()) == pytest.approx(float(bound.detach()), rel=1e-12)
    exact = exact_gradient(model, frames, exact_elbo)
    assert error(-gradient(model, loss), exact) < 1e-10


def test_enumeration_of_a_batch_knows_where_there_is_nothing_more_to_see() -> None:
    """Clips apart; particles that are to find objects in a dark frame count for nothing."""
    model, frames = case("one frame", "residual")
    both = torch.cat([frames, 0 * frames], 1)
    estimator = make_estimator("enumeration", model.config)
    repeated = both.repeat(1, 3, 1, 1, 1)
    terms = Terms(model(repeated, estimator.inference(Sampled(None), 1)))
    alone = [exact_elbo(terms_of(model, both[:, b : b + 1], outcomes(model, both[:, b : b + 1]))) for b in (0, 1)]
    expected = float(torch.stack(alone).mean().detach())
    assert -float(estimator(terms, repeated, 3).detach()) == pytest.approx(expected, rel=1e-12)
    weight = estimator.weight(terms, 3).detach().view(3, 2) / 3
    torch.testing.assert_close(weight.sum(0), torch.ones(2), rtol=0, atol=1e-12)
    assert weight[:, 1].tolist() == [1, 0, 0]


def test_the_published_variant_of_vimco_has_the_gradient_that_is_reported_of_it() -> None:
    """The K-particle bound's at fixed presences, and the one-particle bound's in q(z_pres), found by enumeration."""
    model, frames = case("one frame")

    def mixed(terms: Terms) -> Tensor:
        picks = torch.cartesian_prod(*[torch.arange(len(terms.elbo))] * 2)
        q = terms.log_q_presence[picks].sum(1).exp()
        fixed = (q.detach() * iwae(terms.log_weight[picks].T)).sum()
        return fixed + (terms.log_q_presence.exp() * terms.log_weight.detach()).sum()

    found = expected_gradient(model, frames, make_estimator("vimco_sqair", model.config), 2)
    assert error(found, exact_gradient(model, frames, mixed)) < 1e-10
    assert error(found, exact_gradient(model, frames, exact_iwae(2))) > 1e-3


def test_the_signals_of_both_vimcos_on_one_bit_by_hand() -> None:
    """Two particles: the derivatives of E log((w_1 + w_2) / 2) and of E log w, both at fixed weights."""
    logit, reward = torch.tensor(0.3, requires_grad=True), (1.7, -0.4)
    found = {"vimco": 0.0, "vimco_sqair": 0.0}
    there = float(torch.sigmoid(logit.detach()))
    q = [1 - there, there]
    for pair in itertools.product((0, 1), repeat=2):
        for name in found:
            bits = torch.tensor([float(b) for b in pair])
            log_q = bits * F.logsigmoid(logit) + (1 - bits) * F.logsigmoid(-logit)
            log_weight = torch.tensor([reward[b] for b in pair])
            estimator = make_estimator(name, TINY)
            assert isinstance(estimator, Vimco)
            part = estimator.score(log_weight[:, None], iwae(log_weight[:, None]), log_q[:, None]).sum()
            found[name] += q[pair[0]] * q[pair[1]] * float(torch.autograd.grad(part, logit)[0])
    pairs = [(0, 0), (0, 1), (1, 1)]
    value = {pair: math.log((math.exp(reward[pair[0]]) + math.exp(reward[pair[1]])) / 2) for pair in pairs}
    slope = q[0] * q[1]
    exact = 2 * slope * (q[0] * (value[0, 1] - value[0, 0]) + q[1] * (value[1, 1] - value[0, 1]))
    assert found["vimco"] == pytest.approx(exact, abs=1e-12)
    assert found["vimco_sqair"] == pytest.approx(slope * (reward[1] - reward[0]), abs=1e-12)


def test_normalisation_scales_the_discrete_part_alone() -> None:
    """By the larger of 1 and the standard deviation of the signal; otherwise it is NVIL without it."""
    model, frames = case("one frame")
    plain = expected_gradient(model, frames, experienced("nvil_unscaled", model.config), 1)
    scaled = expected_gradient(model, frames, experienced("nvil", model.config), 1)
    fixed = expected_gradient(model, frames, lambda terms, frames, k: -terms.elbo.mean(), 1)
    torch.testing.assert_close(scaled - fixed, (plain - fixed) / 37, rtol=1e-9, atol=1e-9)


def test_closed_form_is_exact_for_a_single_object_of_a_last_frame() -> None:
    config = replace(STATIC, first_steps=1)
    for seed, discovery in itertools.product(range(3), ["recurrent", "residual"]):
        model = tiny_model(replace(config, discovery=discovery), seed=seed, price=0.8)
        frames = spots(config, 1, 1, seed=seed)
        exact = exact_gradient(model, frames, exact_elbo)
        assert error(expected_gradient(model, frames, make_estimator("closed_form", model.config), 1), exact) < 1e-10


def test_closed_form_of_presence_does_not_depend_on_the_sample() -> None:
    """Its gradient in the parameters of q(z_pres) has no variance, where the score function's has."""
    model, frames = case("one frame")
    model.config = replace(model.config, first_steps=1)
    logit = model.get_parameter("discovery.search.omega.2.bias")

    def derivative(name: str, pres: int) -> Tensor:
        loss = make_estimator(name, model.config)(terms_of(model, frames, [(pres,)]), frames, 1)
        return torch.autograd.grad(loss, logit)[0][8]

    torch.testing.assert_close(derivative("closed_form", 0), derivative("closed_form", 1), rtol=1e-12, atol=0)
    assert (derivative("score_function", 0) - derivative("score_function", 1)).abs() > 1


def test_closed_form_is_biased_where_it_says_so() -> None:
    """It leaves out what an object's presence changes later; the check can tell."""
    for name in CASES:
        model, frames = case(name)
        exact = exact_gradient(model, frames, exact_elbo)
        assert error(expected_gradient(model, frames, make_estimator("closed_form", model.config), 1), exact) > 1e-4


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


def vimco_with(signal: Callable[[Tensor, Tensor], Tensor], reduce: Callable[[Tensor], Tensor]) -> Loss:
    def faulty(total: Terms, frames: Tensor, particles: int) -> Tensor:
        log_weight, log_q = (v.view(particles, -1) for v in (total.log_weight, total.log_q_presence))
        bound = iwae(log_weight)
        return -(bound + reduce(signal(log_weight.detach(), bound.detach()) * log_q)).mean()

    return faulty


def mean_of_all(log_weight: Tensor) -> Tensor:
    """L^{-k} in which the sample that it should leave out takes part in the mean."""
    replaced = log_weight.expand(len(log_weight), -1, -1).clone()
    replaced.diagonal(dim1=0, dim2=1).copy_(log_weight.mean(0)[:, None].expand(-1, len(log_weight)))
    return replaced.logsumexp(1) - math.log(len(log_weight))


SCORE_FAULTS: dict[str, Loss] = {
    "sign flipped": lambda t, x, k: score(-t.elbo.detach(), t),
    "signal forgotten": lambda t, x, k: score(torch.zeros_like(t.elbo), t),
    "baseline sees its own sample": lambda t, x, k: score(t.elbo.detach() - 0.5 * t.elbo.detach() - 10, t),
    "signal not detached": lambda t, x, k: score(t.elbo, t),
    "signal without the KLs": lambda t, x, k: score(t.log_likelihood.detach(), t),
}

VIMCO_FAULTS: dict[str, Loss] = {
    "sign flipped": vimco_with(lambda w, L: leave_one_out(w) - L, lambda s: s.sum(0)),
    "no leave-one-out": vimco_with(lambda w, L: L - mean_of_all(w), lambda s: s.sum(0)),
    "the signal of the published code": vimco_with(lambda w, L: w - leave_one_out(w), lambda s: s.mean(0)),
    "mean over particles": vimco_with(lambda w, L: L - leave_one_out(w), lambda s: s.mean(0)),
    "the ELBO's gradient": lambda t, x, k: score(t.elbo.detach(), t),
}


@pytest.mark.parametrize("fault", SCORE_FAULTS)
def test_the_check_finds_faults_of_the_score_function(fault: str) -> None:
    model, frames = case("one frame")
    exact = exact_gradient(model, frames, exact_elbo)
    assert error(expected_gradient(model, frames, SCORE_FAULTS[fault], 1), exact) > 1e-3


def test_the_correction_leaves_no_variance_where_nothing_comes_later() -> None:
    """One bit and a baseline that is the bound without the object: the same derivative, whatever is sampled."""
    config = replace(STATIC, first_steps=1)
    model, frames = tiny_model(config, price=0.8), spots(config, 1, 1)
    logit = model.get_parameter("discovery.search.omega.2.bias")
    estimator = make_estimator("closed_form_corrected", config)
    assert isinstance(estimator, RunningMean)
    estimator.take(terms_of(model, frames, [(0,)]).elbo.detach()[0])
    found = []
    for pres in (0, 1):
        loss = copy.deepcopy(estimator)(terms_of(model, frames, [(pres,)]), frames, 1)
        found.append(float(torch.autograd.grad(loss, logit)[0][8]))
    assert found[0] == pytest.approx(found[1], abs=1e-9) and abs(found[0]) > 1


CORRECTED_FAULTS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "nothing taken away": lambda signal, pres, gain: signal,
    "taken away twice": lambda signal, pres, gain: signal - 2 * pres * gain,
    "taken away when absent": lambda signal, pres, gain: signal - (1 - pres) * gain,
}


@pytest.mark.parametrize("fault", CORRECTED_FAULTS)
def test_the_check_finds_faults_of_the_correction(fault: str) -> None:
    """The expectation that is added must be that of what was taken away."""

    def faulty(terms: Terms, frames: Tensor, particles: int) -> Tensor:
        loss = -terms.elbo.sum()
        for rows in terms.rows:
            gain, pres = local_presence_gain(rows), rows.pres.detach()
            left = CORRECTED_FAULTS[fault](terms.elbo.detach()[rows.clip], pres, gain)
            log_q = bernoulli_log_prob(rows.q_logit, pres)
            loss = loss - (left * log_q + torch.sigmoid(rows.q_logit) * gain).sum()
        return loss / len(terms.elbo)

    model, frames = case("one frame")
    exact = exact_gradient(model, frames, exact_elbo)
    assert error(expected_gradient(model, frames, faulty, 1), exact) > 1e-3


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
    vimco = make_estimator("vimco", model.config)
    both = vimco(Terms(model(frames.repeat(1, 3, 1, 1, 1), Dictated(script=scripts))), frames, 3)
    alone = [vimco(terms_of(model, frames[:, b : b + 1], scripts[b::2]), frames, 3) for b in (0, 1)]
    torch.testing.assert_close(both, (alone[0] + alone[1]) / 2, rtol=1e-12, atol=0)


def test_the_baseline_is_the_mean_of_what_came_before() -> None:
    """Per frame that is still to come, of which it never sees its own sample."""
    baseline = RunningMean(TINY)
    baseline.decay = 0.5
    clips = [torch.tensor([[2.0, 4.0]]), torch.tensor([[9.0]]), torch.tensor([[12.0], [8.0]])]
    assert [baseline.baseline(signal).tolist() for signal in clips] == [[[0]], [[3]], [[12], [6]]]
    assert float(baseline.value) == 6
    constant = Constant(TINY)
    assert [constant.baseline(signal).tolist() for signal in clips] == [[[0]], [[3]], [[6], [3]]]


def test_the_network_of_nvil_learns_what_frames_promise() -> None:
    """After training, what it leaves of a signal that the frames decide varies far less than the signal."""
    estimator = NVIL(replace(TINY, height=8, width=8))
    optimiser = torch.optim.Adam(estimator.parameters(), lr=3e-3)
    source = seeded(3)
    for _ in range(400):
        frames = torch.rand(2, 16, 1, 1, 1, generator=source).expand(-1, -1, 1, 8, 8)
        bound = 100 + 40 * frames[..., 0, 0, 0]
        steps = [SimpleNamespace(rows=[], log_likelihood=b, log_p_nothing=0 * b) for b in bound]
        optimiser.zero_grad()
        estimator(Terms(steps), frames, 1).backward()  # type: ignore[arg-type]
        optimiser.step()
    assert estimator.deviation < 0.2 * estimator.spread
    assert 10 < float(estimator.spread) < 25  # the truth, averaged over both frames, is 14.1
    assert abs(float(estimator.centre) - 120) < 5


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name != "enumeration"])
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
    loss = make_estimator(name, model.config)(terms, frames.expand(-1, 4, -1, -1, -1), 2)
    assert loss.isfinite() and gradient(model, loss).isfinite().all()


def test_enumeration_is_finite_at_extreme_logits() -> None:
    model, frames = case("one frame", "residual")
    assert model.new_presence is not None
    estimator, repeated = make_estimator("enumeration", model.config), frames.expand(-1, 3, -1, -1, -1)
    for model.new_presence.bias in (-1e4, 1e4):
        loss = estimator(Terms(model(repeated, estimator.inference(Sampled(None), 1))), repeated, 3)
        assert loss.isfinite() and gradient(model, loss).isfinite().all()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_moves_the_whole_model(name: str) -> None:
    """As training runs it: everything sampled, particles stacked; also clips in which nothing was ever found."""
    config = ModelConfig(height=24, width=20, slots=2, first_steps=2, glimpse=8, z_what=4, hidden=8, features=8)
    model, estimator = tiny_model(config), make_estimator(name, config)
    particles = estimator.particles(2, 1 if name == "enumeration" else 3)
    frames = spots(config, 1 if name == "enumeration" else 3, 4).repeat(1, particles, 1, 1, 1)

    def loss(frames: Tensor) -> Tensor:
        inference = estimator.inference(Sampled(torch.Generator()), len(frames))
        return estimator(Terms(model(frames, inference)), frames, particles)

    found = gradient(model, loss(frames))
    assert found.isfinite().all() and found.abs().max() > 0
    assert loss(0 * frames).isfinite()


def test_what_cannot_be_estimated_is_refused() -> None:
    with pytest.raises(UserError, match="unknown estimator 'reinforse'; there are closed_form, "):
        make_estimator("reinforse", TINY)
    with pytest.raises(UserError, match="at least 2 particles"):
        make_estimator("vimco", TINY).particles(1, 1)


# REBAR and RELAX, whose noise is continuous


def nodes(count: int = 200) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes and weights on (0, 1), crowded at the ends, where logistic noise is steep."""
    x, w = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(count))
    t = (x + 1) / 2
    return t**3 * (10 - 15 * t + 6 * t**2), w / 2 * 30 * t**2 * (1 - t) ** 2


def expected_slope(
    logit: float, f: dict[int, float], control: Callable[[Tensor], Tensor], slope_of: Callable = rebar_slope
) -> Tensor:
    """E of ``rebar_slope``, or what stands in for it, over the bit and both noises, by quadrature."""
    x, w = nodes()
    noise, weight = torch.cartesian_prod(x, x).T, torch.cartesian_prod(w, w).prod(1)
    same = torch.full_like(weight, logit)
    q = float(torch.sigmoid(torch.tensor(logit)))
    total = torch.zeros(())
    for bit, mass in ((0, 1 - q), (1, q)):
        slope = slope_of(same, same * 0 + bit, same * 0 + f[bit], control, noise)
        total = total + mass * (weight * slope).sum()
    return total.detach()


def relaxations() -> dict[str, Callable[[Tensor], Tensor]]:
    torch.manual_seed(3)
    net = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    return {
        "linear": lambda z: 3 * torch.sigmoid(z),
        "sharp": lambda z: 2 * torch.sigmoid(z / 0.3) ** 2,
        "network": lambda z: 5 * net(torch.sigmoid(z / 0.7)[:, None])[:, 0],
    }


@pytest.mark.parametrize("logit", [-2.0, 0.3, 1.5])
@pytest.mark.parametrize("name", ["linear", "sharp", "network"])
def test_one_bit_of_rebar_is_unbiased_by_quadrature(name: str, logit: float) -> None:
    f = {0: 1.7, 1: -0.4}
    q = float(torch.sigmoid(torch.tensor(logit)))
    found = float(expected_slope(logit, f, relaxations()[name]))
    assert found == pytest.approx(q * (1 - q) * (f[1] - f[0]), abs=1e-6)


def test_two_bits_of_rebar_are_unbiased_by_quadrature() -> None:
    """The second bit's logit and control variate depend on the first bit; the derivative in a parameter of both."""
    a, f = 0.4, {(0, 0): 1.0, (0, 1): -2.0, (1, 0): 0.5, (1, 1): 3.0}
    controls = relaxations()

    def logits(a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return a, 0.7 * a - 1, 2 * a  # first bit; second bit after 0 and after 1

    value = torch.tensor(a, requires_grad=True)
    q = [torch.sigmoid(v) for v in logits(value)]
    bound = sum(
        (q[0] if b else 1 - q[0]) * (q[1 + b] if c else 1 - q[1 + b]) * reward for (b, c), reward in f.items()
    )
    assert isinstance(bound, Tensor)
    exact = float(torch.autograd.grad(bound, value)[0])

    now = [float(v) for v in logits(torch.tensor(a))]
    p = [float(v.detach()) for v in q]
    after = {b: (1 - p[1 + b]) * f[b, 0] + p[1 + b] * f[b, 1] for b in (0, 1)}
    found = float(expected_slope(now[0], after, controls["sharp"]))  # d first logit / d a is 1
    for b, name, inner in ((0, "linear", 0.7), (1, "network", 2.0)):
        reach = p[0] if b else 1 - p[0]
        found += reach * inner * float(expected_slope(now[1 + b], {c: f[b, c] for c in (0, 1)}, controls[name]))
    assert found == pytest.approx(exact, abs=1e-6)


REBAR_FAULTS: dict[str, Callable[..., Tensor]] = {
    "no path": lambda logit, b, f, c, noise: (f - c(conditional(logit, b, noise[1]))) * (b - torch.sigmoid(logit)),
    "sign": lambda logit, b, f, c, noise: 2 * f * (b - torch.sigmoid(logit)) - rebar_slope(logit, b, 0 * f, c, noise),
    "control sees the bit": lambda logit, b, f, c, noise: rebar_slope(logit, b, f, lambda z: c(z) * (1 + b), noise),
}


@pytest.mark.parametrize("fault", REBAR_FAULTS)
def test_the_quadrature_finds_faults_of_rebar(fault: str) -> None:
    q = float(torch.sigmoid(torch.tensor(0.3)))
    found = float(expected_slope(0.3, {0: 1.7, 1: -0.4}, relaxations()["sharp"], REBAR_FAULTS[fault]))
    assert abs(found - q * (1 - q) * -2.1) > 1e-3


def test_draws_given_the_bit_are_those_of_logistic_noise() -> None:
    """Mixed over the bit, z is logit + logistic noise (Kolmogorov-Smirnov; fails once in a million seeds)."""
    count, logit = 20_000, 0.7
    uniform = torch.rand(2, count, generator=seeded(5))
    same = torch.full((count,), logit)
    pres = (uniform[0] < torch.sigmoid(same)).double()
    z = conditional(same, pres, uniform[1])
    assert torch.equal(z > 0, pres > 0)
    assert stats.kstest(z.numpy(), stats.logistic(loc=logit).cdf).pvalue > 1e-6


@pytest.mark.parametrize("name", ["rebar", "relax"])
@pytest.mark.parametrize("case_name", CASES)
def test_rebar_and_relax_are_unbiased_on_models(name: str, case_name: str) -> None:
    """Bits enumerated, noise sampled: each checked derivative is within 5 standard errors (false alarm < 1e-5)."""
    model, frames = case(case_name, "residual")
    exact = exact_gradient(model, frames, exact_elbo)
    estimator = experienced(name, model.config)
    assert isinstance(estimator, Rebar)
    with torch.no_grad():
        estimator.log_temperature.fill_(-0.5)
    estimator.generator = seeded(11)
    scripts = outcomes(model, frames)
    draws = []
    for _ in range(40):
        total = torch.zeros_like(exact)
        for script in scripts:
            terms = terms_of(model, frames, [script])
            estimator.value = torch.tensor(37.0)
            loss = estimator(terms, frames, 1)
            total = total - float(terms.log_q_presence.detach().exp()) * gradient(model, loss)
        draws.append(total)
    found = torch.stack(draws)
    largest = exact.abs().topk(10).indices
    wrong = (found.mean(0) - exact)[largest].abs()
    assert (wrong <= 5 * found.std(0)[largest] / math.sqrt(len(draws)) + 1e-9).all()
    assert (found.std(0)[largest] / math.sqrt(len(draws)) < 0.3 * exact[largest].abs()).all()  # it could have failed


def test_rebar_without_a_control_variate_is_the_score_function() -> None:
    model, frames = case("two frames")
    rebar = make_estimator("rebar", model.config)
    assert isinstance(rebar, Rebar)
    with torch.no_grad():
        rebar.scale.zero_()
    for script in ((1, 1), (0, 1, 0)):
        found = [
            gradient(model, estimator(terms_of(model, frames, [script]), frames, 1))
            for estimator in (copy.deepcopy(rebar), make_estimator("score_function", model.config))
        ]
        torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


def test_relaxed_gains_are_the_gain_at_the_ends() -> None:
    model, frames = case("two frames")
    for rows in terms_of(model, frames, [(1, 1, 1), (1, 0, 1)]).rows:
        torch.testing.assert_close(rows.gain_at(torch.ones_like(rows.gain)), rows.gain, rtol=1e-12, atol=1e-12)
        assert rows.gain_at(torch.zeros_like(rows.gain)).abs().max() < 1e-12
        middle = rows.gain_at(torch.full_like(rows.gain, 0.5))
        assert middle.isfinite().all() and (middle != 0).all()


@pytest.mark.parametrize("name", ["rebar", "relax"])
def test_training_the_control_variate_lowers_the_variance(name: str) -> None:
    model, frames = case("one frame", "residual")
    estimator = make_estimator(name, model.config)
    assert isinstance(estimator, Rebar)
    optimiser = torch.optim.Adam(estimator.parameters(), lr=0.03)
    estimator.generator = seeded(1)
    # a start that is far off
    with torch.no_grad():
        estimator.scale.fill_(-2)
    scripts = [s for s in outcomes(model, frames) for _ in range(8)]

    def spread() -> float:
        terms = terms_of(model, frames, scripts)
        signal = terms.elbo.detach() - terms.elbo.detach().mean()
        slopes = [estimator.slope(r, signal[r.clip]).detach() for r in terms.rows]
        return float(torch.cat(slopes).square().mean())

    before = sum(spread() for _ in range(5))
    for _ in range(60):
        optimiser.zero_grad()
        estimator(terms_of(model, frames, scripts), frames.expand(-1, len(scripts), -1, -1, -1), 1).backward()
        optimiser.step()
    assert sum(spread() for _ in range(5)) < 0.7 * before


# the Concrete relaxation


def bias_of_concrete(temperature: float, logit: float, bound: Callable[[Tensor], Tensor]) -> float:
    """Of one bit, by quadrature: the relaxed derivative minus that of E bound(b)."""
    x = (torch.arange(100_000) + 0.5) / 100_000
    same, q = torch.full_like(x, logit), float(torch.sigmoid(torch.tensor(logit)))
    found = 0.0
    for bit, mass in ((0, 1 - q), (1, q)):
        found += mass * float(concrete_slope(same, same * 0 + bit, bound, temperature, x).mean())
    ends = bound(torch.tensor([0.0, 1.0]))
    return found - q * (1 - q) * float(ends[1] - ends[0])


@pytest.mark.parametrize("logit", [-1.5, 0.4])
def test_the_bias_of_concrete_goes_to_0_with_the_temperature(logit: float) -> None:
    def bound(soft: Tensor) -> Tensor:
        return 3 * soft + 2 * soft**2

    biases = {t: abs(bias_of_concrete(t, logit, bound)) for t in (1.0, 0.5, 0.25, 0.1, 0.03)}
    assert all(bias < 0.5 * t for t, bias in biases.items())
    assert biases[1.0] > 0.05 and biases[0.03] < 0.01


def test_concrete_goes_on_in_the_model_with_the_local_gain() -> None:
    """Its expectation is near that of closed_form when cold: same single object, noise sampled (5 standard errors)."""
    config = replace(STATIC, first_steps=1)
    model, frames = tiny_model(config, price=0.8), spots(config, 1, 1)
    logit = model.get_parameter("discovery.search.omega.2.bias")
    exact = torch.autograd.grad(exact_elbo(terms_of(model, frames, [(0,), (1,)])), logit)[0][8]
    estimator = make_estimator("concrete_local", config)
    assert isinstance(estimator, ConcreteLocal)
    estimator.hottest = estimator.coolest = 0.1
    estimator.generator = seeded(4)
    draws = 2000
    scripts = [(0,), (1,)] * draws
    terms = terms_of(model, frames, scripts)
    (rows,) = terms.rows
    q = torch.sigmoid(rows.q_logit.detach())
    noise = torch.rand(len(q), generator=seeded(8))
    slope = concrete_slope(
        rows.q_logit.detach(), rows.pres, lambda s: rows.gain_at(s) - s * rows.kl.detach(), 0.1, noise
    )
    each = 2 * torch.where(rows.pres > 0, q, 1 - q) * slope
    kl = torch.autograd.grad(terms.kl_presence[0], logit, retain_graph=True)[0][8]
    found, error_of = float(each.mean() - kl), float(each.std()) / math.sqrt(len(each))
    assert abs(found - float(exact)) < 5 * error_of + 0.02 * abs(float(exact))
    assert error_of < 0.1 * abs(float(exact))


def test_the_temperature_falls() -> None:
    estimator = make_estimator("concrete_local", TINY)
    assert isinstance(estimator, ConcreteLocal)
    found = []
    for steps in (0, 400, 800, 10_000):
        estimator.steps = torch.tensor(steps)
        found.append(estimator.temperature())
    assert found == pytest.approx([1.0, 0.5, 0.25, 0.2])
