"""Blobs, the floor of footage."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from sqair.datasets.video import read_source
from sqair.eval import blobs
from sqair.eval.blobs import Blobs, choose, linked, neighbours, scene_of, track_blobs
from sqair.eval.mot import score
from sqair.files.mot_io import write_mot
from sqair.scripts import cli
from sqair.scripts.score_floor import floor_of
from sqair.tracks import Tracks

HEIGHT, WIDTH, LENGTH = 120, 200, 60


def footage(
    *, contrast: float = -60, noise: float = 3, plain: bool = False, length: int = LENGTH
) -> tuple[np.ndarray, Tracks]:
    """Three ellipses of about 20x10 before a scene with edges, and their boxes."""
    rng = np.random.default_rng(0)
    scene = np.full((HEIGHT, WIDTH), 120.0)
    if not plain:
        scene += np.linspace(0, 60, WIDTH) + 25 * (np.arange(HEIGHT)[:, None] // 30 % 2)
    frames, rows = [], []
    for t in range(length):
        image = scene.copy()
        for i, (x, y) in enumerate(((20 + 2.5 * t, 15), (100, 30 + 0.8 * t), (180 - 2 * t, 105))):
            inside = np.zeros((HEIGHT, WIDTH), np.uint8)
            cv2.ellipse(inside, (round(x), round(y)), (10, 5), 0, 0, 360, 1, -1)
            image[inside > 0] += contrast
            left, top, w, h = cv2.boundingRect(inside)
            rows.append((t, i, left, top, w, h))
        frames.append(np.clip(image + rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8))
    table = np.array(rows, dtype=np.float64)
    return np.stack(frames), Tracks(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:])


def scores(frames: np.ndarray, truth: Tracks) -> dict[str, float]:
    return score({"clip": truth}, {"clip": track_blobs(lambda: iter(frames))}, {"clip": len(frames)}).overall


@pytest.mark.parametrize("contrast", [-60.0, 50.0, -15.0])
def test_blobs_are_found_and_keep_their_ids_whatever_their_contrast(contrast: float) -> None:
    """Also where a threshold of 10, or of 20, would find noise, or nothing."""
    found = scores(*footage(contrast=contrast))
    assert found["mota"] > 0.97 and found["idf1"] > 0.97 and found["motp_iou"] > 0.85


def test_the_direction_of_things_is_told() -> None:
    for contrast in (-60, 50):
        pairs = neighbours(iter(footage(contrast=contrast)[0]))
        rule = choose(scene_of(np.stack([image for image, _ in pairs])), pairs[::4])
        assert rule.sign == np.sign(contrast)


def test_what_hardly_moves_is_seen_before_a_plain_scene() -> None:
    """Such things are in the median frame, and leave no hole where they were."""
    frames, truth = footage(plain=True, length=20)
    assert np.ptp(scene_of(frames[..., None])) == 0 and scores(frames, truth)["mota"] > 0.97


def test_furniture_is_no_thing() -> None:
    """A plain scene but for something that is always there: that is a part of it."""
    frames, truth = footage(plain=True)
    frames[:, 50:60, 150:180] = 250
    assert np.ptp(scene_of(frames[::4, ..., None])) > 100
    assert scores(frames, truth)["mota"] > 0.97


def test_a_blob_ends_at_half_of_its_own_contrast() -> None:
    """Of a faint thing and of a bright one, both blurred."""
    away = np.zeros((60, 120), np.float32)
    away[20:40, 20:40], away[20:40, 70:100] = 200, 40
    found = Blobs.of(cv2.blur(away, (5, 5)), 5)
    assert np.abs(found.box - [[20, 20, 20, 20], [70, 20, 30, 20]]).max() <= 1


def test_links_expect_constant_speed_and_wait() -> None:
    """It jumps by twice its side a frame, and is not seen in three of them; a blob of one frame is left out."""
    boxes = [np.array([[10.0 + 3 * t, 5, 6, 6]]) for t in range(4)]
    boxes += [np.zeros((0, 4))] * 3 + [np.array([[10.0 + 3 * t, 5, 6, 6]]) for t in range(7, 10)]
    boxes[2] = np.concatenate([boxes[2], [[90.0, 50, 6, 6]]])
    found = linked(boxes)
    assert set(found.id.tolist()) == {0} and found.frame.tolist() == [0, 1, 2, 3, 7, 8, 9]
    assert linked([np.zeros((0, 4))] * 5).frame.size == 0


def test_memory_does_not_grow_with_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "SCENE", 4)
    frames = [np.full((4, 6), t, np.uint8) for t in range(100)]
    pairs = neighbours(iter(frames))
    assert 4 <= len(pairs) <= 8 and all(int(b[0, 0, 0]) == int(a[0, 0, 0]) + 1 for a, b in pairs)
    assert int(pairs[0][0][0, 0, 0]) == 0 and int(pairs[-1][0][0, 0, 0]) > 80


@pytest.mark.parametrize("length", [0, 1, 2])
def test_short_clips_have_no_tracks(length: int) -> None:
    assert len(track_blobs(lambda: iter(footage()[0][:length])).frame) == 0


def test_score_puts_blobs_beside_tracks_of_footage(tmp_path: Path) -> None:
    frames, truth = footage()
    np.savez(tmp_path / "clip.npz", frames=frames[None])
    (clip,) = read_source(tmp_path / "clip.npz")
    found, length = floor_of(clip, None)
    assert length == LENGTH and np.array_equal(found.box, track_blobs(lambda: iter(frames)).box)
    write_mot(tmp_path / "truth.txt", truth, truth=True)
    words = ["--pred", str(tmp_path / "truth.txt"), "--truth", str(tmp_path / "truth.txt")]
    words += ["--frames-from", str(tmp_path / "clip.npz"), "--output", str(tmp_path / "out")]
    assert cli.run("score", words) == 0
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["floor"]["mota"] > 0.97
