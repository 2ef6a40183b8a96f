"""Linkers that people use today, on the boxes of blobs: SORT and ByteTrack of ``trackers``, and ``trackpy``.

They see what ``eval/blobs.py`` finds in each frame, and nothing else, so that what differs between their rows and those
of blobs is the linking. SORT and ByteTrack have their default settings. trackpy has no default for how far a particle
may go between frames: it gets that of blobs, and their memory (its own default is 0, with which it loses whoever is not
seen in a single frame). The packages are optional: ``pip install "sqair[compare]"``.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from sqair.errors import UserError
from sqair.eval.blobs import GATE, MEMORY, SHORTEST
from sqair.tracks import Tracks

PACKAGES = ("trackers", "supervision", "trackpy")
LINKERS = {"SORT": "SORTTracker", "ByteTrack": "ByteTrackTracker"}
"""Classes of the package ``trackers``."""
LEAST_REACH = 1.0
"""Pixels: where so many crowd that links cannot be told, trackpy looks less and less far, down to this."""


def installed() -> dict[str, str]:
    """The versions of ``PACKAGES``. Raises UserError if one of them cannot be imported."""
    for name in PACKAGES:
        _package(name)
    return {name: version(name) for name in PACKAGES}


def track_others(boxes: Sequence[np.ndarray]) -> dict[str, Tracks]:
    """What each of the linkers makes of the boxes ``[M, 4]`` (x, y, w, h, pixels) of each frame, by its name.

    Rows have the boxes that were given, and score 1; a box that a linker leaves out has none.

    Raises:
        UserError: a package is not installed.
    """
    found = {name: linked_by(kind, boxes) for name, kind in LINKERS.items()}
    return {**found, "trackpy": linked_by_trackpy(boxes)}


def linked_by(kind: str, boxes: Sequence[np.ndarray]) -> Tracks:
    """Tracks by a class of ``trackers``, of all boxes ``[M, 4]`` of each frame with confidence 1."""
    linker, detections = getattr(_package("trackers"), kind)(), _package("supervision").Detections
    rows = []
    for t, box in enumerate(boxes):
        corners = np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1)
        which = np.arange(len(box))
        given = detections(corners, confidence=np.ones(len(box), np.float32), data={"which": which})
        seen = linker.update(given)
        known = seen.tracker_id >= 0
        if known.any():
            chosen = seen.data["which"][known]
            rows.append(Tracks(np.full(len(chosen), t), seen.tracker_id[known], box[chosen]))
    return Tracks.concat(rows)


def linked_by_trackpy(boxes: Sequence[np.ndarray]) -> Tracks:
    """Tracks by Crocker and Grier's linking of the centres of boxes ``[M, 4]``, those of too few frames left out.

    A centre may be as far from where it was as blobs may be from where they are expected, in sides of the typical box.
    """
    trackpy = _package("trackpy")
    every = np.concatenate([np.zeros((0, 4)), *boxes])
    if not len(every):
        return Tracks.empty()
    reach = GATE * float(np.median(np.sqrt(every[:, 2:].prod(1))))
    centres = [box[:, :2] + box[:, 2:] / 2 for box in boxes]
    trackpy.quiet()
    names = [ids for _, ids in trackpy.link_iter(enumerate(centres), reach, memory=MEMORY, adaptive_stop=LEAST_REACH)]
    found = Tracks(np.repeat(np.arange(len(boxes)), [len(box) for box in boxes]), np.concatenate(names), every)
    return found.where(np.bincount(found.id)[found.id] >= SHORTEST)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f'SORT, ByteTrack and trackpy need the package {name}: pip install "sqair[compare]"') from error
