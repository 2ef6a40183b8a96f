"""MOT scores of tracks against ground truth. The matches are motmetrics'; the overlap and the sums are ours.

motmetrics' accumulator follows the CLEAR rules: a pair that matched before stays matched while its overlap
lasts, the rest is assigned anew in each frame. It remembers pairs over gaps, TrackEval only from one frame to
the next: where predictions compete for an object that was lost, their switches can differ. One accumulator
serves one clip, because ids start again in the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import motmetrics
import numpy as np
from scipy.optimize import linear_sum_assignment

from sqair.errors import UserError
from sqair.eval.frames import FramePair, pair_frames
from sqair.eval.hota import count_hota
from sqair.eval.scores import Counts, Scores
from sqair.tracks import Tracks


def score(
    gt: Mapping[str, Tracks],
    pred: Mapping[str, Tracks],
    lengths: Mapping[str, int],
    *,
    iou: float = 0.5,
    ignore: bool = True,
) -> Scores:
    """Compares predicted tracks with ground truth.

    Args:
        gt: name of a clip -> its ground truth.
        pred: the same names -> predictions.
        lengths: the same names -> frames of the clip. Frames without any box count for the count accuracy.
        iou: overlap from which a prediction can match.
        ignore: leave out ground truth of score 0 and the predictions matched to it, as MOTChallenge does with
            its distractors; otherwise all ground truth is scored.

    A share of nothing is NaN: a clip without objects has no MOTA, one without any box no IDF1 and no HOTA
    either, but both have a count accuracy. OVERALL is computed from the summed counts of all clips.

    Raises:
        UserError: the names differ, there are no clips, or a box lies in a frame that the clip does not have.
    """
    if not gt:
        raise UserError("there are no clips to score")
    for name in sorted(set(gt) ^ set(pred)):
        raise UserError(f"clip {name} has no {'predictions' if name in gt else 'ground truth'}")
    counts = {}
    for name in gt:
        for what, tracks in (("ground truth", gt[name]), ("prediction", pred[name])):
            if len(tracks) and not 0 <= tracks.frame[0] <= tracks.frame[-1] < lengths[name]:
                last = tracks.frame[-1] + 1
                raise UserError(
                    f"clip {name}: a {what} in frame {last}, but the clip has {lengths[name]} frames"
                )
        frames = pair_frames(gt[name], pred[name], lengths[name], gate=iou, ignore=ignore)
        counts[name] = count(frames, iou)
    overall = sum(counts.values(), Counts())
    return Scores({name: c.scores() for name, c in counts.items()}, overall.scores(), iou, ignore)


def count(frames: Sequence[FramePair], gate: float) -> Counts:
    """The counts of one clip, pairs matching from an overlap of ``gate``."""
    events = accumulate(frames, gate).events
    assert events is not None
    kinds = events["Type"].cat.categories
    kind = events["Type"].cat.codes.to_numpy()
    who, hypothesis, distance = (events[column].to_numpy() for column in ("OId", "HId", "D"))
    raw, miss, match, switch = (kind == kinds.get_loc(name) for name in ("RAW", "MISS", "MATCH", "SWITCH"))
    matched = match | switch
    of_object = miss | matched
    by_track = np.argsort(who[of_object], kind="stable")
    found, tracks = matched[of_object][by_track], who[of_object][by_track]
    _, place, present = np.unique(tracks, return_inverse=True, return_counts=True)
    ratio = np.bincount(place, weights=found) / present
    close = raw & np.isfinite(distance)
    return Counts(
        frames=len(frames),
        right_count=sum(len(f.gt) == len(f.pred) for f in frames),
        objects=sum(len(f.gt) for f in frames),
        predictions=sum(len(f.pred) for f in frames),
        matches=int(matched.sum()),
        matched_iou=float((1 - distance[matched]).sum()),
        switches=int(switch.sum()),
        fragmentations=_fragmentations(tracks, found),
        mostly_tracked=int((ratio >= 0.8).sum()),
        mostly_lost=int((ratio < 0.2).sum()),
        identity_matches=_identity_matches(who[close], hypothesis[close]),
        hota=count_hota(frames),
    )


def accumulate(frames: Sequence[FramePair], gate: float) -> motmetrics.MOTAccumulator:
    """motmetrics' accumulator of one clip; the distance is 1 - IoU, and NaN below an overlap of ``gate``."""
    accumulator = motmetrics.MOTAccumulator()
    for t, frame in enumerate(frames):
        distance = np.where(frame.iou >= gate, 1 - frame.iou, np.nan)
        accumulator.update(frame.gt, frame.pred, distance, frameid=t)
    return accumulator


def _fragmentations(tracks: np.ndarray, found: np.ndarray) -> int:
    """Gaps between two findings of the same object; rows ([R]) are ordered by object, then by frame."""
    (at,) = np.nonzero(found)
    return int(((np.diff(at) > 1) & (np.diff(tracks[at]) == 0)).sum())


def _identity_matches(who: np.ndarray, hypothesis: np.ndarray) -> int:
    """IDTP from the ids ([R] each) of all pairs of boxes that are close enough to match."""
    objects, rows = np.unique(who, return_inverse=True)
    predicted, cols = np.unique(hypothesis, return_inverse=True)
    shared = np.zeros((len(objects), len(predicted)), dtype=np.int64)
    np.add.at(shared, (rows, cols), 1)
    return int(shared[linear_sum_assignment(shared, maximize=True)].sum())
