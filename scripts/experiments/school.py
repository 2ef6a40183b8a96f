"""Clips of a school: fish that look alike swim together from the first frame to the last, touch and cross.

None of it is from ``sqair.datasets``. Nobody comes or leaves. Each fish turns to where its neighbours swim and to where
they are, and away from the nearest one beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sqair.datasets.images import opencv
from sqair.tracks import Tracks

HEIGHT, WIDTH = 480, 560
FISH = (5, 8)
"""Fewest and most in a clip."""
LENGTH, BREADTH, GREY = (46.0, 54.0), (11.0, 14.0), (50.0, 100.0)
"""Of a fish, pixels and grey levels."""
SPOT, LIGHTER = 0.6, (-25.0, 45.0)
"""A spot on it: its diameter, in breadths, and by how much it is lighter."""
SEES, TOUCHES, BESIDE = 140.0, 60.0, 24.0
"""How far a fish sees others; and how near, along and across, one is from which it turns away."""
ALONG, TOWARDS, AWAY, WANDERS, WALL = 0.15, 0.05, 0.11, 0.08, 0.25
"""By how much it turns in a frame to swim along with others, towards them, away from one, by chance, and off a wall,
radians."""
SPEED, CHANGES, RETURNS = 2.5, 0.3, 0.1
"""Pixels a frame, the standard deviation of its change, and how soon it is what it was."""
NOISE = 2.0
"""Standard deviation of the camera's noise, of 255."""
SEEN = 8
"""Pixels of a fish that are seen if the ground truth tells of it."""


@dataclass
class School:
    """N fish: their places ``[N, 2]`` (x, y), headings ``[N]`` (radians) and speeds ``[N]``."""

    place: np.ndarray
    heading: np.ndarray
    speed: np.ndarray

    @staticmethod
    def begin(fish: int, rng: np.random.Generator) -> School:
        """Near the middle, all swimming about the same way."""
        place = np.array([WIDTH, HEIGHT]) / 2 + rng.uniform(-90, 90, (fish, 2))
        return School(place, rng.normal(rng.uniform(0, 2 * np.pi), 0.4, fish), rng.uniform(1, SPEED, fish))

    def swim(self, rng: np.random.Generator) -> None:
        """Goes on by a frame."""
        for i in range(len(self.place)):
            self.heading[i] += self._turn(i) + rng.normal(0, WANDERS)
            self.speed[i] += rng.normal(0, CHANGES) + RETURNS * (SPEED - self.speed[i])
            self.speed[i] = np.clip(self.speed[i], 0.5, 6)
            ahead = np.array([np.cos(self.heading[i]), np.sin(self.heading[i])])
            self.place[i] = np.clip(self.place[i] + self.speed[i] * ahead, 8, [WIDTH - 8, HEIGHT - 8])

    def _turn(self, i: int) -> float:
        """By how much fish ``i`` turns, radians."""
        offset = self.place - self.place[i]
        distance = np.hypot(*offset.T)
        near = (distance < SEES) & (distance > 0)
        turn, middle = 0.0, np.array([WIDTH, HEIGHT]) / 2 - self.place[i]
        if near.any():
            heading, towards = self.heading[near], offset[near].mean(0)
            along = np.arctan2(np.sin(heading).mean(), np.cos(heading).mean())
            turn += ALONG * np.sin(along - self.heading[i])
            turn += TOWARDS * np.sin(np.arctan2(towards[1], towards[0]) - self.heading[i])
            nearest = np.where(near, distance, np.inf).argmin()
            side = offset[nearest] @ [-np.sin(self.heading[i]), np.cos(self.heading[i])]
            if abs(side) < BESIDE and distance[nearest] < TOUCHES:
                turn -= AWAY * np.sign(side)
        if (np.abs(middle) > np.array([WIDTH, HEIGHT]) / 2 - 25).any():
            turn += WALL * np.sign(np.sin(np.arctan2(middle[1], middle[0]) - self.heading[i]))
        return turn


def school_clip(seed: int, length: int) -> tuple[np.ndarray, Tracks]:
    """Frames uint8 ``[T, H, W, 3]`` of a school, and boxes around what is seen of each fish."""
    cv2: Any = opencv()
    rng = np.random.default_rng([seed, len(FISH)])
    fish = int(rng.integers(FISH[0], FISH[1] + 1))
    long, broad, grey, lighter = (rng.uniform(*span, fish) for span in (LENGTH, BREADTH, GREY, LIGHTER))
    spot, school = rng.uniform(-0.3, 0.3, fish), School.begin(fish, rng)
    scene = 170 + 8 * np.cos(np.linspace(0, 3, WIDTH)) + 5 * np.sin(np.linspace(0, 4, HEIGHT))[:, None]
    frames, rows = [], []
    for time in range(length):
        school.swim(rng)
        picture, shown = scene.copy(), np.full(scene.shape, -1)
        for i in range(fish):
            heading = np.array([np.cos(school.heading[i]), np.sin(school.heading[i])])
            body, eye = np.zeros(scene.shape, np.uint8), np.zeros(scene.shape, np.uint8)
            sides = tuple(int(side) for side in (4 * long[i], 4 * broad[i]))
            at = _eighths(school.place[i])
            cv2.ellipse(body, at, sides, float(np.degrees(school.heading[i])), 0, 360, 1, -1, shift=3)
            at = _eighths(school.place[i] + spot[i] * long[i] * heading)
            cv2.circle(eye, at, int(4 * SPOT * broad[i]), 1, -1, shift=3)
            picture[body > 0], shown[body > 0] = grey[i], i
            picture[eye > 0] = grey[i] + lighter[i]
        for i in range(fish):
            y, x = np.nonzero(shown == i)
            if len(x) > SEEN:
                rows.append([time, i, x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1])
        seen = cv2.GaussianBlur(picture, (3, 3), 0) + rng.normal(0, NOISE, picture.shape)
        frames.append(np.repeat(np.clip(seen, 0, 255).astype(np.uint8)[..., None], 3, -1))
    told = np.array(rows, dtype=np.float64)
    return np.stack(frames), Tracks(told[:, 0].astype(np.int64), told[:, 1].astype(np.int64), told[:, 2:])


def _eighths(place: np.ndarray) -> tuple[int, int]:
    """A place (x, y) as OpenCV takes it in eighths of a pixel."""
    x, y = np.rint(8 * place).astype(int).tolist()
    return x, y
