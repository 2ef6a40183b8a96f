"""Boxes of z_where are pulled to the ink of objects that are whole and alone."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import TINY
from sqair.config import Stage, TrainConfig
from sqair.geometry import where_to_box
from sqair.render import Light
from sqair.snug import slack
from sqair.trainer import Trainer
from sqair.windows import Patches, Windows

SIDE = 40
CONFIG = replace(TINY, height=SIDE, width=SIDE)
Box = tuple[int, int, int, int]


def seen(boxes: list[Box], where: Tensor, there: list[bool] | None = None) -> tuple[Tensor, Any]:
    """A frame with bright rectangles (x, y, w, h), and the step of objects that draw them, with any z_where."""
    image = torch.zeros(len(boxes), 1, SIDE, SIDE)
    for i, (x, y, w, h) in enumerate(boxes):
        image[i, :, max(0, y) : y + h, max(0, x) : x + w] = 0.9
    clip = torch.zeros(len(boxes), dtype=torch.int64)
    windows = Windows.around(torch.full((len(boxes), 2), SIDE / 2), clip, SIDE, (SIDE, SIDE))
    paint = Patches(Light().paint(image).requires_grad_(), windows)
    proposal = SimpleNamespace(posterior=SimpleNamespace(q_where=SimpleNamespace(mean=where)), paint=paint)
    on = torch.tensor(there or len(boxes) * [True])
    patches = Patches(Light().alone(paint.image.detach()[on], None), windows.rows(on))
    step = SimpleNamespace(rows=[SimpleNamespace(proposal=proposal, there=on)], patches=patches, behind=None)
    return image.amax(0, keepdim=True), step


def test_a_box_of_the_ink_has_no_slack_and_others_are_pulled_to_it() -> None:
    """Descent on it ends at the rectangle, from any z_where near it; nothing else has a gradient."""
    where = torch.tensor([[0.1, -0.1, 0.5, 0.3]], requires_grad=True)
    frame, step = seen([(16, 12, 10, 14)], where)
    optimizer = torch.optim.Adam([where], lr=0.02)
    for _ in range(600):
        optimizer.zero_grad()
        slack(frame[None], [step], CONFIG).backward()
        optimizer.step()
    torch.testing.assert_close(where_to_box(where, CONFIG)[0], torch.tensor([21.0, 19.0, 10.0, 14.0]), atol=0.1, rtol=0)
    assert slack(frame[None], [step], CONFIG) < 0.02 and step.rows[0].proposal.paint.image.grad is None


@pytest.mark.parametrize(
    ("boxes", "told"),
    [
        ([(16, 12, 10, 14)], 1),
        ([(-3, 12, 10, 14)], 0),  # part of it is outside
        ([(30, 12, 10, 14)], 0),  # it may be
        ([(5, 5, 8, 8), (10, 10, 8, 8)], 0),  # they touch
        ([(5, 5, 8, 8), (20, 20, 8, 8)], 2),
    ],
)
def test_only_what_is_seen_whole_is_told(boxes: list[Box], told: int) -> None:
    where = torch.zeros(len(boxes), 4, requires_grad=True)
    frame, step = seen(boxes, where)
    (gradient,) = torch.autograd.grad(slack(frame[None], [step], CONFIG), where)
    assert int(gradient.any(1).sum()) == told


def test_what_is_not_there_is_not_pulled() -> None:
    frame, step = seen([(5, 5, 8, 8), (20, 20, 8, 8)], torch.zeros(2, 4), [False, False])
    assert slack(frame[None], [step], CONFIG) == 0


def test_training_pulls_if_it_is_told_to() -> None:
    def losses(snug: float) -> list[float]:
        config = TrainConfig(stages=(Stage(1, 2, 4),), snug=snug, price_steps=2)
        return [metrics["loss"] for metrics in Trainer(replace(TINY, first_steps=1), config, Bright()).run()]

    without, pulled = losses(0.0), losses(1000.0)
    assert pulled[0] == without[0] and pulled[1] != without[1], "the loss is that of the bound"


class Bright:
    """Clips of one bright square each."""

    length = 2

    def __call__(self, start: int, count: int) -> np.ndarray:
        clips = np.zeros((count, 2, TINY.height, TINY.width), np.uint8)
        clips[:, :, 7:13, 8:14] = 255
        return clips


def test_frames_are_weighed_together_as_each_alone() -> None:
    """Objects of one frame touch none of another's, though they lie at the same place."""
    seen_at = [[(16, 12, 10, 14)], [(14, 13, 9, 9), (20, 20, 8, 8)], [(17, 12, 10, 14)]]
    pairs = [seen(boxes, torch.full((len(boxes), 4), 0.1 * i)) for i, boxes in enumerate(seen_at)]
    frames, steps = torch.stack([frame for frame, _ in pairs]), [step for _, step in pairs]
    alone = [slack(frame[None], [step], CONFIG) for frame, step in pairs]
    assert alone[0] > 0 and alone[1] == 0
    torch.testing.assert_close(slack(frames, steps, CONFIG), sum(alone))
