"""HOTA against TrackEval's numbers and cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from golden_clips import EXPECTED, NAMES, frames_of
from sqair.eval.frames import FramePair
from sqair.eval.hota import ALPHAS, HotaCounts, count_hota, hota

KEYS = ("HOTA", "DetA", "AssA")
COUNTS = {name: count_hota(frames_of(name)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_clips_are_as_trackeval_says(name: str) -> None:
    np.testing.assert_allclose(hota(COUNTS[name]), [EXPECTED[name][key] for key in KEYS], rtol=0, atol=1e-9)


def test_overall_is_as_trackeval_says() -> None:
    total = sum(COUNTS.values(), HotaCounts())
    np.testing.assert_allclose(hota(total), [EXPECTED["OVERALL"][key] for key in KEYS], rtol=0, atol=1e-9)


def frames(*ids: tuple[list[int], list[int]], overlap: float = 1.0) -> list[FramePair]:
    """Frames of (ground truth ids, predicted ids); the first of each overlap one another, and so on."""
    return [
        FramePair(np.array(g, dtype=int), np.array(p, dtype=int), overlap * np.eye(len(g), len(p)))
        for g, p in ids
    ]


def test_an_id_that_changes_half_way() -> None:
    """All is found, but each half shares 2 frames of the 4 that its two tracks have together."""
    result = hota(count_hota(frames(([1], [7]), ([1], [7]), ([1], [8]), ([1], [8]))))
    np.testing.assert_allclose(result, [math.sqrt(0.5), 1, 0.5])


def test_loose_boxes_count_up_to_their_overlap() -> None:
    """An overlap of 0.6 reaches the thresholds 0.05 to 0.6, 12 of 19."""
    result = hota(count_hota(frames(([1], [7]), ([1], [7]), overlap=0.6)))
    np.testing.assert_allclose(result, [12 / 19] * 3)
    assert len(ALPHAS) == 19


def test_misses_and_false_positives() -> None:
    """Of 2 objects one is found, and one thing more that is not there: one match, three boxes."""
    pair = FramePair(np.array([1, 2]), np.array([7, 8]), np.diag([1.0, 0.0]))
    np.testing.assert_allclose(hota(count_hota([pair])), [math.sqrt(1 / 3), 1 / 3, 1])


def test_the_assignment_prefers_whole_tracks_to_single_boxes() -> None:
    """In the last frame 8 overlaps more, but 7 has been the object all along."""
    steady = frames(([1], [7])) * 5
    last = FramePair(np.array([1]), np.array([7, 8]), np.array([[0.8, 0.9]]))
    counts = count_hota([*steady, last])
    assert counts.tp[ALPHAS <= 0.8].tolist() == [6] * 16
    np.testing.assert_allclose(counts.association[0], 6)


def test_nothing_at_all_has_no_hota() -> None:
    for nothing in ([], frames(([], []), ([], []))):
        assert np.isnan(hota(count_hota(nothing))).all()


def test_only_one_side_is_0() -> None:
    assert hota(count_hota(frames(([1], []), ([1], [])))) == (0, 0, 0)
    assert hota(count_hota(frames(([], [1])))) == (0, 0, 0)
