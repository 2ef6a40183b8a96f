"""Pairs of digits: they touch while they should, part when they should, and never leave the canvas."""

import numpy as np
import pytest

from sqair.datasets.digits import load_crops
from sqair.datasets.draws import Draws
from sqair.datasets.generate import make_clips, make_segments
from sqair.datasets.motion import boxes_overlap, make_scene
from sqair.datasets.pairs import TOGETHER, TOUCH
from sqair.datasets.recipes import get_recipe
from sqair.errors import UserError

CROPS = load_crops("train")


def boxes(name: str, n: int = 300, **overrides: object) -> tuple[np.ndarray, np.ndarray]:
    """Positions ``[n, T, 2, 2]`` and sizes ``[n, 2, 2]`` of pairs."""
    recipe = get_recipe(name, **overrides)
    scene = make_scene(recipe, Draws(name, "train", 0, 0, n), CROPS.size)
    assert scene.presence.all() and (scene.which[:, 0] != scene.which[:, 1]).all()
    return scene.position, CROPS.size[scene.which]


@pytest.mark.parametrize("name", ["parting", "together"])
def test_pairs_stay_on_the_canvas_and_start_in_touch(name: str) -> None:
    position, size = boxes(name)
    assert (position >= 0).all() and (position + size[:, None] <= 50).all()
    overlap = np.minimum(position[:, 0, 0] + size[:, 0], position[:, 0, 1] + size[:, 1]) - position[:, 0].max(1)
    assert np.isclose(overlap, TOUCH).any(1).all() and (overlap > 0).all()
    across = np.isclose(position[:, 0, 1] - position[:, 0, 0], size[:, 0] - TOUCH)
    assert 0.4 < across[:, 0].mean() < 0.6  # side by side as often as one above the other


def test_a_pair_stays_together() -> None:
    position, _ = boxes("together")
    between = position[:, :, 1] - position[:, :, 0]
    np.testing.assert_allclose(between, np.broadcast_to(between[:, :1], between.shape), atol=1e-9)
    assert np.abs(np.diff(position, axis=1)).max() > 3


def test_a_pair_parts_after_a_while() -> None:
    position, size = boxes("parting")
    between = position[:, :, 1] - position[:, :, 0]
    np.testing.assert_allclose(between[:, :TOGETHER] - between[:, :1], 0, atol=1e-9)
    apart = np.abs(np.diff(between, axis=1)).max(-1)
    assert (apart[:, TOGETHER - 1] > 0.5).mean() > 0.9  # the others fill the canvas: no room to part
    touching = boxes_overlap(position[:, -1, 0], size[:, 0], position[:, -1, 1], size[:, 1])
    assert touching.mean() < 0.15


def test_pairs_are_two_and_fit() -> None:
    with pytest.raises(UserError, match="together shows pairs: leave min_objects and max_objects at 2"):
        make_clips(get_recipe("together", min_objects=1), "train", 0, 0, 1)
    with pytest.raises(UserError, match="pairs of digits of size 28 do not fit a canvas of 30x30"):
        make_clips(get_recipe("parting", width=30, height=30), "train", 0, 0, 20)


def test_segments_say_which_digit_shows() -> None:
    recipe = get_recipe("parting")
    clips, segments = make_clips(recipe, "val", 0, 3, 4), make_segments(recipe, "val", 0, 3, 4)
    assert segments.shape == clips.frames.shape and segments.dtype == np.uint8
    np.testing.assert_array_equal(segments > 0, clips.frames > 0)
    for clip, truth in zip(segments, clips.truth, strict=True):
        for k, (x, y, w, h) in zip(truth.at(9).id, truth.at(9).box.astype(int), strict=True):
            rows, columns = np.nonzero(clip[9] == 1 + k)
            assert rows.min() >= y and rows.max() < y + h and columns.min() >= x and columns.max() < x + w
            assert len(rows) > 0.5 * np.count_nonzero(clips.frames[0, 0]) / 4
