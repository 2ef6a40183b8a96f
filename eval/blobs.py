"""Blobs: what people track footage with today, as well as it can be done without a look at the truth.

What differs from the median scene by more than the noise, cleaned of specks and holes, is linked from frame to frame by
where constant speed would bring it. How large a difference counts, and whether things are darker, lighter or either,
is told from the clip itself: by which blobs are found again, in the same shape, one frame later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from sqair.edges import look_size, scene_of
from sqair.eval.boxes import iou
from sqair.eval.floor import follow
from sqair.foreground import foreground
from sqair.tracks import Tracks

SCENE, TRIED = 30, 15
"""Least frames of a long clip of which the scene is the median; and pairs of frames on which thresholds are tried."""
LEVELS = 12
"""Thresholds that are tried, from a few times the noise to the difference that one pixel in a thousand reaches."""
NOISES, LEAST = 4.0, 3.0
"""The lowest of them, in standard deviations of the noise; and at least so many grey levels."""
SPECK, PART = 12, 0.2
"""Least pixels of a blob, and least share of a typical one's."""
LOST = 0.5
"""What a blob counts against a threshold that is not found again, if one that is counts 1."""
ALIKE = 0.9
"""The lowest threshold is taken that is as good as this share of the best."""
SAME = 0.5
"""IoU from which a blob is the one of the frame before."""
GATE, MEMORY, SHORTEST = 1.5, 15, 3
"""How far from where it is expected a blob may be, in its own sides; frames that it may miss; and has to be seen in."""
NEAREST, KEPT = 1e-9, 0.5
"""Nearness from which a box can be of a track, and the share of its speed that this keeps as it is seen again."""
SIGNS, EITHER = (-1, 1, 0), 1.1
"""Darker than the scene, lighter, or either; the last if it finds so many times as much ink."""


@dataclass(frozen=True)
class Rule:
    """What a blob is: by how many grey levels it differs, in which direction, and of how many pixels."""

    level: float
    sign: int
    pixels: float


def track_blobs(frames: Callable[[], Iterable[np.ndarray]]) -> Tracks:
    """Tracks of the blobs of a clip, whose frames, uint8 ``[H, W]`` or ``[H, W, C]``, are gone through twice.

    Boxes have score 1; where a blob was not seen for a while it has no row.
    """
    return linked(find_blobs(frames))


def find_blobs(frames: Callable[[], Iterable[np.ndarray]]) -> list[np.ndarray]:
    """Boxes ``[M, 4]`` (x, y, w, h, pixels) of the blobs of each frame; of a clip of one frame there are none.

    The frames, uint8 ``[H, W]`` or ``[H, W, C]``, are gone through twice.
    """
    pairs = neighbours(frames())
    if not pairs:
        return []
    scene = scene_of(np.stack([image for image, _ in pairs]))
    rule = choose(scene, [pairs[i] for i in np.unique(np.linspace(0, len(pairs) - 1, TRIED).astype(int))])
    boxes = []
    for frame in frames():
        image = small(frame)
        found = Blobs.of(differing(image, scene, rule.sign), rule.level).larger(rule.pixels)
        boxes.append(found.box * (frame.shape[1] / image.shape[1]))
    return boxes


def neighbours(frames: Iterable[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Up to ``2 * SCENE`` small frames ``[h, w, C]`` of the whole clip, evenly apart, each with the one after it."""
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    before, step = None, 1
    for t, frame in enumerate(frames, start=-1):
        image = small(frame)
        if before is not None and t % step == 0:
            pairs.append((before, image))
        if len(pairs) > 2 * SCENE:
            pairs, step = pairs[::2], 2 * step
        before = image
    return pairs


def small(frame: np.ndarray) -> np.ndarray:
    """A frame, smaller if it is large, ``[h, w, C]``."""
    height, width = look_size((frame.shape[0], frame.shape[1]))
    if frame.shape[:2] != (height, width):
        frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return frame if frame.ndim == 3 else frame[..., None]


def differing(image: np.ndarray, scene: np.ndarray, sign: int) -> np.ndarray:
    """By how much ``image [h, w, C]`` differs from the scene in the direction ``sign``, grey levels ``[h, w]``."""
    away = image - scene
    away = away - np.median(away[::4, ::4], axis=(0, 1))
    return (np.abs(away) if sign == 0 else sign * away).max(-1)


def choose(scene: np.ndarray, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Rule:
    """The rule by which most blobs are found again in the next frame, of the direction that has most of the ink."""
    best = {sign: _best_of(sign, scene, pairs) for sign in SIGNS}
    one = max((best[sign] for sign in SIGNS if sign), key=lambda found: found[0])
    return best[0][1] if best[0][0] > EITHER * one[0] else one[1]


def _best_of(sign: int, scene: np.ndarray, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[float, Rule]:
    """The ink that is found by the best rule of a sign, and the rule."""
    away = [[differing(image, scene, sign) for image in pair] for pair in pairs]
    every = np.concatenate([image[::4, ::4].ravel() for image, _ in away] or [np.zeros(1)])
    lowest = max(LEAST, NOISES * 1.4826 * float(np.median(np.abs(every))))
    highest = max(lowest + 1, float(np.percentile(every, 99.9)))
    found = []
    for level in np.geomspace(lowest, highest, LEVELS):
        seen = [[Blobs.of(image, level) for image in pair] for pair in away]
        pixels = least_area([blobs for pair in seen for blobs in pair])
        seen = [[blobs.larger(pixels) for blobs in pair] for pair in seen]
        score = sum(_found_again(*(blobs.box for blobs in pair)) for pair in seen)
        ink = sum(float(blobs.ink.sum()) for pair in seen for blobs in pair)
        found.append((score, ink, Rule(float(level), sign, pixels)))
    most = max(score for score, _, _ in found)
    enough = most - (1 - ALIKE) * abs(most)
    return next((ink, rule) for score, ink, rule in found if score >= enough)


def least_area(seen: Sequence[Blobs]) -> float:
    """From how many pixels on a blob is no speck: a share of the area of the blob that typical ink is of."""
    area, ink = (np.concatenate([np.zeros(0), *(getattr(one, name) for one in seen)]) for name in ("area", "ink"))
    if not len(area):
        return SPECK
    order = np.argsort(area)
    total = np.cumsum(ink[order])
    return max(SPECK, PART * float(area[order][np.searchsorted(total, total[-1] / 2)]))


def _found_again(before: np.ndarray, after: np.ndarray) -> float:
    """How many boxes are found again, less a part of those that are not."""
    overlap = iou(before, after)
    same = np.count_nonzero(overlap[linear_sum_assignment(overlap, maximize=True)] >= SAME)
    return same - LOST * (len(before) + len(after) - 2 * same)


@dataclass(frozen=True)
class Blobs:
    """Boxes ``[M, 4]`` (x, y, w, h), pixels ``[M]`` and sum of differences ``[M]`` of the blobs of an image."""

    box: np.ndarray
    area: np.ndarray
    ink: np.ndarray

    @classmethod
    def of(cls, away: np.ndarray, level: float) -> Blobs:
        """Of what is ``away [h, w]`` by ``level`` or more, within its edges. Holes of a pixel are filled."""
        mask = foreground(away, level)
        count, label, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        there = label > 0
        ink = np.bincount(label[there], weights=away[there], minlength=count)[1:]
        return cls(stats[1:, :4].astype(np.float64), stats[1:, cv2.CC_STAT_AREA], np.maximum(ink, 0)).larger(SPECK)

    def larger(self, pixels: float) -> Blobs:
        """Those of at least so many pixels."""
        kept = self.area >= pixels
        return Blobs(self.box[kept], self.area[kept], self.ink[kept])


def linked(boxes: Sequence[np.ndarray]) -> Tracks:
    """Tracks of the boxes ``[M, 4]`` of each frame; those of fewer than ``SHORTEST`` boxes are left out."""
    ids = follow(boxes, NEAREST, MEMORY, likeness=nearness, keep=KEPT)
    if not sum(map(len, ids)):
        return Tracks.empty()
    frame = np.repeat(np.arange(len(ids)), [len(of) for of in ids])
    found = Tracks(frame, np.concatenate(ids), np.concatenate(boxes))
    return found.where(np.bincount(found.id)[found.id] >= SHORTEST)


def nearness(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """How near boxes ``[M, 4]`` are to where others are expected, ``[U, 4]``: 1 there, 0 at ``GATE`` of their sides."""
    centre, other = (box[:, :2] + box[:, 2:] / 2 for box in (expected, found))
    away = np.linalg.norm(centre[:, None] - other, axis=-1)
    return np.maximum(1 - away / (GATE * np.sqrt(expected[:, 2:].prod(1)))[:, None], 0)
