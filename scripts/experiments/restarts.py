"""Restarts: whether trainings that differ in their seed alone come to the same solution.

sqair experiments restarts --output runs/restarts            all of it; about 40 minutes on 2 cores
sqair experiments restarts --output runs/quick --quick       a look, in a few minutes

Static AIR in the recurrent form of the notes, with and without the guide to its first discoveries, and the sequential
model, all on moving MNIST with about the same CPU time; each also with a third of it. What is finished is not run
again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sqair.scripts.experiments.running import STATIC, check_names, markdown, spread, trained
from sqair.scripts.experiments.study import Line, Study

SUCCESS = 0.97
"""Count accuracy from which a restart succeeds."""
AIR = ("--preset", "static-air", "--data.length", "10", *STATIC)
MODELS = {"unguided-air": (*AIR, "--train.bold-steps", "0"), "air": AIR, "sequential": ()}
SCHEDULES = {
    "full": {
        "air": ("--train.stages", "1x1400x64", "--train.price-steps", "470"),
        "sequential": ("--preset", "quick"),
    },
    "third": {
        "air": ("--train.stages", "1x470x64", "--train.price-steps", "160"),
        "sequential": ("--train.stages", "1x500x64", "3x35x106", "5x35x64", "10x35x32", "--train.price-steps", "420"),
    },
    "quick": {
        "air": ("--train.stages", "1x100x64", "--train.price-steps", "50"),
        "sequential": ("--train.stages", "1x100x64", "5x20x64", "--train.price-steps", "100"),
    },
}
"""Words of ``sqair train`` by budget."""


@dataclass(frozen=True)
class Args:
    """Train the same models again and again, and compare what they make of the same clips; resumable."""

    output: Path
    """Folder of the runs, results.jsonl, table.md and the plot."""
    only: tuple[str, ...] = ()
    """Models to run, by default all: unguided-air, air, sequential."""
    restarts: int = 20
    """Trainings of each model with the full budget."""
    short_restarts: int = 10
    """Trainings of each model with a third of it."""
    clips: int = 200
    """Test clips."""
    workers: int = 2
    """Runs at a time."""
    quick: bool = False
    """Three restarts with hardly any training on few clips: what comes out is no result."""


def main(args: Args) -> None:
    """Runs what is missing, then writes the plot and prints the table. Raises UserError for an unknown model."""
    from sqair.scripts.experiments.restarts_report import plot, summary

    check_names(args.only, MODELS, "model")
    plan = [("full", args.restarts), ("third", args.short_restarts)]
    if args.quick:
        args, plan = replace(args, clips=max(1, args.clips // 10)), [("quick", 3)]
    study = Study(args.output, args.workers)
    cells = [(name, budget, seed) for budget, seeds in plan for seed in range(seeds) for name in args.only or MODELS]
    study.measure("restarts", run, cells, args.clips)
    rows = [summary(args.output, study.lines, name, budget) for budget, _ in plan for name in MODELS]
    study.publish(table(rows))
    plot(study.lines, list(MODELS), [budget for budget, _ in plan], args.output / "restarts.png")


def folder_of(output: str | Path, name: str, budget: str, seed: int) -> Path:
    """Where a run is."""
    return Path(output) / f"{name}-{budget}-{seed}"


def run(output: str, name: str, budget: str, seed: int, count: int) -> list[Line]:
    """One training, its scores on ``count`` test clips, and their segments, which are kept beside it."""
    import numpy as np

    from sqair.datasets.generate import make_clips, make_segments
    from sqair.datasets.recipes import get_recipe
    from sqair.scripts.experiments.looking import look, scores
    from sqair.scripts.experiments.segmentation import adjusted_rand, explained_once

    schedule = SCHEDULES[budget]["sequential" if name == "sequential" else "air"]
    folder = folder_of(output, name, budget, seed)
    model, _, seconds = trained(folder, (*MODELS[name], *schedule, "--train.seed", str(seed)))
    recipe = get_recipe("moving-mnist")
    clips, truth = make_clips(recipe, "test", 0, 0, count), make_segments(recipe, "test", 0, 0, count)
    seen = look(model, clips.frames)
    np.savez_compressed(folder / "segments.npz", segments=seen.segments.astype(np.uint16))
    once, agreement = [], []
    frames = (segments.reshape(-1, *truth.shape[2:]) for segments in (seen.segments, truth))
    for segments, true in zip(*frames, strict=True):
        once += explained_once(segments, true).tolist()
        if true.max() > 1:
            agreement.append(adjusted_rand(segments[true > 0], true[true > 0]))
    return [
        {
            "key": [name, budget, seed],
            "cpu_seconds": seconds,
            **scores(clips, seen.tracks),
            "objects": sum(len(t) for t in seen.tracks) / truth.shape[0] / truth.shape[1],
            "explained_once": float(np.mean(once)),
            "rand_with_truth": float(np.mean(agreement)),
        }
    ]


def table(rows: list[Line]) -> str:
    """One row for each model and budget; ``rows`` are what ``summary`` returns."""
    head = ["model", "budget", "CPU-s", "succeed", "95 % interval", "count", "objects per frame", "explained once"]
    head += ["agreement with the truth", "agreement of restarts"]
    cells = []
    for row in rows:
        if row["restarts"]:
            low, high = row["interval"]
            cells.append(
                [row["name"], row["budget"], f"{row['cpu_seconds']:.0f}", f"{row['successes']} of {row['restarts']}"]
                + [f"{low:.2f} to {high:.2f}", *(spread(row[key]) for key in ("count_accuracy", "objects"))]
                + [spread(row[key]) for key in ("explained_once", "rand_with_truth", "rand_of_restarts")]
            )
    return markdown(head, cells)
