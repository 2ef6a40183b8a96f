"""The rows of a clip, on disk as they come: memory does not grow with the clip."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np

from sqair.datasets.clip import Frame
from sqair.files.masks import ENDING, MaskWriter
from sqair.files.mot_io import mot_rows
from sqair.tracker import Tracker
from sqair.tracks import Tracks


def numbered(tracks: Tracks, frame: Frame) -> Tracks:
    """The rows of one frame, under its own number in its source."""
    return replace(tracks, frame=np.full(len(tracks), frame.number))


class RowFiles:
    """``NAME.txt`` of MOTChallenge rows and, if wanted, ``NAME.jsonl`` with a line for each frame, and masks."""

    def __init__(self, folder: Path, name: str, *, lines: bool, masks: bool = False) -> None:
        self._stack = ExitStack()
        self._rows = self._stack.enter_context((folder / f"{name}.txt").open("w"))
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
