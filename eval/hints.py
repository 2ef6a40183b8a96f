"""What scores that are worse than the tracks may come from: lines for the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sqair.eval.benchmarks import CLASSES, roles
from sqair.eval.clear import Clear, count_clear
from sqair.eval.frames import pair_frames
from sqair.eval.mot import as_rows
from sqair.eval.scores import Scores
from sqair.files.mot_rows import UNKNOWN, Rows
from sqair.tracks import Tracks

MUCH = 0.05
"""By so much MOTA has to rise for a hint."""
ENOUGH = 20_000
"""Boxes of ground truth that are looked at again, about."""

Named = Mapping[str, Tracks | Rows]


def hints(gt: Named, pred: Named, scores: Scores) -> list[str]:
    """What could be meant differently, a line each, about predictions that ``scores`` is of."""
    found = [
        _of_nothing(gt, scores),
        *_of_conf(gt),
        *(_of_classes(name, as_rows(gt[name], truth=True)) for name, rule in scores.rules.items() if rule == "mot15"),
        _of_frames(gt, pred, scores),
        _of_pixels(gt, pred, scores),
    ]
    return [line for line in found if line]


def _of_nothing(gt: Named, scores: Scores) -> str:
    """A line where there is ground truth and none of it is scored for its class."""
    rows = [as_rows(gt[name], truth=True) for name, rule in scores.rules.items() if rule != "mot15"]
    kinds = sorted({int(kind) for truth in rows for kind in np.unique(truth.kind)})
    if scores.overall["objects"] or not kinds or 1 in kinds:
        return ""
    told = ", ".join(map(str, kinds))
    return f"No ground truth is scored: its classes are {told}, not 1. --benchmark mot15 scores it whatever its class."


def _of_conf(gt: Named) -> list[str]:
    rows = [as_rows(tracks, truth=True) for tracks in gt.values()]
    broken = sum(int(((np.abs(truth.conf) < 1) & (truth.conf != 0)).sum()) for truth in rows)
    if not broken:
        return []
    return [f"{broken} boxes of ground truth have a conf between 0 and 1, which counts as 0: 1 has them scored."]


def _of_classes(name: str, truth: Rows) -> str:
    """A line where a file has classes and none of them count."""
    strange = truth.kind[~np.isin(truth.kind, CLASSES) & (truth.kind != UNKNOWN)]
    if not len(strange) or len(np.unique(truth.kind)) == 1:
        return ""
    return f"Clip {name}: classes are not looked at, for class {strange[0]} is none of MOTChallenge's 1 to 13."


def _of_frames(gt: Named, pred: Named, scores: Scores) -> str:
    """A line where predictions on frames without ground truth bring MOTA below 0."""
    before = scores.overall["mota"]
    if not before < 0:
        return ""
    after = _mota(gt, pred, scores, on_truth=True)
    if after < 0:
        return ""
    return (
        f"On the frames that have ground truth MOTA is {after:.4f}: if the others were not looked at when it was made, "
        "score with --frames truth."
    )


def _of_pixels(gt: Named, pred: Named, scores: Scores) -> str:
    """A line where predictions are off by the one pixel by which ways of counting differ."""
    if not scores.overall["mota"] < 1 - MUCH:
        return ""
    before = _mota(gt, pred, scores)
    for step, where in ((1.0, "right and down"), (-1.0, "left and up")):
        after = _mota(gt, pred, scores, shift=step)
        if after > before + MUCH:
            return (
                f"With all predictions one pixel further {where} MOTA would be {after:.4f}, not {before:.4f}: does one "
                "of the files count pixels from 0? MOTChallenge's .txt counts them from 1, sqair's .jsonl from 0."
            )
    return ""


def _mota(gt: Named, pred: Named, scores: Scores, *, shift: float = 0.0, on_truth: bool = False) -> float:
    """MOTA on the first frames, as ``scores`` is computed, but with predictions moved or on frames of truth only."""
    total, objects, predictions = np.zeros(len(Clear._fields)), 0, 0
    share = ENOUGH / max(1, sum(map(len, gt.values())))
    for name in gt:
        truth, found = _beginning(as_rows(gt[name], truth=True), as_rows(pred[name]), share)
        if on_truth or name in scores.sampled:
            found = found.where(np.isin(found.frame, truth.frame))
        found = replace(found, box=found.box + [shift, shift, 0.0, 0.0])
        frames = pair_frames(truth, found, roles(truth, scores.rules[name]), gate=scores.iou)
        total += count_clear(frames, scores.iou)
        objects += sum(len(frame.gt) for frame in frames)
        predictions += sum(len(frame.pred) for frame in frames)
    clear = Clear(*total)
    return 1 - (objects + predictions - 2 * clear.matches + clear.switches) / objects if objects else np.nan


def _beginning(truth: Rows, found: Rows, share: float) -> tuple[Rows, Rows]:
    """The first ``share`` of the ground truth, and the predictions up to its last frame."""
    if share >= 1 or not len(truth):
        return truth, found
    last = np.sort(truth.frame)[int(share * len(truth))]
    return truth.where(truth.frame <= last), found.where(found.frame <= last)
