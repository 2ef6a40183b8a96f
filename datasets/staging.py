"""Outputs that replace what was there all together, or not at all, and never what the command reads."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sqair.errors import UserError
from sqair.files.spare import files_in, spare

MADE = {".txt", ".jsonl", ".html"}
"""Kinds of files that may lie beside the images or videos of a folder, where no source reads them."""


def source_files(source: str | Path | Sequence[str | Path]) -> Iterator[Path]:
    """The files that reading ``source``, or several, opens: a file, those of a folder and its sequences, of a glob."""
    if not isinstance(source, str | Path):
        for one in source:
            yield from source_files(one)
        return
    path = Path(source)
    if path.is_dir():
        yield from (file for file in files_in(path) if file.suffix.lower() not in MADE)
        for inner in (path, *filter(Path.is_dir, path.iterdir())):
            if (inner / "img1").is_dir() or (inner / "seqinfo.ini").is_file():  # a sequence
                yield inner / "seqinfo.ini"
                yield from (file for folder in inner.iterdir() if folder.is_dir() for file in files_in(folder))
    elif path.exists():
        yield path
    elif glob.has_magic(str(source)):
        for match in glob.glob(str(source), recursive=True):
            yield from source_files(match)


def claim(
    root: str | Path, entries: Sequence[str], *, overwrite: bool = False, reads: Iterable[str | Path] = ()
) -> None:
    """Checks that ``entries`` may be written to the folder ``root``, before any work is done.

    Raises:
        UserError: they would replace one of the files ``reads``, ``overwrite`` or not; ``root`` is a file; or it holds
            something and ``overwrite`` is not set.
    """
    root = Path(root)
    spare(reads, (root / entry for entry in entries))
    try:
        if root.exists() and not root.is_dir():
            raise UserError(f"cannot write to {root}: it is a file; choose a folder as --output")
        if not overwrite and root.is_dir() and any(root.iterdir()):
            there = [entry for entry in entries if os.path.lexists(root / entry)]
            gone = f" to replace {_some(there)} in it" if there else ": what is in it stays"
            raise UserError(f"{root} is not empty: choose another --output, or add --overwrite{gone}")
    except OSError as error:
        raise UserError(f"cannot write to {root}: {error.strerror}") from error


@contextmanager
def staged(
    root: str | Path, entries: Sequence[str], *, overwrite: bool = False, reads: Iterable[str | Path] = ()
) -> Iterator[Path]:
    """A folder to write into, whose ``entries`` (files or folders) move to ``root`` when the block ends well.

    When the block fails or is interrupted, ``root`` is as it was. With ``overwrite``, entries of the same
    name are replaced as a whole, and whatever else is in ``root`` stays.

    Raises:
        UserError: as ``claim`` does, or ``root`` cannot be written.
    """
    root = Path(root)
    claim(root, entries, overwrite=overwrite, reads=reads)
    try:
        created = not root.exists()
        root.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".partial-", dir=root))
    except OSError as error:
        raise UserError(f"cannot write to {root}: {error.strerror}") from error
    try:
        new = stage / "new"
        new.mkdir()
        yield new
        move_all(root, entries, new, stage / "old")
    except OSError as error:
        raise UserError(f"cannot write to {root}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if created:
            with suppress(OSError):
                root.rmdir()  # does nothing unless the folder is empty


def _some(names: Sequence[str]) -> str:
    """A few of the names, and how many more there are."""
    more = f" and {len(names) - 2} more" if len(names) > 3 else ""
    return ", ".join(names[:2] if more else names) + more


def move_all(root: Path, entries: Sequence[str], new: Path, old: Path) -> None:
    """Moves ``entries`` from ``new`` to ``root`` and what they replace to ``old``, or on failure nothing."""
    moves: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
        moves.append((source, target))

    try:
        for entry in entries:
            if os.path.lexists(root / entry):
                move(root / entry, old / entry)
            move(new / entry, root / entry)
    except BaseException:
        for source, target in reversed(moves):
            os.replace(target, source)
        raise
