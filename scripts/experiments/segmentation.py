"""How segments, which label each pixel with an object, agree with the truth and with one another."""

from __future__ import annotations

import numpy as np

from sqair.eval.masks import contingency

ONCE = 0.75
"""Share of a digit that one object has to explain, and of an object that has to be the digit's."""
HALF = 0.5
"""Share of a digit that an object explains if it is the digit's."""


def adjusted_rand(a: np.ndarray, b: np.ndarray) -> float:
    """Adjusted Rand index of two labellings of the same pixels: 1 where they agree, 0 on average by chance.

    Hubert and Arabie, Comparing partitions, 1985. Two labellings with one label each agree.
    """
    count, _, _ = contingency(a, b)
    pairs = [(n * (n - 1) / 2).sum() for n in (count, count.sum(1), count.sum(0), count.sum())]
    together, of_a, of_b, everything = pairs
    chance = of_a * of_b / max(everything, 1)
    most = (of_a + of_b) / 2
    return 1.0 if most == chance else float((together - chance) / (most - chance))


def explained_once(segments: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """For each digit of a frame, whether exactly one object explains it, and nothing else: bool ``[K]``.

    Args:
        segments: ``[H, W]``, as ``Look.segments``.
        truth: ``[H, W]``, which digit shows, as ``make_segments`` says.
    """
    count, digits, objects = contingency(truth, segments)
    share = count / np.maximum(count.sum(1, keepdims=True), 1)
    # what an object covers beyond digits is blur, no one's
    own = count / np.maximum(count[digits > 0].sum(0, keepdims=True), 1)
    good = (share >= ONCE) & (own >= ONCE) & (objects > 0)
    return good.sum(1)[digits > 0] == 1


def glimpses(segments: np.ndarray, truth: np.ndarray) -> str:
    """Of a frame of two digits: "one" object explains half of both or more, "two" one each, or it is "other".

    The arguments are those of ``explained_once``.
    """
    count, digits, objects = contingency(truth, segments)
    count = count[digits > 0]
    if len(count) != 2:
        return "other"
    owns = (count >= HALF * count.sum(1, keepdims=True)) & (objects > 0)
    if owns.all(0).any():
        return "one"
    return "two" if owns.any(1).all() else "other"
