"""A likelihood whose deviation grows with ink: densities, gains and what faint and bright things are worth."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from conftest import TINY, seeded, spots, tiny_model
from sqair.bounds import Terms
from sqair.config import ModelConfig
from sqair.deviation import deviation
from sqair.inference import Refined, Sampled
from sqair.matcher import Matcher
from sqair.render import RENDERERS, log_likelihood
from sqair.salience import object_nats
from sqair.scene import Scene

pytestmark = pytest.mark.usefixtures("float64")

CONFIG = replace(TINY, likelihood_std=0.05, ink_std=0.3)


def test_it_is_one_number_without_ink_std() -> None:
    assert deviation(torch.rand(2, 1, 20, 24), TINY) == TINY.likelihood_std
    assert Scene(torch.rand(2, 1, 20, 24), None, 1.0, TINY).trust() is None


def test_it_is_the_root_of_both_squares_near_ink_and_the_least_elsewhere() -> None:
    ink = torch.zeros(1, 3, 20, 24)
    ink[:, :, 8, 10] = torch.tensor([0.3, -0.6, 0.6])
    std = deviation(ink, CONFIG)
    assert isinstance(std, Tensor)
    near = torch.zeros(20, 24, dtype=torch.bool)
    near[6:11, 8:13] = True
    assert torch.allclose(std[0, 0][near], torch.tensor((0.05**2 + 0.3**2 * 0.27) ** 0.5))
    assert torch.allclose(std[0, 0][~near], torch.tensor(0.05))


@pytest.mark.parametrize("kind", ["light", "opaque", "layered"])
def test_gains_are_differences_of_densities_with_a_deviation_of_its_own_in_each_pixel(kind: str) -> None:
    render, random = RENDERERS[kind], seeded(0)
    frame, behind = torch.rand(2, 1, 1, 6, 7, generator=random)
    std = 0.1 + torch.rand(1, 1, 6, 7, generator=random)
    image = torch.rand(2, render.channels(1)[0], 6, 7, generator=random)
    one, other = render.paint(image).split(1)
    with_it, without = (render.canvas(paint, behind) for paint in (one + other, other))
    exact = Normal(with_it, std).log_prob(frame).sum() - Normal(without, std).log_prob(frame).sum()
    assert float(render.gain(frame, one, other, behind, std)) == pytest.approx(float(exact), rel=1e-10)
    likely = Normal(with_it, std).log_prob(frame).sum()
    assert float(log_likelihood(frame, with_it, std)) == pytest.approx(float(likely))


def test_faint_things_are_worth_nearly_as_much_as_bright_ones() -> None:
    def worth(level: float, config: ModelConfig) -> float:
        frame = torch.zeros(1, 1, 20, 24)
        frame[..., 5:13, 6:14] = level
        return object_nats(frame, config)

    assert worth(0.9, TINY) / worth(0.15, TINY) == pytest.approx(36)
    assert 1 < worth(0.9, CONFIG) / worth(0.15, CONFIG) < 2.3
    flat = replace(CONFIG, likelihood_std=1e-4)
    assert worth(0.15, flat) == pytest.approx(64 / (2 * 0.3**2), rel=1e-3), "the limit: pixels over 2 ink_std^2"


def test_what_is_missing_bounds_what_can_be_gained() -> None:
    model, frames = tiny_model(CONFIG), spots(CONFIG, 1, 3)
    for step in model(frames, Sampled(seeded(0), boldness=1.0, bold_all=True)):
        for rows in step.rows:
            assert (rows.evidence.gain <= rows.evidence.most() + 1e-9).all()
    scene = Scene(frames[0], None, 1.0, CONFIG)
    std = deviation(frames[0], CONFIG)
    by_hand = [float((frames[0, b] ** 2 / (2 * std[b] ** 2)).sum()) for b in range(3)]  # type: ignore[index]
    assert scene.most_missing().tolist() == pytest.approx(by_hand)
    trust = scene.trust()
    assert trust is not None and trust.max() <= 1 and trust.min() > 0


def test_the_model_propagates_discovers_and_has_gradients() -> None:
    model, frames = tiny_model(CONFIG), spots(CONFIG, 4, 2)
    steps = model(frames, Sampled(seeded(0), boldness=1.0, bold_all=True))
    Terms(steps).elbo.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    for step, frame in zip(model(frames, Refined(memory=2)), frames, strict=True):
        std = deviation(frame, CONFIG)
        exact = Normal(step.canvas, std).log_prob(frame).flatten(1).sum(1)
        assert torch.allclose(step.log_likelihood, exact)


def test_the_matcher_weighs_cells_by_their_deviation() -> None:
    """Half the deviation is four times the gain, and where it is told to be infinite nothing is gained."""
    model, frames = tiny_model(CONFIG), spots(CONFIG, 1, 1)
    objects = model(frames, Sampled(seeded(0), boldness=1.0, bold_all=True))[-1].objects
    scene = Scene(frames[0], None, 1.0, CONFIG)
    prior, _ = model.propagation.prior(objects)
    matcher = Matcher(scene.retina, objects.clip, objects.glimpse, prior, CONFIG, 1.0)
    row, others = torch.arange(len(objects)), torch.zeros_like(matcher.seen[:, :1])
    whole = matcher.gains(row, others)
    for factor in (0.5, 0.0):
        matcher.trust = torch.full_like(matcher.seen[:, :1], factor)
        assert torch.allclose(matcher.gains(row, others), factor**2 * whole, atol=1e-9)
