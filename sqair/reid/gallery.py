"""The gallery of a clip: all that tells who is who, gathered while it is tracked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sqair.reid.embedding import Embedding, learn
from sqair.reid.linking import Linking, Looks
from sqair.reid.portraits import SIDE
from sqair.reid.renaming import rename
from sqair.reid.tracklets import Tracklets, cut, following, follows, is_closed, touching
from sqair.tracks import Tracks

ROUNDS = ((12, 3.0), (8, 3.0), (8, 0.0))
"""Steps of training for each tracklet, and least nats for which they are joined afterwards: those joined teach the next
round."""
TRACKLETS = (40, 125)
"""Of how many tracklets there are that many steps, at least and at most."""
CHAPTER = 500
"""Tracklets of which all pairs are weighed at a time, at most."""
LARGEST = 2**24
"""Bytes of portraits, about: beyond, every other one of each track is forgotten."""
PAIRS = 2000
"""Portraits among which it is measured how far apart different individuals are."""
UNTRAINED = 1.0
"""How much further apart they would be in the end, nats."""


class Identified(NamedTuple):
    """Rows of a clip as they were tracked, M of them, and who they are of.

    Attributes:
        tracks: the rows, under the ids of tracking.
        ids: ``[M]`` int64, of individuals, from 0 by their first frames; -1 for a row of nobody.
        frames: how many there were.
    """

    tracks: Tracks
    ids: np.ndarray
    frames: int

    def renamed(self) -> Tracks:
        """The rows of somebody, under the ids of individuals."""
        there = self.ids >= 0
        return replace(self.tracks.where(there), id=self.ids[there])


class Gallery:
    """Tracks of a clip as they are made, and portraits of those that nobody touches.

    Memory grows with the rows, by some hundred bytes each, and not with frames or portraits.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        """Frames are of a ``size`` (H, W), pixels."""
        self.size = size
        self._parts: list[Tracks] = []
        self._portraits: dict[tuple[int, int], tuple[int, np.ndarray]] = {}
        self._seen: Counter[int] = Counter()
        self._every = 1

    def add(self, tracks: Tracks, portraits: Mapping[int, np.ndarray]) -> None:
        """The rows of the next frame, and int8 ``[SIDE, SIDE, C]`` of the ids of some of them (portraits.py)."""
        self._parts.append(tracks)
        for frame, name, touches in zip(tracks.frame.tolist(), tracks.id.tolist(), touching(tracks), strict=True):
            if not touches and name in portraits:
                if self._seen[name] % self._every == 0:
                    self._portraits[frame, name] = self._seen[name], portraits[name]
                self._seen[name] += 1
        if self._portraits and len(self._portraits) * next(iter(self._portraits.values()))[1].nbytes > LARGEST:
            self._every *= 2
            self._portraits = {key: one for key, one in self._portraits.items() if one[0] % self._every == 0}

    def identify(self, count: int = 0) -> Identified:
        """All rows, and who they are of; there are ``count`` individuals, if that is not 0."""
        tracks = Tracks.concat(self._parts)
        tracklets = cut(tracks)
        portraits, rows = self._pictures(tracks, tracklets)
        together = tracklets.together()
        seen = np.array([len(mine) > 0 for mine in rows], dtype=bool)
        beside = together & seen & seen[:, None]
        if together.all() or not np.triu(beside, 1).any():  # nothing to decide, or to learn from
            return Identified(tracks, tracks.id, len(self._parts))
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
            torch.manual_seed(0)
            group = self._group(tracks, tracklets, portraits, rows, beside, count)
        return Identified(tracks, rename(tracks, tracklets, group, count), len(self._parts))

    def _group(
        self,
        tracks: Tracks,
        tracklets: Tracklets,
        portraits: Tensor,
        rows: list[np.ndarray],
        beside: np.ndarray,
        count: int,
    ) -> np.ndarray:
        """The individual that each of n tracklets is of, int ``[n]``; ``beside [n, n]`` of which others are seen."""
        rng, group = np.random.default_rng(0), np.arange(len(tracklets))
        embedding = Embedding(portraits)
        among, closed = float(np.log(beside.sum(1).max())), is_closed(tracks, self.size)
        for number, (steps, least) in enumerate(ROUNDS, 1):
            learn(embedding, portraits, rows, beside, group, steps * int(np.clip(len(rows), *TRACKLETS)), rng)
            with torch.no_grad():
                embedded = torch.cat([embedding(part) for part in portraits.split(256)])
            looks = Looks.of(embedded.double().numpy(), rows)
            same = _same(embedded, rows, beside, rng)
            last = number == len(ROUNDS)
            link = partial(_link, tracks, self.size, least=least + among, same=same, closed=closed, last=last)
            group = _by_chapters(tracks, tracklets, looks, link, count)
        return group

    def _pictures(self, tracks: Tracks, tracklets: Tracklets) -> tuple[Tensor, list[np.ndarray]]:
        """Portraits ``[R, C, SIDE, SIDE]``, of a contrast of about 1, and which are of each tracklet."""
        pictures: list[np.ndarray] = []
        rows = []
        for mine in tracklets.rows:
            names = [(int(tracks.frame[row]), int(tracks.id[row])) for row in mine]
            new = [self._portraits[name][1] for name in names if name in self._portraits]
            rows.append(len(pictures) + np.arange(len(new)))
            pictures += new
        if not pictures:
            return torch.zeros(0, 1, SIDE, SIDE), rows
        stack = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
        return stack / stack.abs().flatten(1).amax(1).median().clamp_min(1), rows


def _link(
    tracks: Tracks,
    size: tuple[int, int],
    tracklets: Tracklets,
    together: np.ndarray,
    looks: Looks,
    groups: int,
    *,
    least: float,
    same: float,
    closed: bool,
    last: bool,
) -> np.ndarray:
    """The groups of n tracklets, int ``[n]``; for the arguments see ``Linking``.

    In the ``last`` round what tracking says stands, where nothing was likelier, and there are ``groups`` at most, if
    that is not 0 and they can be one.
    """
    moves = follows(tracklets, tracks, size)
    linking = Linking(tracklets.start, together, moves, looks, same, closed=closed)
    linking.join(least)
    if last:
        linking.keep(np.stack(following(tracklets, tracks), 1))
        if groups:
            linking.join(np.inf, groups)
    return linking.groups()


def _by_chapters(
    tracks: Tracks,
    tracklets: Tracklets,
    looks: Looks,
    link: Callable[[Tracklets, np.ndarray, Looks, int], np.ndarray],
    count: int,
) -> np.ndarray:
    """The groups of n tracklets that ``link`` makes, int ``[n]``: of ``CHAPTER`` at a time, and then of their groups.

    All pairs are weighed, so that the tracklets of a long clip would be too many.
    """
    together = tracklets.together()
    if len(tracklets) <= CHAPTER:
        return link(tracklets, together, looks, count)
    group = np.zeros(len(tracklets), dtype=int)
    for part in np.array_split(np.arange(len(tracklets)), -(-len(tracklets) // CHAPTER)):
        some = Tracklets.of(tracks, [tracklets.rows[k] for k in part])
        group[part] = len(tracklets) + group.max() + link(some, together[np.ix_(part, part)], looks.rows(part), 0)
    group = np.unique(group, return_inverse=True)[1]
    members = [np.flatnonzero(group == name) for name in range(group.max() + 1)]
    rows = [np.concatenate([tracklets.rows[k] for k in mine]) for mine in members]
    share = np.eye(len(rows), dtype=np.float32)[group]  # [n, G]
    there = share.T @ together @ share > 0
    return link(Tracklets.of(tracks, rows), there, looks.merged(group), count)[group]


def _same(embedded: Tensor, rows: list[np.ndarray], there: np.ndarray, rng: np.random.Generator) -> float:
    """Square of a distance of embeddings at which two portraits are as likely of one individual as of two.

    The odds are exp(-d^2) up to a constant, and their mean over pairs of different individuals is 1, where training has
    come to its end. Before, different ones are nearer than that: ``UNTRAINED`` nats.
    """
    pairs = np.argwhere(np.triu(there, 1))
    picked = pairs[rng.integers(len(pairs), size=PAIRS)]
    a, b = (torch.from_numpy(np.array([rng.choice(rows[k]) for k in side])) for side in picked.T)
    away = (embedded[a] - embedded[b]).square().sum(-1).double()
    return float(np.log(len(away)) - torch.logsumexp(-away, 0)) - UNTRAINED
