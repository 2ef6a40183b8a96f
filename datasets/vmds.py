"""Video in the style of Video Multi-dSprites and of its textured twin.

The sets are those of Weis et al., "Benchmarking Unsupervised Object Representations for Video Sequences", JMLR 2021.
Their generator is not public, so this is in their style and not their recipe: 1 to 4 hearts, ellipses and squares of
random colours, over one random colour. Position, the logarithm of size, and rotation follow Gaussian processes of the
squared exponential kernel, ``TAU`` frames long. Sprites may be hidden in part or wholly, leave the frame and come back.
Of two sprites the later one is in front in all of a clip.

In ``texvmds-style`` sprites bear textures, which move, turn and grow with them, and the background has one. In the
original they are photographs, as they are here with ``texture_path``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sqair.datasets.backgrounds import make_background
from sqair.datasets.digits import load_crops
from sqair.datasets.draws import Draws, pick
from sqair.datasets.gp import paths
from sqair.datasets.layers import SOLID, Layers, Patch, tight
from sqair.datasets.recipes import Recipe
from sqair.datasets.sprites import turned

KINDS = ("square", "ellipse", "heart")
TAU = 10.0
"""Frames after which a path has changed much: the length scale of its process."""
SPREAD = 0.3
"""Standard deviation of a sprite's centre from that of the canvas, of its width and height."""
SMALLEST = 8 / 26
"""Size of the smallest sprite, of that of the largest."""
TURN = np.pi / 2
"""Standard deviation of a sprite's rotation from its mean, radians."""
TILE = 32
"""Side of a sprite's texture, texels."""
SHADE = 0.3
"""Brightness of a texture's darkest texel, of the sprite's colour."""


def plain(recipe: Recipe, draws: Draws, split: str) -> list[Layers]:
    """The clips of ``vmds-style``."""
    return _sprites(recipe, draws, np.ones((draws.count, recipe.max_objects, 1, 1, 1)))


def textured(recipe: Recipe, draws: Draws, split: str) -> list[Layers]:
    """The clips of ``texvmds-style``."""
    crops = load_crops(split)
    tile = replace(recipe, height=TILE, width=TILE, background="texture", contrast=1.0)
    tiles = np.empty((draws.count, recipe.max_objects, TILE, TILE, 3))
    for k in range(recipe.max_objects):
        tiles[:, k] = make_background(tile, draws.part(f"sprite {k}"), split, crops).image[:, 0]
    return _sprites(recipe, draws, SHADE + (1 - SHADE) * tiles)


def motion(recipe: Recipe, draws: Draws) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre ``[n, T, K, 2]`` (x, y), size ``[n, T, K]`` in pixels and rotation ``[n, T, K]`` in radians."""
    k = recipe.max_objects
    path = paths(draws, "path", 4 * k, recipe.length, TAU).reshape(draws.count, 4, k, recipe.length).swapaxes(-1, -2)
    canvas = np.array([recipe.width, recipe.height])
    centre = canvas * (0.5 + SPREAD * np.stack([path[:, 0], path[:, 1]], -1))
    middle = np.tanh(path[:, 2])
    size = recipe.digit_size * SMALLEST ** ((1 - middle) / 2)
    angle = 2 * np.pi * draws.uniform("angle", k)[:, None] + TURN * path[:, 3]
    return centre, size, angle


def _sprites(recipe: Recipe, draws: Draws, tiles: np.ndarray) -> list[Layers]:
    """Clips of sprites whose colours are those of ``tiles [n, K, S, S, 1 or 3]``, in [0, 1], times a random one."""
    k = recipe.max_objects
    number = recipe.min_objects + pick(draws.uniform("number", 1)[:, 0], k - recipe.min_objects + 1)
    kind = pick(draws.uniform("kind", k), len(KINDS))
    ink = 255 * draws.uniform("colour", 3 * k).reshape(draws.count, k, 1, 1, 3) * tiles
    centre, size, angle = motion(recipe, draws)
    clips = []
    for i, n in enumerate(number.tolist()):
        frame, ids = np.divmod(np.arange(recipe.length * n), max(n, 1))
        corners, patches = [np.zeros((0, 2), np.int64)], []
        for t, j in zip(frame.tolist(), ids.tolist(), strict=True):
            place = turned(KINDS[kind[i, j]], size[i, t, j], angle[i, t, j], centre[i, t, j])
            patch, corner = _cut(*place, ink[i, j])
            patches.append(patch)
            corners.append(corner[None])
        labels = np.where(np.arange(k) < n, kind[i], -1)
        clips.append(Layers(labels, frame, ids, np.concatenate(corners), np.arange(len(frame)), patches))
    return clips


def _cut(alpha: np.ndarray, corner: np.ndarray, own: np.ndarray, tile: np.ndarray) -> tuple[Patch, np.ndarray]:
    """The box of a sprite's pixels, with the colours ``tile [S, S, 3]`` at its own coordinates, ``own [h, w, 2]``."""
    x, y, w, h = tight(alpha >= SOLID).tolist()
    inside = slice(y, y + h), slice(x, x + w)
    texel = np.clip(np.floor((own[inside] + 1) / 2 * len(tile)), 0, len(tile) - 1).astype(np.int64)
    return Patch(tile[texel[..., 1], texel[..., 0]], alpha[inside]), corner + [x, y]
