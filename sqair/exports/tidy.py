"""Tidy tables of tracks: a row for each box, a column for each thing that is told of it, as data frames have them."""

from __future__ import annotations

import csv
import io

import numpy as np

from sqair.tracks import Tracks

COLUMNS = ("clip", "frame", "seconds", "id", "x", "y", "w", "h", "centre_x", "centre_y", "score")
"""Frames and ids count from 1; ``x, y`` is the top left corner, in pixels that count from 0; seconds are those of the
source."""
AFTER_ID = len(COLUMNS) - COLUMNS.index("id") - 1
"""Columns that come after the id."""


def tidy_rows(clip: str, tracks: Tracks, seconds: np.ndarray) -> str:
    """Lines of CSV, under ``COLUMNS``, of the rows of ``clip``, whose frames are at ``seconds [M]``."""
    text = io.StringIO()
    centre = tracks.box[:, :2] + tracks.box[:, 2:] / 2
    sides = np.concatenate([tracks.box, centre], 1).round(2)
    names = zip(tracks.frame.tolist(), seconds.tolist(), tracks.id.tolist(), strict=True)
    lines = csv.writer(text, lineterminator="\n")
    for (frame, time, name), box, score in zip(names, sides.tolist(), tracks.score.tolist(), strict=True):
        lines.writerow([clip, frame + 1, round(time, 6), name + 1, *box, round(score, 4)])
    return text.getvalue()


def tidy_head() -> str:
    """The line above them."""
    return ",".join(COLUMNS) + "\n"
