"""Clips of two digits, and the same with one thing about the first of them changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sqair.datasets.digits import SPLITS, Crops, load_crops
from sqair.datasets.draws import Draws, pick
from sqair.datasets.motion import Scene, make_scene, pixel
from sqair.datasets.recipes import Recipe
from sqair.errors import UserError
from sqair.tracks import Tracks

FAINTER = 0.7
"""Its brightness, of what it was."""
SMALLER = 0.85
"""Its side, of what it was."""
RECIPES = ("moving-mnist", "sqair-script")
"""In which digits are there from beginning to end."""


class Variation(NamedTuple):
    """Clips uint8 ``[N, T, H, W]``, and the whole boxes of their digits, of which the first, id 0, is changed: that of
    one which was taken away is where it would be."""

    frames: np.ndarray
    truth: list[Tracks]


class _Shown(NamedTuple):
    """Digits of clips: images ``[N, 2, S, S]`` uint8, ``size [N, 2, 2]`` (w, h), ``corner [N, T, 2, 2]`` (x, y)."""

    image: np.ndarray
    size: np.ndarray
    corner: np.ndarray


def unsuited(recipe: Recipe) -> str | None:
    """Why clips of a recipe cannot be changed; None if they can."""
    if recipe.name not in RECIPES:
        return f"the digits of {' and '.join(RECIPES)} alone can be changed"
    if recipe.background != "none" or recipe.colour:
        return "digits are changed on black only"
    return None


def variations(recipe: Recipe, split: str, seed: int, count: int) -> dict[str, Variation]:
    """Clips of two digits ``as they are``, and each change of them.

    Raises:
        UserError: the recipe is unsuited, the split unknown, or digits cannot be read or do not fit.
    """
    if reason := unsuited(recipe):
        raise UserError(f"{recipe.name}: {reason}")
    if split not in SPLITS:
        raise UserError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    recipe = replace(recipe, min_objects=2, max_objects=2)
    draws = Draws(recipe.name, split, seed, 0, count)
    crops = load_crops(split, recipe.digit_size, recipe.idx_path)
    scene = make_scene(recipe, draws, crops.size)
    shown = _Shown(crops.image[scene.which], crops.size[scene.which], pixel(scene.position))
    smaller = load_crops(split, max(1, round(SMALLER * recipe.digit_size)), recipe.idx_path)
    if len(smaller.label) != len(crops.label):
        raise UserError(f"digit_size is {recipe.digit_size}: digits vanish when they are made smaller")
    kinds: dict[str, _Shown] = {
        "as they are": shown,
        "1 pixel to the right": shown._replace(corner=shown.corner + np.array([[1, 0], [0, 0]])),
        f"{1 - FAINTER:.0%} fainter": _fainter(shown),
        f"{1 - SMALLER:.0%} smaller": _instead(shown, smaller, scene.which[:, 0]),
        "another of its class": _instead(shown, crops, _another(scene, crops, draws, np.equal)),
        "of another class": _instead(shown, crops, _another(scene, crops, draws, np.not_equal)),
        "taken away": shown._replace(image=shown.image * np.array([0, 1], np.uint8)[:, None, None]),
    }
    return {name: _painted(kind, recipe) for name, kind in kinds.items()}


def _fainter(shown: _Shown) -> _Shown:
    image = shown.image.copy()
    image[:, 0] = np.rint(FAINTER * image[:, 0])
    return shown._replace(image=image)


def _instead(shown: _Shown, crops: Crops, which: np.ndarray) -> _Shown:
    """The digits ``which [N]`` of ``crops`` in the places of the first ones, around the same middles."""
    image, size, corner = shown.image.copy(), shown.size.copy(), shown.corner.copy()
    side = crops.image.shape[-1]
    image[:, 0] = 0
    image[:, 0, :side, :side] = crops.image[which]
    size[:, 0] = crops.size[which]
    corner[:, :, 0] += np.floor((shown.size[:, 0] - size[:, 0]) / 2).astype(np.int64)[:, None]
    return _Shown(image, size, corner)


def _another(
    scene: Scene, crops: Crops, draws: Draws, alike: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """For the first digit of each clip another one ``[N]``, whose label is ``alike``."""
    u = draws.uniform(f"another {alike.__name__}", 1)[:, 0]
    chosen = []
    for own, chance in zip(scene.which[:, 0].tolist(), u, strict=True):
        others = np.flatnonzero(alike(crops.label, crops.label[own]) & (np.arange(len(crops.label)) != own))
        chosen.append(others[pick(chance, len(others))])
    return np.array(chosen, np.int64)


def _painted(shown: _Shown, recipe: Recipe) -> Variation:
    clips, length = shown.corner.shape[:2]
    frames = np.zeros((clips, length, recipe.height, recipe.width), np.uint8)
    truth = []
    for n in range(clips):
        rows = [(t, k) for t in range(length) for k in range(2)]
        for t, k in rows:
            _paint(frames[n, t], shown.image[n, k], *shown.size[n, k].tolist(), *shown.corner[n, t, k].tolist())
        box = [[*shown.corner[n, t, k], *shown.size[n, k]] for t, k in rows]
        truth.append(Tracks(*np.array(rows, np.int64).T, np.array(box, np.float64)))
    return Variation(frames, truth)


def _paint(frame: np.ndarray, image: np.ndarray, width: int, height: int, x: int, y: int) -> None:
    """Blends a digit into ``frame [H, W]`` by maximum, as far as it is inside."""
    inside = image[max(-y, 0) : height, max(-x, 0) : width]
    under = frame[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
    rows, columns = under.shape
    np.maximum(under, inside[:rows, :columns], out=under)
