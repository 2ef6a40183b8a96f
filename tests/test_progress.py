"""What is said while a model trains: the time that is left, what is explained, and a warning where it is crowded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from conftest import SPOTTER, TINY, Dictated, moving_spots, spots, spotter, straight, tiny_model
from sqair.config import ModelConfig, Stage, TrainConfig
from sqair.inference import Inference
from sqair.scripts.progress import Display, TimeLeft, crowded, in_words, looks, step_costs
from sqair.scripts.training import Session
from sqair.scripts.validation import Validation, explained

FOOTAGE = ModelConfig(height=134, width=179, channels=3)
STAGES = (Stage(1, 1200, 18), Stage(3, 300, 9), Stage(5, 300, 9), Stage(10, 500, 4))
PACES = {
    "moving-mnist": (ModelConfig(), TrainConfig(), (70, 202, 225, 296)),
    "footage": (FOOTAGE, TrainConfig(stages=STAGES, muon_rate=0.0), (255, 340, 545, 580)),
}
"""Milliseconds of a step in each stage, as they were measured."""


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("name", PACES)
@pytest.mark.parametrize("begun", [0, 700])
def test_the_time_that_is_left_is_about_right_all_along(name: str, begun: int) -> None:
    """Within a third, or some seconds at the end, once a fiftieth is done.

    Steps vary, validation takes its time, and stages differ.
    """
    model, config, paces = PACES[name]
    stages, costs = config.stages, step_costs(config, model)
    random, clock = np.random.default_rng(0), Clock()
    seconds = np.concatenate([np.full(stage.steps, ms / 1000) for stage, ms in zip(stages, paces, strict=True)])
    seconds *= random.uniform(0.7, 1.3, len(seconds))
    seconds[begun] += 3
    between = np.where(np.arange(len(seconds)) % 150 == 149, 1.5, 0.002)  # a look at the validation clips
    time_left, said = TimeLeft(costs, begun, clock), []
    for step in range(begun, len(costs)):
        clock.now += between[step]
        time_left.begin()
        clock.now += seconds[step]
        time_left.made(step + 1)
        said.append(time_left.left())
    assert said[:9] == [None] * 9 and said[-1] == 0
    true = np.append(np.cumsum((seconds + between)[::-1])[::-1], 0)[begun + 1 :]
    settled = slice(len(costs) // 50, len(said))
    left, true = np.array(said[settled], float), true[settled]
    far = true > 10
    ratio = left[far] / true[far]
    assert 0.75 < ratio.min() and ratio.max() < 1.33, (ratio.min(), ratio.max())
    assert np.abs(left - true)[~far].max() < 4
    assert (np.abs(np.diff(left)) < 0.2 * left[:-1] + 1).all(), "it does not jump"


def test_a_machine_that_slows_down_is_noticed() -> None:
    costs, clock = step_costs(TrainConfig(stages=(Stage(1, 2000, 16),)), ModelConfig()), Clock()
    time_left = TimeLeft(costs, 0, clock)
    for step in range(1, 1501):
        time_left.begin()
        clock.now += 0.1 if step < 1000 else 0.3
        time_left.made(step)
    assert time_left.left() == pytest.approx(150, rel=0.05)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.5, "5 s"), (41, "45 s"), (55, "1 min"), (754, "13 min"), (6599, "1 h 50 min")]
)
def test_times_are_said_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def clip(background: float = 0.0, noise: float = 0.0) -> torch.Tensor:
    """Two spots that move: ``[5, 1, 1, H, W]``."""
    frames = moving_spots([straight(12, 12, 2, 1, 5), straight(40, 34, -1, -0.5, 5)])
    frames = background + (1 - background) * frames
    return frames + noise * torch.randn(frames.shape, generator=torch.Generator().manual_seed(0))


def test_the_share_of_what_moves_that_is_explained() -> None:
    """All of two spots by a model that draws spots, none by no object, half by one of them; whatever the noise."""
    model = spotter()
    for frames in (clip(), clip(noise=0.05)):
        with torch.no_grad():
            assert explained(frames, model(frames, Inference())) == pytest.approx(1, abs=0.05)
            assert explained(frames, model(frames, Dictated())) == pytest.approx(0, abs=1e-3)
            one = model(frames, Dictated(script=[[1, 0, 1, 0, 1, 0, 1, 0, 1, 0]]))
            assert explained(frames, one) == pytest.approx(0.5, abs=0.06)


def test_what_a_background_shows_does_not_move() -> None:
    config = replace(SPOTTER, background="still")
    model = spotter(config)
    frames = clip(background=0.3)
    still = torch.full((1, 1, 44, 52), 0.3)
    with torch.no_grad():
        steps = model(frames, Dictated(), still)
        share = explained(frames, steps)
        assert share == pytest.approx(0, abs=0.02)
        assert explained(still[None], model(still[None], Dictated(), still)) is None, "nothing moves"


def test_objects_that_do_harm_explain_less_than_nothing() -> None:
    """An untrained model that is made to draw objects wherever it looks."""
    model, frames = tiny_model(), 0.1 * spots(TINY, 2, 2)
    with torch.no_grad():
        share = explained(frames, model(frames, Dictated(script=[[1] * 9] * 2)))
    assert share is not None and share < 0
    assert looks({"explained": share, "found": 2.0}) == "explains 0 % of what moves, 2.0 objects a frame"


def test_a_look_at_validation_clips_says_what_is_explained_and_how_full_it_is() -> None:
    frames = (255 * clip()[:, 0, 0]).byte().numpy()[None].repeat(2, 0)
    frames[1] = 0
    model = spotter(replace(SPOTTER, slots=2))
    measured, _ = Validation(frames).measure(model)
    assert measured["explained"] > 0.9 and measured["found"] == 1 and measured["full"] == 0.5
    assert looks(measured) == f"explains {100 * measured['explained']:.0f} % of what moves, 1.0 objects a frame"
    assert looks({}) == ""


def test_a_warning_where_objects_reach_the_most_that_there_can_be() -> None:
    assert crowded({"full": 0.04}, ModelConfig(slots=6)) is None and crowded({}, ModelConfig()) is None
    said = crowded({"full": 0.5}, ModelConfig(slots=6, first_steps=6))
    assert said == (
        "warning: all 6 objects are in use in 50 % of the validation frames; if there are more of them, train with "
        "--model.slots 9 --model.first-steps 9"
    )
    assert (crowded({"full": 0.5}, ModelConfig(slots=4, first_steps=3)) or "").endswith("--model.slots 6")


def test_where_there_is_no_terminal_a_line_is_said_and_a_warning_once(capsys: pytest.CaptureFixture[str]) -> None:
    with Display([1.0] * 30, 0) as display:
        for step in range(1, 31):
            display.begin()
            display.made(step, "status")
            if step in (5, 20):
                display.say("status", "9 CPU-seconds")
                display.warn("warning: full")
                display.warn(None)
    said = ["status  9 CPU-seconds", "warning: full", "status  9 CPU-seconds  5 s left"]
    assert capsys.readouterr() == ("\n".join([*said, ""]), "")


def test_a_status_tells_of_footage_what_moves_and_of_generated_video_what_is_known() -> None:
    session = object.__new__(Session)
    session.trainer = type("Trainer", (), {"step": 30, "total_steps": 90})()  # type: ignore[assignment]
    session.bound, session.count = 512.34, float("nan")
    session.seen = {}
    known = {"explained": 0.832, "found": 3.04}
    for footage, seen, expected in (
        (None, {}, "step 30/90  bound 512.3"),
        (("clip.mp4",), {}, "step 30/90"),
        (("clip.mp4",), known, "step 30/90  explains 83 % of what moves, 3.0 objects a frame"),
    ):
        session.args = type("Args", (), {"footage": footage})()  # type: ignore[assignment]
        session.seen = seen
        assert session.status() == expected
    session.args, session.count = type("Args", (), {"footage": None})(), 0.98765  # type: ignore[assignment]
    assert session.status() == "step 30/90  bound 512.3  count 0.988"
