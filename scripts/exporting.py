"""What ``sqair export`` and ``sqair track`` share: which files are wanted, and what is done to tracks before."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sqair.datasets.clip import ClipSource
from sqair.datasets.overlay import outlined
from sqair.datasets.regions import EVERYWHERE, Choice
from sqair.errors import UserError
from sqair.exports.formats import ENDINGS, write_as
from sqair.exports.measures import Scale
from sqair.exports.polygons import parse_zones
from sqair.exports.record import Record, lasting, without_gaps
from sqair.exports.zones import crossings, parse_lines, zone_counts
from sqair.files.durable import write_text
from sqair.scripts.track import Args
from sqair.tracks import Tracks

ZONES, LINES = ".zones.csv", ".lines.csv"
"""Endings of the files of how many are where, and of who crosses what."""


@dataclass(frozen=True)
class Wanted:
    """The files that are wanted of tracks.

    Attributes:
        formats: of ``sqair.exports.formats.ENDINGS``.
        fill: gaps of so many frames or fewer are filled.
        min_life: ids of fewer rows are left out.
        units: of a pixel, and their name, or None.
        zones, lines: by their words, of each clip.
        regions: where was looked, and where not.
    """

    formats: tuple[str, ...]
    fill: int = 0
    min_life: int = 1
    units: tuple[float, str] | None = None
    zones: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    regions: Choice = EVERYWHERE

    @property
    def endings(self) -> list[str]:
        """Of the files."""
        told = ((ZONES, self.zones), (LINES, self.lines))
        return [*(ENDINGS[kind] for kind in self.formats), *(ending for ending, words in told if words)]

    @property
    def scale(self) -> Scale | None:
        return None if self.units is None else Scale(*self.units)


def check_wanted(wanted: Wanted) -> None:
    """Raises UserError where an option is no good."""
    parse_zones(wanted.zones)
    parse_lines(wanted.lines)
    if wanted.fill < 0:
        raise UserError(f"--fill is {wanted.fill}: it must be 0 or more")
    if wanted.min_life < 1:
        raise UserError(f"--min-life is {wanted.min_life}: it must be at least 1")
    scale = wanted.scale
    if scale is not None and not (math.isfinite(scale.units) and scale.units > 0):
        raise UserError(f"--scale is {scale.units:g} {scale.name}: a pixel must be more than 0 units, as in 0.12 mm")
    if scale is not None and not scale.word:
        raise UserError("--scale: the units need a name, as in 0.12 mm")
    if scale is not None and "csv" not in wanted.formats:
        raise UserError("--scale adds columns to the csv: it needs csv among the formats")


def write_files(record: Record, wanted: Wanted, folder: Path) -> None:
    """Writes the files that are wanted of a clip: of ids that last, with gaps filled."""
    record = without_gaps(record.where(lasting(record.tracks, wanted.min_life)), wanted.fill)
    for kind in wanted.formats:
        write_as(record, kind, folder, wanted.scale, wanted.regions.zones()[0])
    if wanted.zones:
        write_text(folder / f"{record.name}{ZONES}", zone_counts(record, parse_zones(wanted.zones)))
    if wanted.lines:
        write_text(folder / f"{record.name}{LINES}", crossings(record, parse_lines(wanted.lines)))


def wanted_of(args: Args) -> Wanted:
    """The files for other tools that ``sqair track`` writes. Raises UserError where an option of theirs is no good."""
    formats = tuple(dict.fromkeys((*(("csv",) if args.csv else ()), *args.format)))
    regions = Choice(args.region, args.exclude)
    wanted = Wanted(formats, args.fill, units=args.scale, zones=args.zone, lines=args.line, regions=regions)
    if wanted.endings:
        check_wanted(wanted)
    elif args.fill or args.scale:
        name = "fill" if args.fill else "scale"
        raise UserError(f"--{name} is for the files of --format: name one, such as csv")
    return wanted


def write_exports(
    wanted: Wanted, folder: Path, clip: ClipSource, tracks: Tracks, clock: tuple[np.ndarray, np.ndarray]
) -> None:
    """Writes the files that are wanted of a clip, of whose tracked frames the ``clock`` tells numbers and seconds."""
    if wanted.endings:
        write_files(Record.of(clip.name, tracks, clip.size, clip.fps, clock=clock), wanted, folder)


def with_zones(wanted: Wanted, clip: ClipSource, pictures: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Pictures of the frames of a clip with regions, zones and lines drawn over them."""
    there, never = wanted.regions.zones()
    zones = [(zone.name, zone.corner, True) for zone in (*there, *never, *parse_zones(wanted.zones))]
    lines = [(line.name, line.end, False) for line in parse_lines(wanted.lines)]
    return outlined(pictures, zones + lines, clip.size[1]) if zones or lines else pictures
