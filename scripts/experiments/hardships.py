"""What makes scenes hard, on clips of shape_clip.py: light, shadows, leaves, a camera that trembles, compression."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sqair.datasets.images import opencv
from sqair.scripts.experiments.shape_clip import HEIGHT, WIDTH, shape_clip
from sqair.tracks import Tracks

KINDS = ("drift", "lamp", "shadows", "leaves", "tremble", "compression")
"""Each has a picture of ``Hardship``, but for drift, which shape_clip.py has."""
DRIFT = 0.15
"""Share by which light swells and fades, once in a clip."""
LAMP, LIT = 0.8, (0.4, 0.6)
"""How light a clip is without a lamp that is on from one share of it to another."""
SHADE, CAST, SOFT = 0.35, (7, 9), 3.0
"""How much a shadow takes of the light, where it lies beside its thing (x, y), pixels, and how soft its edges are."""
CROWN, SWAY, BREATH = 0.25, 3.0, 40
"""A tree's crown: its radius in heights, how far its leaves go to and fro, pixels, and in how many frames."""
TREMBLE = 1.2
"""Standard deviation of a camera that trembles, pixels."""
QUALITY = 25
"""Of JPEG, of 100."""


@dataclass
class Hardship:
    """One kind of them in a clip; for ``seen_as`` of ``shape_clip``."""

    kind: str
    length: int
    chance: np.random.Generator
    shifts: list[np.ndarray] = field(default_factory=list)
    """Where the picture lay in each frame so far (x, y), pixels."""

    def __call__(self, picture: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """The next frame as it is seen, float or uint8 ``[H, W, 3]``."""
        time = len(self.shifts)
        self.shifts.append(self.chance.normal(0, TREMBLE, 2) if self.kind == "tremble" else np.zeros(2))
        if self.kind == "lamp":
            low, high = (share * self.length for share in LIT)
            return picture if low <= time < high else LAMP * picture
        if self.kind == "shadows":
            return cast(picture, shown)
        if self.kind == "leaves":
            return swayed(picture, shown, time)
        if self.kind == "tremble":
            return moved(picture, self.shifts[-1])
        return compressed(picture) if self.kind == "compression" else picture


def hard_clip(kind: str, seed: int, length: int) -> tuple[np.ndarray, Tracks]:
    """Frames ``[T, H, W, 3]`` and ground truth of a clip of shapes that has one hardship of ``KINDS``."""
    hardship = Hardship(kind, length, np.random.default_rng([seed, KINDS.index(kind)]))
    frames, truth = shape_clip(seed, length, DRIFT if kind == "drift" else 0.0, hardship)
    shift = np.stack(hardship.shifts)[truth.frame]
    return frames, replace(truth, box=truth.box + np.concatenate([shift, np.zeros_like(shift)], 1))


def cast(picture: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """The picture with the soft shadows of its shapes."""
    cv2: Any = opencv()
    there = np.roll(shown >= 0, CAST[::-1], (0, 1)).astype(np.float32)
    shade = cv2.GaussianBlur(there, (0, 0), SOFT) * (shown < 0)
    return picture * (1 - SHADE * shade[..., None])


def swayed(picture: np.ndarray, shown: np.ndarray, time: int) -> np.ndarray:
    """The picture, of which a round part of the scene goes to and fro, the outer leaves more; shapes go before it."""
    cv2: Any = opencv()
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    away = np.hypot(x - 0.75 * WIDTH, y - 0.3 * HEIGHT) / (CROWN * HEIGHT)
    size = SWAY * np.clip(1.2 * away, 0, 1) * (away < 1)
    phase = 2 * np.pi * time / BREATH + 0.05 * (x + y)
    leaves = cv2.remap(picture, x + size * np.sin(phase), y + 0.5 * size * np.cos(phase), cv2.INTER_LINEAR)
    return np.where(((away < 1) & (shown < 0))[..., None], leaves, picture)


def moved(picture: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The picture, shifted by so many pixels (x, y)."""
    cv2: Any = opencv()
    place = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    return cv2.warpAffine(picture, place, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)


def compressed(picture: np.ndarray) -> np.ndarray:
    """The picture as JPEG leaves it."""
    cv2: Any = opencv()
    packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return cv2.imdecode(packed, cv2.IMREAD_COLOR)
