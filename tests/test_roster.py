"""A row for every seat against a list of those that are there: the same ids, boxes, bounds and gradients; and what a
GPU asks of a step that it replays: nothing that waits, and the same operations whatever is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import golden_model
from conftest import SPOTTER, TINY
from sqair.assign import deal, linear_assignment, match
from sqair.bounds import Terms
from sqair.config import Stage, TrainConfig
from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import Recipe
from sqair.estimators import ESTIMATORS, make_estimator
from sqair.geometry import where_to_box
from sqair.inference import Inference, Refined, Sampled
from sqair.inference.restarts import explain
from sqair.model import SQAIR
from sqair.objects import Objects
from sqair.passes import track_clips
from sqair.roster import EXACT, FIXED, Exact
from sqair.snug import slack
from sqair.state import Step
from sqair.tracker import Tracker
from sqair.trainer import Trainer, TrainingError

LAYERED = replace(SPOTTER, objects="layered", channels=3, background="still", displacement="prices")
MODELS = {**golden_model.MODELS, "layered": LAYERED}
WAYS: dict[str, Callable[[Exact], Inference]] = {
    "amortised": lambda roster: Inference(roster=roster),
    "remembering": lambda roster: Inference(memory=3, roster=roster),
    "refined": lambda roster: Refined(memory=4, restarts=1, roster=roster),
    "restarted": lambda roster: Refined(memory=2, restarts=3, roster=roster),
}


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden_model, "MODELS", MODELS)


def explained(model: SQAIR, frames: Tensor, inference: Inference) -> list[Step]:
    state, steps = model.initial_state(frames.shape[1], frames, model.still(frames)), []
    for frame in frames:
        step, state = explain(model, frame, state, inference)
        steps.append(step.living())
    return steps


def shown(step: Step, model: SQAIR) -> tuple[list[tuple[int, int]], list[Tensor]]:
    """Clips and ids of a frame in order, and what is said of each."""
    objects = step.objects
    names = list(zip(objects.clip.tolist(), objects.id.tolist(), strict=True))
    order = sorted(range(len(names)), key=names.__getitem__)
    box = where_to_box(objects.where, model.config)
    every = (box, objects.age, objects.hidden, step.confidence, step.images)
    return [names[i] for i in order], [step.canvas, *(value[order] for value in every)]


@pytest.mark.usefixtures("float64", "models")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_who_is_found_where_is_the_same(name: str, way: str) -> None:
    model = golden_model.model_of(name).double()
    frames = golden_model.clips_of(model.config).double()
    exact, fixed = (explained(model, frames, WAYS[way](roster)) for roster in (EXACT, FIXED))
    assert sum(len(step.objects) for step in exact) > 4
    for one, other in zip(exact, fixed, strict=True):
        (names, values), (same, others) = shown(one, model), shown(other, model)
        assert names == same
        torch.testing.assert_close(others, values, rtol=1e-9, atol=1e-9)


def lost(
    model: SQAIR, frames: Tensor, estimator: str, roster: Exact, **forced: float
) -> tuple[Tensor, Terms, list[Tensor]]:
    """The loss of training, the terms of its bound, and its gradients: modes, so that both draw the same numbers."""
    torch.manual_seed(0)
    rule = make_estimator(estimator, model.config)
    particles = rule.particles(2 if "vimco" in estimator or estimator == "wake_wake" else 1, len(frames))
    still = model.still(frames)
    still = None if still is None else still.repeat(particles, 1, 1, 1)
    frames = frames.repeat(1, particles, 1, 1, 1)
    frames = frames * (1 - 0.05 * torch.linspace(0, 1, frames.shape[1])[:, None, None, None])  # particles differ
    sampled = replace(Sampled(roster=roster), **forced)
    terms = Terms(model(frames, rule.inference(sampled, len(frames)), still))
    loss = rule(terms, frames, particles) + 10 * slack(frames, terms.steps, model.config, roster)
    parameters = [*model.parameters(), *rule.parameters()]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return loss.detach(), terms, list(gradients)


@pytest.mark.usefixtures("float64", "models")
@pytest.mark.parametrize("forced", [{}, {"exploration": 1.0, "crowd_dropout": 1.0}], ids=["free", "forced"])
@pytest.mark.parametrize("estimator", [name for name, rule in ESTIMATORS.items() if rule.fixed])
@pytest.mark.parametrize("name", ["light", "opaque", "layered", "recurrent"])
def test_bounds_and_gradients_are_the_same(name: str, estimator: str, forced: dict[str, float]) -> None:
    model = golden_model.model_of(name).double()
    frames = golden_model.clips_of(model.config).double()[:4]
    (loss, exact, gradients), (other, fixed, others) = (
        lost(model, frames, estimator, roster, **forced) for roster in (EXACT, FIXED)
    )
    assert exact.objects.sum() > 5
    torch.testing.assert_close(other, loss, rtol=1e-9, atol=0)
    for value in ("elbo", "log_weight", "kl_presence", "kl_z", "log_q_presence", "log_p_presence", "objects"):
        torch.testing.assert_close(getattr(fixed, value), getattr(exact, value), rtol=1e-9, atol=1e-9)
    assert sum(bool(g.any()) for g in gradients) > len(gradients) / 2
    for mine, same in zip(others, gradients, strict=True):
        assert (mine - same).norm() <= 1e-9 * max(float(same.norm()), 1e-3)


@pytest.mark.parametrize("refine", [True, False])
def test_moving_digits_are_tracked_the_same(refine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = make_clips(Recipe("sqair-script"), "val", 0, 0, 6, truth=False).frames
    model = SQAIR.from_pretrained("moving-mnist")
    exact = track_clips(model, clips, refine=refine)
    monkeypatch.setattr("sqair.passes.suited", lambda device: FIXED)
    for one, other in zip(exact, track_clips(model, clips, refine=refine), strict=True):
        assert one.id.tolist() == other.id.tolist() and one.frame.tolist() == other.frame.tolist()
        assert np.abs(one.box - other.box).max(initial=0) < 1e-3


def crossing(length: int) -> np.ndarray:
    """Two squares of a colour that cross before a plain scene, and one that comes and goes: ``[T, 96, 128, 3]``."""
    frames = np.full((length, 96, 128, 3), 90, np.uint8)
    for t, frame in enumerate(frames):
        frame[30:46, 8 + 6 * t : 24 + 6 * t] = (220, 60, 40)
        frame[34:50, 100 - 6 * t : 116 - 6 * t] = (30, 60, 220)
        if 2 <= t < length - 2:
            frame[70:84, 60:76] = (240, 240, 60)
    return frames


def test_a_video_is_tracked_the_same_and_what_was_told_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    model, frames, told = SQAIR.from_pretrained("any-camera"), crossing(8), []
    for roster in (EXACT, FIXED):
        monkeypatch.setattr("sqair.tracker.suited", lambda device, roster=roster: roster)
        tracker = Tracker(model, memory=3)
        tracker.watch(frames)
        told.append([(tracker.update(frame), tracker.masks(), tracker.appearance()) for frame in frames])
    assert max(len(tracks.id) for tracks, _, _ in told[0]) == 3
    for (one, masks, looks), (other, same, others) in zip(*told, strict=True):
        assert one.id.tolist() == other.id.tolist() and looks.keys() == others.keys()
        assert np.abs(one.box - other.box).max(initial=0) < 1e-3 and (masks == same).mean() > 0.999


# what a recording asks for

WAITING = {
    "_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal", "lift_fresh", "_unique2", "unique_dim", "bincount",
    "masked_select", "repeat_interleave",
}  # fmt: skip
"""Operations that need a number on the processor, or take one from there, or whose size depends on one."""


class Watch(TorchDispatchMode):
    """What was done, by names and sizes, and what of that waits."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[str, tuple]] = []
        self.waited: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        indices = [i for a in args if isinstance(a, (list, tuple)) for i in a if isinstance(i, Tensor)]
        if name in WAITING or ("index" in name and any(i.dtype == torch.bool for i in indices)):
            self.waited[name] += 1
        self.done.append((name, tuple(tuple(a.shape) for a in args if isinstance(a, Tensor))))
        return func(*args, **(kwargs or {}))


def clips_of(name: str) -> Iterator[Tensor]:
    """Clips, and others of the same size: in other places, and the first one empty."""
    frames = golden_model.clips_of(MODELS[name])[:5].float()
    yield frames
    yield frames.flip(1).roll(5, -1)


class Given:
    """Clips ``[N, T, H, W(, C)]`` in turn; ``dark`` makes all of them empty."""

    def __init__(self, frames: Tensor, dark: bool = False) -> None:
        self.clips = (255 * frames * (not dark)).permute(1, 0, 3, 4, 2).squeeze(-1).byte().numpy()
        self.length = len(frames)

    def __call__(self, start: int, count: int) -> np.ndarray:
        return self.clips[np.arange(start, start + count) % len(self.clips)]


TRAINING = TrainConfig(stages=(Stage(5, 50, 4),), object_nats=40.0, exploration=0.3, crowd_dropout=0.3, bold_steps=20)


def training(source: Given, name: str, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Trainer:
    with monkeypatch.context() as patch:
        patch.setattr("sqair.trainer.suited", lambda device: FIXED)
        trainer = Trainer(MODELS[name], replace(TRAINING, **settings), source)
    assert trainer.fixed is not None
    trainer.model.load_state_dict(golden_model.model_of(name).float().state_dict())
    return trainer


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("name", ["light", "opaque", "layered"])
def test_a_step_of_training_never_waits_and_does_the_same_whatever_it_sees(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for frames in clips_of(name):
        trainer = training(Given(frames), name, monkeypatch)
        for _ in range(2):
            trainer.train_step()
        assert trainer.fixed is not None
        still = trainer.model.still(frames)
        with Watch() as watch:
            trainer.fixed._run(frames, still)
        seen.append(watch)
    assert not seen[0].waited and not seen[1].waited
    assert seen[0].done == seen[1].done and len(seen[0].done) > 1000


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("name", ["light", "opaque", "layered"])
def test_a_step_of_tracking_never_waits_and_does_the_same_whatever_it_sees(name: str) -> None:
    seen, model = [], golden_model.model_of(name).float()
    for frames in clips_of(name):
        inference = Refined(memory=4, restarts=1, roster=FIXED)
        state = model.initial_state(frames.shape[1], frames, model.still(frames))
        with torch.inference_mode():
            for frame in frames[:3]:
                _, state = model.step(frame, state, inference)
            with Watch() as watch:
                model.step(frames[3], state, inference)
        seen.append(watch)
    assert not seen[0].waited and not seen[1].waited
    assert seen[0].done == seen[1].done


def test_the_watch_sees_what_waits() -> None:
    """An exact list does all that a recording must not."""
    model, frames = golden_model.model_of("light").float(), next(clips_of("light"))
    with torch.no_grad(), Watch() as watch:
        model(frames, Refined(memory=4, restarts=1))
    assert {"nonzero", "_local_scalar_dense"} <= watch.waited.keys()


def test_a_training_of_fixed_sizes_learns_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It learns as the other does, and either goes on from a checkpoint of the other."""
    frames, free = next(clips_of("light")), {"exploration": 0.0, "crowd_dropout": 0.0, "bold_steps": 0}
    fixed = training(Given(frames), "light", monkeypatch, **free)
    exact = Trainer(MODELS["light"], replace(TRAINING, **free), Given(frames))
    exact.load_state_dict(fixed.state_dict())
    for trainer in (fixed, exact):
        bounds = [trainer.train_step()["elbo"] for _ in range(16)]
        assert np.mean(bounds[-5:]) > np.mean(bounds[:5]) + 5
    states = [trainer.state_dict() for trainer in (fixed, exact)]
    rates = [[g["lr"] for s in (state["optimizer"], *state["muon"]) for g in s["param_groups"]] for state in states]
    assert rates[0] == pytest.approx(rates[1], rel=1e-6) and all(isinstance(rate, float) for rate in rates[0])
    fixed.load_state_dict(states[1])
    exact.load_state_dict(states[0])
    for trainer in (fixed, exact):
        assert np.isfinite(trainer.train_step()["loss"])


def test_a_frame_without_anything_to_see_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = training(Given(next(clips_of("light")), dark=True), "light", monkeypatch)
    told = trainer.train_step()
    assert told["objects"] == 0 and np.isfinite(told["loss"]) and np.isfinite(told["gradient_norm"])


def test_a_step_that_is_not_finite_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = training(Given(next(clips_of("light"))), "light", monkeypatch)
    trainer.train_step()

    def kept() -> list[Tensor]:
        moments = [s[name] for o in trainer.optimizers for s in o.state.values() for name in s if name != "step"]
        return [value.clone() for value in (*trainer.model.state_dict().values(), *moments)]

    weight = trainer.model.decoder.get_parameter("net.0.weight")
    before, right = kept(), weight[0, 0].item()
    with torch.no_grad():
        weight[0, 0] = torch.nan
    with pytest.raises(TrainingError, match="step 1: .* not finite"):
        trainer.train_step()
    with torch.no_grad():
        weight[0, 0] = right
    assert all(torch.equal(a, b) for a, b in zip(before, kept(), strict=True)) and len(before) > 100


# seats


def test_the_least_assignment_is_that_of_scipy() -> None:
    for rows, columns in ((1, 1), (2, 5), (4, 4), (7, 9)):
        cost = torch.randn(20, rows, columns, dtype=torch.float64)
        cost[:5] += 1e9 * (torch.rand(5, rows, columns) < 0.1)
        for table, found in zip(cost, linear_assignment(cost), strict=True):
            i, j = linear_sum_assignment(table.numpy())
            assert len(set(found.tolist())) == rows
            assert float(table[i, j].sum()) == pytest.approx(float(table[range(rows), found].sum()), rel=1e-9, abs=1e-6)


def listed(clips: list[int], weight: list[float]) -> Objects:
    """Objects whose ids are their numbers."""
    nothing = Objects.none(torch.zeros(()), 2, 3, 1, 4)
    count = len(clips)
    blank = {name: getattr(nothing, name).new_zeros(count, *getattr(nothing, name).shape[1:]) for name in vars(nothing)}
    known = {"clip": torch.tensor(clips), "id": torch.arange(count), "weight": torch.tensor(weight)}
    return replace(Objects(**blank), **known)


def test_seats_are_taken_in_order_and_the_rest_is_empty() -> None:
    objects = listed([1, 0, 1, 0, 1, 2, 1], [1, 0, 0.5, 1, 1, 0, 1])
    seated = FIXED.seats(objects, 4, 2)
    assert seated.clip.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert seated.there.tolist() == [True, False, True, True, False, False, False, False]
    assert seated.weight.tolist() == [1, 0, 1, 0.5, 0, 0, 0, 0]
    assert seated.id[seated.there].tolist() == [3, 0, 2], "the third of clip 1 finds no seat"


def test_places_are_dealt_as_among_those_that_are_there() -> None:
    clip = torch.arange(3).repeat_interleave(4)
    for _ in range(20):
        there, value = torch.rand(12) < 0.6, torch.randn(3, 4, 4)
        row = there.nonzero()[:, 0]
        some = value.flatten()[(there[:, None] & there.view(3, 4)[clip]).flatten()]
        expected = row[deal(clip[row], some)]
        assert FIXED.deal(clip, value.flatten(), there)[row].tolist() == expected.tolist()


def test_who_is_who_as_among_those_that_are_there() -> None:
    for _ in range(20):
        old = listed(torch.arange(3).repeat_interleave(4).tolist(), (torch.rand(12) < 0.6).float().tolist())
        new = listed([0, 1, 2, 0, 1, 2], (torch.rand(6) < 0.7).float().tolist())
        cost = 4 * torch.rand(6, 12).masked_fill(new.clip[:, None] != old.clip, torch.inf)
        n, o = new.there.nonzero()[:, 0], old.there.nonzero()[:, 0]
        which = match(new.clip[n], old.clip[o], cost[n][:, o], 1.5, torch.full((3,), 6))
        found = FIXED.match(new, old, cost, 1.5, torch.full((3,), 6))
        expected = torch.where(which >= 0, torch.cat([o, o[:1]])[which], -1) if len(o) else which
        assert found[n].tolist() == expected.tolist() and (found[~new.there] == -1).all()


def test_tiny_models_have_seats_for_those_that_hide() -> None:
    assert Inference().seats(TINY) == TINY.slots and Refined(memory=1).seats(TINY) == 2 * TINY.slots
