"""What the parts of ``sqair track`` and ``sqair report`` share while clips are tracked."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from sqair.model import SQAIR
from sqair.scripts.exporting import Wanted
from sqair.scripts.interrupts import Interrupts
from sqair.scripts.onlooker import Onlooker
from sqair.scripts.remarks import Remarks
from sqair.scripts.track import Args


class Bar(Protocol):
    """What is told how far tracking is, as tqdm shows it."""

    def update(self, n: float | None = 1) -> object:
        """So many more frames were tracked."""
        ...

    def set_postfix_str(self, s: str = "") -> object:
        """What is being done."""
        ...


class Job(NamedTuple):
    """Clips being tracked: how, by what, where to, and what is told of it, to whom."""

    args: Args
    wanted: Wanted
    model: SQAIR
    stage: Path
    bar: Bar
    interrupts: Interrupts
    notes: Remarks
    onlooker: Onlooker | None = None
