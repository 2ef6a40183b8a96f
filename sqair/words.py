"""Numbers in sentences."""

from __future__ import annotations


def count(number: int, noun: str, many: str | None = None) -> str:
    """``1 frame``, ``2 frames``; ``many`` is a plural that is not made by an s."""
    return f"{number} {noun if number == 1 else many or f'{noun}s'}"
