"""Many tasks, done in this process or in several, each of which begins anew with the next; who dies fails one task."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from sqair.errors import UserError
from sqair.scripts.processes import hush

Attempt = Callable[[Any, Callable[[int], None]], object]
"""Does a task, telling how far it got; returns what came of it, and raises nothing."""
TOLD_SECONDS = 0.2
"""Between two words of a process on how far it is."""


class Stopped(BaseException):
    """Nobody waits for the task any more."""


class Onlooker(Protocol):
    """Who waits for tasks."""

    def stopped(self) -> bool:
        """Whether it waits no more, for any of them."""
        ...

    def told(self, amount: int) -> None:
        """Some task got so much further."""
        ...

    def said(self, text: str) -> None:
        """A process printed a text."""
        ...

    def ended(self, task: Any, result: object) -> None:
        """A task came to this."""
        ...

    def lost(self, task: Any, how: str) -> None:
        """The process that did a task is gone."""
        ...

    def dropped(self, task: Any) -> None:
        """A task was left off, as nobody waits for it."""
        ...


def do_all(tasks: Iterable[Any], make: Callable[[], Attempt], processes: int, onlooker: Onlooker) -> None:
    """Does ``tasks`` in their order, so many at a time as there are ``processes``, until the onlooker waits no more.

    ``make`` is called once in each process, which is this one if there is but one. Tasks, results and ``make`` can be
    sent to others, if there are.

    Raises:
        UserError: a process ended before it could begin.
    """
    if processes == 1:
        return _alone(tasks, make(), onlooker)
    left, crew = deque(tasks), list[_Process]()
    try:
        while not onlooker.stopped() and (left or any(process.busy for process in crew)):
            crew += [_Process(make) for _ in range(min(processes, len(left) + sum(p.busy for p in crew)) - len(crew))]
            for process in [p for p in crew if p.ready and not p.busy and left]:
                process.begin(left.popleft())
            listening: dict[Any, _Process] = {process.pipe: process for process in crew}
            for pipe in wait(list(listening), timeout=TOLD_SECONDS):
                if not listening[pipe].hear(onlooker):
                    crew.remove(listening[pipe])
    finally:
        for process in crew:
            process.end(onlooker)


def _alone(tasks: Iterable[Any], attempt: Attempt, onlooker: Onlooker) -> None:
    def tell(amount: int) -> None:
        onlooker.told(amount)
        if onlooker.stopped():
            raise Stopped

    for task in tasks:
        if onlooker.stopped():
            return
        try:
            onlooker.ended(task, attempt(task, tell))
        except Stopped:
            return


class _Process:
    """A process that does one task after another."""

    def __init__(self, make: Callable[[], Attempt]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, its = context.Pipe()
        self._process = context.Process(target=_serve, args=(its, make), daemon=True)
        self._process.start()
        its.close()  # so that the pipe ends with the process
        self.ready = self.busy = False
        self._task: Any = None

    def begin(self, task: Any) -> None:
        self._task, self.busy = task, True
        try:
            self.pipe.send(task)
        except OSError:
            pass  # it is gone, as is heard next

    def hear(self, onlooker: Onlooker) -> bool:
        """Passes on what it says; whether it is still there."""
        try:
            kind, said = self.pipe.recv()
        except (EOFError, OSError):
            self._gone(onlooker)
            return False
        if kind == "ready":
            self.ready = True
        elif kind == "told":
            onlooker.told(said)
        elif kind == "said":
            onlooker.said(said)
        else:
            self.busy = False
            onlooker.ended(self._task, said)
        return True

    def _gone(self, onlooker: Onlooker) -> None:
        self._process.join()
        code = self._process.exitcode or 0
        how = f"was killed (signal {-code})" if code < 0 else f"ended (status {code})"
        if not self.ready:
            raise UserError(f"--processes: one of them {how} before it could begin: give fewer, or see above")
        if self.busy:
            onlooker.lost(self._task, how)

    def end(self, onlooker: Onlooker) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()
        if self.busy:
            onlooker.dropped(self._task)


class _Said:
    """What is printed in a process, for the one that waits."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def write(self, text: str) -> int:
        if text.strip():
            _send(self._pipe, "said", text.rstrip("\n"))
        return len(text)

    def flush(self) -> None:
        pass


def _send(pipe: Connection, kind: str, what: object) -> None:
    try:
        pipe.send((kind, what))
    except OSError as error:
        raise Stopped from error


def _serve(pipe: Connection, make: Callable[[], Attempt]) -> None:
    """Does what it is sent until nobody is there to send it."""
    hush()
    sys.stdout = _Said(pipe)  # type: ignore[assignment]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all: the first one tells when to stop
    amount, last = 0, 0.0

    def tell(more: int) -> None:
        nonlocal amount, last
        amount += more
        if time.monotonic() - last > TOLD_SECONDS:
            _send(pipe, "told", amount)
            amount, last = 0, time.monotonic()

    try:
        attempt = make()
        _send(pipe, "ready", None)
        while True:
            result = attempt(pipe.recv(), tell)
            _send(pipe, "told", amount)
            amount = 0
            _send(pipe, "ended", result)
    except (EOFError, Stopped):
        pass
