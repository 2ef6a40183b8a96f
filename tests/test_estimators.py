"""Gradient estimators against the exact gradient: every outcome of every presence, weighted by its probability."""

import copy
import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from conftest import STATIC, TINY, Dictated, gradient, outcomes, seeded, spots, tiny_model
from estimating import (
    CASES,
    case,
    error,
    exact_elbo,
    exact_gradient,
    exact_iwae,
    expected_gradient,
    experienced,
    extreme,
    posterior_seeking,
    published,
    terms_of,
)
from sqair.bounds import Terms, iwae
from sqair.config import ModelConfig, TemporalConfig
from sqair.errors import UserError
from sqair.estimators import ESTIMATORS, make_estimator
from sqair.estimators.enumeration import count_outcomes
from sqair.estimators.enumeration import outcomes as enumerated
from sqair.estimators.nvil import NVIL
from sqair.estimators.score_function import Constant, RunningMean
from sqair.estimators.vimco import Vimco, leave_one_out
from sqair.inference import Sampled
from sqair.roster import EXACT

pytestmark = pytest.mark.usefixtures("float64")

OWN_PASS = ("enumeration", "concrete", "concrete_hard")
"""Estimators that need the presences that they asked for."""
UNBIASED = [
    "closed_form_corrected", "score_function", "score_function_constant", "score_function_plain", "nvil_unscaled"
]  # fmt: skip


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


@pytest.mark.parametrize("discovery", ["recurrent", "residual"])
def test_enumeration_of_clips_is_exact_in_one_pass(discovery: str) -> None:
    """Objects stay, leave and are found; outcomes that the frames do not allow count for nothing."""
    model, frames = case("two frames", discovery)
    clips = torch.cat([frames, 0 * frames, torch.cat([0 * frames[:1], frames[1:]])], 1)
    estimator = make_estimator("enumeration", model.config)
    particles = estimator.particles(1, 2)
    assert particles == len(outcomes(model, frames)) == 6
    repeated = clips.repeat(1, particles, 1, 1, 1)
    loss = estimator(Terms(model(repeated, estimator.inference(Sampled(None), 2))), repeated, particles)
    alone = [clips[:, b : b + 1] for b in range(3)]
    bounds = [exact_elbo(terms_of(model, clip, outcomes(model, clip))) for clip in alone]
    assert error(-gradient(model, loss), gradient(model, torch.stack(bounds).mean())) < 1e-10


def test_enumeration_is_as_bold_as_training() -> None:
    """Boldness is a part of the posterior whose outcomes are weighted: with most of it an object is found for sure."""
    model, frames = case("one frame")
    estimator, repeated = make_estimator("enumeration", model.config), frames.expand(-1, 3, -1, -1, -1)
    terms = Terms(model(repeated, estimator.inference(Sampled(None, boldness=0.99), 1)))
    weight = estimator.weight(terms, 3).detach() / 3
    assert float(weight.sum()) == pytest.approx(1, abs=1e-12) and float(weight[0]) < 0.01


def test_outcomes_are_counted_before_they_are_written_out() -> None:
    config = replace(TINY, slots=2, first_steps=2)
    for length in (1, 2, 3):
        written = enumerated(config, length)
        assert len(written) == len(set(written)) == count_outcomes(config, length)
    assert count_outcomes(config, 1) == 3 and count_outcomes(config, 2) == 2 + 4 + 7
    apart = replace(config, temporal=TemporalConfig(False, False, False, False))
    assert count_outcomes(apart, 2) == 9 == len(enumerated(apart, 2))
    with pytest.raises(UserError, match="1.65e[+]04 outcomes in clips of 5 frames, and does 256 at most"):
        make_estimator("enumeration", ModelConfig()).particles(1, 5)


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
    """Found by enumeration; it is not that of the bound of K particles."""
    model, frames = case("one frame")
    found = expected_gradient(model, frames, make_estimator("vimco_sqair", model.config), 2)
    assert error(found, exact_gradient(model, frames, published(2))) < 1e-10
    assert error(found, exact_gradient(model, frames, exact_iwae(2))) > 1e-3


@pytest.mark.parametrize("name", CASES)
def test_wake_wake_ascends_what_it_says(name: str) -> None:
    model, frames = case(name)
    found = expected_gradient(model, frames, make_estimator("wake_wake", model.config), 2)
    assert error(found, exact_gradient(model, frames, posterior_seeking(2))) < 1e-10


def test_the_bias_of_wake_wake_goes_to_0_with_the_particles() -> None:
    """For q, towards the gradient of -KL(p(b | x) || q(b)): one bit, all counts of its values among K particles."""
    logit, log_joint = torch.tensor(0.4, requires_grad=True), torch.tensor([-1.0, 0.7])
    log_q = torch.stack([F.logsigmoid(-logit), F.logsigmoid(logit)])
    exact = float(torch.autograd.grad((log_joint.softmax(0) * log_q).sum(), logit, retain_graph=True)[0])
    wrong = {}
    for particles in (2, 8, 32, 128):
        ones = torch.arange(particles + 1.0)
        count = torch.stack([particles - ones, ones], 1)  # [K + 1, 2]
        share = count * (log_joint - log_q.detach()).exp()
        share = share / share.sum(1, keepdim=True)
        mass = torch.from_numpy(stats.binom.pmf(ones.numpy(), particles, float(torch.sigmoid(logit.detach()))))
        expected = (mass[:, None] * share * log_q).sum()
        wrong[particles] = abs(float(torch.autograd.grad(expected, logit, retain_graph=True)[0]) - exact)
    assert wrong[2] > 0.05
    for few, more in ((8, 32), (32, 128)):
        assert wrong[more] == pytest.approx(wrong[few] / 4, rel=0.15)  # as 1 / K


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


def test_normalisation_scales_what_presences_are_worth_alone() -> None:
    """By the larger of 1 and the standard deviation of the signal; otherwise it is NVIL without it."""
    model, frames = case("one frame")
    plain = expected_gradient(model, frames, experienced("nvil_unscaled", model.config), 1)
    scaled = expected_gradient(model, frames, experienced("nvil", model.config), 1)
    fixed = expected_gradient(model, frames, lambda terms, frames, k: -terms.elbo.mean(), 1)
    torch.testing.assert_close(scaled - fixed, (plain - fixed) / 37, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_nvil_of_the_paper_scales_all_of_the_discrete_part(name: str) -> None:
    """With KL(n) in the signal the discrete gradient keeps its direction."""
    model, frames = case(name)
    exact = exact_gradient(model, frames, exact_elbo)
    found = expected_gradient(model, frames, experienced("nvil_paper", model.config), 1)
    fixed = expected_gradient(model, frames, lambda terms, frames, k: -(terms.log_likelihood - terms.kl_z).mean(), 1)
    torch.testing.assert_close(found - fixed, (exact - fixed) / 37, rtol=1e-9, atol=1e-9)


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
        steps = [
            SimpleNamespace(behind=None, rows=[], log_likelihood=b, log_p_nothing=0 * b, roster=EXACT) for b in bound
        ]
        optimiser.zero_grad()
        estimator(Terms(steps), frames, 1).backward()  # type: ignore[arg-type]
        optimiser.step()
    assert estimator.deviation < 0.2 * estimator.spread
    assert 10 < float(estimator.spread) < 25  # the truth, averaged over both frames, is 14.1
    assert abs(float(estimator.centre) - 120) < 5


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name not in OWN_PASS])
@pytest.mark.parametrize("logit", [-1e4, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_extreme_logits(name: str, logit: float, dtype: torch.dtype) -> None:
    """Presences both likely and impossible under q, in clips of two frames."""
    model, frames = extreme("two frames", logit, dtype)
    scripts = [(1, 1, 0), (1, 0, 0), (0, 1), (1, 1, 1)]
    terms = terms_of(model, frames, scripts)
    loss = make_estimator(name, model.config)(terms, frames.expand(-1, 4, -1, -1, -1), 2)
    assert loss.isfinite() and gradient(model, loss).isfinite().all()


def test_enumeration_is_finite_at_extreme_logits() -> None:
    for logit in (-1e4, 1e4):
        model, frames = extreme("one frame", logit, torch.float64)
        estimator, repeated = make_estimator("enumeration", model.config), frames.expand(-1, 3, -1, -1, -1)
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
