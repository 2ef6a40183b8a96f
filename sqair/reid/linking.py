"""Which tracklets are of one individual: the likeliest pair is joined first, until none is likelier than not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MOST_LOOKS = (-8.0, 4.0)
"""Least and most nats of evidence from looks."""
DIFFERENT = 3.0
"""By how much more it tells to be beyond the distance at which looks say nothing: different ones are trained to be no
further apart than they have to."""
FEW = 8
"""Portraits of a tracklet that are worth half of what many are."""
FEWEST, ENOUGH = 0.1, 50.0
"""What a tracklet counts for the looks of an individual, in portraits: least and most."""


class Looks(NamedTuple):
    """What groups of portraits look like.

    Attributes:
        mean: ``[n, SIZE]`` of their embeddings, and ``spread [n]`` their mean square about it.
        weight: ``[n]``, of each in the mean of several.
        worth: ``[n]``, how many tracklets' looks are known, in tracklets of many portraits.
    """

    mean: np.ndarray
    spread: np.ndarray
    weight: np.ndarray
    worth: np.ndarray

    @staticmethod
    def of(embedded: np.ndarray, rows: list[np.ndarray]) -> Looks:
        """Of the embeddings ``[R, SIZE]`` in some rows each; where there are none they are anybody's."""
        number = np.array([len(mine) for mine in rows], dtype=float)
        mean, spread = np.tile(embedded.mean(0), (len(rows), 1)), np.full(len(rows), embedded.var(0).sum())
        for k in np.flatnonzero(number):
            mean[k], spread[k] = embedded[rows[k]].mean(0), embedded[rows[k]].var(0).sum()
        return Looks(mean, spread, number.clip(FEWEST, ENOUGH), number / (number + FEW))

    def merged(self, group: np.ndarray) -> Looks:
        """The looks of groups 0 to G - 1 of them, ``group [n]``."""
        weight = np.bincount(group, self.weight)
        share = np.eye(len(weight))[:, group] * self.weight / weight[:, None]  # [G, n]
        return Looks(share @ self.mean, share @ self.spread, weight, np.bincount(group, self.worth))

    def rows(self, index: np.ndarray) -> Looks:
        """Those that ``index`` picks."""
        return Looks(*(part[index] for part in self))


class Linking:
    """Groups of tracklets, of which pairs are joined; a group is one individual as far as is known."""

    def __init__(
        self, start: np.ndarray, together: np.ndarray, moves: np.ndarray, looks: Looks, same: float, *, closed: bool
    ) -> None:
        """
        Args:
            start: ``[n]``, the first frames of n tracklets.
            together: bool ``[n, n]``, which are there at the same time.
            moves: ``[n, n]`` nats for that one goes on as another.
            looks: of each.
            same: square of a distance of embeddings at which they are as likely of one individual as of two.
            closed: all individuals are there all the time. Then whoever looks like one is that one, the more surely the
                more often it was seen; where they come and go, another may look the same.
        """
        n = len(start)
        self.start, self.same, self.closed, self.next = start, same, closed, moves
        self.members: list[list[int]] = [[k] for k in range(n)]
        self.together = together.copy()
        self.looks = Looks(*(part.copy() for part in looks))
        self.score = np.full((n, n), -np.inf)
        for k in range(n):
            self._weigh(k)

    def join(self, least: float, groups: int = 0) -> None:
        """Joins pairs that have at least ``least`` nats for it, and any that can be one while there are more than
        ``groups``, if that is not 0."""
        while self.score.size:
            k, other = np.unravel_index(self.score.argmax(), self.score.shape)
            best, left = self.score[k, other], sum(map(bool, self.members))
            if not (best >= least or (groups and left > groups and np.isfinite(best))):
                return
            self._join(int(k), int(other))

    def keep(self, pairs: np.ndarray) -> None:
        """Joins the groups of pairs of tracklets ``[P, 2]`` where they can still be one, the likeliest first."""
        while len(pairs):
            score = self.score[tuple(self.groups()[pairs].T)]
            if not np.isfinite(score.max()):
                return
            k, other = self.groups()[pairs[score.argmax()]]
            self._join(int(k), int(other))

    def groups(self) -> np.ndarray:
        """The group of each tracklet, int ``[n]``."""
        group = np.zeros(len(self.members), dtype=int)
        for name, members in enumerate(self.members):
            group[members] = name
        return group

    def _join(self, k: int, other: int) -> None:
        """Makes group ``other`` a part of group ``k``."""
        for part, new in zip(self.looks, self.looks.rows(np.array([k, other])).merged(np.zeros(2, int)), strict=True):
            part[k] = new[0]
        self.members[k] = self._order(k, other)
        self.members[other] = []
        self.together[k] |= self.together[other]
        self.together[:, k] |= self.together[:, other]
        self.score[other] = self.score[:, other] = -np.inf
        self._weigh(k)

    def _weigh(self, k: int) -> None:
        """Scores group ``k`` with all others, nats."""
        mean, spread, _, worth = self.looks
        away = ((mean - mean[k]) ** 2).sum(-1) + spread + spread[k]
        worth, looks = np.minimum(worth, worth[k]), self.same - away
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
