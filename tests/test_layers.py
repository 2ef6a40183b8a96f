"""Layers: what is in front hides what is behind it, and the order is the one that explains most."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from conftest import TINY, seeded, tiny_model
from sqair.bounds import Terms
from sqair.inference import Refined, Sampled
from sqair.layers import layered
from sqair.masks import segments
from sqair.objects import Objects
from sqair.render import Layered, Opaque, log_likelihood
from sqair.scene import Proposal, Scene
from sqair.windows import Patches, Windows

pytestmark = pytest.mark.usefixtures("float64")

CONFIG = replace(TINY, objects="layered", channels=3, likelihood_std=0.1)
RENDER = Layered()
COLOURS = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.2, 0.9], [0.1, 0.9, 0.3]], dtype=torch.float64)
MIDDLE = torch.ones(3, dtype=torch.int64)
CENTRES = torch.tensor([[9.0, 10.0], [13.0, 10.0], [11.0, 13.0]], dtype=torch.float64)


def discs(centres: Tensor, edge: float = 0.3) -> Tensor:
    """Discs of radius 5 as the decoder would draw them, ``[M, 4, 20, 24]``: alpha, and alpha times colour."""
    y, x = torch.meshgrid(torch.arange(20) + 0.5, torch.arange(24) + 0.5, indexing="ij")
    away = ((x - centres[:, 0, None, None]) ** 2 + (y - centres[:, 1, None, None]) ** 2).sqrt()
    alpha = torch.sigmoid((5 - away) / edge)[:, None].clamp(1e-4, 1 - 1e-4)
    return torch.cat([alpha, alpha * COLOURS[: len(centres), :, None, None]], 1)


def proposed(paint: Tensor, layer: Tensor, clip: Tensor, turn: int = 0) -> Proposal:
    """Objects of that paint, of which nothing else is known."""
    rows = len(paint)
    objects = replace(Objects.none(paint, 4, 8, 4, 6), clip=clip, layer=layer)
    windows = Windows(clip, torch.zeros(rows, 2, dtype=torch.int64), (20, 24), (20, 24))
    on = torch.ones(rows) if turn == 0 else torch.zeros(rows)
    return Proposal(objects, None, Patches(paint, windows), on, None, on, on, turn)  # type: ignore[arg-type]


def covered(order: list[int], centres: Tensor = CENTRES) -> Tensor:
    """A frame ``[1, 3, 20, 24]`` of discs, painted one over the other in that order."""
    frame = torch.zeros(3, 20, 24)
    for k in order:
        alpha, shown = discs(centres)[k].split([1, 3])
        frame = (1 - alpha) * frame + shown
    return frame[None]


def test_what_is_in_front_hides_what_is_behind() -> None:
    paint = RENDER.paint(discs(CENTRES[:2]))
    y, x = 10, 11  # in both discs
    for front in (0, 1):
        layer = torch.tensor([2, 0] if front == 0 else [0, 1])
        canvas = RENDER.canvas(RENDER.placed(paint, layer).sum(0, keepdim=True), None)[0, :, y, x]
        alpha = 0.99 * discs(CENTRES)[:2, 0, y, x]
        seen = (alpha[front], (1 - alpha[front]) * alpha[1 - front])
        assert torch.allclose(canvas, seen[0] * COLOURS[front] + seen[1] * COLOURS[1 - front])


def test_in_one_layer_objects_are_opaque_ones() -> None:
    image, behind = discs(CENTRES), torch.rand(1, 3, 20, 24)
    opaque, layers = Opaque(), Layered()
    for paint in (0, 1, 2):
        one = opaque.canvas(opaque.paint(image[: paint + 1]).sum(0, keepdim=True), behind)
        same = layers.canvas(layers.paint(image[: paint + 1]).sum(0, keepdim=True), behind)
        assert torch.allclose(one, same, atol=1e-14)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1], [1, 0, 2], [2, 0, 1]])
def test_the_order_of_three_discs_is_found(order: list[int]) -> None:
    scene = Scene(covered(order), None, 1.0, CONFIG)
    proposal = proposed(RENDER.paint(discs(CENTRES)), MIDDLE, torch.zeros(3, dtype=torch.int64))
    before = None
    for _ in range(4):  # frames that show the same
        scene.show(proposal)
        proposal = layered(scene, proposal)
        likely = float(log_likelihood(scene.frame, scene.canvas(), CONFIG.likelihood_std))
        assert before is None or likely >= before - 1e-9, "a change explains more"
        before = likely
    assert proposal.objects.layer.argsort().tolist() == order


def test_a_new_one_goes_between_before_or_behind_what_is_there() -> None:
    paint = RENDER.paint(discs(CENTRES[:2]))
    for order, layer in (([0, 1], 2), ([1, 0], 0)):
        scene = Scene(covered(order, CENTRES[:2]), None, 1.0, CONFIG)
        scene.show(proposed(paint[:1], MIDDLE[:1], torch.zeros(1, dtype=torch.int64)))
        new = layered(scene, proposed(paint[1:], MIDDLE[:1], torch.zeros(1, dtype=torch.int64), turn=1))
        assert new.objects.layer.tolist() == [layer]
        assert torch.allclose(new.paint.image, RENDER.placed(paint[1:], torch.tensor([layer])))
    alone = Scene(covered([1], CENTRES[:2]), None, 1.0, CONFIG)
    new = layered(alone, proposed(paint[1:], MIDDLE[:1], torch.zeros(1, dtype=torch.int64), turn=1))
    assert new.objects.layer.tolist() == [1], "nothing overlaps"


def test_clips_do_not_see_one_another() -> None:
    clip = torch.tensor([0, 1, 0, 1])
    frames = torch.cat([covered([0, 1], CENTRES[:2]), covered([1, 0], CENTRES[:2])])
    scene = Scene(frames, None, 1.0, CONFIG)
    paint = RENDER.paint(discs(CENTRES[:2]))[[0, 0, 1, 1]]
    proposal = proposed(paint, torch.ones(4, dtype=torch.int64), clip)
    scene.show(proposal)
    layer = layered(scene, proposal).objects.layer
    assert layer[0] < layer[2] and layer[1] > layer[3]


def test_gradients_go_through_all_layers() -> None:
    image = (0.1 + 0.8 * torch.rand(3, 4, 3, 4, generator=seeded(0))).requires_grad_()
    behind = torch.rand(1, 3, 3, 4, generator=seeded(1))

    def canvas(drawn: Tensor) -> Tensor:
        return RENDER.canvas(RENDER.placed(RENDER.paint(drawn), torch.tensor([0, 2, 2])).sum(0, keepdim=True), behind)

    assert torch.autograd.gradcheck(canvas, image)
    model = tiny_model(CONFIG)
    frames = torch.stack([covered([0, 1]), covered([1, 0])])
    steps = model(frames, Sampled(seeded(0), boldness=1.0, bold_all=True))
    Terms(steps).elbo.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert all(0 <= step.objects.layer.min() and step.objects.layer.max() <= 2 for step in steps)


def test_masks_show_what_is_in_front() -> None:
    model = tiny_model(CONFIG)
    frame = covered([0, 1])
    step, _ = model.step(frame, model.initial_state(1, frame), Refined())
    assert step.depth is not None and step.depth.image.shape[1] == 3
    assert segments(step, 1).shape == (1, 20, 24)


def test_a_shape_looks_the_same_whatever_its_contrast() -> None:
    """To the encoder; its colour is that of the frame there. What is next to nothing stays so."""
    shape, behind = torch.rand(1, 1, 6, 6), torch.tensor([0.2, 0.5, 0.6])[:, None, None]
    hue = torch.tensor([1.0, -0.5, 0.25])[:, None, None]

    def focus(contrast: float) -> Tensor:
        ink = contrast * shape * hue
        return RENDER.focus(torch.cat([RENDER.see(behind + ink, behind + 0 * ink), 0 * shape], 1))

    strong, faint, none = focus(0.4), focus(0.1), focus(1e-4)
    peak = float(shape.max())
    torch.testing.assert_close(strong[:, :1], shape / (peak + 0.02 / 0.4))
    torch.testing.assert_close(faint[:, :1], shape / (peak + 0.02 / 0.1))
    torch.testing.assert_close(faint[:, 4:7], faint[:, :1] * (behind + 0.1 * shape * hue))
    assert none[:, :1].max() < 0.01
