"""The files of a training run, and what may be done to a folder that holds one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

import sqair
from sqair.errors import UserError
from sqair.files.checkpoint import load_checkpoint, save_checkpoint
from sqair.files.durable import Hold, write_file
from sqair.files.spare import spare
from sqair.scripts.yaml_flags import flatten

ENTRIES = ("config.yaml", "metrics.jsonl", "checkpoint.pt", "pictures", "weights", "tensorboard")
"""All that a run writes. ``--overwrite`` removes these and nothing else."""

_MATTER = ("recipe", "data", "range", "model", "baseline", "vrnn", "train")
"""The settings that a checkpoint depends on."""


class RunFolder:
    """A run's folder: its settings, metrics and checkpoint."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder, self.settings = folder, settings
        self.pictures = folder / "pictures"
        self.weights = folder / "weights"
        self.checkpoint = folder / "checkpoint.pt"
        self.metrics = folder / "metrics.jsonl"
        self._held: Hold | None = None

    def create(self, overwrite: bool, reads: Iterable[str | Path] = ()) -> None:
        """Makes the folder ready for a new run; with ``overwrite`` in place of an earlier one.

        Raises:
            UserError: that would replace one of the files ``reads``, ``overwrite`` or not; the folder holds anything
                and ``overwrite`` is not set; the run in it is going on; or it cannot be written.
        """
        folder = self.folder
        spare(reads, (folder / entry for entry in ENTRIES))
        try:
            if folder.exists() and not folder.is_dir():
                raise UserError(f"{folder} is a file: choose a folder as --output")
            if not overwrite and folder.exists() and any(folder.iterdir()):
                raise UserError(self._taken())
            folder.mkdir(parents=True, exist_ok=True)
            self._hold()
            for path in (folder / entry for entry in ENTRIES):
                is_folder = path.is_dir() and not path.is_symlink()
                shutil.rmtree(path) if is_folder else path.unlink(missing_ok=True)
            self.pictures.mkdir()
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror}") from error
        text = yaml.safe_dump(dict(self.settings), sort_keys=False, default_flow_style=None, width=100)
        head = f"# sqair {sqair.__version__}: sqair train --config THIS_FILE --output NEW_FOLDER repeats it\n"
        write_file(folder / "config.yaml", (head + text).encode())
        self._hold()

    def save(self, state: Mapping[str, Any]) -> None:
        """Writes the checkpoint, whole or not at all. Raises UserError when it cannot be written."""
        save_checkpoint(self.checkpoint, {**state, "settings": flatten(self.settings)})

    def load(self, reads: Iterable[str | Path] = ()) -> dict[str, Any]:
        """What ``save`` was given, to go on with it.

        Raises:
            UserError: there is no checkpoint, it is cut short or damaged, or it is of other settings; the run is going
                on; or it would replace one of the files ``reads``.
        """
        spare(reads, (self.folder / entry for entry in ENTRIES if entry != "config.yaml"))
        self._hold()
        if not self.checkpoint.exists():
            raise UserError(f"there is nothing to resume in {self.folder}: it has no checkpoint.pt")
        state = load_checkpoint(self.checkpoint)
        saved, wanted = state.get("settings"), flatten(self.settings)
        if not isinstance(saved, dict) or not {"trainer", "cpu_seconds", "bound", "count"} <= state.keys():
            raise UserError(f"{self.checkpoint} is not the checkpoint of a run of sqair train")
        for key in sorted(saved.keys() | wanted.keys()):
            if key.partition(".")[0] not in _MATTER:
                continue
            if key not in saved or key not in wanted:
                raise UserError(f"{self.checkpoint} is of a sqair of other settings, such as {key}: train anew")
            if saved[key] != wanted[key]:
                raise UserError(
                    f"{self.checkpoint} is of another configuration: its {key} is {saved[key]}, not {wanted[key]}; "
                    "go on with the run's own settings, or train anew in another --output"
                )
        return state

    def _taken(self) -> str:
        there = [entry for entry in ENTRIES if (self.folder / entry).exists()]
        if self.checkpoint.exists() and (self.folder / "config.yaml").exists():
            what = "add --resume to go on with the run in it, or --overwrite to replace it"
        elif there:
            what = f"add --overwrite to replace {', '.join(there)} in it"
        else:
            what = "add --overwrite: what is in it stays"
        return f"{self.folder} is not empty: choose another --output, or {what}"

    def _hold(self) -> None:
        """Keeps other processes from the run. Raises UserError if one of them is at it."""
        try:
            self._held = Hold(self.folder / "config.yaml")
        except BlockingIOError as error:
            raise UserError(
                f"{self.folder}: another process is training there: wait until it ends, or choose another --output"
            ) from error

    def rewind(self, step: int) -> None:
        """Drops the metrics of steps after ``step``, which a run that was killed may have left behind."""
        kept = [json.dumps(line) + "\n" for line in read_metrics(self.metrics) if line["step"] <= step]
        write_file(self.metrics, "".join(kept).encode())

    def log(self, kind: str, metrics: Mapping[str, float]) -> None:
        """Adds a line to metrics.jsonl. Raises UserError when it cannot be written."""
        try:
            with self.metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"kind": kind, **metrics}) + "\n")
        except OSError as error:
            raise UserError(f"cannot write {self.metrics}: {error.strerror}") from error


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl up to one that is cut short or damaged. An absent file has none."""
    lines = []
    path = Path(path)
    for text in path.read_bytes().splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
        except ValueError:
            break
        if not isinstance(line, dict) or type(line.get("step")) is not int:
            break
        lines.append(line)
    return lines
