"""What is said about a source while it is read: lines on stderr, each of them once."""

from __future__ import annotations

import sys

_said: set[str] = set()


def say(line: str) -> None:
    """Prints ``line`` to stderr unless it was printed before: a source may be opened more than once in a run."""
    if line not in _said:
        _said.add(line)
        print(line, file=sys.stderr, flush=True)
