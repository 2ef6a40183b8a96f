"""Clips followed one after another, or many at a time where they are short and of one shape."""

from __future__ import annotations

from collections.abc import Sequence

from sqair.datasets.clip import ClipSource, TruncatedClip
from sqair.scripts.job import Job
from sqair.scripts.track_archive import fit_together, track_archive
from sqair.scripts.track_stream import track_stream


def follow(job: Job, clips: Sequence[ClipSource]) -> tuple[int, int, TruncatedClip | None]:
    """Tracks clips until there is an interrupt: how many were begun, their frames, and what cut one short."""
    if fit_together(clips, job.args, job.model.config):
        return *track_archive(job, clips), None
    begun, done, truncated = 0, 0, None
    for clip in clips:
        frames, error = track_stream(job, clip)
        begun, done, truncated = begun + 1, done + frames, truncated or error
        if job.interrupts.caught is not None:
            break
    return begun, done, truncated
