"""What each model makes of clips whose background is not empty.

sqair experiments backgrounds --output runs/backgrounds            all of it; about 70 minutes on 2 cores
sqair experiments backgrounds --output runs/quick --quick          a look, in a few minutes
sqair experiments backgrounds --output runs/backgrounds --only texture clutter

Static AIR, which sees the frames of clips one by one, and the sequential model, each without a background and with it,
on every kind of background, all with about the same CPU time. What is finished is not run again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sqair.datasets.generate import make_clips
from sqair.datasets.overlay import draw_tracks
from sqair.eval.floor import track_components
from sqair.scripts.experiments.looking import clutter_frames, errors, look, scores
from sqair.scripts.experiments.running import STATIC, check_names, markdown, spread, trained
from sqair.scripts.experiments.study import Line, Study, lines_of
from sqair.tracks import Tracks

DATA = ("none", "grey", "gradient", "texture", "pan", "clutter")
FRAMES = (*STATIC, "--train.stages", "1x3500x64", "--train.price-steps", "2800")
CLIPS = ("--train.stages", "1x900x64", "3x110x106", "5x110x64", "10x110x32", "--train.price-steps", "1000")
SHORT = {
    FRAMES: (*STATIC, "--train.stages", "1x350x64", "--train.price-steps", "280"),
    CLIPS: ("--train.stages", "1x200x64", "5x40x64", "--train.price-steps", "200"),
}
"""What takes their place with ``--quick``."""
MODELS = {
    "air": (FRAMES, ()),
    "air, smooth g": (FRAMES, ("--model.background", "smooth")),
    "air, upconv g": (FRAMES, ("--model.background", "upconv")),
    "sequential": (CLIPS, ()),
    "sequential, smooth g": (CLIPS, ("--model.background", "smooth")),
    "sequential, upconv g": (CLIPS, ("--model.background", "upconv")),
    "sequential, still g": (CLIPS, ("--model.background", "still")),
}
"""Schedule and other words of ``sqair train`` by model."""
DETAILED = ("texture",)
"""Backgrounds that ``upconv`` is for."""
TIMES = (0, 3, 6, 9)
"""Frames of an example."""


@dataclass(frozen=True)
class Args:
    """Compare models with and without a background on all kinds of backgrounds; resumable."""

    output: Path
    """Folder of the runs, results.jsonl, table.md and the plots."""
    only: tuple[str, ...] = ()
    """Backgrounds to run, by default all: none, grey, gradient, texture, pan, clutter."""
    seeds: int = 3
    """Seeds 0 to this, of training."""
    clips: int = 500
    """Test clips, of test digits and backgrounds that no training saw."""
    workers: int = 2
    """Runs at a time."""
    quick: bool = False
    """One seed, a tenth of the training and of the clips: what comes out is no result."""


def main(args: Args) -> None:
    """Runs what is missing, then writes the plots and prints the table. Raises UserError for an unknown background."""
    check_names(args.only, DATA, "background")
    if args.quick:
        args = replace(args, seeds=1, clips=max(1, args.clips // 10))
    study = Study(args.output, args.workers)
    pairs = [(data, model) for data in args.only or DATA for model in MODELS]
    pairs = [(data, model) for data, model in pairs if "upconv" not in model or data in DETAILED]
    cells = [(*pair, seed) for seed in range(args.seeds) for pair in pairs]
    study.measure("backgrounds", run, cells, args.clips, args.quick)
    study.publish(table(study.lines))
    plot_scores(study.lines, args.output / "backgrounds.png")
    for data in args.only or DATA:
        plot_examples(args.output, data, args.output / f"backgrounds-{data}.png")


def run(output: str, data: str, name: str, seed: int, count: int, quick: bool) -> list[Line]:
    """Trains one model with one seed, tests it, and keeps an example to look at."""
    schedule, words = MODELS[name]
    schedule = SHORT[schedule] if quick else schedule
    folder = Path(output) / slug(data, name, seed)
    words = (*schedule, *words, "--data.background", data, "--train.seed", str(seed))
    model, recipe, seconds = trained(folder, words)
    clips = make_clips(recipe, "test", 0, 0, count)
    ink = make_clips(replace(recipe, background="none"), "test", 0, 0, count, truth=False).frames
    seen = look(model, clips.frames)
    line: Line = {"key": [data, name, seed], "cpu_seconds": seconds, **scores(clips, seen.tracks)}
    line["foreground_error"], line["background_error"] = errors(clips, ink, seen.canvas)
    floor = scores(clips, [track_components(frames) for frames in clips.frames])
    line["floor"] = {k: floor[k] for k in ("count_accuracy", "mota", "idf1")}
    if data == "clutter":
        line["clutter_frames"] = clutter_frames(clips, seen.tracks)
    busiest = int(np.argmax(clips.count.sum(-1) if clips.count.ndim > 1 else clips.count))
    boxes = seen.tracks[busiest]
    np.savez_compressed(
        folder / "example.npz",
        frames=clips.frames[busiest],
        canvas=seen.canvas[busiest],
        behind=seen.behind[busiest],
        frame=boxes.frame,
        id=boxes.id,
        box=boxes.box,
    )
    return [line]


def slug(data: str, name: str, seed: int) -> str:
    """The folder of a run."""
    return f"{data}-{name.replace(', ', '-').replace(' ', '-')}-{seed}"


def table(lines: list[Line]) -> str:
    """One row for each model on each background: mean (lowest to highest) over seeds."""
    head = ["background", "model", "seeds", "count", "MOTA", "IDF1", "error on objects", "error elsewhere", "CPU-s"]
    rows = []
    for data in DATA:
        found = {name: group for name in MODELS if (group := lines_of(lines, data, name))}
        for name, group in found.items():
            columns = [[line[key] for line in group] for key in ("count_accuracy", "mota", "idf1")]
            wrong = [[line[key] for line in group] for key in ("foreground_error", "background_error")]
            cells = [*(spread(c) for c in columns), *(spread(c, 4) for c in wrong)]
            rows.append([data, name, str(len(group)), *cells, f"{max(line['cpu_seconds'] for line in group):.0f}"])
        if found:
            floor = next(iter(found.values()))[0]["floor"]
            cells = [f"{floor[key]:.3f}" for key in ("count_accuracy", "mota", "idf1")]
            rows.append([data, "floor: blobs", "-", *cells, "-", "-", "-"])
    return markdown(head, rows)


def plot_scores(lines: list[Line], path: Path) -> None:
    """MOTA and count accuracy of every seed, by background and model, beside the floor."""
    figure = Figure(figsize=(13, 3.6))
    axes = figure.subplots(1, 2, sharey=True)
    for axis, key, title in zip(axes, ("mota", "count_accuracy"), ("MOTA", "count accuracy"), strict=True):
        for i, name in enumerate(MODELS):
            mine = [line for line in lines if line["key"][1] == name]
            place = [DATA.index(line["key"][0]) + 0.12 * (i - 3) for line in mine]
            axis.plot(place, [max(0.0, line[key]) for line in mine], "o", label=name, alpha=0.7, markersize=5)
        floor = {line["key"][0]: max(0.0, line["floor"][key]) for line in lines}
        axis.hlines(
            list(floor.values()), [DATA.index(d) - 0.4 for d in floor], [DATA.index(d) + 0.4 for d in floor],
            color="grey", linewidth=0.8, label="floor: blobs",
        )  # fmt: skip
        axis.set_xticks(range(len(DATA)), DATA)
        axis.set_title(title)
        axis.set_ylim(-0.03, 1.03)
    axes[1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def plot_examples(output: Path, data: str, path: Path) -> None:
    """One test clip as each model of seed 0 explains it: frames with boxes, canvases, backgrounds."""
    kept = {name: output / slug(data, name, 0) / "example.npz" for name in MODELS}
    kept = {name: file for name, file in kept.items() if file.exists()}
    if not kept:
        return
    figure = Figure(figsize=(12, 1.15 * len(kept) + 0.3))
    axes = figure.subplots(len(kept), 3, squeeze=False)
    for row, (name, file) in zip(axes, kept.items(), strict=True):
        with np.load(file) as example:
            tracks = Tracks(example["frame"], example["id"], example["box"])
            frames = [draw_tracks(example["frames"][t], tracks.at(t), scale=3) for t in TIMES]
            canvas, behind = (np.concatenate(example[key][list(TIMES)], 1).clip(0, 1) for key in ("canvas", "behind"))
        for axis, image in zip(row, (np.concatenate(frames, 1), canvas, behind), strict=True):
            axis.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255 if image.dtype == np.uint8 else 1)
            axis.set_xticks([])
            axis.set_yticks([])
        row[0].set_ylabel(name.replace(", ", "\n"), fontsize=8)
    for axis, title in zip(axes[0], ("frames and tracks", "what the model draws", "its background"), strict=True):
        axis.set_title(title, fontsize=9)
    figure.tight_layout(pad=0.4)
    figure.savefig(path, dpi=80)
