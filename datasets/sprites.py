"""Sprites: shapes as alpha masks.

Shapes are sets of points (u, v) in the square [-1, 1] x [-1, 1], v downwards.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from sqair.datasets.digits import linear_weights

PRIMARIES = np.array([[0, 0, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 1, 0]], np.float64) * 255
"""The six colours of Sprites-MOT and of SILOT's shapes: all but black and white of what 0 and 255 make, RGB."""
FINE = 4
"""Points across a pixel, and as many down, at which it is asked whether it is in a shape."""


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Five points, one upwards: straight lines between radius 1 and 0.42, at every tenth of a turn."""
    angle = np.mod(np.arctan2(u, -v), 2 * np.pi / 5)
    angle = np.minimum(angle, 2 * np.pi / 5 - angle)
    radius = np.hypot(u, v)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    inner_x, inner_y = 0.42 * np.cos(np.pi / 5), 0.42 * np.sin(np.pi / 5)
    return inner_y * (1 - x) >= y * (1 - inner_x)


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    x, y = 1.15 * u, 0.12 - 1.15 * v
    return (x**2 + y**2 - 1) ** 3 <= x**2 * y**3


SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": lambda u, v: u**2 + v**2 <= 1,
    "ellipse": lambda u, v: u**2 + (v / 0.6) ** 2 <= 1,
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) <= 0.85,
    "diamond": lambda u, v: np.abs(u) + np.abs(v) <= 1,
    "plus": lambda u, v: (np.minimum(np.abs(u), np.abs(v)) <= 0.3) & (np.maximum(np.abs(u), np.abs(v)) <= 1),
    "x": lambda u, v: (np.abs(np.abs(u) - np.abs(v)) <= 0.4) & (np.maximum(np.abs(u), np.abs(v)) <= 1),
    "star": _star,
    "heart": _heart,
}


@lru_cache(maxsize=256)
def mask(shape: str, side: int) -> np.ndarray:
    """Alpha ``[side, side]`` of an upright shape that fills the square."""
    at = (np.arange(side * FINE) + 0.5) * 2 / (side * FINE) - 1
    return _mean(SHAPES[shape](at[None, :], at[:, None]))


def turned(shape: str, size: float, angle: float, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A shape of any size and angle at any place.

    Args:
        size: side in pixels of the square [-1, 1] x [-1, 1].
        angle: radians, by which it is turned.
        centre: ``[2]``, x and y on the canvas in pixels.

    Returns:
        Alpha ``[h, w]``, x and y ``[2]`` int64 of its top left pixel, and u and v of the pixels' centres,
        ``[h, w, 2]``.
    """
    reach = int(np.ceil(size / np.sqrt(2))) + 1
    corner = np.floor(centre).astype(np.int64) - reach
    side = 2 * reach + 1
    fine = (np.arange(side * FINE) + 0.5) / FINE
    alpha = _mean(SHAPES[shape](*_own(fine, corner, size, angle, centre)))
    return alpha, corner, np.stack(_own(np.arange(side) + 0.5, corner, size, angle, centre), -1)


def _own(
    at: np.ndarray, corner: np.ndarray, size: float, angle: float, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates u and v, ``[P, P]`` each, of the points ``at`` ([P], from ``corner`` on) of both axes."""
    x, y = (2 * (at + corner[axis] - centre[axis]) / size for axis in (0, 1))
    x, y = x[None, :], y[:, None]
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def _mean(fine: np.ndarray) -> np.ndarray:
    side = len(fine) // FINE
    return fine.reshape(side, FINE, side, FINE).mean((1, 3))


TBA_SHAPES = ("circle", "rectangle", "triangle", "diamond")


@lru_cache(maxsize=4096)
def tba_mask(shape: str, side: int, width: int, height: int) -> np.ndarray:
    """Alpha ``[height, width]`` of a sprite of Sprites-MOT: a template of ``side`` pixels with hard edges, stretched.

    Stretching interpolates linearly between the centres of pixels, which makes the edges soft, as in the published
    script.
    """
    template = _template(shape, side).astype(np.int64)
    down, down_total = linear_weights(side, height)
    across, across_total = linear_weights(side, width)
    return down @ template @ across.T / (down_total * across_total)


def _template(shape: str, side: int) -> np.ndarray:
    """``[side, side]`` bool."""
    y, x = np.mgrid[:side, :side]
    away_x, away_y = np.abs(x - (side - 1) / 2), np.abs(y - (side - 1) / 2)
    if shape == "circle":
        return away_x**2 + away_y**2 <= (side / 2) ** 2
    if shape == "diamond":
        return away_x + away_y <= side / 2
    if shape == "triangle":
        return side - y <= 2 * (np.minimum(x, side - 1 - x) + 1)
    return np.ones((side, side), bool)
