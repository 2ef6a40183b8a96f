"""Clips of cells that drift and divide: roundish, faint, of outlines that wave, on a plain ground, as microscopes see.

A cell that divides grows long first; both of its halves are new cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sqair.datasets.images import opencv
from sqair.tracks import Tracks

HEIGHT, WIDTH, FPS = 260, 320, 10
CELLS = (5, 8)
"""Fewest and most in the first frame."""
RADIUS, FAINT = (11.0, 15.0), (22.0, 45.0)
"""Of a cell, pixels, and by how many grey levels it is lighter than the ground, of 255."""
DRIFT, HOLDS = 0.35, 0.9
"""Standard deviation of the change of its velocity, pixels a frame, and how much of that stays in the next."""
DIVIDES, STRETCHING = 0.004, 14
"""Chance in each frame that a cell begins to divide, and the frames that it takes."""
GROUND, NOISE = 70.0, 3.0
"""Grey level of the ground, and the standard deviation of the camera's noise."""
FULL = 12
"""Cells from which on none divides."""


@dataclass
class Cell:
    """A cell: ``place`` (x, y) and ``velocity`` in pixels, ``wave`` of its outline, ``age`` of its division, frames."""

    id: int
    place: np.ndarray
    velocity: np.ndarray
    radius: float
    light: float
    angle: float
    wave: np.ndarray
    age: int = -1

    @property
    def stretch(self) -> float:
        """How far it has grown long, from 0 to 1."""
        return max(0, self.age) / STRETCHING

    def mask(self, time: int) -> np.ndarray:
        """Where it is, bool ``[H, W]``."""
        cv2: Any = opencv()
        turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        radius = self.radius * (1 + 0.06 * np.cos(2 * turn + self.wave[0] + 0.10 * time))
        radius = radius * (1 + 0.05 * np.cos(3 * turn + self.wave[1] - 0.07 * time))
        long, waist = radius * np.cos(turn) * (1 + 0.75 * self.stretch), radius * np.sin(turn)
        waist = waist * (1 - 0.5 * self.stretch * np.exp(-((long / (0.6 * self.radius)) ** 2)))
        x = self.place[0] + long * np.cos(self.angle) - waist * np.sin(self.angle)
        y = self.place[1] + long * np.sin(self.angle) + waist * np.cos(self.angle)
        picture = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.fillPoly(picture, [np.rint(8 * np.stack([x, y], 1)).astype(np.int32)], 1, shift=3)
        return picture > 0


def cell_clip(seed: int, length: int) -> tuple[np.ndarray, Tracks]:
    """Frames, uint8 ``[T, H, W, 3]``, and boxes around what is seen of each cell."""
    cv2: Any = opencv()
    rng = np.random.default_rng(seed)
    room = np.array([WIDTH, HEIGHT]) - 25
    cells = [_new(rng, number, rng.uniform(25, room)) for number in range(int(rng.integers(*CELLS)) + 1)]
    number, frames, rows = len(cells), [], []
    ground = GROUND + 10 * np.cos(np.linspace(-1.5, 1.5, WIDTH)) * np.cos(np.linspace(-1.5, 1.5, HEIGHT))[:, None]
    for time in range(length):
        _move(rng, cells)
        for cell in [cell for cell in cells if cell.age >= STRETCHING]:
            cells.remove(cell)
            cells += _halves(rng, cell, number)
            number += 2
        light, shown = ground.copy(), np.full((HEIGHT, WIDTH), -1)
        for cell in cells:
            where = cell.mask(time)
            light += cell.light * cv2.GaussianBlur(where.astype(np.float32), (0, 0), 1.5)
            shown[where] = cell.id
        seen = np.clip(light + rng.normal(0, NOISE, light.shape), 0, 255).astype(np.uint8)
        frames.append(np.repeat(seen[..., None], 3, -1))
        rows += [row for cell in cells if (row := _box(time, cell.id, shown))]
    told = np.array(rows, np.float64)
    return np.stack(frames), Tracks(told[:, 0].astype(np.int64), told[:, 1].astype(np.int64), told[:, 2:])


def _new(rng: np.random.Generator, number: int, place: np.ndarray) -> Cell:
    wave, angle = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0, np.pi)
    return Cell(number, place, rng.normal(0, 1, 2), rng.uniform(*RADIUS), rng.uniform(*FAINT), angle, wave)


def _move(rng: np.random.Generator, cells: list[Cell]) -> None:
    """All go on by a frame: they wander, keep off one another and the edge, and some begin to divide."""
    for cell in cells:
        push = np.zeros(2)
        for other in cells:
            away = cell.place - other.place
            apart = float(np.hypot(*away))
            if other is not cell and apart < 2.2 * RADIUS[1]:
                push += 0.5 * away / max(apart, 1.0)
        push += 0.3 * ((cell.place < 20).astype(float) - (cell.place > np.array([WIDTH, HEIGHT]) - 20))
        cell.velocity = HOLDS * cell.velocity + rng.normal(0, DRIFT, 2) + 0.3 * push
        cell.place = cell.place + cell.velocity * (1 - 0.7 * cell.stretch)
        if cell.age >= 0 or (len(cells) < FULL and rng.random() < DIVIDES):
            cell.age += 1


def _halves(rng: np.random.Generator, cell: Cell, number: int) -> list[Cell]:
    way = np.array([np.cos(cell.angle), np.sin(cell.angle)])
    halves = []
    for i, side in enumerate((-1.0, 1.0)):
        half = _new(rng, number + i, cell.place + side * 0.95 * cell.radius * way)
        half.radius, half.light = 0.85 * cell.radius, cell.light
        half.velocity = side * 1.2 * way
        halves.append(half)
    return halves


def _box(time: int, name: int, shown: np.ndarray) -> list[float] | None:
    y, x = np.nonzero(shown == name)
    return [time, name, x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1] if len(x) > 30 else None
