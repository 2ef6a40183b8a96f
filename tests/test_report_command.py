"""``sqair report``: pages of clips, what is on them, and that they stay small however long the clip is."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from numpy.testing import assert_allclose

from browsing import PHONE, browsing, needs_chromium, unpacked, until, width_of
from conftest import TINY, moving_spots, spots, spotter, straight, tiny_model
from sqair.datasets.images import write_png
from sqair.datasets.regions import whole
from sqair.eval.timeline import lines, spans, timeline
from sqair.files.mot_io import read_mot, write_mot
from sqair.files.pretrained import save_weights
from sqair.reid.gallery import Gallery, Identified
from sqair.scripts import cli, track_stream, witness
from sqair.scripts.arenas import Arenas
from sqair.scripts.clip_page import headline, longest_seen
from sqair.scripts.clip_places import POINTS, count_over_time
from sqair.scripts.witness import Witness
from sqair.tracker import Tracker
from sqair.tracks import Tracks

LENGTH = 20


def of(frames: list[int], ids: list[int]) -> Tracks:
    return Tracks(np.array(frames), np.array(ids), np.ones((len(ids), 4)))


def clip() -> np.ndarray:
    """A spot that stays, and one that goes out of sight for two frames, uint8 ``[T, H, W]``."""
    paths = [straight(12, 12, 0.5, 0, LENGTH), straight(36, 32, -0.5, 0, LENGTH, range(8, 10))]
    return moving_spots(paths)[:, 0, 0].mul(255).byte().numpy()


def run(source: Path, model: Path, output: Path, *more: object) -> int:
    return cli.run("report", [str(source), "--model", str(model), "--output", str(output), *map(str, more)])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_weights(folder, spotter(), {})
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    np.savez(tmp_path / "clips.npz", frames=clip()[None])
    return tmp_path / "clips.npz"


def told(page: Path) -> dict[str, Any]:
    """What the script of a page is given."""
    (data,) = re.findall(r'<script type="application/json" id="clip">(.*?)</script>', page.read_text(), re.S)
    return json.loads(data)


def rows(page: Path) -> pandas.DataFrame:
    """Ids, frames and boxes on a page, by frame and then by id."""
    columns = unpacked(told(page)["rows"], 8)[:6]
    table = pandas.DataFrame(dict(zip(("id", "frame", "x", "y", "w", "h"), columns, strict=True)))
    return (table / [1, 1, 100, 100, 100, 100]).sort_values(["frame", "id"], ignore_index=True)


def tracked(model: Path) -> Tracks:
    tracker = Tracker.from_pretrained(model)
    return Tracks.concat([tracker.update(frame) for frame in clip()])


def test_the_table_says_what_was_tracked(model: Path, source: Path, tmp_path: Path) -> None:
    assert run(source, model, tmp_path / "out") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["000000.html"]
    page = (tmp_path / "out" / "000000.html").read_text()
    tracks = tracked(model)
    assert len(set(tracks.id.tolist())) == 2
    for name in (0, 1):
        mine = tracks.where(tracks.id == name)
        cells = (mine.frame[0] + 1, mine.frame[-1] + 1, len(mine), f"{mine.score.mean():.3f}")
        first, last, *others = cells
        links = "".join(
            f'<td class="number"[^>]*><a href="#frame={end}&amp;id={name + 1}">{end}</a></td>' for end in (first, last)
        )
        numbers = "".join(f'<td class="number"[^>]*>{cell}</td>' for cell in others)
        picture = '<td class="picture"[^>]*><img src="data:[^>]*></td>'
        link = f'<a href="#frame={first}&amp;id={name + 1}">{name + 1}</a>'
        assert re.search(rf'<th scope="row"[^>]*>{link}</th>{picture}{links}{numbers}', page)
    assert f"<strong>2 objects</strong> were followed through {LENGTH} frames" in page
    assert f"sqair report {source} --model {model} --gt gt.txt" in page
    assert "The video shows" not in page and "<th scope=\"col\">background" not in page
    assert len(re.findall(r'alt="model \d+"', page)) == witness.MOMENTS
    assert "How good it is</h2>" not in page and len(page) < 1e6


def test_scores_are_those_of_frames_with_ground_truth(model: Path, source: Path, tmp_path: Path) -> None:
    """Every fourth frame of the truth counts by itself; fewer frames do where they are asked for."""
    tracks = tracked(model)
    truth = Tracks(tracks.frame, tracks.id, tracks.box)
    for frames, words in ((range(0, LENGTH, 4), []), ((0, 5, 15), ["--frames", "truth"])):
        write_mot(tmp_path / "gt.txt", truth.where(np.isin(truth.frame, frames)), truth=True)
        assert run(source, model, tmp_path / "out", "--gt", tmp_path / "gt.txt", "--overwrite", *words) == 0
        page = (tmp_path / "out" / "000000.html").read_text()
        assert f"On the {len(frames)} of {LENGTH} frames" in page
        assert re.search(r'<th scope="row"[^>]*>MOTA</th><td[^>]*>1.000</td><td[^>]*>1 less the errors', page)
        assert "100% of the objects in the ground truth were found, and 100% of the boxes are right: MOTA 1.000" in page
    assert run(source, model, tmp_path / "out", "--gt", tmp_path / "gt.txt", "--overwrite", "--frames", "all") == 0
    page = (tmp_path / "out" / "000000.html").read_text()
    assert f"On all {LENGTH} frames" in page and "score with --frames truth" in page
    assert re.search(r'<th scope="row"[^>]*>MOTA</th>', page) and "--gt gt.txt" not in page


def test_an_archive_with_its_own_truth_is_scored_by_it(model: Path, tmp_path: Path) -> None:
    from sqair.datasets.folders import write_npz
    from sqair.datasets.generate import make_clips
    from sqair.datasets.recipes import get_recipe

    clips = make_clips(get_recipe("moving-mnist", length=3, width=52, height=44), "test", 0, 0, 1)
    write_npz(tmp_path / "own.npz", [clips])
    assert run(tmp_path / "own.npz", model, tmp_path / "out") == 0
    assert "On all 3 frames, by the rule of MOT16/17" in (tmp_path / "out" / "000000.html").read_text()


def test_a_model_of_footage_in_colour_shows_its_background(tmp_path: Path) -> None:
    config = replace(TINY, channels=3, background="still", objects="opaque", fit=True)
    save_weights(tmp_path / "model", tiny_model(config, price=-2.0), {})
    frames = spots(replace(config, height=45, width=60), 5, 1)[:, 0].mul(255).byte().permute(0, 2, 3, 1)
    np.savez(tmp_path / "clips.npz", frames=frames.numpy()[None])
    assert run(tmp_path / "clips.npz", tmp_path / "model", tmp_path / "out", "--video-frames", 3) == 0
    page = (tmp_path / "out" / "000000.html").read_text()
    assert len(re.findall(r'alt="background \d+"', page)) == 5
    assert "The video shows one frame in 2 of 5;" in page
    assert {key: told(tmp_path / "out" / "000000.html")[key] for key in ("step", "shots")} == {"step": 2, "shots": 3}


def test_headlines() -> None:
    one, two = of([0, 1], [3, 3]), of([0, 0, 1], [3, 4, 3])
    assert headline(Tracks.empty(), 1) == "**Nothing** was found in 1 frame."
    assert headline(one, 1).startswith("**1 object** was followed through 1 frame, 2.0 in a frame")
    scores = {"recall": 0.5, "precision": 0.25, "mota": -1.0, "idf1": 0.333333}
    assert headline(two, 2, scores) == (
        "**2 objects** were followed through 2 frames, 1.5 in a frame on average. 50% of the objects in the ground "
        "truth were found, and 25% of the boxes are right: MOTA -1.000, IDF1 0.333, where 1 is perfect."
    )
    nothing = {**scores, "precision": float("nan")}
    assert "were found: MOTA" in headline(Tracks.empty(), 2, nothing)


def test_a_page_where_nothing_is_found_says_what_to_do(model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "dark.npz", frames=np.zeros_like(clip())[None, :3])
    assert run(tmp_path / "dark.npz", model, tmp_path / "out") == 0
    page = (tmp_path / "out" / "000000.html").read_text()
    assert "<strong>Nothing</strong> was found in 3 frames." in page
    assert f"sqair train --data {tmp_path / 'dark.npz'} --output runs/mine" in page


def test_what_a_page_holds_of_noise_is_small(tmp_path: Path) -> None:
    """The most that a frame can take: noise, of colour."""
    config = replace(TINY, height=112, width=150, channels=3, background="still", objects="opaque", fit=True)
    save_weights(tmp_path / "model", tiny_model(config, price=-2.0), {})
    frames = np.random.default_rng(0).integers(0, 256, (1, 12, 240, 320, 3), dtype=np.uint8)
    np.savez(tmp_path / "noise.npz", frames=frames)
    assert run(tmp_path / "noise.npz", tmp_path / "model", tmp_path / "out", "--video-frames", 12) == 0
    size = (tmp_path / "out" / "000000.html").stat().st_size
    assert size < 3e6, size


@needs_chromium
def test_a_phone_shows_the_page(model: Path, source: Path, tmp_path: Path) -> None:
    write_mot(tmp_path / "gt.txt", tracked(model), truth=True)
    marks = ("--zone", "0,0,26,44", "--line", "26,0,26,44")
    assert run(source, model, tmp_path / "out", "--gt", tmp_path / "gt.txt", *marks) == 0
    with browsing(tmp_path / "out" / "000000.html", **PHONE) as page:
        until(page, "!document.querySelector('#play').parentElement.hidden")
        assert width_of(page) == 390
        for cell in page.locator("td, th[scope=row]").all():
            box = cell.bounding_box()
            assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390


@needs_chromium
def test_a_browser_plays_the_page(model: Path, source: Path, tmp_path: Path) -> None:
    assert run(source, model, tmp_path / "out") == 0
    text = (tmp_path / "out" / "000000.html").read_text()
    assert set(re.findall(r"(?:https?|file):[^\"']*", text)) <= {"http://www.w3.org/2000/svg"}
    assert all(address.startswith(("data:", "#")) for address in re.findall(r'(?:src|href)="([^"]*)"', text))
    with browsing(tmp_path / "out" / "000000.html", still=False) as page:
        until(page, "document.querySelector('video').currentTime > 0.1")
        images = page.eval_on_selector_all("img[alt]:not([alt=''])", "all => all.map(image => image.naturalWidth > 0)")
        assert images == [True] * (4 * witness.MOMENTS - witness.MOMENTS + 2)


def test_rows_are_those_of_sqair_track(model: Path, tmp_path: Path) -> None:
    """Of clips that are tracked together, forth and back in several ways, and of one that comes frame by frame."""
    np.savez(tmp_path / "clips.npz", frames=np.stack([clip(), clip()[::-1]]))
    for t, frame in enumerate(clip()):
        (tmp_path / "seq").mkdir(exist_ok=True)
        write_png(tmp_path / "seq" / f"{t}.png", frame)
    for source, names in (("clips.npz", ("000000", "000001")), ("seq", ("seq",))):
        assert run(tmp_path / source, model, tmp_path / "out", "--overwrite", "--count", 2) == 0
        words = ["--source", str(tmp_path / source), "--output", str(tmp_path / "tracks"), "--model", str(model)]
        assert cli.run("track", [*words, "--format", "csv", "--count", "2", "--overwrite"]) == 0
        for name in names:
            table = pandas.read_csv(tmp_path / "tracks" / f"{name}.csv")
            mine = rows(tmp_path / "out" / f"{name}.html")
            assert len(table) > LENGTH and set(table["id"]) == {1, 2}
            assert_allclose(mine, table[mine.columns], atol=1e-9)


def test_ids_are_those_that_are_decided_in_the_end(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On all of the page; rows of nobody are left out."""
    (tmp_path / "seq").mkdir()
    for t, frame in enumerate(clip()):
        write_png(tmp_path / "seq" / f"{t}.png", frame)

    def identify(gallery: Gallery, count: int = 0) -> Identified:
        tracks = Tracks.concat(gallery._parts)
        return Identified(tracks, np.where(tracks.id == 0, -1, 70 - tracks.id), len(gallery._parts))

    monkeypatch.setattr(Gallery, "identify", identify)
    monkeypatch.setattr(track_stream, "_identifies", lambda *_: True)
    assert run(tmp_path / "seq", model, tmp_path / "out") == 0
    found = set(rows(tmp_path / "out" / "seq.html")["id"].astype(int))
    page = (tmp_path / "out" / "seq.html").read_text()
    assert found == {70}
    assert set(map(int, re.findall(r"<th scope=\"row\"[^>]*><a href=\"#frame=\d+&amp;id=(\d+)", page))) == found
    assert set(map(int, re.findall(r'alt="id (\d+)"', page))) == found


def test_zones_lines_and_a_scale_are_on_the_page(model: Path, source: Path, tmp_path: Path) -> None:
    more = ("--zone", "0,0,26,44", "26,0,26,44", "--line", "15,0,15,44", "--scale", 0.5, "mm")
    assert run(source, model, tmp_path / "out", *more) == 0
    page, given = (tmp_path / "out" / "000000.html").read_text(), told(tmp_path / "out" / "000000.html")
    assert [zone["name"] for zone in given["zones"]] == ["zone1", "zone2"]
    assert given["lines"] == [{"name": "line1", "corners": [[15.0, 0.0], [15.0, 44.0]]}]
    assert given["columns"][-3:] == ["distance_mm", "path_mm", "speed_mm_s"] and given["scale"] == [0.5, "mm"]
    assert re.search(r">zone1</th><td[^>]*>1\.\d\d</td><td[^>]*><a href=\"#frame=\d+\">", page)
    assert re.search(r">line1</th><td[^>]*>0</td><td[^>]*>1</td>", page)
    assert re.search(r"<a href=\"#frame=\d+&amp;id=1\">\d+</a></th><td[^>]*>0\.\d\d</td><td[^>]*>line1</td>", page)
    assert run(source, model, tmp_path / "other", "--line", "45,0,45,44") == 0
    page = (tmp_path / "other" / "000000.html").read_text()
    assert re.search(r">line1</th><td[^>]*>0</td><td[^>]*>0</td>", page) and ">to the</th>" not in page


def test_what_is_wrong_is_said_before_anything_is_written(
    model: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "late.txt").write_text(f"{LENGTH + 1},1,1,1,5,5,1,-1,-1,-1\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.txt").write_text("")
    (tmp_path / "other" / "c.txt").write_text("")
    cases = [
        (["--video-frames", 0], "--video-frames is 0"),
        (["--zone", "1,2,3"], "--zone 1,2,3: a rectangle"),
        (["--line", "1,2,1,2"], "--line 1,2,1,2: a line"),
        (["--scale", 0, "mm"], "--scale is 0 mm"),
        (["--count", 99], "99"),
        (["--gt", tmp_path / "none.txt"], "none.txt"),
        (["--gt", tmp_path / "empty.txt"], "empty.txt has no rows"),
        (["--gt", tmp_path / "late.txt"], f"a row in frame {LENGTH + 1}, but"),
        (["--gt", tmp_path / "other"], "no ground truth for clip 000000"),
    ]
    for words, expected in cases:
        assert run(source, model, tmp_path / "out", *words) == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1 and expected in said[0], said
        assert not (tmp_path / "out").exists()


def test_a_clip_cut_short_gives_a_page_of_what_is_there(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "seq" / "img1").mkdir(parents=True)
    for t, frame in enumerate(clip()[:4]):
        write_png(tmp_path / "seq" / "img1" / f"{t}.png", frame)
    (tmp_path / "seq" / "seqinfo.ini").write_text("[Sequence]\nname=x\nframeRate=10\nseqLength=9\n")
    assert run(tmp_path / "seq", model, tmp_path / "out") == 2
    assert "promises 9; the page about these" in capsys.readouterr().err
    assert "4 frames of 52x44" in (tmp_path / "out" / "seq.html").read_text()


def test_a_signal_leaves_the_page_of_the_frames_so_far(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "seq").mkdir()
    for t, frame in enumerate(clip()):
        write_png(tmp_path / "seq" / f"{t}.png", frame)
    update = Tracker.update

    def interrupted(self: Tracker, frame: np.ndarray) -> Tracks:
        if self.frame == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(self, frame)

    monkeypatch.setattr(Tracker, "update", interrupted)
    with pytest.raises(SystemExit) as status:
        run(tmp_path / "seq", model, tmp_path / "out")
    assert status.value.code == 143 and "stopped; the page about the frames up to there" in capsys.readouterr().out
    assert "2 objects</strong> were followed through 6 frames" in (tmp_path / "out" / "seq.html").read_text()


def test_a_bar_has_gaps_where_its_id_is_not_seen() -> None:
    assert spans(np.array([2, 3, 4, 8, 10])) == [(2, 4), (8, 8), (10, 10)]
    assert spans(np.array([2, 3, 4, 8, 10]), 2) == [(2, 4), (8, 10)]
    tracks = of([0, 1, 4, 2], [7, 7, 7, 3])
    svg = timeline(tracks, 10, {7: "#ff0000", 3: "#00ff00"})
    bars = re.findall(r'<rect x="([\d.]+)%" y="(\d+)" width="([\d.]+)%" height="\d+" fill="(#\w+)"', svg)
    assert bars == [
        ("0.000", "3", "20.000", "#ff0000"),
        ("40.000", "3", "10.000", "#ff0000"),
        ("20.000", "21", "10.000", "#00ff00"),
    ]
    assert re.findall(r'<a href="([^"]*)"', svg) == ["#frame=1&amp;id=8", "#frame=3&amp;id=4"]


def test_the_timeline_of_a_long_clip_stays_small() -> None:
    frames = np.arange(0, 10**5, 2)
    tracks = Tracks(frames, np.zeros(len(frames)), np.ones((len(frames), 4)))
    assert timeline(tracks, 10**5, {0: "red"}).count("<rect") == 2
    assert timeline(tracks, 1, {}).count('<line class="grid"') == 1


def test_lines_are_stairs_from_nothing_to_a_round_number() -> None:
    starts, counts = np.arange(6), np.array([0, 3, 3, 1, 1, 0])
    svg = lines({"<a>": counts, "b": 2 * counts}, starts, 6, ["red", "blue"])
    assert 'viewBox="0 0 6 6"' in svg
    assert 'stroke="red" d="M0 6H1L1 3H3L3 5H5L5 6H6"' in svg and "&lt;a&gt;" in svg
    assert re.findall(r'text-anchor="end">([\d.]+)<', svg) == ["0", "2", "4", "6"]
    nothing = lines({"a": np.zeros(3)}, np.arange(3), 3, ["red"])
    assert 'd="M0 1H3"' in nothing and "legend" not in nothing


def test_longest_seen_in_order_of_appearance() -> None:
    tracks = of([0, 1, 1, 2, 2, 3], [9, 4, 5, 4, 5, 5])
    assert longest_seen(tracks, 2) == [4, 5] and longest_seen(tracks, 9) == [9, 4, 5]
    assert longest_seen(Tracks.empty(), 2) == []


def test_counts_of_a_long_clip_are_means() -> None:
    counts, each = count_over_time(np.array([0, 0, 2]), np.arange(4))
    assert each == 1 and counts.tolist() == [2, 0, 1, 0]
    counts, each = count_over_time(np.array([0, 0, 2]), np.arange(2 * POINTS + 1))
    assert each == 3 and len(counts) == 667 and counts[0] == 1 and counts[1] == 0
    counts, each = count_over_time(np.array([1, 1, 9]), np.array([1, 2, 9]))
    assert each == 1 and counts.tolist() == [2, 0, 1], "frames that were lost do not count"


def test_few_pictures_are_kept_of_a_long_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of a few frames stands for all of a long clip in which no object is seen twice but one."""
    monkeypatch.setattr(witness, "LOOKS", 10)
    model, frame = spotter(), clip()[0]
    tracker = Arenas([whole((frame.shape[0], frame.shape[1]))], lambda: Tracker(model), False)
    tracker.update(frame)
    seen, rows = Witness(), []
    for t in range(300):
        boxes = np.array([[5, 5, 9, 9], [90, 5, 9, 9] if t == 50 else [20, 9, 7, 7]])
        rows.append(Tracks(np.array([t, t]), np.array([0, t + 1]), boxes, np.array([0.5, 0.9])))
        seen.see(frame, rows[-1], tracker)
    tracks, numbers = Tracks.concat(rows), np.arange(300)
    looks = seen.looks(tracks, numbers)
    assert len(looks) <= 11 and 0 in looks and 51 not in looks
    frames = [moment.frame for moment in seen.moments(tracks, numbers)]
    assert len(frames) == witness.MOMENTS and frames[0] == 0 and frames[-1] > 200
    assert len(set(np.diff(frames).tolist())) <= 2


def test_a_look_is_of_whom_its_row_is_in_the_end() -> None:
    """An id of tracking was two individuals, the other of which was seen less well; their rows have other numbers."""
    bright = clip()[0]
    tracker = Arenas([whole((bright.shape[0], bright.shape[1]))], lambda: Tracker(spotter()), False)
    tracker.update(bright)
    seen, rows = Witness(), []
    for t in range(2 * witness.STRETCH):
        box = np.array([[5.0, 5, 9, 9]]) + t / 8
        rows.append(Tracks(np.array([t]), np.array([0]), box, np.array([0.9 if t < witness.STRETCH else 0.6])))
        seen.see(np.full_like(bright, t), rows[-1], tracker)
    tracked = Tracks.concat(rows)
    decided = replace(tracked, frame=2 * tracked.frame, id=np.where(tracked.frame < witness.STRETCH, 4, 7))
    looks = seen.looks(decided, 2 * np.arange(2 * witness.STRETCH))
    assert looks[4].mean() < witness.STRETCH <= looks[7].mean() and set(looks) == {4, 7}


def test_a_page_of_regions_has_the_rows_of_sqair_track(tmp_path: Path) -> None:
    """And says what of them the model explains."""
    folder = tmp_path / "dishes"
    folder.mkdir()
    frames = np.random.default_rng(0).normal(120, 2, (16, 60, 100)).clip(0, 255).astype(np.uint8)
    for t, frame in enumerate(frames):
        frame[8:16, t : t + 8] = frame[40 - t : 48 - t, 70:78] = 220
        write_png(folder / f"{t:04d}.png", frame)
    words = ["--source", str(folder), "--region", "0,0,44,60", "56,0,44,60", "--count", "1"]
    assert cli.run("track", [*words, "--output", str(tmp_path / "tracks")]) == 0
    assert cli.run("report", [*words[1:], "--output", str(tmp_path / "pages")]) == 0
    page = (tmp_path / "pages" / "dishes.html").read_text()
    tracks = read_mot(tmp_path / "tracks" / "dishes.txt")
    told = json.loads(re.search(r'id="clip">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    names, frames_, *_ = unpacked(told["rows"], 8)
    assert sorted(zip(frames_ - 1, names - 1, strict=True)) == list(zip(tracks.frame, tracks.id, strict=True))
    assert told["homes"] == {"1": "region1", "2": "region2"} and "Of region1: some frames" in page
