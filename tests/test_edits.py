"""Edits of who is who: what each does, that they compose, and what is said of those that cannot be done."""

from pathlib import Path

import numpy as np
import pytest

from sqair.errors import UserError
from sqair.exports.edits import edited, read_edits
from sqair.files.mot_io import read_mot, write_mot
from sqair.scripts import cli
from sqair.tracks import Tracks

ROWS = {1: (1, 2, 3, 4), 2: (1, 2, 3, 4), 3: (3, 4, 5)}
"""The frames of each id, as in files."""


def tracks(rows: dict[int, tuple[int, ...]] = ROWS) -> Tracks:
    """The box of each row says whose it was, and when."""
    pairs = [(frame, name) for name, frames in rows.items() for frame in frames]
    frame, name = np.array(pairs).reshape(-1, 2).T
    box = np.stack([name, frame, np.ones_like(frame), np.ones_like(frame)], 1)
    return Tracks(frame - 1, name - 1, box)


def who(found: Tracks) -> dict[int, list[tuple[int, int]]]:
    """By ids: frames, and whose rows these were."""
    rows: dict[int, list[tuple[int, int]]] = {}
    for frame, name, box in zip(found.frame.tolist(), found.id.tolist(), found.box.tolist(), strict=True):
        rows.setdefault(name + 1, []).append((frame + 1, int(box[0])))
    return rows


def apply(path: Path, text: str) -> Tracks:
    (path / "edits.yaml").write_text(text)
    return edited(tracks(), read_edits(path / "edits.yaml"))


def same(frames: tuple[int, ...], name: int) -> list[tuple[int, int]]:
    return [(frame, name) for frame in frames]


def test_no_edits_change_nothing(tmp_path: Path) -> None:
    for text in ("", "[]", "# nothing\n"):
        found = apply(tmp_path, text)
        assert who(found) == who(tracks())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "- swap: [1, 2]\n  from: 3",
            {1: [*same((1, 2), 1), *same((3, 4), 2)], 2: [*same((1, 2), 2), *same((3, 4), 1)]},
        ),
        (
            "- swap: [1, 2]\n  from: 2\n  to: 2",
            {1: [(1, 1), (2, 2), (3, 1), (4, 1)], 2: [(1, 2), (2, 1), (3, 2), (4, 2)]},
        ),
        ("- split: 1\n  from: 3", {1: same((1, 2), 1), 4: same((3, 4), 1)}),
        ("- split: 1\n  from: 3\n  as: 9", {1: same((1, 2), 1), 9: same((3, 4), 1)}),
        ("- delete: 2", {2: []}),
        ("- delete: 2\n  to: 3", {2: same((4,), 2)}),
        ("- rename: 3\n  as: 7", {3: [], 7: same((3, 4, 5), 3)}),
        ("- delete: 1\n  from: 3\n- merge: [1, 3]", {1: [*same((1, 2), 1), *same((3, 4, 5), 3)], 3: []}),
        ("- delete: 2\n- rename: 3\n  as: 2", {2: same((3, 4, 5), 3), 3: []}),
    ],
)
def test_each_does_what_it_says(tmp_path: Path, text: str, expected: dict[int, list]) -> None:
    assert who(apply(tmp_path, text)) == {k: v for k, v in {**who(tracks()), **expected}.items() if v}


def test_edits_compose(tmp_path: Path) -> None:
    """All at once are as one after another; and two swaps of the same are none."""
    texts = ["- split: 1\n  from: 3\n", "- swap: [2, 4]\n  from: 3\n", "- delete: 3\n", "- merge: [1, 2]\n  from: 9\n"]
    step = tracks()
    for text in texts[:3]:
        (tmp_path / "edits.yaml").write_text(text)
        step = edited(step, read_edits(tmp_path / "edits.yaml"))
    assert who(apply(tmp_path, "".join(texts[:3]))) == who(step)
    assert who(apply(tmp_path, 2 * "- swap: [1, 3]\n  from: 4\n")) == who(tracks())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- merge: [1, 2]", "edits.yaml:1: merge: in frame 1 there are both"),
        ("- delete: 3\n- delete: 3", "edits.yaml:2: delete: there is no id 3"),
        ("- swap: [1, 2]\n\n# one\n- swap: [1, 3]\n  to: 2", "edits.yaml:4: swap: there is no id 3 in these frames"),
        ("- merge: [8, 1]", "edits.yaml:1: merge: there is no id 8"),
        ("- rename: 1\n  as: 2", "edits.yaml:1: rename: there is an id 2 already"),
        ("- split: 1", "edits.yaml:1: split needs `from: NUMBER`"),
        ("- rename: 1", "edits.yaml:1: rename needs `as: NUMBER`"),
        ("- split: 3\n  from: 3\n  to: 4", "edits.yaml:1: split takes as, from, and no 'to'"),
        ("- swap: 1", "edits.yaml:1: swap is of two ids"),
        ("- swap: [2, 2]", "edits.yaml:1: swap is of two ids"),
        ("- delete: [1, 2]", "edits.yaml:1: delete is of one id"),
        ("- delete: fish", "edits.yaml:1: 'fish': ids and frames are whole numbers from 1"),
        ("- delete: 0", "edits.yaml:1: 0: ids and frames are whole numbers"),
        ("- delete: true", "edits.yaml:1: True: ids and frames are whole numbers"),
        ("- delete: 1\n  from: 4\n  to: 2", "edits.yaml:1: delete is from 4 to 2"),
        ("- drop: 1", "edits.yaml:1: an edit is one of swap, merge, split, delete, rename"),
        ("- delete: 1\n  swap: [1, 2]", "edits.yaml:1: an edit is one of"),
        ("- 3", "edits.yaml:1: an edit is one of"),
        ("delete: 1", "edits are a list"),
        ("- delete: [1", "edits.yaml:1: not valid YAML"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_names_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        apply(tmp_path, text)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_the_command_leaves_what_it_reads(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rows, edits, out = tmp_path / "clip.txt", tmp_path / "edits.yaml", tmp_path / "out"
    write_mot(rows, tracks())
    edits.write_text("- swap: [1, 2]\n  from: 3\n")
    before = rows.read_text()
    assert cli.run("edit", [str(rows), str(edits), "--output", str(out)]) == 0
    assert rows.read_text() == before and who(read_mot(out / "clip.txt"))[1][2] == (3, 2)
    edits.write_text("")
    assert cli.run("edit", [str(rows), str(edits), "--output", str(out), "--overwrite"]) == 0
    assert (out / "clip.txt").read_text() == before
    edits.write_text("- delete: 9\n")
    assert cli.run("edit", [str(rows), str(edits), "--output", str(out), "--overwrite"]) == 2
    assert f"{edits}:1: delete: there is no id 9" in capsys.readouterr().err
    assert (out / "clip.txt").read_text() == before
    edits.write_text("")
    assert cli.run("edit", [str(rows), str(edits), "--output", str(tmp_path), "--overwrite"]) == 2
    assert rows.read_text() == before
    assert cli.run("edit", [str(rows), str(tmp_path / "none.yaml"), "--output", str(out)]) == 2
