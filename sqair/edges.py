"""Edges: boxes of opaque objects told from the pixels of the frame as it came, not from those of the model's canvas.

On the canvas a thing is some fifteen pixels wide, and what is drawn of it is soft. Where it ends is seen in the frame
itself: there it differs from the scene by more than noise, and by half of what it does near there. What differs is
shared out among the objects: a pixel is of the one that shows nearest to it on the canvas.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sqair.frames import Fit
from sqair.reid.portraits import portrait
from sqair.scenery import plain_colour
from sqair.vacated import vacated

LONGEST = 960
"""Pixels of the longer side of frames as edges are looked for, at most."""
REACH = 0.3
"""How far beyond a box what it holds may reach, in its own sides; and at least that of so many pixels of the canvas."""
BEYOND = 2.0
HALF, NEAR = 0.5, 9
"""Share at which a thing ends of the contrast that it has near there, in a square of so many pixels: a blurred edge is
there, and wings and legs have edges of their own."""
DIM = 0.2
"""Least share of the typical contrast of a thing that is still of it."""
NOISES, LEAST = 4.0, 3.0
"""Least difference from the scene, in standard deviations of the noise; and in grey levels."""
WITHIN = 68.3
"""Percent of pixels that differ from the scene by less than the standard deviation of the noise."""
FEWEST = 6
"""Pixels of which an edge is told."""
EVERY = 8
"""One of so many rows and columns tells how light a frame is."""


def look_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size (h, w) at which frames of a ``size`` (H, W) are looked at."""
    scale = min(1.0, LONGEST / max(size))
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


@dataclass(frozen=True)
class Edges:
    """What the edges of things are told by.

    Attributes:
        scene: what is behind things, float32 ``[h, w, C]`` of 255.
        noise: standard deviation of frames about it.
    """

    scene: np.ndarray
    noise: float

    @classmethod
    def learn(cls, frames: np.ndarray) -> Edges:
        """From frames of a clip, uint8 ``[T, h, w]`` or ``[T, h, w, C]``."""
        frames = frames if frames.ndim == 4 else frames[..., None]
        scene = vacated(frames, scene_of(frames))
        some = np.s_[::EVERY, ::EVERY]
        away = np.abs([_away(frame[some], scene[some]) for frame in frames])
        return cls(scene, float(np.percentile(away, WITHIN)))

    def fit(self, frame: np.ndarray, canvas: np.ndarray, ids: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Boxes ``[M, 4]`` (x, y, w, h) in pixels of a frame, tight around what is seen of objects.

        Args:
            frame: uint8 ``[H, W]`` or ``[H, W, C]``, where the scene is.
            canvas: ``[h, w]``, 1 and the id of the object that shows in each pixel of the canvas, or 0.
            ids: ``[M]``, of the objects.
            box: ``[M, 4]``, where they are: as they stay where nothing is seen of an object.
        """
        if not len(box):
            return box
        height, width = self.scene.shape[:2]
        frame, scale, light = self._look(frame)
        lie = Fit((height, width), (canvas.shape[0], canvas.shape[1]))
        found = []
        for name, old in zip(ids, box, strict=True):
            room = np.maximum(REACH * old[2:], BEYOND / lie.scale / scale)
            low = np.floor(scale * (old[:2] - room)).astype(int).clip(0, [width, height])
            high = np.ceil(scale * (old[:2] + old[2:] + room)).astype(int).clip(0, [width, height])
            new = None
            if (high > low).all():
                here = np.s_[low[1] : high[1], low[0] : high[0]]
                away = np.abs(frame[here] - self.scene[here] - light).max(-1)
                new = self._tight(away, lie.labels(canvas, window=here), int(name) + 1)
            found.append(old if new is None else (new + [*low, 0, 0]) / scale)
        return np.stack(found)

    def portraits(self, frame: np.ndarray, box: np.ndarray, side: float) -> list[np.ndarray | None]:
        """What is seen of things in boxes ``[M, 4]`` of a frame uint8 ``[H, W]`` or ``[H, W, C]``, where the scene is.

        A typical thing has that ``side``, in pixels of the frame; see ``portrait``.
        """
        frame, scale, light = self._look(frame)
        return [portrait(frame, self.scene, light, scale * one, scale * side) for one in box]

    def _look(self, frame: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """The frame ``[h, w, C]`` as edges are looked for, its pixels to one of it, how much lighter it is ``[C]``."""
        look = Fit((frame.shape[0], frame.shape[1]), (self.scene.shape[0], self.scene.shape[1]))
        frame = look.frame(frame)
        frame = frame if frame.ndim == 3 else frame[..., None]
        some = np.s_[::EVERY, ::EVERY]
        return frame, look.scale, np.median(frame[some] - self.scene[some], axis=(0, 1))

    def _tight(self, away: np.ndarray, shown: np.ndarray, name: int) -> np.ndarray | None:
        """The box ``[4]`` around what is ``away [h, w]`` from the scene and nearest to where object ``name`` shows."""
        own = (shown == name).astype(np.uint8)
        if not own.any():
            return None
        value = away[own > 0].astype(np.float64)
        contrast = float((value**2).sum() / max(value.sum(), 1e-9))
        seen = away >= max(DIM * contrast, NOISES * self.noise, LEAST)
        others = (shown > 0) & (shown != name)
        if others.any():
            seen &= _distance(own) <= _distance(others.astype(np.uint8))
        number, part = cv2.connectedComponents(seen.astype(np.uint8), connectivity=8)
        touched = np.bincount(part[(own > 0) & seen], minlength=number) > 0
        mask = within(away, np.full_like(away, contrast)) & seen & touched[np.asarray(part, np.int64)]
        mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        stats = cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:]
        kept = stats[stats[:, cv2.CC_STAT_AREA] >= FEWEST]
        if not len(kept):
            return None
        low = kept[:, :2].min(0)
        return np.concatenate([low, (kept[:, :2] + kept[:, 2:4]).max(0) - low]).astype(np.float64)


def within(away: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """What is of things, bool ``[h, w]``, by how much it is ``away [h, w]`` from the scene, and by their ``contrast``
    ``[h, w]``, which is typically so much, at and around them."""
    around = cv2.dilate(np.minimum(away, contrast), np.ones((NEAR, NEAR), np.uint8))
    return (away >= HALF * around) & (away >= DIM * contrast)


def scene_of(frames: np.ndarray) -> np.ndarray:
    """What is behind things in ``frames [T, h, w, C]``, float32 ``[h, w, C]`` of 255: their median, or the colour of a
    plain scene."""
    typical = np.median(frames, axis=0).astype(np.float32)
    colour = plain_colour(frames, typical)
    return typical if colour is None else np.broadcast_to(colour, typical.shape).astype(np.float32)


def _away(frame: np.ndarray, scene: np.ndarray) -> np.ndarray:
    """By how much a frame ``[h, w, C]`` differs from the scene in its own light, ``[h, w, C]``."""
    away = frame - scene
    return away - np.median(away, axis=(0, 1))


def _distance(mask: np.ndarray) -> np.ndarray:
    """How far each pixel is from those of a mask uint8 ``[h, w]``."""
    return cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3)
