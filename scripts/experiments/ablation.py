"""The four temporal dependencies of the notes: what each is worth, alone and beside the others.

sqair experiments ablation --output runs/ablation            all of it; about 25 minutes on 2 cores
sqair experiments ablation --output runs/quick --quick       a look, in a few minutes

Models with all four, without any, without one and with one alone, on clips of up to three digits, with the same number
of steps. What is finished is not run again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from matplotlib.figure import Figure

from sqair.bounds import Terms
from sqair.datasets.generate import make_clips
from sqair.frames import to_frames
from sqair.imagine import predict
from sqair.inference import Sampled
from sqair.scripts.experiments.looking import look, scores
from sqair.scripts.experiments.running import check_names, markdown, spread, trained
from sqair.scripts.experiments.study import Line, Study, lines_of

DEPENDENCIES = ("hidden", "position", "appearance", "presence")
MODELS = {
    "all": DEPENDENCIES,
    **{f"no-{name}": tuple(d for d in DEPENDENCIES if d != name) for name in DEPENDENCIES},
    **{f"only-{name}": (name,) for name in DEPENDENCIES},
    "none": (),
}
"""Dependencies that are on, by model."""
SCHEDULE = ("--preset", "quick")
QUICK = ("--train.stages", "1x200x64", "5x40x64", "--train.price-steps", "200")
DATA = ("--data.max-objects", "3")
SEEN = 5
"""Frames after which the rest of a clip is predicted."""


@dataclass(frozen=True)
class Args:
    """Switch the four temporal dependencies off and on, each by itself; resumable."""

    output: Path
    """Folder of the runs, results.jsonl, table.md and the plot."""
    only: tuple[str, ...] = ()
    """Models to run, by default all: all, no-hidden, only-hidden and so on, none."""
    seeds: int = 3
    """Seeds 0 to this, of training."""
    clips: int = 500
    """Test clips."""
    workers: int = 2
    """Runs at a time."""
    quick: bool = False
    """One seed, hardly any training, few clips: what comes out is no result."""


def main(args: Args) -> None:
    """Runs what is missing, then writes the plot and prints the table. Raises UserError for an unknown model."""
    check_names(args.only, MODELS, "model")
    if args.quick:
        args = replace(args, seeds=1, clips=max(1, args.clips // 10))
    study = Study(args.output, args.workers)
    cells = [(name, seed) for seed in range(args.seeds) for name in args.only or MODELS]
    study.measure("ablation", run, cells, args.clips, args.quick)
    study.publish(table(study.lines))
    plot(study.lines, args.output / "ablation.png")


def run(output: str, name: str, seed: int, count: int, quick: bool) -> list[Line]:
    """Trains one model with one seed, and scores its tracks, its bound and its predictions."""
    folder = Path(output) / f"{name}-{seed}"
    off = tuple(f"--model.temporal.no-{d}" for d in DEPENDENCIES if d not in MODELS[name])
    words = (*(QUICK if quick else SCHEDULE), *DATA, *off, "--train.seed", str(seed))
    model, recipe, seconds = trained(folder, words)
    clips = make_clips(recipe, "test", 0, 0, count)
    frames = to_frames(clips.frames)
    line: Line = {"key": [name, seed], "cpu_seconds": seconds, **scores(clips, look(model, clips.frames).tracks)}
    amortised = scores(clips, look(model, clips.frames, refine=False).tracks)
    line["amortised"] = {k: amortised[k] for k in ("count_accuracy", "mota", "idf1")}
    with torch.inference_mode():
        line["elbo"] = Terms(model(frames, Sampled(torch.Generator().manual_seed(0)))).summary()["elbo"]
        expected, _ = predict(model, frames[:SEEN], len(frames) - SEEN)
        later = frames[SEEN:]
        line["prediction_error"] = (expected - later).square().mean((1, 2, 3, 4)).tolist()
        line["repeating_error"] = (frames[SEEN - 1] - later).square().mean((1, 2, 3, 4)).tolist()
    return [line]


def table(lines: list[Line]) -> str:
    """One row for each model: mean (lowest to highest) over seeds."""
    head = ["model", "seeds", "count", "MOTA", "IDF1", "IDF1 amortised", "bound per frame", "error of the next 5"]
    rows = []
    for name in MODELS:
        if mine := lines_of(lines, name):
            cells = [spread([line[key] for line in mine]) for key in ("count_accuracy", "mota", "idf1")]
            cells += [spread([line["amortised"]["idf1"] for line in mine]), spread([line["elbo"] for line in mine], 1)]
            error = [sum(line["prediction_error"]) / len(line["prediction_error"]) for line in mine]
            rows.append([name, str(len(mine)), *cells, spread(error, 4)])
    if lines:
        repeated = lines[0]["repeating_error"]
        rows.append(["the last frame again", *["-"] * 6, f"{sum(repeated) / len(repeated):.4f}"])
    return markdown(head, rows)


def plot(lines: list[Line], path: Path) -> None:
    """Tracking and bound of every seed, and the error of what is predicted over frames."""
    figure = Figure(figsize=(14, 4))
    axes = figure.subplots(1, 3)
    names = [name for name in MODELS if lines_of(lines, name)]
    for axis, key, title in zip(axes, ("idf1", "elbo"), ("IDF1", "bound, nats per frame"), strict=False):
        for row, name in enumerate(names):
            values = [line[key] for line in lines_of(lines, name)]
            axis.plot(values, [row] * len(values), "o", color=f"C{row}", alpha=0.7)
        axis.set_yticks(range(len(names)), names)
        axis.invert_yaxis()
        axis.set_title(title)
        axis.grid(axis="x", alpha=0.3)
    for row, name in enumerate(names):
        errors = [line["prediction_error"] for line in lines_of(lines, name)]
        means = [sum(values) / len(values) for values in zip(*errors, strict=True)]
        axes[2].plot(range(1, len(means) + 1), means, color=f"C{row}", label=name)
    if lines:
        repeated = lines[0]["repeating_error"]
        axes[2].plot(range(1, len(repeated) + 1), repeated, color="grey", linestyle=":", label="last frame again")
    axes[2].set_title("squared error of predicted frames")
    axes[2].set_xlabel("frames after the last that was seen")
    axes[2].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    figure.savefig(path, dpi=90)
