"""Parts: of a thing that is larger than the model knows, or bends, two pieces may be found, each as an object.

Who was never seen apart from another object, and looks like it, is a part of it. Individuals come into view, go out of
it and cross; each of them is alone at some time, and keeps what it has shown then. Where it was seen how large
individuals are, two that look like two of them are no parts of each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sqair.lumps import Ink

ALONE = 3
"""Frames in a row in which something hangs together with no other object, from which on it is an individual."""
KNOWN, ALIKE = 4, 0.2
"""Individuals from which on it is known how large one is, and the standard deviation of the log of their ink up to
which it is."""
NORMAL = 1.48
"""Standard deviation of a Gaussian over the median of what it differs from its own."""
SLOW = 0.02
"""Least weight of a frame in how large an individual is, which is a running mean."""


@dataclass
class _Known:
    """What is known of an object: the last frame it was in; frames in a row for which it was alone, up to ``ALONE``,
    where that stays; and for how many frames it was alone, with the mean of its ink then, pixels of the canvas."""

    seen: int = 0
    in_row: int = 0
    alone: int = 0
    ink: float = 0.0

    @property
    def individual(self) -> bool:
        return self.in_row == ALONE


class Parts:
    """What of the objects of one video is a part of which."""

    def __init__(self, memory: int) -> None:
        """``memory``: frames after which an id that is not seen is forgotten, as it does not return."""
        self._memory = memory
        self._frame = 0
        self._known: dict[int, _Known] = {}

    @property
    def typical(self) -> float | None:
        """The ink of an individual where it is alone, pixels of the canvas.

        None if individuals differ, or too few were seen.
        """
        known = np.log([max(one.ink, 1.0) for one in self._known.values() if one.alone >= ALONE])
        if len(known) < KNOWN:
            return None
        middle = np.median(known)
        spread = NORMAL * np.median(np.abs(known - middle))
        return float(np.exp(middle)) if spread <= ALIKE else None

    def learn(self, ids: np.ndarray, joined: np.ndarray, ink: Ink) -> None:
        """Takes in the objects ``ids [M]`` of the next frame.

        Args:
            joined: bool ``[M, M]``, symmetric, which of them hang together and look alike.
            ink: where they show.
        """
        self._frame += 1
        alone = ~(joined & ~np.eye(len(ids), dtype=bool)).any(1)
        for name, free in zip(ids.tolist(), alone.tolist(), strict=True):  # type: ignore[arg-type]
            one = self._known.setdefault(name, _Known())
            one.seen = self._frame
            if not one.individual:
                one.in_row = one.in_row + 1 if free else 0
            if free:
                one.alone += 1
                one.ink += max(1 / one.alone, SLOW) * (ink.area(name) - one.ink)
        self._known = {name: one for name, one in self._known.items() if self._frame - one.seen <= self._memory}

    def wholes(self, ids: np.ndarray, joined: np.ndarray, ink: Ink) -> np.ndarray:
        """What the objects ``ids [M]`` of the last frame are parts of, as ids ``[M]``: of themselves if of none.

        It is the individual among those that are parts of one thing, or else the first by id. Those come together first
        that have least ink together, as long as that may be of one thing. Arguments are those of ``learn``.
        """
        typical, names = self.typical, ids.tolist()
        group = {name: [name] for name in names}
        pairs = {(names[i], names[k]) for i, k in np.argwhere(np.triu(joined, 1))}
        while pairs:
            pair = min(pairs, key=lambda pair: (ink.area(*{*group[pair[0]], *group[pair[1]]}), pair))
            pairs.remove(pair)
            both = sorted({*group[pair[0]], *group[pair[1]]})
            individuals = sum(self._known[name].individual for name in both)
            if individuals < 2 and (typical is None or ink.two(both, typical) is None):
                group.update(dict.fromkeys(both, both))
        first = {name: min(some, key=lambda each: not self._known[each].individual) for name, some in group.items()}
        return np.array([first[name] for name in names], dtype=np.int64)


def put_together(box: np.ndarray, ids: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Boxes ``[M, 4]`` (x, y, w, h) of the objects ``ids [M]``, those of the parts of each around them as well."""
    found = box.copy()
    for i in np.flatnonzero(ids == wholes):
        mine = box[wholes == ids[i]]
        low, high = mine[:, :2].min(0), (mine[:, :2] + mine[:, 2:]).max(0)
        found[i] = [*low, *(high - low)]
    return found
