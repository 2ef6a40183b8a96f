"""How a command of ``sqair`` ended, and whether that is how a fault may end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqair

LIMIT = 180.0
"""Seconds after which a command hangs."""


@dataclass(frozen=True)
class Ended:
    """The exit status of a command, None if it hung; and what it said."""

    status: int | None
    out: str
    err: str

    @property
    def outcome(self) -> str:
        """``works``, ``refused`` (one line of error and status 2), ``hangs``, or ``breaks``, which is anything else."""
        if self.status is None:
            return "hangs"
        lines = self.err.splitlines()
        if self.status == 2 and len(lines) == 1 and lines[0].startswith("error: "):
            return "refused"
        return "works" if self.status == 0 and not lines else "breaks"

    def said(self, folder: Path) -> str:
        """The last line, with paths from ``folder`` on."""
        lines = (self.err or self.out).splitlines()
        return (lines[-1] if lines else "").replace(f"{folder}/", "")


Run = Callable[[Sequence[str]], Ended]
"""Runs ``sqair WORDS``."""


def start(words: Sequence[str], planted: Sequence[str] = ()) -> subprocess.Popen[str]:
    """``sqair WORDS`` in a process of its own, in which something may be ``planted``: see fault_plant.py."""
    paths = [str(Path(sqair.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
    module = "sqair.scripts.experiments.fault_plant" if planted else "sqair.scripts.cli"
    command = [sys.executable, "-m", module, *planted, *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)


def run(words: Sequence[str], planted: Sequence[str] = ()) -> Ended:
    """The same, until it ends."""
    with start(words, planted) as process:
        return finish(process)


def finish(process: subprocess.Popen[str]) -> Ended:
    """How a started command ends; killed if it hangs."""
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return Ended(None, out, err)
    return Ended(process.returncode, out, err)
