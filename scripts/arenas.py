"""Several regions of a clip, each tracked as if there were nothing else, and told together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sqair.datasets.clip import ClipSource
from sqair.datasets.footage import thinned
from sqair.datasets.regions import Region, cut_out
from sqair.edges import look_size
from sqair.model import SQAIR
from sqair.reid.gallery import Gallery, Identified
from sqair.tracker import Tracker
from sqair.tracks import Tracks


class Arenas:
    """Trackers of the R regions of a clip, to be used as one of the whole frame.

    The ids of tracking are those of the region's tracker times R, and the number of the region: with one region, its
    tracker's. Nobody goes from one region to another.
    """

    def __init__(self, regions: Sequence[Region], tracker: Callable[[], Tracker], gallery: bool) -> None:
        """``tracker`` makes that of a region; with a ``gallery`` it can be told afterwards who is who."""
        self.regions = regions
        self.trackers = [tracker() for _ in regions]
        self.galleries = [Gallery(region.seen.shape) for region in regions] if gallery else []
        self._size = (0, 0)

    @property
    def model(self) -> SQAIR:
        return self.trackers[0].model

    @property
    def frame(self) -> int:
        """How many frames were tracked."""
        return self.trackers[0].frame

    def watch(self, frames: np.ndarray) -> None:
        """Learns the scene from frames of the clip, as ``Tracker.watch`` does."""
        for region, tracker in zip(self.regions, self.trackers, strict=True):
            tracker.watch(np.stack([region.of(frame) for frame in frames]))

    def watch_clip(self, clip: ClipSource, most: int) -> None:
        """Learns the scene from ``most`` frames, evenly spread over a clip."""
        for region, tracker in zip(self.regions, self.trackers, strict=True):
            own = cut_out(clip, region)
            frames, _ = thinned(own, look_size(own.size), tracker.model.config.channels, most)
            if len(frames):
                tracker.watch(frames)

    def update(self, image: np.ndarray) -> Tracks:
        """Tracks of the next frame, as ``Tracker.update`` tells them."""
        self._size = (image.shape[0], image.shape[1])
        parts = []
        for number, (region, tracker) in enumerate(zip(self.regions, self.trackers, strict=True)):
            found = tracker.update(region.of(image))
            if self.galleries:
                self.galleries[number].add(found, tracker.portraits())
            parts.append(self._told(number, found, self._id(number, found.id)))
        return Tracks.concat(parts)

    def counts(self, found: Tracks) -> np.ndarray:
        """How many rows of a frame are in each region, ``[R]``."""
        return np.bincount(found.id % len(self.regions), minlength=len(self.regions))

    def appearance(self) -> dict[int, np.ndarray]:
        """z_what ``[D]`` of the objects of the last frame, by their ids."""
        looks = enumerate(tracker.appearance() for tracker in self.trackers)
        return {int(self._id(number, name)): what for number, look in looks for name, what in look.items()}

    def masks(self) -> np.ndarray:
        """Which object shows in each pixel of the last frame, int64 ``[H, W]``: 1 and its id, or 0."""
        labels = np.zeros(self._size, np.int64)
        for number, (region, tracker) in enumerate(zip(self.regions, self.trackers, strict=True)):
            (x, y), (h, w) = region.corner, region.seen.shape
            shown = tracker.masks()
            labels[y : y + h, x : x + w] += np.where(shown > 0, 1 + self._id(number, shown - 1), 0)
        return labels

    def identify(self, count: int) -> Identified:
        """All rows, and who they are of: first those of the first region; there are ``count`` in each, if not 0."""
        tracks, names, first = [], [], 0
        for number, gallery in enumerate(self.galleries):
            who = gallery.identify(count)
            tracks.append(self._told(number, who.tracks, self._id(number, who.tracks.id)))
            names.append(np.where(who.ids >= 0, who.ids + first, -1))
            first += 1 + int(who.ids.max(initial=-1))
        order = np.lexsort((np.concatenate([t.id for t in tracks]), np.concatenate([t.frame for t in tracks])))
        return Identified(Tracks.concat(tracks), np.concatenate(names)[order], self.frame)

    def _id(self, number: int, local: Any) -> Any:
        """The ids of a region's tracker, as they are told."""
        return local * len(self.regions) + number

    def _told(self, number: int, found: Tracks, name: np.ndarray) -> Tracks:
        """Rows of a region in the pixels of the frame, under other ids."""
        return replace(found, id=name, box=found.box + np.array([*self.regions[number].corner, 0, 0], found.box.dtype))
