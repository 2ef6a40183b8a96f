"""Edges: boxes of opaque objects told from the pixels of the frame as it came, not from those of the model's canvas.

On the canvas a thing is some fifteen pixels wide, and what is drawn of it is soft. Where it ends is seen in the frame
itself: there it differs from the scene by more than noise, and by half of what it does near there. What differs is
shared out among the objects: a pixel is of the one that shows nearest to it on the canvas. Which objects hang together
is seen there, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import cv2
import numpy as np

from sqair.frames import Fit
from sqair.reid.portraits import portrait
from sqair.scenery import plain_colour
from sqair.vacated import vacated

LONGEST = 960
"""Pixels of the longer side of frames as edges are looked for, at most."""
FAR, REACH = 1.0, 0.3
"""How far beyond its box a thing may reach, in the box's sides: within its edges, if no other object hangs together
with it, and else."""
BEYOND = 2.0
"""And at least, pixels of the canvas."""
HALF, NEAR = 0.5, 9
"""Share at which a thing ends of the contrast that it has near there, in a square of so many pixels: a blurred edge is
there, and wings and legs have edges of their own."""
DIM = 0.2
"""Least share of the typical contrast of a thing that is still of it."""
NOISES, LEAST = 4.0, 3.0
"""Least difference from the scene, in standard deviations of the noise; and in grey levels."""
WITHIN = 68.3
"""Percent of pixels that differ from the scene by less than the standard deviation of the noise."""
UNLIKE = 0.9
"""Objects do not look alike if their mean differences from the scene differ, in some channel, by more than this share
of the larger one's largest."""
FEWEST = 6
"""Pixels of which an edge is told."""
EVERY = 8
"""One of so many rows and columns tells how light a frame is."""


def look_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size (h, w) at which frames of a ``size`` (H, W) are looked at."""
    scale = min(1.0, LONGEST / max(size))
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


class Look(NamedTuple):
    """A frame as edges are looked for.

    Attributes:
        image: uint8 ``[h, w, C]``, as large as the scene.
        scale: of its pixels, in those of the frame.
        light: by how much it is lighter than the scene, ``[C]``.
    """

    image: np.ndarray
    scale: float
    light: np.ndarray


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

    def look(self, frame: np.ndarray) -> Look:
        """A frame uint8 ``[H, W]`` or ``[H, W, C]``, where the scene is, as edges are looked for."""
        fit = Fit((frame.shape[0], frame.shape[1]), (self.scene.shape[0], self.scene.shape[1]))
        image = fit.frame(frame)
        image = image if image.ndim == 3 else image[..., None]
        some = np.s_[::EVERY, ::EVERY]
        return Look(image, fit.scale, np.median(image[some] - self.scene[some], axis=(0, 1)))

    def fit(self, look: Look, canvas: np.ndarray, ids: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes ``[M, 4]`` (x, y, w, h) in pixels of a frame, tight around what is seen of objects.

        Args:
            look: at the frame.
            canvas: ``[h, w]``, 1 and the id of the object that shows in each pixel of the canvas, or 0.
            ids: ``[M]``, of the objects.
            box: ``[M, 4]``, where they are: as they stay where nothing is seen of an object.

        Returns:
            The boxes, and which objects hang together and look alike, bool ``[M, M]``, symmetric.
        """
        joined = np.zeros((len(box), len(box)), bool)
        if not len(box):
            return box, joined
        size = np.array(self.scene.shape[1::-1])
        lie = Fit((size[1], size[0]), (canvas.shape[0], canvas.shape[1]))
        found = box.copy()
        for i, name in enumerate(ids.tolist()):
            far, close = (_around(look.scale * box[i], reach, BEYOND / lie.scale, size) for reach in (FAR, REACH))
            here = np.s_[far[0, 1] : far[1, 1], far[0, 0] : far[1, 0]]
            shown = lie.labels(canvas, window=here) if (far[1] > far[0]).all() else np.zeros(0)
            if (shown == name + 1).any():
                near = Near(look.image[here] - self.scene[here] - look.light, shown, name + 1, self.noise)
                joined[i] = np.isin(ids + 1, near.joined())
                tight = near.box(close - far[0])
                found[i] = box[i] if tight is None else (tight + [*far[0], 0, 0]) / look.scale
        return found, joined | joined.T

    def portraits(self, look: Look, box: np.ndarray, side: float) -> list[np.ndarray | None]:
        """What is seen of things in boxes ``[M, 4]`` of a frame.

        A typical thing has that ``side``, in pixels of the frame; see ``portrait``.
        """
        return [portrait(look.image, self.scene, look.light, look.scale * one, look.scale * side) for one in box]


class Near:
    """What is seen in and around the box of an object.

    Attributes:
        ink: by how much the frame differs from the scene, float32 ``[h, w, C]``, and ``away [h, w]`` its largest.
        shown: ``[h, w]``, 1 and the id of the object that shows in each pixel, or 0.
        own, others: ``[h, w]``, where that is this object, of which it is ``name``, and where it is another.
        contrast: by how much this object typically differs.
        seen: ``[h, w]``, what may be of something that differs as much.
        mask: ``[h, w]``, what of that is within the edges of things.
        company: ``[h, w]``, where others show that this object hangs together with.
    """

    def __init__(self, ink: np.ndarray, shown: np.ndarray, name: int, noise: float) -> None:
        self.ink, self.shown, self.name = ink, shown, name
        self.away = reduce(np.maximum, np.abs(np.moveaxis(ink, -1, 0)))  # faster than max(-1)
        self.own, self.others = shown == name, (shown > 0) & (shown != name)
        value = self.away[self.own].astype(np.float64)
        self.contrast = float((value**2).sum() / max(value.sum(), 1e-9))
        self.seen = self.away >= max(DIM * self.contrast, NOISES * noise, LEAST)
        self.mask = self._edged(self.seen) > 0
        self.company = self.others & _touching(self.mask, self.own)

    def box(self, close: np.ndarray) -> np.ndarray | None:
        """The box ``[4]`` around what is nearest to where this object shows.

        That is what hangs together with it between the corners ``close [2, 2]`` (x, y). Further away it is what does so
        within edges, unless others do, too.
        """
        (left, top), (right, bottom) = close
        here = np.zeros_like(self.own)
        here[top:bottom, left:right] = True
        nearest = np.ones_like(self.own)
        if self.others.any():
            nearest = _distance(self.own) <= _distance(self.others)
        mask = self._edged(_touching(self.seen & nearest & here, self.own))
        if not self.company.any():
            mask |= _touching(self.mask & nearest, self.own).astype(np.uint8)
        stats = cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:]
        kept = stats[stats[:, cv2.CC_STAT_AREA] >= FEWEST]
        if not len(kept):
            return None
        low = kept[:, :2].min(0)
        return np.concatenate([low, (kept[:, :2] + kept[:, 2:4]).max(0) - low]).astype(np.float64)

    def joined(self) -> list[int]:
        """The others that this object hangs together with and looks like, as they are ``shown``."""
        names = np.unique(self.shown[self.company]).tolist()
        return [name for name in names if self._alike(self.own & self.mask, (self.shown == name) & self.mask)]

    def _edged(self, mask: np.ndarray) -> np.ndarray:
        """What of a mask ``[h, w]`` is within the edges of things, uint8; holes of a pixel are filled."""
        mask = mask & within(self.away, np.full_like(self.away, self.contrast))
        return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))

    def _alike(self, one: np.ndarray, other: np.ndarray) -> bool:
        """Whether the scene differs by about the same colour from what is in two masks ``[h, w]``."""
        one, other = self.ink[one].mean(0), self.ink[other].mean(0)
        return bool(np.abs(one - other).max() <= UNLIKE * max(np.abs(one).max(), np.abs(other).max()))


def _around(box: np.ndarray, reach: float, least: float, size: np.ndarray) -> np.ndarray:
    """The corners ``[2, 2]`` (x, y), whole pixels of an image of a ``size`` (w, h), of a box ``[4]`` (x, y, w, h) and
    what is within ``reach`` of it, in its sides, and within the ``least`` pixels."""
    room = np.maximum(reach * box[2:], least)
    return np.stack([np.floor(box[:2] - room), np.ceil(box[:2] + box[2:] + room)]).astype(int).clip(0, size)


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


def _touching(mask: np.ndarray, some: np.ndarray) -> np.ndarray:
    """What of a mask ``[h, w]`` hangs together with what of it is in another, ``some [h, w]``, bool."""
    number, part = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    touched = np.bincount(part[some], minlength=number) > 0
    return mask & touched[np.asarray(part, np.int64)]


def _distance(mask: np.ndarray) -> np.ndarray:
    """How far each pixel is from those of a mask ``[h, w]``."""
    return cv2.distanceTransform(1 - mask.astype(np.uint8), cv2.DIST_L2, 3)
