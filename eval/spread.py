"""How far futures lie apart, and how well they do beside what came: by how far ahead they are.

K futures of M objects, ``h`` frames ahead, as centres in pixels. Where the past decides, a calibrated model's futures
lie together; where it does not, apart, and as far from what comes as from each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """Of some objects, in each of ``h`` frames ahead, pixels, NaN where nobody was seen.

    Attributes:
        apart: ``[h]`` root mean square distance of futures from their mean, over both axes.
        error: ``[h]`` root mean square distance of what came from the mean of the futures. Of a calibrated model that
            is ``apart``, times the root of 1 + 1/K, for K futures.
        mean: ``[h]`` mean distance of what came from the mean of the futures, and ``best``: from the future that is
            nearest on average over all frames ahead, of the K.
        straight, resting: ``[h]`` mean distance of what came from where an object would be that goes on as it last did,
            or stays.
        objects: how many there were.
    """

    apart: np.ndarray
    error: np.ndarray
    mean: np.ndarray
    best: np.ndarray
    straight: np.ndarray
    resting: np.ndarray
    objects: int


def spread(futures: np.ndarray, came: np.ndarray, seen: np.ndarray, last: np.ndarray, before: np.ndarray) -> Spread:
    """Spread of ``futures [K, h, M, 2]``, K > 1, beside what ``came [h, M, 2]`` where it was ``seen [h, M]``.

    Args:
        last, before: ``[M, 2]``, where the objects were in the last frame that was observed, and how far they had come
            since the one before it.
    """
    ahead = np.arange(1, len(came) + 1)[:, None, None]
    middle = futures.mean(0)

    def off(places: np.ndarray) -> np.ndarray:
        return np.where(seen, np.linalg.norm(places - came, axis=-1), np.nan)

    each = np.where(seen, np.linalg.norm(futures - came, axis=-1), np.nan)  # [K, h, M]
    best = _average(each, 1).argmin(0) if each.size else np.zeros(len(last), int)
    nearest = futures[best, :, np.arange(len(best))].swapaxes(0, 1)  # [h, M, 2]
    apart = np.where(seen, futures.var(0, ddof=1).sum(-1), np.nan)
    return Spread(
        apart=np.sqrt(_average(apart, 1)),
        error=np.sqrt(_average(off(middle) ** 2, 1)),
        mean=_average(off(middle), 1),
        best=_average(off(nearest), 1),
        straight=_average(off(last + ahead * before), 1),
        resting=_average(off(np.broadcast_to(last, came.shape)), 1),
        objects=len(last),
    )


def situations(
    last: np.ndarray, before: np.ndarray, size: np.ndarray, clip: np.ndarray, canvas: tuple[int, int], ahead: int
) -> dict[str, np.ndarray]:
    """Which of M objects have what before them, bool ``[M]``, were they to go on as they did for ``ahead`` frames.

    ``wall``: its box (``size [M, 2]``: w, h) comes to leave the ``canvas`` (H, W); ``meeting``: no wall, but its box
    meets another of its ``clip [M]``; ``free``: neither.
    """
    time = np.arange(ahead + 1)[:, None, None]
    path = last + time * before  # [h + 1, M, 2]
    room = np.array([canvas[1], canvas[0]])
    wall = ((path - size / 2 < 0) | (path + size / 2 > room)).any((0, 2))
    apart = np.abs(path[:, :, None] - path[:, None]) - (size[:, None] + size) / 2  # [h + 1, M, M, 2]
    meets = (apart < 0).all(-1).any(0) & (clip[:, None] == clip) & ~np.eye(len(clip), dtype=bool)
    meeting = meets.any(1) & ~wall
    return {"free": ~wall & ~meeting, "meeting": meeting, "wall": wall}


def _average(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    number = known.sum(axis)
    return np.where(number, np.where(known, values, 0).sum(axis) / np.maximum(number, 1), np.nan)
