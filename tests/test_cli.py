"""The ``sqair`` command, ``sqair score``, and settings from YAML."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import tyro

from sqair.errors import UserError
from sqair.files.mot_io import write_mot
from sqair.scripts import cli
from sqair.scripts.yaml_flags import flag_words, read_flags
from sqair.tracks import Tracks

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Inner:
    learning_rate: float = 1e-3
    """Step size."""
    fast: bool = False
    """Hurry."""
    widths: tuple[int, ...] = (1, 2)
    """Layers."""


@dataclass(frozen=True)
class Args:
    """A command for tests."""

    name: str = "x"
    """What to call it."""
    mode: Literal["a", "b"] = "a"
    """One of two."""
    limit: int | None = 3
    """Most of it."""
    careful: bool = True
    """Look twice."""
    config: Path | None = None
    """Settings."""
    train: Inner = field(default_factory=Inner)


def command(monkeypatch: pytest.MonkeyPatch, main: object, **more: object) -> None:
    """Makes ``main`` the command ``fake``."""
    module = types.ModuleType("sqair.scripts.fake")
    module.__dict__.update(Args=Args, main=main, **more)
    monkeypatch.setitem(sys.modules, "sqair.scripts.fake", module)


def test_help_lists_the_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["sqair", "--help"])
    assert cli.main() == 0
    lines = capsys.readouterr().out.splitlines()
    for name in ("generate", "train", "track", "score", "demo", "bench"):
        assert any(line.split()[:1] == [name] and len(line.split()) > 2 for line in lines)


@pytest.mark.parametrize(
    ("words", "said"), [([], "usage"), (["scroe"], "did you mean 'score'"), (["zzz"], "'zzz'")]
)
def test_what_is_no_command_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["sqair", *words])
    assert cli.main() == 2
    out, err = capsys.readouterr()
    assert said in err
    assert out == ""


def test_a_command_gets_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    got = []
    command(monkeypatch, got.append, expand=lambda words: ["--limit", "7", "--name", "first", *words])
    assert cli.run("fake", ["--name", "y", "--train.learning-rate", "3e-4"]) == 0
    assert got == [Args(name="y", limit=7, train=Inner(learning_rate=3e-4))]


def test_what_the_user_got_wrong_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(_: Args) -> None:
        raise UserError("the thing is not there")

    command(monkeypatch, main)
    assert cli.run("fake", []) == 2
    assert capsys.readouterr().err == "error: the thing is not there\n"


def test_ctrl_c_exits_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: Args) -> None:
        raise KeyboardInterrupt

    command(monkeypatch, main)
    assert cli.run("fake", []) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_mistakes_of_the_program_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(_: Args) -> None:
        raise ZeroDivisionError

    command(monkeypatch, main)
    with pytest.raises(ZeroDivisionError):
        cli.run("fake", [])


# sqair score


def square(length: int, x: float = 5, *, first: int = 0, score: float = 1) -> Tracks:
    frames = np.arange(first, length)
    box = np.tile([x, 5.0, 10.0, 10.0], (len(frames), 1))
    return Tracks(frames, np.zeros(len(frames)), box, np.full(len(frames), score))


def write_tree(root: Path, clips: dict[str, Tracks], length: int = 6, images: bool = False) -> None:
    for name, tracks in clips.items():
        (root / name / "gt").mkdir(parents=True)
        write_mot(root / name / "gt" / "gt.txt", tracks, truth=True)
        (root / name / "seqinfo.ini").write_text(f"[Sequence]\nname={name}\nseqLength={length}\n")
        if images:
            write_frames(root / name / "img1", tracks, length)


def write_frames(folder: Path, tracks: Tracks, length: int) -> None:
    from sqair.datasets.images import write_png

    folder.mkdir()
    for t in range(length):
        frame = np.zeros((30, 40), dtype=np.uint8)
        for x, y, w, h in tracks.at(t).box.astype(int).tolist():
            frame[y : y + h, x : x + w] = 255
        write_png(folder / f"{t + 1:06d}.png", frame)


def write_flat(root: Path, clips: dict[str, Tracks]) -> None:
    root.mkdir()
    for name, tracks in clips.items():
        write_mot(root / f"{name}.txt", tracks)


def run_score(*words: object) -> int:
    return cli.run("score", [str(word) for word in words])


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two clips in ``truth``; in ``pred`` all of ``a`` is found and the second half of ``b``."""
    write_tree(tmp_path / "truth", {"a": square(6), "b": square(6)})
    write_flat(tmp_path / "pred", {"a": square(6), "b": square(6, first=3)})
    return tmp_path


def test_score_prints_and_writes(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run_score("--truth", clips / "truth", "--pred", clips / "pred", "--output", clips / "out" / "deep")
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert "MOTP(IoU)" in lines[1]
    assert [line.split()[:2] for line in lines[2:5]] == [
        ["a", "1.0000"],
        ["b", "0.5000"],
        ["OVERALL", "0.7500"],
    ]
    with (clips / "out" / "deep" / "scores.csv").open() as file:
        rows = {row["clip"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["a", "b", "OVERALL"]
    assert float(rows["OVERALL"]["mota"]) == float(rows["OVERALL"]["count_accuracy"]) == 0.75
    data = json.loads((clips / "out" / "deep" / "scores.json").read_text())
    assert data["overall"]["misses"] == 3
    assert data["clips"]["b"]["mota"] == 0.5
    assert data["with_ignored_boxes"] == {}


def test_score_overwrites_only_when_told(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--truth", clips / "truth", "--pred", clips / "pred", "--output", clips / "out"]
    (clips / "out").mkdir()
    (clips / "out" / "scores.json").write_text("precious")
    assert run_score(*words) == 2
    assert "scores.json exists" in capsys.readouterr().err
    assert (clips / "out" / "scores.json").read_text() == "precious"
    assert not (clips / "out" / "scores.csv").exists()
    assert run_score(*words, "--overwrite") == 0
    assert (clips / "out" / "scores.json").read_text() != "precious"


def test_score_shows_the_floor_where_there_are_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tree(tmp_path / "truth", {"a": square(6), "b": Tracks.empty()}, images=True)
    write_flat(tmp_path / "pred", {"a": square(6, first=3), "b": Tracks.empty()})
    words = ["--truth", tmp_path / "truth", "--pred", tmp_path / "pred"]
    assert run_score(*words, "--output", tmp_path / "out") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:2] for row in rows[4:6]] == [["OVERALL", "0.5000"], ["floor", "1.0000"]]
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["floor"]["mota"] == 1
    assert "\nfloor,1.0," in (tmp_path / "out" / "scores.csv").read_text()
    assert run_score(*words, "--no-floor") == 0
    assert "floor" not in capsys.readouterr().out


def test_score_takes_frames_from_an_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = np.zeros((2, 8, 30, 40), dtype=np.uint8)
    frames[0, :6, 5:15, 5:15] = 255
    np.savez(tmp_path / "clips.npz", frames=frames)
    write_flat(tmp_path / "truth", {"000000": square(6), "000001": Tracks.empty()})
    words = ["--truth", tmp_path / "truth", "--pred", tmp_path / "truth"]
    assert run_score(*words) == 0
    out = capsys.readouterr().out
    assert "2 clips, 6 frames" in out
    assert "Nothing says how long 2 of the 2 clips are" in out
    assert run_score(*words, "--frames-from", tmp_path / "clips.npz") == 0
    out = capsys.readouterr().out
    assert "2 clips, 16 frames" in out
    assert "Nothing says" not in out
    assert "floor" in out
    write_tree(tmp_path / "tree", {"000000": square(6), "000001": Tracks.empty()}, length=7)
    assert run_score("--truth", tmp_path / "tree", *words[2:], "--frames-from", tmp_path / "clips.npz") == 0
    assert "2 clips, 14 frames" in capsys.readouterr().out, "seqinfo.ini has the last word"
    np.savez(tmp_path / "other.npz", frames=frames[:1])
    assert run_score(*words, "--frames-from", tmp_path / "other.npz") == 2
    assert "no frames of clip 000001" in capsys.readouterr().err


def test_score_shows_both_where_rows_are_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = Tracks.concat([square(3), square(6, first=3, score=0)])
    write_tree(tmp_path / "truth", {"a": half})
    write_flat(tmp_path / "pred", {"a": square(3)})
    assert (
        run_score("--truth", tmp_path / "truth", "--pred", tmp_path / "pred", "--output", tmp_path / "out")
        == 0
    )
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("OVERALL")]
    assert [row[1] for row in rows] == ["1.0000", "0.5000"]
    data = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert data["overall"]["mota"] == 1
    assert data["with_ignored_boxes"]["overall"]["mota"] == 0.5
    assert data["ignored_boxes"] == 3


def test_score_pairs_two_files_whatever_their_names(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run_score("--truth", clips / "truth" / "a" / "gt" / "gt.txt", "--pred", clips / "pred" / "b.txt") == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:2] == ["a", "0.5000"]
    assert "6 frames" in lines[0]


def test_score_wants_predictions_for_every_clip_and_no_others(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--truth", clips / "truth", "--pred", clips / "pred"]
    (clips / "pred" / "b.txt").rename(clips / "b.txt")
    assert run_score(*words) == 2
    assert "no predictions for clip b;" in capsys.readouterr().err
    assert run_score(*words, "--allow-missing") == 0
    assert "b        0.0000" in capsys.readouterr().out
    (clips / "b.txt").rename(clips / "pred" / "c.txt")
    assert run_score(*words, "--allow-missing") == 2
    assert "no ground truth for a clip c" in capsys.readouterr().err


def test_score_names_bad_input(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, pred = clips / "truth", clips / "pred"

    def complaint(*words: object) -> str:
        assert run_score(*words) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    assert "no such file or folder" in complaint("--truth", clips / "missing", "--pred", pred)
    assert "--iou is 1.5" in complaint("--truth", truth, "--pred", pred, "--iou", 1.5)
    assert "--iou is nan" in complaint("--truth", truth, "--pred", pred, "--iou", "nan")
    (clips / "taken").write_text("")
    assert "cannot make the folder" in complaint(
        "--truth", truth, "--pred", pred, "--output", clips / "taken" / "x"
    )
    (pred / "b.txt").write_text("1,1,1,1,5,5,1,-1,-1,-1\n1,1,1,1,5,5,1,-1,-1,-1\n")
    assert "b.txt:2: id 1 appears twice" in complaint("--truth", truth, "--pred", pred)
    (pred / "b.txt").write_text("7,1,1,1,5,5,1,-1,-1,-1\n")
    assert "clip b: a prediction in frame 7" in complaint("--truth", truth, "--pred", pred)
    for name in "ab":
        (truth / name / "gt" / "gt.txt").write_text("")
    assert "no ground truth at all" in complaint("--truth", truth, "--pred", pred)


def process(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        **options,  # type: ignore[call-overload]
    )


def test_the_file_itself_is_the_command_and_imports_no_torch(clips: Path) -> None:
    words = ["--truth", clips / "truth", "--pred", clips / "pred"]
    ran = process("-X", "importtime", ROOT / "scripts" / "score.py", *words, cwd=clips)
    assert ran.returncode == 0, ran.stderr
    assert "OVERALL" in ran.stdout
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "sqair.eval.clear" in imported
    assert "torch" not in imported
    assert process(ROOT / "scripts" / "score.py", "--truth", clips, "--pred", clips).returncode == 2


def test_a_closed_pipe_is_quiet(clips: Path) -> None:
    words = ["score", "--truth", str(clips / "truth"), "--pred", str(clips / "pred")]
    start = "import sys; from sqair.scripts.cli import main; sys.exit(main())"
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run(
        [sys.executable, "-c", start, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=120,
    )
    os.close(write)
    assert ran.stderr == b""
    assert ran.returncode == 141


# settings from YAML


def parse(text: str, tmp_path: Path, *words: str) -> Args:
    (tmp_path / "c.yaml").write_text(text)
    return tyro.cli(Args, args=[*read_flags(tmp_path / "c.yaml", Args), *words])


def test_yaml_becomes_flags(tmp_path: Path) -> None:
    text = """
        name: -y z
        mode: b
        limit: null
        careful: false
        train:
          learning-rate: 3e-4
          fast: true
          widths: [4, -5, 6]
    """
    inner = Inner(learning_rate=3e-4, fast=True, widths=(4, -5, 6))
    assert parse(text, tmp_path) == Args("-y z", "b", None, careful=False, train=inner)
    assert parse("train.learning_rate: -2\ntrain.widths: 3", tmp_path).train == Inner(-2, widths=(3,))
    assert parse("train:\n  widths: []", tmp_path).train == Inner(widths=())
    assert parse("", tmp_path) == Args()


def test_what_is_typed_wins_over_the_file(tmp_path: Path) -> None:
    text = "name: file\ncareful: false\ntrain:\n  widths: [9]\n  fast: true\n"
    words = ["--name", "typed", "--careful", "--train.widths", "1", "2", "3", "--train.no-fast"]
    assert parse(text, tmp_path, *words) == Args("typed", train=Inner(widths=(1, 2, 3)))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nmae: y", "unknown key 'nmae'; is 'name' meant?"),
        ("learning_rate: 1", "unknown key 'learning_rate'; is 'train.learning_rate' meant?"),
        ("train: {quux: 1}", "unknown key 'train.quux'"),
        ("train: 3", "unknown key 'train'"),
        ("limit: many", "limit: 'many' is not of type int | None"),
        ("train: {learning_rate: fast}", "train.learning_rate: 'fast' is not of type float"),
        ("train: {learning_rate: [1, 2]}", r"train.learning_rate: \[1, 2\] is not of type float"),
        ("train: {widths: [1, x]}", "train.widths: .* is not of type tuple"),
        ("mode: c", "mode: 'c' is not of type Literal"),
        ("careful: 3", "careful: 3 is not of type bool"),
        ("name:", "name: None is not of type str"),
        ("name: {a: 1}", "unknown key 'name.a'"),
        ("- a\n- b", "settings are lines of `name: value`"),
        ("just words", "settings are lines of `name: value`"),
        ("name: [1\nmode: a", ":2: not valid YAML"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(
        UserError, match="c.yaml.*" + complaint.replace("|", r"\|").replace("?", r"\?")
    ) as caught:
        parse(text, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file: .*c.yaml"):
        read_flags(tmp_path / "c.yaml", Args)
    with pytest.raises(UserError, match="cannot read"):
        read_flags(tmp_path, Args)
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UserError, match="c.yaml is not a YAML file"):
        read_flags(tmp_path / "c.yaml", Args)


def test_mappings_become_flags_too() -> None:
    assert flag_words({"limit": 4, "train": {"fast": True}}, Args, "preset p") == [
        "--limit=4",
        "--train.fast",
    ]
    with pytest.raises(UserError, match="preset p: unknown key 'limti'"):
        flag_words({"limti": 4}, Args, "preset p")
