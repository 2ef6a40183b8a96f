"""What a command reads is never what it writes over, whatever the paths are called."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from sqair.errors import UserError

Identity = tuple[int, int]
"""The device and the inode of a file: the same by all its names, links and spellings."""


def spare(reads: Iterable[str | Path], writes: Iterable[str | Path]) -> None:
    """Nothing, unless writing ``writes``, files or folders, would replace or remove one of the files ``reads``.

    A folder among ``writes`` takes all that is in it along. Paths are compared by what they lead to: hard links, links
    to files or folders, another case where the file system ignores it. What is not there is in nobody's way.

    Raises:
        UserError: it would; the message names both paths.
    """
    taken: dict[Identity | None, Path] = {}
    for write in map(Path, writes):
        for name in (write, os.path.abspath(write)):  # a/../b leads to b as soon as the folder a has been made
            taken[_identity(name)] = write
    taken.pop(None, None)
    if not taken:
        return
    for read in map(Path, reads):
        for place in _places(read):
            write = taken.get(_identity(place))
            if write is not None:
                raise UserError(f"{_would(write, read)}: choose another --output")


def files_in(folder: str | Path) -> Iterator[Path]:
    """The files right in a folder; of what is not a folder, or cannot be listed, none."""
    try:
        with os.scandir(folder) as entries:
            yield from (Path(entry.path) for entry in entries if entry.is_file())
    except OSError:
        return


def _identity(path: str | Path) -> Identity | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # not there, or no name that a file can have
        return None
    return found.st_dev, found.st_ino


def _places(path: Path) -> Iterator[Path]:
    """The path and the folders that hold it, by the names given and as links resolve."""
    given = Path(os.path.abspath(path))
    yield given
    yield from given.parents
    try:
        real = path.resolve()
    except (OSError, RuntimeError, ValueError):  # links in a circle, or no name that a file can have
        return
    if real != given:
        yield from (real, *real.parents)


def _would(write: Path, read: Path) -> str:
    if write.is_dir():
        return f"{write} would be replaced, and with it {read}, which this command reads"
    if write == read:
        return f"{write} would be replaced, but this command reads it"
    return f"{write} would be replaced, but it is {read}, which this command reads"
