"""Tidy tables of tracks: a row for each box, a column for each thing that is told of it, as data frames have them."""

from __future__ import annotations

import csv
import io
import math

from sqair.exports.measures import Scale, measures
from sqair.exports.record import Record

COLUMNS = ("clip", "frame", "seconds", "id", "x", "y", "w", "h", "centre_x", "centre_y", "score", "interpolated")
"""Frames and ids count from 1; ``x, y`` is the top left corner, in pixels that count from 0; seconds are those of the
source; interpolated is 1 where a gap was filled, or else 0."""


def tidy(record: Record, scale: Scale | None = None) -> str:
    """The CSV of a clip; with a ``scale`` it ends with columns of ``measures``, empty in the first row of an id."""
    tracks, text = record.tracks, io.StringIO()
    more = measures(record, scale) if scale is not None else {}
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([*COLUMNS, *more])
    measured = zip(*(column.tolist() for column in more.values()), strict=True) if more else [()] * len(tracks)
    rows = zip(
        tracks.frame.tolist(), record.seconds.tolist(), tracks.id.tolist(), tracks.box.tolist(),
        tracks.score.tolist(), record.filled.tolist(), measured, strict=True,
    )  # fmt: skip
    for frame, seconds, name, (x, y, w, h), score, filled, told in rows:
        sides = (round(value, 2) for value in (x, y, w, h, x + w / 2, y + h / 2))
        extra = ("" if math.isnan(value) else f"{value:.6g}" for value in told)
        lines.writerow(
            [record.name, frame + 1, round(seconds, 6), name + 1, *sides, round(score, 4), int(filled), *extra]
        )
    return text.getvalue()
