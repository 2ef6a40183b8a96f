"""All of it in a few minutes: generate clips, train, track clips never seen, score, and a page to look at.

    sqair demo                       writes demo-output/report.html
    sqair demo --quick --output try  trains for less time

It runs the other commands and prints each as it could be typed.
"""

from __future__ import annotations

import importlib
import json
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from sqair.datasets.recipes import Recipe, get_recipe
from sqair.errors import UserError
from sqair.words import count


@dataclass(frozen=True)
class Args:
    """Generate, train, track, score and show, in a few minutes."""

    output: Path = Path("demo-output")
    """Folder for all that is made; it must be empty or not exist, unless --overwrite is given."""
    quick: bool = False
    """Train for less time."""
    preset: str | None = None
    """Preset of sqair train; by default that of the recipe, or quick with --quick."""
    recipe: str = "moving-mnist"
    """The kind of video: moving-mnist, sqair-script, birth-death, parting or together."""
    clips: int = 200
    """Test clips, of digits that training does not see."""
    seed: int = 0
    """Seed of the clips and of the training."""
    overwrite: bool = False
    """Replace what an earlier demo left in the output folder."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to compute; a GPU pays with hundreds of clips at a time: see docs/performance.md."""


TRACKINGS = {
    "refined": ("model", ()),
    "amortised": ("model, not refined", ("--no-refine",)),
    "patch": ("model, raw boxes", ("--box", "patch")),
}
"""How the test clips are tracked: by folder, the name in the table and words for ``sqair track``."""
FLOOR = "floor"


@dataclass
class Demo:
    """What a demo has done so far."""

    args: Args
    recipe: Recipe
    commands: list[str]
    began: float = field(default_factory=time.monotonic)
    cpu_began: float = field(default_factory=time.process_time)

    @property
    def run(self) -> Path:
        return self.args.output / "run"

    @property
    def archive(self) -> Path:
        """The test clips, with their ground truth."""
        return self.args.output / "clips" / f"{self.recipe.name}-test.npz"

    def parse(self, command: str, words: list[str]) -> Any:
        """Prints ``sqair COMMAND WORDS`` and returns its arguments."""
        import tyro

        words = [*words, "--overwrite"] if self.args.overwrite else words
        self.commands.append(f"sqair {command} {shlex.join(words)}")
        print(f"\n$ {self.commands[-1]}", flush=True)
        module = importlib.import_module(f"sqair.scripts.{command}")
        words = module.expand(words) if hasattr(module, "expand") else words
        return tyro.cli(module.Args, prog=f"sqair {command}", args=words)


def main(args: Args) -> None:
    """Runs the demo; afterwards ``args.output`` holds clips, run, tracks, videos, scores.json and report.html.

    Raises:
        UserError: a setting is wrong, or the output folder is taken or cannot be written.
        SystemExit: a signal ended the training; its checkpoint was saved.
    """
    from sqair.scripts import generate, train
    from sqair.scripts.demo_report import make_videos, write_report
    from sqair.scripts.presets import get_preset
    from sqair.scripts.tracking import track

    if args.clips < 1:
        raise UserError(f"--clips is {args.clips}: it must be at least 1")
    preset = args.preset or ("quick" if args.quick else args.recipe)
    recipe = get_recipe(args.recipe)
    get_preset(preset)
    demo = Demo(args, recipe, [_command(args)])
    _prepare(args)
    seed, device = str(args.seed), [] if args.device == "cpu" else ["--device", args.device]

    words = ["--recipe", args.recipe, "--split", "test", "--count", str(args.clips), "--seed", seed]
    generate.main(demo.parse("generate", [*words, "--output", str(demo.archive.parent)]))
    words = ["--preset", preset, "--recipe", args.recipe, "--train.seed", seed, *device]
    train.main(demo.parse("train", [*words, "--output", str(demo.run)]))
    rates = {}
    for folder, (name, how) in TRACKINGS.items():
        words = ["--source", str(demo.archive), "--model", str(demo.run), *how, *device]
        rates[name] = track(demo.parse("track", [*words, "--output", str(args.output / "tracks" / folder)]))
    scores = score_all(demo)
    videos = make_videos(demo, scores)
    write_report(demo, scores, rates, videos)
    print(f"\nScores, curves, pictures and videos: {args.output / 'report.html'}")


def score_all(demo: Demo) -> Mapping[str, Any]:
    """Scores of the trackings and of the floor by name, printed and written to scores.json."""
    from sqair.datasets.folders import read_npz
    from sqair.eval.floor import track_components
    from sqair.eval.mot import score
    from sqair.eval.scores import format_table, without_nan
    from sqair.files.durable import write_text
    from sqair.files.mot_io import read_mot

    clips = read_npz(demo.archive)
    names = [f"{i:06d}" for i in range(len(clips))]
    truth = dict(zip(names, clips.truth, strict=True))
    tracks = {
        name: {clip: read_mot(demo.args.output / "tracks" / folder / f"{clip}.txt") for clip in names}
        for folder, (name, _) in TRACKINGS.items()
    }
    tracks[FLOOR] = dict(zip(names, map(track_components, clips.frames), strict=True))
    lengths = dict.fromkeys(names, clips.frames.shape[1])
    scores = {name: score(truth, found, lengths) for name, found in tracks.items()}
    overall = {name: of.overall for name, of in scores.items()}
    print(f"\n{count(len(names), 'test clip')}, {count(sum(lengths.values()), 'frame')}; boxes match from IoU 0.5")
    print(format_table(list(overall.items())))
    text = json.dumps({name: without_nan(row) for name, row in overall.items()}, indent=1, allow_nan=False)
    write_text(demo.args.output / "scores.json", text + "\n")
    return scores


def _command(args: Args) -> str:
    """The command that these arguments come from."""
    words = ["sqair demo"]
    for option in fields(args):
        value = getattr(args, option.name)
        if value != option.default:
            flag = f"--{option.name.replace('_', '-')}"
            words.append(flag if value is True else f"{flag} {shlex.quote(str(value))}")
    return " ".join(words)


def _prepare(args: Args) -> None:
    """Raises UserError if the output folder is taken or cannot be made."""
    out = args.output
    try:
        if out.exists() and not out.is_dir():
            raise UserError(f"{out} is a file: choose a folder as --output")
        if not args.overwrite and out.exists() and any(out.iterdir()):
            raise UserError(f"{out} is not empty: choose another --output, or add --overwrite")
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error.strerror}") from error


if __name__ == "__main__":
    from sqair.scripts.cli import run

    raise SystemExit(run("demo"))
