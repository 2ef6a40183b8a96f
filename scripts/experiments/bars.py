"""The scores that the README reports: each setting trained from scratch with several seeds, tested once.

sqair experiments bars --output runs/bars                       all settings, 3 seeds each; hours
sqair experiments bars --output runs/bars --only moving-mnist --seeds 10

Training is ``sqair train`` with the settings below. Testing is on clips of test digits that training and the
choice of settings never saw. A finished (setting, seed) is not run again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqair.scripts.experiments.running import check_names

COLOUR = ["--data.colour", "--model.objects", "opaque"]
SETTINGS: dict[str, list[str]] = {
    "moving-mnist": [],
    "quick": ["--preset", "quick"],
    "small-digits": ["--data.digit-size", "20"],
    "three-digits": ["--data.max-objects", "3"],
    "birth-death": ["--preset", "birth-death"],
    "sqair-script": ["--preset", "sqair-script"],
    "static-air": ["--preset", "static-air"],
    "closed-form-corrected": ["--estimator", "closed_form_corrected"],
    "score-function": ["--estimator", "score_function"],
    "vimco": ["--estimator", "vimco", "--particles", "3"],
    "plain-smooth": ["--model.background", "smooth"],
    "plain-still": ["--model.background", "still"],
    "gradient-smooth": ["--data.background", "gradient", "--model.background", "smooth"],
    "gradient-still": ["--data.background", "gradient", "--model.background", "still"],
    "texture": ["--data.background", "texture", "--model.background", "still"],
    "clutter": ["--data.background", "clutter", "--model.background", "still"],
    "colour-texture": [*COLOUR, "--data.background", "texture", "--model.background", "still"],
    "colour-gradient": [*COLOUR, "--data.background", "gradient", "--model.background", "smooth"],
}
"""Words of ``sqair train`` by name."""

LONG = 100
"""Frames of the long clips that ``moving-mnist`` is tested on as well."""


@dataclass(frozen=True)
class Args:
    """Train and test every setting of the README's table of results; resumable."""

    output: Path
    """Folder of the runs and of results.jsonl, one line per model and way of tracking."""
    only: tuple[str, ...] = ()
    """Settings to run, by default all: moving-mnist, quick, small-digits, three-digits, birth-death, sqair-script,
    static-air; moving-mnist with other estimators: closed-form-corrected, score-function, vimco; with a background in
    the model: plain-smooth, plain-still; and in the data as well: gradient-smooth, gradient-still, texture, clutter,
    and in colour colour-texture, colour-gradient."""
    seeds: int = 3
    """Seeds 0 to this, of training."""
    clips: int = 1000
    """Test clips."""
    long_clips: int = 100
    """Test clips of 100 frames."""
    split: str = "test"
    """Digits of the clips that are scored: test, or val to choose settings."""


def main(args: Args) -> None:
    """Runs what is missing and prints the table.

    Raises:
        UserError: an unknown setting, or what ``sqair train`` raises.
    """
    check_names(args.only, SETTINGS, "setting")
    args.output.mkdir(parents=True, exist_ok=True)
    for seed in range(args.seeds):
        for name in args.only or SETTINGS:
            done = {(r["setting"], r["seed"], r["split"]) for r in results(args.output)}
            if (name, seed, args.split) not in done:
                run(args, name, seed)
    print(table(results(args.output), args.split))


def run(args: Args, name: str, seed: int) -> None:
    """Trains one setting with one seed, unless its weights are there, and tests it in every way."""
    from sqair.pretrained import is_finished, load_weights
    from sqair.scripts.train import main as train
    from sqair.scripts.train import parse, recipe_of

    folder = args.output / f"{name}-{seed}"
    words = ["--output", str(folder), *SETTINGS[name], "--train.seed", str(seed), "--device", "cpu"]
    training = parse(words)
    if not is_finished(folder):
        train(replace(training, resume=(folder / "checkpoint.pt").exists()))
    model = load_weights(folder)
    info = json.loads((folder / "weights" / "config.json").read_text())["info"]
    recipe = recipe_of(training)
    tests = [("", recipe, args.clips)]
    if name == "moving-mnist":
        tests.append((f" x{LONG}", replace(recipe, length=LONG), args.long_clips))
    lines = []
    for suffix, tested, count in tests:
        for way, scores in evaluate(model, tested, args.split, count).items():
            line = {"setting": name + suffix, "seed": seed, "split": args.split, "clips": count, "tracked": way}
            lines.append({**line, "cpu_seconds": info["cpu_seconds"], **scores})
    with (args.output / "results.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def evaluate(model: Any, recipe: Any, split: str, count: int) -> dict[str, dict[str, float]]:
    """Scores on ``count`` clips by way of tracking, and those of the floor; ignored boxes left out, then scored.

    Over clutter also ``clutter_frames``, the share of frames that count a piece of it as an object.
    """
    from sqair.datasets.generate import make_clips
    from sqair.eval.floor import track_components
    from sqair.eval.mot import score
    from sqair.scripts.experiments.looking import clutter_frames
    from sqair.tracker import track_clips

    clips = make_clips(recipe, split, 0, 0, count)
    names = [str(i) for i in range(count)]
    truth = dict(zip(names, clips.truth, strict=True))
    lengths: dict[str, int] = {name: recipe.length for name in names}
    found = {
        "refined": track_clips(model, clips.frames),
        "refined, raw boxes": track_clips(model, clips.frames, box="patch"),
        "amortised": track_clips(model, clips.frames, refine=False),
        "amortised, raw boxes": track_clips(model, clips.frames, refine=False, box="patch"),
        "floor": [track_components(frames) for frames in clips.frames],
    }
    scores = {}
    for way, tracks in found.items():
        named = dict(zip(names, tracks, strict=True))
        scores[way] = dict(score(truth, named, lengths).overall)
        if any((t.score == 0).any() for t in clips.truth):
            scores[f"{way}, slivers scored"] = dict(score(truth, named, lengths, ignore=False).overall)
        if recipe.background == "clutter":
            scores[way]["clutter_frames"] = clutter_frames(clips, tracks)
    return scores


def results(folder: Path) -> list[dict[str, Any]]:
    """The lines of results.jsonl."""
    path = folder / "results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(lines: list[dict[str, Any]], split: str) -> str:
    """Mean (lowest) over seeds by setting and way of tracking."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for line in lines:
        if line["split"] == split:
            groups.setdefault((line["setting"], line["tracked"]), []).append(line)
    rows = ["| data | tracked | seeds | CPU-s | count | MOTA | IDF1 | HOTA | switches |", "|" + "---|" * 9]
    for (setting, tracked), group in groups.items():
        cells = [setting, tracked, str(len(group)), f"{max(g['cpu_seconds'] for g in group):.0f}"]
        for key in ("count_accuracy", "mota", "idf1", "hota"):
            values = [g[key] for g in group]
            cells.append(f"{sum(values) / len(values):.3f} ({min(values):.3f})")
        cells.append(f"{sum(g['switches'] for g in group) / len(group):.0f}")
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)
