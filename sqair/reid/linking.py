"""Which tracklets are of one individual: the likeliest pair is joined first, until none is likelier than not."""

from __future__ import annotations

import numpy as np

from sqair.reid.tracklets import Tracklets

MOST_LOOKS = (-8.0, 4.0)
"""Least and most nats of evidence from looks."""
DIFFERENT = 3.0
"""By how much more it tells to be beyond the distance at which looks say nothing: different ones are trained to be no
further apart than they have to."""
FEW = 8
"""Portraits of a tracklet that are worth half of what many are."""
ENOUGH = 50
"""Portraits from which on a tracklet counts no more for the looks of an individual."""


class Linking:
    """Groups of tracklets, of which pairs are joined; a group is one individual as far as is known."""

    def __init__(
        self,
        tracklets: Tracklets,
        moves: np.ndarray,
        looks: np.ndarray,
        spread: np.ndarray,
        same: float,
        *,
        closed: bool,
    ) -> None:
        """
        Args:
            tracklets: n of them.
            moves: ``[n, n]`` nats for that one goes on as another.
            looks: ``[n, SIZE]`` mean embeddings, and ``spread [n]`` their mean square about it.
            same: square of a distance of embeddings at which they are as likely of one individual as of two.
            closed: all individuals are there all the time. Then whoever looks like one is that one, the more surely the
                more often it was seen; where they come and go, another may look the same.
        """
        n = len(tracklets)
        self.start, self.same, self.closed = tracklets.start, same, closed
        self.next = moves
        self.members: list[list[int]] = [[k] for k in range(n)]
        self.together = tracklets.together()
        number = np.array([len(rows) for rows in tracklets.rows], dtype=float)
        self.weight = np.minimum(number, ENOUGH)
        self.worth = number / (number + FEW)
        self.looks, self.spread = looks.copy(), spread.copy()
        self.score = np.full((n, n), -np.inf)
        for k in range(n):
            self._weigh(k)

    def join(self, least: float, groups: int = 0) -> np.ndarray:
        """Joins pairs that have at least ``least`` nats for it, and any that can be one while there are more than
        ``groups``, if that is not 0; returns the group of each tracklet, int ``[n]``."""
        while self.score.size:
            k, other = np.unravel_index(self.score.argmax(), self.score.shape)
            best, left = self.score[k, other], sum(map(bool, self.members))
            if not (best >= least or (groups and left > groups and np.isfinite(best))):
                break
            self._join(int(k), int(other))
        group = np.zeros(len(self.members), dtype=int)
        for name, members in enumerate(self.members):
            group[members] = name
        return group

    def _join(self, k: int, other: int) -> None:
        """Makes group ``other`` a part of group ``k``."""
        share = self.weight[[k, other]] / self.weight[[k, other]].sum()
        self.looks[k] = share @ self.looks[[k, other]]
        self.spread[k] = share @ self.spread[[k, other]]
        self.worth[k] += self.worth[other]
        self.weight[k] += self.weight[other]
        self.members[k] = self._order(k, other)
        self.members[other] = []
        self.together[k] |= self.together[other]
        self.together[:, k] |= self.together[:, other]
        self.score[other] = self.score[:, other] = -np.inf
        self._weigh(k)

    def _weigh(self, k: int) -> None:
        """Scores group ``k`` with all others, nats."""
        away = ((self.looks - self.looks[k]) ** 2).sum(-1) + self.spread + self.spread[k]
        worth, looks = np.minimum(self.worth, self.worth[k]), self.same - away
        looks = np.where(looks < 0, DIFFERENT * looks, looks).clip(*MOST_LOOKS)
        often = worth if self.closed else np.minimum(worth, 1)
        score = np.where(looks > 0, often, worth) * looks
        can = np.array([bool(members) for members in self.members]) & ~self.together[k]
        can[k] = False
        for other in np.flatnonzero(can):
            score[other] += self._chain(self._order(k, int(other))) - self._chain(self.members[k])
            score[other] -= self._chain(self.members[other])
        score[~can] = -np.inf
        self.score[k] = self.score[:, k] = score

    def _order(self, k: int, other: int) -> list[int]:
        """The tracklets of two groups, by their first frames."""
        return sorted(self.members[k] + self.members[other], key=self.start.__getitem__)

    def _chain(self, members: list[int]) -> float:
        """Nats for that tracklets go on as the next, from each to the next."""
        return float(self.next[members[:-1], members[1:]].sum())
