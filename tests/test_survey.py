"""What a survey says of footage: a camera that trembles, sets of clips, and why there is nothing to learn."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from shaking import clip_of, filmed, texture, trembling
from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import get_recipe
from sqair.datasets.survey import Survey, describe, suggest, survey
from sqair.errors import UserError
from sqair.scripts.footage import stabilised

SCENE = texture((120, 160))
STILL = np.zeros((24, 2))


def refusal(frames: np.ndarray) -> str:
    with pytest.raises(UserError) as error:
        survey([clip_of(frames)])
    return str(error.value)


def patch(scene: np.ndarray, side: int, levels: float, length: int = 24, noise: float = 1.0) -> np.ndarray:
    """A patch lighter than the scene ``[H, W, 3]`` by some grey levels that crosses it, uint8 ``[T, H, W, 3]``."""
    random = np.random.default_rng(3)
    frames = np.repeat(scene[None], length, 0)
    for t in range(length):
        frames[t, 50 : 50 + side, 5 * t : 5 * t + side] += levels
    return (frames + noise * random.standard_normal(frames.shape)).clip(0, 255).astype(np.uint8)


def said(seen: Survey) -> str:
    return describe(seen, suggest(seen)[0])


@pytest.mark.parametrize("pixels", [0.5, 1.0])
def test_a_tremble_is_told_and_things_are_found_as_if_there_were_none(pixels: float) -> None:
    still = survey([clip_of(filmed(SCENE, STILL))])
    frames = filmed(SCENE, trembling(24, pixels))
    seen = survey([clip_of(frames)])
    assert still.trembling == 0 and seen.trembling == 1
    assert seen.tremble == pytest.approx(pixels, rel=0.1)
    assert seen.mean == pytest.approx(still.mean, abs=0.6)
    assert (seen.width, seen.height) == pytest.approx((still.width, still.height), abs=2)
    assert stabilised(seen) == "auto" and stabilised(still) == "off"
    assert f"the camera trembles by {seen.tremble:.2g} pixels" in said(seen)
    assert "put right" in said(seen) and "trembles" not in said(still)
    left = survey([clip_of(frames)], "off")
    assert left.mean > still.mean + 1 and "left as it is, by --stabilise off" in said(left)


def test_a_camera_that_turns_is_said_to() -> None:
    random = np.random.default_rng(0)
    frames = filmed(SCENE, STILL)
    for t in range(len(frames)):
        matrix = cv2.getRotationMatrix2D((80, 60), random.normal(0, 1.2), 1.0)
        frames[t] = cv2.warpAffine(frames[t], matrix, (160, 120), borderMode=cv2.BORDER_REFLECT)
    seen = survey([clip_of(frames)])
    assert seen.turning == 1 and "the camera turns or zooms, by about" in said(seen)


def test_a_pan_is_refused_with_its_pixels() -> None:
    wide = texture((120, 700))
    for step, gone in ((10, 290), (2, 58)):
        frames = np.array([wide[:, step * t : step * t + 160] for t in range(30)]).astype(np.uint8)
        said = refusal(frames)
        assert said.startswith("film.mp4: the camera pans by ")
        assert int(said.split("pans by ")[1].split()[0]) == pytest.approx(gone, rel=0.05)


def test_things_too_small_too_faint_and_absent_are_told_apart() -> None:
    assert "what moves is 2 pixels wide; 3 are needed" in refusal(patch(SCENE, 2, 100))
    large = texture((480, 640), seed=1)
    assert "what moves is 7 pixels wide; 10 are needed" in refusal(patch(large, 6, 120, length=12))
    faint = refusal(patch(SCENE, 14, 12))
    assert "nothing moves in it that differs from the scene by more than 1" in faint and "20 are needed" in faint
    noisy = refusal(patch(np.full((120, 160, 3), 120.0), 14, 15, noise=8))
    assert "levels; 4" in noisy and "are needed in noise of" in noisy
    still = refusal(patch(SCENE, 0, 0, noise=0))
    assert "by more than 0 grey levels; 20 are needed" in still


def test_what_changes_most_of_the_picture_is_named() -> None:
    random = np.random.default_rng(1)
    noise = random.integers(0, 255, (12, 60, 80, 3), dtype=np.uint8)
    said = refusal(noise)
    assert "by noise of 9" in said and "26 are allowed" in said
    cuts = np.array([texture((60, 80), seed=s) for s in range(12)]).astype(np.uint8)
    said = refusal(cuts)
    assert "no scene stays in it; the camera must not move" in said and "26 are allowed" in said
    across = np.linspace(-1, 1, 160)[None, :, None]
    light = np.array([(SCENE * (1 + 0.9 * np.sin(t) * across)).clip(0, 255) for t in range(16)]).astype(np.uint8)
    assert "by light that changes unevenly" in refusal(light)
    frames = filmed(SCENE, STILL, things=0)
    for t, frame in enumerate(frames):
        cv2.circle(frame, (12 * t - 60, 60), 50, (20, 200, 90), -1)
    assert "% of the picture in one piece; 25 % is the most" in refusal(frames)


def test_clips_that_are_too_short_are_left_out_or_refused() -> None:
    good, short = filmed(SCENE, STILL), filmed(SCENE, STILL[:4])
    with pytest.raises(UserError, match="film.mp4 has 4 frames: 5 are needed"):
        survey([clip_of(short)])
    with pytest.raises(UserError, match="no clip has more than 4 frames: 5 are needed"):
        survey([clip_of(short)] * 3)
    seen = survey([clip_of(good), clip_of(good), clip_of(short)])
    assert seen.left_out == 1 and seen.length == 24
    assert "left out: 1 of 3 clips, which have fewer than 5 frames" in said(seen)
    seven = survey([clip_of(good[:7])])
    assert suggest(seven)[1].stages[-1].length == 7


def test_random_clips_are_told_from_footage() -> None:
    digits = make_clips(get_recipe("moving-mnist", length=12), "test", 0, 0, 12).frames
    seen = survey([clip_of(clip) for clip in digits])
    model, _ = suggest(seen)
    assert seen.scenes == "black" and model.objects == "light" and model.background == "none"
    assert model.ink_std == 0 and model.likelihood_std > 0.15 and suggest(seen)[1].object_nats is not None
    assert "12 clips of about 12 frames of light things on black" in said(seen)
    own = [clip_of(filmed(texture((120, 160), seed=s), STILL[:12])) for s in range(6)]
    seen = survey(own)
    assert seen.scenes == "own" and "no scene in common" in said(seen)
    one = survey([clip_of(filmed(SCENE, STILL[:12])) for _ in range(6)])
    assert one.scenes == "one" and "warning" not in said(one)


def test_more_things_than_a_model_follows_are_said() -> None:
    random = np.random.default_rng(0)
    frames = np.repeat(np.full((120, 160, 3), 90, np.uint8)[None], 20, 0)
    for frame in frames:
        for x, y in zip(random.permutation(16)[:14] * 10, range(14), strict=True):
            frame[8 * y : 8 * y + 5, x : x + 5] = 220
    seen = survey([clip_of(frames)])
    assert suggest(seen)[0].slots == 16
    assert "raise --model.slots" in said(seen)


def test_many_short_clips_are_surveyed_in_a_moment() -> None:
    frames = filmed(texture((50, 50)), STILL[:10], radius=4)
    began = time.process_time()
    survey([clip_of(frames)] * 120)
    assert time.process_time() - began < 10
