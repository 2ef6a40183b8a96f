"""Masks: which object shows where, in the pixels of the frames, from the API, in archives, streams and on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import TINY, spots, tiny_model
from sqair.datasets.images import write_png
from sqair.errors import UserError
from sqair.eval.floor import mask_components, track_components
from sqair.files.masks import read_masks, read_segments, write_masks
from sqair.files.mot_io import read_mot
from sqair.files.pretrained import save_weights
from sqair.frames import Fit
from sqair.masks import EXPLAINED, segments
from sqair.model import SQAIR
from sqair.scripts import cli
from sqair.state import Step
from sqair.tracker import Tracker, mask_clips, track_clips
from sqair.windows import Patches, Windows

Place = tuple[int, int]
OPAQUE = replace(TINY, objects="opaque", channels=3)


def step_of(
    images: Tensor, ids: list[int], canvas: tuple[int, int], *, opaque: bool, clip: int = 0, corner: Place = (0, 0)
) -> Step:
    """A frame of two clips, in one of which objects are drawn as ``images [M, 1, h, w]`` with a ``corner`` (x, y).

    Images are W of objects that are ``opaque``, and otherwise the light that they add.
    """
    objects = SQAIR(TINY).initial_state(0, torch.zeros(1, 1, 20, 24)).objects
    names = torch.tensor(ids, dtype=torch.int64)
    objects = replace(objects, clip=torch.full_like(names, clip), id=names)
    corners = torch.tensor(corner).expand(len(ids), 2)
    patches = Patches(images, Windows(objects.clip, corners, (images.shape[2], images.shape[3]), canvas))
    nothing = torch.zeros(2)
    return Step(
        torch.zeros(2, 1, *canvas), nothing, nothing, [], objects, patches, torch.ones(len(ids)),
        depth=patches if opaque else None,
    )  # fmt: skip


def depth(alpha: list[list[float]]) -> Tensor:
    """W of objects of one row of pixels, ``[M, 1, 1, w]``, of their alphas."""
    return -torch.log1p(-torch.tensor(alpha))[:, None, None]


def test_an_opaque_object_shows_where_it_hides_more_than_half() -> None:
    step = step_of(depth([[0.2, 0.49, 0.51, 0.9]]), [6], (3, 8), opaque=True, clip=1, corner=(2, 1))
    found = segments(step, 2)
    assert found.dtype == torch.int64 and found.shape == (2, 3, 8)
    expected = torch.zeros(2, 3, 8, dtype=torch.int64)
    expected[1, 1, 4:6] = 7
    assert torch.equal(found, expected)


def test_the_object_with_the_largest_share_shows() -> None:
    """Of two objects of which neither hides half, the thicker one does where the background has less than it."""
    step = step_of(depth([[0.4, 0.45, 0.9], [0.3, 0.4, 0.95]]), [0, 4], (1, 3), opaque=True)
    share = [(1 - 0.6 * 0.7) * np.log(0.6) / np.log(0.6 * 0.7), (1 - 0.55 * 0.6) * np.log(0.55) / np.log(0.55 * 0.6)]
    assert share[0] < 0.6 * 0.7 and share[1] > 0.55 * 0.6
    assert segments(step, 2)[0].tolist() == [[0, 1, 5]]


def test_shares_are_those_of_the_picture() -> None:
    """Against a canvas on which each object is painted with a colour channel of its own."""
    render, m = OPAQUE.render, 4
    alpha = torch.rand(m, 1, 7, 9)
    colour = torch.eye(m)[:, :, None, None] * alpha
    paint = render.paint(torch.cat([alpha, colour], 1))
    canvas = render.canvas(paint.sum(0, keepdim=True), None)[0]
    everything = torch.cat([1 - canvas.sum(0, keepdim=True), canvas])
    depths = render.depth(paint)
    assert depths is not None
    step = step_of(depths, list(range(m)), (7, 9), opaque=True)
    assert torch.equal(segments(step, 2)[0], everything.argmax(0))


def test_the_light_that_adds_most_shows_if_it_is_more_than_a_little() -> None:
    less = EXPLAINED - 0.01
    images = torch.tensor([[less, 0.2, 0.5], [less / 2, 0.3, 0.5]])[:, None, None]
    step = step_of(images, [2, 5], (1, 3), opaque=False)
    assert segments(step, 2)[0].tolist() == [[0, 6, 3]]
    for opaque in (False, True):
        assert not segments(step_of(images[:0], [], (1, 3), opaque=opaque), 2).any()


def test_labels_come_back_to_the_frame() -> None:
    canvas = np.zeros((20, 24), dtype=np.int64)
    canvas[4:8, 10:12] = 3
    assert np.array_equal(Fit((20, 24), (20, 24)).labels(canvas), canvas)
    double = Fit((40, 48), (20, 24)).labels(canvas)
    assert np.array_equal(double, canvas.repeat(2, 0).repeat(2, 1))
    half = Fit((10, 12), (20, 24)).labels(canvas)
    assert np.array_equal(np.argwhere(half), [[2, 5], [3, 5]])
    wide = Fit((20, 48), (20, 24))
    assert wide.labels(canvas).shape == (20, 48) and wide.labels(canvas)[8:16, 20:24].all()
    moved = Fit((40, 48), (20, 24)).labels(canvas, np.array([5.0, -9.0]))
    assert np.array_equal(np.argwhere(moved)[[0, -1]], [[0, 25], [6, 28]]) and set(moved[moved > 0]) == {3}


@pytest.mark.parametrize("config", [TINY, OPAQUE])
def test_masks_of_the_tracker_are_those_of_the_archive(config) -> None:
    model = tiny_model(config, price=-2.0)
    shape = (3, 4, 20, 24) if config.channels == 1 else (3, 4, 20, 24, 3)
    clips = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    tracks, masks = mask_clips(model, clips)
    assert masks.shape == (3, 4, 20, 24) and masks.any()
    for mine, other in zip(tracks, track_clips(model, clips), strict=True):
        assert np.array_equal(mine.box, other.box) and np.array_equal(mine.id, other.id)
    for clip, rows, labels in zip(clips, tracks, masks, strict=True):
        tracker = Tracker(model)
        with pytest.raises(UserError, match="before the first frame"):
            tracker.masks()
        for t, frame in enumerate(clip):
            tracker.update(frame)
            assert np.array_equal(tracker.masks(), labels[t])
            assert set(np.unique(labels[t])) <= {0, *(1 + rows.at(t).id)}


def test_masks_are_in_the_pixels_of_frames_that_are_scaled() -> None:
    model = tiny_model(replace(TINY, fit=True), price=-2.0)
    tracker = Tracker(model)
    frame = np.random.default_rng(0).integers(0, 256, (40, 48), dtype=np.uint8)
    tracker.update(frame)
    assert tracker.canvas is not None and tracker.last is not None and tracker.canvas.shape == (20, 24)
    of_canvas = segments(tracker.last, 1)[0].numpy()
    assert of_canvas.any() and np.array_equal(tracker.masks(), of_canvas.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize(("largest", "kind"), [(0, np.uint8), (255, np.uint8), (256, np.uint16), (70_000, np.uint32)])
def test_files_of_masks_are_small_integers(tmp_path: Path, largest: int, kind: type) -> None:
    labels = np.zeros((3, 4, 5), dtype=np.int64)
    labels[2, 1, 3] = largest
    write_masks(tmp_path / "a.masks.npz", labels)
    found = read_masks(tmp_path / "a.masks.npz")
    assert found.dtype == kind and np.array_equal(found, labels)
    assert np.load(tmp_path / "a.masks.npz")["frames"].tolist() == [1, 2, 3]


def test_files_without_masks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(UserError, match="no such file.*sqair track --masks"):
        read_masks(path)
    path.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(UserError, match="not a readable"):
        read_masks(path)
    np.savez(path, frames=np.zeros(3))
    with pytest.raises(UserError, match="no array 'segments'.*sqair generate --masks"):
        read_segments(path)
    for bad in (np.zeros((2, 3)), np.zeros((2, 3, 4, 5)), np.full((2, 3, 4, 5), -1), np.zeros((3, 4, 5), np.int64)):
        np.savez(path, segments=bad)
        with pytest.raises(UserError, match="it should be whole numbers"):
            read_segments(path)


def track(source: Path, model: Path, output: Path, *words: str) -> int:
    return cli.run("track", ["--source", str(source), "--model", str(model), "--output", str(output), *words])


def test_the_command_writes_the_masks_of_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of an archive, of the same frames as a folder of images, and of one frame in three."""
    save_weights(tmp_path / "model", tiny_model(TINY, price=-2.0), {})
    clips = (255 * spots(TINY, 7, 2)[:, :, 0]).byte().numpy().swapaxes(0, 1)
    np.savez(tmp_path / "clips.npz", frames=clips)
    once = ["--passes", "1", "--tries", "1"]  # as a folder of images is
    assert track(tmp_path / "clips.npz", tmp_path / "model", tmp_path / "out", "--masks", *once) == 0
    (tmp_path / "walk").mkdir()
    for t, frame in enumerate(clips[1]):
        write_png(tmp_path / "walk" / f"{t:04d}.png", frame)
    assert track(tmp_path / "walk", tmp_path / "model", tmp_path / "walked", "--masks") == 0
    masks, rows = read_masks(tmp_path / "walked" / "walk.masks.npz"), read_mot(tmp_path / "walked" / "walk.txt")
    assert np.array_equal(masks, read_masks(tmp_path / "out" / "000001.masks.npz")) and masks.any()
    for t in range(7):
        assert set(np.unique(masks[t])) <= {0, *(1 + rows.at(t).id)}
    assert track(tmp_path / "walk", tmp_path / "model", tmp_path / "thin", "--masks", "--stride", "3") == 0
    assert np.load(tmp_path / "thin" / "walk.masks.npz")["frames"].tolist() == [1, 4, 7]
    assert track(tmp_path / "walk", tmp_path / "model", tmp_path / "walk", "--masks", "--overwrite") == 2
    assert "--masks: it would lie among" in capsys.readouterr().err


def squares(colour: int | tuple[int, ...], behind: int | tuple[int, ...]) -> np.ndarray:
    """Two squares that move to the right, the lower one from frame 1 on, ``[5, 30, 40]`` or with 3 channels."""
    frames = np.full((5, 30, 40, *np.shape(behind)), behind, dtype=np.uint8)
    for t, frame in enumerate(frames):
        frame[3:9, 4 + t : 10 + t] = colour
        frame[20:25, t : 5 + t] = colour if t else behind
    return frames


@pytest.mark.parametrize(("colour", "behind"), [(255, 0), ((90, 20, 200), (90, 60, 200)), (10, 200)])
def test_the_floor_has_masks_on_plain_backgrounds(colour, behind) -> None:
    masks = mask_components(squares(colour, behind))
    expected = np.zeros((5, 30, 40), dtype=np.int64)
    for t in range(5):
        expected[t, 3:9, 4 + t : 10 + t] = 1
        expected[t, 20:25, t : 5 + t] = 2 * (t > 0)
    assert np.array_equal(masks, expected)


def test_masks_of_the_floor_are_in_its_boxes() -> None:
    """On a background that is not plain, with pieces that are too small."""
    frames = np.tile(np.arange(40, dtype=np.uint8) * 4, (9, 30, 1))
    for t, frame in enumerate(frames):
        frame[3:9, 3 * t : 3 * t + 5] = 255
        frame[20:25, 20 - t : 22 - t] = frame[9, 10] = 0
    masks, tracks = mask_components(frames, min_pixels=4), track_components(frames, min_pixels=4)
    assert len(tracks) == 18 and masks.max() == 1 + tracks.id.max() == 2
    for t, i, (x, y, w, h) in zip(tracks.frame, tracks.id, tracks.box.astype(int), strict=True):
        there = np.argwhere(masks[t] == 1 + i)
        assert there.min(0).tolist() == [y, x] and (there.max(0) + 1).tolist() == [y + h, x + w]


def test_components_by_colour_take_apart_what_touches() -> None:
    frames = np.zeros((2, 20, 30, 3), np.uint8)
    frames[:, 4:10, 5:12], frames[:, 6:14, 12:20] = (200, 0, 0), (0, 200, 0)
    frames[:, 9, 11] = (100, 100, 0)  # a pixel of both
    whole, parts = mask_components(frames), mask_components(frames, by_colour=True)
    assert len(np.unique(whole)) == 2 and len(np.unique(parts)) == 3
    assert np.array_equal(whole > 0, parts > 0)
    for mask in (parts == parts[0, 5, 6], parts == parts[0, 12, 15]):
        assert mask.sum() in (2 * 42, 2 * 64)
    assert not mask_components(frames[:, :3], by_colour=True).any()
