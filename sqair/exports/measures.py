"""How far and how fast individuals move, in units of their world."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from sqair.exports.record import Record


class Scale(NamedTuple):
    """How large a pixel is: so many units, and what these are called, such as ``mm``."""

    units: float
    name: str

    @property
    def word(self) -> str:
        """The name as a part of names of columns: letters, digits and underscores."""
        return re.sub(r"\W+", "_", self.name).strip("_")


def measures(record: Record, scale: Scale) -> dict[str, np.ndarray]:
    """Columns ``[M]`` of what moves by middles of boxes: ``distance_UNIT`` from the row before of the same id, the
    ``path_UNIT`` that it has gone since its first one, and its ``speed_UNIT_s``, a second, since the row before.

    In the first row of an id the path is 0, and distance and speed are NaN.
    """
    tracks = record.tracks
    order = np.lexsort((tracks.frame, tracks.id))
    centre = scale.units * (tracks.box[:, :2] + tracks.box[:, 2:] / 2)[order]
    first = np.diff(tracks.id[order], prepend=np.nan) != 0
    distance = np.hypot(*np.diff(centre, axis=0, prepend=np.nan).T)
    distance[first] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        speed = distance / np.diff(record.seconds[order], prepend=np.nan)
    gone = np.cumsum(np.nan_to_num(distance))
    path = gone - gone[first][np.cumsum(first) - 1] if len(gone) else gone
    back = np.argsort(order)
    unit = scale.word
    return {f"distance_{unit}": distance[back], f"path_{unit}": path[back], f"speed_{unit}_s": speed[back]}
