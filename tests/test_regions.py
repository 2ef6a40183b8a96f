"""Regions: where to look, each an arena of its own, and where never to."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
from numpy.testing import assert_array_equal

from sqair.datasets.clip import ClipSource, evenly
from sqair.datasets.images import write_png
from sqair.datasets.regions import FILL, Choice, arenas, cut_out
from sqair.errors import UserError
from sqair.files.masks import ENDING
from sqair.files.mot_io import read_mot
from sqair.scripts import cli, train
from sqair.scripts.adapt import _words
from sqair.scripts.any_camera import any_camera
from sqair.scripts.footage import training_clips
from sqair.scripts.track import Args
from sqair.tracks import Tracks

SIZE = (60, 100)
LEFT, RIGHT = "0,0,44,60", "56,0,44,60"


def clip_of(frames: np.ndarray) -> ClipSource:
    return ClipSource("clip", Path("clip.mp4"), frames.shape[1:3], len(frames), 10.0, lambda: evenly(frames, 10.0))


def dishes(length: int = 24) -> np.ndarray:
    """A square that moves in each half of frames of noise, and a clock at the bottom left, uint8 ``[T, H, W]``."""
    frames = np.random.default_rng(0).normal(120, 2, (length, *SIZE)).clip(0, 255).astype(np.uint8)
    for t, frame in enumerate(frames):
        frame[8:16, t : t + 8] = 220
        frame[40 - t : 48 - t, 70:78] = 20
        frame[50:58, 2:10] = 250 * (t % 2)
    return frames


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``dishes`` as a folder of images."""
    folder = tmp_path_factory.mktemp("clips") / "dishes"
    folder.mkdir()
    for t, frame in enumerate(dishes()):
        write_png(folder / f"{t:04d}.png", frame)
    return folder


def track(source: Path, output: Path, *words: str) -> Tracks:
    assert cli.run("track", ["--source", str(source), "--output", str(output), *words]) == 0
    return read_mot(output / f"{source.name}.txt")


def objects(path: Path) -> list[list[dict]]:
    """Those of each line of a file of ``--json``."""
    return [json.loads(line)["objects"] for line in path.read_text().splitlines()]


def test_a_region_is_a_clip_of_its_own(tmp_path: Path) -> None:
    """Grey where never to look, and outside of what is round; pixels are in a shape if their middles are."""
    frames = np.random.default_rng(0).integers(0, 100, (3, *SIZE), dtype=np.uint8)
    shapes = [
        {"label": "dish", "points": [[70, 30], [90, 30]], "shape_type": "circle"},
        {"label": "Exclude clock", "points": [[2, 3], [12, 23]], "shape_type": "rectangle"},
    ]
    (tmp_path / "dishes.json").write_text(json.dumps({"shapes": shapes}))
    clip = clip_of(frames)
    box, dish = arenas([clip], Choice(("0,0,40,30", str(tmp_path / "dishes.json")), ("30,20,10,10",)))
    assert (box.name, dish.name) == ("clip-region1", "clip-dish") and (box.size, dish.size) == ((30, 40), (40, 40))
    seen = frames[:, :30, :40].copy()
    seen[:, 3:23, 2:12] = seen[:, 20:30, 30:40] = FILL
    assert_array_equal(list(box.frames()), seen)
    round_ = np.hypot(*(np.indices((40, 40)) + 0.5 - 20)) < 20
    found = np.stack(list(dish.frames()))
    same = found == frames[:, 10:50, 50:90]
    assert (same[:, round_].mean() > 0.995) and (found[:, ~round_] == FILL).mean() > 0.995
    assert arenas([clip], Choice()) == [clip]
    (all_of_it,) = Choice().regions(clip_of(frames[:, :5, :7]))
    assert all_of_it.seen.shape == (5, 7) and all_of_it.seen.all() and not all_of_it.name
    (colour,) = Choice(("0,0,40,30",), ("0,0,9,9",)).regions(clip)
    (image,) = cut_out(clip_of(np.repeat(frames[:1, ..., None], 3, -1)), colour).frames()
    assert image.shape == (30, 40, 3) and (image[:9, :9] == FILL).all() and (image[9:, 9:] < 100).all()


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (Choice(("0,0,50,50", "49,0,20,20")), "region1 and region2 overlap"),
        (Choice(("100,0,50,50",)), "nothing of region1 is left in the 100x60 pixels of clip.mp4"),
        (Choice((), ("0,0,100,60",)), "nothing of the frame is left"),
        (Choice(("90,0,50,50",)), "10x50 pixels of region1"),
        (Choice(("1,2,3",)), "--region 1,2,3: a rectangle is x,y,w,h"),
        (Choice((), ("1,2,3",)), "--exclude 1,2,3: a rectangle is x,y,w,h"),
        (Choice(("none.json",)), "none.json"),
    ],
)
def test_regions_that_are_no_good_are_refused(choice: Choice, said: str) -> None:
    with pytest.raises(UserError, match=said):
        choice.regions(clip_of(dishes(2)))


def test_each_region_is_tracked_as_if_there_were_nothing_else(folder: Path, tmp_path: Path) -> None:
    """Rows, masks and looks are those of clips that were cut by hand, in the pixels of the whole frame."""
    any_camera(arenas([clip_of(dishes())], Choice((LEFT,))), "cpu").save_pretrained(tmp_path / "model")
    words = ["--model", str(tmp_path / "model"), "--no-reid", "--json", "--masks"]
    both = track(folder, tmp_path / "both", *words, "--region", LEFT, RIGHT)
    masks = np.load(tmp_path / "both" / f"dishes{ENDING}")["masks"]
    told = objects(tmp_path / "both" / "dishes.jsonl")
    seen = 0
    for number, x in enumerate((0, 56)):
        cut = tmp_path / f"cut{number}" / "cut"
        cut.mkdir(parents=True)
        for t, frame in enumerate(dishes()):
            write_png(cut / f"{t:04d}.png", frame[:, x : x + 44])
        alone = track(cut, tmp_path / f"out{number}", *words)
        mine = both.where(both.id % 2 == number)
        assert len(alone) and mine.id.tolist() == (2 * alone.id + number).tolist()
        assert_array_equal(mine.frame, alone.frame)
        assert_array_equal(mine.box, alone.box + np.array([x, 0, 0, 0]))
        own = np.load(tmp_path / f"out{number}" / f"cut{ENDING}")["masks"]
        assert_array_equal(masks[..., x : x + 44], np.where(own > 0, 2 * own.astype(int) - 1 + number, 0))
        lines = objects(tmp_path / f"out{number}" / "cut.jsonl")
        looks = [o["appearance"] for line in told for o in line if (o["id"] - 1) % 2 == number]
        assert looks == [o["appearance"] for line in lines for o in line]
        seen += len(alone)
    assert seen == len(both) and not masks[..., 44:56].any()


def test_arenas_of_known_numbers_without_training(folder: Path, tmp_path: Path) -> None:
    """One in each, wherever it goes; the clock is not looked at; the table names the regions."""
    words = ["--region", LEFT, RIGHT, "--exclude", "0,48,14,12", "--count", "1", "--format", "csv", "--overlay"]
    rows = track(folder, tmp_path / "out", *words)
    assert rows.id.tolist() == [0, 1] * 24
    centre = (rows.box[:, :2] + rows.box[:, 2:] / 2).reshape(24, 2, 2)
    t = np.arange(24)
    assert np.abs(centre[:, 0] - np.stack([t + 4, 12 + 0 * t], 1)).max() < 2
    assert np.abs(centre[:, 1] - np.stack([74 + 0 * t, 44 - t], 1)).max() < 2
    table = pandas.read_csv(tmp_path / "out" / "dishes.csv")
    assert table.region.tolist() == ["region1", "region2"] * 24


@pytest.mark.parametrize(("words", "most"), [(("--max-objects", "1"), 1), (("--count", "25"), 25)])
def test_room_for_objects_is_as_it_is_told(folder: Path, tmp_path: Path, words: tuple[str, ...], most: int) -> None:
    """Fewer than there are, and more than a survey would have it."""
    rows = track(folder, tmp_path / "out", *words)
    assert 0 < np.bincount(rows.frame).max() <= most and (most > 1 or len(rows) >= 20)


def test_training_sees_the_regions(folder: Path) -> None:
    left, right = training_clips([folder], None, Choice((LEFT, RIGHT)))
    assert left.size == right.size == (60, 44)
    args = train.parse(["--output", "x", "--data", str(folder), "--region", LEFT, RIGHT])
    assert args.region == (LEFT, RIGHT) and args.model.height > args.model.width
    assert train.settings(args)["region"] == [LEFT, RIGHT]
    assert "region" not in train.settings(replace(args, region=()))
    words = _words(Args(source="clip.mp4", output=Path("x"), region=(LEFT,), exclude=(RIGHT,)))
    assert words[words.index("--region") + 1] == LEFT and words[words.index("--exclude") + 1] == RIGHT


def test_what_is_no_good_is_said_and_nothing_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["--source", str(folder), "--output", str(tmp_path / "out"), "--region", "0,0,50,50", "40,0,50,50"]
    assert cli.run("track", words) == 2
    error = capsys.readouterr().err
    assert "overlap" in error and error.count("\n") == 1 and not (tmp_path / "out").exists()
