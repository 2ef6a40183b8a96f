"""What ``sqair export`` and ``sqair track`` share: which files are wanted, and what is done to tracks before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sqair.datasets.clip import ClipSource
from sqair.errors import UserError
from sqair.exports.formats import write_as
from sqair.exports.measures import Scale
from sqair.exports.record import Record, lasting, without_gaps
from sqair.scripts.track import Args
from sqair.tracks import Tracks


@dataclass(frozen=True)
class Wanted:
    """The files that are wanted of tracks.

    Attributes:
        formats: of ``sqair.exports.formats.ENDINGS``.
        fill: gaps of so many frames or fewer are filled.
        min_life: ids of fewer rows are left out.
        units: of a pixel, and their name, or None.
    """

    formats: tuple[str, ...]
    fill: int = 0
    min_life: int = 1
    units: tuple[float, str] | None = None

    @property
    def scale(self) -> Scale | None:
        return None if self.units is None else Scale(*self.units)


def check_wanted(wanted: Wanted) -> None:
    """Raises UserError where an option is no good."""
    if not wanted.formats:
        raise UserError("--format is empty: name one, such as csv")
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


def written_out(record: Record, wanted: Wanted) -> Record:
    """The rows that are written: of ids that last, with gaps filled."""
    return without_gaps(record.where(lasting(record.tracks, wanted.min_life)), wanted.fill)


def wanted_of(args: Args) -> Wanted:
    """The files for other tools that ``sqair track`` writes. Raises UserError where an option of theirs is no good."""
    formats = tuple(dict.fromkeys((*(("csv",) if args.csv else ()), *args.format)))
    wanted = Wanted(formats, args.fill, units=args.scale)
    if formats:
        check_wanted(wanted)
    elif args.fill or args.scale:
        name = "fill" if args.fill else "scale"
        raise UserError(f"--{name} is for the files of --format: name one, such as csv")
    return wanted


def write_exports(
    wanted: Wanted, folder: Path, clip: ClipSource, tracks: Tracks, seconds: np.ndarray, length: int
) -> None:
    """Writes the files that are wanted of a clip of which ``length`` frames were tracked, rows at ``seconds [M]``."""
    record = written_out(Record.of(clip.name, tracks, clip.size, clip.fps, length, seconds), wanted)
    for kind in wanted.formats:
        write_as(record, kind, folder, wanted.scale)
