"""The rows of MOTChallenge text files, as they stand there: one box a row, frames and pixels counted from 1."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from sqair.errors import UserError
from sqair.files.text import read_text
from sqair.tracks import Tracks

COLUMNS = ("frame", "id", "left", "top", "width", "height", "conf")
"""What every row begins with. Up to three more may follow: the class, the visibility, or three of no use here."""
MOST_COLUMNS = 10
TRUTH_COLUMNS = 9
"""A row of so many columns ends with a visibility."""
UNKNOWN = -1
"""The class where a file does not say it."""
IGNORED = 8
"""MOTChallenge's class of distractors: what :func:`sqair.files.mot_io.write_mot` gives to rows not to be scored."""
_NAMES = {",": "comma", "\t": "tab", ";": "semicolon", None: "space"}
_LARGEST = 2**63 - 2


@dataclass(frozen=True)
class Rows:
    """M rows in the order of their file.

    Attributes:
        frame: ``[M]`` int64, from 1.
        id: ``[M]`` int64, a name: any integer.
        box: ``[M, 4]`` float64, left, top, width, height; the top left corner of the first pixel is 1, 1.
        conf: ``[M]`` float64.
        kind: ``[M]`` int64, the class; ``UNKNOWN`` where the file does not say it.
        visibility: ``[M]`` float64 in [0, 1], 1 where unknown.
        line: ``[M]`` int64, the lines of the file, from 1.
        path: the file, None for tracks that come from none.
    """

    frame: np.ndarray
    id: np.ndarray
    box: np.ndarray
    conf: np.ndarray
    kind: np.ndarray
    visibility: np.ndarray
    line: np.ndarray
    path: Path | None = None

    def __len__(self) -> int:
        return len(self.frame)

    def where(self, mask: np.ndarray) -> Rows:
        """The rows where ``mask`` ([M], bool) holds."""
        columns = {column.name: getattr(self, column.name)[mask] for column in fields(self) if column.name != "path"}
        return replace(self, **columns)

    def place(self, row: int) -> str:
        """Where a row stands, for messages: ``FILE:LINE``, or its frame."""
        return f"frame {self.frame[row]}" if self.path is None else f"{self.path}:{self.line[row]}"

    def tracks(self) -> Tracks:
        """The rows as tracks, which count from 0; the class is not kept."""
        box = self.box - [1.0, 1.0, 0.0, 0.0]
        return Tracks(self.frame - 1, self.id - 1, box, self.conf, self.visibility)

    @staticmethod
    def of(tracks: Tracks, *, truth: bool = False) -> Rows:
        """The rows of ``tracks``: as ground truth, score 0 is to be ignored and all else to be scored."""
        m, ignored = len(tracks), (tracks.score == 0) & truth
        return Rows(
            tracks.frame + 1,
            tracks.id + 1,
            tracks.box + [1.0, 1.0, 0.0, 0.0],
            np.where(ignored, 0.0, 1.0) if truth else tracks.score,
            np.where(ignored, IGNORED, 1),
            tracks.visibility,
            np.zeros(m, dtype=np.int64),
        )


def read_rows(path: str | Path) -> Rows:
    """The rows of a file.

    A row has 7 to 10 values: ``frame,id,left,top,width,height,conf``, then a class, then a visibility (of which -1
    means unknown), or three numbers of a place in the world as results have them. Commas separate them, or, as the
    first row does, tabs, semicolons or spaces; a separator may end the row. Lines end as on any system; UTF-8 and
    UTF-16 may begin with a byte order mark. A file without rows is a clip in which nothing was seen.

    Raises:
        UserError: the file cannot be read, or a row is malformed (the message begins ``FILE:LINE:``).
    """
    path = Path(path)
    rows: list[list[float]] = []
    names: list[tuple[int, int]] = []
    lines: list[int] = []
    seen: dict[tuple[int, int], int] = {}
    separator: str | None = None
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        if not rows:
            separator = _separator(line, path, where)
        words = line.split(separator)
        if not words[-1].strip():
            words.pop()
        name, values = _parse(words, separator, where)
        if rows and len(values) != len(rows[0]):
            raise UserError(f"{where}: {len(words)} values where the rows above have {len(rows[0]) + 2}")
        if name in seen:
            twice = f"id {name[1]} appears twice in frame {name[0]} (first in line {seen[name]})"
            advice = ": these are detections, give the file of a tracker" if name[1] == -1 else ""
            raise UserError(f"{where}: {twice}{advice}")
        seen[name] = number
        names.append(name)
        rows.append(values)
        lines.append(number)
    return _table(names, rows, lines, path)


def _table(names: list[tuple[int, int]], rows: list[list[float]], lines: list[int], path: Path) -> Rows:
    """Rows of ``(frame, id)`` and the values after those."""
    m = len(rows)
    name = np.array(names, dtype=np.int64).reshape(m, 2)
    table = np.array(rows, dtype=np.float64).reshape(m, -1) if m else np.zeros((0, len(COLUMNS) - 2))
    columns = table.shape[1] + 2
    kind, visibility = np.full(m, UNKNOWN, dtype=np.int64), np.ones(m)
    if columns > len(COLUMNS) and _are_classes(table[:, 5:]):
        kind = table[:, 5].astype(np.int64)
    if columns == TRUTH_COLUMNS:
        visibility = np.where(table[:, 6] == -1, 1.0, table[:, 6])
    place = np.array(lines, dtype=np.int64)
    return Rows(name[:, 0], name[:, 1], table[:, :4], table[:, 4], kind, visibility, place, path)


def _are_classes(more: np.ndarray) -> bool:
    """Whether values after ``conf`` (``[M, 1 to 3]``) begin with a class: three may be a place in the world instead."""
    told = more[:, 0]
    whole = np.isfinite(told).all() and (told == np.trunc(told)).all() and (np.abs(told) < 2**31).all()
    return bool(whole and (more.shape[1] < 3 or ((more[:, 1] == -1) | ((more[:, 1] >= 0) & (more[:, 1] <= 1))).all()))


def _separator(line: str, path: Path, where: str) -> str | None:
    """What separates the values of a file whose first row is ``line``; None for spaces."""
    if line.lstrip().startswith("{"):
        raise UserError(f"{path} holds JSON, not MOTChallenge rows: give the .txt that belongs to it")
    if ";" in line and "," in line:
        raise UserError(f"{where}: write numbers with decimal points, and commas between them")
    separator = next((mark for mark in (",", "\t", ";") if mark in line), None)
    if not any(map(_is_number, line.split(separator))):
        raise UserError(f"{where}: {line.strip()[:40]!r} has no numbers: if it is a header, remove that line")
    return separator


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _parse(words: list[str], separator: str | None, where: str) -> tuple[tuple[int, int], list[float]]:
    """Frame and id of a row, and the values after those, checked."""
    if not len(COLUMNS) <= len(words) <= MOST_COLUMNS:
        raise UserError(
            f"{where}: {len(words)} {_NAMES[separator]}-separated values; a MOTChallenge row has {len(COLUMNS)} to "
            f"{MOST_COLUMNS}: {','.join(COLUMNS)},..."
        )
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        word = next(word for word in words if not _is_number(word))
        raise UserError(f"{where}: {word.strip()!r} is not a number") from error
    frame, name = _whole(words[0], values[0]), _whole(words[1], values[1])
    if frame is None or frame < 1:
        advice = ": MOTChallenge counts frames from 1, add 1 to all" if frame == 0 else ""
        raise UserError(f"{where}: frame {values[0]:g} is not a whole number of at least 1{advice}")
    if name is None:
        raise UserError(f"{where}: id {values[1]:g} is not a whole number")
    for what, value in zip(COLUMNS[2:], values[2:7], strict=True):
        if not math.isfinite(value):
            raise UserError(f"{where}: {what} is {value:g}")
    for what, value in zip(COLUMNS[4:6], values[4:6], strict=True):
        if value < 0:
            raise UserError(f"{where}: {what} {value:g} is negative")
    if len(values) == TRUTH_COLUMNS and values[8] != -1 and not 0 <= values[8] <= 1:
        raise UserError(f"{where}: visibility {values[8]:g} is not between 0 and 1")
    return (frame, name), values[2:]


def _whole(word: str, value: float) -> int | None:
    """The whole number that ``word`` stands for, to the last digit where it has no point and no exponent."""
    try:
        number = int(word)
    except ValueError:
        if not (math.isfinite(value) and value.is_integer()):
            return None
        number = int(value)
    return number if abs(number) <= _LARGEST else None
