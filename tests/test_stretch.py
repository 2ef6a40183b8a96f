"""Contrast, stretched: the model does with faint things what it does with the same of more contrast."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from conftest import TINY, seeded, tiny_model
from sqair.inference.refined import Refined
from sqair.stretch import ROOM, relaxed, stretched

CONFIG = replace(TINY, objects="opaque", background="still", stretch=2.5)


def faint(behind: Tensor, contrast: float, frames: int = 4) -> Tensor:
    """Frames ``[T, B, C, H, W]`` that differ from what is ``behind [B, C, H, W]`` by as much, in their left halves."""
    noise = torch.rand(frames, *behind.shape, generator=seeded(3)) - 0.5
    noise[..., 12:] = 0
    return behind + 2 * contrast * noise


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_differences_are_stretched_and_relaxed(level: float) -> None:
    behind = torch.full((2, 1, 20, 24), level)
    frame = faint(behind, 0.1)[0]
    seen, moved = stretched(frame, behind, CONFIG)
    assert moved.amin() == moved.amax() == pytest.approx(min(max(level, ROOM), 1 - ROOM))
    torch.testing.assert_close(seen - moved, 2.5 * (frame - behind))
    torch.testing.assert_close(relaxed(seen, behind, CONFIG), frame)


def test_what_has_no_room_is_cut_off() -> None:
    behind = torch.zeros(1, 1, 20, 24)
    seen, moved = stretched(behind + 0.9, behind, CONFIG)
    assert (seen == 1).all() and float(moved.mean()) == pytest.approx(ROOM)


def test_nothing_behind_and_no_stretch_leave_frames_alone() -> None:
    frame = torch.rand(1, 1, 20, 24)
    assert stretched(frame, None, CONFIG)[0] is frame
    plain = replace(CONFIG, stretch=1.0)
    assert all(image is frame for image in stretched(frame, frame, plain))
    assert relaxed(frame, frame, plain) is frame


@torch.no_grad()
def test_a_model_sees_faint_things_as_it_sees_others() -> None:
    """Steps on faint frames are those, on the same frames of more contrast, of the model that does not stretch."""
    behind = torch.rand(2, 1, 20, 24, generator=seeded(1))
    frames = faint(behind, 0.12)
    config = replace(CONFIG, background_change=0.0)
    model = tiny_model(config, price=-1e6)
    other = tiny_model(replace(config, stretch=1.0), price=-1e6)
    seen, moved = zip(*(stretched(frame, behind, config) for frame in frames), strict=True)
    steps = model(frames, Refined(), behind)
    expected = other(torch.stack(seen), Refined(), moved[0])
    for step, same in zip(steps, expected, strict=True):
        assert len(step.objects) >= 4
        torch.testing.assert_close(step.objects.where, same.objects.where)
        torch.testing.assert_close(step.objects.what, same.objects.what)
        torch.testing.assert_close(step.log_likelihood, same.log_likelihood)
        torch.testing.assert_close(step.canvas, relaxed(same.canvas, behind, config))
        assert step.behind is not None
        torch.testing.assert_close(step.behind.image, behind)
