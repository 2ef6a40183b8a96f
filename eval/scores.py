"""What a comparison of tracks with ground truth gives: counts that add up, the scores of them, tables."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from sqair.eval.hota import HotaCounts, hota

COLUMNS = {
    "mota": "MOTA",
    "motp_iou": "MOTP(IoU)",
    "idf1": "IDF1",
    "hota": "HOTA",
    "deta": "DetA",
    "assa": "AssA",
    "count_accuracy": "Count",
    "recall": "Recall",
    "precision": "Precision",
    "switches": "IDs",
    "fragmentations": "Frag",
    "misses": "FN",
    "false_positives": "FP",
    "mostly_tracked": "MT",
    "mostly_lost": "ML",
    "objects": "GT",
    "frames": "Frames",
}
"""Key of a score in CSV and JSON, and its heading in the table."""

_NOT_IN_TABLE = ("deta", "assa", "frames")
_SHARES = frozenset(list(COLUMNS)[:9])


@dataclass(frozen=True)
class Counts:
    """What one clip adds to the scores. All of it adds up over clips: OVERALL pools the counts of all.

    Attributes:
        frames: frames of the clip.
        right_count: frames in which as many boxes were predicted as there are in the ground truth.
        objects: ground-truth boxes.
        predictions: predicted boxes.
        matches: ground-truth boxes with a prediction, switches included.
        matched_iou: sum of the overlap of those.
        switches: matches whose predicted id is not the one that the object last had.
        fragmentations: how often an object is lost and found again.
        mostly_tracked: tracks of the ground truth matched in at least 80 % of their frames.
        mostly_lost: the same, in less than 20 %.
        mostly_kept: the same as mostly_tracked, of frames without a switch.
        identity_matches: IDTP, boxes that overlap under the best one-to-one assignment of whole tracks.
        hota: the part of HOTA.
    """

    frames: int = 0
    right_count: int = 0
    objects: int = 0
    predictions: int = 0
    matches: int = 0
    matched_iou: float = 0.0
    switches: int = 0
    fragmentations: int = 0
    mostly_tracked: int = 0
    mostly_lost: int = 0
    mostly_kept: int = 0
    identity_matches: int = 0
    hota: HotaCounts = field(default_factory=HotaCounts)

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def scores(self) -> dict[str, float]:
        """The scores by the keys of ``COLUMNS``; a share of nothing is NaN."""
        misses, false_positives = self.objects - self.matches, self.predictions - self.matches
        mean_hota, detection, association = hota(self.hota)
        return {
            "mota": 1 - _share(misses + false_positives + self.switches, self.objects),
            "motp_iou": _share(self.matched_iou, self.matches),
            "idf1": _share(2 * self.identity_matches, self.objects + self.predictions),
            "hota": mean_hota,
            "deta": detection,
            "assa": association,
            "count_accuracy": _share(self.right_count, self.frames),
            "recall": _share(self.matches, self.objects),
            "precision": _share(self.matches, self.predictions),
            "switches": self.switches,
            "fragmentations": self.fragmentations,
            "misses": misses,
            "false_positives": false_positives,
            "mostly_tracked": self.mostly_tracked,
            "mostly_lost": self.mostly_lost,
            "objects": self.objects,
            "frames": self.frames,
        }


@dataclass(frozen=True)
class Scores:
    """Scores of a set of clips.

    Attributes:
        clips: name of a clip -> its scores by the keys of ``COLUMNS``.
        overall: the same from the pooled counts of all clips (not a mean over clips).
        iou: overlap from which a prediction matches.
        ignore: whether the ground truth that a benchmark does not score was left out.
        rules: name of a clip -> the benchmark whose rule told (``sqair.eval.benchmarks``).
        sampled: name of a clip that was scored on the frames of its ground truth only -> every how
            many-th frame has some (1 where that is not regular).
        left_out: name of a clip -> how many boxes of ground truth are not scored.
    """

    clips: Mapping[str, dict[str, float]]
    overall: dict[str, float]
    iou: float
    ignore: bool
    rules: Mapping[str, str]
    sampled: Mapping[str, int]
    left_out: Mapping[str, int]

    def table(self, *, most: int = 20, more: Mapping[str, dict[str, float]] | None = None) -> str:
        """Text: the clips (of more than ``most`` the first and last three), OVERALL, the rows ``more``."""
        rows: list[tuple[str, dict[str, float] | None]] = list(self.clips.items())
        if len(rows) > most:
            rows = [*rows[:3], (f"... {len(rows) - 6} more", None), *rows[-3:]]
        return format_table([*rows, ("OVERALL", self.overall), *(more or {}).items()])

    def csv(self, *, more: Mapping[str, dict[str, float]] | None = None) -> str:
        """One line per clip, then OVERALL, then the rows ``more``; NaN is an empty cell."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["clip", *COLUMNS])
        for name, row in [*self.clips.items(), ("OVERALL", self.overall), *(more or {}).items()]:
            writer.writerow([name, *("" if math.isnan(row[key]) else row[key] for key in COLUMNS)])
        return out.getvalue()

    def as_dict(self) -> dict:
        """Everything, fit for JSON: NaN becomes None."""
        return {
            "iou": self.iou,
            "ignore": self.ignore,
            "benchmarks": dict(self.rules),
            "sampled": dict(self.sampled),
            "overall": without_nan(self.overall),
            "clips": {name: without_nan(row) for name, row in self.clips.items()},
        }

    def json(self) -> str:
        return json.dumps(self.as_dict(), indent=1, allow_nan=False) + "\n"


def format_table(rows: list[tuple[str, dict[str, float] | None]]) -> str:
    """Lines up the named rows under the headings of ``COLUMNS``; a row None is empty, NaN shows as ``-``."""
    keys = [key for key in COLUMNS if key not in _NOT_IN_TABLE]
    cells = [["", *(COLUMNS[key] for key in keys)]]
    cells += [[name, *("" if row is None else _cell(key, row[key]) for key in keys)] for name, row in rows]
    return aligned(cells)


def aligned(cells: Sequence[Sequence[str]]) -> str:
    """Lines of a table, whose first column stands left and all others right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for first, *rest in cells:
        padded = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *padded]).rstrip())
    return "\n".join(lines)


def without_nan(row: Mapping[str, float]) -> dict[str, float | None]:
    """``row`` with None for NaN."""
    return {key: None if math.isnan(value) else value for key, value in row.items()}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _cell(key: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.4f}" if key in _SHARES else str(value)
