"""What lies behind the digits: nothing, grey, gradients, textures that stay or pan, and clutter that never moves.

Values are in [0, 1]; n clips, T frames, H and W pixels, C channels. A background of a clip that stays has T = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from sqair.datasets.digits import Crops
from sqair.datasets.draws import Draws, pick
from sqair.datasets.images import opencv, read_image
from sqair.datasets.recipes import Recipe
from sqair.errors import UserError
from sqair.words import count

OCTAVES = (3, 6, 12, 24)
"""Cells of random values across the canvas, of each octave of a texture; each has half the weight of the one before."""
MOST_CLUTTER = 3
"""Pieces of clutter in a clip, at most; there is at least one."""
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
SHARES = {"train": (0, 8), "val": (8, 9), "test": (9, 10)}
"""Which of every ten images of a folder, in order of their names, belong to a split."""


@dataclass(frozen=True)
class Background:
    """Backgrounds of n clips: ``image [n, 1 or T, H, W, C]``, and ``clutter [n, P, 4]``, boxes x, y, w, h in pixels.

    Boxes of clutter that a clip does not have are all 0.
    """

    image: np.ndarray
    clutter: np.ndarray


def make_background(recipe: Recipe, draws: Draws, split: str, crops: Crops) -> Background:
    """The backgrounds of the clips that ``draws`` stands for.

    Raises:
        UserError: the folder of images cannot be read or has too few for the split.
    """
    channels = 3 if recipe.colour else 1
    none = np.zeros((draws.count, 0, 4), np.int64)
    if recipe.background == "clutter":
        return _clutter(recipe, draws, crops, channels)
    if recipe.background == "none":
        image = np.zeros((draws.count, 1, recipe.height, recipe.width, channels))
    elif recipe.background == "grey":
        level = draws.uniform("background-level", channels)[:, None, None, None]
        image = np.broadcast_to(level, (draws.count, 1, recipe.height, recipe.width, channels))
    elif recipe.background == "gradient":
        image = _gradient(recipe, draws, channels)
    elif recipe.texture_path is not None:
        image = _photo(recipe, draws, split, channels)
    else:
        image = _texture(recipe, draws, channels)
    return Background(recipe.contrast * image, none)


def _gradient(recipe: Recipe, draws: Draws, channels: int) -> np.ndarray:
    """From one level to another, in a direction of its own."""
    ends = draws.uniform("background-level", 2 * channels).reshape(-1, 2, 1, 1, channels)
    angle = 2 * np.pi * draws.uniform("background-angle", 1)[..., None]
    y, x = np.mgrid[: recipe.height, : recipe.width] + 0.5
    along = np.cos(angle) * (x / recipe.width - 0.5) + np.sin(angle) * (y / recipe.height - 0.5)
    along = along - along.min(axis=(1, 2), keepdims=True)
    along = (along / along.max(axis=(1, 2), keepdims=True))[..., None]
    return (ends[:, 0] * (1 - along) + ends[:, 1] * along)[:, None]


def offsets(recipe: Recipe, draws: Draws) -> np.ndarray:
    """How far a texture has moved, ``[n, T, 2]`` (x, y) in pixels; T is 1 where it stays."""
    if recipe.background != "pan":
        return np.zeros((draws.count, 1, 2))
    angle = 2 * np.pi * draws.uniform("background-angle", 1)
    speed = recipe.pan_speed * draws.uniform("background-speed", 1)
    velocity = speed * np.concatenate([np.cos(angle), np.sin(angle)], 1)
    return velocity[:, None] * np.arange(recipe.length)[None, :, None]


def _texture(recipe: Recipe, draws: Draws, channels: int) -> np.ndarray:
    """Noise of several octaves: random values on periodic grids, with straight lines between them."""
    moved = offsets(recipe, draws)
    total = np.zeros((draws.count, moved.shape[1], recipe.height, recipe.width, channels))
    for octave, cells in enumerate(OCTAVES):
        values = draws.uniform(f"background-{cells}", channels * cells**2).reshape(-1, 1, channels, cells, cells)
        down = _between(moved[..., 1], recipe.height, cells)
        across = _between(moved[..., 0], recipe.width, cells)
        layer = down[:, :, None] @ values @ across[:, :, None].swapaxes(-1, -2)
        total += 0.5**octave * np.moveaxis(layer, 2, -1)
    least, most = (f(total, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    return (total - least) / (most - least)


def _between(moved: np.ndarray, pixels: int, cells: int) -> np.ndarray:
    """Weights ``[n, T, pixels, cells]`` of a periodic grid's values at pixels that have ``moved [n, T]``."""
    place = (np.arange(pixels) + 0.5 - moved[..., None]) * cells / pixels
    low = np.floor(place).astype(np.int64)
    part = (place - low)[..., None]
    cell = np.arange(cells)
    return (1 - part) * (cell == (low % cells)[..., None]) + part * (cell == ((low + 1) % cells)[..., None])


def _photo(recipe: Recipe, draws: Draws, split: str, channels: int) -> np.ndarray:
    """A window of one of the folder's images, which may move over it."""
    moved = offsets(recipe, draws)
    images = load_images(str(recipe.texture_path), split, recipe.colour, _room(recipe))
    chosen = pick(draws.uniform("background-image", 1)[:, 0], len(images))
    start = draws.uniform("background-place", 2)
    out = np.empty((draws.count, moved.shape[1], recipe.height, recipe.width, channels))
    for i, which in enumerate(chosen.tolist()):
        image = images[which]
        room = np.array([image.shape[1] - recipe.width, image.shape[0] - recipe.height])
        travelled = np.abs(moved[i]).max(0)
        first = travelled + start[i] * (room - 2 * travelled)
        for t, offset in enumerate(moved[i]):
            out[i, t] = _window(image, first + offset, recipe)
    return out


def _room(recipe: Recipe) -> tuple[int, int]:
    """Height and width that an image needs, so that a window of the canvas's size can travel on it."""
    travel = 2 * int(np.ceil(recipe.pan_speed * recipe.length)) + 2 if recipe.background == "pan" else 0
    return recipe.height + travel, recipe.width + travel


def _window(image: np.ndarray, corner: np.ndarray, recipe: Recipe) -> np.ndarray:
    """The canvas of ``image [h, w, C]`` whose top left corner is ``corner`` (x, y), between pixels by their areas."""
    x, y = np.floor(corner).astype(np.int64)
    fx, fy = corner - (x, y)
    piece = image[y : y + recipe.height + 1, x : x + recipe.width + 1]
    piece = np.pad(piece, ((0, recipe.height + 1 - len(piece)), (0, recipe.width + 1 - piece.shape[1]), (0, 0)), "edge")
    rows = (1 - fy) * piece[:-1] + fy * piece[1:]
    return (1 - fx) * rows[:, :-1] + fx * rows[:, 1:]


@lru_cache(maxsize=4)
def load_images(folder: str, split: str, colour: bool, least: tuple[int, int]) -> list[np.ndarray]:
    """The images of a split, ``[h, w, C]`` in [0, 1], stretched to [0, 1] and enlarged to ``least`` (h, w) if smaller.

    Raises:
        UserError: the folder does not exist or has fewer than 10 images.
    """
    if not Path(folder).is_dir():
        raise UserError(f"no such folder of images: {folder}")
    paths = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in IMAGES)
    if len(paths) < 10:
        raise UserError(f"{folder} has {count(len(paths), 'image')}: 10 are needed, so that training and test differ")
    low, high = SHARES[split]
    return [_load(path, colour, least) for i, path in enumerate(paths) if low <= i % 10 < high]


def _load(path: Path, colour: bool, least: tuple[int, int]) -> np.ndarray:
    """One image ``[h, w, C]`` as ``load_images`` says."""
    image = read_image(path).astype(np.float64)
    image = image[..., None] if image.ndim == 2 else image
    image = image.mean(-1, keepdims=True) if not colour else np.broadcast_to(image, (*image.shape[:2], 3))
    scale = max(1.0, least[0] / image.shape[0], least[1] / image.shape[1])
    if scale > 1:
        size = (int(np.ceil(scale * image.shape[1])), int(np.ceil(scale * image.shape[0])))
        image = opencv().resize(image, size).reshape(size[1], size[0], image.shape[-1])
    return (image - image.min()) / max(image.max() - image.min(), 1.0)


def _clutter(recipe: Recipe, draws: Draws, crops: Crops, channels: int) -> Background:
    """Digits that never move: one to three of them, where there is room on the canvas."""
    image = np.zeros((draws.count, 1, recipe.height, recipe.width, channels))
    boxes = np.zeros((draws.count, MOST_CLUTTER, 4), np.int64)
    number = 1 + pick(draws.uniform("clutter-number", 1)[:, 0], MOST_CLUTTER)
    which = pick(draws.uniform("clutter-which", MOST_CLUTTER), len(crops.image))
    place = draws.uniform("clutter-place", 2 * MOST_CLUTTER).reshape(-1, MOST_CLUTTER, 2)
    tint = colours(draws, "clutter-colour", MOST_CLUTTER, channels)
    for i, k in np.argwhere(np.arange(MOST_CLUTTER) < number[:, None]).tolist():
        w, h = crops.size[which[i, k]].tolist()
        x, y = np.floor(place[i, k] * (recipe.width - w + 1, recipe.height - h + 1)).astype(np.int64).tolist()
        piece = crops.image[which[i, k], :h, :w, None] / 255 * tint[i, k]
        under = image[i, 0, y : y + h, x : x + w]
        np.maximum(under, piece, out=under)
        boxes[i, k] = x, y, w, h
    return Background(image, boxes)


def colours(draws: Draws, purpose: str, n: int, channels: int) -> np.ndarray:
    """``[count, n, C]``: white, or with three channels colours of full brightness and any hue."""
    if channels == 1:
        return np.ones((draws.count, n, 1))
    hue = draws.uniform(purpose, n)[..., None]
    return np.clip(2 - np.abs((6 * hue - np.array([0, 2, 4]) + 3) % 6 - 3), 0.15, 1)
