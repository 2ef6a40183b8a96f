"""``sqair track --adapt``: the weights for any camera are made those of the clips before these are tracked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sqair.errors import UserError
from sqair.files.pretrained import is_finished
from sqair.files.unfinished import CHECKPOINT
from sqair.model import SQAIR
from sqair.scripts.any_camera import ANY_CAMERA
from sqair.scripts.track import Args

FOLDER = "adapted"
"""What the run is called in the output folder."""
MINUTES = 2.0
"""CPU-minutes that the schedule of footage takes from the general weights, about."""


def check_adapt(args: Args) -> None:
    """Raises UserError unless ``--adapt`` goes with the other options; ``args.model`` is a name or a folder."""
    if not 0 <= args.adapt <= 1e4:
        raise UserError(f"--adapt is {args.adapt:g}: it is CPU-minutes, 0 or more, such as {MINUTES:g}")
    if args.adapt and args.model != ANY_CAMERA:
        raise UserError(f"--adapt: it makes the weights of {ANY_CAMERA} those of the clips; leave out --model")


def adapt(args: Args) -> Path:
    """Trains on the source from the general weights, for about ``args.adapt`` CPU-minutes of all processes; returns the
    run's folder.

    ``sqair train --data`` does the same, with a schedule that is not made shorter or longer. A run that ``args.resume``
    finds is gone on with, if it has not come to its end.

    Raises:
        UserError: as training does, or the clips are a set, which general weights know nothing of, or the run found is
            of another ``args.adapt``.
    """
    from sqair.scripts import train

    folder = args.output / FOLDER
    chosen = train.parse([*_words(args), "--output", str(folder)])
    if chosen.start != ANY_CAMERA:
        raise UserError("--adapt: these are clips of many scenes: sqair train --data makes a model of their own")
    share = args.adapt / MINUTES
    stages = tuple(replace(stage, steps=max(1, round(share * stage.steps))) for stage in chosen.train.stages)
    chosen = replace(chosen, train=replace(chosen.train, stages=stages))
    if args.resume and not args.overwrite and is_finished(folder):
        trained = SQAIR.from_pretrained(folder).trained
        if trained is not None and trained[1] != sum(stage.steps for stage in stages):
            raise UserError(f"{folder} was trained for another --adapt than {args.adapt:g}: give that one")
    else:
        begun = args.resume and (folder / CHECKPOINT).exists()
        train.main(replace(chosen, resume=begun, overwrite=not begun and (args.resume or args.overwrite)))
    return folder


def _words(args: Args) -> list[str]:
    """What ``sqair train`` is told of what is tracked."""
    words = ["--data", *args.sources, "--threads", str(args.threads), "--device", args.device]
    words += ["--processes", str(args.processes)]
    words += [*_flag("region", args.region), *_flag("exclude", args.exclude)]
    shown = [] if args.range is None else ["--range", *(f"{value:g}" for value in args.range)]
    return [*words, "--stabilise", args.stabilise, *shown]


def _flag(name: str, values: Sequence[str]) -> list[str]:
    return [f"--{name}", *values] if values else []
