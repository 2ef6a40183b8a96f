"""Zones and lines: how many are where, and who crosses what, by the middles of boxes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sqair.errors import UserError
from sqair.exports.record import Record
from sqair.files.text import read_text


class Zone(NamedTuple):
    """A polygon of corners ``[K, 2]`` (x, y), pixels that count from 0, and what it is called."""

    name: str
    corner: np.ndarray

    def holds(self, point: np.ndarray) -> np.ndarray:
        """Which points ``[N, 2]`` are in it, bool ``[N]``: those from which a ray crosses its sides an odd number of
        times."""
        inside = np.zeros(len(point), bool)
        x, y = point.T
        for (x0, y0), (x1, y1) in zip(self.corner, np.roll(self.corner, -1, axis=0), strict=True):
            if y0 != y1:
                inside ^= ((y0 <= y) != (y1 <= y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
        return inside


class Line(NamedTuple):
    """A line from one point to another, ``[2, 2]`` (x, y), and what it is called."""

    name: str
    end: np.ndarray


def parse_zones(words: Sequence[str]) -> list[Zone]:
    """Zones of ``x,y,w,h`` in pixels, or of files of LabelMe or VIA, by words of a command line.

    Raises:
        UserError: a word is neither, or a file holds no zone.
    """
    zones: list[Zone] = []
    for word in words:
        numbers = _numbers(word)
        if numbers is None:
            zones += _read(Path(word))
        elif len(numbers) == 4 and min(numbers[2:]) > 0:
            zones.append(_rectangle(f"zone{len(zones) + 1}", *numbers))
        else:
            raise UserError(f"--zone {word}: a rectangle is x,y,w,h, pixels, such as 20,30,200,100")
    names = [zone.name for zone in zones]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"--zone: two zones are called {twice!r}")
    return zones


def parse_lines(words: Sequence[str]) -> list[Line]:
    """Lines of ``x0,y0,x1,y1`` in pixels. Raises UserError if one is no line."""
    lines = []
    for number, word in enumerate(words, 1):
        numbers = _numbers(word)
        if numbers is None or len(numbers) != 4 or numbers[:2] == numbers[2:]:
            raise UserError(f"--line {word}: a line is x0,y0,x1,y1, pixels, such as 0,120,320,120")
        lines.append(Line(f"line{number}", np.reshape(numbers, (2, 2))))
    return lines


def zone_counts(record: Record, zones: Sequence[Zone]) -> str:
    """CSV of how many are in each zone, in each frame that has a row, with their ids; these and frames count from 1."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["clip", "frame", "seconds", "zone", "count", "ids"])
    held = [zone.holds(_centre(record)) for zone in zones]
    frames, start, rows = np.unique(record.tracks.frame, return_index=True, return_counts=True)
    for frame, a, b in zip(frames.tolist(), start.tolist(), (start + rows).tolist(), strict=True):
        seconds = round(float(record.seconds[a]), 6)
        for zone, inside in zip(zones, held, strict=True):
            ids = record.tracks.id[a:b][inside[a:b]] + 1
            lines.writerow([record.name, frame + 1, seconds, zone.name, len(ids), " ".join(map(str, ids.tolist()))])
    return text.getvalue()


def crossings(record: Record, lines: Sequence[Line]) -> str:
    """CSV of who crosses which line, and when: clip, frame (the first beyond it), seconds, line, id, direction.

    The direction is ``right`` for those that go to the right of one who looks from the line's first point to its
    second, or else ``left``.
    """
    tracks, centre = record.tracks, _centre(record)
    order = np.lexsort((tracks.frame, tracks.id))
    told = []
    for line in lines:
        (a, b), point = line.end, centre[order]
        side = _side(a, b, point) > 0
        same = tracks.id[order][1:] == tracks.id[order][:-1]
        for row in np.flatnonzero(same & (side[1:] != side[:-1])):
            before, after = point[row], point[row + 1]
            if (_side(before, after, np.stack([a, b])) > 0).sum() == 1:
                now = order[row + 1]
                told.append((int(tracks.frame[now]), now, line.name, "right" if side[row + 1] else "left"))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["clip", "frame", "seconds", "line", "id", "direction"])
    for frame, row, name, direction in sorted(told):
        seconds = round(float(record.seconds[row]), 6)
        rows.writerow([record.name, frame + 1, seconds, name, int(tracks.id[row]) + 1, direction])
    return text.getvalue()


def _centre(record: Record) -> np.ndarray:
    return record.tracks.box[:, :2] + record.tracks.box[:, 2:] / 2


def _side(a: np.ndarray, b: np.ndarray, point: np.ndarray) -> np.ndarray:
    """On which side of the line from ``a`` to ``b`` points ``[N, 2]`` are: more than 0 to the right, as y goes down."""
    (dx, dy), away = b - a, point - a
    return dx * away[:, 1] - dy * away[:, 0]


def _numbers(word: str) -> list[float] | None:
    """The numbers of ``1,2,3``; None if a word is something else."""
    try:
        numbers = [float(part) for part in word.split(",")]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _rectangle(name: str, x: float, y: float, w: float, h: float) -> Zone:
    return Zone(name, np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], dtype=np.float64))


def _read(path: Path) -> list[Zone]:
    """The polygons and rectangles of a file of LabelMe, or of a project or its regions as VIA saves them (JSON)."""
    try:
        said = json.loads(read_text(path))
        shapes = said["shapes"] if "shapes" in said else None
        zones = _of_via(said) if shapes is None else [_of_labelme(shape) for shape in shapes]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: no zones as LabelMe or VIA write them (JSON)") from error
    if not zones:
        raise UserError(f"{path}: it holds no polygon and no rectangle")
    return zones


def _of_labelme(shape: dict[str, Any]) -> Zone:
    points = np.array(shape["points"], dtype=np.float64)
    if shape.get("shape_type", "polygon") == "rectangle":
        low, high = points.min(0), points.max(0)
        return _rectangle(shape["label"], *low, *(high - low))
    if len(points) < 3:
        raise ValueError
    return Zone(shape["label"], points)


def _of_via(said: dict[str, Any]) -> list[Zone]:
    images = said.get("_via_img_metadata", said)
    zones = []
    for image in images.values():
        for region in image["regions"]:
            shape, told = region["shape_attributes"], region["region_attributes"]
            name = str(next(iter(told.values()), "") or f"zone{len(zones) + 1}")
            if shape["name"] == "rect":
                zones.append(_rectangle(name, shape["x"], shape["y"], shape["width"], shape["height"]))
            elif shape["name"] == "polygon":
                points = [shape["all_points_x"], shape["all_points_y"]]
                zones.append(Zone(name, np.array(points, dtype=np.float64).T))
    return zones
