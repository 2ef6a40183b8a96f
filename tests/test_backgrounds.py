"""Backgrounds of generated clips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sqair.datasets.backgrounds import OCTAVES, colours
from sqair.datasets.draws import Draws
from sqair.datasets.folders import read_npz, write_mot_folder, write_npz
from sqair.datasets.generate import make_clips
from sqair.datasets.images import write_png
from sqair.datasets.recipes import BACKGROUNDS, Recipe, get_recipe
from sqair.errors import UserError


def recipe(**settings: object) -> Recipe:
    return get_recipe("moving-mnist", **{"length": 4, "min_objects": 1, **settings})


def mixed(behind: np.ndarray, ink: np.ndarray) -> np.ndarray:
    """White ink of strength ``ink`` over ``behind``, both uint8."""
    return behind * (1 - ink / 255) + ink


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("colour", [False, True])
def test_a_clip_is_the_same_whatever_is_made_beside_it(background: str, colour: bool) -> None:
    settings = recipe(background=background, colour=colour, pan_speed=2.0)
    many, one = make_clips(settings, "train", 3, 0, 6), make_clips(settings, "train", 3, 4, 1)
    assert many.frames.shape == (6, 4, 50, 50, 3)[: 5 if colour else 4]
    np.testing.assert_array_equal(many.frames[4], one.frames[0])
    np.testing.assert_array_equal(many.clutter[4], one.clutter[0])


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_digits_are_those_of_the_plain_clip_over_the_background(background: str) -> None:
    """Where there is no ink the background shows, and with ink of full strength it does not."""
    plain = make_clips(recipe(), "val", 0, 0, 5)
    clips = make_clips(recipe(background=background), "val", 0, 0, 5)
    for ours, theirs in zip(clips.truth, plain.truth, strict=True):
        np.testing.assert_array_equal(ours.box, theirs.box)
    full, none = plain.frames == 255, plain.frames == 0
    assert (clips.frames[full] == 255).all()
    if background == "none":
        np.testing.assert_array_equal(clips.frames, plain.frames)
    elif background != "clutter":
        assert clips.frames[none].max() <= 128
    if background not in ("none", "pan"):
        behind = np.ma.array(clips.frames, mask=~none)
        assert (behind.max(1) - behind.min(1)).max() == 0  # it never moves
        seen = behind.max(1).filled(0).astype(float)[:, None]
        known = np.broadcast_to(none.any(1)[:, None], clips.frames.shape)
        assert np.abs(mixed(seen, plain.frames) - clips.frames)[known].max() <= 1


def test_every_clip_has_a_background_of_its_own() -> None:
    for background in ("grey", "gradient", "texture", "clutter"):
        frames = make_clips(recipe(background=background, max_objects=0, min_objects=0), "train", 0, 0, 8).frames
        assert len(np.unique(frames[:, 0].reshape(8, -1), axis=0)) == 8


def test_textures_reach_from_black_to_the_contrast_and_are_rough() -> None:
    frames = make_clips(recipe(background="texture", contrast=0.5, min_objects=0, max_objects=0), "val", 0, 0, 4).frames
    assert frames.min() == 0 and frames.max() == 128
    for clip in frames[:, 0].astype(float):
        assert clip.std() > 15 and np.abs(np.diff(clip, axis=1)).max() < 255 * 0.5 * max(OCTAVES) / 50 * 2


def test_a_panning_texture_moves_at_one_velocity() -> None:
    settings = recipe(background="pan", pan_speed=3.0, length=6, min_objects=0, max_objects=0)
    for frames in make_clips(settings, "val", 0, 0, 4).frames.astype(float):
        spectrum = np.fft.fft2(frames - frames.mean())
        shifts = []
        for before, after in zip(spectrum[:-1], spectrum[1:], strict=True):
            match = np.fft.ifft2(after * before.conj()).real
            y, x = np.unravel_index(match.argmax(), match.shape)
            shifts.append(((x + 25) % 50 - 25, (y + 25) % 50 - 25))
        assert np.ptp(shifts, axis=0).max() <= 1 and np.hypot(*np.mean(shifts, axis=0)) <= 3.5


def test_clutter_is_where_its_boxes_say() -> None:
    clips = make_clips(recipe(background="clutter", min_objects=0, max_objects=0), "val", 0, 0, 20)
    pieces = clips.clutter.any(2).sum(1)
    assert set(pieces.tolist()) == {1, 2, 3}
    for frames, boxes in zip(clips.frames, clips.clutter, strict=True):
        covered = np.zeros(frames.shape[1:], bool)
        for x, y, w, h in boxes.tolist():
            piece = frames[0, y : y + h, x : x + w] > 0
            assert not w or (piece.any(0).all() or len(boxes) > 1) and piece.any()
            covered[y : y + h, x : x + w] = True
        assert not frames[:, ~covered].any() and (frames == frames[0]).all()


def test_colours_are_bright_and_digits_keep_theirs() -> None:
    tint = colours(Draws("moving-mnist", "val", 0, 0, 200), "digit-colour", 2, 3)
    assert tint.shape == (200, 2, 3) and tint.max(-1).min() > 0.99 and 0.14 < tint.min() < 0.16
    clips = make_clips(recipe(colour=True, max_objects=1), "val", 0, 0, 5)
    strong = make_clips(recipe(max_objects=1), "val", 0, 0, 5).frames == 255
    kinds = [len(np.unique(f[where], axis=0)) for f, where in zip(clips.frames, strong, strict=True) if where.any()]
    assert len(kinds) > 2 and set(kinds) == {1}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twenty images, each of its own brightness on one side."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(20):
        image = np.zeros((60, 70, 3), np.uint8)
        image[:, 35:] = 50 + 10 * i
        image[:, :35, 0] = i
        write_png(folder / f"{i:02d}.png", image)
    return folder


@pytest.mark.parametrize("background", ["texture", "pan"])
@pytest.mark.parametrize("colour", [False, True])
def test_textures_from_a_folder(pictures: Path, background: str, colour: bool) -> None:
    """Splits share no image: training sees the first eight of ten."""
    empty = {"min_objects": 0, "max_objects": 0}
    settings = recipe(background=background, colour=colour, texture_path=str(pictures), **empty)
    for split in ("train", "val", "test"):
        frames = make_clips(settings, split, 0, 0, 10).frames
        assert frames.max() <= 128 and frames.std() > 0
        again = make_clips(settings, split, 0, 7, 1).frames
        np.testing.assert_array_equal(frames[7], again[0])


def test_what_cannot_be_a_background_is_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown background 'plaid': choose one of none, grey"):
        recipe(background="plaid")
    with pytest.raises(UserError, match="contrast is 2: it must be at most 1"):
        recipe(contrast=2)
    missing = recipe(background="texture", texture_path=str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="no such folder of images"):
        make_clips(missing, "val", 0, 0, 1)
    (pictures / "00.png").unlink()
    few = replace(missing, texture_path=str(tmp_path))
    with pytest.raises(UserError, match="has 0 images: 10 are needed"):
        make_clips(few, "val", 0, 0, 1)


@pytest.mark.parametrize("colour", [False, True])
def test_clips_with_backgrounds_survive_the_disk(tmp_path: Path, colour: bool) -> None:
    clips = make_clips(recipe(background="clutter", colour=colour), "val", 0, 0, 3)
    write_npz(tmp_path / "clips.npz", [clips])
    read = read_npz(tmp_path / "clips.npz")
    np.testing.assert_array_equal(read.frames, clips.frames)
    np.testing.assert_array_equal(read.clutter, clips.clutter)
    write_mot_folder(tmp_path, "clips", [clips])
    rows = (tmp_path / "clips" / "000000" / "gt" / "clutter.txt").read_text().splitlines()
    assert len(rows) == clips.clutter[0].any(1).sum() and all(len(row.split(",")) == 4 for row in rows)
