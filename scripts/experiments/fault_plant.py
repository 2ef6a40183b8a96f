"""``sqair train`` with something planted in its trainer.

``python -m sqair.scripts.experiments.fault_plant KIND STEP VALUE WHERE WORDS``, where the words before those of the
command say what is spoiled, at which step, with which value, and where: ``frames STEP VALUE -``, ``gradient STEP VALUE
model.NAME`` or ``moment STEP VALUE NAME``; and ``sync NUMBER 0 -`` stops in the save of that number.
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


class Planter:
    """What takes the place of methods of the trainer, and spoils one step."""

    def __init__(self, step: int, value: float, where: str) -> None:
        self.step, self.value, self.where = step, value, where
        self.saves = 0

    def frames(self, trainer: Trainer, stage: Stage) -> tuple[Tensor, Tensor | None]:
        frames, still = _batch(trainer, stage)
        if trainer.step == self.step:
            frames[0, 0, 0, 20, 30] = self.value
        return frames, still

    def sync(self, handle: int) -> None:
        """Stops in the middle of the save of the checkpoint of number ``step``, from 1 on, to be killed there."""
        self.saves += "checkpoint.pt" in os.readlink(f"/proc/self/fd/{handle}")
        if self.saves == self.step:
            print("in a save", flush=True)
            signal.pause()
        _fsync(handle)

    def gradient(self, trainer: Trainer, loss: Tensor, frames: Tensor) -> float:
        if trainer.step == self.step:
            module, _, name = self.where.partition(".")
            parameter = getattr(trainer, module).get_parameter(name)
            parameter.register_hook(lambda gradient: gradient.index_fill(0, torch.tensor(0), self.value))
        return _descend(trainer, loss, frames)

    def moment(self, trainer: Trainer, loss: Tensor, frames: Tensor) -> float:
        if trainer.step == self.step:
            state = trainer.optimizer.state[trainer.model.get_parameter(self.where)]
            state["exp_avg"].fill_(self.value)
        return _descend(trainer, loss, frames)


def plant(kind: str, step: str, value: str, where: str) -> None:
    """Puts it into the trainer of this process."""
    planter = Planter(int(step), float(value), where)
    if kind == "sync":
        os.fsync = planter.sync
    elif kind == "frames":
        Trainer.batch = lambda trainer, stage: planter.frames(trainer, stage)
    else:
        spoil = getattr(planter, kind)
        Trainer._descend = lambda trainer, loss, frames: spoil(trainer, loss, frames)


if __name__ == "__main__":
    planted, sys.argv[1:] = sys.argv[1:5], sys.argv[5:]
    plant(*planted)
    sys.exit(main())
