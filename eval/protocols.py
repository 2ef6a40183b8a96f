"""The protocols by which trackers of this family were scored when they were published: facts of their code.

=========  =======================================  =========================================================
protocol   of                                       what it compares
=========  =======================================  =========================================================
tba        Tracking by Animation, He et al. 2019    boxes, all of a fixed size in their tables; a single stream
ocrb       Weis et al., JMLR 22(183), 2021          masks, from frame 2 of each clip on
silot      Crawford and Pineau, AAAI 2020           boxes of short clips, by how many objects are in them
=========  =======================================  =========================================================

All of them match from an overlap of .5 on as motmetrics does (``sqair.eval.clear.match_lasting``), and all ground truth
counts. Shares are in percent, as in the tables; a share of nothing is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Sized

import numpy as np

from sqair.errors import UserError
from sqair.eval.clear import count_clear, match_lasting
from sqair.eval.frames import FramePair, pair_frames
from sqair.eval.identity import count_identity
from sqair.eval.masks import pair_masks
from sqair.eval.precision import average_precision
from sqair.eval.scores import Counts
from sqair.files.mot_rows import Rows
from sqair.tracks import Tracks

GATE = 0.5
"""Overlap from which a pair matches, in all protocols."""
FIRST_FRAME = 2
"""First frame of a clip that ``ocrb`` scores, counted from 0."""
SMALLEST = 6
"""Pixels of the smallest mask that ``ocrb`` scores."""
MOST_BEHIND = 0.2
"""Overlap with the background of the ground truth up to which ``ocrb`` scores a prediction."""
TOO_MANY = 2
"""``silot`` empties a frame of more predictions than so many times its objects."""

COLUMNS: dict[str, dict[str, str]] = {
    "tba": {
        "idf1": "IDF1", "idp": "IDP", "idr": "IDR", "mota": "MOTA", "motp": "MOTP", "faf": "FAF", "mt": "MT",
        "ml": "ML", "fp": "FP", "fn": "FN", "ids": "IDS", "frag": "Frag", "objects": "GT", "frames": "Frames",
    },
    "ocrb": {
        "mota": "MOTA", "motp": "MOTP", "md": "MD", "mt": "MT", "match": "Match", "miss": "Miss", "ids": "IDS",
        "fp": "FP", "idf1": "IDF1", "objects": "GT", "frames": "Frames",
    },
    "silot": {
        "mota": "MOTA", "ap": "AP", "count_error": "|Count|", "motp": "MOTP", "fp": "FP", "fn": "FN", "ids": "IDS",
        "objects": "GT", "frames": "Frames",
    },
}  # fmt: skip
"""Protocol -> key of a score, and its heading in the table."""


def score_tba(
    truth: Sequence[Tracks],
    found: Sequence[Tracks],
    lengths: Sequence[int],
    *,
    patch: tuple[int, int] | None = None,
) -> dict[str, float]:
    """Boxes and identities of a stream, or of several whose counts are summed.

    Args:
        truth: of each clip, the boxes of the ground truth: whole patches where the data are of patches.
        found: of each clip, the predictions.
        lengths: of each clip, its frames.
        patch: ``(H, W)`` of all predicted boxes, around the centres of what is predicted; None leaves them.

    Returns:
        The scores of ``COLUMNS["tba"]``; MOTP is 100 times the mean overlap of matches, FAF false positives a frame.
    """
    found = [resized(tracks, patch) for tracks in found] if patch else found
    counts = _count_boxes(truth, found, lengths)
    scores = counts.scores()
    return {
        "idf1": 100 * scores["idf1"],
        "idp": _percent(counts.identity_matches, counts.predictions),
        "idr": _percent(counts.identity_matches, counts.objects),
        "mota": 100 * scores["mota"],
        "motp": 100 * scores["motp_iou"],
        "faf": scores["false_positives"] / counts.frames if counts.frames else math.nan,
        "mt": counts.mostly_tracked,
        "ml": counts.mostly_lost,
        "fp": int(scores["false_positives"]),
        "fn": int(scores["misses"]),
        "ids": counts.switches,
        "frag": counts.fragmentations,
        "objects": counts.objects,
        "frames": counts.frames,
    }


def score_ocrb(
    segments: np.ndarray | Sequence[np.ndarray], masks: np.ndarray | Sequence[np.ndarray]
) -> dict[str, float]:
    """Masks, all clips in one account, each with ids of its own; frames from ``FIRST_FRAME`` on.

    Args:
        segments: of each clip ``[T, H, W]``, 0 for the background, or 1 and more for the objects; such as an array
            ``[N, T, H, W]``.
        masks: likewise, the predictions; any ids.

    Returns:
        The scores of ``COLUMNS["ocrb"]``: match, miss, ids and fp as shares of the masks of the ground truth, MD the
        share of its objects that are found in at least 80 % of their frames, MT of those found there without a switch.
    """
    _check_clips(segments, masks)
    total, tracks = Counts(), 0
    for i, (truth, found) in enumerate(zip(segments, masks, strict=True)):
        if truth.shape != found.shape:
            raise UserError(f"clip {i}: masks are [T, H, W] {list(found.shape)}, the truth's {list(truth.shape)}")
        pairs = pair_masks(truth[FIRST_FRAME:], found[FIRST_FRAME:], smallest=SMALLEST, most_behind=MOST_BEHIND)
        frames = list(pairs)
        total += _count(frames, len(frames))
        tracks += len(np.unique(np.concatenate([f.gt for f in frames]))) if frames else 0
    if not total.frames:
        raise UserError(f"there is nothing to score: clips are scored from their frame {FIRST_FRAME + 1} on")
    scores, objects = total.scores(), total.objects
    return {
        "mota": 100 * scores["mota"],
        "motp": 100 * scores["motp_iou"],
        "md": _percent(total.mostly_tracked, tracks),
        "mt": _percent(total.mostly_kept, tracks),
        "match": _percent(total.matches - total.switches, objects),
        "miss": _percent(scores["misses"], objects),
        "ids": _percent(total.switches, objects),
        "fp": _percent(scores["false_positives"], objects),
        "idf1": 100 * scores["idf1"],
        "objects": objects,
        "frames": total.frames,
    }


def score_silot(truth: Sequence[Tracks], found: Sequence[Tracks], lengths: Sequence[int]) -> dict[str, float]:
    """Boxes of clips, each with an account of its own; the arguments are those of ``score_tba``.

    Returns:
        The scores of ``COLUMNS["silot"]``; ``count_error`` is the mean difference, in a frame, of how many are
        predicted and how many there are.
    """
    _check_clips(truth, found)
    counts = _count_boxes(truth, [_emptied(*clip) for clip in zip(truth, found, strict=True)], lengths)
    scores = counts.scores()
    wrong = sum(int(np.abs(np.subtract(*_per_frame(t, f))).sum()) for t, f in zip(truth, found, strict=True))
    return {
        "mota": 100 * scores["mota"],
        "ap": 100 * average_precision(zip(truth, found, strict=True)),
        "count_error": wrong / counts.frames if counts.frames else math.nan,
        "motp": 100 * scores["motp_iou"],
        "fp": int(scores["false_positives"]),
        "fn": int(scores["misses"]),
        "ids": counts.switches,
        "objects": counts.objects,
        "frames": counts.frames,
    }


def silot_by_objects(
    truth: Sequence[Tracks], found: Sequence[Tracks], lengths: Sequence[int]
) -> dict[int, dict[str, float]]:
    """``score_silot`` of the clips that have so many objects in all, by their number."""
    there = np.array([len(np.unique(tracks.id)) for tracks in truth])
    rows: dict[int, dict[str, float]] = {}
    for n in np.unique(there).tolist():
        which = np.flatnonzero(there == n).tolist()
        rows[n] = score_silot([truth[i] for i in which], [found[i] for i in which], [lengths[i] for i in which])
    return rows


def resized(tracks: Tracks, patch: tuple[int, int]) -> Tracks:
    """Tracks whose boxes have all the size ``patch`` (H, W), around the centres that they had."""
    size = np.array([patch[1], patch[0]], dtype=np.float64)
    corner = tracks.box[:, :2] + (tracks.box[:, 2:] - size) / 2
    box = np.concatenate([corner, np.broadcast_to(size, corner.shape)], 1)
    return Tracks(tracks.frame, tracks.id, box, tracks.score, tracks.visibility)


def _count_boxes(truth: Sequence[Tracks], found: Sequence[Tracks], lengths: Sequence[int]) -> Counts:
    """The counts of all clips, each with ids of its own; every row of the ground truth is scored."""
    _check_clips(truth, found)
    total = Counts()
    for i, (gt, pred, length) in enumerate(zip(truth, found, lengths, strict=True)):
        last = max((int(tracks.frame.max()) for tracks in (gt, pred) if len(tracks)), default=-1)
        if last >= length:
            raise UserError(f"clip {i}: a box in frame {last + 1}, but the clip has {length} frames")
        pairs = pair_frames(Rows.of(gt), Rows.of(pred), np.zeros(len(gt), dtype=np.int64), gate=GATE)
        total += _count(pairs, length)
    return total


def _count(frames: Sequence[FramePair], length: int) -> Counts:
    """The counts of a clip of ``length`` frames."""
    return Counts(
        frames=length,
        objects=sum(len(f.gt) for f in frames),
        predictions=sum(len(f.pred) for f in frames),
        **count_clear(frames, GATE, match_lasting)._asdict(),
        identity_matches=count_identity(frames, GATE),
    )


def _check_clips(truth: Sized, found: Sized) -> None:
    if len(truth) != len(found):
        raise UserError(f"there are {len(truth)} clips of ground truth, and {len(found)} of predictions")
    if not len(truth):
        raise UserError("there are no clips to score")


def _emptied(truth: Tracks, found: Tracks) -> Tracks:
    """Predictions without those of frames that have more than ``TOO_MANY`` times as many as there are objects."""
    there, predicted = _per_frame(truth, found)
    return found.where((predicted <= TOO_MANY * there)[found.frame])


def _per_frame(truth: Tracks, found: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of the ground truth and of the predictions in each frame, ``[T]`` each, up to the last box."""
    length = max((int(tracks.frame.max()) + 1 for tracks in (truth, found) if len(tracks)), default=0)
    there, predicted = (np.bincount(tracks.frame, minlength=length) for tracks in (truth, found))
    return there, predicted


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else math.nan
