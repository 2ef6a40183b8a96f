"""Files and folders that appear whole or not at all, whatever kills the process that writes them."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from sqair.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_PARTIAL = re.compile(r"\..+\.[0-9a-f]{16}\.sqair-partial")


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A temporary file to write, beside ``path``, whose name it takes when the block ends well.

    Whatever becomes of the block, or kills the process, ``path`` is what it was or what it is to be.

    Raises:
        UserError: it cannot be written.
    """
    path = Path(path)
    partial = _partial(path)
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            partial.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file that appears whole or not at all. Raises UserError when it cannot be written."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(path: str | Path, data: bytes) -> None:
    """Writes a file that appears whole or not at all. Raises UserError when it cannot be written."""
    with whole(path) as partial:
        partial.write_bytes(data)


def write_file(path: str | Path, *parts: bytes | memoryview) -> None:
    """Writes ``parts`` one after another as the file ``path``, whose folder is made if need be, synced to disk.

    What killed writers left behind in that folder is removed first.

    Raises:
        UserError: it cannot be written; what was there before is intact.
    """
    path = Path(path)
    with _reported(path), _swept(path.parent):
        with whole(path) as partial:
            _write_synced(partial, *parts)
        _sync_folder(path.parent)


def write_folder(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Writes ``files``, contents by name, as ``folder``, in place of an earlier set of the same names.

    They go to a temporary folder beside it, and are synced to disk. Then the earlier folder is set aside, the
    new one takes its name, and the earlier one is removed. A process killed between the first two of these
    leaves the earlier folder where ``standing`` finds it, so at every instant one whole set is there.

    Raises:
        UserError: it cannot be written, or ``folder`` holds something else, which would be lost.
    """
    target = Path(folder).resolve()
    aside = _aside(target)
    with _reported(folder), _swept(target.parent):
        if not target.exists() and aside.exists():
            os.replace(aside, target)
        if foreign := sorted(set(os.listdir(target) if target.exists() else []) - set(files)):
            raise UserError(f"{folder} holds {foreign[0]}, which saving would remove: choose another folder")
        partial = _partial(target)
        try:
            partial.mkdir()
            for name, data in files.items():
                _write_synced(partial / name, data)
            _sync_folder(partial)
            shutil.rmtree(aside, ignore_errors=True)
            _swap(partial, target, aside)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        _sync_folder(target.parent)
        shutil.rmtree(aside, ignore_errors=True)


def standing(folder: Path) -> Path:
    """``folder``, or where a killed ``write_folder`` set it aside."""
    aside = _aside(folder.resolve())
    return aside if not folder.exists() and aside.exists() else folder


class Hold:
    """A claim of this process on the file ``path``, as long as this lives and the process does, however it ends.

    It claims nothing where there is no such file, or the system has no locks.

    Raises:
        BlockingIOError: another process holds the file.
    """

    def __init__(self, path: Path) -> None:
        self._handle = -1
        if fcntl is None:
            return
        with suppress(FileNotFoundError, PermissionError):
            self._handle = os.open(path, os.O_RDWR)
        if self._handle >= 0:
            try:
                fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EAGAIN):  # which of the two is up to the system
                    raise BlockingIOError(error.errno, error.strerror) from error

    def __del__(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)


def _swap(new: Path, target: Path, aside: Path) -> None:
    if target.exists():
        os.replace(target, aside)
    try:
        os.replace(new, target)
    except BaseException:
        if aside.exists():
            os.replace(aside, target)
        raise


def _write_synced(path: Path, *parts: bytes | memoryview) -> None:
    with open(path, "xb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Makes the names in ``folder`` durable, where the file system knows how to."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _reported(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def _swept(folder: Path) -> Iterator[None]:
    """Makes ``folder`` if need be, and removes what killed saves left in it.

    Saves hold a shared lock on the folder, so what is partial in it while nobody does is of killed ones. A
    save never waits long for the lock: it may be a signal handler that interrupts the save that has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        if _lock(handle, fcntl.LOCK_EX, patience=0):
            _sweep(folder)
        _lock(handle, fcntl.LOCK_SH, patience=0.5)
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _lock(handle: int, kind: int, patience: float) -> bool:
    """Whether the lock was had within ``patience`` seconds; never on file systems without locks."""
    assert fcntl is not None
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.005)
        except OSError:
            return False


def _sweep(folder: Path) -> None:
    for entry in folder.iterdir():
        if not _PARTIAL.fullmatch(entry.name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            with suppress(OSError):
                entry.unlink()


def _partial(path: Path) -> Path:
    return path.parent / f".{path.name}.{secrets.token_hex(8)}.sqair-partial"


def _aside(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.sqair-earlier"
