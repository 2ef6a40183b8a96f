"""Estimates by particles on state-space models whose p(x) is known: Kalman's, and an enumerated one.

A mean is compared with what it estimates, within ``SIGMAS`` of its standard error: a right one fails with probability
6e-7 over the choice of the seed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal

from conftest import seeded
from sqair.bounds import iwae
from sqair.particles import effective, filtered, importance_weights, log_mean, systematic

pytestmark = pytest.mark.usefixtures("float64")

SIGMAS = 5.0
KEPT, DRIFT, NOISE = 0.9, 0.5, 0.4


@dataclass
class Toy:
    """Particles with one number each, ``z [K, B]``, at first 0."""

    frames: Tensor
    generator: torch.Generator
    shape: tuple[int, int]
    z: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.z = torch.zeros(self.shape)

    def resample(self, ancestors: Tensor) -> None:
        self.z = self.z.gather(0, ancestors)


class Walk(Toy):
    """z_t = .9 z_(t-1) + .5 e, x_t = z_t + .4 e; q(z_t) is wider than the prior, and pulled to x_t."""

    def weigh(self, t: int) -> Tensor:
        mean, x = KEPT * self.z, self.frames[t]
        q = Normal(0.6 * mean + 0.4 * x, 1.2 * DRIFT)
        self.z = q.mean + q.stddev * torch.randn(self.shape, generator=self.generator)
        log_p = Normal(mean, DRIFT).log_prob(self.z) + Normal(self.z, NOISE).log_prob(x)
        return log_p - q.log_prob(self.z)


class Comes(Toy):
    """Something that may come and go, and is seen or not; q knows a little of what is seen."""

    def weigh(self, t: int) -> Tensor:
        p = comes(self.z)
        q = Bernoulli(probs=0.8 * p.probs + 0.2 * self.frames[t])
        self.z = (torch.rand(self.shape, generator=self.generator) < q.probs).to(p.probs)
        return p.log_prob(self.z) + seen(self.z).log_prob(self.frames[t]) - q.log_prob(self.z)


def comes(before: Tensor) -> Bernoulli:
    return Bernoulli(probs=0.15 + 0.75 * before)


def seen(there: Tensor) -> Bernoulli:
    return Bernoulli(probs=0.1 + 0.75 * there)


def kalman(frames: Tensor) -> float:
    """log p(x) of frames ``[T]`` of a ``Walk``, exactly."""
    mean = var = total = 0.0
    for x in frames.tolist():
        mean, var = KEPT * mean, KEPT**2 * var + DRIFT**2
        total += float(Normal(mean, math.sqrt(var + NOISE**2)).log_prob(torch.tensor(x)))
        gain = var / (var + NOISE**2)
        mean, var = mean + gain * (x - mean), (1 - gain) * var
    return total


def enumerated(frames: Tensor) -> float:
    """log p(x) of frames ``[T]`` of what comes and goes: a sum over all 2^T ways."""
    total = 0.0
    for way in itertools.product((0.0, 1.0), repeat=len(frames)):
        z = torch.tensor(way)
        before = torch.cat([torch.zeros(1), z[:-1]])
        total += float((comes(before).log_prob(z) + seen(z).log_prob(frames)).sum().exp())
    return math.log(total)


def walked(length: int) -> Tensor:
    generator = seeded(1)
    z, frames = torch.zeros(()), []
    for _ in range(length):
        z = KEPT * z + DRIFT * torch.randn((), generator=generator)
        frames.append(z + NOISE * torch.randn((), generator=generator))
    return torch.stack(frames)


CASES = {
    "walk": (Walk, walked(6), kalman),
    "comes": (Comes, torch.tensor([0.0, 1.0, 1.0, 0.0, 0.0, 1.0]), enumerated),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("resample", [False, True])
def test_the_mean_of_the_estimates_is_what_is_known(case: str, resample: bool) -> None:
    model, frames, exact = CASES[case]
    found = estimates(model, frames, 6, 20_000, resample)
    within(torch.exp(found - exact(frames)), 1.0)
    assert found.mean() < exact(frames)  # Jensen's inequality is strict


def test_weights_that_are_off_are_noticed() -> None:
    frames = CASES["walk"][1]

    class Off(Walk):
        def weigh(self, t: int) -> Tensor:
            return 1.1 * super().weigh(t)

    found = estimates(Off, frames, 6, 20_000, True)
    with pytest.raises(AssertionError):
        within(torch.exp(found - kalman(frames)), 1.0)


@pytest.mark.parametrize("resample", [False, True])
def test_more_particles_are_nearer_to_log_p_in_the_mean(resample: bool) -> None:
    """Each step of K on samples of its own: the difference of means is above 0 by so many standard errors."""
    frames = walked(6)
    means, errors = [], []
    for k in (1, 3, 9, 27):
        found = estimates(Walk, frames, k, 4000, resample, seed=k)
        means.append(float(found.mean()))
        errors.append(float(found.var() / len(found)))
    for few, more in zip(range(3), range(1, 4), strict=True):
        assert means[more] - means[few] > SIGMAS * math.sqrt(errors[few] + errors[more])
    assert kalman(frames) - 0.5 < means[-1] < kalman(frames)


def test_on_long_clips_resampling_is_tighter() -> None:
    frames = walked(40)
    plain, tighter = (estimates(Walk, frames, 30, 400, resample) for resample in (False, True))
    gain = tighter - plain
    assert gain.mean() > SIGMAS * gain.std() / math.sqrt(len(gain))
    assert kalman(frames) - 2 < tighter.mean() < kalman(frames) and plain.mean() < kalman(frames) - 2


def test_ancestors_are_as_many_as_their_weights_say() -> None:
    """Systematic resampling: of K copies each particle has K times its weight, rounded down or up, in the mean just."""
    log_weight = torch.randn(8, 1, generator=seeded(0)).expand(-1, 20_000)
    ancestors = systematic(log_weight, seeded(1))
    copies = torch.stack([(ancestors == k).sum(0) for k in range(8)]).double()  # [K, B]
    wanted = 8 * log_weight.softmax(0)
    assert ((copies >= wanted.floor() - 1e-9) & (copies <= wanted.ceil() + 1e-9)).all()
    for k in range(8):
        within(copies[k], float(wanted[k, 0]))
    alone = torch.full((4, 2), -torch.inf)
    alone[2], alone[3, 1] = 0.0, 0.0
    assert systematic(alone, seeded(0)).T.tolist() == [[2] * 4, [2, 2, 3, 3]]


def test_effective_share() -> None:
    weights = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    torch.testing.assert_close(effective(weights.log()), torch.tensor([1.0, 0.25]))
    torch.testing.assert_close(log_mean(weights.log() - 1000), torch.tensor([-1000.0, math.log(0.25) - 1000]))


def estimates(
    model: Callable[..., Walk | Comes], frames: Tensor, particles: int, clips: int, resample: bool, seed: int = 0
) -> Tensor:
    """Estimates ``[B]`` of log p(x) of the same frames ``[T]``, each by K particles."""
    moving = model(frames, seeded(seed), (particles, clips))
    if resample:
        return filtered(moving, len(frames), seeded(100 + seed))
    return iwae(importance_weights(moving, len(frames)))


def within(values: Tensor, expected: float) -> None:
    """Asserts that the mean of ``values`` is ``expected``, to ``SIGMAS`` standard errors, which must be small."""
    error = float(values.std() / math.sqrt(len(values)))
    assert error < 0.02
    assert abs(float(values.mean()) - expected) <= SIGMAS * error + 1e-12
