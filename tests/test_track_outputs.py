"""``sqair track``: lines of JSON, GIFs, strides, cameras, and an end by a signal."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from numpy.testing import assert_allclose

from conftest import TINY, spots, tiny_model
from sqair.datasets.clip import ClipSource, Frame, evenly
from sqair.datasets.images import opencv, write_png
from sqair.datasets.regions import whole
from sqair.exports.tidy import COLUMNS
from sqair.files.mot_io import read_mot
from sqair.files.pretrained import save_weights
from sqair.scripts import cli, track_archive
from sqair.scripts.arenas import Arenas
from sqair.scripts.track import Args
from sqair.scripts.track_frames import WATCHED, open_clip, thin
from sqair.scripts.track_stream import _identifies
from sqair.tracker import Tracker

cv2 = opencv()


@pytest.fixture
def clip() -> np.ndarray:
    """Bright spots that move, uint8 ``[T, H, W]``."""
    return (255 * spots(TINY, 9, 1)[:, 0, 0]).byte().numpy()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_weights(tmp_path / "model", tiny_model(replace(TINY), price=-2.0), {})
    return tmp_path / "model"


def track(clip: np.ndarray, model: Path, tmp_path: Path, *words: str) -> int:
    folder = tmp_path / "walk"
    folder.mkdir(exist_ok=True)
    for t, frame in enumerate(clip):
        write_png(folder / f"{t:04d}.png", frame)
    return cli.run("track", ["--source", str(folder), "--model", str(model), "--output", str(tmp_path / "out"), *words])


def test_lines_of_json_say_what_the_rows_say_and_how_objects_look(
    clip: np.ndarray, model: Path, tmp_path: Path
) -> None:
    assert track(clip, model, tmp_path, "--json") == 0
    rows = read_mot(tmp_path / "out" / "walk.txt")
    lines = [json.loads(line) for line in (tmp_path / "out" / "walk.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(1, 10)) and lines[3]["seconds"] == 0.3
    found = [(line["frame"] - 1, o["id"] - 1) for line in lines for o in line["objects"]]
    assert found == list(zip(rows.frame.tolist(), rows.id.tolist(), strict=True)) and found
    assert_allclose([o["box"] for line in lines for o in line["objects"]], rows.box, atol=0.01)
    tracker = Tracker.from_pretrained(model)
    for frame, line in zip(clip, lines, strict=True):
        tracker.update(frame)
        for o in line["objects"]:
            assert_allclose(o["appearance"], tracker.appearance()[o["id"] - 1], atol=1e-4)


@pytest.mark.parametrize("words", [(), ("--stride", "2")])
def test_a_tidy_table_is_read_without_options(
    clip: np.ndarray, model: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Of an archive, whose clips are tracked together, and frame by frame."""
    np.savez(tmp_path / "clips.npz", clips=np.stack([clip, clip[::-1], clip]))
    run = ["--source", str(tmp_path / "clips.npz"), "--model", str(model), "--output", str(tmp_path / "out")]
    assert cli.run("track", [*run, *(["--csv"] if words else ["--format", "csv"]), *words]) == 0
    names = sorted(path.stem for path in (tmp_path / "out").glob("*.txt"))
    assert names
    for name in names:
        rows = read_mot(tmp_path / "out" / f"{name}.txt")
        table = pandas.read_csv(tmp_path / "out" / f"{name}.csv", dtype={"clip": str})
        assert tuple(table.columns) == COLUMNS and set(table["clip"]) == {name} and len(table) > 3
        assert table.id.tolist() == (rows.id + 1).tolist() and table.frame.tolist() == (rows.frame + 1).tolist()
        assert_allclose(table[["x", "y", "w", "h"]], rows.box, atol=0.01)
        assert_allclose(table.centre_x, rows.box[:, 0] + rows.box[:, 2] / 2, atol=0.01)
        assert_allclose(table.centre_y, rows.box[:, 1] + rows.box[:, 3] / 2, atol=0.01)
        assert_allclose(table.score, rows.score, atol=1e-3)
        assert_allclose(table.seconds, rows.frame / 10)


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_files_for_other_tools_hold_the_rows(clip: np.ndarray, model: Path, tmp_path: Path, more: tuple) -> None:
    """Of an archive, whose clips are tracked together, and frame by frame; of what lasts alone, but in overlays."""
    np.savez(tmp_path / "clips.npz", clips=clip[None])
    run = ["--source", str(tmp_path / "clips.npz"), "--model", str(model), *more]
    formats = ["--format", "csv", "via", "coco", "cvat", "--masks", "--mask-images"]
    assert cli.run("track", [*run, "--output", str(tmp_path / "all"), "--masks"]) == 0
    name = next((tmp_path / "all").glob("*.txt")).stem
    ids, seen = np.unique(read_mot(tmp_path / "all" / f"{name}.txt").id, return_counts=True)
    least = int(seen.min()) + 1
    assert seen.max() >= least, "some last, and some do not"
    out = tmp_path / "out"
    assert cli.run("track", [*run, "--output", str(out), *formats, "--min-life", str(least), "--fill", "3"]) == 0
    rows = read_mot(out / f"{name}.txt")
    assert set(rows.id) == set(ids[seen >= least])
    table = pandas.read_csv(out / f"{name}.csv")
    assert table[table.interpolated == 0].id.tolist() == (rows.id + 1).tolist()
    told = json.loads((out / f"{name}.coco.json").read_text())
    assert [row["track_id"] for row in told["annotations"]] == table.id.tolist() and len(told["images"]) == len(clip)
    assert len(pandas.read_csv(out / f"{name}.via.csv")) == len(table)
    whole, masks = (np.load(tmp_path / folder / f"{name}.masks.npz")["masks"] for folder in ("all", "out"))
    assert (masks == np.where(np.isin(whole, rows.id + 1), whole, 0)).all()
    images = sorted((out / f"{name}.masks").iterdir())
    assert [image.name for image in images] == [f"{frame:06d}.png" for frame in range(1, len(clip) + 1)]
    assert all((cv2.imread(str(i), cv2.IMREAD_UNCHANGED) == m).all() for i, m in zip(images, masks, strict=True))
    if more:
        lines = [json.loads(line) for line in (out / f"{name}.jsonl").read_text().splitlines()]
        assert sum(len(line["objects"]) for line in lines) == len(rows) and len(lines) == len(clip)


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_files_of_a_clip_in_which_nothing_is_found_have_no_rows(model: Path, tmp_path: Path, more: tuple) -> None:
    np.save(tmp_path / "clip.npy", np.zeros((4, 20, 24), np.uint8))
    run = ["--source", str(tmp_path / "clip.npy"), "--model", str(model), "--output", str(tmp_path / "out"), *more]
    words = ["--format", "csv", "via", "coco", "cvat", "--min-life", "3", "--mask-images", "--scale", "2", "mm"]
    assert cli.run("track", [*run, *words, "--zone", "0,0,9,9", "--line", "0,0,9,9"]) == 0
    assert pandas.read_csv(tmp_path / "out" / "clip.zones.csv")["count"].tolist() == [0] * 4
    for ending in ("csv", "via.csv", "lines.csv"):
        assert len(pandas.read_csv(tmp_path / "out" / f"clip.{ending}")) == 0
    assert len(list((tmp_path / "out" / "clip.masks").iterdir())) == 4


@pytest.mark.parametrize("words", [("--fill", "3"), ("--scale", "2", "mm"), ("--min-life", "0")])
def test_options_of_files_that_are_not_wanted_are_refused(
    clip: np.ndarray, model: Path, tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture
) -> None:
    np.save(tmp_path / "clip.npy", clip)
    run = ["--source", str(tmp_path / "clip.npy"), "--model", str(model), "--output", str(tmp_path / "out")]
    assert cli.run("track", [*run, *words]) == 2 and not (tmp_path / "out").exists()
    assert words[0] in capsys.readouterr().err


def test_one_frame_in_three_is_tracked_up_to_the_last_that_is_wanted(
    clip: np.ndarray, model: Path, tmp_path: Path
) -> None:
    assert track(clip, model, tmp_path, "--stride", "3", "--max-frames", "7", "--json", "--gif", "--overlay") == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "walk.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [1, 4, 7]
    rows = read_mot(tmp_path / "out" / "walk.txt")
    tracker = Tracker.from_pretrained(model)
    expected = [tracker.update(clip[t]) for t in (0, 3, 6)]
    assert rows.id.tolist() == [i for tracks in expected for i in tracks.id.tolist()]
    assert set(rows.frame.tolist()) <= {0, 3, 6}
    video = cv2.VideoCapture(str(tmp_path / "out" / "walk.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    read, animation = cv2.imreadanimation(str(tmp_path / "out" / "walk.gif"))
    assert read and len(animation.frames) == 3 and animation.frames[0].shape[1] <= 400


@pytest.mark.parametrize("words", [("--stride", "0"), ("--max-frames", "0")])
def test_steps_and_ends_are_positive(
    clip: np.ndarray, model: Path, tmp_path: Path, words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert track(clip, model, tmp_path, *words) != 0
    assert f"{words[0]} is 0: it must be at least 1" in capsys.readouterr().err


class Camera:
    """A camera that sees a clip, and then nothing."""

    seen: list[np.ndarray] = []

    def __init__(self, number: int) -> None:
        self.left = list(self.seen) if number == 0 else []

    def read(self) -> tuple[bool, np.ndarray | None]:
        return (True, self.left.pop(0)) if self.left else (False, None)

    def get(self, what: int) -> float:
        return 25.0

    def release(self) -> None:
        pass


def test_a_camera_is_tracked_by_its_number(
    clip: np.ndarray,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Camera, "seen", [np.repeat(frame[..., None], 3, 2) for frame in clip])
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    assert cli.run("track", ["--source", "0", "--model", str(model), "--output", "out"]) == 0
    tracker = Tracker.from_pretrained(model)
    expected = [tracker.update(frame) for frame in clip]
    rows = read_mot(tmp_path / "out" / "camera0.txt")
    assert rows.id.tolist() == [i for tracks in expected for i in tracks.id.tolist()]
    assert cli.run("track", ["--source", "1", "--model", str(model), "--output", "none"]) != 0
    assert "camera 1 cannot be opened" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_tracking_and_keeps_the_tracks(
    clip: np.ndarray,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    status: int,
) -> None:
    update, seen = Tracker.update, []

    def interrupted(self: Tracker, frame: np.ndarray):
        seen.append(frame)
        if len(seen) == 4:
            os.kill(os.getpid(), number)
        return update(self, frame)

    monkeypatch.setattr(Tracker, "update", interrupted)
    with pytest.raises(SystemExit) as ended:
        track(clip, model, tmp_path, "--json")
    assert ended.value.code == status
    assert len((tmp_path / "out" / "walk.jsonl").read_text().splitlines()) == 4
    assert read_mot(tmp_path / "out" / "walk.txt").frame.max() == 3


def test_a_signal_between_batches_of_an_archive_keeps_those_tracked(
    clip: np.ndarray, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **kwargs: Any):
        os.kill(os.getpid(), signal.SIGTERM)
        return track_clips(*args, **kwargs)

    track_clips = track_archive.track_clips
    monkeypatch.setattr(track_archive, "track_clips", interrupted)
    monkeypatch.setattr(track_archive, "BATCH_CLIPS", 2)
    np.savez(tmp_path / "three.npz", frames=np.stack([clip, clip, clip]))
    words = ["--source", str(tmp_path / "three.npz"), "--model", str(model), "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        cli.run("track", words)
    assert ended.value.code == 143
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["000000.txt", "000001.txt"]


def test_a_signal_leaves_no_file_of_clips_that_were_not_begun(
    clip: np.ndarray, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update, seen = Tracker.update, []

    def interrupted(self: Tracker, frame: np.ndarray):
        seen.append(frame)
        if len(seen) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return update(self, frame)

    monkeypatch.setattr(Tracker, "update", interrupted)
    np.savez(tmp_path / "two.npz", frames=np.stack([clip, clip[:, ::-1]]))
    words = ["--source", str(tmp_path / "two.npz"), "--model", str(model), "--output", str(tmp_path / "two")]
    with pytest.raises(SystemExit) as ended:
        cli.run("track", [*words, "--overlay", "--json"])
    assert ended.value.code == 130
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == ["000000.jsonl", "000000.mp4", "000000.txt"]


def test_pixels_count_from_one_in_rows_and_from_nothing_in_lines(
    clip: np.ndarray, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert track(clip, model, tmp_path, "--json") == 0
    rows = [line.split(",") for line in (tmp_path / "out" / "walk.txt").read_text().splitlines()]
    lines = [json.loads(line) for line in (tmp_path / "out" / "walk.jsonl").read_text().splitlines()]
    objects = [(line["frame"], o["id"], *o["box"]) for line in lines for o in line["objects"]]
    for row, (frame, name, x, y, w, h) in zip(rows, objects, strict=True):
        assert_allclose([float(word) for word in row[:6]], [frame, name, x + 1, y + 1, w, h], atol=0.01)
    with pytest.raises(SystemExit):
        cli.run("track", ["--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "has left 1 and top 1" in said and "has x 0 and y 0" in said


def test_frames_are_thinned_from_the_first_number_on() -> None:
    """A folder of images may begin at 301: --max-frames and --stride count from there, rows keep the numbers."""
    frames = [Frame(np.zeros((2, 2), np.uint8), number, 0.0) for number in (300, 301, 303, 304, 305, 309)]
    assert [f.number for f in thin(iter(frames), 1, 5)] == [300, 301, 303, 304]
    assert [f.number for f in thin(iter(frames), 2, None)] == [300, 303, 304, 309]
    assert [f.number for f in thin(iter(frames), 3, 6)] == [300, 303]


@pytest.mark.parametrize("live", [False, True])
def test_live_files_show_their_first_frames_alone_before_they_are_tracked(live: bool) -> None:
    """Whose ids stay as they were found; otherwise the scene is told from all of the file."""
    images = [np.full((20, 24), t, np.uint8) for t in range(120)]
    clip = ClipSource("clip", Path("clip.mp4"), (20, 24), 120, 10.0, lambda: evenly(images, 10.0))
    config = replace(TINY, objects="opaque", background="still", fit=True, channels=1)
    tracker = Tracker(tiny_model(config))
    watched: list[np.ndarray] = []
    tracker.watch = watched.append  # type: ignore[method-assign]
    arenas = Arenas([whole((20, 24))], lambda: tracker, False)
    frames = [int(frame.image[0, 0]) for frame in open_clip(arenas, clip, live)]
    assert frames == list(range(120))
    seen = [int(image.flat[0]) for image in watched[0]]
    assert len(watched) == 1 and len(seen) == WATCHED
    assert seen == list(range(WATCHED)) if live else seen[-1] > 110
    args = Args("clip.mp4", Path("out"), live=live)
    assert _identifies(args, clip, config) is not live
