"""Things before a scene, each of them whole: by how much they differ from it is told from the frames themselves.

At a low level noise is seen as well and neighbours hang together, at a high one a thing falls into its brightest parts.
Between them is a level from which one may go up without anything changing but edges.
"""

from __future__ import annotations

import cv2
import numpy as np

from sqair.datasets.looks import Blob
from sqair.foreground import foreground

LEVELS, EVERY = 12, 4
"""Levels that are tried, on one of so many frames."""
NOISES, LEAST = 4.0, 3 / 255
"""The lowest of them, in standard deviations of the noise, and at least, of 1."""
RARE = 99.9
"""Percentile of all differences that is the highest."""
HIGHER, SAME = 1.5, 0.5
"""At so many times the level a thing is the same if this share of its pixels is left, in one part."""
LOST = 0.5
"""What a thing that is not the same counts against a level, if one that is counts 1."""
ALIKE = 0.9
"""The lowest level is taken that is as good as this share of the best."""
SPECK, FAINTEST = 6, 0.05
"""Least pixels of a thing, and its least share of the ink of a typical one, which half of all ink is of at most."""


def whole_things(away: np.ndarray, noise: float) -> list[list[Blob]]:
    """The things of each frame in what is ``away [T, h, w, C]`` from the scene, of 1, by more than ``noise``."""
    most = np.abs(away).max(-1)
    level = steady_level(most[::EVERY], noise)
    found = [find_blobs(image, foreground(far, level)) for image, far in zip(away, most, strict=True)]
    found = [[blob for blob in blobs if blob.area >= SPECK] for blobs in found]
    kept = iter(counts(np.array([blob.area * blob.contrast for blobs in found for blob in blobs])))
    return [[blob for blob in blobs if next(kept)] for blobs in found]


def steady_level(away: np.ndarray, noise: float) -> float:
    """From which difference on something is of a thing, told from what is ``away [T, h, w]`` from the scene."""
    lowest = max(NOISES * noise, LEAST)
    highest = max(1.01 * lowest, float(np.percentile(away[:, ::4, ::4], RARE)))
    levels = np.geomspace(lowest, highest, LEVELS)
    good = np.array([_same(away, level) for level in levels])
    return float(levels[np.argmax(good >= good.max() - (1 - ALIKE) * abs(good.max()))])


def _same(away: np.ndarray, level: float) -> float:
    """How many things stay the same at a higher level, less a part of those that do not."""
    found = [_stays(image, level) for image in away]
    ink, same = (np.concatenate(values) for values in zip(*found, strict=True))
    same = same[counts(ink)]
    return np.count_nonzero(same) - LOST * np.count_nonzero(~same)


def _stays(away: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The ink ``[M]`` of things in what is ``away [h, w]``, and whether they stay the same at a higher level."""
    count, label, stats, _ = cv2.connectedComponentsWithStats(foreground(away, level), connectivity=8)
    parts, part = cv2.connectedComponents(foreground(away, HIGHER * level), connectivity=8)
    both = (part > 0) & (label > 0)
    whose = np.zeros(parts, np.int64)
    whose[part[both]] = label[both]
    left = np.bincount(label[both], minlength=count)
    same = (np.bincount(whose[1:], minlength=count) == 1) & (left >= SAME * stats[:, cv2.CC_STAT_AREA])
    return np.bincount(label.ravel(), away.ravel(), minlength=count)[1:], same[1:]


def counts(ink: np.ndarray) -> np.ndarray:
    """Which things count, bool ``[M]``, of so much ``ink [M]``."""
    if not len(ink):
        return np.zeros(0, bool)
    ordered = np.sort(ink)
    total = np.cumsum(ordered)
    return ink >= FAINTEST * ordered[np.searchsorted(total, total[-1] / 2)]


def find_blobs(away: np.ndarray, mask: np.ndarray) -> list[Blob]:
    """Connected parts of a ``mask`` uint8 ``[h, w]`` of what is ``away [h, w, C]`` from the scene."""
    number, label, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found = []
    for i in range(1, number):
        x, y, w, h, area = stats[i].tolist()
        squares = away[y : y + h, x : x + w][label[y : y + h, x : x + w] == i] ** 2
        found.append(Blob((w, h), area, float(squares.sum()), float(np.sqrt(squares.mean()))))
    return found
