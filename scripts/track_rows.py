"""The rows of a clip, on disk as they come: memory does not grow with the clip."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from sqair.mot_io import mot_rows
from sqair.tracker import Tracker
from sqair.tracks import Tracks


class RowFiles:
    """``NAME.txt`` of MOTChallenge rows and, if wanted, ``NAME.jsonl`` with a line for each frame."""

    def __init__(self, folder: Path, name: str, stride: int, fps: float | None) -> None:
        """``fps``, frames per second of the clip, asks for the lines; of its frames one in ``stride`` is tracked."""
        self.stride, self.fps = stride, fps
        self._stack = ExitStack()
        self._rows = self._stack.enter_context((folder / f"{name}.txt").open("w"))
        self._lines = None if fps is None else self._stack.enter_context((folder / f"{name}.jsonl").open("w"))

    def __enter__(self) -> RowFiles:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def add(self, tracks: Tracks, tracker: Tracker) -> None:
        """The rows of the frame that ``tracker`` has just seen."""
        number = self.stride * (tracker.frame - 1)
        tracks = replace(tracks, frame=0 * tracks.frame + number)
        self._rows.write(mot_rows(tracks))
        if self._lines is not None and self.fps is not None:
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
            line = {"frame": number + 1, "seconds": round(number / self.fps, 4), "objects": objects}
            self._lines.write(json.dumps(line) + "\n")
