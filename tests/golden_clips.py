"""The clips of golden/hota.json with what TrackEval says of them, and ways to change clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sqair.tracks import Tracks

_GOLDEN = json.loads((Path(__file__).parent / "golden" / "hota.json").read_text())
NAMES = [f"{i:02d}" for i in range(len(_GOLDEN["clips"]))]
EXPECTED: dict[str, dict[str, float]] = {
    **{name: clip["expected"] for name, clip in zip(NAMES, _GOLDEN["clips"], strict=True)},
    "OVERALL": _GOLDEN["overall"],
}


def _tracks(rows: list[list[int]]) -> Tracks:
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return Tracks(table[:, 0], table[:, 1], table[:, 2:])


GT = {name: _tracks(clip["gt"]) for name, clip in zip(NAMES, _GOLDEN["clips"], strict=True)}
PRED = {name: _tracks(clip["pred"]) for name, clip in zip(NAMES, _GOLDEN["clips"], strict=True)}
DOUBLED = [name for name, clip in zip(NAMES, _GOLDEN["clips"], strict=True) if clip["doubled"]]
"""Clips in which several predictions compete for the same object."""
LENGTHS: dict[str, int] = {name: clip["length"] for name, clip in zip(NAMES, _GOLDEN["clips"], strict=True)}


def rename(tracks: Tracks, rng: np.random.Generator) -> Tracks:
    """The same tracks under other ids, in another order."""
    known, place = np.unique(tracks.id, return_inverse=True)
    ids = rng.choice(10_000, size=len(known), replace=False)[place]
    return Tracks(tracks.frame, ids, tracks.box, tracks.score, tracks.visibility)
