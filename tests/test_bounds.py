"""The bound: on one frame the seed's formulas to the last digit, on clips what sampling says."""

import itertools
import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from conftest import STATIC, TINY, Dictated, gradient, outcomes, seeded, spots, tiny_model
from sqair.bounds import Terms, iwae, local_presence_gain
from sqair.distributions import Gaussian, bernoulli_log_prob
from sqair.geometry import read, where_to_box, write
from sqair.inference import Inference, Sampled
from sqair.model import SQAIR
from sqair.salience import to_retina

pytestmark = pytest.mark.usefixtures("float64")

SIGMAS = 5.0
"""A right mean is this many standard errors off with probability 6e-7, over the choice of the seed."""


def torch_normal(g: Gaussian) -> Independent:
    return Independent(Normal(g.mean, g.log_std.exp()), 1)


def count_posterior(logits: list[Tensor]) -> list[Tensor]:
    """q(n) by equation (6): z_pres is n ones and then, unless n = N, a zero."""
    on = [torch.sigmoid(logit[0]) for logit in logits]
    ones = [torch.tensor(1.0)]
    for p in on:
        ones.append(ones[-1] * p)
    return [reached * (1 - p) for reached, p in zip(ones, [*on, torch.tensor(0.0)], strict=True)]


def count_prior(price: float, limit: int) -> list[float]:
    """p(n) by equation (2), with success probability s = exp(-price), truncated at N."""
    s = math.exp(-price)
    return [(1 - s) * s**n / (1 - s ** (limit + 1)) for n in range(limit + 1)]


def seed_bound(model: SQAIR, frame: Tensor, generator: torch.Generator | None) -> Tensor:
    """The bound of static AIR on ``frame [1, C, H, W]`` by equations (2), (3), (5), (6), (8) and (10).

    One sample of each z^k; the expectation over n is a sum.
    """
    config = model.config
    limit, std = config.first_steps, config.likelihood_std
    opaque = config.objects == "opaque"
    sight = torch.cat([frame.amax(1, keepdim=True), frame, frame], 1) if opaque else frame
    with torch.no_grad():
        retina = to_retina(sight, config)
    dark, clip = torch.zeros_like(retina[:, : config.covered]), torch.zeros(1, dtype=torch.int64)
    h = model.discovery.search.begin(retina, dark)
    # (5): the parameters of all steps, before any sampling
    omega = [model.discovery.search(h, retina, dark, clip, torch.ones_like(clip), Inference()) for _ in range(limit)]
    q = count_posterior([w.q_logit for w in omega])
    p = count_prior(model.price, limit)

    def draw(g: Gaussian) -> Tensor:
        if generator is None:
            return g.mean
        return g.mean + g.log_std.exp() * torch.randn(g.mean.shape, generator=generator)

    images: list[Tensor] = []
    clear, canvas, likelihood, kl_z = torch.ones(1), torch.zeros_like(frame), [], []
    for w in omega:
        likelihood.append(Normal(canvas, std).log_prob(frame).sum())  # log p(x | z^1..z^k, n = k)
        q_where = w.where
        where = draw(q_where)
        with torch.no_grad():
            box = where_to_box(where, config)
            covered = (1 - clear).expand(1, config.covered, *frame.shape[2:])
            glimpse = read(torch.cat([sight, covered], 1), box, config.glimpse)
        _, q_what = model.discovery.appearance(glimpse)
        what = draw(q_what)
        prior = [torch_normal(Gaussian.standard(z)) for z in (where, what)]  # (3)
        kls = [kl_divergence(torch_normal(g), o) for g, o in zip((q_where, q_what), prior, strict=True)]
        kl_z.append((kls[0] + kls[1])[0])
        images.append(write(model.decoder(what), where_to_box(where, config), config.height, config.width))
        clear = clear * (1 - 0.99 * images[-1][:, : config.covered])
        canvas = 1 - clear
        if opaque:  # colours by their shares in the depth; no pixel is without any
            depth = [-torch.log1p(-0.99 * image[:, :1]) + 1e-300 for image in images]
            mixed = sum(d * image[:, 1:] / (image[:, :1] + 1e-300) for d, image in zip(depth, images, strict=True))
            canvas = (1 - clear) * mixed / sum(depth)
    likelihood.append(Normal(canvas, std).log_prob(frame).sum())

    bound = torch.zeros(())
    for n in range(limit + 1):
        bound = bound + q[n] * likelihood[n]  # (8)
        bound = bound - q[n] * (q[n].log() - math.log(p[n]))  # KL(q(n) || p(n)), (10)
    for k in range(1, limit + 1):
        bound = bound - sum(q[k:]) * kl_z[k - 1]  # P_q(n >= k) KL(z^k), (10)
    return bound


def clamped(model: SQAIR, frame: Tensor, n: int, seed: int | None) -> Terms:
    """The model's terms with n objects in the frame."""
    script = [1] * n + [0]
    dictated = Dictated(None if seed is None else seeded(seed), script=[script])
    terms = Terms(model(frame[None], dictated))
    assert dictated.asked == [min(n + 1, model.config.first_steps)]
    return terms


def averaged_over_counts(model: SQAIR, frame: Tensor, seed: int | None) -> Tensor:
    every = [clamped(model, frame, n, seed) for n in range(model.config.first_steps + 1)]
    q = count_posterior([rows.q_logit for rows in every[-1].rows])
    return sum((p * terms.elbo[0] for p, terms in zip(q, every, strict=True)), torch.zeros(()))


@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize(("limit", "channels"), [(1, 1), (2, 3), (3, 1)])
@pytest.mark.parametrize("objects", ["light", "opaque"])
def test_static_air_is_the_seed_to_the_last_digit(
    seed: int | None, limit: int, channels: int, objects: Literal["light", "opaque"]
) -> None:
    config = replace(STATIC, first_steps=limit, channels=channels, objects=objects)
    model = tiny_model(config, seed=limit, price=0.8)
    frame = spots(config, 1, 1, seed=limit)[0]
    expected = seed_bound(model, frame, None if seed is None else seeded(seed))
    averaged = averaged_over_counts(model, frame, seed)
    torch.testing.assert_close(averaged, expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(gradient(model, averaged), gradient(model, expected), rtol=1e-9, atol=1e-9)


def test_all_parameters_come_before_all_samples() -> None:
    """Equations (5) and (6): without feedback neither q(z_where) nor q(z_pres) knows what was sampled."""
    frame = spots(STATIC, 1, 1)[0]

    def parameters(feedback: bool, seed: int) -> list[Tensor]:
        model = tiny_model(replace(STATIC, discovery_feedback=feedback))
        rows = clamped(model, frame, 3, seed).rows
        return [v for r in rows for v in (r.q_logit, *r.proposal.posterior.q_where)]

    for a, b in zip(parameters(False, 0), parameters(False, 1), strict=True):
        assert torch.equal(a, b)
    first, *later = [not torch.equal(a, b) for a, b in zip(parameters(True, 0), parameters(True, 1), strict=True)]
    assert not first and all(later[2:])  # the first step has nothing to feed back


def test_the_sampled_bound_of_the_seed_has_the_same_mean() -> None:
    """E log w over z, with n summed out, is E of the closed form."""
    model = tiny_model(STATIC, price=0.8)
    copies = 1500
    frames = spots(STATIC, 1, 1).expand(-1, copies, -1, -1, -1)
    with torch.no_grad():
        every = []
        for n in range(4):
            script = [[1] * n] * copies
            every.append(Terms(model(frames, Dictated(seeded(7), script=script))))
        q = torch.stack(count_posterior([rows.q_logit[:1] for rows in every[-1].rows]))
        sampled, closed = (
            (q[:, None] * torch.stack([getattr(t, name) for t in every])).sum(0) for name in ("log_weight", "elbo")
        )
    # the same seed draws the same z^k for every n, whatever comes after it
    assert torch.equal(every[1].rows[0].proposal.posterior.where, every[3].rows[0].proposal.posterior.where)
    assert_zero_mean(sampled - closed)
    assert (sampled - closed).std() > 0.1


@pytest.mark.parametrize("name", ["residual", "recurrent"])
def test_the_sampled_bound_of_clips_has_the_mean_of_the_closed_form(name: str) -> None:
    """Propagation's KLs too: with everything sampled, on clips of three frames."""
    config = replace(TINY, discovery=name)
    model = tiny_model(config, price=0.8)
    frames = spots(config, 3, 1).expand(-1, 1500, -1, -1, -1)
    with torch.no_grad():
        terms = Terms(model(frames, Sampled(seeded(3))))
    assert_zero_mean(terms.log_weight - terms.elbo)
    assert_zero_mean(terms.log_q_presence - terms.log_p_presence - terms.kl_presence)
    assert_zero_mean(terms.log_ratio_z - terms.kl_z)


def assert_zero_mean(difference: Tensor) -> None:
    error = float(difference.std()) / math.sqrt(len(difference))
    assert error > 0 and abs(float(difference.mean())) < SIGMAS * error


@pytest.mark.parametrize("name", ["residual", "recurrent"])
def test_probabilities_of_all_presences_of_a_clip_sum_to_one(name: str) -> None:
    config = replace(TINY, discovery=name, slots=2)
    model = tiny_model(config)
    frames = spots(config, 2, 1)
    scripts = outcomes(model, frames)
    assert len(scripts) > 8
    with torch.no_grad():
        terms = Terms(model(frames.expand(-1, len(scripts), -1, -1, -1), Dictated(script=scripts)))
    assert float(terms.log_q_presence.exp().sum()) == pytest.approx(1, abs=1e-12)
    q = terms.log_q_presence.exp()
    kl = (q * (terms.log_q_presence - terms.log_p_presence)).sum()
    assert float((q * terms.kl_presence).sum()) == pytest.approx(float(kl), abs=1e-12)


def terms_of_all_presences(slots: int, length: int) -> tuple[SQAIR, Terms]:
    """A model of two discovery steps, and a clip of it once for each script of presences."""
    config = replace(STATIC, slots=slots, first_steps=2)
    model = tiny_model(config)
    frames = spots(config, length, 1)
    scripts = outcomes(model, frames)
    with torch.no_grad():
        return model, Terms(model(frames.expand(-1, len(scripts), -1, -1, -1), Dictated(script=scripts)))


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_prior_probabilities_of_all_presences_sum_to_one(slots: int) -> None:
    """Also where slots run out before the steps do."""
    _, terms = terms_of_all_presences(slots, 2)
    assert float(terms.log_p_presence.exp().sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_the_count_prior_ends_where_slots_or_steps_do(slots: int) -> None:
    model, terms = terms_of_all_presences(slots, 1)
    expected = torch.tensor(count_prior(model.price, min(slots, 2)))[terms.objects.long()]
    torch.testing.assert_close(terms.log_p_presence.exp(), expected, rtol=0, atol=1e-12)


def test_a_frame_with_nothing_to_see_still_pays_for_seeing_nothing() -> None:
    """q(n = 0) is 1 there, so that the bound is log p(x | n = 0) + log p(n = 0), for every such frame and clip."""
    model = tiny_model(TINY, price=0.5)
    frames = spots(TINY, 2, 3)
    frames[:, 0], frames[1, 1] = 0, 0
    with torch.no_grad():
        terms = Terms(model(frames, Dictated()))
    first, later = (math.log(count_prior(0.5, limit)[0]) for limit in (TINY.first_steps, TINY.later_steps))
    for clip, certain in enumerate([first + later, later, 0.0]):
        asked = sum(float(bernoulli_log_prob(r.proposal.p_logit, r.pres)[r.clip == clip].sum()) for r in terms.rows)
        assert float(terms.log_p_presence[clip]) == pytest.approx(first + later, abs=1e-9)
        assert float(terms.log_p_presence[clip]) == pytest.approx(asked + certain, abs=1e-9)
    for bound in (terms.elbo, terms.log_weight):
        assert float(bound[0]) == pytest.approx(float(terms.log_likelihood[0]) + first + later, abs=1e-9)


def test_terms_add_up_by_clip() -> None:
    """Every sum of Terms, row by row with torch's own distributions."""
    model = tiny_model(TINY)
    frames = spots(TINY, 3, 4)
    with torch.no_grad():
        terms = Terms(model(frames, Sampled(seeded(1))))
    names = ("log_likelihood", "kl_presence", "kl_z", "log_ratio_z", "log_q_presence", "log_p_presence")
    expected = {name: torch.zeros(4) for name in names}
    for step, frame in zip(terms.steps, frames, strict=True):
        expected["log_likelihood"] += Normal(step.canvas, 0.3).log_prob(frame).flatten(1).sum(1)
        expected["log_p_presence"] += step.log_p_nothing
        expected["kl_presence"] -= step.log_p_nothing
        for r in step.rows:
            q_pres, p_pres = Bernoulli(logits=r.q_logit), Bernoulli(logits=r.proposal.p_logit)
            latent = r.proposal.posterior
            pairs = [(latent.q_where, latent.p_where, latent.where), (latent.q_what, latent.p_what, latent.what)]
            kl = sum(kl_divergence(torch_normal(q), torch_normal(p)) for q, p, _ in pairs)
            ratio = sum(torch_normal(q).log_prob(z) - torch_normal(p).log_prob(z) for q, p, z in pairs)
            values = (kl_divergence(q_pres, p_pres), r.pres * kl, r.pres * ratio)
            values += (q_pres.log_prob(r.pres), p_pres.log_prob(r.pres))
            for name, value in zip(names[1:], values, strict=True):
                for m, clip in enumerate(r.clip.tolist()):
                    expected[name][clip] += value[m]
    for name in names:
        torch.testing.assert_close(getattr(terms, name), expected[name], rtol=1e-10, atol=1e-9)
    elbo = expected["log_likelihood"] - expected["kl_presence"] - expected["kl_z"]
    log_weight = expected["log_likelihood"] + expected["log_p_presence"] - expected["log_q_presence"]
    torch.testing.assert_close(terms.elbo, elbo)
    torch.testing.assert_close(terms.log_weight, log_weight - expected["log_ratio_z"])
    assert terms.summary()["elbo"] == pytest.approx(float(elbo.mean()) / 3)
    assert 0 < torch.cat([r.pres for r in terms.rows]).mean() < 1


def test_the_local_gain_is_what_the_bound_gains() -> None:
    """For the last object of the last frame: the difference of the bound with it and without it."""
    config = replace(STATIC, first_steps=2)
    model = tiny_model(config)
    frame = spots(config, 1, 1)[0]
    with_it, without = (clamped(model, frame, n, 5) for n in (2, 1))
    # the KL of presence is the same: it does not depend on the last sample
    gained = local_presence_gain(with_it.rows[1])
    torch.testing.assert_close(gained, (with_it.elbo - without.elbo).detach(), rtol=0, atol=1e-9)
    torch.testing.assert_close(gained, local_presence_gain(without.rows[1]))
    assert not gained.requires_grad


# the importance-weighted bound


def test_iwae_of_one_particle_is_the_log_weight() -> None:
    log_weight = 100 * torch.randn(1, 7)
    torch.testing.assert_close(iwae(log_weight), log_weight[0], rtol=1e-14, atol=0)


def test_iwae_is_the_log_of_the_mean_weight_at_any_size() -> None:
    log_weight = torch.randn(4, 7)
    torch.testing.assert_close(iwae(log_weight), log_weight.exp().mean(0).log(), rtol=0, atol=1e-13)
    torch.testing.assert_close(iwae(log_weight - 1e5), iwae(log_weight) - 1e5, rtol=0, atol=1e-9)


def test_iwae_rises_with_particles_towards_the_likelihood() -> None:
    """Expectations over all outcomes of a weight with four values."""
    values, q = torch.tensor([-3.0, -0.5, 0.4, 1.5]), torch.tensor([0.3, 0.4, 0.2, 0.1])
    bounds = []
    for particles in (1, 2, 3, 4, 5):
        picks = torch.tensor(list(itertools.product(range(4), repeat=particles)))
        bounds.append(float((q[picks].prod(1) * iwae(values[picks].T)).sum()))
    assert bounds[0] == pytest.approx(float((q * values).sum()), abs=1e-12)
    assert all(a < b for a, b in itertools.pairwise(bounds))
    assert bounds[-1] < float((q * values.exp()).sum().log())


def test_iwae_of_the_model_is_above_its_elbo_and_below_the_exact_likelihood() -> None:
    """By enumeration, z at the posterior means: sum_n q(n) w(n) bounds every K."""
    model = tiny_model(STATIC, price=0.8)
    frames = spots(STATIC, 1, 1)
    scripts = outcomes(model, frames)
    with torch.no_grad():
        terms = Terms(model(frames.expand(-1, len(scripts), -1, -1, -1), Dictated(script=scripts)))
    q, log_weight = terms.log_q_presence.exp(), terms.log_weight
    exact = (terms.log_q_presence + log_weight).logsumexp(0)
    bounds = []
    for particles in (1, 2, 3):
        picks = torch.cartesian_prod(*[torch.arange(len(scripts))] * particles).view(-1, particles)
        bounds.append(float((q[picks].prod(1) * iwae(log_weight[picks].T)).sum()))
    assert bounds[0] < bounds[1] < bounds[2] < float(exact)
