"""One object that explains two things becomes two."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from sqair.boxes import step_tracks
from sqair.eval.boxes import iou
from sqair.geometry import box_to_where, top_left_box, where_to_box
from sqair.inference import tracking
from sqair.inference.restarts import explain
from sqair.life import missed
from sqair.model import SQAIR
from sqair.objects import Objects
from sqair.scripts.any_camera import ANY_CAMERA
from sqair.split import Half, Split, _around, _drawn, _shown
from sqair.state import State, Step
from test_lumps import ellipse, places

THING = (26.0, 10.0)
FIRST, SECOND = (30.0, 24.0), (30.0, 37.0)
"""Centres (x, y) of two that lie side by side."""
TYPICAL = float(ellipse(*FIRST, *THING).sum())


@pytest.fixture(scope="module")
def model() -> SQAIR:
    """Weights that know things of any shape, on a canvas of 60 by 60 pixels."""
    trained = SQAIR.from_pretrained(ANY_CAMERA)
    trained.config = replace(trained.config, height=60, width=60, size_mean=15.0, likelihood_std=0.06, slots=6)
    return trained.eval()


def frame_of(*centres: tuple[float, float]) -> Tensor:
    """A frame ``[1, C, 60, 60]`` of dark things before a light scene."""
    shown = np.any([ellipse(*centre, *THING) for centre in centres], axis=0)
    return torch.from_numpy(np.where(shown, 0.2, 0.7)).float().expand(1, 3, -1, -1)


def explained(model: SQAIR, frame: Tensor, *parts: np.ndarray, names: tuple[int, ...]) -> tuple[Step, State]:
    """A frame in which each of some objects explains all that is around the places ``parts [N, 2]`` of pixels."""
    state = model.initial_state(1, frame, torch.full_like(frame, 0.7))
    step, state = explain(model, frame, state, tracking(True, 30, 0))
    assert step.behind is not None
    scene = model.scene(frame, step.behind)
    halves: list[Half] = []
    for part in parts:
        where = _around(part, model.config).float()
        halves.append(_drawn(model, scene, torch.zeros_like(scene.paint), where.repeat(2, 1))[0])
    clip = torch.zeros(1, dtype=torch.int64)
    objects = Objects.concat([model.born(half.posterior, clip, clip)[0] for half in halves])
    objects = replace(objects, id=torch.tensor(names))
    step = _shown(model, scene, replace(step, objects=objects, confidence=torch.ones(len(names))))
    return step, replace(state, objects=objects, next_id=torch.tensor([max(names) + 1]))


def boxes(step: Step, model: SQAIR) -> np.ndarray:
    """Where the objects of a frame are, ``[M, 4]`` (x, y, w, h)."""
    return top_left_box(where_to_box(step.objects.where, model.config)).numpy()


def truth(*centres: tuple[float, float]) -> np.ndarray:
    """Boxes ``[N, 4]`` (x, y, w, h) of things."""
    return np.array([[x - THING[0] / 2, y - THING[1] / 2, *THING] for x, y in centres])


BOTH = places(ellipse(*FIRST, *THING) | ellipse(*SECOND, *THING))


@torch.inference_mode()
def test_one_that_explains_two_becomes_two(model: SQAIR) -> None:
    frame = frame_of(FIRST, SECOND)
    step, state = explained(model, frame, BOTH, names=(4,))
    nobody = model.initial_state(1, frame)
    after, carried = Split(model, frame, nobody).of(step, state, TYPICAL)
    assert sorted(after.objects.id.tolist()) == sorted(carried.objects.id.tolist()) == [4, 5]
    assert carried.next_id.tolist() == [6] and after.confidence.tolist() == [1, 1]
    assert iou(boxes(after, model), truth(FIRST, SECOND)).max(1).min() > 0.7
    told = step_tracks(after, frame, 0, model.config, "ink")[0].box
    assert iou(told, truth(FIRST, SECOND)).max(1).min() > 0.7
    assert float(after.log_likelihood) > float(step.log_likelihood) - 0.5 * model.price
    error = (after.canvas - frame).square().mean()
    assert error < 0.5 * (0.7 - frame).square().mean()


@torch.inference_mode()
@pytest.mark.parametrize("here", [FIRST, SECOND])
def test_who_it_was_is_nearer_to_where_that_was_expected(model: SQAIR, here: tuple[float, float]) -> None:
    frame = frame_of(FIRST, SECOND)
    _, before = explained(model, frame_of(here), places(ellipse(*here, *THING)), names=(4,))
    step, state = explained(model, frame, BOTH, names=(4,))
    after, _ = Split(model, frame, before).of(step, state, TYPICAL)
    mine = boxes(after, model)[after.objects.id.tolist().index(4)]
    assert iou(mine[None], truth(here))[0, 0] > 0.7


@torch.inference_mode()
def test_the_other_is_who_was_lost_there(model: SQAIR) -> None:
    """It is no more among those that are not seen, and no new id is taken."""
    frame = frame_of(FIRST, SECOND)
    _, before = explained(model, frame, *(places(ellipse(*at, *THING)) for at in (FIRST, SECOND)), names=(4, 2))
    step, state = explained(model, frame, BOTH, names=(4,))
    lost = before.objects.rows(before.objects.id == 2)
    posterior = model.propagation(model.scene(frame, step.behind), lost, None)  # type: ignore[arg-type]
    state = replace(state, objects=Objects.concat([state.objects, missed(lost, posterior)]))
    after, carried = Split(model, frame, before).of(step, state, TYPICAL)
    assert sorted(after.objects.id.tolist()) == sorted(carried.objects.id.tolist()) == [2, 4]
    assert carried.next_id.tolist() == [5] and carried.objects.unseen.tolist() == [0, 0]


@torch.inference_mode()
@pytest.mark.parametrize("reason", ["one thing", "large things", "no room", "count"])
def test_what_is_one_stays_one(model: SQAIR, reason: str) -> None:
    one = reason == "one thing"
    frame = frame_of(FIRST) if one else frame_of(FIRST, SECOND)
    step, state = explained(model, frame, places(ellipse(*FIRST, *THING)) if one else BOTH, names=(4,))
    crowded = SQAIR.from_pretrained(ANY_CAMERA)
    crowded.config = replace(model.config, slots=1)
    split = Split(crowded if reason == "no room" else model, frame, state, count=int(reason == "count"))
    after, carried = split.of(step, state, 2 * TYPICAL if reason == "large things" else TYPICAL)
    assert after is step and carried is state


@torch.inference_mode()
def test_two_must_explain_the_frame(model: SQAIR, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that draw nothing do not take the place of one that does."""
    frame = frame_of(FIRST, SECOND)
    step, state = explained(model, frame, BOTH, names=(4,))
    paint = torch.zeros(1, model.config.painted, 60, 60)
    halves = _drawn(model, model.scene(frame, step.behind), paint, step.objects.where.repeat(2, 1))  # type: ignore[arg-type]
    monkeypatch.setattr("sqair.split._drawn", lambda *_: [half._replace(paint=paint) for half in halves])
    assert Split(model, frame, state).of(step, state, TYPICAL)[0] is step


def test_boxes_and_z_where_are_inverse(model: SQAIR) -> None:
    where = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(box_to_where(where_to_box(where, model.config), model.config), where)
