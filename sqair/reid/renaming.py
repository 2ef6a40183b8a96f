"""From tracklets of individuals back to rows: who is who where things touch as well."""

from __future__ import annotations

import numpy as np

from sqair.reid.tracklets import Tracklets
from sqair.tracks import Tracks

NEARBY = 15
"""Frames within which a name that is free was last that of a row close by."""
WITHIN = 2.0
"""How close that is, in typical sides."""


def rename(tracks: Tracks, tracklets: Tracklets, group: np.ndarray, count: int) -> np.ndarray:
    """The ids ``[M]`` of the individuals that rows are of, which count from 0 by their first frames.

    There are ``count`` at most, if that is not 0, and -1 for a row that can be of none of them.

    ``group [n]`` says which tracklets are of one. Between tracklets of a track its rows are of that which is nearest in
    time. Of two rows of one name in a frame that which is further from its tracklet gives it up, for that of somebody
    who was near there and is nowhere else, or for one of its own.
    """
    name, away = _spread(tracks, tracklets, group)
    _settle(tracks, name, away)
    name = np.unique(name, return_inverse=True)[1]
    if count:
        name = _seat(tracks, name, count)
    order, first = np.unique(name[name >= 0], return_index=True)
    rank = np.argsort(np.argsort(first, kind="stable"), kind="stable")
    return np.where(name >= 0, rank[np.searchsorted(order, name).clip(0, len(order) - 1)], -1)


def _seat(tracks: Tracks, name: np.ndarray, count: int) -> np.ndarray:
    """Names ``[M]`` of which there are ``count`` at most: those of most rows; -1 for a row that finds none.

    Another group of rows gets the one of these that is free in most of its frames, where it is.
    """
    size = np.bincount(name)
    order = np.argsort(-size, kind="stable")
    seats = order[:count]
    free = np.ones((int(tracks.frame.max()) + 1, len(seats)), dtype=bool)
    for column, seat in enumerate(seats):
        free[tracks.frame[name == seat], column] = False
    seated = np.where(np.isin(name, seats), name, -1)
    for other in order[count:]:
        mine = np.flatnonzero(name == other)
        column = int(free[tracks.frame[mine]].sum(0).argmax())
        mine = mine[free[tracks.frame[mine], column]]
        seated[mine] = seats[column]
        free[tracks.frame[mine], column] = False
    return seated


def _spread(tracks: Tracks, tracklets: Tracklets, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Names ``[M]`` of all rows, and how many frames each is away from its tracklet ``[M]``.

    A track without a tracklet has a name of its own.
    """
    name = np.full(len(tracks), -1)
    away = np.zeros(len(tracks), dtype=int)
    for k, rows in enumerate(tracklets.rows):
        name[rows] = group[k]
    for number, track in enumerate(np.unique(tracks.id)):
        mine = np.flatnonzero(tracks.id == track)
        known, rest = mine[name[mine] >= 0], mine[name[mine] < 0]
        if not len(known):
            name[mine], away[mine] = len(group) + number, len(tracks)
        elif len(rest):
            after = np.searchsorted(tracks.frame[known], tracks.frame[rest])
            sides = known[np.stack([after - 1, after]).clip(0, len(known) - 1)]  # [2, R]
            gap = np.abs(tracks.frame[sides] - tracks.frame[rest])
            nearer = gap.argmin(0), np.arange(len(rest))
            name[rest], away[rest] = name[sides[nearer]], gap[nearer]
    return name, away


def _settle(tracks: Tracks, name: np.ndarray, away: np.ndarray) -> None:
    """Sees to it that no two rows of a frame have one ``name [M]``."""
    centre = tracks.box[:, :2] + tracks.box[:, 2:] / 2
    near = WITHIN * float(np.median(np.sqrt(tracks.box[:, 2:].prod(-1))))
    frames = np.searchsorted(tracks.frame, [tracks.frame, tracks.frame + 1]).T  # [M, 2]
    own: dict[tuple[int, int], int] = {}
    for row in np.argsort(away, kind="stable"):
        low, high = frames[row]
        taken = [r for r in range(low, high) if r != row and name[r] == name[row] and _first(away, r, row)]
        if not taken:
            continue
        around = slice(*np.searchsorted(tracks.frame, [tracks.frame[row] - NEARBY, tracks.frame[row] + NEARBY + 1]))
        free = np.isin(name[around], name[low:high], invert=True)
        apart = np.linalg.norm(centre[around] - centre[row], axis=-1)
        when = np.abs(tracks.frame[around] - tracks.frame[row])
        fits = free & (apart < near) & (away[around] == 0)
        if fits.any():
            name[row] = name[around][np.where(fits, when * near + apart, np.inf).argmin()]
        else:
            key = int(name[row]), int(tracks.id[row])
            name[row] = own.setdefault(key, int(name.max()) + 1)


def _first(away: np.ndarray, other: int, row: int) -> bool:
    """Whether row ``other`` has the better claim: it is nearer to its tracklet, or the earlier row."""
    return (int(away[other]), other) < (int(away[row]), row)
