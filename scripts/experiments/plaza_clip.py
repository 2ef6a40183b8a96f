"""Clips of a street seen from a window: walkers in small groups that look much alike cross a pavement and a road."""

from __future__ import annotations

from typing import Any

import numpy as np

from sqair.datasets.images import opencv
from sqair.scripts.experiments.shape_clip import HEIGHT, WIDTH
from sqair.scripts.experiments.walkers import walker_clip
from sqair.tracks import Tracks

KERB = 160
"""Row of the picture in which the road begins."""


def plaza_clip(seed: int, length: int) -> tuple[np.ndarray, Tracks]:
    """Frames, uint8 RGB ``[T, H, W, 3]``, and boxes around what is seen of each walker."""
    return walker_clip(seed, length, _street)


def _street(chance: np.random.Generator) -> np.ndarray:
    """Tiles, a lawn with a bush, and a road with its crossing, uint8 ``[H, W, 3]``."""
    cv2: Any = opencv()
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.full((HEIGHT, WIDTH, 3), (168.0, 162.0, 152.0))
    image += chance.normal(0, 5, (HEIGHT // 16 + 1, WIDTH // 16 + 1, 1)).repeat(16, 0).repeat(16, 1)[:HEIGHT, :WIDTH]
    image[(y % 16 == 0) | (x % 16 == 0)] -= 18
    image[:46, :120] = (96, 128, 74)
    image[:46, :120] += chance.normal(0, 6, (46, 120, 1))
    cv2.circle(image, (62, 20), 17, (62, 98, 52), -1)
    image[KERB:] = (112, 114, 118)
    image[KERB:] += chance.normal(0, 3, (HEIGHT - KERB, WIDTH, 1))
    image[KERB : KERB + 4] = (196, 194, 188)
    for left in range(190, 262, 18):
        cv2.rectangle(image, (left, KERB + 10), (left + 9, HEIGHT), (205, 205, 200), -1)
    return cv2.GaussianBlur(image.clip(0, 255).astype(np.uint8), (3, 3), 0)
