"""How a camera moved over a clip: whether it trembles, and by how much; whether it pans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sqair.steady import FAR, LEAST, MARGIN, SIDE, Placed, Steady, detail, put_back

Stabilise = Literal["auto", "on", "off"]
"""Whether frames are put where the scene is: where the camera trembles, wherever that can be told, or never."""
TREMBLES = 0.1
"""Standard deviation of shifts, in pixels of frames as they are aligned, from which a camera trembles."""
_PAYS = 0.1
"""Share of the difference from the scene, at least, that has to go away with the shifts of a camera that trembles."""
_LOST = 0.3
"""Share of the frames that may show nothing of the scene."""
_NOTHING = 0.9
"""Share of the frames that show nothing of the scene where there is none."""
_FEWEST = 8
"""Frames from which it can be told how a camera moves."""
_GRAIN = 0.5
"""Grey levels of noise, after smoothing, that are reckoned with in a single frame."""
_SMALLEST = 64
"""Pixels of the shorter side of frames for which that is asked."""


@dataclass(frozen=True)
class Motion:
    """How a camera moved over some frames, in pixels of frames of ``size`` (H, W).

    Attributes:
        told: whether the scene has the detail that it takes to tell.
        tremble: standard deviation of the shifts, root mean square of both axes.
        reach: how far apart the shifts are, but for a tenth of them.
        turn: standard deviation of what turning and zooming add at the corners.
        lost: share of the frames that show nothing of the scene.
        pays: share of the difference from the scene that the shifts take away.
    """

    size: tuple[int, int]
    told: bool
    tremble: float = 0.0
    reach: float = 0.0
    turn: float = 0.0
    lost: float = 0.0
    pays: float = 0.0

    @property
    def pixel(self) -> float:
        """Pixels of a frame to one of frames as they are aligned."""
        return max(1.0, max(self.size) / SIDE)

    @property
    def pans(self) -> bool:
        return self.told and self.pays >= _PAYS and self.reach > 2 * FAR * min(self.size)

    @property
    def turns(self) -> bool:
        """Whether it turns or zooms by more than a shift can put right; by how much is about ``turn`` then."""
        return self.turn >= self.pixel and self.lost < _NOTHING and (self.lost > _LOST or self.turn > self.tremble)

    @property
    def trembles(self) -> bool:
        """Whether it moves by more than what can be told and does harm, and aligning the frames does good."""
        return self.told and not self.pans and self.tremble >= TREMBLES * self.pixel and self.pays >= _PAYS


def learn(frames: np.ndarray) -> tuple[Steady, np.ndarray, Motion]:
    """What to align frames with, from frames uint8 ``[T, H, W]`` or ``[T, H, W, C]`` spread over a clip.

    Returns:
        It, the shifts of these frames ``[T, 2]`` (x, y) in their pixels, and how the camera moved.
    """
    size = (frames.shape[1], frames.shape[2])
    small = _small(size)
    seen = np.stack([detail(frame, small) for frame in frames])
    first = int(np.abs(seen - np.median(seen, 0)).mean((1, 2)).argmin())
    steady = Steady(seen[first], LEAST, 10**6)
    placed = [steady.place(s, np.zeros(2)) for s in seen]
    for _ in range(2):
        agree = np.array([p.agree for p in placed])
        good = np.flatnonzero(agree >= 0.5 * np.percentile(agree, 90))
        middle = np.median([placed[i].shift for i in good], 0)
        aligned = np.stack([put_back(seen[i], placed[i].shift - middle) for i in good])
        scene = np.median(aligned, 0)
        steady = Steady(scene, _spread(aligned - scene), len(good))
        placed = [steady.place(s, p.shift - middle) for s, p in zip(seen, placed, strict=True)]
    placed = [p._replace(shift=steady.axes @ p.shift) for p in placed]
    steady.usual = float(np.median([p.away for p in placed]))
    pixels = np.array([size[1] / small[1], size[0] / small[0]])
    shifts = pixels * np.stack([p.shift if p.sure else np.zeros(2) for p in placed])
    return steady, shifts, _motion(steady, seen, placed, size)


def _spread(away: np.ndarray) -> float:
    """By how much most pixels are ``away [T, h, w]`` from a scene: a standard deviation without tails."""
    return max(1.4826 * float(np.median(np.abs(away[..., MARGIN:-MARGIN:2, MARGIN:-MARGIN:2]))), LEAST)


def _motion(steady: Steady, seen: np.ndarray, placed: list[Placed], size: tuple[int, int]) -> Motion:
    """How the camera moved, by where the frames were ``placed``."""
    sure = [i for i, p in enumerate(placed) if p.sure]
    lost = 1 - len(sure) / len(placed)
    pixel = max(size) / max(steady.size)
    turn = float(np.sqrt(pixel**2 * np.stack([p.turn for p in placed]).var(0).sum())) if steady.told else 0.0
    if not steady.told or len(sure) < _FEWEST or lost > _LOST:
        return Motion(size, False, turn=turn, lost=lost)
    shifts = pixel * np.stack([placed[i].shift for i in sure])
    low, high = np.percentile(shifts, [5, 95], axis=0)
    away = sum(steady.compare(steady.differ(seen[i], np.zeros(2))[1])[0] for i in sure)
    aligned = sum(placed[i].away for i in sure)
    return Motion(
        size, True, float(np.sqrt(shifts.var(0).mean())), float(np.hypot(*(high - low)) / 0.9),
        turn, lost, 1 - aligned / max(away, 1e-9),
    )  # fmt: skip


def _small(size: tuple[int, int]) -> tuple[int, int]:
    """The size of frames as they are aligned."""
    scale = min(1.0, SIDE / max(size))
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


def steadied(frames: np.ndarray, wanted: Stabilise) -> tuple[Steady | None, np.ndarray, Motion]:
    """Frames uint8 ``[T, H, W]`` or ``[T, H, W, C]`` put where their scene is, if that is wanted and can be told.

    Returns:
        What does it with other frames of the clip, or None; the frames; and how the camera moved.
    """
    if wanted == "off" or len(frames) < _FEWEST or min(frames.shape[1:3]) < _SMALLEST:
        return None, frames, Motion((frames.shape[1], frames.shape[2]), False)
    steady, shifts, motion = learn(frames)
    if not (motion.trembles or (wanted == "on" and motion.told)):
        return None, frames, motion
    scene = np.median([put_back(f, s) for f, s in zip(frames, shifts, strict=True)], 0).astype(np.uint8)
    return steady, np.stack([put_back(f, s, scene) for f, s in zip(frames, shifts, strict=True)]), motion


def panned(frames: np.ndarray) -> float:
    """How far a camera went from the first of frames ``[T, H, W]`` or ``[T, H, W, C]`` to the last, in their pixels.

    It is the sum over neighbours; 0 if most of them have nothing in common that would tell.
    """
    size = (frames.shape[1], frames.shape[2])
    if min(size) < _SMALLEST:
        return 0.0
    seen = [detail(frame, _small(size)) for frame in frames]
    found = []
    for before, after in zip(seen, seen[1:], strict=False):
        steady = Steady(before, _GRAIN, 1)
        placed = steady.place(after, found[-1].shift if found else np.zeros(2))
        if steady.told and placed.sure:
            found.append(placed)
    if len(found) < (1 - _LOST) * (len(seen) - 1):
        return 0.0
    gone = np.sum([placed.shift for placed in found], 0) * (len(seen) - 1) / len(found)
    return float(np.hypot(*gone)) * max(size) / max(_small(size))
