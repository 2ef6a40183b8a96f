"""Streams in which objects are born at a side of the canvas, cross it and die, as Tracking by Animation is tested on.

He et al., "Tracking by Animation: Unsupervised Learning of Multi-Object Attentive Trackers", CVPR 2019, by the
scripts that they published with it. A stream has a number of slots, and each holds one object after the other. A slot
whose object has left waits ``WAIT`` frames; from then on an object is born in each frame with probability ``BIRTH``,
and is seen from the next frame on. It starts ``margin`` pixels from a side, all four equiprobable, at a random pixel,
and heads for a random pixel as far from the opposite side, at constant speed. Its centre is rounded to a pixel, and it
dies where that comes closer than ``margin`` to a side.

Axes: n clips, S slots, L objects that a slot holds one after the other, R objects of a clip, M rows as in layers.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sqair.datasets.draws import Draws, pick
from sqair.datasets.recipes import Recipe
from sqair.errors import UserError

WAIT = 5
"""Frames that a slot waits after the one in which it is found empty."""
BIRTH = 0.5
"""Probability of a birth in each frame after those."""
GAP = WAIT + 2
"""Fewest frames in which a slot shows nothing: its object has left; it waits; an object is born."""
BURN_IN = 8
"""Mean cycles of a slot after which a clip may begin; it begins within as many again, uniformly."""


@dataclass(frozen=True)
class Lives:
    """The objects of n clips, seen in a clip or not.

    Attributes:
        first: ``[n, S, L]`` int64, the first frame of each, counted from the clip's first; negative before it.
        life: ``[n, S, L]`` int64, in how many frames it is seen.
        start: ``[n, S, L, 2]`` float64, x and y of its centre in its first frame.
        velocity: ``[n, S, L, 2]`` float64, pixels per frame.
    """

    first: np.ndarray
    life: np.ndarray
    start: np.ndarray
    velocity: np.ndarray


@dataclass(frozen=True)
class Crossing:
    """What of ``Lives`` one clip shows: R objects in order of their births, and M rows by frame and slot.

    Attributes:
        slot, turn: ``[R]`` int64, the objects' places on the axes S and L.
        frame, id: ``[M]`` int64, the frame, and the object's place on axis R.
        centre: ``[M, 2]`` int64, x and y of the pixel that an object's centre is rounded to.
    """

    slot: np.ndarray
    turn: np.ndarray
    frame: np.ndarray
    id: np.ndarray
    centre: np.ndarray


def most_objects(recipe: Recipe, margin: int) -> int:
    """The most objects that a clip can show one after the other, in all slots."""
    shortest = _shortest(recipe, margin)
    in_turn = (recipe.length - 2 + 2 * shortest + GAP) // (shortest + GAP)
    return recipe.max_objects * max(in_turn, 1)


def make_lives(recipe: Recipe, draws: Draws, margin: int) -> Lives:
    """The lives of the clips that ``draws`` stands for, windows of streams that have run for long.

    Raises:
        UserError: the canvas has no room between its margins, or nothing moves.
    """
    shortest = _shortest(recipe, margin)
    cycle = shortest + GAP + 3
    turns = -(-(2 * BURN_IN * cycle + recipe.length) // (shortest + GAP)) + 1
    shape = (draws.count, recipe.max_objects, turns)
    n = shape[1] * shape[2]
    start, end = _ends(recipe, draws, shape, margin)
    apart = end - start
    velocity = recipe.speed * apart / np.linalg.norm(apart, axis=-1, keepdims=True)
    life = _lives(start, velocity, margin, np.array([recipe.width, recipe.height]))
    u = draws.uniform("wait", n).reshape(shape)
    gap = GAP + np.floor(np.log1p(-u) / np.log(1 - BIRTH)).astype(np.int64)
    begin = cycle * BURN_IN + pick(draws.uniform("begin", 1), cycle * BURN_IN)
    first = np.cumsum(gap + life, axis=-1) - life - begin[..., None]
    return Lives(first, life, start, velocity)


def crossing(lives: Lives, i: int, length: int) -> Crossing:
    """What clip ``i`` of ``lives`` shows in ``length`` frames."""
    first, last = lives.first[i], lives.first[i] + lives.life[i]
    slot, turn = np.nonzero((first < length) & (last > 0))
    order = np.lexsort((slot, first[slot, turn]))
    slot, turn = slot[order], turn[order]
    begin, end = np.maximum(first[slot, turn], 0), np.minimum(last[slot, turn], length)
    lasts = end - begin
    ids = np.repeat(np.arange(len(slot)), lasts)
    frame = np.arange(len(ids)) - np.repeat(np.cumsum(lasts) - lasts, lasts) + begin[ids]
    order = np.lexsort((slot[ids], frame))
    ids, frame = ids[order], frame[order]
    place = slot[ids], turn[ids]
    step = (frame - first[place])[:, None]
    centre = np.rint(lives.start[i][place] + step * lives.velocity[i][place]).astype(np.int64)
    return Crossing(slot, turn, frame, ids, centre)


def _shortest(recipe: Recipe, margin: int) -> int:
    """Frames in which an object is seen that crosses the canvas straight, along its shorter side."""
    across = min(recipe.width, recipe.height) - 1 - 2 * margin
    if across < 1:
        raise UserError(
            f"{recipe.name}: a canvas of {recipe.width}x{recipe.height} is too small for objects of "
            f"{recipe.digit_size} px: make digit_size smaller or the canvas larger"
        )
    if not recipe.speed > 0:
        raise UserError(f"{recipe.name}: speed is {recipe.speed}: objects that cross the canvas need more than 0")
    return int(across / recipe.speed) + 1


def _ends(recipe: Recipe, draws: Draws, shape: tuple[int, ...], margin: int) -> tuple[np.ndarray, np.ndarray]:
    """Where objects come from and where they head for, ``[n, S, L, 2]`` each."""
    n = shape[1] * shape[2]
    far = np.array([recipe.width, recipe.height]) - 1 - margin
    u = draws.uniform("places", 2 * n).reshape(*shape, 2)
    direction = pick(draws.uniform("direction", n), 4).reshape(shape)
    along_x, backward = (direction >= 2)[..., None], (direction % 2 == 1)[..., None]
    moving = np.concatenate([along_x, ~along_x], -1)
    at = margin + np.floor(u[..., None] * (far - margin + 1))
    start = np.where(moving, np.where(backward, far, margin), at[..., 0, :])
    end = np.where(moving, np.where(backward, margin, far), at[..., 1, :])
    return start, end


def _lives(start: np.ndarray, velocity: np.ndarray, margin: int, canvas: np.ndarray) -> np.ndarray:
    """``[n, S, L]`` frames until the rounded centre is closer than ``margin`` to a side.

    The line leaves where one of the two axes is 0.5 px past its last pixel; the frames about that one are looked at.
    """
    far = canvas - 1 - margin
    room = np.where(velocity > 0, far - start, start - margin)
    ahead = np.divide(room, np.abs(velocity), out=np.full(room.shape, np.inf), where=velocity != 0)
    steps = np.floor(ahead.min(-1)).astype(np.int64)
    grows = np.ones(steps.shape, bool)
    while grows.any():
        place = np.rint(start + (steps + 1)[..., None] * velocity)
        grows = ((place >= margin) & (place <= far)).all(-1)
        steps += grows
    return steps + 1
