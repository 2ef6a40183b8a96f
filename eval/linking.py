"""Who is who where a model does not tell: of one that explains each frame by itself, boxes are linked by overlap."""

from __future__ import annotations

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
    ids = follow([tracks.at(t).box for t in range(length)], LEAST, MAX_AGE)
    return replace(tracks, id=np.concatenate(ids)) if len(tracks) else tracks
