"""What is said about a source while it is read: lines that are no errors, each of them once."""

from __future__ import annotations

_said: set[str] = set()


def say(line: str) -> None:
    """Prints ``line`` unless it was printed before: a source may be opened more than once in a run."""
    if line not in _said:
        _said.add(line)
        print(line, flush=True)
