"""Imagine clips: what a model takes for likely, from nothing or from the beginning of a clip.

    sqair imagine --model moving-mnist --output dreams --samples 16 --frames 20
    sqair imagine --model moving-mnist --like clips/train.npz --against clips/val.npz --output dreams
    sqair imagine --model runs/mine --observe clip.mp4 --observed 10 --samples 8 --frames 20 --output futures

writes ``imagined.mp4``, pictures of all samples side by side, ``imagined.npz``, their frames, ``imagined.csv``, the
boxes of what is in them, and ``imagined.html``, a page to look at. Frames, samples and ids count from 1 in the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqair.errors import UserError


@dataclass(frozen=True)
class Args:
    """Imagine clips, or what may come after the beginning of one."""

    output: Path
    """Folder to write to; it must be empty or not exist, unless --overwrite is given."""
    model: str = "auto"
    """A run's folder, a folder of weights, the name of a model that ships with the package, or org/name of the hub.
    auto: moving-mnist, or with --observe of another size than 50x50 pixels any-camera, which is fitted to the clip."""
    observe: str | None = None
    """A clip to begin with, as `sqair track --source` takes it: samples are futures of its first frames."""
    clip: str | None = None
    """Which of the clips of --observe, by its name, such as 000003, where there are several."""
    start: int = 1
    """The first frame of it that is looked at; frames count from 1."""
    observed: int = 10
    """How many frames are looked at before imagining starts."""
    samples: int = 8
    """How many clips to imagine."""
    frames: int = 20
    """Frames to imagine of each."""
    mean: bool = False
    """Not samples, but the one future that the means of the prior give; needs --observe."""
    price: float | None = None
    """Of an object, nats, in the prior of how many there are when a clip begins, p(n) = exp(-price n) up to what the
    model discovers in a frame; 0.7 by default. That of training, which is there to keep scenes sparse, would leave
    nearly all of them empty. Not with --like or --observe."""
    like: str | None = None
    """Clips to be like, such as those that the model was trained on, as `sqair track --source` takes them; or
    what an earlier call made of them, OUTPUT/likeness.npz. How many objects there are, their places, sizes and looks,
    how long they stay, and how far motion strays are then fitted to what the model finds in these clips. By default
    it is the model's own prior. For a future of a clip give other clips."""
    against: str | None = None
    """Clips to compare with, other than those of --like: the page tells whether counts, speeds, sizes and looks are
    alike, and how good futures of these clips are."""
    clips: int = 200
    """Clips of --like and of --against that are looked at, at most, and clips that are imagined to be compared. Long
    clips are cut into pieces of --observed and --frames together, each of which counts."""
    seed: int = 0
    """Of all samples: the same seed repeats them exactly on one machine."""
    box: Literal["patch", "none"] = "patch"
    """Boxes drawn in pictures: those of z_where, or none."""
    webp: bool = False
    """Also write the pictures as a small animation, imagined.webp."""
    overwrite: bool = False
    """Replace files of the same names in the output folder; other files in it stay, and so does whatever is read."""


def main(args: Args) -> None:
    """Runs the command.

    Raises:
        UserError: the model, a source or the output folder is no good, or options do not go together; nothing is
            written.
    """
    from sqair.scripts.imagining import imagine

    for name in ("start", "observed", "samples", "frames", "clips"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name} is {getattr(args, name)}: it must be at least 1")
    if args.price is not None and not abs(args.price) < 1e3:
        raise UserError(f"--price is {args.price:g}: it must be a number of nats")
    for name, given in (("price", args.price is not None), ("against", args.against is not None)):
        if given and args.observe is not None:
            raise UserError(f"--{name} is of clips from nothing: leave --observe out")
    if args.price is not None and args.like is not None:
        raise UserError("--like tells how many objects there are: leave --price out")
    if args.mean and args.observe is None:
        raise UserError("--mean needs --observe: the mean of all clips is none of them")
    if args.clip is not None and args.observe is None:
        raise UserError("--clip is one of --observe: name a source there")
    imagine(args)


if __name__ == "__main__":
    from sqair.scripts.cli import run

    raise SystemExit(run("imagine"))
