"""Parts: of a thing that is larger than the model knows, or bends, two pieces may be found, each as an object.

Who was never seen apart from another object, and looks like it, is a part of it. Individuals come into view, go out of
it and cross; each of them is alone at some time, and keeps what it has shown then.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components

ALONE = 3
"""Frames in a row in which something hangs together with no other object, from which on it is an individual."""


class Parts:
    """What of the objects of one video is a part of which."""

    def __init__(self, memory: int) -> None:
        """``memory``: frames after which an id that is not seen is forgotten, as it does not return."""
        self._memory = memory
        self._frame = 0
        self._alone: dict[int, int] = {}
        """Frames in a row for which each was alone, up to ``ALONE``, where it stays."""
        self._seen: dict[int, int] = {}
        """The last frame of each."""

    def wholes(self, ids: np.ndarray, joined: np.ndarray) -> np.ndarray:
        """What the objects ``ids [M]`` of the next frame are parts of, as ids ``[M]``: of themselves if of none.

        It is the first, by id, of the individuals that hang together with it, or else of all that do, itself included.

        Args:
            joined: bool ``[M, M]``, symmetric, which of them hang together and look alike.
        """
        self._learn(ids, joined)
        if not len(ids):
            return ids
        individual = np.array([self._alone[name] == ALONE for name in ids.tolist()], bool)
        _, group = connected_components(joined, directed=False)
        found = ids.copy()
        for i in np.flatnonzero(~individual):
            near, all_of_it = joined[i] & individual, group == group[i]
            for some in (near, all_of_it & individual, all_of_it):
                if some.any():
                    found[i] = ids[some].min()
                    break
        return found

    def _learn(self, ids: np.ndarray, joined: np.ndarray) -> None:
        self._frame += 1
        alone = ~(joined & ~np.eye(len(ids), dtype=bool)).any(1)
        for name, free in zip(ids.tolist(), alone.tolist(), strict=True):  # type: ignore[arg-type]
            before = self._alone.get(name, 0)
            self._alone[name] = ALONE if before == ALONE else before + 1 if free else 0
            self._seen[name] = self._frame
        for name in [name for name, last in self._seen.items() if self._frame - last > self._memory]:
            del self._seen[name], self._alone[name]


def put_together(box: np.ndarray, ids: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Boxes ``[M, 4]`` (x, y, w, h) of the objects ``ids [M]``, those of the parts of each around them as well."""
    found = box.copy()
    for i in np.flatnonzero(ids == wholes):
        mine = box[wholes == ids[i]]
        low, high = mine[:, :2].min(0), (mine[:, :2] + mine[:, 2:]).max(0)
        found[i] = [*low, *(high - low)]
    return found
