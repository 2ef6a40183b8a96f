"""MOT scores of tracks against ground truth: CLEAR, identity and HOTA, as TrackEval computes them.

One clip is scored at a time, because ids start again in the next. Work and memory follow the number of rows, whatever
their frame numbers and ids are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from sqair.errors import UserError
from sqair.eval.benchmarks import Benchmark, Role, check_predictions, roles, rule_of
from sqair.eval.clear import count_clear
from sqair.eval.frames import FramePair, pair_frames
from sqair.eval.hota import count_hota
from sqair.eval.identity import count_identity
from sqair.eval.sampled import step_of
from sqair.eval.scores import Counts, Scores
from sqair.files.mot_rows import Rows
from sqair.tracks import Tracks

Frames = Literal["auto", "truth", "all"]


def score(
    gt: Mapping[str, Tracks | Rows],
    pred: Mapping[str, Tracks | Rows],
    lengths: Mapping[str, int],
    *,
    iou: float = 0.5,
    ignore: bool = True,
    benchmark: Benchmark = "auto",
    frames: Frames = "auto",
) -> Scores:
    """Compares predicted tracks with ground truth.

    Args:
        gt: name of a clip -> its ground truth. Of tracks, those of score 0 are left out with the predictions matched
            to them; of rows of a file, the benchmark's rule tells (``sqair.eval.benchmarks``).
        pred: the same names -> predictions.
        lengths: the same names -> frames of the clip. Frames without any box count for the count accuracy.
        iou: overlap from which a prediction can match.
        ignore: follow that rule; otherwise all ground truth is scored.
        benchmark: whose rule, "auto" for the one that each clip's classes show.
        frames: which frames count: "all" of them, those that have a row of "truth", or "auto": the latter where the
            ground truth is on every second, third, ... frame only (``sqair.eval.sampled.step_of``).

    A share of nothing is NaN: a clip without objects has no MOTA, one without any box no IDF1 and no HOTA
    either, but both have a count accuracy. OVERALL is computed from the summed counts of all clips.

    Raises:
        UserError: the names differ, there are no clips, a box lies in a frame that the clip does not have, or a class
            is not one that the benchmark's rule knows.
    """
    if not gt:
        raise UserError("there are no clips to score")
    for name in sorted(set(gt) ^ set(pred)):
        raise UserError(f"clip {name} has no {'predictions' if name in gt else 'ground truth'}")
    if frames not in get_args(Frames):
        raise UserError(f"frames {frames!r} is none of {', '.join(get_args(Frames))}")
    counts, rules, sampled, left_out = {}, {}, {}, {}
    for name in gt:
        truth, found, length = as_rows(gt[name], truth=True), as_rows(pred[name]), lengths[name]
        for what, rows in (("ground truth", truth), ("prediction", found)):
            _check_frames(rows, f"clip {name}: a {what}", length)
        rules[name] = rule_of(benchmark, name, truth)
        check_predictions(found, rules[name])
        step = step_of(truth, found)
        if frames == "truth" or (frames == "auto" and step > 1):
            found, sampled[name] = found.where(np.isin(found.frame, truth.frame)), step
            length = len(np.unique(truth.frame))
        role = roles(truth, rules[name]) if ignore else np.full(len(truth), Role.SCORED)
        left_out[name] = int((role != Role.SCORED).sum())
        counts[name] = count(pair_frames(truth, found, role, gate=iou), iou, length)
    overall = sum(counts.values(), Counts())
    each = {name: c.scores() for name, c in counts.items()}
    return Scores(each, overall.scores(), iou, ignore, rules, sampled, left_out)


def as_rows(tracks: Tracks | Rows, *, truth: bool = False) -> Rows:
    """Tracks as the rows of the file that they would be."""
    return tracks if isinstance(tracks, Rows) else Rows.of(tracks, truth=truth)


def _check_frames(rows: Rows, what: str, length: int) -> None:
    (outside,) = np.nonzero((rows.frame < 1) | (rows.frame > length))
    if len(outside):
        raise UserError(f"{what} in frame {rows.frame[outside].max()}, but the clip has {length} frames")


def count(frames: Sequence[FramePair], gate: float, length: int) -> Counts:
    """The counts of a clip of ``length`` frames, ``frames`` those with boxes; pairs match from an overlap ``gate``."""
    return Counts(
        frames=length,
        right_count=length - sum(len(f.gt) != len(f.pred) for f in frames),
        objects=sum(len(f.gt) for f in frames),
        predictions=sum(len(f.pred) for f in frames),
        **count_clear(frames, gate)._asdict(),
        identity_matches=count_identity(frames, gate),
        hota=count_hota(frames),
    )
