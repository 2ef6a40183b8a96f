"""Scores against ground truth that has boxes on some frames only, such as every tenth."""

from __future__ import annotations

import numpy as np

from sqair.tracks import Tracks


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
