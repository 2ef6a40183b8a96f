"""The viewer of a clip's page, in a browser: frames, ids, tracks, counts, files, on a screen and on a phone."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas
import pytest
from numpy.testing import assert_allclose
from playwright.sync_api import Page

from browsing import PHONE, browsing, needs_chromium, unpacked, until, width_of
from sqair.datasets.video_out import write_video
from sqair.eval.packed import packed
from sqair.eval.report import Link, Report
from sqair.eval.timeline import address, lines, timeline
from sqair.eval.viewer import Film, Marks, script, style, viewer, whole_numbers
from sqair.exports.measures import Scale
from sqair.exports.polygons import Zone
from sqair.exports.record import Record, without_gaps
from sqair.exports.tidy import tidy
from sqair.exports.zones import Line
from sqair.tracks import Tracks

LENGTH, HEIGHT, WIDTH, FPS = 40, 60, 80, 10.0
CELL = 8
"""Pixels of a black or white square in the top row; six of them tell the number of a frame."""
COLOURS = {0: "#ff0000", 2: "#00ff00"}
NASTY = "a,\"b\"</script><script>document.title='x'</script>&'"
READ = """() => {
  const video = document.querySelector("video"), canvas = document.createElement("canvas");
  canvas.width = 80; canvas.height = 60;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(video, 0, 0, 80, 60);
  const bright = (bit) => pen.getImageData(8 * bit + 4, 4, 1, 1).data[0] > 128;
  return [0, 1, 2, 3, 4, 5].reduce((sum, bit) => sum + bright(bit) * 2 ** bit, 0);
}"""
"""The number that the picture of the video shows, from 0."""
REDDEST = """() => {
  const boxes = document.querySelector("#boxes"), canvas = document.createElement("canvas");
  Object.assign(canvas, { width: boxes.width, height: boxes.height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(boxes, 0, 0);
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height), found = [];
  for (let i = 0; i < data.length; i += 4)
    if (data[i] > 250 && data[i + 1] < 5 && data[i + 3] === 255) found.push((i / 4) % canvas.width);
  return (Math.min(...found) + Math.max(...found)) / 2 * 80 / canvas.width;
}"""
"""The middle of all that is red on the canvas, in pixels of the clip."""

THERE = """() => {
  const video = document.querySelector("video"), slider = document.querySelector("#shot");
  const shot = Math.floor(video.currentTime / video.duration * (+slider.max + 1));
  return document.querySelector("#now").textContent && !video.seeking && shot === +slider.value;
}"""
"""Whether the viewer has come to where it was sent."""


def pictures() -> list[np.ndarray]:
    """Frames that tell their number."""
    frames = np.full((LENGTH, HEIGHT, WIDTH, 3), 90, np.uint8)
    for t, frame in enumerate(frames):
        for bit in range(6):
            frame[:CELL, CELL * bit : CELL * bit + CELL] = 255 * (t >> bit & 1)
    return list(frames)


def record(name: str = "clip") -> Record:
    """An object that goes to the right, a pixel in a frame, and one that is there in frames 10 to 29, but not in 20."""
    there = np.array([t for t in range(10, 30) if t != 20])
    t = np.concatenate([np.arange(LENGTH), there])
    ids = np.repeat([0, 2], [LENGTH, len(there)])
    off = np.random.default_rng(0).uniform(-0.3, 0.3, (len(t), 4))
    box = np.where(ids[:, None] == 0, np.stack([t + 5, 0 * t + 20, 0 * t + 12, 0 * t + 10], 1), [50, 40, 20, 12]) + off
    return Record.of(name, Tracks(t, ids, box, 0.9 + 0.001 * t), (HEIGHT, WIDTH), FPS, LENGTH)


def page(
    folder: Path, told: Record | None = None, scale: Scale | None = None, step: int = 1, regions: Sequence[Zone] = ()
) -> Path:
    """The page of a clip, of which the video shows one frame in ``step``."""
    told = record() if told is None else told
    left = Zone("left", np.array([[0.0, 0], [40, 0], [40, 60], [0, 60]]))
    marks = Marks([(left, "#0000ff")], [Line("gate", np.array([[30.0, 0], [30, 60]]))], regions)
    shots = pictures()[::step]
    write_video(folder / "a.mp4", iter(shots), FPS / step, scale=4, rate=1e6)
    film = Film((folder / "a.mp4").read_bytes(), FPS / step, len(shots), step, 4.0)
    times = np.arange(LENGTH), np.arange(LENGTH) / FPS
    report = Report(told.name)
    report.live(viewer(told, times, film, COLOURS, marks, scale), style(), script())
    report.drawing(timeline(told.tracks, LENGTH, COLOURS))
    report.drawing(lines({"objects": np.ones(LENGTH)}, np.arange(LENGTH), LENGTH, ["red"]))
    report.table([(Link("3", address(12, 2)), Link("13", address(12, 2)))], ["id", "frame"])
    report.save(folder / "page.html")
    return folder / "page.html"


def frame_of(page: Page) -> int:
    """The frame, from 0, that the viewer says it shows, once it is there."""
    until(page, THERE)
    return int(str(page.locator("#now").inner_text()).split()[1]) - 1


def saved(page: Page, button: str) -> tuple[str, str]:
    """The name and the text of the file that a button saves."""
    with page.expect_download() as download:
        page.click(button)
    return download.value.suggested_filename, Path(download.value.path()).read_text()


def test_columns_come_back_as_they_were() -> None:
    columns = [np.array([5, -7, 2**31 - 9, 0]), np.array([1, 1, 1, 2])]
    assert [column.tolist() for column in unpacked(packed(columns), 2)] == [column.tolist() for column in columns]
    assert [column.tolist() for column in unpacked(packed([np.zeros(0)] * 3), 3)] == [[], [], []]
    clock = 2_000_000_000 * np.arange(4)
    assert unpacked(packed([clock]), 1)[0].tolist() == clock.tolist(), "values beyond 32 bits"


def test_rows_hold_all_that_the_table_says() -> None:
    """Middles too, to the last digit, which those of rounded boxes are not."""
    told = record()
    name, frame, x, y, w, h, score, marks = whole_numbers(told)
    table = pandas.read_csv(io.StringIO(tidy(told))).sort_values(["id", "frame"])
    assert (name == table["id"]).all() and (frame == table["frame"]).all()
    assert_allclose(np.stack([x, y, w, h], 1) / 100, table[["x", "y", "w", "h"]], atol=1e-9)
    middle = (2 * x + w) // 2 + (marks >> 1 & 3) - 1, (2 * y + h) // 2 + (marks >> 3 & 3) - 1
    assert_allclose(np.stack(middle, 1) / 100, table[["centre_x", "centre_y"]], atol=1e-9)
    assert len(set((marks >> 1 & 3).tolist())) > 1
    assert_allclose(score / 1e4, table["score"], atol=1e-9)


def test_rows_of_a_minute_are_small() -> None:
    rng, length, many = np.random.default_rng(0), 1500, 20
    t, n = np.repeat(np.arange(length), many), np.tile(np.arange(many), length)
    box = np.cumsum(rng.normal(0, 1.5, (length, many, 4)), 0).reshape(-1, 4)
    tracks = Tracks(t, n, box, rng.normal(0.97, 0.02, len(t)))
    assert len(packed(whole_numbers(Record.of("a", tracks, (480, 640), 25)))) < 450_000


def test_the_policy_lets_in_one_script_by_its_hash(tmp_path: Path) -> None:
    text = page(tmp_path, record(NASTY)).read_text()
    (inline,) = re.findall(r'<script type="module">(.*?)</script>', text, re.S)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none';") and policy.endswith(f"script-src 'sha256-{digest}'")
    assert inline == script() and text.count("<script") == 2
    (data,) = re.findall(r'<script type="application/json" id="clip">(.*?)</script>', text, re.S)
    assert json.loads(data)["name"] == NASTY and "<" not in data
    assert "script-src" not in Report("a").to_html() and "<script" not in Report("a").to_html()


@needs_chromium
def test_every_frame_is_shown_with_its_boxes(tmp_path: Path) -> None:
    with browsing(page(tmp_path), "#frame=18") as shown:
        assert frame_of(shown) == 17 == shown.evaluate(READ)
        for key, expected in (("ArrowRight", 18), ("ArrowRight", 19), ("ArrowLeft", 18), ("Shift+ArrowLeft", 8)):
            shown.keyboard.press(key)
            assert frame_of(shown) == expected == shown.evaluate(READ)
            assert shown.evaluate(REDDEST) == pytest.approx(11 + expected, abs=1), "the middle of the box of id 1"
        for number in (0, 31, 39, 4):
            shown.locator("#shot").fill(str(number))
            assert frame_of(shown) == number == shown.evaluate(READ)
            assert shown.evaluate(REDDEST) == pytest.approx(11 + number, abs=1)
        shown.click("#on")
        shown.click("#on")
        shown.click("#back")
        assert frame_of(shown) == 5 == shown.evaluate(READ)
        assert shown.locator("#shot").get_attribute("aria-valuetext") == "frame 6"
        assert shown.evaluate("location.hash") == "#frame=6"


@needs_chromium
def test_while_it_plays_boxes_are_those_of_the_picture(tmp_path: Path) -> None:
    watch = f"""new Promise(done => {{
      const video = document.querySelector("video"), read = {READ}, seen = [];
      const look = () => {{
        seen.push([read(), +document.querySelector("#shot").value]);
        seen.length < 20 ? video.requestVideoFrameCallback(look) : done(seen);
      }};
      video.requestVideoFrameCallback(look);
    }})"""
    with browsing(page(tmp_path), still=False) as shown:
        until(shown, "document.querySelector('video').currentTime > 0.1")
        seen = shown.evaluate(watch)
        assert len({picture for picture, _ in seen}) > 5
        assert [told for _, told in seen] == [picture for picture, _ in seen]
        assert shown.locator("#play").inner_text() == "Pause"
        shown.keyboard.press(" ")
        until(shown, "document.querySelector('video').paused")
        shown.select_option("#speed", "2")
        assert shown.evaluate("document.querySelector('video').playbackRate") == 2


@needs_chromium
def test_a_thinned_video_tells_the_frames_of_the_clip(tmp_path: Path) -> None:
    with browsing(page(tmp_path, step=4), "#frame=18") as shown:
        assert frame_of(shown) == 16 == shown.evaluate(READ)
        shown.keyboard.press("ArrowRight")
        assert frame_of(shown) == 20 == shown.evaluate(READ)
        assert shown.evaluate(REDDEST) == pytest.approx(31, abs=1)
        shown.evaluate("location.hash = '#frame=400'")
        until(shown, "document.querySelector('#now').textContent.startsWith('frame 37 ')")


@needs_chromium
def test_an_object_is_chosen_and_told_of(tmp_path: Path) -> None:
    told = record()
    with browsing(page(tmp_path, told), "#frame=13") as shown:
        assert frame_of(shown) == 12 and not shown.locator("#panel").is_visible()
        assert shown.locator("#now").inner_text() == "frame 13 · 1.20 s · 2 seen · left: 1"
        box = shown.locator("#boxes").bounding_box()
        assert box is not None
        place = {"x": 60 * box["width"] / WIDTH, "y": 45 * box["height"] / HEIGHT}
        shown.click("#boxes", position=place)  # type: ignore[arg-type]
        assert shown.locator("#title").inner_text() == "Object 3"
        facts = shown.locator("#facts dd").all_inner_texts()
        mine = told.tracks.where(told.tracks.id == 2)
        centre = mine.box[:, :2] + mine.box[:, 2:] / 2
        path = np.hypot(*np.diff(centre, axis=0).T).sum()
        assert facts[:4] == ["11", "30", "19", f"{mine.score.mean():.3f}"]
        assert float(facts[4].split()[0]) == pytest.approx(path, abs=0.05)
        assert float(facts[5].split()[0]) == pytest.approx(path / 1.9, rel=0.01) and facts[5].endswith(" px/s")
        assert shown.locator("#begin code").all_inner_texts() == ["- delete: 3", "- split: 3\n  from: 13"]
        assert shown.evaluate("location.hash") == "#frame=13&id=3"
        assert shown.locator("svg a.chosen").count() == 1 and shown.locator("tr.chosen").count() == 1
        shown.click("#facts a >> nth=1")
        until(shown, "document.querySelector('#now').textContent.startsWith('frame 30 ')")
        shown.click("#boxes", position=place)  # type: ignore[arg-type]
        assert not shown.locator("#panel").is_visible() and shown.evaluate("location.hash") == "#frame=30"
        shown.select_option("#object", "1")
        assert shown.locator("#title").inner_text() == "Object 1"
        shown.keyboard.press("Escape")
        assert not shown.locator("#panel").is_visible() and shown.locator(".chosen").count() == 0


@needs_chromium
def test_charts_and_tables_lead_to_frames(tmp_path: Path) -> None:
    with browsing(page(tmp_path)) as shown:
        for chart in shown.locator("svg.frames").all():
            for number in (7, 33):
                box = chart.bounding_box()
                assert box is not None
                place = {"x": (number + 0.5) / LENGTH * box["width"], "y": 8.0}
                chart.click(position=place)  # type: ignore[arg-type]
                assert frame_of(shown) == number == shown.evaluate(READ)
                cursors = shown.eval_on_selector_all(".cursor", "all => all.map(one => one.getAttribute('x1'))")
                assert cursors == [f"{100 * (number + 0.5) / LENGTH:g}%"] * 2
        assert shown.locator("#title").inner_text() == "Object 1", "the bar that was clicked"
        shown.click("td a")
        until(shown, "document.querySelector('#now').textContent.startsWith('frame 13 ')")
        assert shown.locator("#title").inner_text() == "Object 3"
        shown.locator("svg.bars a").first.press("Enter")
        until(shown, "document.querySelector('#title').textContent === 'Object 1'")
        shown.go_back()
        until(shown, "document.querySelector('#title').textContent === 'Object 3'")


@needs_chromium
@pytest.mark.parametrize("name", ["clip", NASTY.replace("/", "")])
def test_the_table_that_is_saved_is_that_of_sqair_track(tmp_path: Path, name: str) -> None:
    told = without_gaps(record(name), 3)
    assert told.filled.any()
    with browsing(page(tmp_path, told)) as shown:
        assert shown.title() == name
        assert saved(shown, "#csv")[1] == tidy(told)


@needs_chromium
def test_the_table_names_regions(tmp_path: Path) -> None:
    above, below = (np.array([[0.0, y], [80, y], [80, y + 38], [0, y + 38]]) for y in (0, 38))
    dishes = [Zone('a "dish"', above), Zone("b", below)]
    with browsing(page(tmp_path, regions=dishes)) as shown:
        text = saved(shown, "#csv")[1]
    assert text == tidy(record(), regions=dishes)
    assert set(pandas.read_csv(io.StringIO(text)).region) == {'a "dish"', "b"}


@needs_chromium
def test_measures_in_the_table_are_nearly_those_of_sqair_track(tmp_path: Path) -> None:
    told, scale = record(), Scale(0.5, "cm²")
    with browsing(page(tmp_path, told, scale)) as shown:
        name, text = saved(shown, "#csv")
        assert name == "clip.csv"
        shown.select_option("#object", "1")
        assert shown.locator("#facts dd").all_inner_texts()[5].endswith("cm²/s")
    mine, theirs = (pandas.read_csv(io.StringIO(table)) for table in (text, tidy(told, scale)))
    assert list(mine.columns) == list(theirs.columns)
    for column in theirs.columns[:-3]:
        assert mine[column].tolist() == theirs[column].tolist()
    for column, each in zip(theirs.columns[-3:], (1, LENGTH, FPS), strict=True):
        assert_allclose(mine[column], theirs[column], atol=0.02 * 0.5 * each)
        assert mine[column].isna().tolist() == theirs[column].isna().tolist()


@needs_chromium
def test_edits_are_gathered_in_a_list(tmp_path: Path) -> None:
    from sqair.exports.edits import read_edits

    with browsing(page(tmp_path), "#frame=16&id=1") as shown:
        frame_of(shown)
        shown.select_option("#object", "3")
        begin = ["- delete: 3", "- split: 3\n  from: 16", "- swap: [1, 3]\n  from: 16", "- merge: [1, 3]"]
        assert shown.locator("#begin code").all_inner_texts() == begin
        for button in shown.locator("#begin button").all():
            button.click()
        name, text = saved(shown, "#yaml")
    assert name == "edits.yaml" and text == "\n".join(begin) + "\n"
    (tmp_path / name).write_text(text)
    assert [edit.kind for edit in read_edits(tmp_path / name)] == ["delete", "split", "swap", "merge"]


@needs_chromium
def test_a_phone_shows_it_and_takes_taps(tmp_path: Path) -> None:
    with browsing(page(tmp_path), "#frame=13", **PHONE) as shown:
        assert frame_of(shown) == 12 and width_of(shown) == 390
        for name in ("#play", "#back", "#on", "#speed", "#object", "#csv"):
            box = shown.locator(name).bounding_box()
            assert box is not None and box["height"] >= 44 and box["x"] + box["width"] <= 390, name
        box = shown.locator("#boxes").bounding_box()
        assert box is not None and box["width"] > 350
        shown.tap("#boxes", position={"x": 60 * box["width"] / WIDTH, "y": 45 * box["height"] / HEIGHT})
        assert shown.locator("#title").inner_text() == "Object 3" and width_of(shown) == 390
        shown.tap("#on")
        assert frame_of(shown) == 13 == shown.evaluate(READ)


@needs_chromium
def test_without_a_script_there_is_the_video_and_what_is_told_of_it(tmp_path: Path) -> None:
    with browsing(page(tmp_path), java_script_enabled=False) as shown:
        video = shown.locator("video")
        assert video.is_visible() and video.get_attribute("controls") is not None
        assert shown.locator("noscript").inner_text().startswith("This is the plain video")
        assert not shown.locator("#play").is_visible() and not shown.locator("#boxes").is_visible()
        assert shown.locator("svg.frames").count() == 2 and shown.locator("table").is_visible()


@needs_chromium
def test_a_clip_in_which_nothing_is_found_plays(tmp_path: Path) -> None:
    nothing = Record.of("clip", Tracks.empty(), (HEIGHT, WIDTH), FPS, LENGTH)
    write_video(tmp_path / "a.mp4", iter(pictures()), FPS)
    film = Film((tmp_path / "a.mp4").read_bytes(), FPS, LENGTH, 1, 1.0)
    times = np.arange(LENGTH), np.arange(LENGTH) / FPS
    report = Report("a").live(viewer(nothing, times, film, {}, Marks()), style(), script())
    report.save(tmp_path / "page.html")
    with browsing(tmp_path / "page.html", "#frame=9&id=4") as shown:
        assert frame_of(shown) == 8 and shown.locator("#now").inner_text() == "frame 9 · 0.80 s · 0 seen"
        assert saved(shown, "#csv")[1] == tidy(nothing)
