"""Clips of a recipe: frames, and the truth about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sqair.datasets.backgrounds import colours, make_background
from sqair.datasets.benchmarks import make_behind, make_layers, objects
from sqair.datasets.digits import Crops, load_crops
from sqair.datasets.draws import Draws
from sqair.datasets.layers import Layers, boxes, id_type, paint, segment
from sqair.datasets.motion import Scene, make_scene, pixel
from sqair.datasets.recipes import BENCHMARKS, Recipe
from sqair.errors import UserError
from sqair.tracks import Tracks

IGNORED_BELOW = 0.25
"""Objects of which a smaller fraction is visible are not scored (``score`` 0)."""


@dataclass(frozen=True)
class Clips:
    """Clips and what is true of them. N clips, T frames, K digits of a clip at most, H and W pixels.

    Attributes:
        frames: ``[N, T, H, W]`` uint8, or ``[N, T, H, W, 3]`` (RGB) of a recipe in colour.
        count: ``[N, T]`` int64, how many digits the recipe says there are (visible or not).
        presence: ``[N, T, K]`` bool, which of the digits these are.
        labels: ``[N, K]`` int64, which numeral each is, or which of a benchmark's shapes; -1 where the clip has no such
            digit.
        truth: per clip, boxes tight around the non-zero pixels of each digit that lie inside the canvas, with
            the digit's place on axis K as its id; no rows for digits wholly outside. ``visibility`` is the
            fraction of the digit's non-zero pixels that lie inside, ``score`` is 0 where that is below a
            quarter. Digits blend by maximum and hide nothing of one another. In benchmarks whose objects hide one
            another, boxes and ``visibility`` are of those pixels inside that no other hides. An empty list without
            truth.
        full: per clip, the whole boxes of all present digits, inside the canvas or not; ``score`` and
            ``visibility`` as in ``truth``. An empty list without truth.
        clutter: ``[N, P, 4]`` int64, boxes of what looks like a digit but never moves, whole pixels; 0 where the
            clip has fewer.
    """

    frames: np.ndarray
    count: np.ndarray
    presence: np.ndarray
    labels: np.ndarray
    truth: list[Tracks]
    full: list[Tracks]
    clutter: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)


def make_clips(recipe: Recipe, split: str, seed: int, start: int, count: int, *, truth: bool = True) -> Clips:
    """Clips ``start`` to ``start + count`` of (recipe, split, seed).

    A clip is the same whatever range it is drawn in. ``truth=False`` leaves out the boxes and is faster.

    Raises:
        UserError: unknown split, digits that cannot be read or do not fit the canvas, a negative range.
    """
    if start < 0 or count < 0:
        raise UserError(f"clips {start} to {start + count} do not exist: start and count must be 0 or more")
    draws = Draws(recipe.name, split, seed, start, count)
    if recipe.name in BENCHMARKS:
        return _benchmark_clips(recipe, split, draws, truth)
    crops = load_crops(split, recipe.digit_size, recipe.idx_path)
    scene = make_scene(recipe, draws, crops.size)
    behind = make_background(recipe, draws, split, crops)
    frames = _paint(scene, crops, recipe.height, recipe.width)
    if recipe.background != "none" or recipe.colour:
        frames = _colour(frames, scene, crops, behind.image, recipe, draws)
    labels = np.where(scene.which >= 0, crops.label[scene.which], -1)
    ink, full = _truth(scene, crops, recipe.height, recipe.width) if truth else ([], [])
    return Clips(frames, scene.presence.sum(-1), scene.presence, labels, ink, full, behind.clutter)


def make_segments(recipe: Recipe, split: str, seed: int, start: int, count: int) -> np.ndarray:
    """Which digit shows in each pixel of the clips that ``make_clips`` makes of the same arguments.

    Returns:
        uint8 ``[N, T, H, W]``: 0 where there is no digit, otherwise 1 and its place on axis K; uint16 where axis K
        is of more than 255.
    """
    if recipe.name in BENCHMARKS:
        return _benchmark_segments(recipe, make_layers(recipe, Draws(recipe.name, split, seed, start, count), split))
    crops = load_crops(split, recipe.digit_size, recipe.idx_path)
    scene = make_scene(recipe, Draws(recipe.name, split, seed, start, count), crops.size)
    ink = _paint(scene, crops, recipe.height, recipe.width)
    segments = np.zeros_like(ink)
    for k, shows in enumerate(_showing(ink, scene, crops, recipe)):
        segments[shows] = 1 + k
    return segments


def _benchmark_clips(recipe: Recipe, split: str, draws: Draws, truth: bool) -> Clips:
    clips = make_layers(recipe, draws, split)
    length, n = recipe.length, draws.count
    channels = 3 if recipe.colour else 1
    frames = np.empty((n, length, recipe.height, recipe.width, channels), np.uint8)
    for i, behind in enumerate(make_behind(recipe, draws, split)):
        frames[i] = paint(clips[i], behind, length)
    visible, full = [], []
    for layers, segments in zip(clips, _benchmark_segments(recipe, clips) if truth else [], strict=truth):
        seen, whole = boxes(layers, segments, IGNORED_BELOW)
        visible.append(seen)
        full.append(whole)
    k = objects(recipe)
    presence = np.array([layers.presence(length) for layers in clips], bool).reshape(n, length, k)
    labels = np.array([layers.label for layers in clips], np.int64).reshape(n, k)
    clutter = np.zeros((n, 0, 4), np.int64)
    frames = frames if recipe.colour else frames[..., 0]
    return Clips(frames, presence.sum(-1), presence, labels, visible, full, clutter)


def _benchmark_segments(recipe: Recipe, clips: list[Layers]) -> np.ndarray:
    shape = recipe.length, recipe.height, recipe.width
    segments = np.empty((len(clips), *shape), id_type(objects(recipe)))
    for of, layers in zip(segments, clips, strict=True):
        of[:] = segment(layers, *shape)
    return segments


def _showing(ink: np.ndarray, scene: Scene, crops: Crops, recipe: Recipe) -> Iterator[np.ndarray]:
    """For each digit of axis K, where it is the one that shows, bool as ``ink [N, T, H, W]`` of all digits."""
    for k in range(scene.which.shape[1]):
        yield (_paint(_only(scene, k), crops, recipe.height, recipe.width) == ink) & (ink > 0)


def _paint(scene: Scene, crops: Crops, height: int, width: int) -> np.ndarray:
    n, length, _ = scene.presence.shape
    frames = np.zeros((n, length, height, width), np.uint8)
    for i, k in np.argwhere(scene.which >= 0).tolist():
        which = scene.which[i, k]
        w, h = crops.size[which].tolist()
        digit = crops.image[which, :h, :w]
        corners = pixel(scene.position[i, :, k]).tolist()
        for t in np.flatnonzero(scene.presence[i, :, k]).tolist():
            x, y = corners[t]
            under = frames[i, t, y : y + h, x : x + w]
            seen_h, seen_w = under.shape
            np.maximum(under, digit[:seen_h, :seen_w], out=under)
    return frames


def _colour(
    ink: np.ndarray, scene: Scene, crops: Crops, behind: np.ndarray, recipe: Recipe, draws: Draws
) -> np.ndarray:
    """Digits of strength ``ink [N, T, H, W]`` before their backgrounds: the brighter digit shows, by as much as it is.

    ``behind`` is ``[N, 1 or T, H, W, C]`` in [0, 1].
    """
    strength = ink[..., None] / 255
    tint = np.ones((*ink.shape, behind.shape[-1]))
    if recipe.colour:
        colour = colours(draws, "digit-colour", scene.which.shape[1], 3)
        for k, shows in enumerate(_showing(ink, scene, crops, recipe)):
            tint[shows] = np.broadcast_to(colour[:, None, None, None, k], tint.shape)[shows]
    frames = np.rint(255 * (behind * (1 - strength) + tint * strength)).astype(np.uint8)
    return frames if recipe.colour else frames[..., 0]


def _only(scene: Scene, k: int) -> Scene:
    """The scene with digit k of each clip alone."""
    chosen = np.arange(scene.which.shape[1]) == k
    return replace(scene, which=np.where(chosen, scene.which, -1), presence=scene.presence & chosen)


def _truth(scene: Scene, crops: Crops, height: int, width: int) -> tuple[list[Tracks], list[Tracks]]:
    ink, full = [], []
    for which, position, presence in zip(scene.which, scene.position, scene.presence, strict=True):
        frame, ids = np.nonzero(presence)
        corner = pixel(position[frame, ids])
        box = np.concatenate([corner, crops.size[which[ids]]], axis=1).astype(np.float64)
        seen = np.zeros_like(box)
        visibility = np.zeros(len(frame))
        for row, k in enumerate(ids.tolist()):
            x, y = corner[row].tolist()
            seen[row], visibility[row] = _visible(crops.image[which[k]], x, y, height, width)
        score = (visibility >= IGNORED_BELOW).astype(np.float64)
        full.append(Tracks(frame, ids, box, score, visibility))
        ink.append(Tracks(frame, ids, seen, score, visibility).where(visibility > 0))
    return ink, full


def _visible(
    digit: np.ndarray, x: int, y: int, height: int, width: int
) -> tuple[tuple[int, int, int, int], float]:
    """Box of those non-zero pixels of a digit at ``x, y`` that lie inside the canvas, and their fraction."""
    inside = digit[max(-y, 0) : max(height - y, 0), max(-x, 0) : max(width - x, 0)] > 0
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows):
        return (0, 0, 0, 0), 0.0
    box = (
        max(x, 0) + int(columns[0]),
        max(y, 0) + int(rows[0]),
        int(columns[-1] - columns[0]) + 1,
        int(rows[-1] - rows[0]) + 1,
    )
    return box, int(inside.sum()) / np.count_nonzero(digit)
