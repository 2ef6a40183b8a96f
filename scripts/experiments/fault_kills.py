"""Kills of a process of ``sqair train`` that saves after every step, and what is left of the run."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from sqair.errors import UserError
from sqair.files.checkpoint import load_checkpoint
from sqair.scripts.experiments.fault_commands import Ended, finish, run, start
from sqair.scripts.experiments.study import Line
from sqair.scripts.run_folder import read_metrics

SETTINGS = ("--preset", "tiny", "--device", "cpu", "--log-every", "1", "--save-seconds", "0", "--validate-every", "50")
"""Words of ``sqair train``; saving takes a third of the time or so."""
STAGES = ("--train.stages", "1x200x8", "3x100x4")
EARLY = 0.1
"""Share of kills that may hit a process before it has saved anything."""
LONGEST = 0.6
"""Seconds after that at which it is killed, at the latest."""
COUNTS = (
    "kills", "kills in a save", "resumed", "started anew", "checkpoints lost", "bad ends", "runs that differ"
)  # fmt: skip
STATUS = {signal.SIGTERM: 143, signal.SIGINT: 130}
"""With which a process ends that the signal lets save."""


def train(folder: Path, *more: str) -> list[str]:
    """Words of a new run in ``folder``."""
    return ["train", "--output", str(folder), *SETTINGS, *STAGES, *more]


def kill(folder: Path, name: str, seed: int, kills: int) -> Line:
    """Stops one run up to ``kills`` times by the signal ``name``, resuming it each time, and lets it finish then."""
    number, chance, tally = signal.Signals[name], random.Random(seed), Counter[str]()
    whole, stopped = folder / f"{name}-{seed}-whole", folder / f"{name}-{seed}"
    words = ["--train.seed", str(seed)]
    if not (whole / "weights").exists():
        must_work(run(train(whole, *words, "--overwrite")))
    checkpoint, step = stopped / "checkpoint.pt", 0
    for _ in range(kills):
        there = checkpoint.exists()
        tally["resumed" if there else "started anew"] += 1
        process = start(resume(stopped) if there else train(stopped, *words, "--overwrite"))
        early = chance.random() < EARLY
        wait(process, checkpoint, early)
        time.sleep(chance.uniform(0, LONGEST))
        if process.poll() is None:
            process.send_signal(number)
            tally["kills"] += 1
        ended = finish(process)
        tally["kills in a save"] += any(stopped.glob(".checkpoint.pt.*"))
        finished = ended.status == 0 and (stopped / "weights").exists()
        saved = ended.status == STATUS.get(number, -number)
        tally["bad ends"] += not (finished or saved or (early and ended.status == -number))
        if there or checkpoint.exists():
            found = saved_step(checkpoint)
            tally["checkpoints lost"] += found < step
            step = found
    end = run(resume(stopped) if checkpoint.exists() else train(stopped, *words, "--overwrite"))
    tally["bad ends"] += end.status != 0
    tally["runs that differ"] += not same(whole, stopped)
    return {count: tally[count] for count in COUNTS}


def resume(folder: Path) -> list[str]:
    """Words that go on with the run in ``folder``."""
    return ["train", "--resume", "--output", str(folder)]


def wait(process: subprocess.Popen[str], checkpoint: Path, early: bool) -> None:
    """Until the process has saved or ended, or, ``early``, for a part of the time that it takes to begin."""
    before = time_of(checkpoint)
    while not early and process.poll() is None and time_of(checkpoint) == before:
        time.sleep(0.005)


def time_of(path: Path) -> int | None:
    """When a file was written, nanoseconds."""
    return path.stat().st_mtime_ns if path.exists() else None


def saved_step(checkpoint: Path) -> int:
    """Steps of the run that are in its checkpoint; -1 if it does not load."""
    try:
        return load_checkpoint(checkpoint)["trainer"]["step"]
    except UserError:
        return -1


def same(a: Path, b: Path) -> bool:
    """Whether two runs came to the same weights, bit for bit, by the same steps."""
    files = [folder / "weights" / "model.safetensors" for folder in (a, b)]
    if not all(file.exists() for file in files):
        return False
    logs = [[{**line, "cpu_seconds": 0} for line in read_metrics(folder / "metrics.jsonl")] for folder in (a, b)]
    logs = [[json.dumps(line) for line in log] for log in logs]
    return files[0].read_bytes() == files[1].read_bytes() and logs[0] == logs[1]


def must_work(ended: Ended) -> None:
    """Raises RuntimeError, with what it said, if a command without a fault failed."""
    if ended.status != 0:
        raise RuntimeError(f"a run without any fault ended with {ended.status}: {ended.err}")
