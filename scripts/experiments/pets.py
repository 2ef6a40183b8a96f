"""A real clip: train on it without labels, track it, and score it where there is ground truth.

sqair experiments pets --clip clip.avi --gt gt.txt --output runs/pets          PETS09-S2L1; half an hour on one core

Training is ``sqair train --data CLIP`` with no other setting. The ground truth is read after that. It may have boxes
on some frames only: only these are scored. Settings of this project were chosen by scores of the first half alone.
What is finished is not run again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqair.eval.mot import score
from sqair.eval.sampled import sampled
from sqair.files.mot_io import read_mot
from sqair.files.spare import spare
from sqair.scripts.experiments.running import markdown, train_and_track
from sqair.scripts.experiments.study import Line, Study
from sqair.tracks import Tracks

COLUMNS = ("mota", "idf1", "hota", "recall", "precision")
HEAD = ("seed", "frames", "MOTA", "IDF1", "HOTA", "recall", "precision", "switches", "training, CPU-s", "frames/s")


@dataclass(frozen=True)
class Args:
    """Train on a clip without labels, track it, and score it; resumable."""

    clip: Path
    """The video."""
    gt: Path
    """MOTChallenge rows of its ground truth; rows of confidence 0 are ignored."""
    output: Path
    """Folder of the runs, the tracks, results.jsonl and table.md."""
    seeds: int = 1
    """Seeds 0 to this, of training."""
    half: int = 400
    """The first frame of the second half, counted from 0."""


def main(args: Args) -> None:
    """Runs what is missing and prints the table. Raises UserError as ``sqair train`` and ``sqair track`` do."""
    spare([args.clip, args.gt], [args.output / name for name in ("results.jsonl", "table.md")])
    study = Study(args.output)
    for seed in range(args.seeds):
        if not study.has(seed):
            study.add(run(args, seed))
    study.publish(table(study.lines))


def run(args: Args, seed: int) -> Line:
    """Trains with one seed and tracks; the scores of both halves and of all, and the time that it took."""
    found, line = train_and_track(args.clip, args.output, seed)
    line["key"] = [seed]
    truth = read_mot(args.gt)
    for part, (first, last) in {"first": (0, args.half - 1), "second": (args.half, None), "whole": (0, None)}.items():
        line[part] = scores(truth, found, first, last)
    return line


def scores(truth: Tracks, found: Tracks, first: int, last: int | None) -> dict[str, float]:
    """MOT scores on the frames of the ground truth from ``first`` to ``last``, by the rule of MOT15.

    That is the benchmark of the clip: what is not to be scored is dropped, and predictions on it are false positives.
    """
    gt, pred, count = sampled(truth, found, first, last)
    scored = gt.where(gt.score > 0)
    return dict(score({"clip": scored}, {"clip": pred}, {"clip": count}, frames="all").overall)


def table(lines: list[Line]) -> str:
    """Rows by seed and part of the clip."""
    rows = []
    for line in lines:
        for part in ("first", "second", "whole"):
            cells = [str(line["key"][0]), part, *(f"{line[part][c]:.3f}" for c in COLUMNS)]
            cells += [f"{line[part]['switches']:.0f}", f"{line['training_cpu_seconds']:.0f}"]
            rows.append([*cells, str(line["frames_per_second"])])
    return markdown(HEAD, rows, rule="---")
