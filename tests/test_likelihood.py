"""log p(x) of small models: against quadrature, and against averages over the prior that no posterior has a part in.

A mean is compared within ``SIGMAS`` standard errors: a right one fails with probability 6e-7 over the choice of the
seed.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import TINY, seeded, spots, tiny_model
from sqair.bounds import Terms
from sqair.config import ModelConfig, TemporalConfig
from sqair.distributions import Gaussian, geometric_log_prob, sample_bernoulli
from sqair.geometry import where_to_box
from sqair.imagine import canvas, contrast
from sqair.inference import Inference
from sqair.likelihood import PARTS, Swarm, conditions, importance, joined, particle_filter, picked
from sqair.model import SQAIR
from sqair.objects import Objects, Posterior
from sqair.render import log_likelihood

pytestmark = pytest.mark.usefixtures("float64")

SIGMAS = 5.0
SMALL = replace(
    TINY, height=10, width=12, slots=2, first_steps=2, z_what=1, size_mean=5.0, position_std=0.9, size_std=0.15,
    likelihood_std=1.2, saliency_threshold=0.0,
)  # fmt: skip
"""Of so few pixels, and so little that a pixel says, that posteriors are about as wide as priors."""


def wide_model(config: ModelConfig, seed: int = 0) -> SQAIR:
    """A model whose posteriors are wider than its priors, so that weights have a small variance."""
    model = tiny_model(config, seed=seed, noise=0.05, price=0.7)
    search: Any = model.discovery.search
    appearance: Any = model.discovery.appearance
    propagation: Any = model.propagation
    behind: Any = model.background
    first = search.omega[-1] if config.discovery == "recurrent" else search.where[-1]
    with torch.no_grad():
        first.bias[4:8] += torch.tensor([3.0, 3.0, 3.6, 3.6])
        appearance.head[-1].bias[config.z_what :] += 1.3
        propagation.where[-1].bias[4:] += 1.8
        propagation.prior.net[-1].bias[2:] += torch.tensor([0.5] * 4 + [1.8] * config.z_what)
        if config.background == "smooth":
            spread, gate = behind.look[-1].bias.chunk(3)[1:]
            spread += 3.0
            gate -= 4.0
        for parameter in model.decoder.parameters():
            parameter.mul_(1.5)
    return model


@torch.no_grad()
def quadrature(model: SQAIR, frame: Tensor, nodes: int) -> float:
    """log p(x) of ``frame [1, C, H, W]`` with one object at most: a sum over n, and over z on a grid.

    Sides and z_what are smooth: Gauss and Hermite with 5 nodes. Places are not: ``nodes`` on each axis, as far apart.
    """
    x, w = np.polynomial.hermite_e.hermegauss(5)
    place = np.linspace(-4.5, 4.5, nodes)
    density = -(place**2) / 2
    axes = [(place, density)] * 2 + [(x, np.log(w))] * 3
    grid = torch.tensor(list(itertools.product(*(axis[0] for axis in axes))))  # [Q, 4 + 1]
    log_w = torch.tensor(list(itertools.product(*(axis[1] for axis in axes)))).sum(1)
    total = []
    for z in grid.split(4096):
        _, paint = model.draw(posterior(model, z[:, :4], z[:, 4:]), torch.arange(len(z)))
        total.append(likelihood_of(model, frame, canvas(model, paint, len(z), None)))
    log_n = geometric_log_prob(model.price, 1)
    nothing = likelihood_of(model, frame, torch.zeros_like(frame))[0]
    something = (torch.cat(total) + log_w - log_w.logsumexp(0)).logsumexp(0)
    return float(torch.stack([log_n[0] + nothing, log_n[1] + something]).logsumexp(0))


def posterior(model: SQAIR, where: Tensor, what: Tensor) -> Posterior:
    g = Gaussian.standard
    return Posterior(where_to_box(where, model.config), where, what, g(where), g(where), g(what), g(what), what)


def likelihood_of(model: SQAIR, frame: Tensor, images: Tensor) -> Tensor:
    return log_likelihood(frame.expand_as(images), images, model.config.likelihood_std)


@torch.no_grad()
def by_the_prior(model: SQAIR, frames: Tensor, samples: int, generator: torch.Generator) -> Tensor:
    """log p(x | z) of a clip ``[T, 1, C, H, W]`` for samples of the prior, ``[S]``, as the generative story has it."""
    config = model.config
    like = frames[0].expand(samples, -1, -1, -1)
    objects, behind, total = model.initial_state(samples, like).objects, None, torch.zeros(samples)
    next_id = torch.zeros(samples, dtype=torch.int64)
    for t, frame in enumerate(frames):
        behind = None if model.background is None else model.background.imagine(like, behind, generator)
        price = model.price * contrast(model, behind, like)
        kept, paints = [], []
        if len(objects) and config.temporal.any():
            p_where, p_what = model.propagation.prior(objects)
            drawn = posterior(model, p_where.sample(generator), p_what.sample(generator))
            stays = sample_bernoulli(model.stay_logit(price[objects.clip]).expand_as(objects.age), generator).bool()
            moved, paint = model.moved(objects, drawn)
            kept, paints = [moved.rows(stays)], [paint.rows(stays)]
        taken = torch.cat([o.clip for o in kept]).bincount(minlength=samples) if kept else next_id
        limit = config.later_steps if t and config.temporal.any() else config.first_steps
        for room in range(1, config.slots + 1):
            clips = (config.slots - taken == room).nonzero()[:, 0]
            log_n = geometric_log_prob(price[clips], min(limit, room))
            if not len(clips):
                continue
            n = torch.multinomial(log_n.exp(), 1, generator=generator)[:, 0]
            clip = clips.repeat_interleave(n)
            z = torch.randn(len(clip), 4 + config.z_what, generator=generator)
            new, paint = model.born(posterior(model, z[:, :4], z[:, 4:]), clip, next_id)
            kept.append(new)
            paints.append(paint)
        paint = type(paints[0]).concat(paints)
        total = total + likelihood_of(model, frame, canvas(model, paint, samples, behind))
        objects = Objects.concat(kept)
    return total


def log_mean_and_error(log_values: Tensor) -> tuple[float, float]:
    """log of the mean of exp of ``log_values [S]``, and its standard error."""
    top = log_values.max()
    values = torch.exp(log_values - top)
    mean = float(values.mean())
    return math.log(mean) + float(top), float(values.std()) / mean / math.sqrt(len(values))


def estimate(model: SQAIR, frames: Tensor, particles: int, clips: int, resample: bool) -> tuple[float, float]:
    """log of the mean of estimates of p(x), each by K particles, and its standard error."""
    many = frames.expand(-1, clips, -1, -1, -1)
    if resample:
        return log_mean_and_error(particle_filter(model, many, particles, seeded(3)))
    return log_mean_and_error(importance(model, many, particles, seeded(4)).log_p)


def agree(found: tuple[float, float], exact: tuple[float, float], most: float) -> None:
    """Asserts that both are the same, up to errors of which the standard deviation is ``most`` at most."""
    error = math.hypot(found[1], exact[1])
    assert error < most
    assert abs(found[0] - exact[0]) < SIGMAS * error


@pytest.mark.parametrize("discovery", ["residual", "recurrent"])
def test_a_frame_of_one_object_against_quadrature(discovery: Any) -> None:
    model = wide_model(replace(SMALL, slots=1, first_steps=1, discovery=discovery))
    frame = spots(SMALL, 1, 1, count=1)
    exact = quadrature(model, frame[0], 31)
    assert exact == pytest.approx(quadrature(model, frame[0], 25), abs=8e-3)  # what the grid is good for
    found = estimate(model, frame, 1, 20_000, False)
    agree(found, (exact, 4e-3), 0.01)
    model.price += 1.0  # and another prior is noticed
    with pytest.raises(AssertionError):
        agree(found, (quadrature(model, frame[0], 25), 4e-3), 0.01)


CLIPS = {
    "residual": SMALL,
    "background": replace(SMALL, background="smooth"),
    "no presence": replace(SMALL, temporal=TemporalConfig(presence=False)),
    "frames alone": replace(SMALL, temporal=TemporalConfig(False, False, False, False)),
    "opaque": replace(SMALL, objects="opaque", discovery="recurrent"),
}


@pytest.mark.parametrize("kind", CLIPS)
def test_clips_against_the_mean_over_the_prior(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two frames, in which things are born, stay and go."""
    monkeypatch.setattr("sqair.background._DRIFT", -0.5)  # a prior that is as wide as the posterior
    model = wide_model(CLIPS[kind])
    frames = spots(CLIPS[kind], 2, 1)
    exact = log_mean_and_error(by_the_prior(model, frames, 8000, seeded(5)))
    for resample in (False, True):
        agree(estimate(model, frames, 50, 150, resample), exact, 0.3)


def test_where_nothing_is_seen_the_estimate_is_that_of_nothing() -> None:
    """The search is sure of it, so that only p is left, of every frame; what is left out makes it a bound."""
    model = wide_model(replace(SMALL, saliency_threshold=0.5))
    dark = torch.zeros(2, 1, 1, SMALL.height, SMALL.width)
    nothing = sum(geometric_log_prob(model.price, limit)[0] for limit in (SMALL.first_steps, SMALL.later_steps))
    exact = nothing + 2 * likelihood_of(model, dark[0], dark[0])
    for found in (importance(model, dark, 5, seeded(0)).log_p, particle_filter(model, dark, 5, seeded(0))):
        torch.testing.assert_close(found, exact)
    assert exact < log_mean_and_error(by_the_prior(model, dark, 2000, seeded(0)))[0]


def test_a_clip_of_three_frames_by_the_filter() -> None:
    model, frames = wide_model(SMALL), spots(SMALL, 3, 1)
    exact = log_mean_and_error(by_the_prior(model, frames, 8000, seeded(5)))
    agree(estimate(model, frames, 50, 150, True), exact, 0.15)


def test_more_particles_are_nearer_in_the_mean() -> None:
    """K of 1, 4, 16 on samples of their own: means differ by ``SIGMAS`` standard errors of what is below them."""
    model, clips = wide_model(SMALL), 600
    frames = spots(SMALL, 2, 1).expand(-1, clips, -1, -1, -1)
    found = [importance(model, frames, k, seeded(k)).log_p for k in (1, 4, 16)]
    for few, more in itertools.pairwise(found):
        assert more.mean() - few.mean() > SIGMAS * math.sqrt(float(more.var() + few.var()) / clips)


def test_parts_add_up_to_the_bound() -> None:
    config = replace(SMALL, background="smooth")
    model, frames = wide_model(config), spots(config, 3, 2)
    told = importance(model, frames, 7, seeded(0))
    parts = dict(told.parts)
    assert tuple(parts) == PARTS and all(value.abs().min() > 0 for value in parts.values())
    torch.testing.assert_close(parts.pop("log_likelihood") - sum(parts.values()), told.bound)
    assert (told.log_p > told.bound).all() and ((told.effective >= 1 / 7) & (told.effective <= 1)).all()


@pytest.mark.parametrize("background", ["none", "smooth", "still"])
def test_the_state_of_copies_goes_on_as_that_of_the_clips(background: Any) -> None:
    config = replace(SMALL, background=background)
    model, frames = wide_model(config), spots(config, 3, 4)
    which = torch.tensor([2, 0, 2, 3, 3])
    clips, copies = model.initial_state(4, frames, frames.mean(0)), None
    for t, frame in enumerate(frames):
        step, after = model.step(frame, clips, Inference())
        if t:
            copies = picked(clips, which)
            halves = [picked(copies, half) for half in torch.arange(5).split(3)]
            found, _ = model.step(frame[which], joined(halves), Inference())
            torch.testing.assert_close(Terms([found]).log_weight, Terms([step]).log_weight[which])
            for copy, clip in enumerate(which.tolist()):
                ids = [of.objects.id[of.objects.clip == n].sort().values for of, n in ((found, copy), (step, clip))]
                assert torch.equal(*ids)
        clips = after
    assert len(clips.objects)


def test_a_swarm_in_parts_is_that_in_one() -> None:
    model, frames = wide_model(SMALL), spots(SMALL, 3, 3)
    weights = []
    for rows in (100, 4):
        swarm = Swarm(model, frames, 3, seeded(0), None, rows)
        swarm.inference.generator = None  # modes: parts draw other random numbers
        weights.append(torch.stack([swarm.weigh(t) for t in range(3)]))
    torch.testing.assert_close(weights[0], weights[1])


def test_what_is_taken_from_the_frame_is_said() -> None:
    assert conditions(SMALL) == conditions(replace(SMALL, background="smooth", objects="opaque")) == []
    told = replace(SMALL, background="still", objects="layered", ink_std=0.1, stretch=2.0)
    assert len(conditions(told)) == 4 and conditions(replace(SMALL, background="plain")) != []
