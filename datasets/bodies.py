"""Bodies: what things look like that move before a camera, drawn at any size, turned and bent.

A body is a shape, whose signed distance to every pixel is known, and a coat, the colours of its points. Its own
coordinates are along ``u`` the way it heads and ``v`` to its right, in pixels from its centre.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sqair.datasets.layers import Patch

REACH = 1.2
"""How far from its centre a body may reach, in its longer side: one that bends does not go round that."""
JOINTS = 10
"""Discs of a bent body."""
PATTERNS = ("plain", "halves", "stripes", "core", "patches")
"""What coats look like."""


@dataclass(frozen=True)
class Pose:
    """How a body is in a frame: ``centre [2]`` (x, y) in pixels, ``heading`` in radians, ``bend`` of each of its joints
    in radians, and ``phase`` of what swings in it, radians."""

    centre: np.ndarray
    heading: float
    bend: float
    phase: float


@dataclass(frozen=True)
class Body:
    """A body of some ``length`` and ``width``, pixels.

    Attributes:
        shape: signed distance ``[h, w]`` of points (u, v, each ``[h, w]``), in pixels, negative inside.
        coat: ``[h, w, 3]``, colours in [0, 255] of points.
        soft: pixels over which it fades at its edge.
        upright: whether it stands, whatever its heading.
        waves: ``[3, 2]`` in [0, 1], what else its shape depends on.
    """

    length: float
    width: float
    shape: Callable[[np.ndarray, np.ndarray, Body, Pose], np.ndarray]
    coat: Callable[[np.ndarray, np.ndarray], np.ndarray]
    soft: float
    upright: bool
    waves: np.ndarray

    def draw(self, pose: Pose) -> tuple[Patch, np.ndarray]:
        """It in a pose, and the corner ``[2]`` int64 (x, y) of where that lies."""
        reach = int(np.ceil(REACH * max(self.length, self.width) + self.soft)) + 1
        corner = np.floor(pose.centre).astype(np.int64) - reach
        y, x = np.mgrid[: 2 * reach + 1, : 2 * reach + 1] + 0.5
        x, y = x + corner[0] - pose.centre[0], y + corner[1] - pose.centre[1]
        angle = -np.pi / 2 if self.upright else pose.heading
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        alpha = np.clip(0.5 - self.shape(u, v, self, pose) / self.soft, 0, 1)
        return Patch(self.coat(u / self.length, v / self.width), alpha), corner


def rounded(u: np.ndarray, v: np.ndarray, body: Body, pose: Pose) -> np.ndarray:
    """An ellipse, or something between it and a rectangle."""
    power = 2 + 6 * body.waves[0, 0]
    a, b = body.length / 2, body.width / 2
    radius = (np.abs(u / a) ** power + np.abs(v / b) ** power) ** (1 / power)
    return (radius - 1) * min(a, b)


def lump(u: np.ndarray, v: np.ndarray, body: Body, pose: Pose) -> np.ndarray:
    """An outline that waves, as those of cells do."""
    v = v * (body.length / body.width)
    angle, radius = np.arctan2(v, u), np.full(u.shape, body.length / 2)
    for k, (size, start) in enumerate(body.waves, 2):
        radius = radius * (1 + 0.3 / k * size * np.cos(k * angle + 2 * np.pi * start + pose.phase * (start - 0.5)))
    return (np.hypot(u, v) - radius) * min(1.0, body.width / body.length)


def bent(u: np.ndarray, v: np.ndarray, body: Body, pose: Pose) -> np.ndarray:
    """A row of discs that thin out to the tail, as fish and worms are."""
    step, taper = body.length / JOINTS, 0.9 * body.waves[0, 0]
    place, angle, nearest = np.array([body.length / 2 - body.width / 2, 0.0]), np.pi, np.full(u.shape, np.inf)
    for joint in range(JOINTS):
        radius = body.width / 2 * (1 - taper * joint / JOINTS)
        nearest = np.minimum(nearest, np.hypot(u - place[0], v - place[1]) - radius)
        angle += pose.bend + 0.1 * np.sin(pose.phase - 0.6 * joint)
        place = place + step * np.array([np.cos(angle), np.sin(angle)])
    return nearest


def walker(u: np.ndarray, v: np.ndarray, body: Body, pose: Pose) -> np.ndarray:
    """A head, a trunk and two legs that swing; ``u`` is upwards."""
    length, width = body.length, body.width
    stride = 0.35 * width * np.sin(pose.phase)
    parts = [(0.42, 0.0, 0.36, 0.0, 0.22), (0.25, 0.0, 0.0, 0.0, 0.36)]
    lines = [(a * length, b * width, c * length, d * width, r * width) for a, b, c, d, r in parts]
    lines += [(0.0, side, -0.42 * length, swing, 0.2 * width) for side, swing in ((-0.1, stride), (0.1, -stride))]
    return np.min([_capsule(u, v, *line) for line in lines], axis=0)


def _capsule(u: np.ndarray, v: np.ndarray, a: float, b: float, c: float, d: float, radius: float) -> np.ndarray:
    """Distance to the line from (a, b) to (c, d) of a ``radius``."""
    du, dv = c - a, d - b
    along = np.clip(((u - a) * du + (v - b) * dv) / max(du**2 + dv**2, 1e-9), 0, 1)
    return np.hypot(u - a - along * du, v - b - along * dv) - radius


SHAPES = {"rounded": (rounded, (1.0, 2.0)), "lump": (lump, (1.0, 1.6)), "bent": (bent, (2.0, 5.5)),
          "walker": (walker, (2.0, 3.2))}  # fmt: skip
"""Shapes, and how long they are for their width."""


def coat(rng: np.random.Generator, colour: np.ndarray, other: np.ndarray) -> Callable[..., np.ndarray]:
    """A coat of ``colour [3]``, and of another in part, in [0, 255]; points are in [-1/2, 1/2], or nearly."""
    pattern, depth = PATTERNS[rng.integers(len(PATTERNS))], rng.uniform(0.3, 1.0)
    angle, phase, waves = rng.uniform(0, np.pi), rng.uniform(0, 1), rng.uniform(1.0, 3.0)
    values = rng.uniform(size=(4, 4))

    def mixed(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        if pattern == "patches":
            row, column = (np.clip(np.floor((w + 0.5) * 4), 0, 3).astype(np.int64) for w in (u, v))
            share = values[row, column]
        elif pattern == "core":
            share = np.clip(8 * (0.12 + 0.2 * phase - np.hypot(u, v)), 0, 1)
        else:
            along = u * np.cos(angle) + v * np.sin(angle)
            halves, stripes = 8 * (along + 0.4 * (phase - 0.5)), 2 * np.sin(2 * np.pi * (waves * along + phase))
            share = np.clip(0.5 + {"halves": halves, "stripes": stripes, "plain": -1.0}[pattern], 0, 1)
            share = np.broadcast_to(share, u.shape)
        return colour + depth * share[..., None] * (other - colour)

    return mixed
