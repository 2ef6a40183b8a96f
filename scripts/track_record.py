"""What is done of many files, as their folder of tracks says: a record of each, and how all of a run are tracked.

``OUTPUT/.tracked/clips/NAME.json`` says what was read, what was written, and which ``runs/HASH.json`` says how. A file
of either is written by one process, or by several with the same bytes, so that runs may share an output folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqair.datasets.staging import move_all, source_files
from sqair.errors import UserError
from sqair.files.durable import Hold

FOLDER = ".tracked"
"""Of the records, in the output folder."""


@dataclass(frozen=True)
class Record:
    """A part of the source that was tracked.

    Attributes:
        run: the hash of how.
        source: how many files were read, their bytes, and when the last was modified, ns.
        files: what was written, and its bytes; None for a folder.
        published: whether all of that is in the output folder; some may be if not.
        frames, objects: how many there are.
        cut: what is said of a clip that ended too early, or nothing.
    """

    run: str
    source: dict[str, int]
    files: dict[str, int | None]
    published: bool
    frames: int
    objects: int
    cut: str = ""


def state_of(path: str | Path) -> dict[str, int]:
    """Of the files of a part: how many, their bytes, and when the last of them was modified, ns."""
    found = [os.stat(file) for file in source_files(path) if file.exists()]  # a sequence may have no seqinfo.ini
    return {
        "files": len(found),
        "bytes": sum(stat.st_size for stat in found),
        "modified": max((stat.st_mtime_ns for stat in found), default=0),
    }


class Records:
    """The records of an output folder. Each part goes by its name."""

    def __init__(self, root: Path) -> None:
        self.root, self._folder = root, root / FOLDER
        self._runs: dict[str, dict[str, Any]] = {}

    def named(self, how: dict[str, Any]) -> str:
        """The hash of how clips are tracked, whatever the model is ``called``."""
        same = {key: value for key, value in how.items() if key != "called"}
        name = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:16]
        self._runs[name] = how
        return name

    def write_run(self, name: str) -> None:
        """Writes down how clips are tracked, of a hash that ``named`` gave."""
        path = self._folder / "runs" / f"{name}.json"
        if not path.exists():
            _write(path, json.dumps(self._runs[name], indent=1))

    def run(self, name: str) -> dict[str, Any]:
        """How clips were tracked, by its hash. Raises UserError if that cannot be read."""
        if name not in self._runs:
            self._runs[name] = _read(self._folder / "runs" / f"{name}.json")
        return self._runs[name]

    def record(self, name: str) -> Record | None:
        """That of a part, if there is one. Raises UserError if it cannot be read."""
        path = self._folder / "clips" / f"{name}.json"
        if not path.exists():
            return None
        try:
            return Record(**_read(path))
        except TypeError as error:
            raise _damaged(path) from error

    @contextmanager
    def work(self, name: str) -> Iterator[Path]:
        """A folder to write the files of a part into, which is gone afterwards: ``publish`` moves them out.

        Raises UserError if another process is at work on that part.
        """
        stage, lock = self._stage(name), self._lock(name)
        stage.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
        try:
            held = Hold(lock)
        except BlockingIOError as error:
            raise UserError(f"{name} is being tracked by another process") from error
        shutil.rmtree(stage, ignore_errors=True)  # of a process that was killed
        try:
            (stage / "new").mkdir(parents=True)
            yield stage / "new"
        finally:
            self.clean(name)
            del held

    def publish(self, name: str, entries: Sequence[str], done: Record, *, overwrite: bool) -> None:
        """Moves ``entries`` from the folder of ``work`` to the output folder, and writes ``done`` down.

        They are synced to disk, and the one that ends in .txt comes last: where it is, the others are. Should this be
        killed, what is there is told from the record. Raises UserError if one would replace what is of no record.
        """
        if not overwrite:
            before = self.record(name)
            self.refuse(set(entries) - set(before.files if before else ()))
        stage = self._stage(name)
        files = {}
        for entry in sorted(entries, key=lambda entry: entry.endswith(".txt")):
            files[entry] = _synced(stage / "new" / entry)
        path = self._folder / "clips" / f"{name}.json"
        for published in (False, True):
            if published:
                move_all(self.root, list(files), stage / "new", stage / "old")
            _write(path, json.dumps(asdict(done) | {"files": files, "published": published}))

    def refuse(self, entries: set[str]) -> None:
        """Raises UserError if one of ``entries``, which are of no record, is there."""
        taken = sorted(entry for entry in entries if os.path.lexists(self.root / entry))
        if taken:
            more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
            raise UserError(f"{self.root / taken[0]}{more}: is in the way: --overwrite replaces it")

    def done(self, name: str, path: str | Path, run: str, *, overwrite: bool) -> Record | None:
        """The record of a part at ``path`` that this ``run`` tracked, if all of it is in the output folder.

        Raises:
            UserError: it is of another run, or what was read or written has changed since, and may not be replaced.
        """
        record = self.record(name)
        if record is None:
            return None
        wrong = ""
        if record.run != run:
            wrong = f"{self.root} has {name} of a run of other settings: {self._difference(record.run, run)}"
        elif record.source != state_of(path):
            wrong = f"{path} has changed since it was tracked"
        elif record.published:
            there = [(self.root / entry, size) for entry, size in record.files.items()]
            changed = (path for path, size in there if path.is_file() and path.stat().st_size != size)
            if (other := next(changed, None)) is not None:
                wrong = f"{other} has changed since it was written"
            elif all(path.exists() for path, _ in there):
                return record
        if wrong and not overwrite:
            raise UserError(f"{wrong}: choose another --output, or add --overwrite to track it again")
        return None

    def _difference(self, old: str, new: str) -> str:
        """What makes two runs different, in words."""
        before, now = self.run(old), self.run(new)
        if (has := before.get("settings", {})) != now["settings"]:
            return different(has, now["settings"])
        what = "weights" if before.get("weights") != now["weights"] else "the model's fit to the clips"
        return f"{what} are others" if what == "weights" else f"{what} is another"

    def clean(self, name: str) -> None:
        """Removes what a process that is gone left of its work on a part."""
        shutil.rmtree(self._stage(name), ignore_errors=True)
        self._lock(name).unlink(missing_ok=True)

    def _stage(self, name: str) -> Path:
        return self._folder / "partial" / f"{name}.files"

    def _lock(self, name: str) -> Path:
        return self._folder / "partial" / f"{name}.lock"


def different(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The first setting that is another one, in words."""
    name = next(name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name))
    flag = name if name == "sqair" else f"--{name.replace('_', '-')}"
    return f"{flag} was {_word(before.get(name))}, not {_word(now.get(name))}"


def _word(value: Any) -> str:
    return " ".join(map(str, value)) or "nothing" if isinstance(value, list) else str(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(path) from error
    if not isinstance(found, dict):
        raise _damaged(path)
    return found


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} cannot be read: without --resume, --overwrite begins anew")


def _write(path: Path, text: str) -> None:
    """Writes a small file, whole or not at all, synced to disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    partial.write_text(text, encoding="utf-8")
    _synced(partial)
    os.replace(partial, path)


def _synced(path: Path) -> int | None:
    """Puts a file, or those of a folder, on disk; returns the bytes of a file."""
    if path.is_dir():
        for inner in path.iterdir():
            _synced(inner)
        return None
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size
