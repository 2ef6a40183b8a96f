"""How many of a clip's objects there were, and where, on its page: counts over time, zones, lines that are crossed."""

from __future__ import annotations

import csv
import io

import numpy as np

from sqair.eval.report import Link, Report
from sqair.eval.timeline import address, lines
from sqair.eval.viewer import Marks
from sqair.eval.words import percent
from sqair.exports.record import Record
from sqair.exports.zones import crossings

POINTS = 1000
"""Points of a count over time, at most: each is a mean over as many frames as it takes."""
CROSSINGS = 200
"""In the table, at most."""


def count_over_time(frames: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, int]:
    """Rows in a frame, ``[P]``, of those in ``frames [M]``; each is a mean over so many of the frames ``numbers [T]``
    that there are."""
    length = len(numbers)
    each = -(-length // POINTS)
    starts = np.arange(0, length, each)
    return np.add.reduceat(_counts(frames, numbers), starts) / np.diff(np.append(starts, length)), each


def _counts(frames: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(numbers, frames), minlength=len(numbers))


def where(report: Report, record: Record, numbers: np.ndarray, marks: Marks) -> None:
    """How many were in each zone, and who crossed which line, if there are any."""
    if marks.zones:
        _zones(report, record, numbers, marks)
    if marks.lines:
        _lines(report, record, marks)


def _zones(report: Report, record: Record, numbers: np.ndarray, marks: Marks) -> None:
    tracks = record.tracks
    centre = tracks.box[:, :2] + tracks.box[:, 2:] / 2
    counts, rows, each = {}, [], 1
    for zone, _ in marks.zones:
        inside = zone.holds(centre)
        counts[zone.name], each = count_over_time(tracks.frame[inside], numbers)
        there = _counts(tracks.frame[inside], numbers)
        first = int(numbers[there.argmax()])
        most = Link(f"{there.max()} in frame {first + 1}", address(first))
        individuals = len(np.unique(tracks.id[inside]))
        rows.append((zone.name, f"{there.mean():.2f}", most, individuals, percent(float((there > 0).mean()))))
    means = f", in the mean of {each} frames at a time" if each > 1 else ""
    report.text("## How many were where")
    chart = lines(counts, numbers[::each], record.length, [colour for _, colour in marks.zones])
    report.drawing(chart, f"Objects in each zone, by the middles of their boxes{means}.")
    header = ["zone", "in a frame, mean", "most", "different ids", "frames with any"]
    report.table(rows, header, caption="Frame by frame, with ids, in a file: `sqair track --zone`, NAME.zones.csv.")


def _lines(report: Report, record: Record, marks: Marks) -> None:
    report.text("## Who crossed")
    told = list(csv.DictReader(io.StringIO(crossings(record, marks.lines))))
    ways = [(row["line"], row["direction"]) for row in told]
    totals = [(line.name, ways.count((line.name, "right")), ways.count((line.name, "left"))) for line in marks.lines]
    which = "As seen by one who looks from the line's first point to its second."
    report.table(totals, ["line", "to the right", "to the left"], caption=which)
    if not told:
        return
    rows = []
    for row in told[:CROSSINGS]:
        frame = Link(row["frame"], address(int(row["frame"]) - 1, int(row["id"]) - 1))
        rows.append((frame, f"{float(row['seconds']):.2f}", row["line"], row["id"], row["direction"]))
    more = f"The first {CROSSINGS} of {len(told)} crossings; all" if len(told) > CROSSINGS else "All crossings"
    header = ["frame", "seconds", "line", "id", "to the"]
    report.table(rows, header, caption=f"{more} in a file: `sqair track --line`, NAME.lines.csv.")
