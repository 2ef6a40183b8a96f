"""Pictures of what was imagined: all samples side by side, with a frame around what nobody saw."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sqair.datasets.images import enlarge
from sqair.datasets.overlay import TRAIL, draw_tracks, panel
from sqair.tracks import Tracks

SIDE, WIDEST = 200, 1280
"""Pixels: a small frame is enlarged to about the first, and a row of them is no wider than about the second."""
MARK = (255, 150, 0)
"""Colour, RGB, around what is imagined."""
GAP, GROUND = 8, 24


@dataclass(frozen=True)
class Tile:
    """A clip in the picture: its name, frames uint8 ``[T, H, W(, 3)]``, tracks or None, and from which frame on it is
    imagined, if it is."""

    name: str
    frames: np.ndarray
    tracks: Tracks | None
    imagined: int | None = None


def grid(tiles: Sequence[Tile], length: int) -> Iterator[np.ndarray]:
    """RGB pictures of all tiles together, one for each frame; a tile that has ended stays as it was."""
    columns = math.ceil(math.sqrt(len(tiles)))
    if len(tiles) % columns and len(tiles) % (columns + 1) == 0:
        columns += 1
    trails: list[deque[Tracks]] = [deque(maxlen=TRAIL) for _ in tiles]
    for t in range(length):
        pictures = [_picture(tile, t, trail, columns) for tile, trail in zip(tiles, trails, strict=True)]
        names = [tile.name for tile in tiles]
        while len(pictures) % columns:
            pictures.append(np.full_like(pictures[0], GROUND))
            names.append("")
        rows = [
            panel(pictures[i : i + columns], names[i : i + columns]) for i in range(0, len(pictures), columns)
        ]
        yield np.concatenate(rows)


def _picture(tile: Tile, t: int, trail: deque[Tracks], columns: int) -> np.ndarray:
    """A frame of a tile, with its tracks and their trail, to which they are added."""
    at = min(t, len(tile.frames) - 1)
    frame = tile.frames[at]
    height, width = frame.shape[:2]
    shrink = min(1.0, WIDEST / columns / width)
    if shrink < 1:
        frame = cv2.resize(frame, (round(shrink * width), round(shrink * height)), interpolation=cv2.INTER_AREA)
    scale = max(1, round(min(SIDE, WIDEST / columns) / min(frame.shape[:2])))
    if tile.tracks is None:
        picture = enlarge(frame, scale)
    else:
        now = tile.tracks.at(at)
        now = Tracks(now.frame, now.id, now.box * shrink)
        picture = draw_tracks(frame, now, tuple(trail), scale=scale)
        trail.append(now)
    if tile.imagined is not None and t >= tile.imagined:
        cv2.rectangle(picture, (1, 1), (picture.shape[1] - 2, picture.shape[0] - 2), MARK, 3)
    elif t >= len(tile.frames):
        picture //= 3  # it has ended
    return picture
