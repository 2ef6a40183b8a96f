"""Things that sit still for most of a clip, and leave: what most frames show of a place is then no scene.

Such a place has two looks, each of them for long. One of them is of a thing, which differs from what is around it all
along its edge; the other goes on from around it. (A thing that came and stays is the same, backwards.)
A dark part of the scene on which a thing lies that looks like what is around it is taken for a thing itself.
"""

from __future__ import annotations

import cv2
import numpy as np

LEVEL = 20.0
"""Difference in some channel from which on a pixel looks other than it mostly does, of 255."""
LONG = 0.06
"""Least share of the frames that have the other look: what passes covers a pixel for less, and looks otherwise."""
SAME, SHARE = 10.0, 0.75
"""How far the other look may be from its median, of 255, in at least that share of the frames that have it."""
SMALLEST, LARGEST = 25, 0.1
"""Pixels of a place, and share of the picture, at least and at most."""
EDGE = 0.6
"""Share of the contrast along its edge to which the other look brings that down if it is the scene."""
AROUND = 7
"""Side of a square in which the surroundings of a pixel are."""


def vacated(frames: np.ndarray, scene: np.ndarray) -> np.ndarray:
    """The scene ``[h, w, C]`` of frames uint8 ``[T, h, w, C]`` without things that sat still in it, both of 255.

    ``scene`` is what most of the frames show.
    """
    differs = np.abs(frames - scene).max(-1) > LEVEL  # [T, h, w]
    share = differs.mean(0)
    other = _median(frames, differs & (share >= LONG))
    like = (np.abs(frames - other).max(-1) < SAME) & differs
    steady = (share >= LONG) & (like.sum(0) >= SHARE * differs.sum(0))
    places = cv2.morphologyEx(steady.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    places = cv2.morphologyEx(places, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, part, stats, _ = cv2.connectedComponentsWithStats(places, connectivity=8)
    scene = scene.copy()
    for number in range(1, count):
        if not SMALLEST <= stats[number, cv2.CC_STAT_AREA] <= LARGEST * part.size:
            continue
        place = part == number
        if _contrast(other, scene, place) < EDGE * _contrast(scene, scene, place):
            wider = cv2.dilate(place.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            fill = wider & (share >= LONG)
            scene[fill] = other[fill]
    return scene


def _median(frames: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The median of each pixel over those frames ``[T, h, w, C]`` in which ``mask [T, h, w]`` is set; 0 without one."""
    result = np.zeros(frames.shape[1:], np.float32)
    y, x = np.nonzero(mask.any(0))
    masked = np.ma.masked_array(frames[:, y, x], ~np.broadcast_to(mask[:, y, x, None], frames[:, y, x].shape))
    result[y, x] = np.ma.median(masked, axis=0).filled(0)
    return result


def _contrast(inside: np.ndarray, scene: np.ndarray, place: np.ndarray) -> float:
    """How much ``inside [h, w, C]`` differs along the edge of a ``place``, bool ``[h, w]``, from what is beyond it."""
    one = np.ones((3, 3), np.uint8)
    edge = place & (cv2.erode(place.astype(np.uint8), one) == 0)
    beyond = (cv2.dilate(place.astype(np.uint8), one, iterations=2) == 0).astype(np.float32)
    weight = cv2.blur(beyond, (AROUND, AROUND))
    known = edge & (weight > 0)
    if not known.any():
        return 0.0
    around = cv2.blur(scene * beyond[..., None], (AROUND, AROUND)).reshape(scene.shape) / weight[..., None].clip(1e-6)
    return float(np.abs(inside - around)[known].max(-1).mean())
