"""``sqair track`` of many files: each by itself, stopped and gone on with, in parts and in several processes."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import TINY, spots, tiny_model
from sqair.datasets.images import write_png
from sqair.datasets.listing import list_parts
from sqair.datasets.video import read_source
from sqair.datasets.video_out import write_video
from sqair.errors import UserError
from sqair.files.pretrained import save_weights
from sqair.scripts import adapt, cli, crew, track_plan, track_record, train
from sqair.scripts.any_camera import ANY_CAMERA
from sqair.scripts.track import Args
from sqair.scripts.track_plan import model_of, share_of
from sqair.scripts.track_record import state_of
from sqair.tracker import Tracker

NAMES, FRAMES = ("a", "b", "c", "d"), 4
KINDS = ("--csv", "--json", "--masks", "--mask-images")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_weights(folder, tiny_model(TINY, price=-2.0), {})
    return folder


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder of four folders of images."""
    frames = (255 * spots(TINY, FRAMES, len(NAMES))[:, :, 0]).byte().numpy()
    for k, name in enumerate(NAMES):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for t in range(FRAMES):
            write_png(tmp_path / "clips" / name / f"{t:03d}.png", frames[t, k])
    return tmp_path / "clips"


def run(source: object, model: Path, output: Path, *more: str) -> int:
    return cli.run("track", ["--source", str(source), "--model", str(model), "--output", str(output), *more])


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def tracked(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.txt"))


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every frame that is tracked; where an entry is set to a signal, it comes then."""
    update, seen = Tracker.update, list[int]()

    def counted(self: Tracker, frame: np.ndarray) -> Any:
        seen.append(len(seen))
        return update(self, frame)

    monkeypatch.setattr(Tracker, "update", counted)
    return seen


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(
    clips: Path, model: Path, tmp_path: Path, updates: list[int], monkeypatch: pytest.MonkeyPatch, number: int,
    status: int,
) -> None:
    assert run(clips, model, tmp_path / "whole", *KINDS) == 0 and len(updates) == 4 * FRAMES
    update = Tracker.update

    def interrupted(self: Tracker, frame: np.ndarray) -> Any:
        if len(updates) == 4 * FRAMES + FRAMES + 2:  # in the second clip
            os.kill(os.getpid(), number)
        return update(self, frame)

    monkeypatch.setattr(Tracker, "update", interrupted)
    with pytest.raises(SystemExit) as ended:
        run(clips, model, tmp_path / "out", *KINDS)
    assert ended.value.code == status and tracked(tmp_path / "out") == ["a"]
    monkeypatch.setattr(Tracker, "update", update)
    updates.clear()
    assert run(clips, model, tmp_path / "out", *KINDS, "--resume") == 0 and len(updates) == 3 * FRAMES
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert run(clips, model, tmp_path / "out", *KINDS, "--resume") == 0 and len(updates) == 3 * FRAMES


def test_what_was_killed_while_it_was_published_is_done_again(
    clips: Path, model: Path, tmp_path: Path, updates: list[int]
) -> None:
    """As the record says, which is written before the first file is moved; and what was deleted likewise."""
    out = tmp_path / "out"
    assert run(clips, model, out, *KINDS) == 0
    before = contents(out)
    record = out / track_record.FOLDER / "clips" / "b.json"
    record.write_text(record.read_text().replace('"published": true', '"published": false'))
    (out / "b.txt").unlink()
    stage = out / track_record.FOLDER / "partial" / "b.files"
    (stage / "new").mkdir(parents=True)
    (stage / "new" / "b.txt").write_text("half of it")
    (out / "d.jsonl").unlink()
    updates.clear()
    assert run(clips, model, out, *KINDS, "--resume") == 0 and len(updates) == 2 * FRAMES
    assert contents(out) == before


def test_a_record_is_there_before_the_files_and_the_rows_come_last(
    clips: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = []

    def move(root: Path, entries: list[str], *places: Path) -> None:
        record = json.loads((root / track_record.FOLDER / "clips" / f"{entries[-1][0]}.json").read_text())
        moved.append((entries, sorted(record["files"]), record["published"]))

    monkeypatch.setattr(track_record, "move_all", move)
    assert run(clips, model, tmp_path / "out", "--csv", "--masks") == 0
    assert moved[1] == (["b.masks.npz", "b.csv", "b.txt"], ["b.csv", "b.masks.npz", "b.txt"], False)


def test_runs_of_other_things_are_refused(
    clips: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], updates: list[int]
) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    save_weights(other, tiny_model(replace(TINY), seed=3, price=-2.0), {})
    assert run(clips, model, out, "--csv") == 0

    def refused(weights: Path, *words: str) -> str:
        capsys.readouterr()
        before = contents(out)
        assert run(clips, weights, out, *words) == 2 and contents(out) == before
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1 and said[0].startswith("error: ")
        return said[0]

    assert "--resume" in refused(model, "--csv") and "--overwrite" in refused(model, "--csv")
    assert "--stride was 1, not 2" in refused(model, "--csv", "--stride", "2", "--resume")
    assert "--format was csv, not nothing" in refused(model, "--resume")
    assert "weights are others" in refused(other, "--csv", "--resume")
    write_png(clips / "b" / "001.png", np.zeros((TINY.height, TINY.width), np.uint8))
    assert f"{clips / 'b'} has changed since it was tracked" in refused(model, "--csv", "--resume")
    updates.clear()
    assert run(clips, model, out, "--csv", "--resume", "--overwrite") == 0 and len(updates) == FRAMES
    (out / "c.txt").write_text("mine\n")
    assert f"{out / 'c.txt'} has changed since it was written" in refused(model, "--csv", "--resume")
    assert run(clips, model, out, "--csv", "--resume", "--overwrite") == 0
    record = out / track_record.FOLDER / "clips" / "c.json"
    record.unlink()
    assert f"{out / 'c.csv'} and 1 more: is in the way" in refused(model, "--csv", "--resume")
    for text in ("{", "[]", '{"run": 1}'):
        record.write_text(text)
        assert str(record) in refused(model, "--csv", "--resume")
    assert run(clips, model, out, "--csv", "--overwrite") == 0


def test_a_zone_that_was_drawn_anew_is_another_setting(
    clips: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zone = tmp_path / "zone.json"
    shape = {"label": "left", "points": [[0, 0], [9, 9]], "shape_type": "rectangle"}
    words = ("--zone", str(zone), "--resume")
    zone.write_text(json.dumps({"shapes": [shape]}))
    assert run(clips, model, tmp_path / "out", *words) == 0 == run(clips, model, tmp_path / "out", *words)
    zone.write_text(json.dumps({"shapes": [{**shape, "points": [[0, 0], [9, 8]]}]}))
    assert run(clips, model, tmp_path / "out", *words) == 2 and "--zone was" in capsys.readouterr().err


def test_what_fails_stops_no_other(
    clips: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken file, frames of another size, an error of ours; said when it happens, and in the end."""
    assert run(clips, model, tmp_path / "whole") == 0
    (clips / "a" / "000.png").write_bytes(b"no picture")
    write_png(clips / "c" / "000.png", np.zeros((30, 40), np.uint8))
    capsys.readouterr()
    out = tmp_path / "out"
    assert run(clips, model, out) == 2
    said, error = capsys.readouterr()
    lines = [line for line in said.splitlines() if line.startswith("failed: ")]
    assert len(lines) == 4 and lines[:2] == lines[2:]
    assert all(str(clips / name) in line for name, line in zip("acac", lines, strict=True))
    assert error.startswith("error: 2 of 4 clips failed") and "--resume" in error and error.count("\n") == 1
    assert tracked(out) == ["b", "d"]
    write_png(clips / "c" / "000.png", np.zeros((TINY.height, TINY.width), np.uint8))

    def broken(self: Tracker, frame: np.ndarray) -> Any:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(Tracker, "update", broken)
    assert run(clips, model, out, "--resume") == 2
    assert f"{clips / 'c'}: RuntimeError: two lines (test_track_files.py, line " in capsys.readouterr().out
    monkeypatch.undo()
    (clips / "a" / "000.png").unlink()
    assert run(clips, model, out, "--resume") == 0
    assert tracked(out) == list(NAMES)
    assert (out / "b.txt").read_bytes() == (tmp_path / "whole" / "b.txt").read_bytes()


def test_where_nothing_can_be_tracked_nothing_is_left(clips: Path, model: Path, tmp_path: Path) -> None:
    for name in NAMES:
        (clips / name / "000.png").write_bytes(b"")
    assert run(clips, model, tmp_path / "out") == 2 and not (tmp_path / "out").exists()


def test_a_full_disk_stops_all_and_loses_nothing(
    clips: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    move_all, out = track_record.move_all, tmp_path / "out"

    def full(root: Path, entries: list[str], *places: Path) -> None:
        if entries == ["b.txt"]:
            raise OSError(errno.ENOSPC, "No space left on device")
        move_all(root, entries, *places)

    monkeypatch.setattr(track_record, "move_all", full)
    assert run(clips, model, out) == 2 and tracked(out) == ["a"]
    assert "No space left" in (error := capsys.readouterr().err) and "--resume" in error
    monkeypatch.undo()
    assert run(clips, model, out, "--resume") == 0 == run(clips, model, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")


def test_shards_do_all_once_in_one_folder(
    clips: Path, model: Path, tmp_path: Path, updates: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(clips, model, tmp_path / "whole") == 0
    updates.clear()
    out = tmp_path / "out"
    assert run(clips, model, out, "--shard", "2/3") == 0 and tracked(out) == ["b"]
    assert run(clips, model, out, "--shard", "1/3", "--resume") == 0 and tracked(out) == ["a", "b", "d"]
    assert run(clips, model, out, "--shard", "3/3") == 0 and len(updates) == 4 * FRAMES
    assert contents(out) == contents(tmp_path / "whole")
    assert run(clips, model, out, "--shard", "3/3") == 2 and "--resume" in capsys.readouterr().err
    assert run(clips, model, out, "--resume") == 0 and "done before: 4 of 4 clips" in capsys.readouterr().out
    assert run(clips, model, out, "--shard", "9/9") == 0 and len(updates) == 4 * FRAMES
    for word in ("0/3", "4/3", "3", "a/b", "1/3/5", "-1/3"):
        assert run(clips, model, out, "--resume", f"--shard={word}") == 2 and word in capsys.readouterr().err
    parts = list_parts(clips)
    assert sorted(part.name for k in (1, 2, 3) for part in share_of(parts, f"{k}/3")) == list(NAMES)


def test_what_another_run_tracks_at_the_moment_is_left_to_it(
    clips: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Held:
        def __init__(self, path: Path) -> None:
            if path.name == "b.lock":
                raise BlockingIOError

    monkeypatch.setattr(track_record, "Hold", Held)
    assert run(clips, model, tmp_path / "out") == 2 and tracked(tmp_path / "out") == ["a", "c", "d"]
    assert "b is being tracked by another process" in capsys.readouterr().err


def test_two_processes_write_the_bytes_of_one(clips: Path, model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "clips" / "set.npz", frames=np.zeros((2, 3, TINY.height, TINY.width), np.uint8))
    sources = ("--source", str(clips), str(clips / "set.npz"))
    for out, number in (("one", "1"), ("two", "2")):
        words = [*sources, "--model", str(model), "--output", str(tmp_path / out), *KINDS]
        assert cli.run("track", [*words, "--processes", number]) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert tracked(tmp_path / "two") == [*NAMES, "set-000000", "set-000001"]


class Heard:
    """Waits for all tasks of a crew; or until ``enough`` have come to an end."""

    def __init__(self, enough: int = 99) -> None:
        self.enough, self.amount, self.texts = enough, 0, list[str]()
        self.results, self.gone, self.off = dict[int, object](), dict[int, str](), list[int]()

    def stopped(self) -> bool:
        return len(self.results) >= self.enough

    def told(self, amount: int) -> None:
        self.amount += amount

    def said(self, text: str) -> None:
        self.texts.append(text)

    def ended(self, task: int, result: object) -> None:
        self.results[task] = result

    def lost(self, task: int, how: str) -> None:
        self.gone[task] = how

    def dropped(self, task: int) -> None:
        self.off.append(task)


def make() -> crew.Attempt:
    def attempt(task: int, tell: Any) -> int:
        if task == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if task == 3:
            signal.pause()
        print(f"task {task}")
        tell(task)
        return task**2

    return attempt


def test_a_process_that_dies_fails_its_task_and_none_outlives_the_others() -> None:
    heard = Heard(enough=3)
    crew.do_all([0, 1, 2, 3, 4], make, 2, heard)
    assert heard.results == {0: 0, 2: 4, 4: 16} and heard.gone == {1: "was killed (signal 9)"} and heard.off == [3]
    assert heard.amount == 6 and sorted(heard.texts) == ["task 0", "task 2", "task 4"]
    assert not multiprocessing.active_children()


def test_the_parts_of_a_source_are_its_clips(clips: Path, tmp_path: Path) -> None:
    """By their names and in their order; a damaged one is known when it is opened."""
    films = tmp_path / "films"
    for day in ("monday", "tuesday"):
        (films / day).mkdir(parents=True)
        for number in (2, 10):
            write_video(films / day / f"cam{number}.mp4", iter(np.zeros((2, 20, 24, 3), np.uint8)), 10)
    np.save(tmp_path / "one.npy", np.zeros((3, 20, 24), np.uint8))
    for source in (clips, clips / "a", f"{clips}/b/*.png", f"{films}/**/*.mp4", films / "monday", tmp_path / "one.npy"):
        parts, found = list_parts(source), read_source(source)
        assert [(part.name, part.path) for part in parts] == [(clip.name, clip.path) for clip in found], source
        opened = [clip for part in parts for clip in part.open(fps=7.0)]
        assert [(clip.name, clip.size, clip.length) for clip in opened] == [(c.name, c.size, c.length) for c in found]
        assert {clip.fps for clip in opened} == {7.0}
    (films / "monday" / "cam10.mp4").write_bytes(b"")
    parts = list_parts([films / "monday", films / "tuesday"])
    assert [part.name for part in parts] == ["monday-cam2", "monday-cam10", "tuesday-cam2", "tuesday-cam10"]
    with pytest.raises(UserError, match="cam10.mp4: the file is empty"):
        parts[1].open()
    with pytest.raises(UserError, match="no such file"):
        list_parts([films / "monday", tmp_path / "none.mp4"])


def test_a_training_before_is_gone_on_with(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not done again; and refused if it was another one."""
    trained, folder = list[train.Args](), tmp_path / adapt.FOLDER
    monkeypatch.setattr(train, "parse", lambda words: train.Args(folder, start=ANY_CAMERA))
    monkeypatch.setattr(train, "main", trained.append)
    args = Args(str(clips), tmp_path, adapt=adapt.MINUTES, resume=True)
    assert adapt.adapt(args) == folder and (trained[-1].resume, trained[-1].overwrite) == (False, True)
    folder.mkdir()
    (folder / "checkpoint.pt").touch()
    assert adapt.adapt(args) == folder and (trained[-1].resume, trained[-1].overwrite) == (True, False)
    steps = sum(stage.steps for stage in train.Args(folder).train.stages)
    (folder / "checkpoint.pt").unlink()
    save_weights(folder / "weights", tiny_model(TINY), {"steps": steps, "total_steps": steps})
    assert adapt.adapt(args) == folder and len(trained) == 2
    with pytest.raises(UserError, match="for another --adapt than 4"):
        adapt.adapt(replace(args, adapt=2 * adapt.MINUTES))
    assert adapt.adapt(replace(args, resume=False)) == folder and len(trained) == 3 and not trained[-1].overwrite


@pytest.mark.parametrize("word", ["--resume", "--shard=1/2"])
def test_a_camera_goes_by_itself(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], word: str) -> None:
    assert run("0", model, tmp_path / "out", word) == 2
    assert "camera 0: is seen once" in capsys.readouterr().err


def test_a_single_file_goes_on_too(clips: Path, model: Path, tmp_path: Path, updates: list[int]) -> None:
    assert run(clips / "a", model, tmp_path / "out", "--resume") == 0 and len(updates) == FRAMES
    assert run(clips / "a", model, tmp_path / "out", "--resume") == 0 and len(updates) == FRAMES


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--adapt", "1", "--shard", "1/2"], "--adapt: each part of --shard would train anew"),
        (["--show", "--processes", "2"], "--show: "),
        (["--region", "0,0,x,9"], "0,0,x,9"),
    ],
)
def test_options_that_do_not_go_together(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], what: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr("sqair.scripts.tracking.has_display", lambda: True)
    assert cli.run("track", ["--source", str(clips), "--output", str(tmp_path / "out"), *words]) == 2
    assert what in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_run_that_goes_on_is_fitted_as_it_was(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And surveys nothing; so that clips may have come since."""

    def surveyed(*_: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(track_plan, "_sample", surveyed)
    args, parts = Args(str(clips), tmp_path), list_parts(clips)
    trained = track_plan.SQAIR.from_pretrained(ANY_CAMERA)
    fitted = trained.refitted(replace(trained.config, width=90, height=70, slots=5), 12.5)
    before = track_plan.save_plan(ANY_CAMERA, fitted, {}, tmp_path / "weights")
    name, again = model_of(args, parts, json.loads(json.dumps(before)))
    assert name == ANY_CAMERA and again.config == fitted.config and again.price == fitted.price
    assert track_plan.save_plan(name, again, {}, tmp_path / "again") == before
    with pytest.raises(AssertionError):
        model_of(args, parts, None)


def test_a_sequence_without_seqinfo_is_known_by_its_images(tmp_path: Path) -> None:
    (tmp_path / "img1").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "img1" / name).write_bytes(b"12345")
    state = state_of(tmp_path)
    assert (state["files"], state["bytes"]) == (2, 10)
