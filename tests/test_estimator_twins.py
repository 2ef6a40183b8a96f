"""Each estimator against a naive second implementation in numpy, on the same samples.

The samples are made up: clips of three frames with objects that were propagated and discovered, some there and some
not. What is compared is the derivative of the loss in everything that it depends on: the log-likelihood of each frame,
and of each object the log-odds of presence, the KL and log ratio of its latents. The twins are loops over numbers.
"""

import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import Tensor

from conftest import TINY, seeded
from sqair.bounds import Terms
from sqair.estimators import ESTIMATORS, make_estimator
from sqair.estimators.concrete import Relaxed
from sqair.estimators.enumeration import outcomes
from sqair.roster import EXACT

pytestmark = pytest.mark.usefixtures("float64")

FRAMES, CLIPS, PARTICLES = 3, 6, 3
FEATURES = TINY.features


@dataclass
class Sample:
    """A pass that never was: leaves for torch, and the same numbers for numpy."""

    terms: Terms
    frames: Tensor
    leaves: list[Tensor] = field(default_factory=list)


def gain_curve(gain: Tensor) -> Any:
    return lambda soft: gain * soft + 0.3 * soft * (1 - soft)


def sample(length: int = FRAMES, clips: int = CLIPS, soft: bool = False) -> Sample:
    """Rows of two calls per frame; presences are bits, or soft with the weight of what they depend on."""
    source = seeded(5)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=source, dtype=torch.float64)

    steps, leaves = [], []
    for _ in range(length):
        likelihood = (10 * normal(clips) + 50).requires_grad_()
        leaves.append(likelihood)
        rows = []
        for new in (False, True):
            clip = torch.arange(clips).repeat(2) if not new else torch.arange(0, clips, 2)
            m = len(clip)
            q_logit, kl, ratio = (v.requires_grad_() for v in (normal(m), normal(m).square(), normal(m)))
            leaves += [q_logit, kl, ratio]
            weight = torch.rand(m, generator=source) if soft else torch.ones(m)
            pres = weight * torch.rand(m, generator=source) if soft else (normal(m) > 0).double()
            gain = 5 * normal(m)
            posterior = SimpleNamespace(encoding=normal(m, FEATURES), log_ratio=lambda ratio=ratio: ratio)
            proposal = SimpleNamespace(weight=weight, p_logit=normal(m), posterior=posterior, round=int(new))
            evidence = SimpleNamespace(kl=kl, gain=gain, at=gain_curve(gain))
            rows.append(SimpleNamespace(clip=clip, q_logit=q_logit, pres=pres, proposal=proposal, evidence=evidence))
        nothing = -normal(clips).square()
        terms = {"log_likelihood": likelihood, "log_p_nothing": nothing}
        steps.append(SimpleNamespace(behind=None, rows=rows, roster=EXACT, **terms))
    frames = torch.rand(length, clips, TINY.channels, TINY.height, TINY.width, generator=source)
    return Sample(Terms(steps), frames, leaves)  # type: ignore[arg-type]


def derivatives(loss: Tensor, leaves: list[Tensor]) -> list[np.ndarray]:
    grads = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    return [g.numpy() for g in grads]


# the twins: numbers out of a pass, in loops


def log_q(logit: float, pres: float) -> float:
    return pres * math.log(expit(logit)) + (1 - pres) * math.log(expit(-logit))


class Pass:
    """The numbers of a sample: per frame, per call, per object."""

    def __init__(self, made: Sample) -> None:
        self.steps = made.terms.steps
        self.clips = len(self.steps[0].log_likelihood)
        self.slots = [[0.0] * len(leaf) for leaf in made.leaves]

    def objects(self, t: int):
        """(leaf number of q_logit, row, its numbers) of a frame."""
        for call, rows in enumerate(self.steps[t].rows):
            for m in range(len(rows.clip)):
                told = {**vars(rows), **vars(rows.proposal), **vars(rows.evidence)}
                names = ("q_logit", "p_logit", "pres", "kl", "gain", "weight")
                numbers = {name: float(told[name][m].detach()) for name in names}
                ratio = float(rows.proposal.posterior.log_ratio()[m].detach())
                yield 7 * t + 1 + 3 * call, m, int(rows.clip[m]), SimpleNamespace(**numbers, ratio=ratio)

    def likelihood(self, t: int, b: int) -> float:
        return float(self.steps[t].log_likelihood[b].detach())

    def bound(self, t: int, b: int) -> float:
        total = self.likelihood(t, b) + float(self.steps[t].log_p_nothing[b])
        for _, _, clip, o in self.objects(t):
            if clip == b:
                q = expit(o.q_logit)
                total -= q * (log_q(o.q_logit, 1) - log_q(o.p_logit, 1))
                total -= (1 - q) * (log_q(o.q_logit, 0) - log_q(o.p_logit, 0))
                total -= o.pres * o.kl
        return total

    def log_weight(self, b: int) -> float:
        total = 0.0
        for t in range(len(self.steps)):
            total += self.likelihood(t, b) + float(self.steps[t].log_p_nothing[b])
            for _, _, clip, o in self.objects(t):
                if clip == b:
                    total += log_q(o.p_logit, o.pres) - log_q(o.q_logit, o.pres) - o.pres * o.ratio
        return total

    def coming(self, t: int, b: int) -> float:
        return sum(self.bound(s, b) for s in range(t, len(self.steps)))


def bound_derivatives(numbers: Pass, share: dict[int, float]) -> list[list[float]]:
    """Of minus the sum over clips of share times the bound with closed-form KLs."""
    d = [list(row) for row in numbers.slots]
    for t in range(len(numbers.steps)):
        for b in range(numbers.clips):
            d[7 * t][b] = -share[b]
        for leaf, m, b, o in numbers.objects(t):
            q = expit(o.q_logit)
            d[leaf][m] = share[b] * o.weight * q * (1 - q) * (o.q_logit - o.p_logit)
            d[leaf + 1][m] = share[b] * o.pres
    return d


def with_slopes(numbers: Pass, slope: Any) -> list[list[float]]:
    """Minus the mean over clips of the bound, with ``slope(t, b, object, leaf, m)`` in addition for each logit."""
    d = bound_derivatives(numbers, dict.fromkeys(range(numbers.clips), 1 / numbers.clips))
    for t in range(len(numbers.steps)):
        for leaf, m, b, o in numbers.objects(t):
            d[leaf][m] -= slope(t, b, o, leaf, m) / numbers.clips
    return d


def score_slope(numbers: Pass, expected: Any, scale: float = 1.0) -> list[list[float]]:
    """The score function, with what is ``expected(t, b)`` of the bound still to come taken off."""

    def slope(t: int, b: int, o: Any, leaf: int, m: int) -> float:
        return (numbers.coming(t, b) - expected(t, b)) / scale * (o.pres - expit(o.q_logit))

    return with_slopes(numbers, slope)


def weighted(numbers: Pass, particles: int, discrete: Any) -> list[list[float]]:
    """The K-particle bound at fixed presences, and ``discrete(log weights, k)`` times the score of particle k."""
    d = [list(row) for row in numbers.slots]
    apart = numbers.clips // particles
    for b in range(apart):
        logs = [numbers.log_weight(b + k * apart) for k in range(particles)]
        top = max(logs)
        total = sum(math.exp(v - top) for v in logs)
        for k in range(particles):
            clip, share = b + k * apart, math.exp(logs[k] - top) / total
            for t in range(len(numbers.steps)):
                d[7 * t][clip] = -share / apart
                for leaf, m, owner, o in numbers.objects(t):
                    if owner == clip:
                        score = o.pres - expit(o.q_logit)
                        d[leaf][m] = (share - discrete(logs, k)) * score / apart
                        d[leaf + 2][m] = share * o.pres / apart
    return d


def log_mean_exp(values: list[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values) / len(values))


def without(logs: list[float], k: int) -> float:
    others = [v for j, v in enumerate(logs) if j != k]
    return log_mean_exp([*others, sum(others) / len(others)])


def compare(name: str, expected: list[list[float]], loss: Tensor, made: Sample) -> None:
    for found, wanted in zip(derivatives(loss, made.leaves), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-10, err_msg=name)


EXPERIENCE = 17.0
"""What the baselines believe that a frame gives."""


def experienced(name: str) -> Any:
    estimator = make_estimator(name, TINY)
    known = {"value": EXPERIENCE, "centre": EXPERIENCE, "spread": 2.0, "deviation": 30.0, "batches": 5}
    for name, buffer in estimator.named_buffers():
        buffer.fill_(known.get(name, 0))
    return estimator


def ahead(t: int) -> int:
    return FRAMES - t


def test_score_functions() -> None:
    made = sample()
    numbers = Pass(made)
    expectations = {
        "score_function_plain": lambda t, b: 0.0,
        "score_function_constant": lambda t, b: EXPERIENCE * ahead(t),
        "score_function": lambda t, b: EXPERIENCE * ahead(t),
    }
    for name, expected in expectations.items():
        loss = experienced(name)(made.terms, made.frames, 1)
        compare(name, score_slope(numbers, expected), loss, made)


@pytest.mark.parametrize(("name", "scale"), [("nvil_unscaled", 1.0), ("nvil", 30.0)])
def test_nvil(name: str, scale: float) -> None:
    """And its network is trained on what is missed alone, not on the score."""
    made = sample()
    numbers, estimator = Pass(made), experienced(name)
    with torch.no_grad():
        estimator.net[-1].weight.mul_(30)
    said = np.zeros((FRAMES, CLIPS))
    for t in range(FRAMES):
        for b in range(CLIPS):
            retina = torch.nn.functional.avg_pool2d(made.frames[t, b][None], TINY.retina)
            said[t, b] = float(estimator.net(retina.flatten(1)).detach())

    def expected(t: int, b: int) -> float:
        return EXPERIENCE * ahead(t) + 2.0 * said[t:, b].sum()

    loss = estimator(made.terms, made.frames, 1)
    compare(name, score_slope(numbers, expected, scale), loss, made)
    last = estimator.net[-1].bias
    (found,) = torch.autograd.grad(loss, last)
    # the running means have taken the batch in before the network is judged
    centre, spread = float(estimator.centre), float(estimator.spread)
    wanted = 0.0
    for t in range(FRAMES):
        for b in range(CLIPS):
            missed = (numbers.coming(t, b) - centre * ahead(t)) / spread - said[t:, b].sum()
            wanted += -2 * missed * ahead(t) / (FRAMES * CLIPS)
    assert float(found) == pytest.approx(wanted, rel=1e-9)


def test_nvil_of_the_paper() -> None:
    """Its reward has the sampled KL of presence, of which nothing else is differentiated."""
    made = sample()
    numbers, estimator = Pass(made), experienced("nvil_paper")
    with torch.no_grad():
        estimator.net[-1].weight.zero_()

    def reward(t: int, b: int) -> float:
        total = numbers.likelihood(t, b) + float(numbers.steps[t].log_p_nothing[b])
        for _, _, clip, o in numbers.objects(t):
            if clip == b:
                total += log_q(o.p_logit, o.pres) - log_q(o.q_logit, o.pres) - o.pres * o.kl
        return total

    expected = bound_derivatives(numbers, dict.fromkeys(range(CLIPS), 1 / CLIPS))
    for t in range(FRAMES):
        for leaf, m, b, o in numbers.objects(t):
            signal = (sum(reward(s, b) for s in range(t, FRAMES)) - EXPERIENCE * ahead(t)) / 30
            expected[leaf][m] = -signal * (o.pres - expit(o.q_logit)) / CLIPS
    compare("nvil_paper", expected, estimator(made.terms, made.frames, 1), made)


@pytest.mark.parametrize(
    ("name", "discrete"),
    [
        ("vimco", lambda logs, k: log_mean_exp(logs) - without(logs, k)),
        ("vimco_sqair", lambda logs, k: (logs[k] - without(logs, k)) / len(logs)),
        ("wake_wake", lambda logs, k: 2 * math.exp(logs[k] - max(logs)) / sum(math.exp(v - max(logs)) for v in logs)),
    ],
)
def test_several_particles(name: str, discrete: Any) -> None:
    """For wake-wake the derivative of the bound in q(z_pres), minus the share, is taken back: hence twice."""
    made = sample()
    loss = make_estimator(name, TINY)(made.terms, made.frames, PARTICLES)
    compare(name, weighted(Pass(made), PARTICLES, discrete), loss, made)


def test_closed_form() -> None:
    made = sample()

    def slope(t: int, b: int, o: Any, leaf: int, m: int) -> float:
        q = expit(o.q_logit)
        return q * (1 - q) * (o.gain - o.kl)

    loss = make_estimator("closed_form", TINY)(made.terms, made.frames, 1)
    compare("closed_form", with_slopes(Pass(made), slope), loss, made)


@pytest.mark.parametrize("particles", [1, PARTICLES])
def test_closed_form_corrected(particles: int) -> None:
    made = sample()
    numbers, apart = Pass(made), CLIPS // particles

    def slope(t: int, b: int, o: Any, leaf: int, m: int) -> float:
        if particles == 1:
            expected = EXPERIENCE * ahead(t)
        else:
            others = [c for c in range(b % apart, CLIPS, apart) if c != b]
            expected = sum(numbers.coming(t, c) for c in others) / len(others)
        q, gain = expit(o.q_logit), o.gain - o.kl
        left = numbers.coming(t, b) - expected - o.pres * gain
        return left * (o.pres - q) + q * (1 - q) * gain

    loss = experienced("closed_form_corrected")(made.terms, made.frames, particles)
    compare("closed_form_corrected", with_slopes(numbers, slope), loss, made)


def logistic_given(logit: float, pres: float, uniform: float) -> tuple[float, float]:
    """z = logit + logistic noise given the bit, by inversion of its distribution, and dz / dlogit at fixed noise."""

    def draw(logit: float) -> float:
        q = expit(logit)
        v = (1 - q) + uniform * q if pres else (1 - uniform) * (1 - q)  # larger noise is further from 0
        return logit + math.log(v / (1 - v))

    return draw(logit), (draw(logit + 1e-6) - draw(logit - 1e-6)) / 2e-6


@pytest.mark.parametrize("name", ["rebar", "relax"])
def test_rebar_and_relax(name: str) -> None:
    """Controls by hand from the gain at soft presence; noise from the same generator; slopes by finite differences."""
    made = sample()
    numbers, estimator = Pass(made), experienced(name)
    with torch.no_grad():
        estimator.scale.fill_(0.7)
        estimator.log_temperature.fill_(-0.4)
    net = getattr(estimator, "net", None)
    noises = {}
    source = seeded(21)
    for t in range(FRAMES):
        for call, rows in enumerate(made.terms.steps[t].rows):
            noises[7 * t + 1 + 3 * call] = (torch.rand(2, len(rows.clip), generator=source), rows)

    def control(leaf: int, m: int, o: Any, z: float) -> float:
        soft = expit(z / math.exp(-0.4))
        value = 0.7 * (o.gain * soft + 0.3 * soft * (1 - soft) - soft * o.kl)
        if net is not None:
            encoding = noises[leaf][1].proposal.posterior.encoding[m]
            value += 10 * float(net(torch.cat([encoding, torch.tensor([soft])])).detach())
        return value

    def slope(t: int, b: int, o: Any, leaf: int, m: int) -> float:
        u, v = (float(x) for x in noises[leaf][0][:, m])
        (z, _), (again, along) = logistic_given(o.q_logit, o.pres, u), logistic_given(o.q_logit, o.pres, v)

        def by(f: Any, x: float) -> float:
            return (f(x + 1e-5) - f(x - 1e-5)) / 2e-5

        value = control(leaf, m, o, again)
        path = by(lambda x: control(leaf, m, o, x), z) - by(lambda x: control(leaf, m, o, x), again) * along
        return (numbers.coming(t, b) - EXPERIENCE * ahead(t) - value) * (o.pres - expit(o.q_logit)) + path

    estimator.generator = seeded(21)
    loss = estimator(made.terms, made.frames, 1)
    for found, wanted in zip(derivatives(loss, made.leaves), with_slopes(numbers, slope), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_concrete_local() -> None:
    made = sample()
    numbers, estimator = Pass(made), make_estimator("concrete_local", TINY)
    estimator.steps.fill_(400)  # type: ignore[union-attr, operator]
    source, noises = seeded(22), {}
    for t in range(FRAMES):
        for call, rows in enumerate(made.terms.steps[t].rows):
            noises[7 * t + 1 + 3 * call] = torch.rand(len(rows.clip), generator=source)

    def slope(t: int, b: int, o: Any, leaf: int, m: int) -> float:
        z, _ = logistic_given(o.q_logit, o.pres, float(noises[leaf][m]))
        soft = expit(z / 0.5)
        return (o.gain + 0.3 * (1 - 2 * soft) - o.kl) * soft * (1 - soft) / 0.5

    estimator.generator = seeded(22)  # type: ignore[assignment]
    loss = estimator(made.terms, made.frames, 1)
    compare("concrete_local", with_slopes(numbers, slope), loss, made)


def test_concrete() -> None:
    """The KL of the relaxed densities at given log-odds; their own derivative is the model's business."""
    made = sample(soft=True)
    numbers, estimator = Pass(made), make_estimator("concrete", TINY)
    odds = [0.5 * torch.randn(len(rows.clip), generator=seeded(4)) for rows in made.terms.rows]
    estimator.relaxed = Relaxed(temperature=0.6, odds=odds)  # type: ignore[assignment]
    expected = bound_derivatives(numbers, dict.fromkeys(range(CLIPS), 1 / CLIPS))
    for t in range(FRAMES):
        for leaf, m, _, o in numbers.objects(t):
            y = float(odds[2 * t + (leaf - 7 * t - 1) // 3][m])

            def density(logit: float, y: float = y) -> float:
                e = math.exp(logit)
                a, b = 1 / (1 + math.exp(-y)), 1 / (1 + math.exp(y))  # soft presence and 1 minus it
                # Maddison et al. (2016), for two classes, as a density of the log-odds
                return math.log(0.6 * e * (a * b) ** 0.6 / (e * b**0.6 + a**0.6) ** 2)

            expected[leaf][m] = o.weight * (density(o.q_logit + 1e-6) - density(o.q_logit - 1e-6)) / 2e-6 / CLIPS
    loss = estimator(made.terms, made.frames, 1)
    for found, wanted in zip(derivatives(loss, made.leaves), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-8)


def test_concrete_hard() -> None:
    """The bound itself; presences carry their own derivative."""
    made = sample(soft=True)
    expected = bound_derivatives(Pass(made), dict.fromkeys(range(CLIPS), 1 / CLIPS))
    compare("concrete_hard", expected, make_estimator("concrete_hard", TINY)(made.terms, made.frames, 1), made)


def test_enumeration() -> None:
    """sum_b q(b) bound(b) on single frames: its derivative is q times the bound's, and the bound times q's."""
    config = TINY
    particles = len(outcomes(config, 1))
    made = sample(1, 2 * particles)
    counts = torch.arange(2 * particles) // 2  # what particle k of each clip found
    found = SimpleNamespace(clip=torch.repeat_interleave(torch.arange(2 * particles), counts))
    made.terms.steps[0].objects = found  # type: ignore[assignment]
    numbers = Pass(made)
    share, logs = {}, {}
    for b in range(2 * particles):
        logs[b] = sum(log_q(o.q_logit, o.pres) for _, _, clip, o in numbers.objects(0) if clip == b)
        share[b] = math.exp(logs[b]) / 2
    expected = bound_derivatives(numbers, share)
    for leaf, m, b, o in numbers.objects(0):
        expected[leaf][m] -= share[b] * numbers.bound(0, b) * (o.pres - expit(o.q_logit))
    loss = make_estimator("enumeration", config)(made.terms, made.frames, particles)
    compare("enumeration", expected, loss, made)


def test_no_estimator_is_without_a_twin() -> None:
    twins = {
        "score_function_plain", "score_function_constant", "score_function", "nvil", "nvil_unscaled", "nvil_paper",
        "vimco", "vimco_sqair", "wake_wake", "closed_form", "closed_form_corrected", "rebar", "relax", "concrete",
        "concrete_hard", "concrete_local", "enumeration",
    }  # fmt: skip
    assert twins == set(ESTIMATORS)
