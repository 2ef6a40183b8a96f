"""Two digits and one glimpse: who explains a pair that touches as one object, and whether seeing it part helps.

sqair experiments pairs --output runs/pairs            all of it; about 15 minutes on 2 cores
sqair experiments pairs --output runs/quick --quick    a look, in two minutes

Static AIR and the sequential model are trained on clips whose digits move on their own, on pairs that part after a
while, and on pairs that never do; each is tested on both kinds of pairs. What is finished is not run again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sqair.scripts.experiments.running import STATIC, markdown, spread, trained
from sqair.scripts.experiments.study import Line, Study

TRAINED_ON = ("moving-mnist", "parting", "together")
TESTED_ON = ("parting", "together")
MODELS = {
    "air": (*STATIC, "--train.stages", "1x2500x64", "--train.price-steps", "2000"),
    "sequential": ("--preset", "quick"),
}
QUICK = {
    "air": (*STATIC, "--train.stages", "1x400x64", "--train.price-steps", "300"),
    "sequential": ("--train.stages", "1x200x64", "5x40x64", "--train.price-steps", "200"),
}
SPANS = {"parting": {"together": slice(3), "apart": slice(5, None)}, "together": {"all": slice(None)}}
"""Frames of the test clips, by name."""
VERDICTS = ("one", "two", "other")


@dataclass(frozen=True)
class Args:
    """See who explains pairs of digits with one glimpse; resumable."""

    output: Path
    """Folder of the runs, results.jsonl, table.md and the plots."""
    seeds: int = 3
    """Seeds 0 to this, of training."""
    clips: int = 300
    """Test clips of each kind of pairs."""
    workers: int = 2
    """Runs at a time."""
    quick: bool = False
    """One seed, hardly any training, few clips: what comes out is no result."""


def main(args: Args) -> None:
    """Runs what is missing, then writes the plots and prints the table."""
    from sqair.scripts.experiments.pairs_report import plot_examples, plot_verdicts

    if args.quick:
        args = replace(args, seeds=1, clips=max(1, args.clips // 10))
    study = Study(args.output, args.workers)
    cells = [(recipe, name, seed) for seed in range(args.seeds) for recipe in TRAINED_ON for name in MODELS]
    missing = [cell for cell in cells if not all(study.has(*cell, tested) for tested in TESTED_ON)]
    study.measure("pairs", run, missing, args.clips, args.quick)
    study.publish(table(study.lines))
    plot_verdicts(study.lines, args.output / "pairs.png")
    plot_examples(args.output, args.output / "pairs-examples.png")


def run(output: str, recipe_name: str, name: str, seed: int, count: int, quick: bool) -> list[Line]:
    """Trains one model with one seed and says, frame by frame, with how many glimpses it explains pairs."""
    import numpy as np

    from sqair.datasets.generate import make_clips, make_segments
    from sqair.datasets.recipes import get_recipe
    from sqair.scripts.experiments.looking import look, scores
    from sqair.scripts.experiments.segmentation import glimpses

    folder = Path(output) / f"{recipe_name}-{name}-{seed}"
    words = (*(QUICK if quick else MODELS)[name], "--recipe", recipe_name, "--train.seed", str(seed))
    model, _, seconds = trained(folder, words)
    lines: list[Line] = []
    for tested in TESTED_ON:
        recipe = get_recipe(tested)
        clips, truth = make_clips(recipe, "test", 0, 0, count), make_segments(recipe, "test", 0, 0, count)
        seen = look(model, clips.frames)
        frames = (segments.reshape(-1, *truth.shape[2:]) for segments in (seen.segments, truth))
        verdicts = np.array([glimpses(*frame) for frame in zip(*frames, strict=True)]).reshape(truth.shape[:2])
        line: Line = {"key": [recipe_name, name, seed, tested], "cpu_seconds": seconds, **scores(clips, seen.tracks)}
        line["share"] = {v: (verdicts == v).mean(0).round(4).tolist() for v in VERDICTS}
        lines.append(line)
        boxes = seen.tracks[0]
        kept = {"frames": clips.frames[:4], "segments": seen.segments[:4].astype(np.uint16)}
        np.savez_compressed(folder / f"{tested}.npz", **kept, frame=boxes.frame, id=boxes.id, box=boxes.box)
    return lines


def table(lines: list[Line]) -> str:
    """One row for each model, its training and the pairs: shares of frames, mean (lowest to highest) over seeds."""
    head = ["pairs that", "frames", "model", "trained on", "seeds", "one glimpse", "one each", "IDF1"]
    rows = []
    for tested in TESTED_ON:
        for span, frames in SPANS[tested].items():
            for name in MODELS:
                for recipe in TRAINED_ON:
                    mine = [line for line in lines if line["key"][:2] == [recipe, name] and line["key"][3] == tested]
                    shares = [[mean(line["share"][v][frames]) for line in mine] for v in ("one", "two")]
                    cells = [tested, span, name, recipe, str(len(mine)), *(spread(share) for share in shares)]
                    rows.append([*cells, spread([line["idf1"] for line in mine])])
    return markdown(head, rows)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)
