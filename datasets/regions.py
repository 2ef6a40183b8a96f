"""Regions of a clip: where to look, each an arena of its own, and where never to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy as np

from sqair.datasets.clip import ClipSource, Frame
from sqair.errors import UserError
from sqair.exports.polygons import Zone, parse_zones

EXCLUDE = "exclude"
"""How names of shapes in files begin that are where never to look."""
FILL = 127
"""What is put for pixels that are not looked at."""
SMALLEST = 16
"""Pixels of the sides of the rectangle around a region, at least."""


class Region(NamedTuple):
    """A part of frames that is looked at as if there were nothing else.

    Attributes:
        name: of the region; empty if it is the whole frame.
        corner: ``(x, y)``, whole pixels, of the rectangle around it.
        seen: bool ``[h, w]``, which pixels of that rectangle are looked at.
    """

    name: str
    corner: tuple[int, int]
    seen: np.ndarray

    def of(self, image: np.ndarray) -> np.ndarray:
        """The rectangle of a frame ``[H, W]`` or ``[H, W, C]``, grey where it is not looked at."""
        (x, y), (h, w) = self.corner, self.seen.shape
        part = image[y : y + h, x : x + w]
        if self.seen.all():
            return part
        return np.where(self.seen if part.ndim == 2 else self.seen[..., None], part, np.uint8(FILL))


def whole(size: tuple[int, int]) -> Region:
    """All of frames of a ``size`` (H, W)."""
    return Region("", (0, 0), np.ones(size, bool))


class Choice(NamedTuple):
    """Where to look and where never to, by words of a command line: everywhere if there are none."""

    region: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def zones(self) -> tuple[list[Zone], list[Zone]]:
        """Where to look, and where never to. Raises UserError where a word is no good."""
        drawn = parse_zones(self.region, "region")
        never = [zone.name.lower().startswith(EXCLUDE) for zone in drawn]
        out = [zone for zone, excluded in zip(drawn, never, strict=True) if excluded]
        there = [zone for zone, excluded in zip(drawn, never, strict=True) if not excluded]
        return there, [*out, *parse_zones(self.exclude, EXCLUDE)]

    def regions(self, clip: ClipSource) -> list[Region]:
        """The regions of a clip.

        Raises:
            UserError: one is outside of its frames or too small, or two overlap.
        """
        there, never = self.zones()
        if not (there or never):
            return [whole(clip.size)]
        out = np.zeros(clip.size, bool)
        for zone in never:
            out |= _pixels(zone, clip.size)
        drawn = [(zone.name, _pixels(zone, clip.size)) for zone in there] or [("", whole(clip.size).seen)]
        for (one, a), (other, b) in combinations(drawn, 2):
            if (a & b).any():
                raise UserError(f"--region: {one} and {other} overlap; each is an arena of its own")
        return [_region(name, pixels & ~out, clip) for name, pixels in drawn]


EVERYWHERE = Choice()


def cut_out(clip: ClipSource, region: Region) -> ClipSource:
    """The clip of a region, as if a camera saw nothing else."""

    def frames() -> Iterator[Frame]:
        return (frame._replace(image=region.of(frame.image)) for frame in clip.stamped())

    name = f"{clip.name}-{region.name}" if region.name else clip.name
    return replace(clip, name=name, size=region.seen.shape, reader=frames)


def arenas(clips: Sequence[ClipSource], choice: Choice) -> list[ClipSource]:
    """The clips of all regions of ``clips``. Raises UserError as ``Choice.regions`` does."""
    if not any(choice):
        return list(clips)
    return [cut_out(clip, region) for clip in clips for region in choice.regions(clip)]


def _pixels(zone: Zone, size: tuple[int, int]) -> np.ndarray:
    """Which pixels of frames of a ``size`` (H, W) have their middles in a zone, bool ``[H, W]``."""
    inside = np.zeros(size, bool)
    limit = size[::-1]
    (x0, y0), (x1, y1) = (edge.clip(0, limit).astype(int) for edge in (zone.corner.min(0), zone.corner.max(0) + 1))
    y, x = np.indices((y1 - y0, x1 - x0)).reshape(2, -1)
    inside[y0:y1, x0:x1] = zone.holds(np.stack([x + x0, y + y0], 1) + 0.5).reshape(y1 - y0, x1 - x0)
    return inside


def _region(name: str, seen: np.ndarray, clip: ClipSource) -> Region:
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    frame = f"{clip.size[1]}x{clip.size[0]} pixels of {clip.path}"
    if not len(rows):
        raise UserError(f"--region: nothing of {name or 'the frame'} is left in the {frame}")
    y, x, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    if min(bottom - y, right - x) < SMALLEST:
        small = f"{right - x}x{bottom - y} pixels"
        raise UserError(f"--region: {small} of {name or 'the frame'} are in the {frame}: it must be {SMALLEST} or more")
    return Region(name, (int(x), int(y)), seen[y:bottom, x:right])
