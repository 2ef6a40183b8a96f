"""Tracklets: parts of tracks in which nobody else touches, and how well one goes on as another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sqair.tracks import Tracks

BORDER = 0.1
"""Boxes that are larger by so many of their sides touch."""
SHORTEST = 2
"""Frames of a tracklet, at least."""
RECENT = 6
"""Frames at either end of a tracklet that tell its speed."""
LOOSE, LOOSER = 0.25, 0.12
"""How far off things are from where their speed leads, in typical sides: and by how much more after each frame."""
CARRIES = 5
"""Frames after which speed tells no more."""
EDGE = 0.15
"""A track that ends or begins within so many of its sides of the edge of frames has left or come in there, it seems,"""
GONE = -1.0
"""which is so many nats against that it goes on as another, or is another that goes on."""
TRACKED = 3.0
"""Nats for that tracklets which follow each other are of one track."""
COMERS = 0.2
"""Share of such beginnings and ends in all those within a clip up to which nobody comes or leaves."""
UNFORESEEN = 3e-4
"""Probability that a thing is anywhere, one frame later: tracks err as well."""
FORGETS = 30.0
"""Frames after which it is nearly as likely to be anywhere."""


@dataclass(frozen=True)
class Tracklets:
    """n tracklets.

    Attributes:
        rows: which rows of the tracks each consists of, in the order of frames.
        start, end: ``[n]``, their first and last frames.
    """

    rows: list[np.ndarray]
    start: np.ndarray
    end: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @staticmethod
    def of(tracks: Tracks, rows: list[np.ndarray]) -> Tracklets:
        """Those of these rows of tracks."""
        first, last = ends(rows)
        return Tracklets(rows, tracks.frame[first], tracks.frame[last])

    def together(self) -> np.ndarray:
        """Which are there at the same time, bool ``[n, n]``."""
        return (self.start[:, None] <= self.end) & (self.start <= self.end[:, None])


def cut(tracks: Tracks) -> Tracklets:
    """The tracklets of tracks, ordered by their first frames."""
    alone = ~touching(tracks)
    found = []
    for name in np.unique(tracks.id):
        mine = np.flatnonzero((tracks.id == name) & alone)
        parts = np.split(mine, np.flatnonzero(np.diff(tracks.frame[mine]) > 1) + 1)
        found += [part for part in parts if len(part) >= SHORTEST]
    found.sort(key=lambda part: (tracks.frame[part[0]], tracks.id[part[0]]))
    return Tracklets.of(tracks, found)


def ends(rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last row of each, ``[n]`` and ``[n]``."""
    first, last = (np.array([part[i] for part in rows], dtype=np.int64) for i in (0, -1))
    return first, last


def touching(tracks: Tracks) -> np.ndarray:
    """Of which rows the box, ``BORDER`` larger, meets another of its frame: bool ``[M]``."""
    touches = np.zeros(len(tracks), dtype=bool)
    begin = np.flatnonzero(np.diff(tracks.frame, prepend=-1))
    for rows in np.split(np.arange(len(tracks)), begin[1:]):
        touches[rows] = meets(tracks.box[rows]).any(1)
    return touches


def meets(box: np.ndarray) -> np.ndarray:
    """Which of the boxes ``[m, 4]``, ``BORDER`` larger, meet which others: bool ``[m, m]``."""
    centre, reach = box[:, :2] + box[:, 2:] / 2, (1 + BORDER) * box[:, 2:] / 2
    apart = np.abs(centre[:, None] - centre) - reach[:, None] - reach
    return np.all(apart < 0, axis=-1) & ~np.eye(len(box), dtype=bool)


def follows(tracklets: Tracklets, tracks: Tracks, size: tuple[int, int]) -> np.ndarray:
    """What tracking and motion say of whether tracklet k goes on as l, nats ``[n, n]``; 0 where l is not after k.

    Frames are of a ``size`` (H, W), pixels.

    The log of the ratio of two densities of where l begins: a Cauchy about where the speeds of both lead from the end
    of k, of which less and less is known, and a uniform one over all places where things are.
    """
    centre = tracks.box[:, :2] + tracks.box[:, 2:] / 2
    side = float(np.median(np.sqrt(tracks.box[:, 2:].prod(-1))))
    area = max(float(np.prod(np.percentile(centre, 98, axis=0) - np.percentile(centre, 2, axis=0))), side**2)
    first, last = (np.stack([centre[rows[i]] for rows in tracklets.rows]) for i in (0, -1))
    known = np.array([min(len(rows), RECENT) - 1 for rows in tracklets.rows], dtype=float)
    early = np.stack([centre[r[min(len(r), RECENT) - 1]] - centre[r[0]] for r in tracklets.rows])
    late = np.stack([centre[r[-1]] - centre[r[-min(len(r), RECENT)]] for r in tracklets.rows])
    gap = tracklets.start[None] - tracklets.end[:, None]  # [n, n]
    ahead = (late[:, None] + early[None]) / (known[:, None] + known[None])[..., None]
    off = first[None] - last[:, None] - ahead * np.clip(gap, 0, CARRIES)[..., None]
    spread = (side * (LOOSE + LOOSER * np.maximum(gap, 1))) ** 2
    ratio = area / (2 * np.pi * spread) * (1 + (off**2).sum(-1) / spread) ** -1.5
    knows = (1 - UNFORESEEN) * np.exp(-np.maximum(gap, 0) / FORGETS)
    evidence = np.log(knows * ratio + 1 - knows)
    begins, stops = (tracks.id[row] for row in ends(tracklets.rows))
    final = np.array([np.flatnonzero(tracks.id == track)[-1] for track in stops])
    initial = np.array([np.flatnonzero(tracks.id == track)[0] for track in begins])
    left, came = (_at_edge(tracks, row, size).astype(float) for row in (final, initial))
    same = (stops[:, None] == begins) & (gap > 0)
    evidence[following(tracklets, tracks)] += TRACKED
    evidence += GONE * (left[:, None] + came) * ~same
    return np.where(gap > 0, evidence, 0.0)


def following(tracklets: Tracklets, tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """Tracklets that another of their track follows, and the first of those that do."""
    begins, stops = (tracks.id[row] for row in ends(tracklets.rows))
    gap = tracklets.start - tracklets.end[:, None]
    after = np.where((stops[:, None] == begins) & (gap > 0), gap, np.inf)
    some = np.isfinite(after.min(1, initial=np.inf))
    return np.flatnonzero(some), after[some].argmin(1)


def is_closed(tracks: Tracks, size: tuple[int, int]) -> bool:
    """Whether nobody comes into frames of a ``size`` (H, W) or leaves: few tracks begin or end at their edges."""
    first = np.unique(tracks.id, return_index=True)[1]
    last = len(tracks) - 1 - np.unique(tracks.id[::-1], return_index=True)[1]
    first = first[tracks.frame[first] > tracks.frame[0]]
    last = last[tracks.frame[last] < tracks.frame[-1]]
    turns = np.concatenate([first, last])
    return bool(_at_edge(tracks, turns, size).sum() <= COMERS * len(turns))


def _at_edge(tracks: Tracks, rows: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Whether the boxes of rows ``[n]`` come near the edge of frames of a ``size`` (H, W), bool ``[n]``."""
    low, sides = np.split(tracks.box[rows], 2, axis=1)
    beyond = np.array([size[1], size[0]]) - low - sides
    return np.any(np.minimum(low, beyond) < EDGE * sides, axis=-1)
