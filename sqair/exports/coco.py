"""COCO JSON of a video: images are its frames, annotations boxes with a ``track_id``, as in COCO-VID."""

from __future__ import annotations

import json

from sqair.exports.record import Record

KIND = {"id": 1, "name": "object"}
"""The only category."""


def coco(record: Record) -> str:
    """The JSON of a clip.

    ``frame_id`` and pixels count from 0; ids of images are those of frames as they count from 1, and ``track_id`` is
    the id, from 1. ``instance_id`` is the same, as other readers call it.
    """
    height, width = record.size
    video = {"id": 1, "name": record.name, "width": width, "height": height, "fps": record.fps}
    images = [
        {"id": frame + 1, "file_name": f"{record.name}/{frame + 1:06d}.jpg", "width": width, "height": height,
         "video_id": 1, "frame_id": frame}
        for frame in range(record.length)
    ]  # fmt: skip
    tracks = record.tracks
    rows = zip(
        tracks.frame.tolist(), tracks.id.tolist(), tracks.box.round(2).tolist(),
        tracks.score.round(4).tolist(), record.filled.tolist(), strict=True,
    )  # fmt: skip
    annotations = [
        {"id": number, "image_id": frame + 1, "video_id": 1, "category_id": KIND["id"], "track_id": name + 1,
         "instance_id": name + 1, "bbox": box, "area": round(box[2] * box[3], 2), "iscrowd": 0, "score": score,
         "interpolated": filled}
        for number, (frame, name, box, score, filled) in enumerate(rows, 1)
    ]  # fmt: skip
    return json.dumps({"videos": [video], "images": images, "annotations": annotations, "categories": [KIND]}) + "\n"
