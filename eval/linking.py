"""Who is who where a model does not tell: of one that explains each frame by itself, boxes are linked by overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sqair.eval.floor import follow
from sqair.tracks import Tracks

LEAST, MAX_AGE = 0.01, 2
"""Overlap from which two boxes can be linked, and frames that a track may miss: those of the floor."""


def linked(tracks: Tracks, length: int) -> Tracks:
    """The rows of a clip of ``length`` frames under new ids, from 0 on, which follow their overlap from frame to frame.

    A track is where constant speed brings it, and the sum of all overlaps is the greatest there is (floor.follow).
    """
    return replace(tracks, id=by_overlap([tracks.at(t).box for t in range(length)]))


def by_overlap(boxes: Sequence[np.ndarray]) -> np.ndarray:
    """Those ids, ``[M]`` int64, of the boxes of each frame, one frame after the other."""
    return np.concatenate([np.zeros(0, np.int64), *follow(boxes, LEAST, MAX_AGE)])


def relabelled(masks: np.ndarray, tracks: Tracks) -> np.ndarray:
    """``masks [T, H, W]``, 1 and an id of ``tracks``, each of one frame alone, or 0, under the ids of ``linked``."""
    new = np.zeros(max(tracks.id.max(initial=-1) + 1, masks.max(initial=0)) + 1, np.int64)
    new[tracks.id + 1] = by_overlap([tracks.at(t).box for t in range(len(masks))]) + 1
    return new[masks]
