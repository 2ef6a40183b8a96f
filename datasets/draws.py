"""Random numbers that a clip owns: the same whichever other clips are drawn beside it."""

from __future__ import annotations

import hashlib
from copy import copy

import numpy as np


class Draws:
    """The random numbers of the clips ``start`` to ``start + count`` of one (recipe, split, seed).

    Each purpose has a stream of its own, keyed by its name, from the counter-based generator Philox; a clip's
    place in the stream follows from its index. So a clip is reproducible by itself, and more numbers for one
    purpose do not disturb another.
    """

    def __init__(self, recipe: str, split: str, seed: int, start: int, count: int) -> None:
        self._name = f"{recipe}/{split}/{seed}"
        self.start = start
        self.count = count

    def part(self, name: str) -> Draws:
        """Random numbers of a part of the same clips, such as one object, beside those of the whole."""
        part = copy(self)
        part._name = f"{self._name}/{name}"
        return part

    def uniform(self, purpose: str, n: int) -> np.ndarray:
        """``[count, n]`` float64, uniform in [0, 1)."""
        key = np.frombuffer(hashlib.sha256(f"{self._name}/{purpose}".encode()).digest()[:16], "<u8")
        blocks = -(-n // 4)  # Philox makes four words per step of its counter
        generator = np.random.Philox(key=key)
        generator.advance(self.start * blocks)
        words = generator.random_raw(self.count * blocks * 4).reshape(self.count, blocks * 4)[:, :n]
        return (words >> np.uint64(11)) * 2.0**-53

    def normal(self, purpose: str, n: int) -> np.ndarray:
        """``[count, n]`` float64, standard normal (Box and Muller's transform)."""
        u = self.uniform(purpose, 2 * n)
        return np.sqrt(-2 * np.log1p(-u[:, :n])) * np.cos(2 * np.pi * u[:, n:])


def pick(u: np.ndarray, n: int | np.ndarray) -> np.ndarray:
    """Integers 0 to ``n - 1``, equiprobable, from uniform numbers of any shape."""
    return np.floor(u * n).astype(np.int64)


def pick_distinct(u: np.ndarray, n: int) -> np.ndarray:
    """``[m, K]`` integers 0 to ``n - 1``, distinct within a row, all such rows equiprobable.

    ``u`` is ``[m, K]``, uniform in [0, 1).
    """
    chosen = np.empty(u.shape, np.int64)
    for k in range(u.shape[1]):
        value = pick(u[:, k], n - k)
        for earlier in np.sort(chosen[:, :k], axis=1).T:
            value += value >= earlier
        chosen[:, k] = value
    return chosen
