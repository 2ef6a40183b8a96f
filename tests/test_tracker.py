"""The tracker: streaming equals batches, boxes equal brute force, bad frames are refused."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from conftest import SPOTTER, moving_spots, spotter, straight
from sqair import passes
from sqair.boxes import ink_boxes
from sqair.errors import UserError
from sqair.files.pretrained import pretrained_names, save_weights
from sqair.inference.restarts import Scattered
from sqair.model import SQAIR
from sqair.tracker import Tracker, mask_clips, track_clips
from sqair.tracks import Tracks

LENGTH = 9


def video(paths: Sequence[list], channels: int = 1) -> np.ndarray:
    """A clip uint8 ``[T, H, W]``, or ``[T, H, W, 3]``."""
    config = replace(SPOTTER, channels=channels)
    frames = (moving_spots(list(paths), config)[:, 0] * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return frames[..., 0] if channels == 1 else frames


def clips(channels: int = 1) -> np.ndarray:
    """Six clips: one, two, no, appearing, hiding and three spots."""
    far = straight(40, 36, -1, -0.2, LENGTH)
    scenes = [
        [far],
        [straight(12, 10, 2, 0.5, LENGTH), far],
        [[None] * LENGTH],
        [straight(12, 10, 2, 0.5, LENGTH, hidden=range(3)), far],
        [straight(14, 34, 1, -1, LENGTH, hidden=range(4, 6))],
        [straight(10, 10, 1, 0, LENGTH), far, straight(12, 34, 0, -0.5, LENGTH)],
    ]
    return np.stack([video(scene, channels) for scene in scenes])


def stream(model: SQAIR, clip: np.ndarray, **options) -> Tracks:
    tracker = Tracker(model, **options)
    return Tracks.concat([tracker.update(frame) for frame in clip])


def assert_same(a: Tracks, b: Tracks) -> None:
    assert a.frame.tolist() == b.frame.tolist() and a.id.tolist() == b.id.tolist()
    np.testing.assert_allclose(a.box, b.box, atol=1e-3)
    np.testing.assert_allclose(a.score, b.score, atol=1e-5)


@pytest.mark.parametrize("refine", [True, False])
@pytest.mark.parametrize("box", ["ink", "patch"])
def test_frame_by_frame_equals_batches(
    refine: bool, box: Literal["ink", "patch"], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, many = spotter(), clips()
    one_by_one = [stream(model, clip, refine=refine, box=box) for clip in many]
    for batch in (64, 2, 1):
        monkeypatch.setattr("sqair.passes._BATCH", batch)
        together = track_clips(model, many, refine=refine, box=box)
        assert len(together) == len(many)
        for a, b in zip(one_by_one, together, strict=True):
            assert_same(a, b)
    assert len(one_by_one[2]) == 0 and len(one_by_one[1]) == 2 * LENGTH


def test_tracks_are_where_the_spots_are() -> None:
    path = straight(12, 10, 2, 0.5, LENGTH)
    for box in ("ink", "patch"):
        tracks = stream(spotter(), video([path]), box=box)
        assert tracks.frame.tolist() == list(range(LENGTH)) and set(tracks.id) == {0}
        assert ((tracks.score > 0.5) & (tracks.score <= 1)).all()
        centre = tracks.box[:, :2] + tracks.box[:, 2:] / 2
        assert np.abs(centre - np.array(path)).max() < 1.6
        if box == "patch":
            assert np.abs(tracks.box[:, 2:] - SPOTTER.size_mean).max() < 1e-4


def test_going_back_finds_what_was_hidden_when_the_clip_began() -> None:
    """Two spots so near at first that they are taken for one are two on the way back, until they can't be."""
    clip = video([straight(24, 20, -1, 0, LENGTH), straight(27, 20, 1, 0, LENGTH)])
    (forth,), (back,) = (track_clips(spotter(), clip[None], passes=n) for n in (1, 2))
    assert np.bincount(forth.frame).tolist() == [1, 1, 1] + 6 * [2]
    assert np.bincount(back.frame).tolist() == [1] + 8 * [2]
    assert (np.diff(back.frame) >= 0).all() and len(set(back.id)) == 2
    with pytest.raises(UserError, match="passes is 0: it must be at least 1"):
        track_clips(spotter(), clip[None], passes=0)


def test_passes_go_forth_and_back() -> None:
    """What the model sees: every frame at first, and then all but the one that it comes from, either way."""
    seen: list[int] = []
    model = spotter()
    step = model.step

    def noted(frame, state, inference):
        seen.append(int(frame.sum() * 255 / frame[0].numel() + 0.5))
        return step(frame, state, inference)

    model.step = noted  # type: ignore[method-assign]
    clip = np.stack([np.full((44, 52), 10 * t, np.uint8) for t in range(4)])
    track_clips(model, clip[None], passes=4, refine=False)
    assert seen == [0, 10, 20, 30, 20, 10, 0, 10, 20, 30, 20, 10, 0]
    seen.clear()
    track_clips(model, clip[None, :1], passes=3, refine=False)
    assert seen == [0]


def test_the_best_of_several_ways_is_kept_of_each_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = np.array([[3.0, 2.0, 1.0], [-5.0, -4.0, -6.0], [1.0, 1.0, 7.0]])  # [clip, way]
    ways = 3

    def tracks(step, frame, number, config, box):
        box = np.ones((1, 4))
        return [Tracks(np.array([number]), np.array([row % ways]), box, box[0, :1]) for row in range(len(frame))]

    monkeypatch.setattr(passes, "step_tracks", tracks)
    monkeypatch.setattr(passes, "_worth", lambda model, step: bounds[:, :ways].flatten())
    monkeypatch.setattr(
        passes, "segments", lambda step, rows: (torch.arange(rows) % ways).view(-1, 1, 1).expand(-1, 44, 52)
    )
    clips = np.zeros((3, 2, 44, 52), np.uint8)
    assert [t.id.tolist() for t in track_clips(spotter(), clips, tries=3)] == [[0, 0], [1, 1], [2, 2]]
    ways = 2
    found, masks = mask_clips(spotter(), clips, tries=2)
    assert [int(t.id[0]) for t in found] == [0, 1, 0] and masks[:, 0, 0, 0].tolist() == [0, 1, 0]
    ways = 1
    assert [int(t.id[0]) for t in track_clips(spotter(), clips, tries=3, refine=False)] == [0, 0, 0]


def test_ways_to_explain_a_clip_do_not_depend_on_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model, many = spotter(), clips()
    together = track_clips(model, many, tries=4, passes=2)
    monkeypatch.setattr(passes, "_BATCH", 1)
    for a, b in zip(together, track_clips(model, many, tries=4, passes=2), strict=True):
        assert_same(a, b)


def test_another_way_looks_elsewhere_first() -> None:
    """Of two spots of a frame the fainter one is found first by some of the ways."""
    model, frame = spotter(), torch.zeros(1, 1, 44, 52)
    frame[0] = moving_spots([[(14.0, 14.0)]], SPOTTER)[0, 0] + 0.8 * moving_spots([[(38.0, 30.0)]], SPOTTER)[0, 0]
    many = frame.expand(8, -1, -1, -1)
    how = Scattered(restarts=8, chance=torch.Generator().manual_seed(1))
    step, _ = model.step(many, model.initial_state(8, many), how)
    assert torch.bincount(step.objects.clip).tolist() == 8 * [2]
    first = step.objects.where[step.objects.id == 0, 0] > 0
    assert not first[0] and first.any()


def test_the_memory_is_an_option() -> None:
    clip = video([straight(14, 34, 1, -1, 12, hidden=range(4, 7))])
    assert set(stream(spotter(), clip).id) == {0}
    assert set(stream(spotter(), clip, memory=3).id) == {0}
    assert set(stream(spotter(), clip, memory=2).id) == {0, 1}
    assert [set(t.id) for t in track_clips(spotter(), clip[None], memory=2)] == [{0, 1}]


def test_after_a_reset_the_next_frame_is_a_first_one() -> None:
    tracker, many = Tracker(spotter()), clips()
    first = [Tracks.concat([tracker.update(frame) for frame in many[1]])]
    tracker.reset()
    assert_same(Tracks.concat([tracker.update(frame) for frame in many[1]]), first[0])


def test_memory_does_not_grow_with_the_video() -> None:
    """Spots that blink at ever new places: what is remembered of them is forgotten in time."""
    tracker, places = Tracker(spotter(), memory=3), [(12, 12), (38, 12), (12, 34), (38, 34), (25, 22)]
    sizes = []
    for t in range(60):
        frame = video([[places[t // 2 % 5]] if t % 2 else [None]])[0]
        tracker.update(frame)
        assert tracker._state is not None and not tracker._state.objects.hidden.requires_grad
        sizes.append(len(tracker._state.objects))
    assert max(sizes[30:]) <= max(sizes[:30]) <= SPOTTER.slots + 3


@pytest.mark.parametrize("channels", [1, 3])
def test_colour_and_grey(channels: int) -> None:
    model = spotter(replace(SPOTTER, channels=channels))
    many = clips(channels)[:2]
    found = track_clips(model, many)
    assert [len(t) for t in found] == [LENGTH, 2 * LENGTH]
    for clip, tracks in zip(many, found, strict=True):
        assert_same(stream(model, clip), tracks)
    if channels == 1:
        assert_same(stream(model, many[1][..., None]), found[1])


# boxes


def box_by_counting(image: np.ndarray, frame: np.ndarray) -> list[float] | None:
    ink = [
        (x, y)
        for y in range(image.shape[1])
        for x in range(image.shape[2])
        if image[:, y, x].max() > 0.1 and frame[:, y, x].max() > 0.02
    ]
    if not ink:
        return None
    xs, ys = zip(*ink, strict=True)
    return [min(xs), min(ys), max(xs) + 1 - min(xs), max(ys) + 1 - min(ys)]


@pytest.mark.parametrize("channels", [1, 3])
def test_ink_boxes_equal_brute_force(channels: int) -> None:
    images = torch.rand(60, channels, 8, 11) * (torch.rand(60, 1, 8, 11) < 0.06)
    frames = torch.rand(60, channels, 8, 11) * (torch.rand(60, 1, 8, 11) < 0.6)
    images[0], frames[1] = 0, 0
    images[2], frames[2] = 1, 1
    boxes, any_ink = ink_boxes(images, frames, 0.3)
    empty = 0
    for box, there, image, frame in zip(boxes.tolist(), any_ink.tolist(), images.numpy(), frames.numpy(), strict=True):
        expected = box_by_counting(image, frame)
        assert there == (expected is not None)
        empty += expected is None
        if expected is not None:
            assert box == expected
    assert empty >= 2 and boxes[2].tolist() == [0, 0, 11, 8]


def test_ink_boxes_are_tight_around_the_visible_spot() -> None:
    clip = video([straight(12, 10, 2, 0.5, LENGTH)])
    for frame, tracks in zip(clip, (stream(spotter(), clip).at(t) for t in range(LENGTH)), strict=True):
        x, y, w, h = tracks.box[0].astype(int)
        assert tracks.box[0].tolist() == [x, y, w, h]  # whole pixels
        rows, columns = np.nonzero(frame > 0.1 / 0.99 * 255)
        edges = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert np.abs(np.array([x, y, x + w, y + h]) - edges).max() <= 2


def test_an_object_without_visible_ink_has_its_patch_for_a_box() -> None:
    """With the amortised posterior told to keep everything, in black frames."""
    model = spotter()
    model.old_presence.bias = 1000.0
    clip = video([[(20, 20)] * 3 + [None] * 3])
    ink, patch = (stream(model, clip, refine=False, box=box) for box in ("ink", "patch"))
    assert ink.frame.tolist() == patch.frame.tolist() == list(range(6))
    np.testing.assert_allclose(ink.box[3:], patch.box[3:])
    assert np.abs(ink.box[:3] - patch.box[:3]).max() > 1


# weights


def test_from_pretrained_tracks_as_the_model_did(tmp_path: Path) -> None:
    model, many = spotter(), clips()
    save_weights(tmp_path / "weights", model, {})
    for folder in (tmp_path, tmp_path / "weights", str(tmp_path)):
        tracker = Tracker.from_pretrained(folder, box="patch", memory=5)
        found = Tracks.concat([tracker.update(frame) for frame in many[1]])
        assert_same(found, stream(model, many[1], box="patch", memory=5))
    with pytest.raises(UserError, match="nowhere"):
        Tracker.from_pretrained(tmp_path / "nowhere")


@pytest.mark.skipif("moving-mnist" not in pretrained_names(), reason="no weights moving-mnist in this checkout")
def test_the_shipped_tracker_brings_hidden_digits_back_under_their_ids() -> None:
    """Two digits 20 pixels apart; one is blanked for four frames and appears again where it was going."""
    from sqair.datasets.digits import load_digits

    images, labels = load_digits("test")
    first, second = images[labels == 3][0], images[labels == 0][0]

    def clip(hidden: range) -> np.ndarray:
        frames = np.zeros((14, 50, 50), np.uint8)
        for t in range(14):
            if t not in hidden:
                frames[t, 0:28, t : t + 22] = np.maximum(frames[t, 0:28, t : t + 22], first[:, 3:25])
            frames[t, 24:50, 24 - t : 46 - t] = np.maximum(frames[t, 24:50, 24 - t : 46 - t], second[1:27, 3:25])
        return frames

    for hidden in (range(0), range(5, 9)):
        tracker = Tracker.from_pretrained("moving-mnist")
        found = [tracker.update(frame) for frame in clip(hidden)]
        counts = [len(tracks) for tracks in found]
        assert counts == [1 if t in hidden else 2 for t in range(14)]
        assert found[-1].id.tolist() == found[0].id.tolist() == [0, 1]
        for i in (0, 1):
            assert (found[0].box[i, 1] < 15) == (found[-1].box[i, 1] < 15)


# bad frames


def test_frames_that_do_not_fit_are_refused_in_one_line() -> None:
    grey, colour = spotter(), spotter(replace(SPOTTER, channels=3))
    frame = np.zeros((44, 52), np.uint8)
    refused: list[tuple[SQAIR, np.ndarray, str]] = [
        (grey, frame.astype(np.float32), "float32"),
        (grey, frame.astype(np.int64), "int64"),
        (grey, frame.astype(bool), "bool"),
        (grey, frame.T, "52x44 pixels, these have 44x52"),
        (grey, frame[:-1], "these have 52x43"),
        (grey, np.zeros((44, 52, 3), np.uint8), "1 channel"),
        (colour, frame, "3 channel"),
        (colour, np.zeros((44, 52, 4), np.uint8), "these have 4"),
        (grey, np.zeros(44, np.uint8), ""),
        (grey, np.zeros((2, 44, 52, 1), np.uint8), ""),
    ]
    for model, bad, message in refused:
        for track in (Tracker(model).update, lambda f, m=model: track_clips(m, f[None, None])):
            with pytest.raises(UserError) as caught:
                track(bad)
            assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_refused_frame_changes_nothing() -> None:
    clip = video([straight(12, 10, 2, 0.5, LENGTH)])
    tracker, found = Tracker(spotter()), []
    for frame in clip:
        with pytest.raises(UserError):
            tracker.update(frame[:-1])
        found.append(tracker.update(frame))
    assert_same(Tracks.concat(found), stream(spotter(), clip))


def test_no_clips_and_empty_clips_have_no_tracks() -> None:
    assert track_clips(spotter(), np.zeros((0, 5, 44, 52), np.uint8)) == []
    assert [len(t) for t in track_clips(spotter(), np.zeros((3, 0, 44, 52), np.uint8))] == [0, 0, 0]


def test_spots_of_the_tests_are_spots() -> None:
    """The scenes above say what they should: a full bright spot at its place, nothing elsewhere."""
    clip = video([[(20, 30), None]])
    assert clip.dtype == np.uint8 and clip.shape == (2, 44, 52)
    assert clip[0].argmax() // 52 in (29, 30) and clip[0].max() > 240 and clip[1].max() == 0
    assert math.isclose(clip[0].sum() / 255, 2 * math.pi * 9, rel_tol=0.02)


@pytest.mark.parametrize("channels", [1, 3])
def test_clips_of_another_size_are_tracked_in_their_own_pixels(channels: int) -> None:
    """Frames of twice the size are averages of what they were made of: boxes are twice as large, and masks too."""
    model = spotter(replace(SPOTTER, channels=channels, fit=True)).float()
    paths = [[straight(14 + 4 * i, 12, 1, 1, 4), straight(36, 30, -1, 0, 4)] for i in range(3)]
    clips = [moving_spots(path, model.config) for path in paths]
    frames = (255 * torch.cat(clips, 1)).round().byte().permute(1, 0, 3, 4, 2).numpy()
    frames = frames[..., 0] if channels == 1 else frames
    small, masks = mask_clips(model, frames)
    large, wide = mask_clips(model, frames.repeat(2, 2).repeat(2, 3))
    assert all(len(tracks) for tracks in small)
    for a, b in zip(small, large, strict=True):
        assert np.array_equal(a.id, b.id) and np.allclose(2 * a.box, b.box)
    assert np.array_equal(masks.repeat(2, 2).repeat(2, 3), wide)
