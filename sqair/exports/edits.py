"""Edits: what a user knows better of who is who, as a list in a YAML file that is applied to rows.

Frames and ids count from 1, as in files of rows. ``from`` and ``to`` are the first and the last frame of what is meant;
without them it is all.

    - swap: [3, 5]      # from frame 120 on, 3 is 5 and 5 is 3
      from: 120
    - merge: [3, 7]     # 7 is 3 as well
    - split: 4          # from frame 200 on, 4 is somebody else
      from: 200
      as: 12            # an id that nobody has; by default the next one
    - delete: 6
      to: 30
    - rename: 8
      as: 20
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sqair.errors import UserError
from sqair.files.text import read_text
from sqair.tracks import Tracks

KINDS = {
    "swap": {"from", "to"},
    "merge": {"from", "to"},
    "split": {"from", "as"},
    "delete": {"from", "to"},
    "rename": {"as", "from", "to"},
}
"""What there is to do, and what may be said of it."""
NEEDED = {"split": "from", "rename": "as"}
PAIRS = ("swap", "merge")


@dataclass(frozen=True)
class Edit:
    """One of the list.

    Attributes:
        kind: one of ``KINDS``.
        ids: one id, or two.
        first, last: frames, from 1.
        new: the id that it becomes, or None for the next one.
        place: FILE:LINE.
    """

    kind: str
    ids: tuple[int, ...]
    first: int
    last: int
    new: int | None
    place: str

    def applied(self, tracks: Tracks) -> Tracks:
        """``tracks`` with this done to them. Raises UserError where it cannot be done."""
        return getattr(self, f"_{self.kind}")(tracks)

    def _rows(self, tracks: Tracks, number: int) -> np.ndarray:
        """Which rows are of an id in the frames that are meant, bool ``[M]``; there are some."""
        frame = tracks.frame + 1
        rows = (tracks.id + 1 == number) & (frame >= self.first) & (frame <= self.last)
        if not rows.any():
            when = "" if self.first <= 1 and self.last == _EVER else " in these frames"
            raise UserError(f"{self.place}: {self.kind}: there is no id {number}{when}")
        return rows

    def _swap(self, tracks: Tracks) -> Tracks:
        one, other = self.ids
        mine, theirs = self._rows(tracks, one), self._rows(tracks, other)
        return _named(tracks, np.where(mine, other, np.where(theirs, one, tracks.id + 1)))

    def _merge(self, tracks: Tracks) -> Tracks:
        one, other = self.ids
        rows = self._rows(tracks, other)
        if not (tracks.id + 1 == one).any():
            raise UserError(f"{self.place}: merge: there is no id {one}")
        return self._become(tracks, rows, one)

    def _split(self, tracks: Tracks) -> Tracks:
        return self._become(tracks, self._rows(tracks, self.ids[0]), self._free(tracks))

    def _rename(self, tracks: Tracks) -> Tracks:
        return self._become(tracks, self._rows(tracks, self.ids[0]), self._free(tracks))

    def _delete(self, tracks: Tracks) -> Tracks:
        return tracks.where(~self._rows(tracks, self.ids[0]))

    def _become(self, tracks: Tracks, rows: np.ndarray, number: int) -> Tracks:
        """The same with a ``number`` for the id of some rows."""
        both = np.intersect1d(tracks.frame[rows], tracks.frame[(tracks.id + 1 == number) & ~rows])
        if len(both):
            raise UserError(f"{self.place}: {self.kind}: in frame {both[0] + 1} there are both")
        return _named(tracks, np.where(rows, number, tracks.id + 1))

    def _free(self, tracks: Tracks) -> int:
        if self.new is None:
            return int(tracks.id.max()) + 2
        if (tracks.id + 1 == self.new).any():
            raise UserError(f"{self.place}: {self.kind}: there is an id {self.new} already; merge joins two")
        return self.new


_EVER = 2**62


def _named(tracks: Tracks, number: np.ndarray) -> Tracks:
    """The same rows with ids that count from 1."""
    return replace(tracks, id=number - 1)


def edited(tracks: Tracks, edits: list[Edit]) -> Tracks:
    """``tracks`` with all edits done to them, one after another. Raises UserError where one cannot be done."""
    for edit in edits:
        tracks = edit.applied(tracks)
    return tracks


def read_edits(path: str | Path) -> list[Edit]:
    """The edits of a YAML file; an empty file has none.

    Raises:
        UserError: it cannot be read, is no list of edits, or one of them is none: the message begins ``FILE:LINE:``.
    """
    try:
        loader = yaml.SafeLoader(read_text(path))
        node = loader.get_single_node()
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise UserError(f"{path}: edits are a list: `- swap: [3, 5]` and so on")
        return [
            _edit(loader.construct_object(item, deep=True), f"{path}:{item.start_mark.line + 1}")
            for item in node.value
        ]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}") from error


def _edit(said: Any, place: str) -> Edit:
    """The edit that an item of the list is."""
    kinds = [kind for kind in KINDS if isinstance(said, dict) and kind in said]
    if len(kinds) != 1:
        raise UserError(f"{place}: an edit is one of {', '.join(KINDS)}: `- delete: 6`")
    (kind,) = kinds
    unknown = [str(key) for key in said if key != kind and key not in KINDS[kind]]
    if unknown:
        raise UserError(f"{place}: {kind} takes {', '.join(sorted(KINDS[kind]))}, and no {unknown[0]!r}")
    if kind in NEEDED and NEEDED[kind] not in said:
        raise UserError(f"{place}: {kind} needs `{NEEDED[kind]}: NUMBER`")
    ids = said[kind] if isinstance(said[kind], list) else [said[kind]]
    if len(ids) != (2 if kind in PAIRS else 1) or len(set(map(str, ids))) < len(ids):
        raise UserError(f"{place}: {kind} is of {'two ids: [3, 5]' if kind in PAIRS else 'one id'}")
    numbers = [*ids, *(said[key] for key in KINDS[kind] if key in said)]
    wrong = [number for number in numbers if isinstance(number, bool) or not isinstance(number, int) or number < 1]
    if wrong:
        raise UserError(f"{place}: {wrong[0]!r}: ids and frames are whole numbers from 1")
    first, last = said.get("from", 1), said.get("to", _EVER)
    if first > last:
        raise UserError(f"{place}: {kind} is from {first} to {last}, where nothing is")
    return Edit(kind, tuple(ids), first, last, said.get("as"), place)
