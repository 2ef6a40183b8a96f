"""Measure what a model knows of clips: how likely they are under it, what comes next, and what its latents hold.

    sqair evaluate --model runs/mine --data moving-mnist --split val --output evaluation
    sqair evaluate --model moving-mnist --data clips/moving-mnist-val.npz --particles 1000 --filter --output evaluation

writes ``evaluation.json`` and ``evaluation.html``, a page that needs nothing else. docs/knowledge.md says what is
measured, and how.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sqair.errors import UserError

ENTRIES = ("evaluation.json", "evaluation.html")


@dataclass(frozen=True)
class Args:
    """Measure what a model knows of clips: log p(x) and its parts, predictions, counts, and what can be read from its
    latents."""

    output: Path
    """Folder to write to; it must be empty or not exist, unless --overwrite is given."""
    data: str = "moving-mnist"
    """A recipe of `sqair generate`, or clips of one length: the .npz that it writes, or what `sqair track` takes. What
    needs to know what is in the clips is left out where that is not known."""
    model: str = "moving-mnist"
    """A run's folder, a folder of weights, the name of a model that ships with the package, or org/name of the hub;
    or a run of a model to compare with (docs/baselines.md)."""
    split: str = "val"
    """Of a recipe: whose digits to use, train, val or test."""
    clips: int = 200
    """Clips to measure on, at most."""
    particles: int = 100
    """Particles K of each clip in the estimates of log p(x): more are tighter, and cost as much more."""
    filter: Annotated[bool, tyro.conf.arg(name="filter")] = False
    """Estimate log p(x) by a particle filter as well, which resamples at frames: tighter on all but short clips."""
    price: float | None = None
    """Of an object, nats, in the prior of the count: p(n) falls by exp(-price) with each. By default that with which
    the model is left to track, which keeps scenes sparse, and is more than what counts in the clips would say."""
    observed: int = 5
    """Frames of a clip that are seen before the next ones are predicted."""
    horizon: int = 5
    """Frames that are predicted, at most."""
    readout_clips: int = 3000
    """Clips of training digits that read-outs learn from; 0 leaves them out."""
    seed: int = 0
    """Of the clips of a recipe, of all samples and of the intervals."""
    overwrite: bool = False
    """Replace an evaluation in the output folder; other files in it stay, and so does whatever is read."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to compute; a GPU pays with hundreds of clips at a time: see docs/performance.md."""


def main(args: Args) -> None:
    """Measures, prints tables and writes the files.

    Raises:
        UserError: the model, the data or a setting is no good, or the output cannot be written; nothing is written.
    """
    from sqair.baselines.kept import is_baseline, load_baseline
    from sqair.datasets.staging import claim, source_files, staged
    from sqair.files.pretrained import weights_files
    from sqair.model import SQAIR
    from sqair.process import keep_freed_memory
    from sqair.scripts.evaluating import evaluate
    from sqair.scripts.evaluating_vrnn import canvas_of, evaluate_vrnn
    from sqair.scripts.evaluation_data import is_recipe, read_data
    from sqair.scripts.evaluation_page import page, printed, to_json

    for name in ("clips", "particles", "horizon"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name} is {getattr(args, name)}: it must be at least 1")
    if args.observed < 2:
        raise UserError(f"--observed is {args.observed}: it must be at least 2, or nothing is known of speeds")
    if args.readout_clips < 0:
        raise UserError(f"--readout-clips is {args.readout_clips}: it must be 0 or more")
    if args.price is not None and not (0 < args.price < math.inf and not is_baseline(args.model)):
        raise UserError(f"--price is {args.price:g}: it must be more than 0, and of a model of objects")
    reads = [*weights_files(args.model), *([] if is_recipe(args.data) else source_files(args.data))]
    claim(args.output, ENTRIES, overwrite=args.overwrite, reads=reads)
    keep_freed_memory()
    if is_baseline(args.model):
        baseline = load_baseline(args.model, args.device)
        found = evaluate_vrnn(baseline, read_data(args, canvas_of(baseline)), args)
    else:
        model = SQAIR.from_pretrained(args.model, args.device)
        model.price = model.price if args.price is None else args.price
        found = evaluate(model, read_data(args, model.config), args)
    print(printed(found))
    with staged(args.output, ENTRIES, overwrite=args.overwrite, reads=reads) as stage:
        (stage / ENTRIES[0]).write_text(to_json(found), encoding="utf-8")
        page(found).save(stage / ENTRIES[1])
    print(f"\nWritten: {', '.join(str(args.output / entry) for entry in ENTRIES)}")


if __name__ == "__main__":
    from sqair.scripts.cli import run

    raise SystemExit(run("evaluate"))
