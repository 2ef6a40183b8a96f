"""Relaxed estimators: REBAR and RELAX, whose noise is continuous, and the three forms of the Concrete relaxation."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from conftest import STATIC, TINY, gradient, outcomes, seeded, spots, tiny_model
from estimating import CASES, case, exact_elbo, exact_gradient, experienced, extreme, terms_of
from sqair.bounds import Terms
from sqair.estimators import ESTIMATORS, concrete, make_estimator
from sqair.estimators.concrete import Concrete, ConcreteHard, concrete_log_prob
from sqair.estimators.concrete_local import ConcreteLocal, concrete_slope
from sqair.estimators.rebar import Rebar, conditional, rebar_slope
from sqair.inference import Inference, Sampled
from sqair.model import SQAIR
from sqair.scene import Evidence, Proposal

pytestmark = pytest.mark.usefixtures("float64")

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
    every = [terms_of(model, frames, [script]) for script in outcomes(model, frames)]
    mass = [terms.log_q_presence.detach().exp() for terms in every]
    parameters, draws = list(model.parameters()), []
    for _ in range(40):
        total = torch.zeros(())
        for terms, q in zip(every, mass, strict=True):
            estimator.value = torch.tensor(37.0)
            total = total - (q * estimator(terms, frames, 1)).sum()
        parts = torch.autograd.grad(total, parameters, retain_graph=True, materialize_grads=True, allow_unused=True)
        draws.append(torch.cat([part.flatten() for part in parts]))
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
        at, gain = rows.evidence.at, rows.evidence.gain
        torch.testing.assert_close(at(torch.ones_like(gain)), gain, rtol=1e-12, atol=1e-12)
        assert at(torch.zeros_like(gain)).abs().max() < 1e-12
        middle = at(torch.full_like(gain, 0.5))
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
    at, kl = rows.evidence.at, rows.evidence.kl.detach()
    slope = concrete_slope(rows.q_logit.detach(), rows.pres, lambda s: at(s) - s * kl, 0.1, noise)
    each = 2 * torch.where(rows.pres > 0, q, 1 - q) * slope
    kl = torch.autograd.grad(terms.kl_presence[0], logit, retain_graph=True)[0][8]
    found, error_of = float(each.mean() - kl), float(each.std()) / math.sqrt(len(each))
    assert abs(found - float(exact)) < 5 * error_of + 0.02 * abs(float(exact))
    assert error_of < 0.1 * abs(float(exact))


@pytest.mark.parametrize("name", ["concrete", "concrete_hard", "concrete_local"])
def test_every_loss_is_a_step_towards_the_coolest(name: str) -> None:
    estimator, model, frames = make_estimator(name, TINY), tiny_model(), spots(TINY, 1, 2)
    for steps in (1, 2):
        estimator(Terms(model(frames, estimator.inference(Sampled(seeded(0)), 1))), frames, 1)
        assert estimator.state_dict()["steps"] == steps


def test_the_temperature_falls() -> None:
    estimator = make_estimator("concrete_local", TINY)
    assert isinstance(estimator, ConcreteLocal)
    found = []
    for steps in (0, 400, 800, 10_000):
        estimator.steps = torch.tensor(steps)
        found.append(estimator.temperature())
    assert found == pytest.approx([1.0, 0.5, 0.25, 0.2])


# the Concrete relaxation of whole clips, against another implementation and finite differences


@dataclass
class Soft(Inference):
    """z_pres relaxed by a second implementation; ``base`` makes it straight-through around those values."""

    base: list[tuple[Tensor, Tensor]] | None = None
    own: list[Tensor] = field(default_factory=list)
    """z_pres of each object ``[M]``, given what it depends on."""
    odds: list[Tensor] = field(default_factory=list)

    def presence(self, proposal: Proposal, evidence: Evidence, q_logit: Tensor) -> Tensor:
        uniform = torch.empty_like(evidence.gain).uniform_(generator=self.generator)
        self.odds.append(q_logit + torch.log(uniform) - torch.log(1 - uniform))
        pres = 1 / (1 + torch.exp(-self.odds[-1]))
        if self.base is not None:
            hard, soft = self.base[len(self.own)]
            pres = hard + pres - soft
        self.own.append(pres)
        return pres


CLIPS = 2
CHECKED = [
    ("discovery.search.omega.2.bias", 8),
    ("discovery.search.omega.2.weight", (8, 3)),
    ("old_presence.net.2.bias", 0),
]


def blind() -> tuple[SQAIR, Tensor]:
    """A model that sees nothing of what presences change, so that finite differences are the gradient; two frames."""
    config = replace(TINY, discovery="recurrent", slots=3, first_steps=2)
    model = tiny_model(config, price=0.8)
    with torch.no_grad():
        for module in (model.discovery.appearance.encoder, model.propagation.search):
            for parameter in module.parameters():
                parameter.zero_()
        model.discovery.search.look[0].weight[:, 1:2] = 0  # type: ignore[union-attr, index]
        model.old_presence.net[0].weight[:, config.features :] = 0  # type: ignore[union-attr, index, operator]
    return model, spots(config, 2, CLIPS)


def relaxed_bound(model: SQAIR, frames: Tensor, inference: Soft, hard: bool) -> Tensor:
    """By the definitions; all three objects of each clip are there, more or less, and temperature is 1."""
    terms = Terms(model(frames, inference))
    first, second, stay, third = (own.view(-1, CLIPS) for own in inference.own)
    both = torch.cat([first, first * second])
    weights = [torch.ones(1, CLIPS), first, both, torch.ones(1, CLIPS)]
    presences = [first, first * second, both * stay, third]
    total = terms.log_likelihood + terms.log_p_nothing
    for rows, weight, pres, odds in zip(terms.rows, weights, presences, inference.odds, strict=True):
        if hard:
            q, p = torch.sigmoid(rows.q_logit), torch.sigmoid(rows.proposal.p_logit)
            kl = q * torch.log(q / p) + (1 - q) * torch.log((1 - q) / (1 - p))
        else:
            noise = ((odds - logit).detach().numpy() for logit in (rows.q_logit, rows.proposal.p_logit))
            log_q, log_p = (torch.from_numpy(stats.logistic.logpdf(value)) for value in noise)
            kl = log_q - log_p
        total = total - (pres * rows.evidence.kl.view(-1, CLIPS) + weight * kl.view(-1, CLIPS)).sum(0)
    return total.mean()


def straight_through() -> tuple[int, list[tuple[Tensor, Tensor]]]:
    """A seed with which both clips find two objects in the first frame, and all bits with their soft values."""
    model, frames = blind()
    for seed in range(500):
        inference = Soft(seeded(seed))
        with torch.no_grad():
            model(frames, inference)
        base = [((own > 0.5).to(own), own) for own in inference.own]
        if all(bool(hard.all()) for hard, _ in base[:2]):
            return seed, base
    raise AssertionError("no such seed")


def error_of_relaxation(module: ModuleType, name: str, seed: int, base: list[tuple[Tensor, Tensor]] | None) -> float:
    """Largest difference of autograd through the estimator's loss from finite differences of the definition."""
    model, frames = blind()
    estimator = getattr(module, ESTIMATORS[name].__name__)(model.config)
    loss = estimator(Terms(model(frames, estimator.inference(Sampled(seeded(seed)), 2))), frames, 1)
    checked = [model.get_parameter(parameter) for parameter, _ in CHECKED]
    slopes = torch.autograd.grad(-loss, checked, allow_unused=True, materialize_grads=True)
    wrong = []
    for (parameter, place), slope in zip(CHECKED, slopes, strict=True):
        values = []
        for shift in (1e-5, -1e-5):
            with torch.no_grad():
                model.get_parameter(parameter)[place] += shift
                values.append(float(relaxed_bound(model, frames, Soft(seeded(seed), base=base), base is not None)))
                model.get_parameter(parameter)[place] -= shift
        exact = (values[0] - values[1]) / 2e-5
        assert abs(exact) > 1e-3
        wrong.append(abs(float(slope[place]) - exact) / abs(exact))
    return max(wrong)


def concrete_error(module: ModuleType, name: str) -> float:
    return error_of_relaxation(module, name, 3, None)


def concrete_hard_error(module: ModuleType, name: str) -> float:
    return error_of_relaxation(module, name, *straight_through())


def test_concrete_is_the_gradient_of_the_relaxed_bound() -> None:
    assert concrete_error(concrete, "concrete") < 1e-6


def test_concrete_hard_is_straight_through() -> None:
    assert concrete_hard_error(concrete, "concrete_hard") < 1e-6


@pytest.mark.parametrize(("logit", "temperature"), [(-2.0, 1.0), (0.5, 0.3), (3.0, 0.2)])
def test_the_relaxed_density_is_that_of_its_samples(logit: float, temperature: float) -> None:
    """Its integrals over values that round to 0 and to 1 are the probabilities of the bit, by quadrature."""
    there = 1 / (1 + math.exp(-logit))
    for sign, mass in ((1, there), (-1, 1 - there)):
        odds = sign * torch.linspace(0, 400, 400_001)
        density = concrete_log_prob(odds, torch.tensor(logit), temperature).exp()
        assert sign * float(torch.trapezoid(density, odds)) == pytest.approx(mass, abs=1e-6)


@pytest.mark.parametrize("name", ["concrete", "concrete_hard"])
@pytest.mark.parametrize("logit", [-1e4, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_of_relaxed_clips_are_finite_at_extreme_logits(name: str, logit: float, dtype: torch.dtype) -> None:
    model, frames = extreme("two frames", logit, dtype)
    estimator, many = make_estimator(name, model.config), frames.expand(-1, 4, -1, -1, -1)
    loss = estimator(Terms(model(many, estimator.inference(Sampled(seeded(1)), 2))), many, 1)
    assert loss.isfinite() and gradient(model, loss).isfinite().all()


def test_hard_concrete_samples_bits_of_q() -> None:
    """The same bits as their relaxed values round to, all 0 or 1."""
    model, frames = case("two frames")
    estimator = make_estimator("concrete_hard", model.config)
    terms = Terms(model(frames.expand(-1, 50, -1, -1, -1), estimator.inference(Sampled(seeded(2)), 2)))
    assert isinstance(estimator, ConcreteHard)
    for rows, odds in zip(terms.rows, estimator.relaxed.odds, strict=True):
        assert torch.equal(rows.pres.detach(), (odds > 0).double()) and rows.pres.requires_grad


def test_concrete_goes_to_the_bound_when_cold() -> None:
    """At a temperature of .001 the relaxed bound of a frame is that of the bits that its presences are."""
    model, frames = case("one frame")
    estimator = make_estimator("concrete", model.config)
    assert isinstance(estimator, Concrete)
    estimator.hottest = estimator.coolest = 1e-3
    many = frames.expand(-1, 1600, -1, -1, -1)
    terms = Terms(model(many, estimator.inference(Sampled(seeded(2)), 1)))
    found = -float(estimator(terms, many, 1).detach())
    exact = float(exact_elbo(terms_of(model, frames, outcomes(model, frames))).detach())
    spread = float((terms.log_likelihood - terms.kl_z - estimator.kl_presence(terms)).std().detach()) / 40
    assert abs(found - exact) < 5 * spread < 0.1 * abs(exact)
