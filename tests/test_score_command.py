"""``sqair score``: where ground truth, predictions and frames are found, what is hinted at, and that advice works."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from sqair.datasets.clip import ClipSource, Frame
from sqair.datasets.folders import write_npz
from sqair.datasets.generate import make_clips
from sqair.datasets.images import write_png
from sqair.datasets.recipes import get_recipe
from sqair.files.mot_io import write_mot
from sqair.scripts import cli
from sqair.scripts.score_floor import count_frames, floor_of
from sqair.tracks import Tracks

LENGTH = 6


def square(x: float = 5) -> Tracks:
    """A square that stands still."""
    return Tracks(np.arange(LENGTH), np.zeros(LENGTH), np.tile([x, 5.0, 10, 10], (LENGTH, 1)))


def sequence(folder: Path, images: str | None = None, info: str = "") -> None:
    """A MOTChallenge folder of a square, with its frames in the folder ``images`` of it."""
    (folder / "gt").mkdir(parents=True)
    write_mot(folder / "gt" / "gt.txt", square(), truth=True)
    (folder / "seqinfo.ini").write_text(f"[Sequence]\nseqLength={LENGTH}\n{info}")
    if images:
        frame = np.zeros((30, 40), dtype=np.uint8)
        frame[5:15, 5:15] = 255
        (folder / images).mkdir(parents=True)
        for t in range(LENGTH):
            write_png(folder / images / f"{t + 1:06d}.png", frame)


def run(*words: object) -> int:
    return cli.run("score", [str(word) for word in words])


Capture = pytest.CaptureFixture[str]


@pytest.fixture
def found(tmp_path: Path) -> Path:
    """Predictions for a clip ``a``, all right."""
    (tmp_path / "found").mkdir()
    write_mot(tmp_path / "found" / "a.txt", square())
    return tmp_path / "found"


def test_folders_of_trackeval_are_followed(tmp_path: Path, capsys: Capture) -> None:
    sequence(tmp_path / "gt" / "MOT17-train" / "a")
    trackers = tmp_path / "trackers" / "MOT17-train"
    (trackers / "mine" / "data").mkdir(parents=True)
    write_mot(trackers / "mine" / "data" / "a.txt", square())
    (trackers / "mine" / "pedestrian_summary.txt").write_text("MOTA\n1\n")
    truth = tmp_path / "gt" / "MOT17-train"
    for pred in (trackers, trackers / "mine", trackers / "mine" / "data"):
        assert run("--truth", truth, "--pred", pred) == 0
        assert "OVERALL  1.0000" in capsys.readouterr().out
    (trackers / "other" / "data").mkdir(parents=True)
    write_mot(trackers / "other" / "data" / "a.txt", square(7))
    assert run("--truth", truth, "--pred", trackers) == 2
    (advised,) = re.findall(r"holds 2 trackers: give one of them, such as (\S+)$", capsys.readouterr().err, re.M)
    assert run("--truth", truth, "--pred", advised) == 0
    assert run("--truth", tmp_path / "gt", "--pred", advised) == 2
    (advised_truth,) = re.findall(r"is (\S+) meant\?", capsys.readouterr().err)
    assert run("--truth", advised_truth, "--pred", advised) == 0


@pytest.mark.parametrize(
    ("images", "info"), [("img1", ""), ("jpeg", "imDir=jpeg\n"), ("a/b", "imDir=a/b\n"), (None, "")]
)
def test_the_floor_sees_the_images_where_seqinfo_says_they_are(
    tmp_path: Path, found: Path, capsys: Capture, images: str | None, info: str
) -> None:
    sequence(tmp_path / "gt" / "a", images, info)
    (tmp_path / "gt" / "a" / "seqinfo.ini").write_bytes(
        b"\xef\xbb\xbf" + (tmp_path / "gt" / "a" / "seqinfo.ini").read_bytes()
    )
    for truth in (tmp_path / "gt", tmp_path / "gt" / "a" / "gt" / "gt.txt"):
        assert run("--truth", truth, "--pred", found) == 0
        assert ("floor    1.0000" in capsys.readouterr().out) == (images is not None)


def test_an_archive_is_scored_by_its_own_truth(tmp_path: Path, capsys: Capture) -> None:
    clips = make_clips(get_recipe("sqair-script", length=4), "test", 0, 0, 3)
    write_npz(tmp_path / "clips.npz", [clips])
    (tmp_path / "gt").mkdir()
    (tmp_path / "pred").mkdir()
    for i, truth in enumerate(clips.truth):
        write_mot(tmp_path / "gt" / f"{i:06d}.txt", truth, truth=True)
        write_mot(tmp_path / "pred" / f"{i:06d}.txt", truth.where(truth.score > 0))
    files = ["--pred", tmp_path / "pred", "--output", tmp_path / "out", "--overwrite"]
    assert run("--truth", tmp_path / "clips.npz", *files) == 0
    own = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert own["overall"]["mota"] == 1 and own["overall"]["frames"] == 12 and "floor" in own
    assert run("--truth", tmp_path / "gt", *files, "--frames-from", tmp_path / "clips.npz") == 0
    assert own == json.loads((tmp_path / "out" / "scores.json").read_text())
    capsys.readouterr()
    assert run("--truth", tmp_path / "gt", "--pred", tmp_path / "clips.npz") == 2
    assert "holds frames, not tracks" in capsys.readouterr().err
    np.savez(tmp_path / "bare.npz", frames=clips.frames)
    assert run("--truth", tmp_path / "bare.npz", "--pred", tmp_path / "pred") == 2
    assert "has no array 'count'" in capsys.readouterr().err


def test_advice_works_when_it_is_followed(tmp_path: Path, found: Path, capsys: Capture) -> None:
    sequence(tmp_path / "gt" / "a", "img1")
    files = ["--truth", tmp_path / "gt", "--pred", found]
    (tmp_path / "gt" / "a" / "img1" / "000003.png").write_bytes(b"not a picture")
    assert run(*files) == 2
    assert "--no-floor scores without the frames" in capsys.readouterr().err
    assert run(*files, "--no-floor") == 0

    out = ["--no-floor", "--output", tmp_path / "out"]
    assert run(*files, *out) == 0 and run(*files, *out) == 2
    assert "choose another --output, or add --overwrite" in capsys.readouterr().err
    assert run(*files, *out, "--overwrite") == 0
    assert run(*files, "--no-floor", "--output", tmp_path / "another") == 0

    sequence(tmp_path / "gt" / "b")
    assert run(*files, "--no-floor") == 2
    assert "--allow-missing scores such clips as found empty" in capsys.readouterr().err
    assert run(*files, "--no-floor", "--allow-missing") == 0


@pytest.mark.parametrize(
    ("advised", "gt", "pred"),
    [
        ("--benchmark mot15", "1,1,5,5,10,10,1,1,1\n", "1,1,5,5,10,10,1,3,-1,-1\n"),
        ("--benchmark mot15", "1,1,5,5,10,10,1,0,1\n", "1,1,5,5,10,10,1,-1,-1,-1\n"),
    ],
)
def test_advice_about_classes_works(tmp_path: Path, capsys: Capture, advised: str, gt: str, pred: str) -> None:
    (tmp_path / "gt.txt").write_text(gt)
    (tmp_path / "pred.txt").write_text(pred)
    files = ["--truth", tmp_path / "gt.txt", "--pred", tmp_path / "pred.txt"]
    assert run(*files, "--benchmark", "mot17") == 2
    error = capsys.readouterr().err
    assert advised in error and re.search(r"(gt|pred)\.txt:1: ", error)
    assert run(*files, *advised.split()) == 0
    assert "OVERALL  1.0000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "advice", "change"),
    [
        ("frame,id,x,y,w,h,conf\n1,1,5,5,9,9,1\n", "remove that line", lambda text: text.split("\n", 1)[1]),
        ("0,1,5,5,9,9,1\n", "add 1 to all", lambda text: text.replace("0,", "1,", 1)),
        ("1;1;5,0;5,0;9;9;1\n", "decimal points, and commas", lambda text: text.replace(",", ".").replace(";", ",")),
        ("1,1,5,5,9,9\n", "7 to 10", lambda text: text.replace("\n", ",1\n")),
        ("1,1,5,5,9,9,1\n1,1,5,5,9,9,1\n", "id 1 appears twice", lambda text: text[: len(text) // 2]),
        ("1,-1,5,5,9,9,1\n1,-1,7,7,9,9,1\n", "the file of a tracker", lambda text: text.replace("-1", "3", 1)),
    ],
)
def test_advice_about_rows_works(tmp_path: Path, capsys: Capture, text: str, advice: str, change) -> None:
    (tmp_path / "pred.txt").write_text(text)
    (tmp_path / "gt.txt").write_text("1,1,5,5,9,9,1,1,1\n")
    files = ["--truth", tmp_path / "gt.txt", "--pred", tmp_path / "pred.txt"]
    assert run(*files) == 2
    assert advice in capsys.readouterr().err
    (tmp_path / "pred.txt").write_text(change(text))
    assert run(*files) == 0


def test_a_refusal_leaves_earlier_scores(tmp_path: Path, found: Path) -> None:
    sequence(tmp_path / "gt" / "a")
    words = ["--truth", tmp_path / "gt", "--pred", found, "--output", tmp_path / "out", "--overwrite"]
    assert run(*words) == 0
    before = (tmp_path / "out" / "scores.json").read_bytes()
    (found / "a.txt").write_text("7,1,5,5,9,9,1\n")
    assert run(*words) == 2
    assert (tmp_path / "out" / "scores.json").read_bytes() == before


@pytest.mark.parametrize("name", ["MOT20-01", "mot20-05"])
def test_a_name_tells_mot20(tmp_path: Path, capsys: Capture, name: str) -> None:
    (tmp_path / name / "gt").mkdir(parents=True)
    (tmp_path / name / "gt" / "gt.txt").write_text("1,1,5,5,9,9,1,1,1\n1,2,50,5,9,9,0,6,1\n")
    (tmp_path / "pred.txt").write_text("1,1,5,5,9,9,1\n1,2,50,5,9,9,1\n")
    for words in ([], ["--benchmark", "mot17"]):
        truth = tmp_path / name / "gt" / "gt.txt"
        assert run("--truth", truth, "--pred", tmp_path / "pred.txt", *words) == 0
        out = capsys.readouterr().out
        assert f"the rule of {'MOT16/17' if words else 'MOT20'}" in out
        assert f"OVERALL   {0 if words else 1}.0000" in out


def test_memory_follows_the_rows(tmp_path: Path, capsys: Capture) -> None:
    """Frame numbers that are times, ids of 18 digits, and 3000 tracks of a frame each."""
    place = np.random.default_rng(0).uniform(0, 10_000, (3000, 2))
    for name, rest in (("gt", "1,1,1"), ("pred", "0.9")):
        times = [f"{1543358529500 + 33 * t},{10**17 + 10**12 * t}" for t in range(len(place))]
        lines = [f"{time},{x:.1f},{y:.1f},9,9,{rest}\n" for time, (x, y) in zip(times, place, strict=True)]
        (tmp_path / f"{name}.txt").write_text("".join(lines))
    tracemalloc.start()
    try:
        assert run("--truth", tmp_path / "gt.txt", "--pred", tmp_path / "pred.txt") == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "OVERALL  1.0000" in capsys.readouterr().out
    assert peak < 40e6


def test_the_floor_is_where_its_frames_are() -> None:
    """Of a clip that has lost frames 2 and 3, and whose last frame is beyond the length that is told."""
    image = np.zeros((30, 40), dtype=np.uint8)
    image[5:15, 5:15] = 255
    numbers = (0, 1, 4, 5, 8)
    clip = ClipSource("a", Path("a"), image.shape, 5, 1.0, lambda: (Frame(image, n, float(n)) for n in numbers))
    assert count_frames(clip) == 9
    found, last = floor_of(clip, None)
    assert found.frame.tolist() == list(numbers) and last == 9
    found, last = floor_of(clip, 8)
    assert found.frame.tolist() == [0, 1, 4, 5] and last == 6
