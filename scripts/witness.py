"""What is kept of a clip while it is tracked, to show it later: little, however long the clip is."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sqair.datasets.images import to_channels
from sqair.datasets.overlay import auto_scale, colour, draw_tracks
from sqair.frames import Fit
from sqair.scripts.pictures import encode_small, spread, to_image
from sqair.tracker import Tracker
from sqair.tracks import Tracks

MOMENTS = 6
"""Frames that are shown as the model sees them."""
LOOK = 48
"""Longest side of the picture of an object, pixels, without its margin."""
LOOKS = 400
"""Pictures of objects at a time, at most."""
CHUNK = 500
"""Frames whose rows are put together at a time."""
MARGIN = 3
"""Width of a picture's margin, pixels."""


class Moment(NamedTuple):
    """Pictures of one frame: with its boxes, as the model renders it, the background (if it has one), the difference.

    The first is ``width`` pixels wide; in the others a pixel is one of the model's.
    """

    frame: int
    width: int
    seen: bytes
    model: bytes
    background: bytes | None
    difference: bytes


class Look(NamedTuple):
    """RGB pixels of an object in the frame in which the model was surest of it."""

    score: float
    image: np.ndarray


class Found:
    """The rows of a clip, gathered frame by frame; 80 bytes each."""

    def __init__(self) -> None:
        self._chunks: list[Tracks] = []
        self._rows: list[Tracks] = []

    def add(self, rows: Tracks) -> None:
        self._rows.append(rows)
        if len(self._rows) == CHUNK:
            self._chunks.append(Tracks.concat(self._rows))
            self._rows.clear()

    def all(self) -> Tracks:
        return Tracks.concat([*self._chunks, *self._rows])


class Witness:
    """Sees a clip frame by frame; keeps its rows, some moments spread over it, and a look of each object."""

    def __init__(self) -> None:
        self.found = Found()
        self.looks: dict[int, Look] = {}
        self._moments: list[Moment] = []
        self._count, self._stride = 0, 1

    def see(self, frame: np.ndarray, tracks: Tracks, tracker: Tracker, number: int) -> None:
        """The next frame, uint8 ``[H, W]`` or ``[H, W, 3]``, with its tracks, as ``tracker`` has just explained it.

        ``number`` is that which it has in its source.
        """
        self.found.add(tracks)
        for name, box, score in zip(tracks.id.tolist(), tracks.box, tracks.score.tolist(), strict=True):
            if name not in self.looks or score > self.looks[name].score:
                image = _cut(frame, box)
                if image is not None:
                    self.looks[name] = Look(score, image)
        if len(self.looks) > LOOKS:
            self._forget(set(tracks.id.tolist()))
        if self._count % self._stride == 0:
            self._moments.append(_moment(frame, tracks, tracker, number))
        self._count += 1
        if len(self._moments) == 2 * MOMENTS:
            self._moments = self._moments[::2]
            self._stride *= 2

    def moments(self) -> list[Moment]:
        return [self._moments[i] for i in spread(len(self._moments), MOMENTS)]

    def _forget(self, present: set[int]) -> None:
        """Drops the looks of half of the objects: those that were seen least, but none that is ``present``."""
        ids, times = np.unique(self.found.all().id, return_counts=True)
        seldom = [name for name in ids[np.argsort(times, kind="stable")].tolist() if name in self.looks]
        for name in seldom[: LOOKS // 2]:
            if name not in present:
                del self.looks[name]


def scaled(frame: np.ndarray, tracks: Tracks, canvas: tuple[int, int]) -> tuple[np.ndarray, Tracks]:
    """A frame and its tracks as they lie on a ``canvas`` (h, w), without what is left of that."""
    fit = Fit((frame.shape[0], frame.shape[1]), canvas)
    height, width = (max(1, round(fit.scale * side)) for side in frame.shape[:2])
    return fit.frame(frame)[:height, :width], replace(tracks, box=tracks.box * fit.scale)


def _moment(frame: np.ndarray, tracks: Tracks, tracker: Tracker, number: int) -> Moment:
    step = tracker.last
    assert step is not None and tracker.canvas is not None
    canvas = to_image(step.canvas[0])
    seen, tracks = scaled(frame, tracks, (canvas.shape[0], canvas.shape[1]))
    height, width = seen.shape[:2]
    scale = max(1, auto_scale(height, width) // 2)
    model = canvas[:height, :width]
    difference = np.abs(tracker.canvas[:height, :width].astype(np.int16) - model).astype(np.uint8)
    difference = difference.max(2) if difference.ndim == 3 else difference
    behind = None if step.behind is None else to_image(step.behind.image[0])[:height, :width]
    drawn = encode_small(draw_tracks(seen, tracks, scale=scale))
    pictures = (encode_small(model), None if behind is None else encode_small(behind), encode_small(difference))
    return Moment(number, width * scale, drawn, *pictures)


def _cut(frame: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """What ``frame`` shows in a ``box [4]``, RGB, at most ``LOOK`` pixels wide and high; None outside of it."""
    height, width = frame.shape[:2]
    left, top = np.clip(np.floor(box[:2]).astype(int), 0, (width, height))
    right, bottom = np.clip(np.ceil(box[:2] + box[2:]).astype(int), 0, (width, height))
    if right <= left or bottom <= top:
        return None
    image, _ = scaled(frame[top:bottom, left:right], Tracks.empty(), (LOOK, LOOK))
    return to_channels(image, 3).copy()


def framed(image: np.ndarray, name: int) -> bytes:
    """A picture of an object's look with a margin in the colour of its id."""
    height, width = image.shape[:2]
    ground = np.full((height + 2 * MARGIN, width + 2 * MARGIN, 3), colour(name), dtype=np.uint8)
    ground[MARGIN:-MARGIN, MARGIN:-MARGIN] = image
    return encode_small(ground)
