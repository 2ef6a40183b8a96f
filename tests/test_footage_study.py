"""The study of clips of cameras that do not move."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sqair.datasets.video_out import write_video
from sqair.errors import UserError
from sqair.files.mot_io import write_mot
from sqair.reid.tracklets import meets
from sqair.scripts.experiments import footage, hardships
from sqair.scripts.experiments.footage import find, parse, table
from sqair.scripts.experiments.school import school_clip
from sqair.scripts.experiments.shape_clip import shape_clip
from sqair.tracks import Tracks


def film(folder: Path, length: int = 20) -> None:
    """A square that crosses a grey picture, and its ground truth."""
    frames = np.full((length, 96, 160), 90, np.uint8)
    boxes = np.array([[10 + 4 * t, 30, 16, 12] for t in range(length)], dtype=float)
    for frame, (x, y, w, h) in zip(frames, boxes.astype(int), strict=True):
        frame[y : y + h, x : x + w] = 200
    folder.mkdir(parents=True)
    write_video(folder / "clip.mp4", iter(frames), 25)
    write_mot(folder / "gt.txt", Tracks(np.arange(length), np.zeros(length, int), boxes), truth=True)


def test_clips_are_found_by_their_folders(tmp_path: Path) -> None:
    film(tmp_path / "fish" / "A")
    (tmp_path / "no-truth").mkdir()
    (tmp_path / "no-truth" / "clip.mp4").touch()
    assert list(find(tmp_path)) == ["fish-A"] and list(find(tmp_path / "fish" / "A")) == ["A"]
    with pytest.raises(UserError, match="no clip"):
        find(tmp_path / "no-truth")


def test_counts_are_named() -> None:
    assert parse(["a-b=8", "c=2"]) == {"a-b": 8, "c": 2}
    for word in ("8", "a=", "a=0", "a=-1", "=3"):
        with pytest.raises(UserError, match="NAME=N"):
            parse([word])


@pytest.mark.parametrize(
    ("more", "says"), [({}, "no clips"), ({"only": ("x",)}, "no clip 'x'"), ({"counts": ("y=2",)}, "no clip 'y'")]
)
def test_what_is_not_there_is_named(tmp_path: Path, more: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        footage.main(footage.Args(tmp_path, **more))


def test_a_study_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Blobs are measured; the model, which would take minutes, is one of digits."""
    film(tmp_path / "clips" / "square")
    clips = find(tmp_path / "clips")
    (floor,) = footage.measure_blobs(str(tmp_path), "blobs", "square", clips=clips)
    assert floor["mota"] == 1 and floor["motp_iou"] > 0.8

    def tracked(args) -> float:
        found = Tracks(np.arange(20), np.zeros(20, int), np.array([[10 + 4 * t, 30, 16, 12] for t in range(20)], float))
        args.output.mkdir()
        write_mot(args.output / "clip.txt", found)
        return 50.0

    monkeypatch.setattr(footage, "trained", lambda folder, words: (None, None, 60.0))
    monkeypatch.setattr(footage, "track", tracked)
    lines = [floor]
    for seed in range(2):
        lines += footage.run(str(tmp_path), "model", "square", seed, 1, clips=clips)
    lines += footage.run_untrained(str(tmp_path), "untrained", "square", 0, clips=clips)
    page = table(lines, ["square"])
    assert "| square | blobs | 1.000" in page and page.count("1.000 (1.000)") == 8
    assert "| trained |" in page and "| trained --count 1 |" in page and "| 0, 0 | 2 | 60 | 50 |" in page
    assert "| no training | 1.000 | 1.000" in page and "no training --count" not in page
    lines.append({"key": ["others", "square"], "ways": {"SORT": {**floor, "idf1": 0.25, "switches": 3}}})
    assert "|  | blobs, SORT | 1.000 | 0.250 |" in table(lines, ["square"]) and "SORT" not in page


@pytest.mark.parametrize("kind", hardships.KINDS)
def test_hardships_change_what_is_seen_and_not_what_is_there(kind: str) -> None:
    plain, truth = shape_clip(3, 12)
    frames, boxes = hardships.hard_clip(kind, 3, 12)
    again, _ = hardships.hard_clip(kind, 3, 12)
    assert (frames == again).all() and frames.shape == plain.shape
    assert (boxes.id == truth.id).all() and np.abs(boxes.box - truth.box)[:, 2:].max() == 0
    assert (np.abs(boxes.box - truth.box)[:, :2].max() > 0.5) == (kind == "tremble")
    change = np.abs(frames.astype(int) - plain).mean((1, 2, 3))
    assert change.max() > 0.2, "somewhere"
    if kind == "lamp":
        assert change[:4].min() > 10 and change[6] == 0
    if kind == "shadows":
        there = np.zeros(plain.shape[1:3], bool)
        for x, y, w, h in truth.at(0).box.astype(int):
            there[y : y + h, x : x + w] = True
        darker = plain[0].mean(-1) - frames[0].mean(-1)
        assert darker[there].max() > 15 and np.abs(darker[there]).min() < 1


def test_a_camera_that_trembles_moves_things_as_well() -> None:
    picture = np.zeros((hardships.HEIGHT, hardships.WIDTH, 3), np.uint8)
    picture[100:120, 50:90] = 200
    y, x = np.nonzero(hardships.moved(picture, np.array([3.0, -2.0]))[..., 0] > 100)
    assert (x.min(), x.max(), y.min(), y.max()) == (53, 92, 98, 117)


def test_fish_of_a_school_stay_look_alike_and_touch() -> None:
    frames, truth = school_clip(1, 40)
    again, _ = school_clip(1, 40)
    assert (frames == again).all() and frames.shape == (40, 480, 560, 3)
    fish = len(np.unique(truth.id))
    assert 5 <= fish <= 8 and len(truth) == 40 * fish
    assert any(meets(truth.at(time).box).any() for time in range(40))
    inside = frames[:, :, :, 0] < 140
    for time in (0, 39):
        mask = np.zeros((480, 560), bool)
        for x, y, w, h in truth.at(time).box.astype(int):
            mask[y : y + h, x : x + w] = True
        assert inside[time].any() and not (inside[time] & ~mask).any()
    speed = np.diff(truth.where(truth.id == 0).box[:, :2], axis=0)
    assert 0 < np.abs(speed).max() < 12
