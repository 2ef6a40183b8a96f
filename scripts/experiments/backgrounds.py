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

from sqair.scripts.experiments.running import STATIC, check_names, markdown, spread, trained
from sqair.scripts.experiments.study import Line, Study

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
    from sqair.scripts.experiments.backgrounds_report import plot_examples, plot_scores

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
    import numpy as np

    from sqair.datasets.generate import make_clips
    from sqair.eval.floor import track_components
    from sqair.scripts.experiments.looking import clutter_frames, errors, look, scores

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
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        groups.setdefault((line["key"][0], line["key"][1]), []).append(line)
    head = ["background", "model", "seeds", "count", "MOTA", "IDF1", "error on objects", "error elsewhere", "CPU-s"]
    rows = []
    for data in DATA:
        found = {name: groups[data, name] for name in MODELS if (data, name) in groups}
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
