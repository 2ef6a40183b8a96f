"""SIGTERM and Ctrl-C as a note to end well."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Interrupts:
    """Within it, SIGTERM and Ctrl-C only leave a note; the second of them acts as it would have."""

    def __init__(self) -> None:
        self.caught: int | None = None

    def __enter__(self) -> Interrupts:
        may = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGTERM, signal.SIGINT) if may else ()
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.caught = number
        self.__exit__(None, None, None)
