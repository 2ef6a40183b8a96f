"""The clips of golden/hota.json with what TrackEval says of them, and ways to change clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sqair.eval.benchmarks import roles
from sqair.eval.frames import FramePair, pair_frames
from sqair.files.mot_rows import Rows
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


def _in_order(rows: list[list[int]]) -> Rows:
    """The rows in their order, which decides between predictions that overlap an object alike."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    name, ones = table[:, :2].astype(np.int64), np.ones(len(table), dtype=np.int64)
    return Rows(name[:, 0] + 1, name[:, 1], table[:, 2:], ones, ones, ones, ones)


GT_ROWS, PRED_ROWS = (
    {name: _in_order(clip[of]) for name, clip in zip(NAMES, _GOLDEN["clips"], strict=True)} for of in ("gt", "pred")
)


def frames_of(name: str) -> list[FramePair]:
    """The frames of a clip that have boxes."""
    truth = GT_ROWS[name]
    return pair_frames(truth, PRED_ROWS[name], roles(truth, "mot17"), gate=0.5)


def rename(tracks: Tracks, rng: np.random.Generator) -> Tracks:
    """The same tracks under other ids, in another order."""
    known, place = np.unique(tracks.id, return_inverse=True)
    ids = rng.choice(10_000, size=len(known), replace=False)[place]
    return Tracks(tracks.frame, ids, tracks.box, tracks.score, tracks.visibility)
