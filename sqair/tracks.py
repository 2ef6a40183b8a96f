"""Tracks: which object was where in which frame. The currency between the model, the data and the scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Tracks:
    """The boxes of one clip, M rows in all, ordered by frame and then by id.

    Boxes are ``x, y, w, h`` in pixels, the origin at the top left corner of the top left pixel, pixel ``i``
    covering ``[i, i + 1)``. Frames count from 0 and ids are names, any integers; only files are 1-based.

    Attributes:
        frame: ``[M]`` int64.
        id: ``[M]`` int64, the same for the same object in every frame.
        box: ``[M, 4]`` float64.
        score: ``[M]`` float64: a prediction's confidence; in ground truth 1 to score a row and 0 to ignore it.
        visibility: ``[M]`` float64 in [0, 1], the visible fraction of the object (1 where unknown).
    """

    frame: np.ndarray
    id: np.ndarray
    box: np.ndarray
    score: np.ndarray = field(default=None)  # type: ignore[assignment]
    visibility: np.ndarray = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        frame = np.asarray(self.frame, dtype=np.int64).reshape(-1)
        m = len(frame)
        columns = {
            "frame": frame,
            "id": np.asarray(self.id, dtype=np.int64).reshape(-1),
            "box": np.asarray(self.box, dtype=np.float64).reshape(-1, 4),
            "score": np.ones(m) if self.score is None else np.asarray(self.score, dtype=np.float64).reshape(-1),
            "visibility": np.ones(m)
            if self.visibility is None
            else np.asarray(self.visibility, dtype=np.float64).reshape(-1),
        }
        order = np.lexsort((columns["id"], frame)) if m else np.zeros(0, dtype=np.int64)
        for name, column in columns.items():
            if len(column) != m:
                raise ValueError(f"Tracks.{name} has {len(column)} rows, frame has {m}")
            object.__setattr__(self, name, column[order])

    def __len__(self) -> int:
        return len(self.frame)

    def at(self, frame: int) -> Tracks:
        """The rows of one frame."""
        return self.where(self.frame == frame)

    def where(self, mask: np.ndarray) -> Tracks:
        """The rows where ``mask`` ([M], bool) holds."""
        return Tracks(self.frame[mask], self.id[mask], self.box[mask], self.score[mask], self.visibility[mask])

    def to_dataframe(self, fps: float | None = None) -> pandas.DataFrame:
        """A row for each box: ``frame``, with ``fps`` also its ``seconds``, ``id``, ``x``, ``y``, ``w``, ``h``,
        ``centre_x``, ``centre_y`` and ``score``.

        Frames, ids and pixels count from 0, as here; in files frames and ids count from 1. Raises ImportError without
        pandas.
        """
        import pandas

        columns: dict[str, np.ndarray] = {"frame": self.frame}
        if fps is not None:
            columns["seconds"] = self.frame / fps
        centre = self.box[:, :2] + self.box[:, 2:] / 2
        columns["id"] = self.id
        columns.update(zip(("x", "y", "w", "h"), self.box.T, strict=True))
        columns.update(zip(("centre_x", "centre_y"), centre.T, strict=True))
        return pandas.DataFrame({**columns, "score": self.score})

    def to_napari(self) -> np.ndarray:
        """Float64 ``[M, 4]``, as napari's layer of tracks takes them: id, frame, y and x of the middle of each box, by
        id and then by frame."""
        centre = self.box[:, :2] + self.box[:, 2:] / 2
        rows = np.column_stack([self.id, self.frame, centre[:, 1], centre[:, 0]])
        return rows[np.lexsort((self.frame, self.id))]

    @staticmethod
    def empty() -> Tracks:
        return Tracks(np.zeros(0), np.zeros(0), np.zeros((0, 4)))

    @staticmethod
    def concat(parts: list[Tracks]) -> Tracks:
        """All rows of ``parts``, which belong to the same clip and share its ids."""
        if not parts:
            return Tracks.empty()
        return Tracks(
            *(
                np.concatenate([getattr(p, name) for p in parts])
                for name in ("frame", "id", "box", "score", "visibility")
            )
        )
