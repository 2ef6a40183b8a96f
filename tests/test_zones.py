"""Zones and lines: who is in which, and who crosses what which way."""

import io
import json
from pathlib import Path

import numpy as np
import pandas
import pytest
from numpy.testing import assert_allclose

from sqair.errors import UserError
from sqair.exports.polygons import Zone, parse_zones
from sqair.exports.record import Record, without_gaps
from sqair.exports.zones import Line, crossings, parse_lines, zone_counts
from sqair.files.mot_io import write_mot
from sqair.scripts import cli
from sqair.tracks import Tracks


def walk(*steps: tuple[int, int, float, float]) -> Record:
    """A row for each step: frame, id, and the middle of a box of 2x2 pixels."""
    frame, name, x, y = np.array(steps, dtype=np.float64).T
    tracks = Tracks(frame, name, np.stack([x - 1, y - 1, 2 + 0 * x, 2 + 0 * x], 1))
    return Record.of("clip", tracks, (60, 80), 10.0)


def test_a_polygon_holds_what_is_inside_of_it() -> None:
    """A U: what is between its arms is outside; a disc by its area, 4 standard errors."""
    cup = Zone("cup", np.array([[0, 0], [2, 0], [2, 4], [4, 4], [4, 0], [6, 0], [6, 6], [0, 6]], dtype=float))
    assert cup.holds(np.array([[1, 1], [3, 1], [5, 1], [3, 5], [7, 5], [-1, 5], [3, 7]])).tolist() == [
        True, False, True, True, False, False, False,
    ]  # fmt: skip
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    disc = Zone("disc", np.stack([np.cos(angle), np.sin(angle)], 1))
    share = disc.holds(np.random.default_rng(0).uniform(-1, 1, (20_000, 2))).mean()
    assert abs(share - np.pi / 4) < 4 * np.sqrt(0.17 / 20_000) + 2e-3


def test_zones_side_by_side_share_nobody() -> None:
    zones = parse_zones(["0,0,10,10", "10,0,10,10"])
    point = np.array([[10.0, 5.0], [9.999, 5.0], [0.0, 0.0]])
    assert [zone.holds(point).tolist() for zone in zones] == [[False, True, True], [True, False, False]]


def test_counts_of_each_frame() -> None:
    here = walk((0, 0, 5, 5), (0, 3, 5, 6), (1, 0, 15, 5), (1, 3, 5, 5), (4, 3, 90, 5))
    told = zone_counts(here, parse_zones(["0,0,10,10", "10,0,10,10"]))
    found = pandas.read_csv(io.StringIO(told), dtype={"ids": str})
    assert found["count"].tolist() == [2, 0, 1, 1, 0, 0, 0, 0, 0, 0]
    assert found.frame.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert found.ids.fillna("").tolist()[:6] == ["1 4", "", "4", "1", "", ""] and found.seconds.tolist()[-1] == 0.4
    assert found.zone.tolist()[:2] == ["zone1", "zone2"]


def test_frames_that_were_not_looked_at_have_no_counts() -> None:
    """But for rows that fill gaps in them, between the times of those that were."""
    tracks = Tracks(np.array([0, 4]), np.array([0, 0]), np.array([[4, 4, 2, 2], [4, 4, 2, 2]]))
    seen = Record.of("clip", tracks, (60, 80), 10.0, clock=(np.array([0, 2, 4, 6]), np.array([0.0, 0.3, 0.4, 0.9])))
    zones = parse_zones(["0,0,10,10"])
    found = pandas.read_csv(io.StringIO(zone_counts(seen, zones)))
    assert found.frame.tolist() == [1, 3, 5, 7] and found["count"].tolist() == [1, 0, 1, 0]
    assert found.seconds.tolist() == [0, 0.3, 0.4, 0.9]
    filled = pandas.read_csv(io.StringIO(zone_counts(without_gaps(seen, 3), zones)))
    assert filled.frame.tolist() == [1, 2, 3, 4, 5, 7] and filled["count"].tolist() == [1, 1, 1, 1, 1, 0]
    assert_allclose(filled.seconds[:4], [0, 0.15, 0.3, 0.35])


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([(0, 0, 10, 5), (1, 0, 10, 15)], [(2, 1, "right")]),
        ([(0, 0, 10, 15), (3, 0, 10, 5)], [(4, 1, "left")]),
        ([(0, 0, 10, 5), (1, 0, 10, 10), (2, 0, 10, 15), (3, 0, 10, 5)], [(3, 1, "right"), (4, 1, "left")]),
        ([(0, 0, 30, 5), (1, 0, 30, 15)], []),  # beyond its end
        ([(0, 0, 10, 5), (1, 1, 10, 15)], []),  # two of whom neither crosses
        ([(0, 0, 10, 5), (1, 0, 12, 6)], []),
    ],
)
def test_who_crosses_a_line_and_which_way(steps: list, told: list[tuple[int, int, str]]) -> None:
    """From the left to the right: what comes from above goes to the right of one who looks along it."""
    found = pandas.read_csv(io.StringIO(crossings(walk(*steps), [Line("door", np.array([[0.0, 10], [20, 10]]))])))
    assert list(zip(found.frame, found.id, found.direction, strict=True)) == told


def test_files_of_labelme_and_via_tell_zones(tmp_path: Path) -> None:
    polygon, box = [[0, 0], [4, 0], [0, 4]], [[8, 6], [2, 3]]
    labelme = {"shapes": [{"label": "left", "points": polygon, "shape_type": "polygon"},
                          {"label": "door", "points": box, "shape_type": "rectangle"}]}  # fmt: skip
    regions = [
        {"shape_attributes": {"name": "polygon", "all_points_x": [0, 4, 0], "all_points_y": [0, 0, 4]},
         "region_attributes": {"name": "left"}},
        {"shape_attributes": {"name": "rect", "x": 2, "y": 3, "width": 6, "height": 3}, "region_attributes": {}},
    ]  # fmt: skip
    image = {"frame.png123": {"filename": "frame.png", "regions": regions}}
    for said in (labelme, image, {"_via_img_metadata": image}):
        (tmp_path / "zones.json").write_text(json.dumps(said))
        left, other = parse_zones([str(tmp_path / "zones.json")])
        assert left.name == "left" and left.corner.tolist() == polygon
        assert other.name == ("door" if said is labelme else "zone2")
        assert other.corner.tolist() == [[2, 3], [8, 3], [8, 6], [2, 6]]


@pytest.mark.parametrize(
    "said", ["{}", "[]", "3", "no", '{"shapes": []}', '{"shapes": [{"label": "a", "points": [[1]]}]}']
)
def test_files_that_hold_no_zone_are_refused(tmp_path: Path, said: str) -> None:
    (tmp_path / "zones.json").write_text(said)
    with pytest.raises(UserError, match=r"zones\.json"):
        parse_zones([str(tmp_path / "zones.json")])


@pytest.mark.parametrize("word", ["1,2,3", "1,2,0,4", "1,2,3,-4", "none.json"])
def test_words_that_are_no_zone_are_refused(word: str) -> None:
    with pytest.raises(UserError, match=word):
        parse_zones([word])


@pytest.mark.parametrize("word", ["1,2,3", "1,2,1,2", "door", "1,2,nan,4"])
def test_words_that_are_no_line_are_refused(word: str) -> None:
    with pytest.raises(UserError, match="--line"):
        parse_lines([word])


def test_zones_of_one_name_get_numbers(tmp_path: Path) -> None:
    shape = {"label": "zone1", "points": [[0, 0], [4, 0], [0, 4]]}
    (tmp_path / "zones.json").write_text(json.dumps({"shapes": [shape]}))
    zones = parse_zones(["0,0,1,1", str(tmp_path / "zones.json"), "5,5,1,1"])
    assert [zone.name for zone in zones] == ["zone1-1", "zone1-2", "zone3"]


def test_the_command_writes_both(tmp_path: Path) -> None:
    write_mot(tmp_path / "clip.txt", walk((0, 0, 10, 5), (2, 0, 10, 15)).tracks)
    words = [str(tmp_path / "clip.txt"), "--output", str(tmp_path / "out"), "--fps", "10", "--fill", "1"]
    assert cli.run("export", [*words, "--zone", "0,8,20,4", "--line", "0,11,20,11"]) == 0
    assert pandas.read_csv(tmp_path / "out" / "clip.zones.csv")["count"].tolist() == [0, 1, 0]
    (row,) = pandas.read_csv(tmp_path / "out" / "clip.lines.csv").to_dict("records")
    assert row == {"clip": "clip", "frame": 3, "seconds": 0.2, "line": "line1", "id": 1, "direction": "right"}
