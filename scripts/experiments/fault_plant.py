"""``sqair train`` with something planted in its trainer.

``python -m sqair.scripts.experiments.fault_plant KIND STEP VALUE WHERE WORDS``, where the words before those of the
command say what is spoiled, at which step, with which value, and where: ``frames STEP VALUE -``, ``gradient STEP VALUE
model.NAME`` or ``moment STEP VALUE NAME``; ``sync NUMBER 0 -`` stops in the save of that number, and with ``output 0 0
FILE`` all that is printed goes to a file.
"""

from __future__ import annotations

import os
import signal
import sys

import torch
from torch import Tensor

from sqair.config import Stage
from sqair.scripts.cli import main
from sqair.trainer import Trainer

_batch, _descend, _fsync = Trainer.batch, Trainer._descend, os.fsync


def plant(kind: str, step: str, value: str, where: str) -> None:
    """Puts it into the trainer of this process."""
    number, wrong, saves = int(step), float(value), 0

    def sync(handle: int) -> None:
        """Stops in the middle of the save of the checkpoint of that number, from 1 on, to be killed there."""
        nonlocal saves
        saves += "checkpoint.pt" in os.readlink(f"/proc/self/fd/{handle}")
        if saves == number:
            print("in a save", flush=True)
            signal.pause()
        _fsync(handle)

    def frames(trainer: Trainer, stage: Stage) -> tuple[Tensor, Tensor | None]:
        frames, still = _batch(trainer, stage)
        if trainer.step == number:
            frames[0, 0, 0, 20, 30] = wrong
        return frames, still

    def gradient(trainer: Trainer, loss: Tensor, frames: Tensor) -> float:
        if trainer.step == number:
            module, _, name = where.partition(".")
            parameter = getattr(trainer, module).get_parameter(name)
            parameter.register_hook(lambda gradient: gradient.index_fill(0, torch.tensor(0), wrong))
        return _descend(trainer, loss, frames)

    def moment(trainer: Trainer, loss: Tensor, frames: Tensor) -> float:
        if trainer.step == number:
            trainer.optimizers[0].state[trainer.model.get_parameter(where)]["exp_avg"].fill_(wrong)
        return _descend(trainer, loss, frames)

    if kind == "sync":
        os.fsync = sync
    elif kind == "output":
        sys.stdout = open(where, "w")
    elif kind == "frames":
        Trainer.batch = frames
    else:
        Trainer._descend = {"gradient": gradient, "moment": moment}[kind]


if __name__ == "__main__":
    planted, sys.argv[1:] = sys.argv[1:5], sys.argv[5:]
    plant(*planted)
    sys.exit(main())
