"""Blending, the likelihood, and what each object gains, by brute force."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from conftest import blend
from sqair.render import RENDERERS, Light, Opaque, background, log_likelihood

pytestmark = pytest.mark.usefixtures("float64")

STD = 0.3
CLIP = torch.tensor([0, 2, 0, 2, 2])
"""Five objects in three clips; clip 1 has none."""
KINDS = pytest.mark.parametrize("kind", ["light", "opaque", "layered"])
CHANNELS = pytest.mark.parametrize("channels", [1, 3])


def scene(kind: str, channels: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Frames and backgrounds ``[3, C, 7, 9]``, and how the decoder would draw the objects ``[5, P, 7, 9]``."""
    frame, behind = torch.rand(2, 3, channels, 7, 9)
    image = torch.rand(5, channels + (kind != "light"), 7, 9)
    if kind != "light":
        image[:, 1:] *= image[:, :1]
    return frame, background(behind), image


def canvas_by_hand(kind: str, image: Tensor, behind: Tensor, present: list[float]) -> Tensor:
    """Pixel by pixel: 1 - (1 - b) prod_k (1 - g_k), or the mixture of colours before e^-W of the background.

    An object covers at most 99 in 100 of a pixel.
    """
    out = behind.clone()
    for clip, c, y, x in torch.cartesian_prod(*(torch.arange(n) for n in out.shape)).tolist():
        mine = [k for k in range(5) if CLIP[k] == clip]
        b = float(behind[clip, c, y, x])
        if kind == "light":
            clear = math.prod((1 - 0.99 * float(image[k, c, y, x])) ** present[k] for k in mine)
            out[clip, c, y, x] = 1 - (1 - b) * clear
        else:
            depth = [-present[k] * math.log(1 - 0.99 * float(image[k, 0, y, x])) for k in mine]
            colour = [float(image[k, 1 + c, y, x] / image[k, 0, y, x]) for k in mine]
            if sum(depth) > 0:
                mixed = sum(w * v for w, v in zip(depth, colour, strict=True)) / sum(depth)
                out[clip, c, y, x] = math.exp(-sum(depth)) * b + (1 - math.exp(-sum(depth))) * mixed
    return out


def drawn(kind: str, image: Tensor, behind: Tensor | None, present: Tensor) -> Tensor:
    render = RENDERERS[kind]
    return render.canvas(blend(present[:, None, None, None] * render.paint(image), CLIP, 3), behind)


def normal(frame: Tensor, canvas: Tensor) -> Tensor:
    return Normal(canvas, STD).log_prob(frame).flatten(1).sum(1)


@CHANNELS
def test_the_likelihood_is_the_normal_density(channels: int) -> None:
    frame, canvas = torch.rand(2, 4, channels, 7, 9)
    torch.testing.assert_close(log_likelihood(frame, canvas, STD), normal(frame, canvas), rtol=1e-13, atol=0)


@KINDS
@CHANNELS
@pytest.mark.parametrize("present", [[1.0] * 5, [1.0, 0.0, 0.0, 1.0, 1.0], [0.3, 0.9, 1e-5, 0.5, 0.0]])
def test_the_canvas_by_hand(kind: str, channels: int, present: list[float]) -> None:
    """Objects that are not there leave no trace, and those that are half there half of one."""
    _, behind, image = scene(kind, channels)
    for b in (behind, None):
        canvas = drawn(kind, image, b, torch.tensor(present))
        expected = canvas_by_hand(kind, image, torch.zeros_like(behind) if b is None else b, present)
        torch.testing.assert_close(canvas, expected, rtol=0, atol=1e-13)
        torch.testing.assert_close(canvas[1], torch.zeros_like(canvas[1]) if b is None else b[1])


@KINDS
def test_the_canvas_does_not_depend_on_the_order_of_objects(kind: str) -> None:
    _, _, image = scene(kind)
    order, paint = torch.tensor([3, 0, 4, 2, 1]), RENDERERS[kind].paint(image)
    torch.testing.assert_close(blend(paint[order], CLIP[order], 3), blend(paint, CLIP, 3), rtol=0, atol=1e-13)


@CHANNELS
def test_white_objects_that_cover_all_channels_alike_are_light(channels: int) -> None:
    """c = 1 makes noisy-or, before any background."""
    _, behind, image = scene("light", channels)
    image = image[:, :1]
    white = image.expand(-1, 1 + channels, -1, -1)
    for b in (behind, None):
        light = drawn("light", image.expand(-1, channels, -1, -1), b, torch.ones(5))
        torch.testing.assert_close(drawn("opaque", white, b, torch.ones(5)), light, rtol=0, atol=1e-12)


def test_the_thinnest_paint_shows_its_colour_by_its_depth() -> None:
    depth = torch.tensor([1e-3, 1e-8, 1e-12, 0.0])
    canvas = Opaque().canvas(torch.stack([-depth, 0.7 * depth])[None, :, None], None).flatten()
    torch.testing.assert_close(canvas, 0.7 * -torch.expm1(-depth), rtol=1e-6, atol=0)


@KINDS
@CHANNELS
@pytest.mark.parametrize("alone", [True, False])
def test_the_gain_is_the_difference_of_two_likelihoods(kind: str, channels: int, alone: bool) -> None:
    frame, behind, image = scene(kind, channels)
    paint = RENDERERS[kind].paint(image)
    others = torch.zeros_like(paint) if alone else blend(paint, CLIP, 3)[CLIP] - paint
    for b in (behind, None):
        gained = RENDERERS[kind].gain(frame[CLIP], paint, others, None if b is None else b[CLIP], STD)
        for m, clip in enumerate(CLIP.tolist()):
            without = [float(not alone and k != m) for k in range(5)]
            with_it = [max(on, k == m) for k, on in enumerate(without)]
            before, after = (normal(frame, drawn(kind, image, b, torch.tensor(on)))[clip] for on in (without, with_it))
            assert float(gained[m]) == pytest.approx(float(after - before), abs=1e-9)


@KINDS
def test_the_gain_of_an_invisible_object_is_nothing(kind: str) -> None:
    frame, behind, image = scene(kind)
    paint, none = (RENDERERS[kind].paint(i) for i in (image, torch.zeros_like(image)))
    assert RENDERERS[kind].gain(frame[CLIP], none, paint, behind[CLIP], STD).abs().max() < 1e-12


@KINDS
def test_no_object_gains_more_than_what_is_missing_costs(kind: str) -> None:
    frame, behind, image = scene(kind)
    render = RENDERERS[kind]
    others = blend(render.paint(image), CLIP, 3)[CLIP]
    below = render.canvas(others, behind[CLIP])
    most = render.missing(frame[CLIP], below).square().flatten(1).sum(1) / (2 * STD**2)
    for seed in range(20):
        further = torch.rand(image.shape, generator=torch.Generator().manual_seed(seed)) ** 3
        further[:, 1:] = further[:, 1:] * further[:, :1] if kind != "light" else further[:, 1:]
        gained = render.gain(frame[CLIP], render.paint(further), others, behind[CLIP], STD)
        assert (gained <= most).all()


def test_an_opaque_object_can_be_darker_than_what_is_behind() -> None:
    black = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    assert float(Opaque().canvas(Opaque().paint(black), torch.full((1, 1, 1, 1), 0.8))) == pytest.approx(0.008)
    assert float(Opaque().alone(Opaque().paint(black), torch.full((1, 1, 1, 1), 0.8))) == pytest.approx(0.792)
    assert Opaque().ink(torch.zeros(1), torch.full((1,), 0.8)).tolist() == pytest.approx([-0.8])


@KINDS
def test_gradients_stay_finite_under_full_ink_and_without_any(kind: str) -> None:
    for level in (1.0, 0.0):
        image = torch.full((2, 1 + (kind != "light"), 5, 5), level, requires_grad=True)
        render = RENDERERS[kind]
        canvas = render.canvas(blend(render.paint(image), torch.tensor([0, 0]), 1), None)
        assert canvas.min() >= 0.99 * level and canvas.max() <= max(level, 0)
        (grad,) = torch.autograd.grad(log_likelihood(torch.ones_like(canvas) / 2, canvas, STD).sum(), image)
        assert grad.isfinite().all() and grad.abs().max() > 0


def test_backgrounds_of_light_are_never_quite_white() -> None:
    assert float(Light().contrast(background(torch.ones(1, 1, 2, 2)))) == pytest.approx(1e-4)
    assert float(Opaque().contrast(background(torch.ones(1, 1, 2, 2)))) == 1


def test_visible_ink_is_what_differs_from_the_background() -> None:
    """Of light how much more there is, of opaque objects how much differs; the frame itself where there is none."""
    frame, behind = torch.tensor([[[[0.5, 0.2]]]]), torch.tensor([[[[0.1, 0.6]]]])
    torch.testing.assert_close(Light().visible(frame, behind), torch.tensor([[[[0.4, -0.4]]]]))
    torch.testing.assert_close(Opaque().visible(frame, behind), torch.tensor([[[[0.4, 0.4]]]]))
    for kind in (Light(), Opaque()):
        assert torch.equal(kind.visible(frame, None), frame)
