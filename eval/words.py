"""What scores mean, in a sentence each, and which way is better."""

from __future__ import annotations

from collections.abc import Iterable

from sqair.eval.scores import COLUMNS

MEANINGS = {
    "mota": "1 less the errors (missed, too many, id changed) for each object that is there. 1 is perfect, 0 is what "
    "finding nothing at all would score, and with more errors than objects it is below 0",
    "motp_iou": "how well boxes that match fit: the area that box and truth share, as a share of what both cover",
    "idf1": "how well objects keep their ids: the share of boxes, found and true, that agree when each whole track is "
    "paired with one object. 1 is perfect",
    "hota": "finding objects and keeping their ids, weighed alike, over loose and strict overlaps. 1 is perfect",
    "deta": "the half of HOTA that is about finding objects",
    "assa": "the half of HOTA that is about keeping ids",
    "count_accuracy": "the share of frames in which the number of objects is right",
    "recall": "the share of the objects that are found",
    "precision": "the share of the boxes found that are objects",
    "switches": "how often the id of an object changes",
    "fragmentations": "how often an object is lost and found again",
    "misses": "false negatives: objects that are not found",
    "false_positives": "boxes found where there is no object",
    "mostly_tracked": "objects that are found in at least 80 % of their frames",
    "mostly_lost": "objects that are found in less than 20 % of their frames",
    "objects": "boxes of the ground truth",
    "frames": "frames that count",
}
"""By the keys of ``COLUMNS``."""

MORE_IS_BETTER = frozenset(
    ("mota", "motp_iou", "idf1", "hota", "deta", "assa", "count_accuracy", "recall", "precision", "mostly_tracked")
)
LESS_IS_BETTER = frozenset(("switches", "fragmentations", "misses", "false_positives", "mostly_lost"))


def terms(keys: Iterable[str]) -> dict[str, str]:
    """The headings of scores and what they mean, for those that are known here."""
    return {COLUMNS[key]: MEANINGS[key] for key in keys if key in MEANINGS and key in COLUMNS}


def better(keys: Iterable[str]) -> dict[str, bool]:
    """By heading, whether more of a score is better; scores that are neither are left out."""
    known = (key for key in keys if key in COLUMNS)
    return {COLUMNS[key]: key in MORE_IS_BETTER for key in known if key in MORE_IS_BETTER | LESS_IS_BETTER}


def percent(value: float) -> str:
    """A part of 1, such as ``99%``: all of it is said only of all."""
    return "99%" if 0.99 < value < 1 else f"{value:.0%}"
