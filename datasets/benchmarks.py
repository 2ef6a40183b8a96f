"""The recipes of the field's benchmarks: which module makes which, and their clips' parts.

Sources, and what differs from them, are at the head of each module. All of them are layers.py's patches over a
background; labels are numerals, or places in the module's list of shapes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sqair.datasets import silot, tba, vmds
from sqair.datasets.backgrounds import make_background
from sqair.datasets.digits import load_crops
from sqair.datasets.draws import Draws
from sqair.datasets.layers import Layers
from sqair.datasets.recipes import Recipe

_LAYERS: dict[str, Callable[[Recipe, Draws, str], list[Layers]]] = {
    "tba-mnist": tba.digits,
    "tba-sprites": tba.sprites,
    "spmot": tba.half_sprites,
    "vmds-style": vmds.plain,
    "texvmds-style": vmds.textured,
    "silot": silot.digits,
    "shapes-dense": silot.shapes,
}

_STREAMS = (tba.digits, tba.sprites, tba.half_sprites)


def make_layers(recipe: Recipe, draws: Draws, split: str) -> list[Layers]:
    """The objects of each clip that ``draws`` stands for.

    Raises:
        UserError: unknown split, digits that cannot be read, or objects that do not fit the canvas.
    """
    load_crops(split, idx_path=recipe.idx_path)
    return _LAYERS[recipe.name](recipe, draws, split)


def make_behind(recipe: Recipe, draws: Draws, split: str) -> np.ndarray:
    """What lies behind the objects, uint8 ``[n, 1 or T, H, W, C]``. Raises UserError as ``make_background`` does."""
    crops = load_crops(split, idx_path=recipe.idx_path)
    return np.rint(255 * make_background(recipe, draws, split, crops).image).astype(np.uint8)


def objects(recipe: Recipe) -> int:
    """The objects that a clip shows at most, one after the other: the length of axis K."""
    return tba.objects(recipe) if _LAYERS[recipe.name] in _STREAMS else recipe.max_objects
