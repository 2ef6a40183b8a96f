"""Clips of a game seen from a stand: players of two teams, each in one colour, run after a ball on a striped pitch.

Those of a team look all alike, and cross. The camera stands still; the truth tells of players, not of the ball.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sqair.datasets.images import opencv
from sqair.tracks import Tracks

HEIGHT, WIDTH, FPS = 270, 480, 25
TEAM = 4
"""Players of each of two teams."""
HEIGHTS = 20.0, 32.0
"""Of a player at the far side of the pitch and at the near one, pixels."""
FAR, NEAR = 50.0, 250.0
"""Rows of the picture in which the pitch begins and ends."""
TOP, BEND, PASS = 2.6, 0.12, 0.035
"""Pixels a frame of a player at most, the share by which it changes its velocity, and the chance of a pass a frame."""
NOISE = 2.5
"""Standard deviation of the camera's noise, of 255."""
COLOURS = ((215, 215, 225), (150, 30, 40)), ((35, 45, 130), (235, 225, 120))
"""Shirts and shorts of the teams."""
SEEN = 12
"""Pixels of a player that are seen if the ground truth tells of it."""


@dataclass
class Player:
    """A player: its ``home``, ``place`` (x, y of its feet) and ``velocity``, in pixels, and where it is in a step."""

    id: int
    team: int
    home: np.ndarray
    place: np.ndarray
    velocity: np.ndarray
    phase: float

    @property
    def height(self) -> float:
        return float(np.interp(self.place[1], (FAR, NEAR), HEIGHTS))

    def run(self, goal: np.ndarray) -> None:
        """Goes on by a frame, towards a place."""
        way = goal - self.place
        wanted = way * min(0.08, TOP / max(float(np.hypot(*way)), 1e-6))
        self.velocity = self.velocity + BEND * (wanted - self.velocity)
        self.place = np.clip(self.place + self.velocity, (12, FAR + 8), (WIDTH - 12, NEAR - 2))
        self.phase += 0.25 * float(np.hypot(*self.velocity))

    def draw(self, picture: np.ndarray, shown: np.ndarray) -> None:
        """Draws it on ``picture [H, W, 3]``, and its id into ``shown [H, W]``."""
        cv2: Any = opencv()
        shirt, shorts = COLOURS[self.team]
        h, (x, y) = self.height, self.place
        stride = 0.16 * h * np.sin(self.phase)
        hip = (x, y - 0.42 * h)
        parts = [((x + side * stride, y), hip, 0.09, (60, 45, 40)) for side in (-1, 1)]
        parts += [((x, y - 0.36 * h), (x, y - 0.44 * h), 0.22, shorts), (hip, (x, y - 0.74 * h), 0.26, shirt)]
        parts += [((x, y - 0.9 * h), (x, y - 0.92 * h), 0.15, (120, 85, 65))]
        mask = np.zeros(shown.shape, np.uint8)
        for start, end, width, colour in parts:
            for image, ink in ((picture, colour), (mask, 1)):
                cv2.line(image, _whole(start), _whole(end), ink, max(1, round(width * h)))
        shown[mask > 0] = self.id


def pitch_clip(seed: int, length: int) -> tuple[np.ndarray, Tracks]:
    """Frames, uint8 RGB ``[T, H, W, 3]``, and boxes around what is seen of each player."""
    cv2: Any = opencv()
    rng = np.random.default_rng(seed)
    players, scene = _line_up(rng), _pitch(rng)
    ball, holder = np.array([WIDTH / 2, (FAR + NEAR) / 2]), 0
    frames, rows = [], []
    for time in range(length):
        holder = int(rng.integers(2 * TEAM)) if rng.random() < PASS else holder
        ball = ball + 0.15 * (players[holder].place + [5, 0] - ball)
        for player in players:
            chases = player.id == min(_team(players, player.team), key=lambda p: float(np.hypot(*(p.place - ball)))).id
            player.run(ball if chases else player.home + 0.45 * (ball - [WIDTH / 2, (FAR + NEAR) / 2]))
        picture, shown = scene.copy(), np.full((HEIGHT, WIDTH), -1)
        cv2.circle(picture, _whole(ball - [0, 2]), 2, (245, 245, 245), -1)
        for player in sorted(players, key=lambda p: float(p.place[1])):
            player.draw(picture, shown)
        rows += [row for player in players if (row := _box(time, player.id, shown))]
        noisy = cv2.GaussianBlur(picture, (3, 3), 0) + rng.normal(0, NOISE, picture.shape)
        frames.append(noisy.clip(0, 255).astype(np.uint8))
    told = np.array(rows, np.float64)
    return np.stack(frames), Tracks(told[:, 0].astype(np.int64), told[:, 1].astype(np.int64), told[:, 2:])


def _line_up(rng: np.random.Generator) -> list[Player]:
    players = []
    for number in range(2 * TEAM):
        team = number // TEAM
        x = WIDTH * (0.5 + (2 * team - 1) * rng.uniform(-0.06, 0.32))
        home = np.array([x, FAR + (NEAR - FAR) * (number % TEAM + rng.uniform(0.3, 0.8)) / TEAM])
        players.append(Player(number, team, home, home + rng.normal(0, 12, 2), np.zeros(2), rng.uniform(0, 6)))
    return players


def _team(players: list[Player], team: int) -> list[Player]:
    return [player for player in players if player.team == team]


def _pitch(rng: np.random.Generator) -> np.ndarray:
    """A pitch in stripes with white lines before a dark stand, uint8 ``[H, W, 3]``."""
    cv2: Any = opencv()
    scene = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    scene[: int(FAR)] = 55 + rng.integers(0, 25, (int(FAR), WIDTH, 1))
    slant = 0.5 + (np.arange(WIDTH) / WIDTH - 0.5) / np.linspace(0.85, 1.1, HEIGHT - int(FAR))[:, None]
    light = np.where(np.floor(9 * slant) % 2 > 0, 1.0, 0.88)[..., None]
    scene[int(FAR) :] = light * [70, 135, 62] + rng.normal(0, 2, (*light.shape[:2], 1))
    middle, lines = (WIDTH // 2, int(FAR + NEAR) // 2), (225, 230, 225)
    cv2.line(scene, (0, int(FAR) + 3), (WIDTH, int(FAR) + 3), lines, 2)
    cv2.line(scene, (WIDTH // 2, int(FAR) + 3), (WIDTH // 2, HEIGHT), lines, 2)
    cv2.ellipse(scene, middle, (75, 45), 0, 0, 360, lines, 2)
    return scene


def _whole(place: np.ndarray | tuple[float, float]) -> tuple[int, int]:
    return int(round(float(place[0]))), int(round(float(place[1])))


def _box(time: int, name: int, shown: np.ndarray) -> list[float] | None:
    y, x = np.nonzero(shown == name)
    return [time, name, x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1] if len(x) > SEEN else None
