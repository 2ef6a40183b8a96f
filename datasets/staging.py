"""Outputs that replace what was there all together, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sqair.errors import UserError


@contextmanager
def staged(root: str | Path, entries: Sequence[str], *, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write into, whose ``entries`` (files or folders) move to ``root`` when the block ends well.

    When the block fails or is interrupted, ``root`` is as it was. With ``overwrite``, entries of the same
    name are replaced as a whole, and whatever else is in ``root`` stays.

    Raises:
        UserError: ``root`` holds something and ``overwrite`` is not set, or it cannot be written.
    """
    root = Path(root)
    try:
        if not overwrite and root.is_dir() and any(root.iterdir()):
            raise UserError(
                f"{root} exists and is not empty: choose another folder, or pass --overwrite to replace "
                f"{' and '.join(entries)} in it"
            )
        created = not root.exists()
        root.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".partial-", dir=root))
    except OSError as error:
        raise UserError(f"cannot write to {root}: {error.strerror}") from error
    try:
        new = stage / "new"
        new.mkdir()
        yield new
        _replace(root, entries, new, stage / "old")
    except OSError as error:
        raise UserError(f"cannot write to {root}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if created:
            with suppress(OSError):
                root.rmdir()  # does nothing unless the folder is empty


def _replace(root: Path, entries: Sequence[str], new: Path, old: Path) -> None:
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
