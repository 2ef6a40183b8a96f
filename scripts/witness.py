"""What is kept of a clip while it is tracked, to show it later: little, however long the clip is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sqair.datasets.images import to_channels
from sqair.datasets.overlay import auto_scale, colour, draw_tracks
from sqair.frames import Fit
from sqair.scripts.arenas import Arenas
from sqair.scripts.pictures import encode_small, spread, to_image
from sqair.tracks import Tracks

MOMENTS = 6
"""Frames that are shown as the model sees them."""
LOOK = 48
"""Longest side of the picture of an object, pixels, without its margin."""
LOOKS = 1000
"""Pictures of objects at a time, at most."""
STRETCH = 32
"""Frames of each of which there is one of an object, at first: who it is of is decided afterwards."""
MARGIN = 3
"""Width of a picture's margin, pixels."""
SAME = 0.01
"""Pixels by which boxes that are the same may differ after they were written."""


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


class _Glance(NamedTuple):
    """A moment before it is known who is who: the place of its frame in the clip, what is seen in it, and how many
    pixels of that make one of the clip. It is of one region, with a ``corner`` (x, y) in the clip."""

    place: int
    seen: np.ndarray
    corner: tuple[int, int]
    pixels: float
    model: bytes
    background: bytes | None
    difference: bytes


class Look(NamedTuple):
    """RGB pixels of an object, its box, and the place of the frame in the clip in which the model was that sure."""

    score: float
    place: int
    box: np.ndarray
    image: np.ndarray


class Witness:
    """Sees a clip frame by frame; keeps some moments spread over it, and looks of each object."""

    def __init__(self) -> None:
        self._looks: dict[tuple[int, int], Look] = {}
        self._times: Counter[int] = Counter()
        self._glances: list[_Glance] = []
        self._count, self._stride, self._stretch = 0, 1, STRETCH

    def see(self, frame: np.ndarray, tracks: Tracks, arenas: Arenas) -> None:
        """The next frame, uint8 ``[H, W]`` or ``[H, W, 3]``, with its tracks, as ``arenas`` have just explained it."""
        self._times.update(tracks.id.tolist())
        for name, box, score in zip(tracks.id.tolist(), tracks.box, tracks.score.tolist(), strict=True):
            key = name, self._count // self._stretch
            if key not in self._looks or score > self._looks[key].score:
                image = _cut(frame, box)
                if image is not None:
                    self._looks[key] = Look(score, self._count, box, image)
        while len(self._looks) > LOOKS:
            self._forget()
        if self._count % self._stride == 0:
            self._glances.append(_glance(frame, arenas, self._count))
        self._count += 1
        if len(self._glances) == 2 * MOMENTS:
            self._glances = self._glances[::2]
            self._stride *= 2

    def moments(self, tracks: Tracks, numbers: np.ndarray) -> list[Moment]:
        """With the rows of the clip as they are in the end; ``numbers [T]`` are those of the frames in it."""
        chosen = [self._glances[i] for i in spread(len(self._glances), MOMENTS)]
        names = [int(numbers[glance.place]) for glance in chosen]
        return [_moment(glance, tracks.at(name), name) for glance, name in zip(chosen, names, strict=True)]

    def looks(self, tracks: Tracks, numbers: np.ndarray) -> dict[int, np.ndarray]:
        """The look of each id of the rows as they are in the end, of which the model was surest, as RGB pixels.

        Whose a look is the row tells that has the same box.
        """
        found: dict[int, np.ndarray] = {}
        for look in sorted(self._looks.values(), key=lambda look: -look.score):
            rows = tracks.at(int(numbers[look.place]))
            for name in rows.id[np.abs(rows.box - look.box).max(1, initial=0) < SAME].tolist():
                found.setdefault(name, look.image)
        return found

    def _forget(self) -> None:
        """Keeps the surest look in twice as long a stretch; if that is the clip, only those of ids seen most often."""
        self._stretch *= 2
        kept: dict[tuple[int, int], Look] = {}
        for (name, _), look in sorted(self._looks.items(), key=lambda pair: -pair[1].score):
            kept.setdefault((name, look.place // self._stretch), look)
        if self._stretch > self._count:
            often = sorted(kept, key=lambda key: -self._times[key[0]])
            kept = {key: kept[key] for key in often[: LOOKS // 2]}
        self._looks = kept


def scaled(frame: np.ndarray, canvas: tuple[int, int]) -> tuple[np.ndarray, float]:
    """A frame as it lies on a ``canvas`` (h, w), without what is left of that, and how many pixels are one of it."""
    fit = Fit((frame.shape[0], frame.shape[1]), canvas)
    height, width = (max(1, round(fit.scale * side)) for side in frame.shape[:2])
    return fit.frame(frame)[:height, :width], fit.scale


def _glance(frame: np.ndarray, arenas: Arenas, place: int) -> _Glance:
    """What the first region shows."""
    region, tracker = arenas.regions[0], arenas.trackers[0]
    frame, step = region.of(frame), tracker.last
    assert step is not None and tracker.canvas is not None
    canvas = to_image(step.canvas[0])
    seen, pixels = scaled(frame, (canvas.shape[0], canvas.shape[1]))
    height, width = seen.shape[:2]
    model = canvas[:height, :width]
    difference = np.abs(tracker.canvas[:height, :width].astype(np.int16) - model).astype(np.uint8)
    difference = difference.max(2) if difference.ndim == 3 else difference
    behind = None if step.behind is None else to_image(step.behind.image[0])[:height, :width]
    pictures = (encode_small(model), None if behind is None else encode_small(behind), encode_small(difference))
    return _Glance(place, seen.copy(), region.corner, pixels, *pictures)


def _moment(glance: _Glance, tracks: Tracks, number: int) -> Moment:
    height, width = glance.seen.shape[:2]
    scale = max(1, auto_scale(height, width) // 2)
    box = (tracks.box - np.array([*glance.corner, 0, 0])) * glance.pixels
    here = ((box[:, :2] < (width, height)) & (box[:, :2] + box[:, 2:] > 0)).all(1)
    drawn = draw_tracks(glance.seen, replace(tracks, box=box).where(here), scale=scale)
    return Moment(number, width * scale, encode_small(drawn), glance.model, glance.background, glance.difference)


def _cut(frame: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """What ``frame`` shows in a ``box [4]``, RGB, at most ``LOOK`` pixels wide and high; None outside of it."""
    height, width = frame.shape[:2]
    left, top = np.clip(np.floor(box[:2]).astype(int), 0, (width, height))
    right, bottom = np.clip(np.ceil(box[:2] + box[2:]).astype(int), 0, (width, height))
    if right <= left or bottom <= top:
        return None
    image, _ = scaled(frame[top:bottom, left:right], (LOOK, LOOK))
    return to_channels(image, 3).copy()


def framed(image: np.ndarray, name: int) -> bytes:
    """A picture of an object's look with a margin in the colour of its id."""
    height, width = image.shape[:2]
    ground = np.full((height + 2 * MARGIN, width + 2 * MARGIN, 3), colour(name), dtype=np.uint8)
    ground[MARGIN:-MARGIN, MARGIN:-MARGIN] = image
    return encode_small(ground)
