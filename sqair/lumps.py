"""Lumps: whether ink is of one thing or of two, by its shape and by how much of it there is.

Where two things touch, a window over both explains them as well as two windows do: the likelihood does not tell. Two
Gaussians do, if they fit the places of the ink by many nats a pixel better than one; and how large things are where
each of them is alone.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from torch import Tensor

from sqair.config import ModelConfig
from sqair.masks import outlines
from sqair.state import Step
from sqair.stretch import stretched

CLEAR = 0.35
"""Share of the mean contrast of an object that a pixel of its ink has at least."""
BESIDE = 3
"""Pixels by which ink may be beside what is drawn of an object: two things may be drawn as what is between them."""
LUMPED = 0.2
"""Nats a pixel by which two Gaussians fit the ink of two things better: an ellipse has .06, a bent one .1."""
LARGER, SMALLER = 1.35, 0.5
"""Ink of two things, and of the smaller lump of them, in that of a typical one: there is more than so much."""
ROUNDS = 15
"""Of expectation and maximisation."""
PIXEL = 0.5
"""Least variance of a lump, pixels^2: a line of pixels has a width."""
FEWEST = 4
"""Pixels of the smaller lump."""


class Lumps(NamedTuple):
    """Two Gaussians that fit the places of N pixels.

    Attributes:
        gain: nats a pixel by which they fit better than one.
        first: bool ``[N]``, which are rather of the first.
    """

    gain: float
    first: np.ndarray


def lumps(place: np.ndarray) -> Lumps | None:
    """The two Gaussians that fit places ``[N, 2]`` (x, y) best, of four ways to begin; None if they are too few.

    They are fit by expectation and maximisation, from halves along and across the ink, and aslant.
    """
    if len(place) < 2 * FEWEST:
        return None
    x, y = middle = (place - place.mean(0)).T
    moments = np.stack([np.ones(len(place)), x, y, x * x, x * y, y * y])
    one = _log_density(moments, np.ones(len(place))).mean()
    _, axes = np.linalg.eigh(middle @ middle.T)
    ways = np.stack([axes[:, 1], axes[:, 0], axes.sum(1), axes[:, 0] - axes[:, 1]])
    share = np.where(ways @ middle > 0, 0.95, 0.05)  # [4, N]
    for _ in range(ROUNDS):
        each = _log_density(moments, np.stack([share, 1 - share]))
        total = np.logaddexp(*each)
        share = np.exp(each[0] - total)
    first, gain = share > 0.5, total.mean(1) - one
    few = np.minimum(first.sum(1), (~first).sum(1)) < FEWEST
    best = np.where(few, -np.inf, gain).argmax()
    return None if few[best] else Lumps(float(gain[best]), first[best])


def _log_density(moments: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Log of weight and density ``[..., N]`` of the Gaussians that fit N places, each by its ``share [..., N]``.

    ``moments [6, N]`` are 1, x, y, x x, x y and y y of the places: a Gaussian is fit by their means, and the log of its
    density is a sum of them.
    """
    weight = share.sum(-1) + 1e-9
    mean = (share @ moments.T) / weight[..., None]
    _, x, y, xx, xy, yy = np.moveaxis(mean, -1, 0)
    xx, xy, yy = xx - x * x + PIXEL, xy - x * y, yy - y * y + PIXEL
    det = xx * yy - xy * xy
    a, b, c = yy / det, -xy / det, xx / det
    constant = a * x * x + 2 * b * x * y + c * y * y
    form = np.stack([constant, -2 * (a * x + b * y), -2 * (b * x + c * y), a, 2 * b, c], -1)
    rest = np.log(weight / share.shape[-1]) - 0.5 * np.log(det)
    return rest[..., None] - 0.5 * form @ moments


class Ink:
    """Where objects show on the canvas by ink of their own.

    Attributes:
        shown: int64 ``[h, w]``, 1 and the id of the object that shows in a pixel, or 0.
    """

    def __init__(self, step: Step, frame: Tensor, config: ModelConfig) -> None:
        """Of the one clip of a ``frame [1, C, h, w]``, explained before a scene."""
        assert step.behind is not None
        labels = outlines(step, 1)[0].cpu().numpy()
        image, behind = stretched(frame, step.behind.image, config)
        away = (image - behind).abs().amax(1)[0].cpu().numpy()
        total = np.bincount(labels.ravel(), away.ravel())
        least = CLEAR * total / np.bincount(labels.ravel()).clip(1)
        shown = np.where(away >= least[labels], labels, 0).astype(np.float32)
        for _ in range(BESIDE):
            near = cv2.dilate(shown, np.ones((3, 3), np.uint8))
            shown = np.where((shown == 0) & (away >= least[near.astype(np.int64)]), near, shown)
        self.shown = shown.astype(np.int64)
        self._area = np.bincount(self.shown.ravel())

    def area(self, *names: int) -> int:
        """Pixels of some objects."""
        return int(sum(self._area[name + 1] for name in names if name + 1 < len(self._area)))

    def two(self, names: list[int], typical: float) -> tuple[np.ndarray, np.ndarray] | None:
        """The places ``[N, 2]`` (x, y) of the two things that some objects are, pixels; None if they are one.

        A ``typical`` thing has so many pixels where it is alone.
        """
        if self.area(*names) <= LARGER * typical:
            return None
        rows, columns = np.nonzero(np.isin(self.shown, np.array(names) + 1))
        place = np.stack([columns, rows], 1) + 0.5
        found = lumps(place)
        if found is None or found.gain <= LUMPED:
            return None
        first, second = place[found.first], place[~found.first]
        return (first, second) if min(len(first), len(second)) > SMALLER * typical else None
