"""The rows of a clip, on disk as they come: memory does not grow with the clip."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice, pairwise
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import TextIO

import numpy as np

from sqair.datasets.clip import Frame
from sqair.files.masks import ENDING, MaskWriter
from sqair.files.mot_io import mot_rows
from sqair.files.tidy import AFTER_ID, tidy_head, tidy_rows
from sqair.reid.gallery import Identified
from sqair.tracker import Tracker
from sqair.tracks import Tracks

MOT_AFTER_ID = 8
"""Columns of MOTChallenge rows that come after the id."""


def numbered(tracks: Tracks, frame: Frame) -> Tracks:
    """The rows of one frame, under its own number in its source."""
    return replace(tracks, frame=np.full(len(tracks), frame.number))


class RowFiles:
    """``NAME.txt`` of MOTChallenge rows and, if wanted, ``NAME.csv`` with the same as a tidy table, ``NAME.jsonl`` with
    a line for each frame, and masks."""

    def __init__(self, folder: Path, name: str, *, table: bool, lines: bool, masks: bool = False) -> None:
        self._stack, self._name = ExitStack(), name
        self._rows = self._stack.enter_context((folder / f"{name}.txt").open("w"))
        self._table = self._stack.enter_context((folder / f"{name}.csv").open("w")) if table else None
        if self._table is not None:
            self._table.write(tidy_head())
        self._lines = self._stack.enter_context((folder / f"{name}.jsonl").open("w")) if lines else None
        self._masks = MaskWriter() if masks else None
        self._masks_path = folder / f"{name}{ENDING}"

    def __enter__(self) -> RowFiles:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()
        if self._masks is not None and error is None:
            self._masks.write(self._masks_path)

    def add(self, frame: Frame, tracks: Tracks, tracker: Tracker) -> None:
        """The rows of ``frame``, which ``tracker`` has just seen."""
        tracks = numbered(tracks, frame)
        self._rows.write(mot_rows(tracks))
        if self._table is not None:
            self._table.write(tidy_rows(self._name, tracks, np.full(len(tracks), frame.seconds)))
        if self._masks is not None:
            self._masks.add(tracker.masks(), frame.number)
        if self._lines is not None:
            looks = tracker.appearance()
            objects = [
                {
                    "id": i + 1,
                    "box": [round(side, 2) for side in box],
                    "confidence": round(score, 4),
                    "appearance": [round(value, 4) for value in looks[i].tolist()],
                }
                for i, box, score in zip(tracks.id.tolist(), tracks.box.tolist(), tracks.score.tolist(), strict=True)
            ]
            line = {"frame": frame.number + 1, "seconds": round(frame.seconds, 6), "objects": objects}
            self._lines.write(json.dumps(line) + "\n")

    def rename(self, who: Identified) -> None:
        """Puts the ids of individuals for those of tracking, in all rows so far, which are those of ``who``."""
        ends = np.searchsorted(who.tracks.frame, np.arange(who.frames + 1))
        old, new = who.tracks.id + 1, who.ids + 1
        tables = [dict(zip(old[a:b].tolist(), new[a:b].tolist(), strict=True)) for a, b in pairwise(ends)]
        self._rename_rows(self._rows, tables, MOT_AFTER_ID)
        if self._table is not None:
            self._rename_rows(self._table, tables, AFTER_ID, head=1)
        if self._lines is not None:
            with self._rewritten(self._lines) as (lines, renamed):
                for line, table in zip(lines, tables, strict=True):
                    said = json.loads(line)
                    objects = [{**thing, "id": table[thing["id"]]} for thing in said["objects"]]
                    objects = sorted((thing for thing in objects if thing["id"]), key=itemgetter("id"))
                    renamed.write(json.dumps({**said, "objects": objects}) + "\n")
        if self._masks is not None:
            self._masks.rename(tables)

    def _rename_rows(self, file: TextIO, tables: list[dict[int, int]], after: int, head: int = 0) -> None:
        """Puts new ids for the old ones of each frame, which ``after`` columns follow, below ``head`` lines; id 0 is of
        nobody, and its rows are left out."""
        with self._rewritten(file) as (rows, renamed):
            renamed.writelines(islice(rows, head))
            for table in tables:
                for name, line in sorted((name, next(rows)) for name in table.values()):
                    if name:
                        start, _, *rest = line.rsplit(",", after + 1)
                        renamed.write(",".join([start, str(name), *rest]))

    @contextmanager
    def _rewritten(self, file: TextIO) -> Iterator[tuple[TextIO, TextIO]]:
        """What was written to ``file``, to be read, and a file that takes its place."""
        file.flush()
        path = Path(file.name)
        partial = path.with_name(f".{path.name}.renamed")
        with path.open() as old, partial.open("w") as new:
            yield old, new
        partial.replace(path)
