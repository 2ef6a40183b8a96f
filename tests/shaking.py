"""Film of a camera that trembles, pans or stands still: scenes, things that move before them, shifts."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from sqair.datasets.clip import ClipSource, evenly


def texture(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """A scene ``[H, W, 3]`` with detail everywhere, grey levels."""
    noise = np.random.default_rng(seed).normal(0, 1, (*size, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return np.clip(110 + 35 * smooth / smooth.std(), 0, 255)


def filmed(
    scene: np.ndarray,
    shifts: np.ndarray,
    *,
    things: int = 3,
    radius: int = 9,
    light: np.ndarray | None = None,
    noise: float = 2.0,
) -> np.ndarray:
    """Discs that pass before a scene ``[H, W, 3]``, shifted by ``shifts [T, 2]`` (x, y), uint8 ``[T, H, W, 3]``.

    ``light [T]`` is by what factor each frame is lighter.
    """
    random = np.random.default_rng(1)
    height, width = scene.shape[:2]
    frames = []
    for t, (dx, dy) in enumerate(shifts):
        frame = scene.copy()
        for k in range(things):
            place = ((50 * k + 4 * t) % width, (60 * k + 30 + 2 * k * t) % height)
            cv2.circle(frame, place, radius, (20 + 70 * k, 220 - 60 * k, 90), -1)
        matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
        frame = cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        frame = frame * (1.0 if light is None else light[t]) + noise * random.standard_normal(frame.shape)
        frames.append(frame.clip(0, 255).astype(np.uint8))
    return np.array(frames)


def trembling(length: int, pixels: float, seed: int = 2) -> np.ndarray:
    """Shifts ``[T, 2]`` of which the standard deviation on each axis is ``pixels``."""
    drawn = np.random.default_rng(seed).normal(0, 1, (length, 2))
    return pixels * (drawn - drawn.mean(0)) / drawn.std(0)


def clip_of(frames: np.ndarray, name: str = "film") -> ClipSource:
    size = (frames.shape[1], frames.shape[2])
    return ClipSource(name, Path(f"{name}.mp4"), size, len(frames), 10.0, lambda: evenly(frames, 10.0))
