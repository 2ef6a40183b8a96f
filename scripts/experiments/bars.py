"""The scores that the README reports: each setting trained from scratch with several seeds, tested once.

sqair experiments bars --output runs/bars                       all settings, with the seeds of the README; hours
sqair experiments bars --output runs/bars --only moving-mnist --seeds 10
sqair experiments bars --output runs/bars --publish             after that: docs/results/bars.jsonl, README.md

Training is ``sqair train`` with the settings below. Testing is on clips of test digits that training and the
choice of settings never saw. A finished (setting, seed) is not run again, unless the code that it depends on has
changed since. Every line of results.jsonl names its commit and the fingerprint of that code (provenance.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqair.scripts.experiments.bars_table import RESULTS, SAME, alike, publish, read_lines, table
from sqair.scripts.experiments.provenance import commit, fingerprints
from sqair.scripts.experiments.running import check_names

Line = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """A row of the tables: words of ``sqair train``, seeds, and ways of tracking beside ``amortised``."""

    words: tuple[str, ...] = ()
    seeds: int = 3
    refined: bool = True
    raw: bool = False
    """Whether boxes of z_where are scored as well."""
    floor: bool = True


_COLOUR = ("--data.colour", "--model.objects", "opaque")
_SMOOTH, _STILL = ("--model.background", "smooth"), ("--model.background", "still")
SETTINGS: dict[str, Setting] = {
    "moving-mnist": Setting(seeds=10, raw=True),
    "quick": Setting(("--preset", "quick")),
    "score-function": Setting(("--estimator", "score_function"), floor=False),
    "vimco": Setting(("--estimator", "vimco", "--particles", "3"), floor=False),
    "closed-form-corrected": Setting(("--estimator", "closed_form_corrected"), floor=False),
    "small-digits": Setting(("--data.digit-size", "20")),
    "three-digits": Setting(("--data.max-objects", "3")),
    "birth-death": Setting(("--preset", "birth-death")),
    "sqair-script": Setting(("--preset", "sqair-script")),
    "gradient-smooth": Setting(("--data.background", "gradient", *_SMOOTH)),
    "texture": Setting(("--data.background", "texture", *_STILL)),
    "clutter": Setting(("--data.background", "clutter", *_STILL)),
    "static-air": Setting(("--preset", "static-air"), seeds=5, refined=False, floor=False),
    "plain-smooth": Setting(_SMOOTH),
    "plain-still": Setting(_STILL),
    "gradient-still": Setting(("--data.background", "gradient", *_STILL)),
    "colour-texture": Setting((*_COLOUR, "--data.background", "texture", *_STILL)),
    "colour-gradient": Setting((*_COLOUR, "--data.background", "gradient", *_SMOOTH)),
}
"""Rows by name, in order of the tables."""

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
    seeds: int | None = None
    """Seeds 0 to this, of training; by default as many as the README reports of each."""
    clips: int = 1000
    """Test clips."""
    long_clips: int = 100
    """Test clips of 100 frames."""
    split: str = "test"
    """Digits of the clips that are scored: test, or val to choose settings."""
    publish: bool = False
    """Afterwards write docs/results/bars.jsonl, and the tables of README.md and docs/ that are made from it."""


def main(args: Args) -> None:
    """Runs what is missing and prints the table.

    Raises:
        UserError: an unknown setting, or what ``sqair train`` raises.
    """
    check_names(args.only, SETTINGS, "setting")
    args.output.mkdir(parents=True, exist_ok=True)
    names = args.only or tuple(SETTINGS)
    wanted = {name: SETTINGS[name].seeds if args.seeds is None else args.seeds for name in names}
    for seed in range(max(wanted.values())):
        for name in names:
            if seed < wanted[name] and not _is_done(args, name, seed):
                run(args, name, seed)
    print(table(results(args.output), args.split))
    if args.publish:
        publish(args.output / "results.jsonl")


def _is_done(args: Args, name: str, seed: int) -> bool:
    """Whether it has been measured, here or in docs/results/bars.jsonl, with code that does what today's does."""
    valid, key = alike(fingerprints(), read_lines(SAME)), (name, seed, args.split, args.clips)
    lines = [*results(args.output), *read_lines(RESULTS)]
    keys = ((line["setting"], line["seed"], line["split"], line["clips"]) for line in lines if line["code"] in valid)
    return key in keys


def run(args: Args, name: str, seed: int) -> None:
    """Trains one setting with one seed, unless its weights are there, and tests it in every way."""
    from sqair.files.pretrained import is_finished
    from sqair.model import SQAIR
    from sqair.scripts.train import main as train
    from sqair.scripts.train import parse, recipe_of

    code, origin, setting = fingerprints(), commit(), SETTINGS[name]
    folder = args.output / f"{name}-{seed}-{code['model']}"
    words = ["--output", str(folder), *setting.words, "--train.seed", str(seed), "--device", "cpu"]
    training = parse(words)
    if not is_finished(folder):
        train(replace(training, resume=(folder / "checkpoint.pt").exists()))
    model = SQAIR.from_pretrained(folder)
    info = json.loads((folder / "weights" / "config.json").read_text())["info"]
    recipe = recipe_of(training)
    tests = [("", recipe, args.clips)]
    if name == "moving-mnist":
        tests.append((f" x{LONG}", replace(recipe, length=LONG), args.long_clips))
    lines = []
    for suffix, tested, count in tests:
        for way, scores in evaluate(model, tested, args.split, count, setting).items():
            line = {"setting": name + suffix, "seed": seed, "split": args.split, "clips": count, "tracked": way}
            line |= {"commit": origin, "code": code, "words": list(setting.words)}
            lines.append({**line, "cpu_seconds": info["cpu_seconds"], **scores})
    with (args.output / "results.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def evaluate(model: Any, recipe: Any, split: str, count: int, setting: Setting) -> dict[str, dict[str, float]]:
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
    found = {}
    if setting.refined:
        found["refined"] = track_clips(model, clips.frames)
    found["amortised"] = track_clips(model, clips.frames, refine=False)
    if setting.raw:
        found["refined, raw boxes"] = track_clips(model, clips.frames, box="patch")
    if setting.floor:
        found["floor"] = [track_components(frames) for frames in clips.frames]
    scores = {}
    for way, tracks in found.items():
        named = dict(zip(names, tracks, strict=True))
        scores[way] = dict(score(truth, named, lengths).overall)
        if any((t.score == 0).any() for t in clips.truth):
            scores[f"{way}, slivers scored"] = dict(score(truth, named, lengths, ignore=False).overall)
        if recipe.background == "clutter":
            scores[way]["clutter_frames"] = clutter_frames(clips, tracks)
    return scores


def results(folder: Path) -> list[Line]:
    """The lines of results.jsonl."""
    path = folder / "results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
