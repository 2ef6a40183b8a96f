"""Several processes for one training: those that torchrun started, or those that this one starts."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqair.errors import UserError
from sqair.ranks import ALONE, LostProcess, Ranks, joined

Help = Callable[[Ranks], None]
"""What processes do that are not of rank 0."""


class _NoTerminal:
    """A stream that shows no bars."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        return False


def hush() -> None:
    """From now on this process says nothing but errors: the one of rank 0 says the rest."""
    sys.stdout, sys.stderr = open(os.devnull, "w"), _NoTerminal(sys.stderr)  # type: ignore[assignment]


def is_helper() -> bool:
    """Whether torchrun started this process, and another one first."""
    return os.environ.get("RANK", "0") != "0"


@contextmanager
def together(processes: int, help_along: Help, device: str) -> Iterator[Ranks]:
    """This process among those that train together; if torchrun started them, by its word, or else ``processes`` that
    are started here, of which this is the first. They end when it does.

    Raises:
        UserError: both torchrun and ``processes`` say that there are several.
    """
    if (size := int(os.environ.get("WORLD_SIZE", 1))) > 1:
        if processes > 1:
            raise UserError("--processes: torchrun has started several already: leave it out")
        with joined(int(os.environ["RANK"]), size, device=device) as ranks:
            yield ranks
    elif processes == 1:
        yield ALONE
    else:
        with tempfile.TemporaryDirectory() as folder:
            address = (Path(folder) / "meet").as_uri()
            context = multiprocessing.get_context("spawn")
            others = [
                context.Process(target=_help, args=(help_along, rank, processes, address, device), daemon=True)
                for rank in range(1, processes)
            ]
            try:
                for process in others:
                    process.start()
                with joined(0, processes, address, device) as ranks:
                    yield ranks
            finally:
                for process in others:
                    process.kill()
                    process.join()


def _help(help_along: Help, rank: int, size: int, address: str, device: str) -> None:
    """A process that was started here. What goes wrong in the first one, that one says."""
    hush()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all: the first one tells when to stop
    try:
        with joined(rank, size, address, device) as ranks:
            help_along(ranks)
    except LostProcess:
        pass
