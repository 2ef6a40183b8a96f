"""A clip as someone with OpenCV would make it, who knows nothing of the recipes: shapes before a photo-like scene.

Nothing of ``sqair.datasets.motion`` or ``.backgrounds`` is used, and no setting of the project was chosen on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sqair.datasets.images import opencv
from sqair.tracks import Tracks

HEIGHT, WIDTH, FPS = 240, 320, 25
FEWEST, MOST = 3, 6
NOISE = 2.5
"""Standard deviation of the camera's noise, of 255."""
HIDDEN = 0.25
"""Share of an object of which less has to be seen for the ground truth to ignore it."""


@dataclass
class Shape:
    """A disc, an ellipse, a triangle or a square, in one colour or with a stripe of another."""

    id: int
    place: np.ndarray
    """x and y, pixels."""
    velocity: np.ndarray
    """Pixels a frame."""
    radius: float
    kind: int
    colour: list[int]
    stripe: list[int] | None
    area: int = field(init=False)

    def __post_init__(self) -> None:
        centre = np.array([WIDTH, HEIGHT]) / 2
        self.area = int((self.mask(centre) > 0).sum())

    def mask(self, place: np.ndarray) -> np.ndarray:
        """Where it is drawn, uint8 ``[H, W]``, if its centre is at ``place``."""
        cv2: Any = opencv()
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        x, y = (int(round(side)) for side in place)
        radius = int(self.radius)
        if self.kind == 0:
            cv2.circle(mask, (x, y), radius, 255, -1)
        elif self.kind == 1:
            cv2.ellipse(mask, (x, y), (radius, int(0.65 * radius)), 20, 0, 360, 255, -1)
        else:
            angle = np.arange(self.kind + 1) * 2 * np.pi / (self.kind + 1) + 0.5
            corners = place + self.radius * np.stack([np.cos(angle), np.sin(angle)], 1)
            cv2.fillPoly(mask, [corners.round().astype(np.int32)], 255)
        return mask

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """Draws it on ``picture [H, W, 3]``; where, bool ``[H, W]``."""
        where = self.mask(self.place) > 0
        picture[where] = self.colour
        if self.stripe is not None:
            rows = np.abs(np.arange(HEIGHT) - self.place[1]) < self.radius / 4
            picture[where & rows[:, None]] = self.stripe
        return where

    def is_outside(self) -> bool:
        beyond = self.radius + 2
        return bool((self.place < -beyond).any() or (self.place > np.array([WIDTH, HEIGHT]) + beyond).any())


def scene(chance: np.random.Generator) -> np.ndarray:
    """Soft colours of all scales, and blurred rectangles, uint8 ``[H, W, 3]``."""
    cv2: Any = opencv()
    image = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for cells in (3, 6, 12, 40, 120):
        values = chance.random((cells * HEIGHT // WIDTH + 2, cells + 1, 3)).astype(np.float32)
        image += cv2.resize(values, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) / cells**0.6
    image = ((image - image.min()) / (image.max() - image.min()) * 150 + 50).astype(np.uint8)
    for _ in range(14):
        corner = chance.integers(0, (WIDTH, HEIGHT))
        other = corner + chance.integers(15, 70, 2)
        cv2.rectangle(image, corner.tolist(), other.tolist(), chance.integers(50, 200, 3).tolist(), -1)
    return cv2.GaussianBlur(image, (3, 3), 0)


def new_shape(chance: np.random.Generator, number: int, inside: bool) -> Shape:
    """One somewhere in the picture, or one that comes in from a side."""
    size = np.array([WIDTH, HEIGHT])
    radius, speed = chance.uniform(10, 24), chance.uniform(1, 3.5)
    colour = chance.integers(0, 256, 3)
    colour[chance.integers(3)] = chance.choice([0, 255])
    stripe = chance.integers(0, 256, 3).tolist() if chance.random() < 0.5 else None
    if inside:
        place, angle = chance.uniform(radius, size - radius), chance.uniform(0, 2 * np.pi)
        way = np.array([np.cos(angle), np.sin(angle)])
    else:
        place = chance.uniform(0, size)
        axis = chance.integers(2)
        place[axis] = chance.choice([-radius, size[axis] + radius])
        way = chance.uniform(60, size - 60) - place
    velocity = speed * way / np.linalg.norm(way)
    return Shape(number, place, velocity, radius, int(chance.integers(4)), colour.tolist(), stripe)


def shape_clip(
    seed: int, length: int, drift: float = 0.0, seen_as: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
) -> tuple[np.ndarray, Tracks]:
    """Frames, uint8 RGB ``[T, H, W, 3]``, and boxes around what is to be seen of each shape; later ones lie on top.

    The light swells and fades by a share ``drift``, once in a clip. ``seen_as`` changes each picture ``[H, W, 3]``, of
    255, before the camera adds its noise; it is given which shape shows in each pixel as well, ``[H, W]``, or -1.
    """
    chance = np.random.default_rng(seed)
    behind = scene(chance)
    frames, rows = [], []
    for shapes in _moving(chance, length):
        picture, shown = behind.copy(), np.full((HEIGHT, WIDTH), -1)
        for shape in shapes:
            shown[shape.draw(picture)] = shape.id
        if seen_as is not None:
            picture = seen_as(picture, shown)
        light = 1 + drift * np.sin(2 * np.pi * len(frames) / length)
        noisy = light * picture + chance.normal(0, NOISE, picture.shape)
        rows += [(len(frames), *row) for shape in shapes if (row := seen(shape.id, shown, shape.area))]
        frames.append(noisy.clip(0, 255).astype(np.uint8))
    return np.stack(frames), Tracks(*map(np.array, zip(*rows, strict=True)))


def _moving(chance: np.random.Generator, length: int) -> Iterator[list[Shape]]:
    """The shapes of each frame: some leave, and others come until there are as many as wanted, which changes."""
    wanted = chance.integers(FEWEST, MOST + 1)
    shapes = [new_shape(chance, number, inside=True) for number in range(wanted)]
    number = len(shapes)
    for frame in range(length):
        if frame % 60 == 59:
            wanted = chance.integers(FEWEST, MOST + 1)
        shapes = [shape for shape in shapes if not shape.is_outside()]
        if len(shapes) < wanted and chance.random() < 0.2:
            shapes.append(new_shape(chance, number, inside=False))
            number += 1
        for shape in shapes:
            shape.velocity += chance.normal(0, 0.06, 2)
            shape.place = shape.place + shape.velocity
        yield shapes


def seen(name: int, shown: np.ndarray, area: int) -> tuple[int, list[int], float, float] | None:
    """Id, box, score and visibility of what has so many pixels in all, given whose each pixel is, ``shown [H, W]``.

    None if it is hidden.
    """
    y, x = np.nonzero(shown == name)
    if not len(x):
        return None
    visible = len(x) / area
    box = [int(x.min()), int(y.min()), int(np.ptp(x)) + 1, int(np.ptp(y)) + 1]
    return name, box, float(visible >= HIDDEN), min(1.0, visible)
