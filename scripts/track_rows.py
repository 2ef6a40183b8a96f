"""The rows of a clip, on disk as they come: memory does not grow with the clip."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import TextIO

import numpy as np

from sqair.datasets.clip import Frame
from sqair.eval.linking import by_overlap
from sqair.exports.record import lasting
from sqair.files.masks import ENDING, IMAGES, MaskWriter
from sqair.files.mot_io import mot_rows, read_mot
from sqair.reid.gallery import Identified
from sqair.scripts.arenas import Arenas
from sqair.tracks import Tracks

MOT_AFTER_ID = 8
"""Columns of MOTChallenge rows that come after the id."""


def numbered(tracks: Tracks, frame: Frame) -> Tracks:
    """The rows of one frame, under its own number in its source."""
    return replace(tracks, frame=np.full(len(tracks), frame.number))


class RowFiles:
    """``NAME.txt`` of MOTChallenge rows and, if wanted, ``NAME.jsonl`` with a line for each frame, and masks."""

    def __init__(self, folder: Path, name: str, *, lines: bool, masks: bool = False, images: bool = False) -> None:
        self._stack = ExitStack()
        self._numbers, self._seconds = array("q"), array("d")
        self._rows = self._stack.enter_context((folder / f"{name}.txt").open("w"))
        self._lines = self._stack.enter_context((folder / f"{name}.jsonl").open("w")) if lines else None
        self._masks = MaskWriter() if masks or images else None
        self._masks_path = folder / f"{name}{ENDING}" if masks else None
        self._images = folder / f"{name}{IMAGES}" if images else None

    def __enter__(self) -> RowFiles:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()
        if self._masks is not None and error is None:
            if self._masks_path is not None:
                self._masks.write(self._masks_path)
            if self._images is not None:
                self._masks.write_images(self._images)

    def add(self, frame: Frame, tracks: Tracks, tracker: Arenas) -> None:
        """The rows of ``frame``, which ``tracker`` has just seen."""
        tracks = numbered(tracks, frame)
        self._rows.write(mot_rows(tracks))
        self._numbers.append(frame.number)
        self._seconds.append(frame.seconds)
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

    @property
    def frames(self) -> int:
        """The number of the last frame so far, from 1."""
        return self._numbers[-1] + 1 if self._numbers else 0

    def written(self) -> Tracks:
        """The rows so far."""
        self._rows.flush()
        return read_mot(self._rows.name)

    def times(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the frames so far, from 0, and their seconds, ``[T]`` each."""
        return np.array(self._numbers), np.array(self._seconds)

    def rename(self, who: Identified) -> None:
        """Puts the ids of individuals for those of tracking, in all rows so far, which are those of ``who``."""
        ends = np.searchsorted(who.tracks.frame, np.arange(who.frames + 1))
        self._rename(_tables(who.tracks.id + 1, who.ids + 1, ends))

    def link(self) -> None:
        """Puts ids by overlap for those of tracking, in all files: of a model that explains each frame by itself."""
        tracks = self.written()
        ends = np.searchsorted(tracks.frame, [*self._numbers, self.frames])
        ids = by_overlap([tracks.box[a:b] for a, b in pairwise(ends)])
        self._rename(_tables(tracks.id + 1, ids + 1, ends))

    def leave_out(self, least: int) -> None:
        """Takes ids of fewer than ``least`` rows out of all files."""
        tracks = self.written()
        ends = np.searchsorted(tracks.frame, [*self._numbers, self.frames])
        old = tracks.id + 1
        self._rename(_tables(old, np.where(lasting(tracks, least), old, 0), ends))

    def _rename(self, tables: list[dict[int, int]]) -> None:
        """Puts new ids for the old ones of each frame in all files; id 0 is of nobody, and its rows are left out."""
        self._rename_rows(tables)
        if self._lines is not None:
            with self._rewritten(self._lines) as (lines, renamed):
                for line, table in zip(lines, tables, strict=True):
                    said = json.loads(line)
                    objects = [{**thing, "id": table[thing["id"]]} for thing in said["objects"]]
                    objects = sorted((thing for thing in objects if thing["id"]), key=itemgetter("id"))
                    renamed.write(json.dumps({**said, "objects": objects}) + "\n")
        if self._masks is not None:
            self._masks.rename(tables)

    def _rename_rows(self, tables: list[dict[int, int]]) -> None:
        """Puts new ids for the old ones of each frame in ``NAME.txt``; id 0 is of nobody, and its rows are left out."""
        with self._rewritten(self._rows) as (rows, renamed):
            for table in tables:
                for name, line in sorted((name, next(rows)) for name in table.values()):
                    if name:
                        start, _, *rest = line.rsplit(",", MOT_AFTER_ID + 1)
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


def _tables(old: np.ndarray, new: np.ndarray, ends: np.ndarray) -> list[dict[int, int]]:
    """New ids by old ones, of each of F frames, whose rows in ``old [M]`` and ``new [M]`` begin at ``ends [F + 1]``."""
    return [dict(zip(old[a:b].tolist(), new[a:b].tolist(), strict=True)) for a, b in pairwise(ends)]
