"""Blending, the likelihood, and what each object gains, by brute force."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from sqair.render import blend, gain, log_clear, log_likelihood

pytestmark = pytest.mark.usefixtures("float64")

STD = 0.3
CLIP = torch.tensor([0, 2, 0, 2, 2])
"""Five objects in three clips; clip 1 has none."""


def scene(channels: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Frames ``[3, C, 7, 9]``, images of the objects ``[5, C, 7, 9]`` and their log(1 - g)."""
    frame, image = torch.rand(3, channels, 7, 9), torch.rand(5, channels, 7, 9)
    return frame, image, log_clear(image)


def canvas_by_product(image: Tensor, present: list[bool]) -> Tensor:
    """1 - prod_k (1 - g_k), object by object; an object covers at most 99 in 100 of a pixel."""
    clear = torch.ones(3, *image.shape[1:])
    for g, clip, on in zip(image, CLIP.tolist(), present, strict=True):
        if on:
            clear[clip] = clear[clip] * (1 - 0.99 * g)
    return 1 - clear


def normal(frame: Tensor, canvas: Tensor) -> Tensor:
    return Normal(canvas, STD).log_prob(frame).flatten(1).sum(1)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_likelihood_is_the_normal_density(channels: int) -> None:
    frame, canvas = torch.rand(2, 4, channels, 7, 9)
    torch.testing.assert_close(log_likelihood(frame, canvas, STD), normal(frame, canvas), rtol=1e-13, atol=0)


def test_blend_is_the_product_form() -> None:
    _, image, clear = scene(2)
    canvas = -torch.expm1(blend(clear, CLIP, 3))
    torch.testing.assert_close(canvas, canvas_by_product(image, [True] * 5), rtol=0, atol=1e-13)
    assert canvas[1].abs().max() == 0


def test_blend_does_not_depend_on_the_order_of_objects() -> None:
    _, _, clear = scene()
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(blend(clear[order], CLIP[order], 3), blend(clear, CLIP, 3), rtol=0, atol=1e-13)


def test_an_object_that_is_not_there_leaves_no_trace() -> None:
    _, image, clear = scene()
    present = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0])
    canvas = -torch.expm1(blend(present[:, None, None, None] * clear, CLIP, 3))
    expected = canvas_by_product(image, present.bool().tolist())
    torch.testing.assert_close(canvas, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alone", [True, False])
def test_the_gain_is_the_difference_of_two_likelihoods(channels: int, alone: bool) -> None:
    frame, image, clear = scene(channels)
    others = torch.zeros_like(clear) if alone else blend(clear, CLIP, 3)[CLIP] - clear
    gained = gain(frame[CLIP], others.exp(), clear, STD)
    for m, clip in enumerate(CLIP.tolist()):
        without = [not alone and k != m for k in range(5)]
        with_it = [on or k == m for k, on in enumerate(without)]
        before, after = (normal(frame, canvas_by_product(image, on))[clip] for on in (without, with_it))
        assert float(gained[m]) == pytest.approx(float(after - before), abs=1e-9)


def test_the_gain_of_an_invisible_object_is_nothing() -> None:
    frame, image, clear = scene()
    black = log_clear(torch.zeros_like(image))
    assert gain(frame[CLIP], clear.exp(), black, STD).abs().max() == 0


def test_gradients_stay_finite_under_full_ink() -> None:
    image = torch.ones(2, 1, 5, 5, requires_grad=True)
    canvas = -torch.expm1(blend(log_clear(image), torch.tensor([0, 0]), 1))
    assert 0.999 < canvas.min() and canvas.max() <= 1
    (grad,) = torch.autograd.grad(log_likelihood(torch.zeros_like(canvas), canvas, STD).sum(), image)
    assert grad.isfinite().all()
