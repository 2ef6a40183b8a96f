"""Two digits that touch: pairs that part after a while, and pairs that stay together.

Axes as in motion.py, with K = 2.
"""

from __future__ import annotations

import numpy as np

from sqair.datasets.draws import Draws, pick_distinct
from sqair.datasets.recipes import Recipe
from sqair.datasets.walls import reflect
from sqair.errors import UserError

TOUCH = 3
"""Pixels that the boxes of the two overlap by, on the axis on which they lie side by side."""
TOGETHER = 3
"""Frames of a clip in which a pair that parts is still together."""
SLOWEST = 0.25
"""Least speed of parting, as a share of the recipe's speed; the greatest is thrice that."""


def parting(recipe: Recipe, draws: Draws, size: np.ndarray, canvas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that lie in the middle of the canvas along their axis, drift across it, and after a while move apart.

    Returns:
        which ``[n, 2]`` and position ``[n, T, 2, 2]``.

    Raises:
        UserError: the recipe asks for another number of digits, or pairs do not fit the canvas.
    """
    which, along, offset, room = _pairs(recipe, draws, size, canvas)
    u = draws.uniform("motion", 4)
    start = np.where(along, 0.5, u[:, :2]) * room
    velocity = np.where(along, 0, (2 * u[:, 2:] - 1) * recipe.speed / 4)
    body = _walk(start, velocity, room, recipe.length)
    late = np.maximum(np.arange(recipe.length) - (TOGETHER - 1), 0)[:, None, None]
    speed = recipe.speed * SLOWEST * (1 + 2 * draws.uniform("parting", 1))[:, :, None, None]
    apart = late * speed * along[:, None, None] * np.array([-1, 1])[:, None]
    position = body[:, :, None] + offset[:, None] + apart
    return which, np.clip(position, 0, canvas - size[which][:, None])


def together(recipe: Recipe, draws: Draws, size: np.ndarray, canvas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that move and bounce as one body; returns and raises as ``parting`` does."""
    which, _, offset, room = _pairs(recipe, draws, size, canvas)
    u = draws.uniform("motion", 4)
    body = _walk(u[:, :2] * room, (2 * u[:, 2:] - 1) * recipe.speed, room, recipe.length)
    return which, body[:, :, None] + offset[:, None]


def _pairs(
    recipe: Recipe, draws: Draws, size: np.ndarray, canvas: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which digits ``[n, 2]``; the axis on which they lie side by side, as a mask ``[n, 2]`` over x and y; where each
    lies in the box of both, ``[n, 2, 2]``; and how far that box can move, ``[n, 2]``."""
    if (recipe.min_objects, recipe.max_objects) != (2, 2):
        raise UserError(f"{recipe.name} shows pairs: leave min_objects and max_objects at 2")
    which = pick_distinct(draws.uniform("which", 2), len(size))
    along = np.stack([draws.uniform("axis", 1)[:, 0] < 0.5] * 2, 1) ^ [False, True]
    own = size[which]
    both = np.where(along, own.sum(1) - TOUCH, own.max(1))
    if (both > canvas).any():
        raise UserError(
            f"pairs of digits of size {recipe.digit_size} do not fit a canvas of {recipe.width}x{recipe.height}"
        )
    second = np.where(along, own[:, 0] - TOUCH, (both - own[:, 1]) / 2)
    first = np.where(along, 0, (both - own[:, 0]) / 2)
    return which, along, np.stack([first, second], 1), canvas - both


def _walk(start: np.ndarray, velocity: np.ndarray, room: np.ndarray, length: int) -> np.ndarray:
    """``[n, T, 2]``: constant velocity between walls of bodies that start at ``start [n, 2]``."""
    elapsed = np.arange(length)[None, :, None]
    return reflect(start[:, None], velocity[:, None], room[:, None], elapsed)[:, :, 0]
