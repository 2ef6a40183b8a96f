"""Things before a scene: whole ones, however faint they are in parts, and none of noise."""

from __future__ import annotations

import numpy as np
import pytest

from sqair.datasets.things import FAINTEST, counts, find_blobs, steady_level, whole_things
from sqair.foreground import foreground

HEIGHT, WIDTH, LENGTH = 80, 100, 8
NOISE = 0.02


def away(contrast: float, noise: float = NOISE, parts: float = 1.0) -> np.ndarray:
    """Two squares ``[T, H, W, C]`` of sides 12 that move, whose middle thirds are ``parts`` as strong as the rest."""
    random = np.random.default_rng(0)
    frames = noise * random.standard_normal((LENGTH, HEIGHT, WIDTH, 3))
    for t, image in enumerate(frames):
        for y, x, sign in ((10, 5 + 8 * t, 1), (50, 70 - 6 * t, -1)):
            image[y : y + 12, x : x + 12] += sign * contrast
            image[y : y + 12, x + 4 : x + 8] -= sign * contrast * (1 - parts)
    return frames.astype(np.float32)


@pytest.mark.parametrize("contrast", [0.15, 0.4, 0.8])
@pytest.mark.parametrize("parts", [1.0, 0.7])
def test_things_are_whole_whatever_their_contrast(contrast: float, parts: float) -> None:
    frames = away(contrast, parts=parts)
    for blobs in whole_things(frames, NOISE):
        assert len(blobs) == 2
        for blob in blobs:
            assert blob.sides == pytest.approx((12, 12), abs=1) and blob.area == pytest.approx(144, rel=0.1)
            mean = contrast * np.sqrt((2 + parts**2) / 3)
            assert blob.contrast == pytest.approx(mean, rel=0.1)
            assert blob.energy == pytest.approx(blob.area * 3 * blob.contrast**2, rel=1e-4)


def test_the_level_is_above_the_noise_and_below_things() -> None:
    level = steady_level(np.abs(away(0.4)).max(-1), NOISE)
    assert 4 * NOISE <= level < 0.4
    assert whole_things(np.zeros((2, 20, 20, 1), np.float32), 0.0) == [[], []]


def test_little_ink_is_no_thing() -> None:
    ink = np.array([100.0, 90.0, 110.0, 2.0, FAINTEST * 101])
    assert counts(ink).tolist() == [True, True, True, False, True]
    assert counts(np.zeros(0)).tolist() == []


def test_the_foreground_ends_at_the_edges_of_each_thing() -> None:
    """The halo of a strong thing is none of it; a faint thing of the same level is."""
    image = np.zeros((40, 60), np.float32)
    image[8:20, 8:20] = 0.15
    image[10:18, 10:18] = 1.0
    image[25:33, 40:48] = 0.15
    mask = foreground(image, 0.1)
    expected = np.zeros_like(mask)
    expected[10:18, 10:18] = expected[25:33, 40:48] = 1
    assert np.array_equal(mask, expected)
    (strong, faint) = find_blobs(image[..., None], mask)
    assert strong.sides == faint.sides == (8, 8) and strong.contrast == pytest.approx(1.0)
    assert faint.contrast == pytest.approx(0.15)
