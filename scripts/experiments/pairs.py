"""Two digits and one glimpse: who explains a pair that touches as one object, and whether seeing it part helps.

sqair experiments pairs --output runs/pairs            all of it; about 15 minutes on 2 cores
sqair experiments pairs --output runs/quick --quick    a look, in two minutes

Static AIR and the sequential model are trained on clips whose digits move on their own, on pairs that part after a
while, and on pairs that never do; each is tested on both kinds of pairs. What is finished is not run again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from sqair.datasets.generate import make_clips, make_segments
from sqair.datasets.recipes import get_recipe
from sqair.scripts.experiments.looking import look, scores
from sqair.scripts.experiments.running import STATIC, markdown, spread, trained
from sqair.scripts.experiments.segmentation import glimpses
from sqair.scripts.experiments.study import Line, Study, lines_of

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
TIMES = (0, 2, 4, 6, 9)
"""Frames of an example."""


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
                    mine = [line for line in lines_of(lines, recipe, name) if line["key"][3] == tested]
                    shares = [[float(np.mean(line["share"][v][frames])) for line in mine] for v in ("one", "two")]
                    cells = [tested, span, name, recipe, str(len(mine)), *(spread(share) for share in shares)]
                    rows.append([*cells, spread([line["idf1"] for line in mine])])
    return markdown(head, rows)


def plot_verdicts(lines: list[Line], path: Path) -> None:
    """Share of pairs explained by one glimpse and by one each, frame by frame; a line per seed."""
    figure = Figure(figsize=(11, 5.4))
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    for row, tested in zip(axes, TESTED_ON, strict=True):
        for axis, (verdict, title) in zip(row, (("one", "one glimpse for both"), ("two", "one each")), strict=True):
            for line in (line for line in lines if line["key"][3] == tested):
                recipe, name, seed = line["key"][:3]
                style = {"color": f"C{TRAINED_ON.index(recipe)}", "linestyle": "-" if name == "sequential" else ":"}
                label = f"{name}, trained on {recipe}" if seed == 0 else None
                axis.plot(range(len(line["share"][verdict])), line["share"][verdict], **style, alpha=0.8, label=label)
            axis.set_title(f"pairs {'that part' if tested == 'parting' else 'that stay together'}: {title}", fontsize=9)
            axis.set_ylim(-0.03, 1.03)
    axes[0, 0].legend(fontsize=7)
    figure.supxlabel("frame")
    figure.supylabel("share of clips")
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def plot_examples(output: Path, path: Path) -> None:
    """Two clips of pairs that part, as each model of seed 0 segments them: a colour per object."""
    kept = {(name, recipe): output / f"{recipe}-{name}-0" / "parting.npz" for name in MODELS for recipe in TRAINED_ON}
    kept = {of: file for of, file in kept.items() if file.exists()}
    if not kept:
        return
    colours = np.array([[0, 0, 0], *(colormaps["tab10"](i)[:3] for i in range(10))])
    figure = Figure(figsize=(11, 1.1 * len(kept) + 1.4))
    axes = figure.subplots(1 + len(kept), 2, squeeze=False)
    for row, (of, file) in zip(axes[1:], kept.items(), strict=True):
        with np.load(file) as example:
            frames, segments = example["frames"], example["segments"].astype(int)
        for clip, axis in enumerate(row):
            label = np.where(segments[clip] > 0, 1 + (segments[clip] - 1) % 10, 0)
            shown = colours[label] * (0.25 + 0.75 * frames[clip][..., None] / 255)
            axis.imshow(np.concatenate(shown[list(TIMES)], 1))
            axes[0, clip].imshow(np.concatenate(frames[clip][list(TIMES)], 1), cmap="gray")
        row[0].set_ylabel(f"{of[0]}\n{of[1]}", fontsize=7)
    axes[0, 0].set_ylabel("frames", fontsize=7)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=80)
