"""A few steps of every recipe, to the last bit: whether two versions of the code do the same.

sqair experiments replay --same 999e123      notes in docs/results/same.jsonl that today's code does what that one did

Results stay valid for code that trains, tracks and scores bit for bit as that which they were measured with. Both are
run on this machine, since another one may round differently.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

STEPS = ("--train.stages", "1x8x24", "3x4x12", "10x3x6", "--train.price-steps", "12")
_STILL, _SMOOTH = ("--model.background", "still"), ("--model.background", "smooth")
RECIPES: dict[str, tuple[str, ...]] = {
    "moving-mnist": STEPS,
    "sqair-script": ("--preset", "sqair-script", *STEPS),
    "birth-death": ("--preset", "birth-death", *STEPS),
    "static-air": ("--preset", "static-air", "--train.stages", "1x15x24", "--train.price-steps", "12"),
    "score-function": ("--estimator", "score_function", *STEPS),
    "vimco": ("--estimator", "vimco", "--particles", "3", *STEPS),
    "corrected": ("--estimator", "closed_form_corrected", *STEPS),
    "smooth": ("--data.background", "gradient", *_SMOOTH, *STEPS),
    "still": ("--data.background", "texture", *_STILL, *STEPS),
    "clutter": ("--data.background", "clutter", *_STILL, *STEPS),
    "colour": ("--data.colour", "--model.objects", "opaque", "--data.background", "texture", *_STILL, *STEPS),
}
"""Words of ``sqair train`` by name."""
CLIPS = 20


@dataclass(frozen=True)
class Args:
    """Compare what two commits make of the same seeds, bit for bit."""

    same: str
    """The commit to compare with."""


def main(args: Args) -> None:
    """Runs both, and adds a line to docs/results/same.jsonl if they agree.

    Raises:
        UserError: they differ, there is no such commit, or its code cannot be run.
    """
    from sqair.errors import UserError
    from sqair.scripts.experiments.bars_table import CHECKOUT, SAME
    from sqair.scripts.experiments.provenance import commit, fingerprints

    ours = _run(CHECKOUT)
    with tempfile.TemporaryDirectory() as folder:
        theirs = Path(folder) / "checkout"
        _git("worktree", "add", "--detach", str(theirs), args.same)
        try:
            before = _run(theirs)
        finally:
            _git("worktree", "remove", "--force", str(theirs))
    if differ := [name for name, digest in ours["digests"].items() if before["digests"].get(name) != digest]:
        raise UserError(f"today's code does not do what {args.same} did: {', '.join(differ)} differ")
    line = {"commit": commit(), "code": fingerprints(), "same_as": args.same, "its_code": before["code"]}
    with (CHECKOUT / SAME).open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"the same as {args.same}, bit for bit, in {', '.join(ours['digests'])}: noted in {SAME}")


def _git(*words: str) -> None:
    from sqair.errors import UserError
    from sqair.scripts.experiments.bars_table import CHECKOUT

    done = subprocess.run(["git", "-C", str(CHECKOUT), *words], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"git {words[0]}: {done.stderr.strip().splitlines()[-1]}")


def _run(checkout: Path) -> dict[str, Any]:
    """What the code of a checkout does; by this file where it has none of its own."""
    from sqair.errors import UserError

    own = checkout / "scripts/experiments/replay.py"
    script = own if own.exists() else Path(__file__)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise UserError(f"the code of {checkout} cannot be run, see above")
    return json.loads(done.stdout.splitlines()[-1])


def digests() -> dict[str, str]:
    """A digest of the metrics of all steps, and of tracks and their scores, by name of the recipe."""
    import torch

    torch.set_num_threads(1)
    return {name: _digest(words) for name, words in RECIPES.items()}


def _digest(words: tuple[str, ...]) -> str:
    from sqair.datasets.generate import make_clips
    from sqair.eval.floor import track_components
    from sqair.eval.mot import score
    from sqair.model import SQAIR
    from sqair.scripts.train import parse, recipe_of
    from sqair.scripts.training import Generated
    from sqair.tracker import track_clips
    from sqair.trainer import Trainer

    args = parse(["--output", "unused", *words])
    recipe = recipe_of(args)
    trainer = Trainer(replace(args.model, channels=3 if recipe.colour else 1), args.train, Generated(recipe, 0))
    found: list[Any] = [sorted(metrics.items()) for metrics in trainer.run()]
    clips = make_clips(recipe, "val", 0, 0, CLIPS)
    plain = recipe.background == "none" and not recipe.colour
    models = [trainer.model, *([SQAIR.from_pretrained("moving-mnist")] if plain else [])]
    tracked = [track_clips(model, clips.frames, refine=refine) for model in models for refine in (True, False)]
    names = [str(i) for i in range(CLIPS)]
    truth = dict(zip(names, clips.truth, strict=True))
    for tracks in [*tracked, [track_components(frames) for frames in clips.frames]]:
        found += [[t.frame.tolist(), t.id.tolist(), t.box.tolist(), t.score.tolist()] for t in tracks]
        scores = score(truth, dict(zip(names, tracks, strict=True)), dict.fromkeys(names, recipe.length))
        found.append(sorted(scores.overall.items()))
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


if __name__ == "__main__":
    from sqair.scripts.experiments.provenance import fingerprints as code_of

    print(json.dumps({"digests": digests(), "code": code_of()}))
