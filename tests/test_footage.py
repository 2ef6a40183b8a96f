"""Footage: what a survey tells, windows of clips as training clips, frames of any size on one canvas."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import TINY
from shaking import clip_of, filmed, texture, trembling
from sqair.datasets.footage import Footage, relit, scene_image, thinned
from sqair.datasets.images import write_png
from sqair.datasets.survey import suggest, survey
from sqair.datasets.video import read_source
from sqair.errors import UserError
from sqair.frames import Fit
from sqair.model import SQAIR
from sqair.scripts import cli
from sqair.tracker import Tracker

COLOURS = np.array([[230, 40, 30], [20, 20, 200], [10, 10, 10]])


def film(length: int = 24, size: tuple[int, int] = (120, 160), noise: float = 2.0) -> np.ndarray:
    """Three opaque boxes, 14 pixels wide and 20 high, that pass before a scene: uint8 ``[T, H, W, 3]``."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[: size[0], : size[1]]
    scene = 110 + 40 * np.sin(x / 9)[..., None] + 30 * np.cos(y / 7)[..., None] * np.array([1, 0.5, -1])
    frames = np.repeat(scene[None], length, 0)
    for t in range(length):
        for k, colour in enumerate(COLOURS):
            left, top = (30 * k + 5 * t) % (size[1] - 14), 10 + 35 * k
            frames[t, top : top + 20, left : left + 14] = colour
    return np.clip(frames + noise * random.standard_normal(frames.shape), 0, 255).astype(np.uint8)


def test_a_survey_finds_size_number_and_contrast_of_what_moves() -> None:
    seen = survey([clip_of(film())])
    assert seen.size == (120, 160) and seen.colour and seen.length == 24
    assert seen.width == pytest.approx(14, abs=2) and seen.height == pytest.approx(20, abs=2)
    assert 2.7 <= seen.mean <= 3.2 and seen.most <= 4
    assert seen.noise == pytest.approx(2 / 255, rel=0.4) and 0.2 < seen.contrast < 0.7
    grey = survey([clip_of(film().mean(-1).astype(np.uint8))])
    assert not grey.colour and grey.width == pytest.approx(14, abs=2)


def test_what_it_suggests_fits_what_it_saw() -> None:
    seen = survey([clip_of(film())])
    model = suggest(seen)[0]
    assert model.channels == 3 and model.objects == "opaque" and model.fit
    scale = model.height / 120
    assert model.width / 160 == pytest.approx(scale, rel=0.02)
    side = model.size_mean * np.array([model.aspect ** -0.5, model.aspect ** 0.5])
    assert side == pytest.approx(scale * np.array([seen.width, seen.height]), rel=0.02)
    assert model.slots >= 4 and model.max_size > 1.3 * side.max()
    far = suggest(replace(seen, size=(1200, 1600), width=140, height=200, large=220))[0]
    assert (far.height, far.width) == pytest.approx((model.height, model.width), abs=3)


def test_footage_without_anything_to_learn_is_refused() -> None:
    still = np.repeat(film(1), 9, 0)
    with pytest.raises(UserError, match="nothing moves"):
        survey([clip_of(still)])
    with pytest.raises(UserError, match="has 3 frames: 5 are needed"):
        survey([clip_of(film(3))])


def test_the_scene_is_what_most_frames_show() -> None:
    frames = film(noise=0)
    empty = film(1, noise=0)[0]
    image = scene_image(frames)
    hidden = (frames != image).any(-1).mean(0) > 0.5
    assert not hidden.any()
    assert np.abs(image[:9].astype(int) - empty[:9]).max() <= 1


def test_windows_of_footage_are_parts_of_its_clips() -> None:
    frames = film()
    footage = Footage([clip_of(frames), clip_of(frames[:12])], (60, 80), 3, 5, seed=0)
    windows = footage(3, 40)
    assert windows.shape == (40, 5, 60, 80, 3) and footage.scenes(3, 40).shape == (40, 60, 80, 3)
    assert np.array_equal(footage(10, 2), windows[7:9])
    assert len({window.tobytes() for window in windows}) > 10
    seen = np.concatenate([part[:end] for part, end in zip(footage.frames, footage.ends, strict=True)])
    known = {frame.tobytes() for frame in seen}
    assert all(frame.tobytes() in known for window in windows for frame in window)
    held, scenes = footage.held_out(2)
    assert held.shape == (2, 5, 60, 80, 3) and scenes.shape == (2, 60, 80, 3)
    assert footage.ends == [len(frames) - 5, 7] and not any(frame.tobytes() in known for frame in held[0])
    with pytest.raises(UserError, match="has 12 frames"):
        Footage([clip_of(frames[:12])], (60, 80), 3, 20, seed=0)


@pytest.mark.parametrize("size", [(120, 160), (30, 40), (100, 40), (60, 80)])
def test_frames_of_any_size_fit_the_canvas_and_boxes_come_back(size: tuple[int, int]) -> None:
    fit = Fit(size, (60, 80))
    frame = np.zeros((*size, 3), np.uint8)
    y, x, h, w = size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2
    frame[y : y + h, x : x + w] = 255
    canvas = fit.frame(frame)
    assert canvas.shape == (60, 80, 3)
    rows, columns = (np.flatnonzero((canvas[..., 0] > 127).any(axis)) for axis in (1, 0))
    found = np.array([[columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]])
    assert np.abs(fit.boxes(found) - [x, y, w, h]).max() <= 1 / fit.scale


def test_a_tracker_of_footage_takes_frames_of_any_size() -> None:
    config = replace(TINY, fit=True, objects="opaque", channels=3, background="still", height=60, width=80)
    tracker = Tracker(SQAIR(config))
    tracker.watch(film(6))
    for frame in film(3):
        tracks = tracker.update(frame)
        assert (tracks.box[:, :2] <= (160, 120)).all()
    with pytest.raises(UserError):
        tracker.update(film(1)[0].astype(np.float32))


def test_training_on_a_folder_of_images_and_tracking_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "street"
    folder.mkdir()
    for t, frame in enumerate(film(14)):
        write_png(folder / f"{t:03d}.png", frame)
    run = tmp_path / "run"
    words = ["--output", str(run), "--data", str(folder), "--train.stages", "1x2x2", "5x1x2"]
    words += ["--model.hidden", "16", "--model.features", "16", "--model.first-steps", "2", "--from", "none"]
    assert cli.run("train", words) == 0, capsys.readouterr().err
    config = SQAIR.from_pretrained(run).config
    assert config.fit and config.channels == 3 and config.background == "still"
    assert cli.run("track", ["--source", str(folder), "--model", str(run), "--output", str(tmp_path / "found")]) == 0
    assert (tmp_path / "found" / "street.txt").is_file()
    assert len(read_source(folder)[0].size) == 2


def test_footage_that_does_not_exist_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--output", str(tmp_path / "run"), "--data", str(tmp_path / "no.mp4"), "--train.stages", "1x1x1"]
    assert cli.run("train", words) != 0
    assert "no.mp4" in capsys.readouterr().err


def test_thinned_frames_are_spread_over_clips_of_any_length() -> None:
    for length in (1, 4, 5, 9, 10, 11, 83):
        numbers = np.arange(length, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
        frames, counted = thinned(clip_of(numbers), (8, 8), 3, 5)
        found = frames[:, 0, 0, 0].tolist()
        assert counted == length and len(found) == min(length, 5) and found[0] == 0
        if length > 5:
            assert found[-1] >= 0.75 * (length - 1) and max(np.diff(found)) <= 2 * min(np.diff(found)) + 1


def test_light_that_swells_and_fades_moves_nothing() -> None:
    """Noise of the same scene is the same in any light."""
    scene = np.random.default_rng(0).integers(40, 200, (30, 40, 3), dtype=np.uint8)
    light = 1 + 0.2 * np.sin(np.arange(12))
    frames = (light[:, None, None, None] * scene).clip(0, 255).astype(np.uint8)
    found = scene_image(frames)
    assert np.abs(relit(found, frames) - frames).max() <= 2.5
    assert np.abs(frames.astype(int) - found).max() > 20


def seen_and_held(footage: Footage) -> tuple[set[bytes], list[bytes]]:
    """The frames that training can draw, and those that are held out."""
    drawn = footage(0, 20 * sum(footage.starts.tolist()))
    held, _ = footage.held_out(1000)
    return {f.tobytes() for window in drawn for f in window}, [f.tobytes() for window in held for f in window]


def numbered(clip: int, length: int) -> np.ndarray:
    """Frames ``[T, 6, 8, 3]`` that all differ from those of other clips."""
    frames = np.zeros((length, 6, 8, 3), np.uint8)
    frames[:, 0, 0, 0], frames[:, 0, 1, 0] = clip, np.arange(length)
    return frames


@pytest.mark.parametrize(
    ("lengths", "window", "unseen"),
    [([10] * 40, 10, 20), ([20] * 30, 10, 40), ([12] * 3, 10, 12), ([200], 10, 10), ([12], 10, 2), ([90, 11], 10, 10)],
)
def test_what_is_held_out_is_not_trained_on_and_all_else_is(lengths: list[int], window: int, unseen: int) -> None:
    clips = [clip_of(numbered(c, n)) for c, n in enumerate(lengths)]
    footage = Footage(clips, (6, 8), 3, window, seed=0, stabilise="off")
    assert sum(lengths) - sum(footage.ends) == unseen
    drawn, held = seen_and_held(footage)
    assert held and not drawn & set(held)
    assert len(drawn) >= 0.98 * sum(footage.ends)


def test_a_single_clip_without_a_frame_to_spare_is_looked_at_in_validation() -> None:
    footage = Footage([clip_of(numbered(0, 10))], (6, 8), 3, 10, seed=0, stabilise="off")
    drawn, held = seen_and_held(footage)
    assert len(drawn) == 10 and set(held) == drawn


def test_clips_that_are_too_short_for_a_window_are_left_out() -> None:
    clips = [clip_of(numbered(c, n)) for c, n in enumerate([30, 4, 30])]
    footage = Footage(clips, (6, 8), 3, 5, seed=0, stabilise="off")
    assert footage.left_out == 1 and [len(frames) for frames in footage.frames] == [30, 30]


def test_footage_of_a_camera_that_trembles_stands_still_as_training_sees_it() -> None:
    frames = filmed(texture((120, 160)), trembling(40, 1.0), things=0)
    spread = {}
    for stabilise in ("auto", "off"):
        footage = Footage([clip_of(frames)], (90, 120), 3, 5, seed=0, stabilise=stabilise)  # type: ignore[arg-type]
        spread[stabilise] = footage.frames[0][:, 6:-6, 6:-6].std(0).mean()
    assert spread["auto"] < 0.5 * spread["off"]
