"""The page of the study of clips of cameras that do not move."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from sqair.datasets.clip import ClipSource, evenly
from sqair.datasets.overlay import colour
from sqair.datasets.video import read_source
from sqair.files.mot_io import read_mot, write_mot
from sqair.scripts.experiments import footage
from sqair.scripts.experiments.footage import PAGE_HEAD, best_ways, place_of
from sqair.scripts.experiments.footage_page import (
    NO_PICTURES,
    SECONDS,
    STILLS,
    WHITE,
    Seen,
    Shown,
    draw,
    named,
    page_of,
    see,
    video,
)
from sqair.scripts.experiments.study import Study
from sqair.tracks import Tracks
from test_footage_study import film
from test_report import Page

ROWS = [["a", "blobs", *["0.5"] * 8], ["", "no training", *["0.6"] * 8]]


def clip(folder: Path, name: str, hota: float = 0.6, length: int = 20) -> Shown:
    """A square that crosses a picture, tracked without a mistake; blobs have HOTA .5."""
    film(folder / name, length)
    place = folder / f"tracks-{name}"
    place.mkdir()
    write_mot(place / "clip.txt", read_mot(folder / name / "gt.txt"))
    return Shown(name, folder / name / "clip.mp4", folder / name / "gt.txt", place, "no training", hota, 0.5)


def data(element: dict[str, str]) -> bytes:
    return base64.b64decode(element["src"].partition(";base64,")[2])


def test_a_page_needs_nothing_else_and_shows_the_tracks(tmp_path: Path) -> None:
    text = page_of([clip(tmp_path, "a")], ROWS, PAGE_HEAD).to_html()
    page = Page(text)
    assert "default-src 'none'" in text and not page.all("script") and not page.all("link")
    sources = [element["src"] for kind in ("img", "video") for element in page.all(kind)]
    assert len(sources) == STILLS + 1 and all(source.startswith("data:") for source in sources)
    assert "http:" not in text and "https:" not in text and str(tmp_path) not in text
    assert len(page.all("tr")) == 1 + len(ROWS) and text.count('data-name="clip">a</th>') == len(ROWS)
    assert "HOTA 0.600 (no training), blobs 0.500" in page.text and "1 of 1" in page.text
    image = cv2.imdecode(np.frombuffer(data(page.all("img")[0]), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    assert np.abs(image.astype(int) - colour(0)).max(-1).min() < 30
    assert "frame 7 of 20" in page.text and len(text) < 1e5


@pytest.mark.parametrize("missing", ["video", "truth", "tracks"])
def test_a_clip_of_which_a_file_is_missing_has_a_row_and_no_pictures(tmp_path: Path, missing: str) -> None:
    shown = clip(tmp_path, "a")
    path = getattr(shown, missing)
    (path / "clip.txt" if missing == "tracks" else path).unlink()
    page = Page(page_of([shown], ROWS, PAGE_HEAD).to_html())
    assert not page.all("img") and not page.all("video")
    assert NO_PICTURES in page.text and "HOTA 0.600" in page.text and len(page.all("tr")) == 1 + len(ROWS)


def test_the_clips_that_are_the_most_and_the_least_ahead_have_videos(tmp_path: Path) -> None:
    clips = [clip(tmp_path, name, hota) for name, hota in {"b": 0.6, "best": 0.9, "worst": 0.2, "gone": 0.1}.items()]
    clips[3].video.unlink()
    page = Page(page_of(clips, ROWS, PAGE_HEAD).to_html())
    labels = [element["aria-label"] for element in page.all("video")]
    assert [label.partition(",")[0] for label in labels] == ["best", "worst"]
    assert len(page.all("img")) == 3 * STILLS and "2 of 4" in page.text


def test_a_video_is_the_middle_of_a_clip(tmp_path: Path) -> None:
    seen = see(clip(tmp_path, "a", length=130))
    assert seen is not None
    mp4, span = video(seen)
    assert span == range(15, 115) and len(span) == SECONDS * 25
    (tmp_path / "part.mp4").write_bytes(mp4)
    frames = list(read_source(tmp_path / "part.mp4")[0].frames())
    assert len(frames) == 100
    found = [np.flatnonzero((frame[150] > 180).all(-1)) for frame in frames[:20]]
    scale = frames[0].shape[1] / 160
    places = [columns[0] / scale for columns in found]
    assert np.abs(np.array(places) - (10 + 4 * np.arange(15, 35))).max() < 1, "the square, of grey level 200"


def test_ground_truth_that_does_not_count_is_not_drawn(tmp_path: Path) -> None:
    shown = clip(tmp_path, "a")
    truth = read_mot(shown.truth)
    write_mot(shown.truth, Tracks(truth.frame, truth.id, truth.box, (truth.frame != 4).astype(float)), truth=True)
    seen = see(shown)
    assert seen is not None and len(seen.tracks) == 20 and np.setdiff1d(truth.frame, seen.truth.frame).tolist() == [4]


def test_large_frames_are_made_smaller_and_boxes_with_them() -> None:
    frame = np.full((960, 1280), 60, np.uint8)
    box = np.array([[600.0, 400, 100, 80]])
    tracks, truth = Tracks(np.array([3]), np.array([5]), box - [200, 0, 0, 0]), Tracks(np.array([3]), np.zeros(1), box)
    source = ClipSource("a", "a", (960, 1280), 4, 25.0, lambda: evenly([frame] * 4, 25.0))
    image = draw(frame, 3, Seen(source, 4, tracks, truth))
    assert image.shape == (480, 640, 3)
    white = np.argwhere((image == WHITE).all(-1))
    assert white.min(0).tolist() == [200, 300] and white.max(0).tolist() == [239, 349]
    assert len(white) == 2 * (40 + 50) - 4, "one pixel thin"
    assert (image[190:210, 225] == colour(5)).all(-1).any()


def test_a_row_without_a_name_has_that_of_the_row_above() -> None:
    assert named([["a", "1"], ["", "2"], ["b", "3"], ["", "4"]]) == [["a", "1"], ["a", "2"], ["b", "3"], ["b", "4"]]


def measured(output: Path) -> None:
    """A study of a clip that was finished before."""
    scores = {"mota": 0.5, "idf1": 0.5, "motp_iou": 0.5, "switches": 1, "frames_per_second": 9.0}
    ways = {"": {**scores, "hota": 0.4}, " --count 3": {**scores, "hota": 0.6}}
    trained = {"": {**scores, "hota": 0.7}}
    lines = [
        {"key": ["blobs", "a"], **scores, "hota": 0.5},
        {"key": ["untrained", "a", 3], "ways": ways},
        {"key": ["model", "a", 0, 0], "cpu_seconds": 60, "ways": {"": {**scores, "hota": 0.3}}},
        {"key": ["model", "a", 1, 0], "cpu_seconds": 60, "ways": trained},
    ]
    (output / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_way_with_the_highest_hota_is_shown(tmp_path: Path) -> None:
    measured(tmp_path)
    study = Study(tmp_path)
    clips = {"a": footage.Clip(tmp_path / "clip.mp4", tmp_path / "gt.txt")}
    (best,) = best_ways(study, clips, ["a"])
    assert best[3:] == (place_of(tmp_path, "a-1", 0), "trained", 0.7, 0.5)
    del study.lines[3]
    (best,) = best_ways(study, clips, ["a"])
    assert best[3:] == (place_of(tmp_path, "a-untrained", 3), "no training --count 3", 0.6, 0.5)


def test_a_study_writes_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was measured before is not measured again."""
    film(tmp_path / "clips" / "a")
    output = tmp_path / "out"
    output.mkdir()
    measured(output)
    place = place_of(output, "a-1", 0)
    place.mkdir()
    write_mot(place / "clip.txt", read_mot(tmp_path / "clips" / "a" / "gt.txt"))
    footage.main(footage.Args(output, clips=tmp_path / "clips", counts=("a=3",), seeds=0))
    page = Page((output / "index.html").read_text())
    assert len(page.all("img")) == STILLS and "HOTA 0.700 (trained), blobs 0.500" in page.text
    said = capsys.readouterr().out
    assert "| a | blobs | 0.500" in said and str(output / "index.html") in said
