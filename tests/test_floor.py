"""The connected-component floor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import get_recipe
from sqair.eval.floor import components, foreground, track_components
from sqair.eval.mot import score
from sqair.tracks import Tracks


def moving(
    boxes: Sequence[Sequence[tuple[int, int] | None]], size: int = 8, canvas: tuple[int, int] = (40, 60)
) -> np.ndarray:
    """Frames ``[T, H, W]`` of white squares, whose corners (x, y) are listed per frame; None hides one."""
    frames = np.zeros((len(boxes), *canvas), dtype=np.uint8)
    for frame, corners in zip(frames, boxes, strict=True):
        for corner in corners:
            if corner is not None:
                x, y = corner
                frame[y : y + size, x : x + size] = 255
    return frames


def by_id(tracks: Tracks) -> dict[int, list[tuple[int, int]]]:
    """Per id, the (frame, x) of its boxes."""
    return {
        i: [
            (int(t), int(b[0]))
            for t, b in zip(tracks.frame[tracks.id == i], tracks.box[tracks.id == i], strict=True)
        ]
        for i in np.unique(tracks.id).tolist()
    }


def test_boxes_are_tight_and_ids_stay() -> None:
    tracks = track_components(moving([[(2 + 3 * t, 5), (40 - 2 * t, 25)] for t in range(8)]))
    assert by_id(tracks) == {
        0: [(t, 2 + 3 * t) for t in range(8)],
        1: [(t, 40 - 2 * t) for t in range(8)],
    }
    first = tracks.at(3)
    assert first.box.tolist() == [[11, 5, 8, 8], [34, 25, 8, 8]]
    assert (tracks.score == 1).all()


def test_speed_is_carried_on() -> None:
    """From its fifth frame on the square moves farther than it is wide: it is met where it is expected."""
    x = [2, 4, 8, 14, 22, 32, 43]
    assert by_id(track_components(moving([[(corner, 5)] for corner in x]))) == {0: list(enumerate(x))}


@pytest.mark.parametrize(("hidden", "ids"), [(2, 1), (3, 2)])
def test_a_track_waits_for_max_age_frames_where_it_would_be(hidden: int, ids: int) -> None:
    """At 5 pixels per frame it comes back where its last box does not reach, but the predicted one does."""
    boxes = [[None if 3 <= t < 3 + hidden else (2 + 5 * t, 5)] for t in range(9)]
    tracks = track_components(moving(boxes), max_age=2)
    assert len(by_id(tracks)) == ids
    assert len(tracks) == 9 - hidden


def test_corners_connect_and_small_components_are_dropped() -> None:
    mask = np.zeros((10, 12), dtype=bool)
    mask[1:3, 1:3] = mask[3:5, 3:6] = True
    mask[8, 9:12] = True
    assert components(mask, 1).tolist() == [[1, 1, 5, 4], [9, 8, 3, 1]]
    assert len(components(mask, 3)) == 2
    assert components(mask, 4).tolist() == [[1, 1, 5, 4]]
    assert components(mask, 11).shape == (0, 4)


def test_on_black_the_brighter_pixels_are_the_objects_even_at_rest() -> None:
    frames = moving([[(5, 5)]] * 4)
    frames[:, 0, 0] = 10
    mask = foreground(frames, 10)
    assert mask.sum() == 4 * 64
    assert mask[:, 5:13, 5:13].all()


@pytest.mark.parametrize("channels", [0, 3])
def test_on_a_background_the_objects_are_what_moves(channels: int) -> None:
    rng = np.random.default_rng(0)
    mask = moving([[(2 + 6 * t, 5)] for t in range(8)]) > 0
    scene = rng.integers(60, 120, (40, 60, channels) if channels else (40, 60))
    frames = np.broadcast_to(scene, (8, *scene.shape)).astype(np.uint8).copy()
    if channels:
        frames[mask, 2] = 20  # darker, in one channel only
    else:
        frames[mask] = 20
    np.testing.assert_array_equal(foreground(frames, 10), mask)
    assert by_id(track_components(frames)) == {0: [(t, 2 + 6 * t) for t in range(8)]}


def test_colour_on_black_is_seen_in_any_channel() -> None:
    frames = np.zeros((3, 20, 20, 3), dtype=np.uint8)
    frames[:, 4:9, 4:9, 1] = 200
    tracks = track_components(frames)
    assert tracks.box.tolist() == [[4, 4, 5, 5]] * 3
    assert len(np.unique(tracks.id)) == 1


@pytest.mark.parametrize("shape", [(5, 20, 20), (5, 20, 20, 3), (0, 20, 20), (0, 20, 20, 3)])
def test_nothing_to_see(shape: tuple[int, ...]) -> None:
    assert len(track_components(np.zeros(shape, dtype=np.uint8))) == 0


def test_the_floor_of_moving_mnist() -> None:
    """Over 1000 clips: count .867, MOTA .785, IDF1 .869; these 200 are always the same."""
    clips = make_clips(get_recipe("moving-mnist"), "test", 0, 0, 200)
    names = [f"{i:06d}" for i in range(200)]
    pred = {name: track_components(frames) for name, frames in zip(names, clips.frames, strict=True)}
    overall = score(dict(zip(names, clips.truth, strict=True)), pred, dict.fromkeys(names, 10)).overall
    assert 0.82 < overall["count_accuracy"] < 0.92
    assert 0.70 < overall["mota"] < 0.85
    assert 0.80 < overall["idf1"] < 0.92
    assert overall["motp_iou"] > 0.93
