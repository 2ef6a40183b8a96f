"""Boxes told from the pixels of frames."""

from __future__ import annotations

import numpy as np
import pytest

from sqair.edges import Edges, look_size
from sqair.frames import Fit

SIZE, CANVAS = (96, 160), (24, 40)
"""Four pixels of a frame are one of the canvas."""


def scene() -> np.ndarray:
    return np.linspace(60, 140, SIZE[1]) * np.ones((SIZE[0], 1))


def noisy(image: np.ndarray, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def edges() -> Edges:
    return Edges.learn(np.stack([noisy(scene(), seed) for seed in range(1, 12)]))


def shown(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A canvas on which object 10 + i shows in the i-th box (x, y, w, h) of the frame, smaller by a canvas pixel."""
    canvas = np.zeros(CANVAS, np.int64)
    for i, (x, y, w, h) in enumerate(boxes):
        canvas[y // 4 + 1 : (y + h) // 4 - 1, x // 4 + 1 : (x + w) // 4 - 1] = 11 + i
    return canvas


def fit(edges: Edges, frame: np.ndarray, canvas: np.ndarray, ids: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The boxes alone."""
    return edges.fit(edges.look(frame), canvas, ids, box)[0]


def test_noise_is_told(edges: Edges) -> None:
    assert 1.5 < edges.noise < 2.5


@pytest.mark.parametrize("contrast", [90, -50, 20])
@pytest.mark.parametrize("light", [0, 15])
def test_a_box_is_that_of_the_pixels(edges: Edges, contrast: int, light: int) -> None:
    """Whether what the model says is too large or too small, and in other light than that of the scene."""
    true = (50, 30, 22, 17)
    image = scene() + light
    image[30:47, 50:72] += contrast
    for loose in ([46.0, 27, 30, 24], [52.0, 32, 16, 12]):
        found = fit(edges, noisy(image), shown(true), np.array([10]), np.array([loose]))
        assert np.abs(found - true).max() <= 1


def test_what_touches_is_shared_out(edges: Edges) -> None:
    """The border is half way between where the two show."""
    image = scene()
    image[40:60, 40:100] += 60
    boxes = np.array([[38.0, 38, 36, 24], [68.0, 38, 36, 24]])
    found = fit(edges, noisy(image), shown((40, 40, 30, 20), (70, 40, 30, 20)), np.array([10, 11]), boxes)
    assert np.abs(found - [[40, 40, 30, 20], [70, 40, 30, 20]]).max() <= 2


def test_dim_parts_have_edges_of_their_own(edges: Edges) -> None:
    """Wings of a third of the contrast are of it, but not the blur around it."""
    image = scene()
    image[38:62, 38:102] += 12
    image[40:60, 40:100] += 18
    image[40:60, 40:70] += 50
    found = fit(edges, noisy(image), shown((40, 40, 30, 20)), np.array([10]), np.array([[38.0, 38, 50, 24]]))
    assert np.abs(found - [[40, 40, 60, 20]]).max() <= 2


@pytest.mark.parametrize("company", [False, True])
def test_a_thing_goes_on_as_far_as_nobody_else_is(edges: Edges, company: bool) -> None:
    """Of something long the model knows the middle. Where another object shows at its end, it reaches less far."""
    image = scene()
    image[40:60, 20:120] += 60
    where = [(58, 40, 20, 20)] + [(100, 40, 20, 20)] * company
    boxes = np.array([[55.0, 38, 26, 24], [98.0, 38, 24, 24]])[: len(where)]
    found = fit(edges, noisy(image), shown(*where), np.arange(10, 10 + len(where)), boxes)
    left = 46 if company else 28  # as far as windows of edges reach: .3 and 1 of its width
    assert found[0, 0] == pytest.approx(left, abs=2) and found[0, 1] == pytest.approx(40, abs=1)
    assert found[0, :2].sum() + found[0, 2] == pytest.approx((88 if company else 108) + 40, abs=3)


@pytest.mark.parametrize(
    ("second", "gap", "expected"), [(60, 0, True), (30, 0, True), (-50, 0, False), (60, 3, False)]
)
def test_what_hangs_together_is_told(edges: Edges, second: int, gap: int, expected: bool) -> None:
    """If it differs from the scene to the same side, and by no more than its blur is it interrupted."""
    image = scene()
    image[40:60, 40:70] += 60
    image[40:60, 70 + gap : 100] += second
    boxes = np.array([[38.0, 38, 36, 24], [68.0, 38, 36, 24], [10.0, 10, 20, 20]])
    canvas = shown((40, 40, 30, 20), (70, 40, 30, 20), (10, 10, 20, 20))
    image[10:30, 10:30] += 60
    _, joined = edges.fit(edges.look(noisy(image)), canvas, np.array([10, 11, 12]), boxes)
    assert joined.tolist() == [[False, expected, False], [expected, False, False], [False, False, False]]


def test_a_shadow_or_a_speck_nearby_is_no_part_of_it(edges: Edges) -> None:
    image = scene()
    image[40:60, 40:60] -= 60
    image[60:64, 40:60] -= 15
    image[45:47, 65:67] -= 60
    found = fit(edges, noisy(image), shown((40, 40, 20, 20)), np.array([10]), np.array([[38.0, 38, 26, 28]]))
    assert np.abs(found - [[40, 40, 20, 20]]).max() <= 1


def test_what_is_not_seen_keeps_its_box(edges: Edges) -> None:
    """Nothing differs there, or the object shows nowhere, or it is outside."""
    boxes = np.array([[38.0, 38, 20, 20], [80.0, 20, 16, 16], [-40.0, 20, 16, 16]])
    found = fit(edges, noisy(scene()), shown((40, 40, 20, 20)), np.array([10, 20, 30]), boxes)
    assert np.array_equal(found, boxes)
    assert fit(edges, noisy(scene()), shown(), np.array([]), np.zeros((0, 4))).shape == (0, 4)


def test_large_frames_are_looked_at_smaller() -> None:
    """Boxes are in the pixels of the frame as it came."""
    assert look_size((100, 200)) == (100, 200) and look_size((1080, 1920)) == (540, 960)
    large = np.full((1080, 1920, 3), 90, np.uint8)
    look = Fit((1080, 1920), (540, 960))
    edges = Edges.learn(np.stack([look.frame(large)] * 3))
    large[400:500, 600:760] = [200, 90, 90]
    canvas = np.zeros((54, 96), np.int64)
    canvas[21:24, 31:37] = 1
    found = fit(edges, large, canvas, np.array([0]), np.array([[590.0, 390, 190, 130]]))
    assert np.abs(found - [[600, 400, 160, 100]]).max() <= 2


def test_labels_of_a_window_are_a_part_of_all() -> None:
    canvas = np.random.default_rng(0).integers(0, 5, CANVAS)
    lie = Fit((93, 155), CANVAS)
    for shift in (None, np.array([3.0, -2.0])):
        assert np.array_equal(lie.labels(canvas, shift, np.s_[10:50, 20:31]), lie.labels(canvas, shift)[10:50, 20:31])
