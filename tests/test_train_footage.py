"""``sqair train --data``: what it takes for footage, and what follows from that."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from sqair.files.mot_io import read_mot
from sqair.model import SQAIR
from sqair.scripts import cli, train
from sqair.scripts.presets import PRESETS
from test_footage import film

SMALL = (
    "--from", "none", "--model.hidden", "16", "--model.features", "16", "--model.first-steps", "2",
    "--model.glimpse", "8", "--validation-clips", "2",
)  # fmt: skip
SHORT = ("--train.stages", "1x2x2", "5x1x2")


def video(path: Path, frames: np.ndarray) -> Path:
    """``frames [T, H, W, 3]`` as a video file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, frames.shape[2:0:-1])
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of videos: ``a/clip.avi``, ``b/clip.avi``, ``more/x.avi``, and ``few/x.avi`` for tracking alone."""
    folder = tmp_path_factory.mktemp("street")
    for name, length in (("a/clip", 10), ("b/clip", 11), ("more/x", 12), ("few/x", 6)):
        video(folder / f"{name}.avi", film(length))
    np.savez(folder / "clips.npz", frames=film(10)[None])
    np.savez(folder / "few" / "clips.npz", frames=film(6)[None])
    return folder


SOURCES = {
    "a file": ("a/clip.avi",),
    "a glob": ("*/clip.avi",),
    "a folder of videos": ("more",),
    "an archive": ("clips.npz",),
    "several": ("a/clip.avi", "b/*.avi", "more"),
}


def test_both_names_of_the_flag_do_the_same(street: Path) -> None:
    words = [str(street / "more"), str(street / "a" / "clip.avi")]
    found, other = (train.parse(["--output", "run", name, *words]) for name in ("--footage", "--data"))
    assert found == other and found.footage == tuple(words)
    assert found.model.fit and found.model.channels == 3 and found.model.background == "still"


@pytest.mark.parametrize("sources", SOURCES.values(), ids=SOURCES)
def test_whatever_is_a_source_of_tracking_is_surveyed_and_trained_on(
    street: Path, tmp_path: Path, sources: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(street / source) for source in sources]
    run = tmp_path / "run"
    assert cli.run("train", ["--output", str(run), "--data", *words, *SMALL, *SHORT]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("footage: 160x120 pixels, colour, 1") and said[1].startswith("chosen: canvas ")
    config = SQAIR.from_pretrained(run).config
    assert f"canvas {config.width}x{config.height}, at most {config.slots} objects" in said[1]
    assert yaml.safe_load((run / "config.yaml").read_text())["footage"] == words
    assert cli.run("train", ["--config", str(run / "config.yaml"), "--output", str(tmp_path / "again")]) == 0
    assert "footage:" not in capsys.readouterr().out
    first, second = (SQAIR.from_pretrained(folder) for folder in (run, tmp_path / "again"))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_first_lines_say_what_is_trained_with(street: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--output", "run", "--data", str(street / "more")]
    chosen = train.parse(words).model
    said = capsys.readouterr().out
    assert f"at most {chosen.slots} objects" in said and "background still" in said
    args = train.parse([*words, "--model.slots", "7", "--model.background", "smooth", "--model.width", "99"])
    said = capsys.readouterr().out
    assert args.model.slots == 7 and args.model.background == "smooth"
    assert "at most 7 objects" in said and "background smooth" in said and f"canvas 99x{chosen.height}" in said


def test_a_file_of_settings_that_names_footage_has_it_surveyed(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mine.yaml"
    for footage in (str(street / "more"), [str(street / "more")]):
        config.write_text(yaml.safe_dump({"footage": footage, "model": {"slots": 5}, "train": {"stages": ["1x2x2"]}}))
        args = train.parse(["--config", str(config), "--output", "run"])
        assert args.model.fit and args.model.slots == 5 and args.footage == (str(street / "more"),)
        assert args.train.stages[0].steps == 2 and "at most 5 objects" in capsys.readouterr().out
    config.write_text("footage: null\n")
    assert train.parse(["--config", str(config), "--output", "run"]).footage is None


@pytest.mark.parametrize("preset", ["quick", "tiny"])
def test_a_preset_keeps_its_schedule_and_the_survey_the_rest(street: Path, preset: str) -> None:
    words = ["--output", "run", "--data", str(street / "more")]
    alone, both = train.parse(["--output", "run", "--preset", preset]), train.parse([*words, "--preset", preset])
    assert both.start == PRESETS[preset].get("start", "any-camera")
    surveyed = train.parse([*words, "--from", both.start])
    assert both.train.stages == alone.train.stages != surveyed.train.stages
    said = PRESETS[preset].get("model", {})
    for name in ("height", "width", "channels", "fit", "objects", "slots", "size_mean", "likelihood_std", "hidden"):
        expected = alone if name in said else surveyed
        assert getattr(both.model, name) == getattr(expected.model, name), name
    assert both.train.object_nats == surveyed.train.object_nats
    typed = train.parse([*words, "--preset", preset, "--train.stages", "1x7x2"])
    assert [stage.steps for stage in typed.train.stages] == [7]


def test_the_preset_tiny_trains_on_footage(street: Path, tmp_path: Path) -> None:
    """Its clips have three frames: the scene is known from the whole of the footage."""
    words = ["--output", str(tmp_path / "run"), "--data", str(street / "more"), "--preset", "tiny"]
    assert cli.run("train", words) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.mp4"], "missing.mp4: no such file or folder"),
        (["*.mp4"], "*.mp4: matches no file"),
        (["http://localhost:9/clip.mp4"], "http://localhost:9/clip.mp4"),
        (["moving-mnist"], "moving-mnist: no such file or folder (generated video of that name: --recipe moving"),
        (["0"], "0: a camera is seen once, and training looks at its video often: record it first"),
        (["rtsp://localhost/live"], "rtsp://localhost/live: a camera is seen once"),
        ([], "--data names no video"),
    ],
)
@pytest.mark.parametrize("flag", ["--data", "--footage"])
def test_what_is_no_footage_is_an_error_and_never_generated_video(
    words: list[str], said: str, flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert cli.run("train", ["--output", "run", flag, *words, "--train.stages", "1x1x1"]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and said in error[0]
    assert not (tmp_path / "run").exists()


def test_threads_are_set_before_the_survey(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def watched(clips: object, stabilise: str) -> None:
        seen.append((torch.get_num_threads(), cv2.getNumThreads()))
        raise KeyboardInterrupt

    monkeypatch.setattr("sqair.scripts.footage.survey", watched)
    before = torch.get_num_threads(), cv2.getNumThreads()
    try:
        for words, expected in (([], 1), (["--threads", "2"], 2), (["--threads=0"], 1)):
            torch.set_num_threads(3)
            cv2.setNumThreads(3)
            with pytest.raises(KeyboardInterrupt):
                train.parse(["--output", "run", "--data", str(street / "more"), *words])
            assert seen.pop() == (expected, expected)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


KINDS = list(product(["none", "smooth", "upconv", "still"], ["light", "opaque"]))


@pytest.mark.parametrize(("background", "objects"), KINDS)
def test_every_background_and_kind_of_object_trains_on_footage_and_tracks_it(
    background: str, objects: str, street: Path, tmp_path: Path
) -> None:
    """Through training, validation with its picture, resuming, and tracking."""
    run = tmp_path / "run"
    kinds = ("--model.background", background, "--model.objects", objects, "--validate-every", "2")
    words = ["--output", str(run), "--data", str(street / "more"), *SMALL, *SHORT, *kinds]
    assert cli.run("train", words) == 0
    assert sorted(path.name for path in (run / "pictures").iterdir()) == ["000002.png", "000003.png"]
    assert cli.run("train", ["--resume", "--output", str(run)]) == 0
    for source in (street / "few" / "x.avi", street / "few" / "clips.npz"):
        found = tmp_path / source.stem
        assert cli.run("track", ["--source", str(source), "--model", str(run), "--output", str(found)]) == 0
        (rows,) = found.glob("*.txt")
        assert rows.stat().st_size == 0 or len(read_mot(rows))


def test_a_run_does_not_go_on_with_other_footage(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A glob may match more files another day: that would be another training."""
    for name in ("a", "b"):
        video(tmp_path / "clips" / f"{name}.avi", film(12))
    run = tmp_path / "run"
    words = ["--output", str(run), "--data", f"{tmp_path}/clips/*.avi", *SMALL, *SHORT, "--validate-every", "0"]
    assert cli.run("train", words) == 0
    weights = (run / "weights" / "model.safetensors").read_bytes()
    video(tmp_path / "clips" / "c.avi", film(13))
    assert cli.run("train", ["--resume", "--output", str(run)]) == 2
    said = capsys.readouterr().err
    assert "is of other footage: a of 12 frames, b of 12 frames; there is now: a of 12 frames, b of 12" in said
    assert (run / "weights" / "model.safetensors").read_bytes() == weights
    (tmp_path / "clips" / "c.avi").unlink()
    assert cli.run("train", ["--resume", "--output", str(run)]) == 0


def test_a_clip_is_adapted_to_and_tracked(street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tracks"
    words = ["--source", str(street / "more" / "x.avi"), "--output", str(out), "--adapt", "0.01"]
    assert cli.run("track", words) == 0
    said = capsys.readouterr().out
    assert f"--model {out / 'adapted'}" in said and "any-camera" not in said
    assert (out / "x.txt").exists() and SQAIR.from_pretrained(out / "adapted").config.fit
    alone = ["--source", str(street / "more" / "x.avi"), "--model", str(out / "adapted"), "--output"]
    assert cli.run("track", [*alone, str(tmp_path / "again")]) == 0, "a model for other clips"
    assert (tmp_path / "again" / "x.txt").read_text() == (out / "x.txt").read_text()
    assert cli.run("track", words) == 2 and "not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--adapt", "-1"), "--adapt is -1: it is CPU-minutes, 0 or more"),
        (("--adapt", "2", "--model", "moving-mnist"), "leave out --model"),
    ],
)
def test_what_is_not_adapted(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], said: str
) -> None:
    source = str(street / "more" / "x.avi")
    assert cli.run("track", ["--source", source, "--output", str(tmp_path / "out"), *more]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()
