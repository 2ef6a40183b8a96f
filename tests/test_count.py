"""Individuals of known number: nobody is born once all were found, and nobody is forgotten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import follow, moving_spots, spotter, straight
from sqair.datasets.digits import load_digits
from sqair.errors import UserError
from sqair.inference import Refined
from sqair.model import SQAIR
from sqair.passes import track_clips
from sqair.scripts import cli
from sqair.tracker import Tracker
from sqair.tracks import Tracks

AWAY = 35
"""Frames for which a digit is not seen: more than a tracker remembers by default."""


@pytest.fixture(scope="module")
def model() -> SQAIR:
    return SQAIR.from_pretrained("moving-mnist")


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """A digit that stays, and one that is away for long and returns elsewhere; ``[T, 50, 50]``."""
    digits = load_digits("test")[0]
    frames = np.zeros((AWAY + 20, 50, 50), np.uint8)
    for t, frame in enumerate(frames):
        frame[28:48, 15 + t // 4 : 35 + t // 4] = digits[0][4:24, 4:24]
        if t < 10 or t >= 10 + AWAY:
            x = 3 if t < 10 else 26
            frame[2:22, x : x + 20] = np.maximum(frame[2:22, x : x + 20], digits[2][4:24, 4:24])
    return frames


def followed(model: SQAIR, clip: np.ndarray, **options) -> Tracks:
    tracker = Tracker(model, **options)
    return Tracks.concat([tracker.update(frame) for frame in clip])


def test_who_was_away_returns_under_its_id(model: SQAIR, clip: np.ndarray) -> None:
    assert set(followed(model, clip).id.tolist()) == {0, 1, 2}
    found = followed(model, clip, count=2)
    assert set(found.id.tolist()) == {0, 1}
    assert np.bincount(found.frame)[-5:].tolist() == [2] * 5
    (archive,) = track_clips(model, clip[None], count=2, passes=2, tries=4)
    assert set(archive.id.tolist()) == {0, 1}


def test_there_are_never_more(model: SQAIR, clip: np.ndarray) -> None:
    found = followed(model, clip, count=1)
    assert set(found.id.tolist()) == {0} and np.bincount(found.frame).max() == 1


def test_more_than_there_are_changes_nothing_of_what_is_found(model: SQAIR, clip: np.ndarray) -> None:
    few, many = followed(model, clip[:20]), followed(model, clip[:20], count=3)
    assert np.array_equal(few.box, many.box) and np.array_equal(few.id, many.id)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"count": 9}, "room for 4: train one with --model.slots 9"),
        ({"count": -1}, "must be 0 or more"),
        ({"count": 2, "refine": False}, "needs refine"),
        ({"count": 2, "memory": 0}, "needs refine, and a memory"),
    ],
)
def test_what_cannot_be_is_refused(model: SQAIR, options: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Tracker(model, **options)
    with pytest.raises(UserError, match=says):
        track_clips(model, np.zeros((1, 2, 50, 50), np.uint8), **options)


def test_the_command_takes_a_count(tmp_path: Path, clip: np.ndarray) -> None:
    np.savez(tmp_path / "clip.npz", frames=clip[None, -12:])
    files = ["--source", str(tmp_path / "clip.npz"), "--output"]
    assert cli.run("track", [*files, str(tmp_path / "one"), "--count", "1", "--tries", "2"]) == 0
    assert cli.run("track", [*files, str(tmp_path / "stream"), "--count", "1", "--json"]) == 0
    for folder in ("one", "stream"):
        (rows,) = (tmp_path / folder).glob("*.txt")
        assert {line.split(",")[1] for line in rows.read_text().splitlines()} == {"1"}
    assert cli.run("track", [*files, str(tmp_path / "many"), "--count", "9"]) == 2
    assert not (tmp_path / "many").exists() or not list((tmp_path / "many").iterdir())


class Sidelong(Refined):
    """Looks to the left first."""

    def attend(self, salience: Tensor, clip: Tensor) -> Tensor:
        return salience * (torch.arange(salience.shape[-1]) < salience.shape[-1] / 2).to(salience).clamp_min(0.4)


def test_seats_are_for_those_that_gain_most() -> None:
    """Not for who is found first, a faint one; in the first frame, and where all are lost at once and found again."""
    model = spotter()
    frames = 0.7 * moving_spots([straight(12, 20, 0, 0, 4)]) + moving_spots([straight(40, 20, 0, 0, 4)])
    frames[2] = 0
    free = follow(model, frames[:1], Sidelong(memory=5, restarts=1))
    assert [i for i, _, _ in free[0]] == [0, 1] and [x for _, x, _ in free[0]] == pytest.approx([12, 40], abs=1.5)
    found = follow(model, frames, Sidelong(memory=5, count=1, restarts=1))
    assert [[(i, x > 30) for i, x, _ in objects] for objects in found] == [[(0, True)], [(0, True)], [], [(0, True)]]
