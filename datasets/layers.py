"""One painter for objects that are cut out of pictures: patches, back to front, over a background.

Axes: T frames, H and W pixels, C channels; M rows, a row is one object in one frame; K objects of the clip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sqair.tracks import Tracks

INK = 1 / 255
"""Least alpha of an object's pixels where every trace of ink is the object, as of digits."""
SOLID = 0.5
"""Least alpha of an object's pixels where soft edges are of the background as well, as of sprites."""


@dataclass(frozen=True)
class Patch:
    """What an object looks like: ``ink``, float64 in [0, 255], broadcastable to ``[h, w, C]``, and its share of a
    pixel, ``alpha [h, w]`` float64 in [0, 1]."""

    ink: np.ndarray
    alpha: np.ndarray


@dataclass(frozen=True)
class Layers:
    """The objects of one clip.

    Attributes:
        label: ``[K]`` int64, which numeral or shape each object is; -1 where the clip has no such object.
        frame: ``[M]`` int64, ascending; rows of the same frame are ordered from back to front.
        id: ``[M]`` int64, which object, 0 to K - 1.
        corner: ``[M, 2]`` int64, x and y of the patch's top left pixel; it may lie outside the canvas.
        patch: ``[M]`` int64, index into ``patches``.
        patches: what the objects look like.
        adds: whether objects add to what is behind them and hide nothing, or cover it by their alpha.
        least: the alpha from which on a pixel is an object's.
    """

    label: np.ndarray
    frame: np.ndarray
    id: np.ndarray
    corner: np.ndarray
    patch: np.ndarray
    patches: list[Patch]
    adds: bool = False
    least: float = SOLID

    def presence(self, length: int) -> np.ndarray:
        """``[T, K]`` bool."""
        there = np.zeros((length, len(self.label)), bool)
        there[self.frame, self.id] = True
        return there


def paint(layers: Layers, behind: np.ndarray, length: int) -> np.ndarray:
    """Frames ``[T, H, W, C]`` uint8 of objects over ``behind``, uint8 ``[1 or T, H, W, C]``.

    Every object is painted over the rounded picture of those behind it: min(255, x + ink), or x + alpha (ink - x).
    """
    frames = np.repeat(behind, length // len(behind), axis=0)
    for row, on, of in _windows(layers, *frames.shape[1:3]):
        patch = layers.patches[layers.patch[row]]
        under = frames[layers.frame[row]][on]
        alpha = patch.alpha[of][..., None]
        ink = np.broadcast_to(patch.ink, (*patch.alpha.shape, frames.shape[-1]))[of]
        mixed = np.minimum(under + alpha * ink, 255) if layers.adds else under + alpha * (ink - under)
        under[...] = np.rint(mixed)
    return frames


def segment(layers: Layers, length: int, height: int, width: int) -> np.ndarray:
    """Which object shows in each pixel: 0 for none, otherwise 1 and its place on axis K.

    It is the one of the greatest share of what is seen: alpha, times 1 - alpha of all in front; where objects add,
    the brighter. Of equals it is the one in front.

    Returns:
        ``[T, H, W]``, uint8, or uint16 where there are more than 255 objects.
    """
    segments = np.zeros((length, height, width), id_type(len(layers.label)))
    share, now = np.zeros((height, width)), -1
    for row, on, of in _windows(layers, height, width):
        if layers.frame[row] != now:
            share[:], now = 0, layers.frame[row]
        alpha, before = layers.patches[layers.patch[row]].alpha[of], share[on]
        left = before if layers.adds else before * (1 - alpha)
        shows = (alpha >= layers.least) & (alpha >= left)
        segments[now][on][shows] = 1 + layers.id[row]
        before[...] = np.where(shows, alpha, left)
    return segments


def id_type(objects: int) -> type[np.unsignedinteger]:
    """The type of segments of so many objects."""
    return np.uint8 if objects < 256 else np.uint16


def boxes(layers: Layers, segments: np.ndarray, ignored_below: float) -> tuple[Tracks, Tracks]:
    """Boxes around what is visible of each object, and of whole patches.

    An object's pixels are those of at least the layers' least alpha. Visible are those inside the canvas of
    ``segments [T, H, W]``, and, unless objects add, those where it is the one that shows.
    """
    m = len(layers.frame)
    seen, visibility = np.zeros((m, 4)), np.zeros(m)
    own = [patch.alpha >= layers.least for patch in layers.patches]
    pixels = [max(int(mask.sum()), 1) for mask in own]
    for row, on, of in _windows(layers, *segments.shape[1:]):
        which = layers.patch[row]
        if layers.adds:
            visible = own[which][of]
        else:
            visible = segments[layers.frame[row]][on] == 1 + layers.id[row]
        visibility[row] = visible.sum() / pixels[which]
        seen[row] = tight(visible) + np.array([on[1].start, on[0].start, 0, 0])
    size = np.array([patch.alpha.shape[::-1] for patch in layers.patches]).reshape(-1, 2)[layers.patch]
    score = (visibility >= ignored_below).astype(np.float64)
    full = Tracks(layers.frame, layers.id, np.concatenate([layers.corner, size], 1), score, visibility)
    part = Tracks(layers.frame, layers.id, seen, score, visibility)
    return part.where(part.visibility > 0), full


def tight(mask: np.ndarray) -> np.ndarray:
    """``[4]`` x, y, w, h of the box around the true pixels of ``mask [h, w]``; zeros without any."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return np.zeros(4, np.int64)
    return np.array([columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1])


def halve(layers: Layers) -> Layers:
    """What is left of every second pixel, of even x and even y, of pictures of these objects."""
    odd = layers.corner % 2
    kinds, patch = np.unique(np.column_stack([layers.patch, odd]), axis=0, return_inverse=True)
    patches = []
    for which, x, y in kinds.tolist():
        whole = layers.patches[which]
        ink = np.broadcast_to(whole.ink, (*whole.alpha.shape, whole.ink.shape[-1]))
        patches.append(Patch(ink[y::2, x::2], whole.alpha[y::2, x::2]))
    corner = (layers.corner + odd) // 2
    return replace(layers, corner=corner, patch=patch.reshape(-1), patches=patches)


def _windows(
    layers: Layers, height: int, width: int
) -> Iterator[tuple[int, tuple[slice, slice], tuple[slice, slice]]]:
    """Rows that touch the canvas, with the part of the canvas that each covers and that part of its patch."""
    places = zip(layers.corner.tolist(), layers.patch.tolist(), strict=True)
    for row, ((x, y), which) in enumerate(places):
        h, w = layers.patches[which].alpha.shape
        top, bottom, left, right = max(y, 0), min(y + h, height), max(x, 0), min(x + w, width)
        if top < bottom and left < right:
            on = slice(top, bottom), slice(left, right)
            yield row, on, (slice(top - y, bottom - y), slice(left - x, right - x))
