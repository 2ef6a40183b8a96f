"""CVAT for video 1.1: the XML that the Computer Vision Annotation Tool imports, a track for each id."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from sqair.exports.record import Record

LABEL = "object"
"""The label that a task in CVAT must have."""


def cvat(record: Record) -> str:
    """The XML of a clip. Frames and pixels count from 0, as there; ids of tracks count from 1.

    A filled row is no keyframe: CVAT draws it between those before and after. Where an id is not seen, it is outside.
    """
    root = ElementTree.Element("annotations")
    _text(root, "version", "1.1")
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    for name, value in (("name", record.name), ("size", record.length), ("mode", "interpolation"), ("overlap", 0)):
        _text(task, name, str(value))
    label = ElementTree.SubElement(ElementTree.SubElement(task, "labels"), "label")
    _text(label, "name", LABEL)
    ElementTree.SubElement(label, "attributes")
    size = ElementTree.SubElement(task, "original_size")
    _text(size, "width", str(record.size[1]))
    _text(size, "height", str(record.size[0]))
    for name in np.unique(record.tracks.id).tolist():
        one = record.where(record.tracks.id == name)
        track = ElementTree.SubElement(root, "track", id=str(name + 1), label=LABEL, source="auto")
        frames = one.tracks.frame.tolist()
        follows = [*frames[1:], record.length]
        rows = zip(frames, follows, one.tracks.box.tolist(), one.filled.tolist(), strict=True)
        for frame, following, box, filled in rows:
            _box(track, frame, box, keyframe=not filled)
            if following > frame + 1:
                _box(track, frame + 1, box, outside=True)
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, "unicode", xml_declaration=True) + "\n"


def _text(parent: ElementTree.Element, name: str, value: str) -> None:
    ElementTree.SubElement(parent, name).text = value


def _box(
    track: ElementTree.Element, frame: int, box: list[float], *, keyframe: bool = True, outside: bool = False
) -> None:
    x, y, w, h = box
    told = {"frame": frame, "keyframe": int(keyframe), "outside": int(outside), "occluded": 0, "z_order": 0}
    sides = {"xtl": x, "ytl": y, "xbr": x + w, "ybr": y + h}
    said = {name: str(value) for name, value in told.items()} | {name: f"{value:.2f}" for name, value in sides.items()}
    ElementTree.SubElement(track, "box", said)
