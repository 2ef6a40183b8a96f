"""How a camera moves: shifts to a few hundredths of a pixel, no false alarms, and frames put back."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from conftest import TINY
from shaking import filmed, texture, trembling
from sqair.boxes import moved
from sqair.camera import learn, panned, steadied
from sqair.model import SQAIR
from sqair.steady import put_back
from sqair.tracker import Tracker

SIZE = (180, 240)
SCENE = texture(SIZE)
FLAT = np.full((*SIZE, 3), 120.0)
BARS = np.repeat((120 + 50 * np.sin(np.arange(SIZE[0]) / 4))[:, None, None] * np.ones(3), SIZE[1], 1)


def boxes_on_shade() -> np.ndarray:
    """A scene of broad shade and a few boxes."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    scene = 110 + 30 * np.sin(x / 80)[..., None] + 20 * np.cos(y / 60)[..., None] + np.zeros(3)
    for _ in range(14):
        left, top = random.integers(0, SIZE[1] - 30), random.integers(0, SIZE[0] - 30)
        scene[top : top + random.integers(10, 40), left : left + random.integers(10, 40)] += random.normal(0, 40, 3)
    return scene.clip(0, 255)


def error(found: np.ndarray, true: np.ndarray) -> float:
    """Root mean square of what shifts ``[T, 2]`` differ by, but for a shift that all have in common."""
    away = (found - true) - (found - true).mean(0)
    return float(np.sqrt((away**2).mean()))


@pytest.mark.parametrize("pixels", [0.2, 0.5, 3.0])
@pytest.mark.parametrize("scene", [SCENE, boxes_on_shade()], ids=["texture", "boxes"])
def test_shifts_are_told_to_a_twentieth_of_a_pixel(scene: np.ndarray, pixels: float) -> None:
    true = trembling(24, pixels)
    frames = filmed(scene, true)
    steady, shifts, motion = learn(frames)
    assert error(shifts, true) < 0.05
    assert motion.trembles and motion.tremble == pytest.approx(pixels, rel=0.1)
    assert error(np.array([steady.locate(frame) for frame in frames]), true) < 0.05


def test_frames_larger_than_they_are_aligned_give_shifts_in_their_own_pixels() -> None:
    true = trembling(12, 1.5)
    _, shifts, motion = learn(filmed(texture((480, 640)), true))
    assert error(shifts, true) < 0.12 and motion.tremble == pytest.approx(1.5, rel=0.1)


def test_light_and_large_things_do_not_shift_a_scene() -> None:
    true = trembling(24, 0.5)
    light = 1 + 0.2 * np.sin(np.arange(24) / 4)
    assert error(learn(filmed(SCENE, true, light=light))[1], true) < 0.05
    frames = filmed(SCENE, true)
    for t, frame in enumerate(frames):
        frame[30:, max(0, 8 * t - 70) : 8 * t] = (200, 30, 40)
    assert error(learn(frames)[1], true) < 0.05


@pytest.mark.parametrize("case", ["texture", "boxes", "flat", "noise", "light", "shade", "large", "few", "blocks"])
def test_a_camera_that_stands_still_does_not_tremble(case: str) -> None:
    length = 8 if case == "few" else 24
    light = 1 + 0.3 * np.sin(np.arange(length) / 5) if case == "light" else None
    scene = {"texture": SCENE, "boxes": boxes_on_shade(), "light": SCENE, "large": boxes_on_shade()}.get(case, FLAT)
    frames = filmed(scene, np.zeros((length, 2)), light=light, noise=12 if case == "noise" else 2)
    if case == "large":
        for t, frame in enumerate(frames):
            frame[30:, max(0, 8 * t - 70) : 8 * t] = (200, 30, 40)
    if case == "shade":
        slope = np.linspace(-0.3, 0.3, SIZE[1])[None, :, None]
        shaded = [(frame * (1 + slope * np.sin(t / 6))).clip(0, 255) for t, frame in enumerate(frames)]
        frames = np.stack(shaded).astype(np.uint8)
    if case == "blocks":
        frames = (frames // 12 * 12 + 6).astype(np.uint8)
    motion = learn(frames)[2]
    assert not motion.trembles and not motion.pans and not motion.turns
    if scene is FLAT:
        assert not motion.told, "a scene without detail cannot tell"


def test_things_that_only_move_together_are_no_scene() -> None:
    """Before a flat wall all shift by as much as a camera would."""
    frames = filmed(FLAT, np.stack([5.0 * np.arange(12), np.zeros(12)], 1), things=2)
    steady, _, motion = learn(frames)
    assert not motion.told and not steady.locate(frames[5]).any()
    assert panned(frames) == 0


def test_along_stripes_nothing_is_told() -> None:
    true = trembling(24, 0.5)
    shifts = learn(filmed(BARS, true, things=2))[1]
    assert np.abs(shifts[:, 0]).max() < 1e-3
    assert error(shifts[:, 1:], true[:, 1:]) < 0.05


def test_a_pan_is_measured_however_far_it_goes() -> None:
    wide = texture((120, 700))
    frames = np.array([wide[:, 10 * t : 10 * t + 160] for t in range(40)]).astype(np.uint8)
    assert panned(frames) == pytest.approx(390, rel=0.03)
    slow = learn(np.array([wide[:, t : t + 160] for t in range(30)]).astype(np.uint8))[2]
    assert slow.pans and slow.reach == pytest.approx(29, rel=0.1) and not slow.trembles


def test_a_turning_camera_is_told_from_one_that_trembles() -> None:
    random = np.random.default_rng(0)
    frames = filmed(SCENE, np.zeros((24, 2)))
    for t in range(24):
        matrix = cv2.getRotationMatrix2D((120, 90), random.normal(0, 1.0), 1.0)
        frames[t] = cv2.warpAffine(frames[t], matrix, (240, 180), borderMode=cv2.BORDER_REFLECT)
    assert learn(frames)[2].turns
    assert not learn(filmed(SCENE, trembling(24, 1.0)))[2].turns


def test_frames_are_put_back_where_the_scene_is() -> None:
    frames = filmed(SCENE, trembling(16, 1.0), things=0, noise=0)
    for wanted in ("auto", "on"):
        steady, still, motion = steadied(frames, wanted)
        assert steady is not None and motion.trembles
        inside = np.s_[:, 6:-6, 6:-6]
        assert still[inside].std(0).mean() < 0.25 * frames[inside].std(0).mean()
    steady, same, _ = steadied(frames, "off")
    assert steady is None and same is frames
    assert steadied(filmed(SCENE, np.zeros((12, 2))), "auto")[0] is None
    assert steadied(filmed(FLAT, trembling(12, 1.0)), "on")[0] is None, "nothing tells where it is"
    assert np.array_equal(put_back(frames[0], np.array([2.0, -3.0]))[4:-4, 4:-4], frames[0][1:-7, 6:-2])
    before = np.full_like(frames[0], 7)
    filled = put_back(frames[0], np.array([2.0, -3.0]), before)
    assert (filled[:, -2:] == 7).all() and (filled[:3] == 7).all() and (filled[4:-4, 4:-4] != 7).any(-1).all()
    assert np.array_equal(filled[5:-5, 5:-5], frames[0][2:-8, 7:-3]) and (before == 7).all()


def test_boxes_come_back_in_the_pixels_of_the_frame_as_it_came() -> None:
    box = np.array([[10.0, 10, 20, 20], [0, 0, 8, 8], [230, 100, 10, 10], [-5, 0, 10, 10]])
    back = moved(box, np.array([-2.0, 3.0]), SIZE)
    assert back[0].tolist() == [8, 13, 20, 20] and back[1].tolist() == [0, 3, 6, 8]
    assert back[2].tolist() == [228, 103, 10, 10] and back[3].tolist() == [-7, 3, 10, 10]
    assert moved(box, np.zeros(2), SIZE) is box


@pytest.mark.parametrize("wanted", ["auto", "off"])
def test_a_tracker_aligns_with_the_scene_that_it_has_watched(wanted: str) -> None:
    config = replace(TINY, fit=True, objects="opaque", channels=3, background="still", height=90, width=120)
    tracker = Tracker(SQAIR(config), stabilise=wanted)  # type: ignore[arg-type]
    frames = filmed(SCENE, trembling(16, 1.0))
    tracker.watch(frames)
    canvases = []
    for frame in frames[:8]:
        tracker.update(frame)
        assert tracker.canvas is not None
        canvases.append(tracker.canvas[6:-6, 6:-6].astype(float))
    spread, as_filmed = np.std(canvases, 0).mean(), np.std(frames[:8, 6:-6, 6:-6].astype(float), 0).mean()
    assert spread < 0.5 * as_filmed if wanted == "auto" else spread > 0.8 * as_filmed
    assert (tracker.steady is not None) == (wanted == "auto")
    assert tracker.motion is not None and tracker.motion.trembles == (wanted == "auto")
    tracker.reset()
    assert tracker.steady is None and tracker.motion is None


def test_frames_that_show_nothing_do_not_become_the_scene() -> None:
    """Black ones, as of a shutter, are the least unlike anything; the scene starts from a frame that most resemble."""
    frames = filmed(texture((120, 160)), trembling(24, 1.0))
    frames[[5, 17]] = 0
    _, _, motion = learn(frames)
    assert motion.trembles and motion.tremble == pytest.approx(1.0, rel=0.2)
