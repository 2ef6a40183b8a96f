"""Things that sit still for most of a clip are no part of its scene."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sqair.edges import Edges
from sqair.vacated import vacated

SIZE = (90, 120)


def scene() -> np.ndarray:
    noise = np.random.default_rng(3).normal(0, 1, (*SIZE, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6.0)
    return np.clip(120 + 25 * smooth / smooth.std(), 0, 255)


def film(rests: range, colour: tuple[int, int, int] = (20, 30, 120), passing: bool = True) -> np.ndarray:
    """50 frames of a disc that is at (40, 60) in some of them, and of another that passes, uint8 ``[T, h, w, 3]``."""
    rng, frames = np.random.default_rng(0), []
    for t in range(50):
        image = scene().astype(np.uint8)
        if t in rests:
            cv2.circle(image, (40, 60), 9, colour, -1)
        if passing:
            cv2.circle(image, (3 * t - 15, 25), 8, (230, 220, 60), -1)
        frames.append(np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8))
    return np.stack(frames)


@pytest.mark.parametrize("rests", [range(30), range(45), range(12, 50), range(5, 46)])
def test_what_sits_still_for_most_of_a_clip_is_left_out(rests: range) -> None:
    frames = film(rests)
    found = vacated(frames, np.median(frames, axis=0).astype(np.float32))
    assert np.abs(found - scene()).max() < 12


@pytest.mark.parametrize("rests", [range(0), range(20), range(33, 50), range(49)])
def test_a_scene_stays_as_it_is_otherwise(rests: range) -> None:
    """What rests for less than half of the time; what leaves at the very end, of which nothing can be told."""
    frames = film(rests)
    before = np.median(frames, axis=0).astype(np.float32)
    assert (vacated(frames, before) == before).all()


def test_edges_know_things_that_sit_still() -> None:
    frames = film(range(40))
    edges = Edges.learn(frames)
    canvas = np.zeros(SIZE, np.int64)
    canvas[55:66, 35:46] = 1
    box, _ = edges.fit(edges.look(frames[0]), canvas, np.array([0]), np.array([[30.0, 50, 20, 20]]))
    assert box[0] == pytest.approx([31, 51, 19, 19], abs=1.5)


def test_grey_frames() -> None:
    frames = cv2.cvtColor(film(range(30)).reshape(-1, SIZE[1], 3), cv2.COLOR_RGB2GRAY).reshape(50, *SIZE, 1)
    found = vacated(frames, np.median(frames, axis=0).astype(np.float32))
    assert found.shape == (*SIZE, 1) and np.abs(found - np.median(frames, axis=0))[60, 40] > 20
