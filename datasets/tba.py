"""MNIST-MOT, Sprites-MOT and SpMOT: what crosses the canvas in the streams of streams.py.

* ``tba-mnist``: MNIST-MOT of Tracking by Animation (He et al., CVPR 2019), by the script published with it. Whole
  patches of 28 px, not cropped to their ink, which add up to 255. The margin is a third of a patch.
* ``tba-sprites``: Sprites-MOT of the same paper, by its script. Sprites of 21 px times a scale and an aspect, of four
  shapes and six colours, which hide one another: of two slots the later one is in front. The margin is half a sprite.
* ``spmot``: SpMOT of "Benchmarking Unsupervised Object Representations for Video Sequences" (Weis et al., JMLR 2021):
  10 frames of Sprites-MOT of which every second pixel is taken. ``digit_size`` and ``speed`` are in pixels before that.

Their digits are of this project's splits; in the original a test shows the digits that it trains on.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sqair.datasets.digits import load_patches
from sqair.datasets.draws import Draws, pick
from sqair.datasets.layers import INK, SOLID, Layers, Patch, halve
from sqair.datasets.recipes import Recipe
from sqair.datasets.sprites import PRIMARIES, TBA_SHAPES, tba_mask
from sqair.datasets.streams import Crossing, crossing, make_lives, most_objects

SCALE = 0.1
"""Scales are uniform in 1 - SCALE to 1 + SCALE."""
ASPECT = 0.2
"""Aspects are the square roots of what is uniform in 1 - ASPECT to 1 + ASPECT: height times it, width over it."""
HALF = 2
"""Pixels across of Sprites-MOT for one of SpMOT."""


def margin(recipe: Recipe) -> int:
    """Pixels that the centres keep from the sides of the stream's canvas."""
    return recipe.digit_size // (3 if recipe.name == "tba-mnist" else 2)


def stream(recipe: Recipe) -> Recipe:
    """The recipe on the canvas that objects cross, which for ``spmot`` is that of Sprites-MOT."""
    if recipe.name != "spmot":
        return recipe
    return replace(recipe, height=HALF * recipe.height, width=HALF * recipe.width)


def objects(recipe: Recipe) -> int:
    """The most objects that a clip can show, one after the other."""
    return most_objects(stream(recipe), margin(recipe))


def digits(recipe: Recipe, draws: Draws, split: str) -> list[Layers]:
    """The clips of ``tba-mnist``."""
    source = load_patches(split, recipe.digit_size, recipe.idx_path)
    lives = make_lives(stream(recipe), draws, margin(recipe))
    which = pick(draws.uniform("which", int(np.prod(lives.life.shape[1:]))), len(source.image))
    which = which.reshape(lives.life.shape)
    clips = []
    for i in range(draws.count):
        shown = crossing(lives, i, recipe.length)
        chosen = which[i, shown.slot, shown.turn]
        patches = [Patch(np.full((1, 1, 1), 255.0), source.image[k] / 255) for k in chosen.tolist()]
        clips.append(_layers(shown, source.label[chosen], patches, objects(recipe), adds=True))
    return clips


def sprites(recipe: Recipe, draws: Draws, split: str) -> list[Layers]:
    """The clips of ``tba-sprites``."""
    return _sprites(recipe, draws)


def half_sprites(recipe: Recipe, draws: Draws, split: str) -> list[Layers]:
    """The clips of ``spmot``."""
    return [halve(layers) for layers in _sprites(recipe, draws)]


def _sprites(recipe: Recipe, draws: Draws) -> list[Layers]:
    lives = make_lives(stream(recipe), draws, margin(recipe))
    n = int(np.prod(lives.life.shape[1:]))
    looks = draws.uniform("looks", 4 * n).reshape(*lives.life.shape, 4)
    shape, colour = pick(looks[..., 0], len(TBA_SHAPES)), pick(looks[..., 1], len(PRIMARIES))
    scale = 1 + SCALE * (2 * looks[..., 2] - 1)
    aspect = np.sqrt(1 + ASPECT * (2 * looks[..., 3] - 1))
    size = np.rint(recipe.digit_size * scale[..., None] * np.stack([1 / aspect, aspect], -1)).astype(np.int64)
    clips = []
    for i in range(draws.count):
        shown = crossing(lives, i, recipe.length)
        patches = []
        for place in zip(shown.slot.tolist(), shown.turn.tolist(), strict=True):
            alpha = tba_mask(TBA_SHAPES[shape[i][place]], recipe.digit_size, *size[i][place].tolist())
            patches.append(Patch(PRIMARIES[colour[i][place]][None, None], alpha))
        clips.append(_layers(shown, shape[i, shown.slot, shown.turn], patches, objects(recipe), adds=False))
    return clips


def _layers(shown: Crossing, label: np.ndarray, patches: list[Patch], most: int, *, adds: bool) -> Layers:
    """A patch's centre is the middle of its pixels, or the later of the two in the middle."""
    labels = np.full(most, -1)
    labels[: len(label)] = label
    size = np.array([patch.alpha.shape[::-1] for patch in patches]).reshape(-1, 2)
    corner = shown.centre - size[shown.id] // 2
    least = INK if adds else SOLID
    return Layers(labels, shown.frame, shown.id, corner, shown.id, patches, adds, least)
