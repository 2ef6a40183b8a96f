"""Scores against ground truth that has boxes on some frames only, such as every tenth."""

from __future__ import annotations

import numpy as np

from sqair.files.mot_rows import Rows
from sqair.tracks import Tracks

FEWEST = 5
"""Frames with rows from which their distance can tell anything."""


def step_of(truth: Rows, found: Rows) -> int:
    """Every how many-th frame has ground truth, 1 unless that is plain.

    It is plain where at least ``FEWEST`` frames have ground truth, all of them a multiple of k > 1 steps apart, while
    predictions are on frames between. A step is what all frames with rows are apart, so that frames may be numbered by
    their time.
    """
    frames = np.unique(truth.frame)
    if len(frames) < FEWEST:
        return 1
    return _apart(frames) // _apart(np.union1d(frames, found.frame))


def _apart(frames: np.ndarray) -> int:
    return int(np.gcd.reduce(np.diff(frames)))


def sampled(truth: Tracks, found: Tracks, first: int = 0, last: int | None = None) -> tuple[Tracks, Tracks, int]:
    """Both on the frames that have any row of ``truth``, from frame ``first`` to ``last`` (both included, from 0).

    Returns:
        Truth and tracks with these frames numbered 0, 1, ..., and how many there are.
    """
    frames = np.unique(truth.frame)
    frames = frames[(frames >= first) & (frames <= (np.inf if last is None else last))]
    return _renumbered(truth, frames), _renumbered(found, frames), len(frames)


def _renumbered(tracks: Tracks, frames: np.ndarray) -> Tracks:
    kept = np.isin(tracks.frame, frames)
    return Tracks(np.searchsorted(frames, tracks.frame[kept]), tracks.id[kept], tracks.box[kept], tracks.score[kept])
