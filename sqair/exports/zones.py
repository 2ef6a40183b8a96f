"""Zones and lines: how many are where, and who crosses what, by the middles of boxes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sqair.errors import UserError
from sqair.exports.polygons import Zone, numbers_of
from sqair.exports.record import Record


class Line(NamedTuple):
    """A line from one point to another, ``[2, 2]`` (x, y), and what it is called."""

    name: str
    end: np.ndarray


def parse_lines(words: Sequence[str]) -> list[Line]:
    """Lines of ``x0,y0,x1,y1`` in pixels. Raises UserError if one is no line."""
    lines = []
    for number, word in enumerate(words, 1):
        numbers = numbers_of(word)
        if numbers is None or len(numbers) != 4 or numbers[:2] == numbers[2:]:
            raise UserError(f"--line {word}: a line is x0,y0,x1,y1, pixels, such as 0,120,320,120")
        lines.append(Line(f"line{number}", np.reshape(numbers, (2, 2))))
    return lines


def zone_counts(record: Record, zones: Sequence[Zone]) -> str:
    """CSV of how many are in each zone, in each frame, with their ids; these and frames count from 1."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["clip", "frame", "seconds", "zone", "count", "ids"])
    held = [zone.holds(_centre(record)) for zone in zones]
    frames = np.union1d(record.frames, record.tracks.frame)  # rows that fill gaps may lie between those looked at
    seconds = np.interp(frames, record.frames, record.times)
    starts, ends = (np.searchsorted(record.tracks.frame, frames, side) for side in ("left", "right"))
    for frame, time, a, b in zip(frames.tolist(), seconds.tolist(), starts.tolist(), ends.tolist(), strict=True):
        for zone, inside in zip(zones, held, strict=True):
            ids = (record.tracks.id[a:b][inside[a:b]] + 1).tolist()
            lines.writerow([record.name, frame + 1, round(time, 6), zone.name, len(ids), " ".join(map(str, ids))])
    return text.getvalue()


def home(record: Record, zones: Sequence[Zone]) -> list[str]:
    """The zone ``[M]`` of each row in which most rows of its id are; empty of ids that are in none."""
    names, place = np.unique(record.tracks.id, return_inverse=True)
    inside = np.stack([np.bincount(place, zone.holds(_centre(record)), len(names)) for zone in zones], 1)
    of = [zones[k].name if rows.any() else "" for rows, k in zip(inside, inside.argmax(1), strict=True)]
    return [of[k] for k in place]


def crossings(record: Record, lines: Sequence[Line]) -> str:
    """CSV of who crosses which line, and when: clip, frame (the first beyond it), seconds, line, id, direction.

    The direction is ``right`` for those that go to the right of one who looks from the line's first point to its
    second, or else ``left``.
    """
    tracks, centre = record.tracks, _centre(record)
    order = np.lexsort((tracks.frame, tracks.id))
    told, times = [], record.seconds
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
        seconds = round(float(times[row]), 6)
        rows.writerow([record.name, frame + 1, seconds, name, int(tracks.id[row]) + 1, direction])
    return text.getvalue()


def _centre(record: Record) -> np.ndarray:
    return record.tracks.box[:, :2] + record.tracks.box[:, 2:] / 2


def _side(a: np.ndarray, b: np.ndarray, point: np.ndarray) -> np.ndarray:
    """On which side of the line from ``a`` to ``b`` points ``[N, 2]`` are: more than 0 to the right, as y goes down."""
    (dx, dy), away = b - a, point - a
    return dx * away[:, 1] - dy * away[:, 0]
