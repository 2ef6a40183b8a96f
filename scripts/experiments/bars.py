"""The scores that the README reports: each setting trained from scratch with several seeds, tested once.

sqair experiments bars --output runs/bars                       all settings, with the seeds of the README; hours
sqair experiments bars --output runs/bars --only moving-mnist --seeds 10
sqair experiments bars --output runs/bars --idx-path mnist      also with all of MNIST
sqair experiments bars --output runs/bars --publish             after that: docs/results/bars.jsonl, README.md

Training is ``sqair train`` with the settings below. Testing is on clips of test digits that training and the
choice of settings never saw. A finished (setting, seed) is not run again, unless the code that it depends on has
changed since. Every line of results.jsonl names its commit and the fingerprint of that code (provenance.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import Recipe
from sqair.errors import UserError
from sqair.eval.floor import track_components
from sqair.model import SQAIR
from sqair.scripts.experiments.bars_table import RESULTS, SAME, alike, publish, read_lines, table
from sqair.scripts.experiments.looking import clutter_frames, scores
from sqair.scripts.experiments.provenance import commit, fingerprints
from sqair.scripts.experiments.running import check_names, finish, recipe_of
from sqair.scripts.experiments.study import Study
from sqair.tracker import track_clips


@dataclass(frozen=True)
class Setting:
    """A row of the tables: words of ``sqair train``, seeds, and ways of tracking beside ``amortised``."""

    words: tuple[str, ...] = ()
    seeds: int = 3
    refined: bool = True
    raw: bool = False
    """Whether boxes of z_where are scored as well."""
    floor: bool = True
    full: bool = False
    """Whether it is of all of MNIST, in its IDX files."""


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
    "sqair-script-full": Setting(("--preset", "sqair-script"), full=True),
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
    idx_path: Path | None = None
    """Folder with MNIST's four IDX files; with it there is also sqair-script-full, of all of its digits."""
    publish: bool = False
    """Afterwards write docs/results/bars.jsonl, and the tables of README.md and docs/ that are made from it."""


def main(args: Args) -> None:
    """Runs what is missing and prints the table.

    Raises:
        UserError: an unknown setting, one of all of MNIST without that, or what ``sqair train`` raises.
    """
    check_names(args.only, SETTINGS, "setting")
    names = args.only or tuple(name for name in SETTINGS if args.idx_path or not SETTINGS[name].full)
    for name in names:
        if SETTINGS[name].full and args.idx_path is None:
            raise UserError(f"{name} is of all of MNIST: add --idx-path FOLDER, with its four IDX files")
    wanted = {name: SETTINGS[name].seeds if args.seeds is None else args.seeds for name in names}
    for seed in range(max(wanted.values())):
        for name in names:
            if seed < wanted[name] and not _is_done(args, name, seed):
                run(args, name, seed)
    print(table(Study(args.output).lines, args.split))
    if args.publish:
        publish(args.output / "results.jsonl")


def _is_done(args: Args, name: str, seed: int) -> bool:
    """Whether it has been measured, here or in docs/results/bars.jsonl, with code that does what today's does."""
    valid, key = alike(fingerprints(), read_lines(SAME)), (name, seed, args.split, args.clips)
    lines = [*Study(args.output).lines, *read_lines(RESULTS)]
    keys = ((line["setting"], line["seed"], line["split"], line["clips"]) for line in lines if line["code"] in valid)
    return key in keys


def run(args: Args, name: str, seed: int) -> None:
    """Trains one setting with one seed, unless its weights are there, and tests it in every way."""
    code, origin, setting = fingerprints(), commit(), SETTINGS[name]
    folder = args.output / f"{name}-{seed}-{code['model']}"
    digits = ["--data.idx-path", str(args.idx_path)] if setting.full else []
    info = finish(folder, [*setting.words, *digits, "--train.seed", str(seed), "--device", "cpu"])
    model, recipe = SQAIR.from_pretrained(folder), recipe_of(info)
    tests = [("", recipe, args.clips)]
    if name == "moving-mnist":
        tests.append((f" x{LONG}", replace(recipe, length=LONG), args.long_clips))
    lines = []
    for suffix, tested, count in tests:
        for way, found in evaluate(model, tested, args.split, count, setting).items():
            line = {"setting": name + suffix, "seed": seed, "split": args.split, "clips": count, "tracked": way}
            line |= {"commit": origin, "code": code, "words": list(setting.words)}
            lines.append({**line, "cpu_seconds": info["cpu_seconds"], **found})
    study = Study(args.output)
    for line in lines:
        study.add(line)


def evaluate(model: SQAIR, recipe: Recipe, split: str, count: int, setting: Setting) -> dict[str, dict[str, float]]:
    """Scores on ``count`` clips by way of tracking, and those of the floor; ignored boxes left out, then scored.

    Over clutter also ``clutter_frames``, the share of frames that count a piece of it as an object.
    """
    clips = make_clips(recipe, split, 0, 0, count)
    found = {}
    if setting.refined:
        found["refined"] = track_clips(model, clips.frames)
    found["amortised"] = track_clips(model, clips.frames, refine=False)
    if setting.raw:
        found["refined, raw boxes"] = track_clips(model, clips.frames, box="patch")
    if setting.floor:
        found["floor"] = [track_components(frames) for frames in clips.frames]
    scored = {}
    for way, tracks in found.items():
        scored[way] = scores(clips, tracks)
        if any((t.score == 0).any() for t in clips.truth):
            scored[f"{way}, slivers scored"] = scores(clips, tracks, ignore=False)
        if recipe.background == "clutter":
            scored[way]["clutter_frames"] = clutter_frames(clips, tracks)
    return scored
