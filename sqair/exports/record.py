"""The tracks of one clip with what files tell besides: times, the size of frames, and which rows fill gaps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sqair.tracks import Tracks


@dataclass(frozen=True)
class Record:
    """The M rows of one clip.

    Attributes:
        name: of the clip.
        tracks: frames, ids and pixels count from 0.
        filled: bool ``[M]``, whether it was not seen, but put between others of its id.
        size: ``(H, W)`` of frames, pixels.
        fps: frames per second.
        frames: int64 ``[T]``, the numbers of the frames that were looked at, which increase.
        times: float64 ``[T]``, their seconds from the beginning of the source.
    """

    name: str
    tracks: Tracks
    filled: np.ndarray
    size: tuple[int, int]
    fps: float
    frames: np.ndarray
    times: np.ndarray

    @staticmethod
    def of(
        name: str,
        tracks: Tracks,
        size: tuple[int, int],
        fps: float,
        length: int | None = None,
        clock: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> Record:
        """Tracks as they were seen in frames whose numbers and seconds ``[T]`` a ``clock`` tells; by default in all
        ``length`` ones, or up to the last row, at times that follow from ``fps``."""
        frames = np.arange(max(length or 0, int(tracks.frame.max(initial=-1)) + 1))
        frames, times = (frames, frames / fps) if clock is None else clock
        return Record(name, tracks, np.zeros(len(tracks), bool), size, fps, frames, times)

    @property
    def length(self) -> int:
        """Frames of the clip, up to the last one that was looked at."""
        return int(self.frames[-1]) + 1 if len(self.frames) else 0

    @property
    def seconds(self) -> np.ndarray:
        """Of each row, float64 ``[M]``."""
        return np.interp(self.tracks.frame, self.frames, self.times) if len(self.frames) else np.zeros(0)

    def where(self, mask: np.ndarray) -> Record:
        """The rows where ``mask [M]`` holds."""
        return replace(self, tracks=self.tracks.where(mask), filled=self.filled[mask])


def lasting(tracks: Tracks, least: int) -> np.ndarray:
    """Which rows are of ids that have ``least`` rows or more, bool ``[M]``."""
    _, place, rows = np.unique(tracks.id, return_inverse=True, return_counts=True)
    return rows[place] >= least


def without_gaps(record: Record, most: int) -> Record:
    """The same with rows in the gaps of ids, where these are of ``most`` frames or fewer.

    Boxes lie evenly between those before and after; scores are the lower ones of these.
    """
    tracks = record.tracks
    order = np.lexsort((tracks.frame, tracks.id))
    before, after = order[:-1], order[1:]
    missing = tracks.frame[after] - tracks.frame[before] - 1
    gap = (tracks.id[before] == tracks.id[after]) & (missing > 0) & (missing <= most)
    before, after, missing = before[gap], after[gap], missing[gap]
    one, other = np.repeat(before, missing), np.repeat(after, missing)
    step = np.concatenate([np.arange(1, n + 1) for n in missing]) if len(missing) else np.zeros(0, np.int64)
    share = step / (np.repeat(missing, missing) + 1)

    def between(column: np.ndarray) -> np.ndarray:
        weight = share.reshape(-1, *[1] * (column.ndim - 1))
        return np.concatenate([column, (1 - weight) * column[one] + weight * column[other]])

    frame = np.concatenate([tracks.frame, tracks.frame[one] + step])
    name = np.concatenate([tracks.id, tracks.id[one]])
    score = np.concatenate([tracks.score, np.minimum(tracks.score[one], tracks.score[other])])
    rows = np.lexsort((name, frame))
    return replace(
        record,
        tracks=Tracks(frame, name, between(tracks.box), score, between(tracks.visibility)),
        filled=np.concatenate([record.filled, np.ones(len(step), bool)])[rows],
    )
