"""Tests of two sets of clips, and the spread of futures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from sqair.eval.spread import situations, spread
from sqair.eval.twosample import Feature, compare, compare_looks, counts, histogram, looks, sizes, speeds
from sqair.tracks import Tracks


def ks(a: np.ndarray, b: np.ndarray) -> Any:
    """Kolmogorov and Smirnov's test as SciPy has it."""
    return stats.ks_2samp(a, b)


def drifting(rng: np.random.Generator, clips: int, of: float = 0.0) -> Feature:
    """Numbers of clips that have each a level of its own, and ``of`` more."""
    level = np.repeat(rng.standard_normal(clips), 10)
    return Feature(np.repeat(np.arange(clips), 10), level + of + 0.1 * rng.standard_normal(10 * clips), clips)


def walk() -> Tracks:
    """Two objects: one goes 3 and 4 pixels a frame, and is not seen in frame 2; the other rests."""
    frame = np.array([0, 0, 1, 1, 3, 2, 4])
    name = np.array([0, 1, 0, 1, 0, 1, 0])
    box = np.array([[3 * t, 4 * t, 5, 6] if n == 0 else [20, 20, 7, 8] for t, n in zip(frame, name, strict=True)])
    return Tracks(frame, name, box)


def test_counts_speeds_and_sizes_are_those_of_the_tracks() -> None:
    clips = [walk(), Tracks.empty()]
    assert counts(clips, 5).value.tolist() == [2, 2, 1, 1, 1, 0, 0, 0, 0, 0]
    assert counts(clips, 5).clip.tolist() == [0] * 5 + [1] * 5
    assert sorted(speeds(clips).value.tolist()) == [0, 0, 5, 5]
    assert set(sizes(clips, 0).value) == {5, 7} and set(sizes(clips, 1).value) == {6, 8}


def test_the_distance_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = drifting(rng, 6), drifting(rng, 9, 0.4)
    assert compare("x", a, b).effect == pytest.approx(ks(a.value, b.value).statistic)
    whole = Feature(a.clip, a.value.round(), 6), Feature(b.clip, b.value.round(), 9)
    assert compare("x", *whole).effect == pytest.approx(ks(whole[0].value, whole[1].value).statistic)


def test_alike_clips_pass_as_often_as_p_says_though_their_frames_depend_on_each_other() -> None:
    """p of 60 pairs of sets is uniform; by frames that are taken for independent nearly all would be below 0.05."""
    rng = np.random.default_rng(1)
    p = [compare("x", drifting(rng, 12), drifting(rng, 12), seed).p for seed in range(60)]
    assert stats.kstest(p, "uniform").pvalue > 1e-4
    naive = [ks(drifting(rng, 12).value, drifting(rng, 12).value).pvalue for _ in range(20)]
    assert np.mean(np.array(naive) < 0.05) > 0.5


def test_other_clips_are_told() -> None:
    rng = np.random.default_rng(2)
    found = compare("x", drifting(rng, 30), drifting(rng, 30, 3.0))
    assert found.p == 0.001 and found.effect > 0.7


def test_nothing_to_compare_has_no_p() -> None:
    rng = np.random.default_rng(0)
    assert np.isnan(compare("x", drifting(rng, 4), Feature(np.zeros(0, int), np.zeros(0), 4)).p)
    assert np.isnan(compare_looks([np.zeros((0, 3))], [np.ones((2, 3))]).p)


def test_looks_of_one_kind_are_not_told_apart_and_others_are() -> None:
    rng = np.random.default_rng(3)

    def kind(clips: int, of: float) -> list[np.ndarray]:
        return [of + rng.standard_normal((2, 4)) for _ in range(clips)]

    alike = [compare_looks(kind(15, 0), kind(25, 0), seed).p for seed in range(30)]
    assert stats.kstest(alike, "uniform").pvalue > 1e-4
    other = compare_looks(kind(15, 0), kind(25, 6))
    assert other.effect > 0.9 and other.p == 0.001


def test_neighbours_are_looked_for_in_other_clips() -> None:
    """All objects of a clip are the same, and tell nothing of whether clips are."""
    rng = np.random.default_rng(4)
    clips = [np.repeat(rng.standard_normal((1, 4)), 5, 0) for _ in range(40)]
    assert abs(compare_looks(clips[:20], clips[20:]).effect - 0.5) < 0.25


def test_patches_are_of_whole_objects() -> None:
    clips = np.zeros((1, 5, 30, 40), np.uint8)
    clips[0, :, 20:28, 20:27] = 200
    found = looks(clips, [walk()])
    assert found[0].shape == (2, 144) and np.allclose(found[0][1], 200 / 255)
    outside = Tracks(np.zeros(1), np.zeros(1), np.array([[-2, 3, 6, 6]]))
    assert looks(clips, [outside])[0].shape == (0, 144)


def test_bars_hold_everything() -> None:
    whole = Feature(np.zeros(4, int), np.array([0.0, 1, 1, 2]), 1)
    middle, shares = histogram([whole, Feature(np.zeros(0, int), np.zeros(0), 1)])
    assert middle.tolist() == [0, 1, 2] and shares[0].tolist() == [0.25, 0.5, 0.25] and not shares[1].any()
    _, shares = histogram([drifting(np.random.default_rng(0), 9)])
    assert shares[0].sum() == pytest.approx(1)


def futures() -> tuple[np.ndarray, ...]:
    """Calibrated ones: what comes is another sample of the same kind; 40 futures of 3000 objects, 2 frames ahead."""
    rng = np.random.default_rng(5)
    walks = np.cumsum(rng.standard_normal((41, 2, 3000, 2)), 1)
    return walks[:40], walks[40], np.ones((2, 3000), bool), np.zeros((3000, 2)), np.ones((3000, 2))


def test_calibrated_futures_lie_as_far_apart_as_they_are_off() -> None:
    found = spread(*futures())
    assert found.apart == pytest.approx(np.sqrt([2, 4]), rel=0.05)
    assert found.error == pytest.approx(found.apart * np.sqrt(1 + 1 / 40), rel=0.05)
    assert (found.best < found.mean).all() and (found.mean < found.straight).all()
    assert found.resting == pytest.approx(np.sqrt(np.pi / 2 * np.array([1, 2])), rel=0.05)


def test_what_was_not_seen_does_not_count() -> None:
    samples, came, seen, last, before = futures()
    seen[1] = False
    seen[0, 0] = False
    came[0, 0] = 1e9
    found = spread(samples, came, seen, last, before)
    assert found.error[0] < 2 and np.isnan([found.error[1], found.apart[1], found.best[1]]).all()


def test_situations_are_what_lies_ahead() -> None:
    last = np.array([[10, 10], [10, 20], [30, 30], [30, 30], [20, 10]], float)
    step = np.array([[-3, 0], [0, -1], [0, 0], [0, 0], [0, 0]], float)
    clip = np.array([0, 0, 1, 2, 3])
    found = situations(last, step, np.full((5, 2), 4.0), clip, (50, 60), 4)
    assert found["wall"].tolist() == [True, False, False, False, False]
    assert found["meeting"].tolist() == [False, False, False, False, False]
    near = situations(last, step, np.full((5, 2), 10.0), clip, (50, 60), 4)
    assert near["meeting"].tolist() == [False, True, False, False, False]
    assert (near["wall"] + near["meeting"] + near["free"] == 1).all()
