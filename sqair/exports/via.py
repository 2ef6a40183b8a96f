"""VIA-tracks: the CSV of the VGG Image Annotator, as ``movement`` and napari read tracks of boxes from it."""

from __future__ import annotations

import csv
import io
import json

from sqair.exports.record import Record

COLUMNS = (
    "filename", "file_size", "file_attributes", "region_count", "region_id",
    "region_shape_attributes", "region_attributes",
)  # fmt: skip


def via(record: Record) -> str:
    """The CSV of a clip. Frames and pixels count from 0, as there; ``track`` is the id, from 1."""
    tracks, text = record.tracks, io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    in_frame: dict[int, int] = {}
    for frame in tracks.frame.tolist():
        in_frame[frame] = in_frame.get(frame, 0) + 1
    place: dict[int, int] = {}
    rows = zip(tracks.frame.tolist(), tracks.id.tolist(), tracks.box.tolist(), tracks.score.tolist(), strict=True)
    for (frame, name, box, score), filled in zip(rows, record.filled.tolist(), strict=True):
        region = place[frame] = place.get(frame, -1) + 1
        sides = zip(("x", "y", "width", "height"), (round(side, 2) for side in box), strict=True)
        shape = {"name": "rect", **dict(sides)}
        said = {"track": name + 1, "confidence": round(score, 4), "interpolated": int(filled)}
        lines.writerow(
            [f"{record.name}_{frame:06d}.png", 0, json.dumps({"clip": record.name, "frame": frame}), in_frame[frame],
             region, json.dumps(shape), json.dumps(said)]
        )  # fmt: skip
    return text.getvalue()
