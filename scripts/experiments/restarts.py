"""Restarts: whether trainings that differ in their seed alone come to the same solution.

sqair experiments restarts --output runs/restarts            all of it; about 40 minutes on 2 cores
sqair experiments restarts --output runs/quick --quick       a look, in a few minutes

Static AIR in the recurrent form of the notes, with and without the guide to its first discoveries, and the sequential
model, all on moving MNIST with about the same CPU time; each also with a third of it. What is finished is not run
again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binomtest

from sqair.datasets.generate import make_clips, make_segments
from sqair.datasets.recipes import get_recipe
from sqair.scripts.experiments.looking import look, scores
from sqair.scripts.experiments.running import STATIC, check_names, markdown, spread, trained
from sqair.scripts.experiments.segmentation import adjusted_rand, explained_once
from sqair.scripts.experiments.study import Line, Study, lines_of

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
MOST_FRAMES = 100
"""Frames, of those with two digits, on which two restarts are compared."""


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


def summary(output: Path, lines: list[Line], name: str, budget: str) -> Line:
    """Successes with their interval (Clopper and Pearson), the scores of all, the agreement of each pair."""
    mine = lines_of(lines, name, budget)
    total: Line = {"name": name, "budget": budget, "restarts": len(mine)}
    if not mine:
        return total
    total["successes"] = sum(line["count_accuracy"] >= SUCCESS for line in mine)
    total["interval"] = tuple(binomtest(total["successes"], len(mine)).proportion_ci(0.95))
    total["cpu_seconds"] = max(line["cpu_seconds"] for line in mine)
    for key in ("count_accuracy", "objects", "explained_once", "rand_with_truth"):
        total[key] = [line[key] for line in mine]
    folders = [folder_of(output, *line["key"]) for line in mine]
    total["rand_of_restarts"] = agreements([f / "segments.npz" for f in folders if (f / "segments.npz").exists()])
    return total


def agreements(files: list[Path]) -> list[float]:
    """Mean adjusted Rand index of each pair of restarts, over frames with two digits, on the digits' pixels."""
    if len(files) < 2:
        return []
    found = [np.load(file)["segments"] for file in files]
    truth = make_segments(get_recipe("moving-mnist"), "test", 0, 0, len(found[0]))
    places = [(n, t) for n, t in np.argwhere(truth.max((2, 3)) > 1).tolist()]
    places = places[:: max(1, len(places) // MOST_FRAMES)]
    masks = [truth[place] > 0 for place in places]
    pixels = [[segments[place][mask] for place, mask in zip(places, masks, strict=True)] for segments in found]
    return [
        float(np.mean([adjusted_rand(p, q) for p, q in zip(a, b, strict=True)])) for a, b in combinations(pixels, 2)
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


def plot(lines: list[Line], names: list[str], budgets: list[str], path: Path) -> None:
    """Count accuracy and share of digits explained once of every restart."""
    figure = Figure(figsize=(11, 3.4))
    axes = figure.subplots(1, 2, sharey=True)
    titles = ("count accuracy", "digits explained by exactly one object")
    for axis, key, title in zip(axes, ("count_accuracy", "explained_once"), titles, strict=True):
        for b, budget in enumerate(budgets):
            for i, name in enumerate(names):
                values = sorted(line[key] for line in lines_of(lines, name, budget))
                place = i + 0.2 * (b - 0.5) + np.linspace(-0.06, 0.06, len(values))
                label = f"{budget} budget" if i == 0 else None
                axis.plot(place, values, "o", color=f"C{b}", alpha=0.6, markersize=4, label=label)
        axis.axhline(SUCCESS, color="grey", linewidth=0.6, linestyle=":")
        axis.set_xticks(range(len(names)), names)
        axis.set_title(title)
        axis.set_ylim(-0.03, 1.03)
    axes[0].legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
