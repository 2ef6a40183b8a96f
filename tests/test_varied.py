"""Footage of variety: bodies are drawn whole and of their size, paths are smooth, clips repeat exactly."""

import numpy as np
import pytest

from sqair.datasets.bodies import SHAPES, Body, Pose, coat
from sqair.datasets.footage import relit
from sqair.datasets.layers import boxes, segment
from sqair.datasets.varied import paths, varied

LENGTH, SIDE = 12, 96


def clip(seed: int):
    return varied(np.random.default_rng(seed), LENGTH, SIDE, SIDE, 6)


def body(name: str, rng: np.random.Generator, side: float) -> Body:
    shape, aspects = SHAPES[name]
    aspect = rng.uniform(*aspects)
    colours = rng.uniform(0, 255, (2, 3))
    size = side * np.sqrt(aspect), side / np.sqrt(aspect)
    return Body(*size, shape, coat(rng, *colours), 1.5, name == "walker", rng.uniform(size=(3, 2)))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("side", [5.0, 20.0, 80.0])
def test_a_body_is_whole_and_of_its_size(name: str, side: float) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        pose = Pose(rng.uniform(0, 100, 2), rng.uniform(0, 7), rng.normal() * 0.3, rng.uniform(0, 7))
        patch, corner = body(name, rng, side).draw(pose)
        ink, alpha = patch.ink, patch.alpha
        assert ink.shape == (*alpha.shape, 3) and ink.min() >= 0 and ink.max() <= 255
        rim = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
        assert not rim.any(), "a part of it is cut off"
        assert 0.3 * side**2 < alpha.sum() < 1.6 * side**2
        middle = corner + np.array(alpha.shape[::-1]) / 2
        assert np.abs(middle - pose.centre).max() <= 1


def test_a_heading_turns_it() -> None:
    rng = np.random.default_rng(0)
    fish = body("bent", rng, 20.0)
    flat, up = (fish.draw(Pose(np.full(2, 50.0), angle, 0.0, 0.0))[0].alpha for angle in (0.0, np.pi / 2))
    spread = [np.ptp(np.nonzero(alpha), axis=1) for alpha in (flat, up)]
    assert spread[0][1] > 2 * spread[0][0] and spread[1][0] > 2 * spread[1][1]


def test_paths_are_smooth_and_stay_near() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        poses = paths(rng, 5, 200, 12.0, (60, 90))
        place = np.array([[pose.centre for pose in now] for now in poses])  # [T, K, 2]
        assert np.abs(np.diff(place, axis=0)).max() < 12 * 0.5 * np.exp(0.3 * 4)
        assert (place > -3 * 12).all() and (place < np.array([90, 60]) + 3 * 12).all()


def test_a_clip_repeats_and_differs_from_others() -> None:
    first, again, other = clip(1), clip(1), clip(2)
    assert first.frames.shape == (LENGTH, SIDE, SIDE, 3) and first.frames.dtype == np.uint8
    assert np.array_equal(first.frames, again.frames) and np.array_equal(first.scene, again.scene)
    assert not np.array_equal(first.scene, other.scene)


def test_frames_are_the_scene_but_for_what_moves() -> None:
    """Up to light, noise and compression, each of which is little."""
    for seed in range(10):
        made = clip(seed)
        covered = segment(made.layers, LENGTH, SIDE, SIDE) > 0
        away = np.abs(made.frames - relit(made.scene, made.frames)).mean(-1)
        assert np.median(away[~covered]) <= 10
        assert not covered.any() or np.median(away[covered]) > 1.5 * np.median(away[~covered])
    many = [clip(seed) for seed in range(40)]
    seen = [boxes(made.layers, segment(made.layers, LENGTH, SIDE, SIDE), 0.25)[0] for made in many]
    assert np.mean([len(tracks) > 0 for tracks in seen]) > 0.9
    assert {int(made.layers.id.max()) + 1 for made in many} == set(range(1, 7))
