"""Tidy tables of tracks: a row for each box, a column for each thing that is told of it, as data frames have them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from sqair.exports.measures import Scale, measures
from sqair.exports.polygons import Zone
from sqair.exports.record import Record
from sqair.exports.zones import home

COLUMNS = ("clip", "frame", "seconds", "id", "x", "y", "w", "h", "centre_x", "centre_y", "score", "interpolated")
"""Frames and ids count from 1; ``x, y`` is the top left corner, in pixels that count from 0; seconds are those of the
source; interpolated is 1 where a gap was filled, or else 0."""


def tidy(record: Record, scale: Scale | None = None, regions: Sequence[Zone] = ()) -> str:
    """The CSV of a clip; with a ``scale`` it ends with columns of ``measures``, empty in the first row of an id, and
    with ``regions`` with the one that each id is in."""
    tracks, text = record.tracks, io.StringIO()
    more = measures(record, scale) if scale is not None else {}
    told = [[_short(value) for value in column.tolist()] for column in more.values()]
    told += [home(record, regions)] if regions else []
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([*COLUMNS, *more, *(["region"] if regions else [])])
    extra = zip(*told, strict=True) if told else [()] * len(tracks)
    rows = zip(
        tracks.frame.tolist(), record.seconds.tolist(), tracks.id.tolist(), tracks.box.tolist(),
        tracks.score.tolist(), record.filled.tolist(), extra, strict=True,
    )  # fmt: skip
    for frame, seconds, name, (x, y, w, h), score, filled, others in rows:
        sides = (round(value, 2) for value in (x, y, w, h, x + w / 2, y + h / 2))
        lines.writerow(
            [record.name, frame + 1, round(seconds, 6), name + 1, *sides, round(score, 4), int(filled), *others]
        )
    return text.getvalue()


def _short(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
