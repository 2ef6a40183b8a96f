"""Densities, divergences and samples against torch.distributions, numerical integrals and tables."""

import itertools
import math

import pytest
import torch
from scipy import stats
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from conftest import seeded
from sqair.distributions import (
    Gaussian,
    bernoulli_kl,
    bernoulli_log_prob,
    count_log_prob,
    gaussian_kl,
    geometric_log_prob,
    geometric_logits,
    sample_bernoulli,
)

pytestmark = pytest.mark.usefixtures("float64")

FALSE_ALARM = 1e-6
"""Probability with which a right sampler would fail one of the tests of samples, over the choice of the seed."""


def gaussians(*shape: int) -> tuple[Gaussian, Gaussian]:
    q, p = (Gaussian(torch.randn(*shape), 0.7 * torch.randn(*shape)) for _ in range(2))
    return q, p


def independent(g: Gaussian) -> Independent:
    return Independent(Normal(g.mean, g.log_std.exp()), 1)


def test_gaussian_log_prob_and_kl_equal_torch() -> None:
    q, p = gaussians(7, 5)
    value = torch.randn(7, 5)
    torch.testing.assert_close(q.log_prob(value), independent(q).log_prob(value), rtol=0, atol=1e-12)
    torch.testing.assert_close(gaussian_kl(q, p), kl_divergence(independent(q), independent(p)), rtol=0, atol=1e-12)
    assert gaussian_kl(q, q).abs().max() < 1e-14


def test_gaussian_kl_equals_its_integral() -> None:
    q, p = gaussians(1)
    x = torch.linspace(-12, 12, 200_001)[:, None]
    x = q.mean + q.log_std.exp() * x
    log_q, log_p = q.log_prob(x), p.log_prob(x)
    assert float(torch.trapezoid(log_q.exp(), x[:, 0])) == pytest.approx(1, abs=1e-9)
    assert float(torch.trapezoid(log_q.exp() * (log_q - log_p), x[:, 0])) == pytest.approx(
        float(gaussian_kl(q, p)), abs=1e-9
    )


def test_gaussian_samples_follow_their_density() -> None:
    g = Gaussian(torch.tensor([1.5, -0.3]), torch.tensor([-1.0, 0.4]))
    draws = Gaussian(g.mean.expand(20_000, 2), g.log_std.expand(20_000, 2)).sample(seeded(3))
    for i in range(2):
        cdf = stats.norm(float(g.mean[i]), float(g.log_std[i].exp())).cdf
        assert stats.kstest(draws[:, i].numpy(), cdf).pvalue > FALSE_ALARM
    assert torch.corrcoef(draws.T)[0, 1].abs() < 5 / math.sqrt(20_000)


def test_gaussian_without_a_generator_is_its_mean_and_samples_are_reparametrised() -> None:
    g = Gaussian(torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True))
    assert g.sample(None) is g.mean
    sample = g.sample(seeded(0))
    by_mean, by_log_std = torch.autograd.grad(sample.sum(), [g.mean, g.log_std])
    torch.testing.assert_close(by_mean, torch.ones(3))
    torch.testing.assert_close(by_log_std, (sample - g.mean).detach())
    assert torch.equal(sample, g.sample(seeded(0))) and not torch.equal(sample, g.sample(seeded(1)))


def test_around_is_bounded_and_the_identity_nearby() -> None:
    far = torch.tensor([-1e9, -0.01, 0.0, 0.01, 1e9])
    g = Gaussian.around(torch.full_like(far, 5.0), far, far, -2.5)
    assert g.mean.sub(5).abs().max() <= 3 and g.log_std.add(2.5).abs().max() <= 3
    torch.testing.assert_close(g.mean[1:4], 5 + far[1:4], rtol=0, atol=1e-6)
    torch.testing.assert_close(g.log_std[1:4], far[1:4] - 2.5, rtol=0, atol=1e-6)


def test_bernoulli_log_prob_and_kl_equal_torch() -> None:
    q, p = 3 * torch.randn(50), 3 * torch.randn(50)
    value = (torch.rand(50) < 0.5).double()
    torch.testing.assert_close(bernoulli_log_prob(q, value), Bernoulli(logits=q).log_prob(value), rtol=0, atol=1e-12)
    expected = kl_divergence(Bernoulli(logits=q), Bernoulli(logits=p))
    torch.testing.assert_close(bernoulli_kl(q, p), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [30.0, 88.0, 750.0, 1e6, 1e15])
def test_extreme_logits_stay_finite_with_finite_gradients(dtype: torch.dtype, size: float) -> None:
    for a, b in itertools.product([-size, 0.0, size], repeat=2):
        q = torch.tensor([a], dtype=dtype, requires_grad=True)
        p = torch.tensor([b], dtype=dtype, requires_grad=True)
        chain = torch.cat([q, p])
        values = [
            bernoulli_kl(q, p),
            bernoulli_log_prob(q, torch.zeros_like(q)),
            bernoulli_log_prob(q, torch.ones_like(q)),
            count_log_prob(chain)[1:2],
        ]
        for value in values:
            grads = torch.autograd.grad(
                value.sum(), [q, p], allow_unused=True, materialize_grads=True, retain_graph=True
            )
            assert value.isfinite().all() and all(g.isfinite().all() for g in grads), (a, b, value, grads)
    assert float(bernoulli_kl(torch.tensor([size], dtype=dtype), torch.tensor([-size], dtype=dtype))) == pytest.approx(
        size, rel=1e-6
    )


def test_bernoulli_samples_follow_their_density_and_modes_are_modes() -> None:
    logit = torch.tensor([-3.0, -0.5, 0.0, 2.0])
    draws = 40_000
    hits = sample_bernoulli(logit.expand(draws, 4), seeded(5)).sum(0)
    for count, probability in zip(hits.tolist(), torch.sigmoid(logit).tolist(), strict=True):
        assert stats.binomtest(int(count), draws, probability).pvalue > FALSE_ALARM
    assert sample_bernoulli(logit, None).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("price", [0.0, 0.3, 2.0, 20.0, 700.0])
@pytest.mark.parametrize("limit", [1, 3, 6])
def test_the_count_prior_is_the_truncated_geometric(price: float, limit: int) -> None:
    log_p = geometric_log_prob(price, limit)
    success = math.exp(-price)
    total = sum(success**n for n in range(limit + 1))
    expected = torch.tensor([-price * n - math.log(total) for n in range(limit + 1)])
    torch.testing.assert_close(log_p, expected, rtol=1e-13, atol=1e-13)
    if 0 < success < 1:  # equation (2): Geom(n) = (1 - s) s^n, renormalised over 0..N
        geometric = [(1 - success) * success**n / (1 - success ** (limit + 1)) for n in range(limit + 1)]
        torch.testing.assert_close(log_p.exp(), torch.tensor(geometric), rtol=1e-9, atol=0)
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("price", [0.0, 0.3, 2.0, 20.0, 700.0])
@pytest.mark.parametrize("limit", [1, 3, 6])
def test_hazard_logits_reproduce_the_count_prior(price: float, limit: int) -> None:
    logits = geometric_logits(price, limit)
    assert logits.shape == (limit,)
    torch.testing.assert_close(count_log_prob(logits), geometric_log_prob(price, limit), rtol=1e-12, atol=1e-12)


def test_hazard_logits_keep_double_precision_whatever_the_default_type() -> None:
    exact = geometric_logits(0.1, 6)
    torch.set_default_dtype(torch.float32)  # the fixture restores it
    torch.testing.assert_close(geometric_logits(0.1, 6), exact, rtol=1e-12, atol=0)


def test_the_posterior_of_the_count_sums_to_one_and_is_its_product_form() -> None:
    logits = 2 * torch.randn(11, 4)
    log_q = count_log_prob(logits)
    torch.testing.assert_close(log_q.exp().sum(-1), torch.ones(11), rtol=0, atol=1e-13)
    for row, table in zip(torch.sigmoid(logits).tolist(), log_q.exp().tolist(), strict=True):
        for n, q in enumerate(table):
            stop = 1 - row[n] if n < 4 else 1.0
            assert q == pytest.approx(math.prod(row[:n]) * stop, abs=1e-14)


def test_kl_of_the_presence_chain_equals_kl_of_the_count() -> None:
    """The chain rule: KL of each Bernoulli, weighted by the probability that it is reached."""
    for limit, price in itertools.product([1, 3, 5], [0.2, 1.5, 9.0]):
        logits, prior = 2 * torch.randn(20, limit), geometric_logits(price, limit)
        log_q, log_p = count_log_prob(logits), geometric_log_prob(price, limit)
        tabular = (log_q.exp() * (log_q - log_p)).sum(-1)
        on = torch.sigmoid(logits)
        reached = torch.cat([torch.ones(20, 1), on.cumprod(-1)[:, :-1]], -1)
        chain = (reached * bernoulli_kl(logits, prior)).sum(-1)
        torch.testing.assert_close(chain, tabular, rtol=0, atol=1e-12)


def test_sampled_counts_follow_their_density() -> None:
    logits, draws = torch.tensor([1.0, -0.4, 0.3]), 30_000
    generator = seeded(11)
    alive, count = torch.ones(draws), torch.zeros(draws)
    for logit in logits:
        alive = alive * sample_bernoulli(logit.expand(draws), generator)
        count = count + alive
    observed = torch.bincount(count.long(), minlength=4).numpy()
    expected = (count_log_prob(logits).exp() * draws).numpy()
    assert stats.chisquare(observed, expected).pvalue > FALSE_ALARM
    wrong = (geometric_log_prob(0.5, 3).exp() * draws).numpy()
    assert stats.chisquare(observed, wrong).pvalue < FALSE_ALARM
