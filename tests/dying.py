"""Processes that die while they save, for the tests of checkpoints and weights: python tests/dying.py NAME FOLDER ...

``checkpoints`` and ``weights`` kill children that save all the time, look at what is left after every kill, and print
how many kills hit a save. ``between`` dies itself after one of the renames of a save.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from sqair.config import ModelConfig
from sqair.files.checkpoint import load_checkpoint, save_checkpoint
from sqair.files.durable import write_folder
from sqair.files.pretrained import save_weights
from sqair.model import SQAIR

Told = Callable[[], object]


def child_that(saves: Callable[[Told], None], write: int) -> int:
    """The number of a new process that saves, and writes a byte after every save."""
    child = os.fork()
    if not child:
        saves(lambda: os.write(write, b"1"))
    return child


def kill_after(child: int, seconds: float) -> None:
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def checkpoints(folder: str) -> int:
    """Of every kill, the checkpoint that is left is whole, and as new as the last save that was done, or nearly."""
    path = os.path.join(folder, "c")

    def save(told: Told) -> None:
        step = load_checkpoint(path)["step"]
        while True:
            step += 1
            save_checkpoint(path, {"step": step, "a": torch.full((200_000,), float(step))})
            told()

    save_checkpoint(path, {"step": 0, "a": torch.zeros(200_000)})
    chance, kills, hits, state = random.Random(0), 0, 0, {"step": 0}
    read, write = os.pipe()
    while (kills < 8 or hits < 3) and kills < 300:
        child = child_that(save, write)
        before, saved = state["step"], len(os.read(read, 1))  # waits for a save
        kill_after(child, chance.uniform(0, 0.01))
        os.set_blocking(read, False)
        try:
            saved += len(os.read(read, 1_000_000))
        except BlockingIOError:
            pass
        os.set_blocking(read, True)
        state = load_checkpoint(path)
        assert (state["a"] == state["step"]).all() and state["step"] >= before + saved, kills
        hits += len(os.listdir(folder)) > 1
        kills += 1
    save_checkpoint(path, {"step": -1})
    assert os.listdir(folder) == ["c"]
    return hits


def weights(folder: str) -> int:
    """Of every kill, the weights and the configuration that are left are of one model; each of two is, some time."""
    path = os.path.join(folder, "weights")
    models = [SQAIR(ModelConfig(hidden=size, features=64)) for size in (64, 48)]
    for model in models:
        for parameter in model.parameters():
            torch.nn.init.constant_(parameter, model.config.hidden)

    def save(told: Told) -> None:
        while True:
            for model in models[::-1]:
                save_weights(path, model, {})
                told()

    save_weights(path, models[0], {})
    chance, kills, hits, seen = random.Random(0), 0, 0, set[int]()
    read, write = os.pipe()
    while (kills < 8 or hits < 3 or len(seen) < 2) and kills < 300:
        child = child_that(save, write)
        for _ in range(chance.randint(1, 2)):
            os.read(read, 1)  # waits for a save
        kill_after(child, chance.uniform(0, 0.01))
        model = SQAIR.from_pretrained(path)
        assert all((p == model.config.hidden).all() for p in model.parameters()), kills
        seen.add(model.config.hidden)
        hits += len(os.listdir(folder)) > 1
        kills += 1
    save_weights(path, models[0], {})
    assert os.listdir(folder) == ["weights"], os.listdir(folder)
    assert seen == {48, 64}
    return hits


def between(folder: str, source: str, dies_at: str) -> None:
    """Saves the files of ``source`` as ``folder``, and dies right after the rename of that number."""
    rename, done = os.replace, 0

    def dying(*names: str) -> None:
        nonlocal done
        rename(*names)
        if done == int(dies_at):
            os._exit(9)
        done += 1

    os.replace = dying  # type: ignore[assignment]
    write_folder(folder, {path.name: path.read_bytes() for path in Path(source).iterdir()})


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = {"checkpoints": checkpoints, "weights": weights, "between": between}[sys.argv[1]](*sys.argv[2:])
    print(found)
