"""The formats that tracks can be written in, by their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqair.exports.coco import coco
from sqair.exports.cvat import cvat
from sqair.exports.measures import Scale
from sqair.exports.polygons import Zone
from sqair.exports.record import Record
from sqair.exports.tidy import tidy
from sqair.exports.via import via
from sqair.files.durable import write_text
from sqair.files.mot_io import mot_rows

ENDINGS = {"csv": ".csv", "via": ".via.csv", "coco": ".coco.json", "cvat": ".cvat.xml", "mot": ".txt"}
"""Of the files: NAME.csv and so on."""


def write_as(
    record: Record, kind: str, folder: Path, scale: Scale | None = None, regions: Sequence[Zone] = ()
) -> None:
    """Writes the file of a clip in one of the formats of ``ENDINGS`` into a folder.

    ``scale`` and ``regions`` are for ``csv`` alone. Raises UserError if it cannot be written.
    """
    if kind == "csv":
        text = tidy(record, scale, regions)
    elif kind == "mot":
        text = mot_rows(record.tracks)
    else:
        text = {"via": via, "coco": coco, "cvat": cvat}[kind](record)
    write_text(folder / f"{record.name}{ENDINGS[kind]}", text)
