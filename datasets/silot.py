"""SILOT's scenes: many objects that move straight ahead, bounce and overlap.

Crawford and Pineau, "Exploiting Spatial Invariance for Scalable Unsupervised Object Tracking", AAAI 2020, by the
configurations and the generator that they published.

* ``silot``: scattered MNIST. 1 to 12 digits, equiprobable, scaled to 14 px and cropped to their ink, white and blended
  by their brightness as alpha.
* ``shapes-dense``: 1 to 30 opaque shapes of 14 px, of five kinds and six colours. (Theirs show 10 to 20 in training.)

In frame 0 objects are placed one after the other at whole pixels, such that a new box shares at most half a patch, 98
pixels, with those before it in sum. Each moves by ``speed`` pixels per frame in a direction of its own, is reflected at
the exact time at which its box touches the canvas's edge, and is painted at the pixel that its corner lies in. Of two
objects the one that was placed later is in front.

Boxes here cover pixel i as [i, i + 1); theirs lie half a pixel further to the left and to the top.
"""

from __future__ import annotations

import numpy as np

from sqair.datasets.digits import load_crops
from sqair.datasets.draws import Draws, pick
from sqair.datasets.layers import INK, SOLID, Layers, Patch
from sqair.datasets.recipes import Recipe
from sqair.datasets.sprites import PRIMARIES, mask
from sqair.datasets.walls import reflect
from sqair.errors import UserError

KINDS = ("circle", "diamond", "star", "x", "plus")
ROUNDS = 20
"""How often the places of a clip are drawn anew, when one object finds none."""
TRIES = 128
"""How often a place is drawn for one object, in each round."""
SLIVER = 1e-9
"""Pixels by which the arithmetic may leave a corner short of a whole pixel."""


def digits(recipe: Recipe, draws: Draws, split: str) -> list[Layers]:
    """The clips of ``silot``."""
    crops = load_crops(split, recipe.digit_size, recipe.idx_path)
    which = pick(draws.uniform("which", recipe.max_objects), len(crops.image))
    number, position = move(recipe, draws, crops.size[which])
    clips = []
    for i, n in enumerate(number.tolist()):
        patches = []
        for k in which[i, :n].tolist():
            w, h = crops.size[k]
            patches.append(Patch(np.full((1, 1, 1), 255.0), crops.image[k, :h, :w] / 255))
        clips.append(_layers(position[i], crops.label[which[i]], patches, INK))
    return clips


def shapes(recipe: Recipe, draws: Draws, split: str) -> list[Layers]:
    """The clips of ``shapes-dense``."""
    side = recipe.digit_size
    kind = pick(draws.uniform("kind", recipe.max_objects), len(KINDS))
    colour = PRIMARIES[pick(draws.uniform("colour", recipe.max_objects), len(PRIMARIES))]
    number, position = move(recipe, draws, np.full((*kind.shape, 2), side))
    return [
        _layers(
            position[i],
            kind[i],
            [Patch(colour[i, k][None, None], mask(KINDS[kind[i, k]], side)) for k in range(n)],
            SOLID,
        )
        for i, n in enumerate(number.tolist())
    ]


def move(recipe: Recipe, draws: Draws, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many objects there are, ``[n]``, and where their corners are, ``[n, T, K, 2]`` float64.

    ``size`` is ``[n, K, 2]``, width and height. Raises UserError if they find no place.
    """
    canvas = np.array([recipe.width, recipe.height])
    if recipe.digit_size > canvas.min():
        raise UserError(
            f"{recipe.name}: objects of digit_size {recipe.digit_size} do not fit a canvas of "
            f"{recipe.width}x{recipe.height}: make digit_size smaller or the canvas larger"
        )
    number = recipe.min_objects + pick(draws.uniform("number", 1)[:, 0], recipe.max_objects - recipe.min_objects + 1)
    start = place(recipe, draws, number, size)
    angle = 2 * np.pi * draws.uniform("direction", recipe.max_objects)
    velocity = recipe.speed * np.stack([np.cos(angle), np.sin(angle)], -1)
    elapsed = np.arange(recipe.length)[None, :, None]
    return number, reflect(start, velocity, canvas - size, elapsed)


def place(recipe: Recipe, draws: Draws, number: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Corners ``[n, K, 2]`` of the first ``number`` ([n]) boxes in frame 0. Arguments and errors as in ``move``."""
    corner = np.zeros(size.shape)
    waiting = np.ones(len(number), bool)
    for attempt in range(ROUNDS):
        stuck = np.zeros(len(number), bool)
        for k in range(recipe.max_objects):
            own = draws.part(f"round {attempt}, object {k}")
            at = np.flatnonzero(waiting & ~stuck & (k < number))
            stuck[_place_one(recipe, own, corner, size, at, k)] = True
        waiting = stuck
        if not waiting.any():
            return corner
    raise UserError(
        f"{recipe.name}: {recipe.max_objects} objects of digit_size {recipe.digit_size} do not fit a canvas of "
        f"{recipe.width}x{recipe.height}: lower max_objects or digit_size, or make the canvas larger"
    )


def _place_one(
    recipe: Recipe, draws: Draws, corner: np.ndarray, size: np.ndarray, at: np.ndarray, k: int
) -> np.ndarray:
    """Puts box k of the clips ``at`` into ``corner``. Returns those of them in which it found no place."""
    canvas = np.array([recipe.width, recipe.height])
    for attempt in range(TRIES):
        if not len(at):
            break
        u = draws.uniform(f"place {attempt}", 2)[at]
        spot = np.floor(u * (canvas - size[at, k] + 1))
        shared = overlaps(spot[:, None], size[at, k, None], corner[at, :k], size[at, :k]).sum(1)
        fits = shared <= recipe.digit_size**2 / 2
        corner[at[fits], k] = spot[fits]
        at = at[~fits]
    return at


def overlaps(p: np.ndarray, p_size: np.ndarray, q: np.ndarray, q_size: np.ndarray) -> np.ndarray:
    """Area that boxes share: corners and sizes ``[..., 2]`` to ``[...]``."""
    shared = np.minimum(p + p_size, q + q_size) - np.maximum(p, q)
    return np.maximum(shared, 0).prod(-1)


def _layers(position: np.ndarray, label: np.ndarray, patches: list[Patch], least: float) -> Layers:
    """The layers of a clip of corners ``position [T, K, 2]``, of which it has as many as there are patches."""
    length, n = len(position), len(patches)
    frame, ids = np.divmod(np.arange(length * n), max(n, 1))
    corner = np.floor(position[frame, ids] + SLIVER).astype(np.int64)
    return Layers(np.where(np.arange(len(label)) < n, label, -1), frame, ids, corner, ids, patches, least=least)
