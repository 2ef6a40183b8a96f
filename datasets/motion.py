"""Which digits a clip shows, where they start, and how they move.

Positions are ``x, y`` of the top left corner of a digit's crop, in pixels; they are rounded to be painted.
Axes: n clips, T frames, K digits of a clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sqair.datasets import pairs
from sqair.datasets.draws import Draws, pick, pick_distinct
from sqair.datasets.recipes import Recipe
from sqair.datasets.walls import reflect
from sqair.errors import UserError

ROUNDS = 2000
"""How often a clip's digits are drawn anew, when they do not fit, before that is called impossible."""


@dataclass(frozen=True)
class Scene:
    """What the clips show, before anything is painted.

    Attributes:
        which: ``[n, K]`` int64, index of each digit among the crops, -1 where the clip has fewer digits.
        position: ``[n, T, K, 2]`` float64, x and y of the crop's top left corner, before it is rounded to
            whole pixels; meaningless where not present.
        presence: ``[n, T, K]`` bool.
    """

    which: np.ndarray
    position: np.ndarray
    presence: np.ndarray


def make_scene(recipe: Recipe, draws: Draws, size: np.ndarray) -> Scene:
    """Draws the scenes of the clips that ``draws`` stands for.

    Args:
        size: ``[D, 2]``, width and height of the crops to choose from.

    Raises:
        UserError: the digits do not fit the canvas.
    """
    canvas = np.array([recipe.width, recipe.height])
    if (size > canvas).any():
        raise UserError(
            f"digits of up to {size[:, 0].max()}x{size[:, 1].max()} px do not fit a canvas of "
            f"{recipe.width}x{recipe.height}: make digit_size smaller or the canvas larger"
        )
    return _SCENES[recipe.name](recipe, draws, size, canvas)


def _moving_mnist(recipe: Recipe, draws: Draws, size: np.ndarray, canvas: np.ndarray) -> Scene:
    number = _count(recipe, draws)
    which, start = place(recipe, draws, number, size, canvas)
    velocity = _symmetric(draws.uniform("velocity", 2 * recipe.max_objects), recipe.speed)
    elapsed = np.arange(recipe.length)[None, :, None]
    position = reflect(start, velocity, canvas - size[which], elapsed)
    return Scene(which, position, _constant_presence(which, recipe.length))


def _sqair_script(recipe: Recipe, draws: Draws, size: np.ndarray, canvas: np.ndarray) -> Scene:
    """The published script: it moves its state by one step, then puts the position back to the start."""
    number = _count(recipe, draws)
    which, start = place(recipe, draws, number, size, canvas)
    k, length = recipe.max_objects, recipe.length
    acceleration = _symmetric(draws.uniform("acceleration", 2 * k), recipe.acceleration)
    velocity = _symmetric(draws.uniform("velocity", 2 * k), recipe.speed) + acceleration
    velocity = np.clip(velocity, -recipe.speed, recipe.speed)
    noise = recipe.acceleration_noise * draws.normal("noise", 2 * k * length).reshape(
        draws.count, k, length, 2
    )
    position = accelerate(np.rint(start), velocity, acceleration, noise, canvas, recipe)
    return Scene(which, position, _constant_presence(which, length))


def _birth_death(recipe: Recipe, draws: Draws, size: np.ndarray, canvas: np.ndarray) -> Scene:
    """Digits that move as in moving-mnist, but are there for a part of the clip only.

    They appear and vanish where they are, from one frame to the next; a digit that appears, in frame 0 or
    later, overlaps no other's box.
    """
    first, last = _lives(recipe, draws)
    time = np.arange(recipe.length)[None, :, None]
    presence = (time >= first[:, None]) & (time < last[:, None])
    n, _, k = presence.shape
    which = np.full((n, k), -1)
    position = np.zeros((n, recipe.length, k, 2))
    waiting = np.arange(n)
    for attempt in range(ROUNDS):
        u = draws.uniform(f"place {attempt}", 5 * k)[waiting]
        chosen = pick_distinct(u[:, :k], len(size))
        room = canvas - size[chosen]
        start = u[:, k : 3 * k].reshape(len(u), k, 2) * room
        velocity = _symmetric(u[:, 3 * k :], recipe.speed)
        moved = reflect(start, velocity, room, time - first[waiting, None])
        fits = ~_collide_at_birth(moved, size[chosen], presence[waiting])
        which[waiting[fits]], position[waiting[fits]] = chosen[fits], moved[fits]
        waiting = waiting[~fits]
        if not len(waiting):
            return Scene(np.where(presence.any(1), which, -1), position, presence)
    raise _crowded(recipe)


def _parting(recipe: Recipe, draws: Draws, size: np.ndarray, canvas: np.ndarray) -> Scene:
    which, position = pairs.parting(recipe, draws, size, canvas)
    return Scene(which, position, _constant_presence(which, recipe.length))


def _together(recipe: Recipe, draws: Draws, size: np.ndarray, canvas: np.ndarray) -> Scene:
    which, position = pairs.together(recipe, draws, size, canvas)
    return Scene(which, position, _constant_presence(which, recipe.length))


def place(
    recipe: Recipe, draws: Draws, number: np.ndarray, size: np.ndarray, canvas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses ``number`` ([n]) digits per clip and places them inside the canvas, no boxes overlapping.

    The order of things is that of SQAIR's published script: digits are placed one after the other, uniformly,
    and a place that overlaps an earlier digit is drawn again; when that fails once more than 4 (number - 1)
    times, all is drawn anew, which digits as well as where, but not the number of them.

    Returns:
        which ``[n, K]`` int64 (-1 beyond ``number``) and position ``[n, K, 2]`` float64.
    """
    n, k = len(number), recipe.max_objects
    steps = max(5 * k - 4, 0)
    which, position = np.full((n, k), -1), np.zeros((n, k, 2))
    waiting = np.flatnonzero(number > 0)
    for attempt in range(ROUNDS):
        if not len(waiting):
            return which, position
        u = draws.uniform(f"place {attempt}", k + 2 * steps)[waiting]
        chosen = pick_distinct(u[:, :k], len(size))
        spots = u[:, k:].reshape(-1, steps, 2)
        found, fits = _place_in_turn(spots, size[chosen], number[waiting], canvas)
        done = waiting[fits]
        which[done] = np.where(np.arange(k) < number[done, None], chosen[fits], -1)
        position[done] = found[fits]
        waiting = waiting[~fits]
    raise _crowded(recipe)


def _place_in_turn(
    spots: np.ndarray, size: np.ndarray, number: np.ndarray, canvas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Tries the ``spots`` ([m, S, 2] in [0, 1)) one after the other.

    Returns:
        position ``[m, K, 2]`` and, ``[m]`` bool, whether every digit found a place.
    """
    m, k, _ = size.shape
    row = np.arange(m)
    position = np.zeros((m, k, 2))
    placed = np.zeros(m, np.int64)
    for step in range(spots.shape[1]):
        turn = np.minimum(placed, k - 1)
        own = size[row, turn]
        candidate = spots[:, step] * (canvas - own)
        hit = boxes_overlap(candidate[:, None], own[:, None], position, size)
        free = ~(hit & (np.arange(k) < placed[:, None])).any(1)
        take = free & (placed < number) & (step < 5 * number - 4)
        position[row[take], turn[take]] = candidate[take]
        placed += take
    return position, placed == number


def accelerate(
    start: np.ndarray,
    velocity: np.ndarray,
    acceleration: np.ndarray,
    noise: np.ndarray,
    canvas: np.ndarray,
    recipe: Recipe,
) -> np.ndarray:
    """The published script's motion: the top left corner bounces between 0 and the canvas's far edge.

    Velocity and acceleration flip together at a bounce and are clipped to the recipe's limits.

    Args:
        start, velocity, acceleration: ``[n, K, 2]``.
        noise: ``[n, K, T, 2]``, added to the acceleration; frame 0's is the first to be added.

    Returns:
        ``[n, T, K, 2]`` float64.
    """
    limit = recipe.acceleration
    acceleration = np.clip(acceleration + noise[:, :, 0], -limit, limit)
    position = start
    path = [position]
    for t in range(1, noise.shape[2]):
        position, velocity, acceleration = (
            position + velocity,
            velocity + acceleration,
            acceleration + noise[:, :, t],
        )
        low, high = position < 0, position > canvas
        position = np.where(low, -position, np.where(high, 2 * canvas - position, position))
        sign = np.where(low | high, -1.0, 1.0)
        position = np.clip(position, 0, canvas)
        velocity = np.clip(sign * velocity, -recipe.speed, recipe.speed)
        acceleration = np.clip(sign * acceleration, -limit, limit)
        path.append(position)
    return np.stack(path, axis=1)


def boxes_overlap(p: np.ndarray, p_size: np.ndarray, q: np.ndarray, q_size: np.ndarray) -> np.ndarray:
    """Whether boxes share a pixel once they are painted: corners and sizes ``[..., 2]`` to bool ``[...]``."""
    p, q = pixel(p), pixel(q)
    shared = (p < q + q_size) & (q < p + p_size)
    return shared[..., 0] & shared[..., 1]


def pixel(position: np.ndarray) -> np.ndarray:
    """The pixel at which a crop at this position is painted, int64."""
    return np.rint(position).astype(np.int64)


def _lives(recipe: Recipe, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """First frame of each digit and the frame after its last, ``[n, K]`` each, 0 where there is no digit.

    The number of digits in a clip is uniform, up to as many as its length has time for. A digit is there
    from the clip's beginning, and until its end, with probability a half each; otherwise its first frame is
    uniform among those that leave it time to live, and so is its last. The frames (not the number of digits)
    are drawn again until none has too many or too few.
    """
    k = recipe.max_digits or (recipe.max_objects + 1 if recipe.max_objects else 0)
    length, life = recipe.length, min(recipe.min_life, recipe.length)
    most = min(k, recipe.max_objects * (length // life))
    number = recipe.min_objects + pick(draws.uniform("number", 1)[:, 0], most - recipe.min_objects + 1)
    first, last = np.zeros((len(number), k), np.int64), np.zeros((len(number), k), np.int64)
    waiting = np.arange(len(number))
    time = np.arange(length)[None, :, None]
    for attempt in range(ROUNDS):
        u = draws.uniform(f"life {attempt}", 4 * k)[waiting].reshape(len(waiting), 4, k)
        begin = np.where(u[:, 0] < 0.5, 0, pick(u[:, 1], length - life + 1))
        end = np.where(u[:, 2] < 0.5, length, begin + life + pick(u[:, 3], length - life - begin + 1))
        there = np.arange(k) < number[waiting, None]
        begin, end = np.where(there, begin, 0), np.where(there, end, 0)
        present = ((time >= begin[:, None]) & (time < end[:, None])).sum(-1)
        fits = ((present <= recipe.max_objects) & (present >= recipe.min_objects)).all(-1)
        first[waiting[fits]], last[waiting[fits]] = begin[fits], end[fits]
        waiting = waiting[~fits]
        if not len(waiting):
            return first, last
    raise UserError(
        f"cannot show {recipe.min_objects} to {recipe.max_objects} at a time of up to {most} digits in "
        f"{length} frames: lower min_objects or max_digits, or make the clip longer"
    )


def _collide_at_birth(position: np.ndarray, size: np.ndarray, presence: np.ndarray) -> np.ndarray:
    """``[n]``: whether some digit overlaps another in the frame where either of the two appears."""
    k = presence.shape[2]
    born = presence.copy()
    born[:, 1:] &= ~presence[:, :-1]
    collide = np.zeros(len(position), bool)
    for a in range(k):
        for b in range(a):
            hit = boxes_overlap(position[:, :, a], size[:, None, a], position[:, :, b], size[:, None, b])
            new = (born[:, :, a] | born[:, :, b]) & presence[:, :, a] & presence[:, :, b]
            collide |= (hit & new).any(1)
    return collide


def _count(recipe: Recipe, draws: Draws) -> np.ndarray:
    choices = recipe.max_objects - recipe.min_objects + 1
    return recipe.min_objects + pick(draws.uniform("number", 1)[:, 0], choices)


def _symmetric(u: np.ndarray, limit: float) -> np.ndarray:
    """``[n, 2 K]`` in [0, 1) to ``[n, K, 2]`` in [-limit, limit)."""
    return ((2 * u - 1) * limit).reshape(len(u), u.shape[1] // 2, 2)


def _constant_presence(which: np.ndarray, length: int) -> np.ndarray:
    return np.repeat((which >= 0)[:, None], length, axis=1)


def _crowded(recipe: Recipe) -> UserError:
    return UserError(
        f"up to {recipe.max_objects} digits of size {recipe.digit_size} do not fit a canvas of "
        f"{recipe.width}x{recipe.height} without overlap: fewer objects, smaller digits or a larger canvas"
    )


_SCENES: dict[str, Callable[[Recipe, Draws, np.ndarray, np.ndarray], Scene]] = {
    "moving-mnist": _moving_mnist,
    "sqair-script": _sqair_script,
    "birth-death": _birth_death,
    "parting": _parting,
    "together": _together,
}
