"""A full disk: commands that write to a small file system, and what of theirs was there before."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import get_recipe
from sqair.errors import UserError
from sqair.scripts.experiments.fault_commands import run
from sqair.scripts.experiments.fault_kills import must_work, resume, same, saved_step, train
from sqair.scripts.experiments.study import Line

PLENTY = 64 << 20
"""Bytes of a disk that nothing fills."""
CLIP = "clip.npz"
"""An archive of a few clips, as long as their rows are to fill some blocks of a disk."""
_BLOCK = 4096
Files = dict[str, bytes]


@contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """A file system of its own at ``folder``. Raises UserError where this user may not mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={PLENTY}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        raise UserError("a small disk is a tmpfs, which only root may mount: leave out disk with --only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def full(folder: Path, left: int) -> Iterator[None]:
    """Within it the disk at ``folder`` has about ``left`` bytes left, or none."""
    filler = folder / "filler"
    state = os.statvfs(folder)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, state.f_bavail * state.f_frsize - left))
    try:
        yield
    finally:
        filler.unlink()


def contents(folder: Path) -> Files:
    """All files below ``folder`` by their path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fill(output: Path, name: str, trials: int) -> Line:
    """Writes something where ever more of it fits, and tallies how that ends."""
    frames = make_clips(get_recipe("moving-mnist", length=100), "test", 0, 0, 2, truth=False).frames
    with disk(output / name.replace(" ", "-")) as place:
        np.savez(place / CLIP, frames=frames)
        return dict(OUTPUTS[name](place, trials))


def _replaced(place: Path, trials: int, *words: str) -> Counter[str]:
    """``sqair WORDS --output PLACE/out --overwrite`` over files of an earlier one, ``trials`` times."""
    out, tally = place / "out", Counter[str]()
    words = (*words, "--output", str(out), "--overwrite")
    must_work(run(words))
    earlier = contents(out)
    size = sum(_BLOCK * -(-len(data) // _BLOCK) for data in earlier.values())
    for trial in range(trials):
        with full(place, left=int(1.2 * size * trial / trials)):
            ended = run(words)
        tally[ended.outcome] += 1
        if ended.outcome == "refused":
            tally["something lost"] += contents(out) != earlier
    return tally


def _tracked(place: Path, trials: int, *more: str) -> Counter[str]:
    return _replaced(place, trials, "track", "--source", str(place / CLIP), "--no-refine", *more)


def _checkpoint(place: Path, trials: int) -> Counter[str]:
    """A run whose disk fills while it trains: the last good checkpoint stays, and the run goes on from it."""
    stages = ("--train.stages", "1x12x8", "--overwrite")
    whole, out, tally, chance = place / "whole", place / "out", Counter[str](), random.Random(0)
    must_work(run(train(whole, *stages)))
    size = (whole / "checkpoint.pt").stat().st_size
    for _ in range(trials):
        shutil.rmtree(out, ignore_errors=True)
        with full(place, left=chance.randrange(int(2.2 * size))):
            ended = run(train(out, *stages))
        tally[ended.outcome] += 1
        if (out / "checkpoint.pt").exists():
            tally["went on from the checkpoint"] += 1
            step = saved_step(out / "checkpoint.pt")
            went_on = run(resume(out)).outcome == "works" and same(whole, out)
            tally["something lost"] += step < 1 or not went_on
    return tally


def _weights(place: Path, trials: int) -> Counter[str]:
    """A trained run that writes its weights again: the earlier ones stay."""
    out, tally = place / "out", Counter[str]()
    must_work(run(train(out, "--train.stages", "1x4x8", "--overwrite")))
    earlier = contents(out / "weights")
    room = sum(map(len, earlier.values())) + (out / "checkpoint.pt").stat().st_size
    for trial in range(trials):
        with full(place, left=room * trial // trials):
            ended = run(resume(out))
        tally[ended.outcome] += 1
        tally["something lost"] += contents(out / "weights") != earlier or saved_step(out / "checkpoint.pt") != 4
    return tally


def _output(place: Path, trials: int) -> Counter[str]:
    """What a command prints goes to a full disk."""
    tally, words = Counter[str](), ["track", "--source", str(place / CLIP), "--output", str(place / "out")]
    for _ in range(trials):
        ended = run([*words, "--overwrite"], ["output", "0", "0", "/dev/full"])
        tally[ended.outcome] += 1
        tally["something lost"] += len(contents(place / "out")) != 2
    return tally


OUTPUTS: dict[str, Callable[[Path, int], Counter[str]]] = {
    "checkpoint": _checkpoint,
    "weights": _weights,
    "tracks": _tracked,
    "overlay": lambda place, trials: _tracked(place, trials, "--overlay"),
    "generated clips": lambda place, trials: _replaced(place, trials, "generate", "--count", "3", "--format", "both"),
    "what is printed": _output,
}
