"""Tracks in the files of other tools: read back by these, or held against what they document."""

import csv
import io
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas
import pytest
from numpy.testing import assert_allclose

from sqair.datasets.video_out import write_video
from sqair.exports.coco import coco
from sqair.exports.cvat import cvat
from sqair.exports.edits import read_edits
from sqair.exports.measures import Scale, measures
from sqair.exports.record import Record, lasting, without_gaps
from sqair.exports.tidy import COLUMNS, tidy
from sqair.exports.via import via
from sqair.files.mot_io import read_mot, write_mot
from sqair.scripts import cli
from sqair.tracks import Tracks


def record(frame: list[int], ids: list[int], fps: float = 10.0, length: int | None = None) -> Record:
    """Boxes of 4x2 pixels, that go 3 to the right and 4 down in each frame; each id is ten pixels below the last."""
    t, n = np.array(frame), np.array(ids)
    box = np.stack([3.0 * t, 4.0 * t + 10 * n, np.full(len(t), 4.0), np.full(len(t), 2.0)], 1)
    return Record.of("clip", Tracks(t, n, box, 0.5 + 0.01 * t), (60, 80), fps, length)


def table(text: str) -> pandas.DataFrame:
    return pandas.read_csv(io.StringIO(text))


def test_gaps_are_filled_evenly_and_marked() -> None:
    """A gap of two frames is, of three is not; ends are no gaps, and another's rows are none of one's own."""
    with_gaps = record([0, 3, 7, 1], [0, 0, 0, 1])
    filled = without_gaps(with_gaps, 2)
    assert filled.tracks.frame.tolist() == [0, 1, 1, 2, 3, 7] and filled.tracks.id.tolist() == [0, 0, 1, 0, 0, 0]
    assert filled.filled.tolist() == [False, True, False, True, False, False]
    assert_allclose(filled.tracks.box[[1, 3]], record([1, 2], [0, 0]).tracks.box)
    assert_allclose(filled.seconds, filled.tracks.frame / 10)
    assert_allclose(filled.tracks.score[[1, 3]], 0.5)
    again = without_gaps(with_gaps, 0)
    assert again.tracks.box.tolist() == with_gaps.tracks.box.tolist() and not again.filled.any()
    assert not len(without_gaps(record([], []), 5).tracks)


def test_who_was_seen_in_few_frames_is_left_out() -> None:
    tracks = record([0, 1, 2, 1, 2], [0, 0, 0, 4, 4]).tracks
    assert lasting(tracks, 3).tolist() == (tracks.id == 0).tolist()
    assert lasting(tracks, 1).all() and not lasting(tracks, 4).any()


def test_speeds_are_in_units_of_the_user() -> None:
    """Five pixels a frame of a tenth of a second, .2 mm a pixel; over a gap it is the mean speed."""
    told = measures(record([0, 1, 3, 1, 2], [0, 0, 0, 1, 1]), Scale(0.2, "mm"))
    assert list(told) == ["distance_mm", "path_mm", "speed_mm_s"]
    nan = np.nan  # rows: frame 0 of the first, 1 of both, 2 of the second, 3 of the first
    assert_allclose(told["distance_mm"], [nan, 1, nan, 1, 2])
    assert_allclose(told["path_mm"], [0, 1, 0, 1, 3])
    assert_allclose(told["speed_mm_s"], [nan, 10, nan, 10, 10])
    assert all(not len(column) for column in measures(record([], []), Scale(1, "px")).values())


@pytest.mark.parametrize(("name", "word"), [("mm", "mm"), ("body lengths", "body_lengths"), ("µm", "µm")])
def test_units_are_parts_of_names_of_columns(name: str, word: str) -> None:
    assert f"speed_{word}_s" in table(tidy(record([0, 1], [0, 0]), Scale(2, name)))


def test_a_tidy_table_has_the_rows() -> None:
    here = without_gaps(record([4, 6], [2, 2]), 1)
    found = table(tidy(here, Scale(1, "px")))
    assert tuple(found.columns[: len(COLUMNS)]) == COLUMNS and found.interpolated.tolist() == [0, 1, 0]
    assert found.frame.tolist() == [5, 6, 7] and set(found.id) == {3} and found.speed_px_s.isna().tolist()[0]
    assert_allclose(found[["x", "y", "w", "h"]], here.tracks.box)
    assert_allclose(found.seconds, [0.4, 0.5, 0.6])
    assert tidy(record([], [])) == ",".join(COLUMNS) + "\n"


def test_names_of_clips_are_quoted() -> None:
    one = record([4], [2])
    named = Record.of('a, "b"', one.tracks, one.size, 10.0)
    (line,) = csv.DictReader(io.StringIO(tidy(named)))
    assert line["clip"] == 'a, "b"' and line["id"] == "3"


def test_via_tracks_are_as_movement_documents_them() -> None:
    """One header; a rectangle, a track and a frame in each row; and no track twice in a frame."""
    here = without_gaps(record([0, 2, 0, 1], [0, 0, 5, 5]), 1)
    found = table(via(here))
    assert ",".join(found.columns) == (
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
    )
    frames = [json.loads(said)["frame"] for said in found.file_attributes]
    shapes = [json.loads(said) for said in found.region_shape_attributes]
    told = [json.loads(said) for said in found.region_attributes]
    assert frames == here.tracks.frame.tolist() and {shape["name"] for shape in shapes} == {"rect"}
    assert_allclose([[shape[key] for key in ("x", "y", "width", "height")] for shape in shapes], here.tracks.box)
    assert [one["track"] for one in told] == (here.tracks.id + 1).tolist()
    assert [one["interpolated"] for one in told] == here.filled.tolist()
    assert found.region_count.tolist() == [2, 2, 2, 2, 1] and found.region_id.tolist() == [0, 1, 0, 1, 0]
    assert all(f"_{frame:06d}." in name for frame, name in zip(frames, found.filename, strict=True))


def test_coco_is_read_by_pycocotools(tmp_path: Path) -> None:
    reader = pytest.importorskip("pycocotools.coco")
    here = record([0, 2, 2], [0, 0, 5], length=4)
    (tmp_path / "clip.json").write_text(coco(here))
    read = reader.COCO(tmp_path / "clip.json")
    assert sorted(read.getImgIds()) == [1, 2, 3, 4] and read.getAnnIds(imgIds=[2]) == []
    rows = read.loadAnns(read.getAnnIds(imgIds=[3], areaRng=[7, 9]))
    assert [row["track_id"] for row in rows] == [1, 6]
    assert_allclose([row["bbox"] for row in rows], here.tracks.at(2).box)
    assert read.loadImgs([3])[0] == {
        "id": 3, "file_name": "clip/000003.jpg", "width": 80, "height": 60, "video_id": 1, "frame_id": 2,
    }  # fmt: skip


def test_cvat_has_a_track_for_each_id_that_is_outside_where_it_is_not_seen() -> None:
    """The elements and attributes of CVAT for video 1.1: https://docs.cvat.ai/docs/dataset_management/formats/."""
    here = without_gaps(record([0, 2, 5, 3], [0, 0, 0, 4], length=6), 1)
    root = ElementTree.fromstring(cvat(here))
    assert root.findtext("version") == "1.1" and root.findtext("meta/task/labels/label/name") == "object"
    tracks = root.findall("track")
    assert [track.attrib for track in tracks] == [
        {"id": name, "label": "object", "source": "auto"} for name in ("1", "5")
    ]
    rows = [box.attrib for box in tracks[0]]
    assert [(row["frame"], row["keyframe"], row["outside"]) for row in rows] == [
        ("0", "1", "0"), ("1", "0", "0"), ("2", "1", "0"), ("3", "1", "1"), ("5", "1", "0"),
    ]  # fmt: skip
    assert [row["outside"] for row in (box.attrib for box in tracks[1])] == ["0", "1"]
    seen = [[float(row[key]) for key in ("xtl", "ytl", "xbr", "ybr")] for row in rows if row["outside"] == "0"]
    box = here.tracks.box[here.tracks.id == 0]
    assert_allclose(seen, np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1))
    assert all(set(row) == {"frame", "keyframe", "outside", "occluded", "z_order", "xtl", "ytl", "xbr", "ybr"}
               for row in rows)  # fmt: skip


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    write_mot(tmp_path / "clip.txt", record([0, 1, 3, 0], [0, 0, 0, 1]).tracks)
    return tmp_path / "clip.txt"


def test_rows_are_exported(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [str(rows), "--output", str(out), "--fps", "10", "--size", "80", "60", "--fill", "1", "--min-life", "2"]
    assert cli.run("export", [*words, "--scale", "0.5", "cm", "--format", "csv", "via", "coco", "cvat", "mot"]) == 0
    assert {path.name for path in out.iterdir()} == {
        "clip.csv", "clip.via.csv", "clip.coco.json", "clip.cvat.xml", "clip.txt",
    }  # fmt: skip
    found = pandas.read_csv(out / "clip.csv")
    assert found.interpolated.tolist() == [0, 0, 1, 0] and set(found.id) == {1}
    assert_allclose(found.speed_cm_s[1:], 25)
    assert_allclose(read_mot(out / "clip.txt").box, found[["x", "y", "w", "h"]])
    assert len(json.loads((out / "clip.coco.json").read_text())["annotations"]) == 4


def test_a_clip_tells_its_size_and_times(rows: Path, tmp_path: Path) -> None:
    frames = np.zeros((6, 60, 80), np.uint8)
    write_video(tmp_path / "film.mp4", iter(frames), 5)
    words = [str(rows), "--source", str(tmp_path / "film.mp4"), "--output", str(tmp_path / "out")]
    assert cli.run("export", [*words, "--format", "coco", "csv"]) == 0
    told = json.loads((tmp_path / "out" / "clip.coco.json").read_text())
    assert len(told["images"]) == 6 and told["videos"][0] == {
        "id": 1, "name": "clip", "width": 80, "height": 60, "fps": 5.0,
    }  # fmt: skip
    assert_allclose(pandas.read_csv(tmp_path / "out" / "clip.csv").seconds, [0, 0, 0.2, 0.6])
    write_video(tmp_path / "short.mp4", iter(frames[:2]), 5)
    words[2] = str(tmp_path / "short.mp4")
    assert cli.run("export", [*words, "--overwrite"]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--format csv needs --source CLIP, or --fps"),
        (["--format", "cvat"], "--format cvat needs --source CLIP, or --size"),
        (["--fps", "0"], "--fps is 0"),
        (["--fps", "9", "--fill", "-1"], "--fill is -1"),
        (["--fps", "9", "--min-life", "0"], "--min-life is 0"),
        (["--fps", "9", "--scale", "0", "mm"], "--scale is 0 mm"),
        (["--fps", "9", "--scale", "nan", "mm"], "--scale is nan mm"),
        (["--fps", "9", "--scale", "2", "!"], "--scale: the units need a name"),
        (["--format", "via", "--scale", "2", "mm"], "it needs csv among the formats"),
        (["--fps", "9", "--size", "0", "5"], "--size is the width and the height"),
    ],
)
def test_what_is_no_good_is_said_and_nothing_written(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture, words: list[str], said: str
) -> None:
    assert cli.run("export", [str(rows), "--output", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_rows_that_are_read_are_spared(rows: Path, capsys: pytest.CaptureFixture) -> None:
    before = rows.read_text()
    assert cli.run("export", [str(rows), "--output", str(rows.parent), "--format", "mot", "--overwrite"]) == 2
    assert rows.read_text() == before and capsys.readouterr().err


@pytest.mark.parametrize("form", [via, coco, cvat])
def test_nothing_found_is_no_error(form: Callable[[Record], str]) -> None:
    assert form(record([], [], length=3))


def test_the_commands_of_the_page_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand there, on a clip of a square that passes; the list of edits is another, of ids that there are."""
    page = (Path(__file__).parents[1] / "docs" / "exports.md").read_text()
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", page, re.M | re.S)
    (calls,) = (block.splitlines() for kind, block in blocks if kind == "sh")
    (listed,) = (block for kind, block in blocks if kind == "yaml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edits.yaml").write_text(listed)
    assert [edit.kind for edit in read_edits("edits.yaml")] == ["swap", "merge", "split", "delete", "rename"]
    (tmp_path / "edits.yaml").write_text("- split: 1\n  from: 20\n  as: 12\n")
    frames = np.random.default_rng(0).normal(120, 2, (40, 120, 160)).clip(0, 255).astype(np.uint8)
    for t, frame in enumerate(frames):
        frame[50:70, 3 * t : 3 * t + 20] = 220
    write_video(tmp_path / "clip.mp4", iter(frames), 25)
    for name, *words in (shlex.split(call.removeprefix("sqair ")) for call in calls):
        assert cli.run(name, words) == 0
    found = pandas.read_csv(tmp_path / "tables" / "clip.csv")
    assert 12 in set(found.id) and found.frame[found.id == 12].min() == 20
    whole = pandas.read_csv(tmp_path / "tracks" / "clip.csv")
    assert_allclose(whole.speed_mm_s.dropna().median(), 3 * 25 * 0.12, rtol=0.1)
    assert len(found) == (whole.interpolated == 0).sum()


def test_tracks_are_as_napari_takes_them() -> None:
    """Id, time and place, axes as of images, by id and then by time: what its layer of tracks demands."""
    told = record([0, 1, 1, 3], [2, 0, 2, 2]).tracks
    rows = told.to_napari()
    assert rows.shape == (4, 4) and rows[:, 0].tolist() == [0, 2, 2, 2] and rows[:, 1].tolist() == [1, 0, 1, 3]
    x, y, w, h = told.box[told.id == 0][0]
    assert_allclose(rows[0, 2:], [y + h / 2, x + w / 2])
    assert Tracks.empty().to_napari().shape == (0, 4)
