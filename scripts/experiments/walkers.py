"""Walkers: figures that look much alike, side by side in small groups that cross, before a photo-like scene.

A tracker that goes by looks lets neighbours trade places; one that goes by place loses those that are hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sqair.datasets.images import opencv
from sqair.scripts.experiments.shape_clip import HEIGHT, WIDTH, scene, seen
from sqair.tracks import Tracks

FPS = 25
CROWD = 6
"""Walkers from which on no further group comes in."""
COMING = 0.1
"""Chance of a group in each frame before that."""
NOISE = 3.0
"""Standard deviation of the camera's noise, of 255."""
_MARGIN = 100


@dataclass
class Walker:
    """Place (x, y) and velocity in pixels, height in pixels, colour, and where in its step it is at first."""

    id: int
    place: np.ndarray
    velocity: np.ndarray
    height: float
    colour: np.ndarray
    phase: float

    def mask(self, frame: int) -> tuple[np.ndarray, int]:
        """Where it is in a frame, bool ``[H, W]``, and the pixels of all of it, those outside of the frame included."""
        cv2: Any = opencv()
        mask = np.zeros((HEIGHT + 2 * _MARGIN, WIDTH + 2 * _MARGIN), np.uint8)
        x, y = (int(round(side)) + _MARGIN for side in self.place)
        h, w = self.height, 0.36 * self.height
        cv2.ellipse(mask, (x, int(y - 0.08 * h)), (int(w / 2), int(0.32 * h)), 0, 0, 360, 255, -1)
        cv2.circle(mask, (x, int(y - 0.42 * h)), int(0.1 * h), 255, -1)
        stride = int(0.35 * w * np.sin(0.5 * frame + self.phase))
        for foot in (x - stride, x + stride):
            cv2.line(mask, (x, int(y + 0.1 * h)), (foot, int(y + 0.5 * h)), 255, max(2, int(0.3 * w)))
        inside = mask[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] > 0
        return inside, int((mask > 0).sum())

    def is_outside(self) -> bool:
        x, y = self.place
        return not (-25 < x < WIDTH + 25 and -30 < y < HEIGHT + 30)


def walker_clip(
    seed: int, length: int, before: Callable[[np.random.Generator], np.ndarray] = scene
) -> tuple[np.ndarray, Tracks]:
    """Frames, uint8 RGB ``[T, H, W, 3]``, and boxes around what is to be seen of each; who stands lower is in front.

    ``before`` makes the scene, uint8 ``[H, W, 3]``.
    """
    chance = np.random.default_rng(seed)
    behind, shade = before(chance), chance.integers(10, 60, 3)
    walkers: list[Walker] = []
    for _ in range(3):
        walkers += _group(chance, len(walkers), shade, inside=True)
    number = len(walkers)
    frames, rows = [], []
    for frame in range(length):
        walkers = [walker for walker in walkers if not walker.is_outside()]
        if len(walkers) < CROWD and chance.random() < COMING:
            group = _group(chance, number, shade, inside=False)
            walkers, number = walkers + group, number + len(group)
        picture, shown, area = behind.copy(), np.full((HEIGHT, WIDTH), -1), {}
        for walker in sorted(walkers, key=lambda w: w.place[1] + w.height / 2):
            walker.velocity = walker.velocity + chance.normal(0, 0.02, 2)
            walker.place = walker.place + walker.velocity
            where, area[walker.id] = walker.mask(frame)
            picture[where], shown[where] = walker.colour, walker.id
        rows += [(frame, *row) for walker in walkers if (row := seen(walker.id, shown, area[walker.id]))]
        noisy = opencv().GaussianBlur(picture, (3, 3), 0) + chance.normal(0, NOISE, picture.shape)
        frames.append(noisy.clip(0, 255).astype(np.uint8))
    return np.stack(frames), Tracks(*map(np.array, zip(*rows, strict=True)))


def _group(chance: np.random.Generator, number: int, shade: np.ndarray, inside: bool) -> list[Walker]:
    """One to three walkers side by side, of ids from ``number``, somewhere in the picture or at one side of it."""
    side = chance.choice([-1, 1])
    x = chance.uniform(30, WIDTH - 30) if inside else WIDTH / 2 + side * (WIDTH / 2 + 15)
    y = chance.uniform(30, HEIGHT - 30)
    velocity = np.array([-side * chance.uniform(0.8, 1.6), chance.uniform(-0.3, 0.3)])
    walkers = []
    for i in range(chance.choice([1, 2, 2, 3])):
        place = np.array([x + i * chance.uniform(13, 17), y + chance.uniform(-6, 6)])
        colour = (shade + chance.integers(-15, 30) + chance.integers(-8, 8, 3)).clip(0, 255)
        own = velocity + chance.normal(0, 0.05, 2)
        walkers.append(Walker(number + i, place, own, chance.uniform(30, 38), colour, chance.uniform(0, 6)))
    return walkers
