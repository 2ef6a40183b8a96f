"""MOTChallenge files: what is written is read back, what is malformed is named."""

from pathlib import Path

import numpy as np
import pytest

from sqair.errors import UserError
from sqair.files.mot_io import list_mot, read_length, read_mot, write_mot
from sqair.files.mot_rows import read_rows
from sqair.tracks import Tracks

RESULT = "1,1,5,6,7,8,0.5,-1,-1,-1"
TRUTH = "1,1,5,6,7,8,1,1,0.75"


def random_tracks(rng: np.random.Generator, rows: int) -> Tracks:
    """Rows of distinct (frame, id), with numbers of at most six decimals."""
    cells = rng.choice(400, size=rows, replace=False)
    box = np.round(rng.uniform(-100, 1000, (rows, 4)), 6)
    box[:, 2:] = np.abs(box[:, 2:])
    score, visibility = np.round(rng.random((2, rows)), 6)
    return Tracks(cells // 20, cells % 20, box, score, visibility)


@pytest.mark.parametrize("truth", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_written_is_read_back(tmp_path: Path, seed: int, truth: bool) -> None:
    rng = np.random.default_rng(seed)
    tracks = random_tracks(rng, rows=int(rng.integers(0, 200)))
    write_mot(tmp_path / "a.txt", tracks, truth=truth)
    again = read_mot(tmp_path / "a.txt")
    np.testing.assert_array_equal(again.frame, tracks.frame)
    np.testing.assert_array_equal(again.id, tracks.id)
    np.testing.assert_allclose(again.box, tracks.box, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(again.score, tracks.score)
    np.testing.assert_array_equal(again.visibility, tracks.visibility if truth else np.ones(len(tracks)))
    write_mot(tmp_path / "b.txt", again, truth=truth)
    assert (tmp_path / "b.txt").read_bytes() == (tmp_path / "a.txt").read_bytes()


def test_files_count_from_one_and_tracks_from_zero(tmp_path: Path) -> None:
    tracks = Tracks([0], [3], [[0, 9.5, 7, 8]], [0.25], [0.5])  # type: ignore[arg-type]
    write_mot(tmp_path / "result.txt", tracks)
    assert (tmp_path / "result.txt").read_text() == "1,4,1,10.5,7,8,0.25,-1,-1,-1\n"
    write_mot(tmp_path / "truth.txt", tracks, truth=True)
    assert (tmp_path / "truth.txt").read_text() == "1,4,1,10.5,7,8,0.25,1,0.5\n"


def test_rows_may_come_in_any_order_with_blank_lines_and_spaces(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("2, 1, 1, 1, 5, 5, 1, -1, -1, -1\n\n1,2.0,1,1,5,5,1,-1,-1,-1\r\n")
    tracks = read_mot(tmp_path / "a.txt")
    assert tracks.frame.tolist() == [0, 1]
    assert tracks.id.tolist() == [1, 0]


def test_unknown_visibility_counts_as_whole(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1,1,5,6,7,8,1,1,-1\n")
    assert read_mot(tmp_path / "a.txt").visibility.tolist() == [1]


def test_a_file_without_rows_is_a_clip_without_objects(tmp_path: Path) -> None:
    write_mot(tmp_path / "a.txt", Tracks.empty())
    assert (tmp_path / "a.txt").read_bytes() == b""
    assert len(read_mot(tmp_path / "a.txt")) == 0


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("1,2,5,6,7,8", "6 comma-separated values"),
        ("1,2,5,6,7,8,1,1,1,1,1", "11 comma-separated values"),
        ("1 2 5 6 7 8 1 -1 -1 -1", "1 comma-separated values"),
        (TRUTH, "9 values where the rows above have 10"),
        ("1,2,5,6,7,x,1,-1,-1,-1", "'x' is not a number"),
        ("1,2,5,6,7,,1,-1,-1,-1", "'' is not a number"),
        ("1.5,2,5,6,7,8,1,-1,-1,-1", "frame 1.5 is not a whole number"),
        ("0,2,5,6,7,8,1,-1,-1,-1", "frame 0 is not a whole number of at least 1"),
        ("nan,2,5,6,7,8,1,-1,-1,-1", "frame nan is not a whole number"),
        ("1,1.5,5,6,7,8,1,-1,-1,-1", "id 1.5 is not a whole number"),
        ("1,1e19,5,6,7,8,1,-1,-1,-1", r"id 1e\+19 is not a whole number"),
        ("1,2,5,6,-7,8,1,-1,-1,-1", "width -7 is negative"),
        ("1,2,5,6,7,-0.5,1,-1,-1,-1", "height -0.5 is negative"),
        ("1,2,nan,6,7,8,1,-1,-1,-1", "left is nan"),
        ("1,2,5,6,inf,8,1,-1,-1,-1", "width is inf"),
        ("1,2,5,6,7,8,nan,-1,-1,-1", "conf is nan"),
        (RESULT, r"id 1 appears twice in frame 1 \(first in line 1\)"),
    ],
)
def test_malformed_rows_are_named(tmp_path: Path, row: str, complaint: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"{RESULT}\n\n{row}\n")
    with pytest.raises(UserError, match=f"a.txt:3: {complaint}") as caught:
        read_mot(path)
    assert "\n" not in str(caught.value)


def test_visibility_out_of_range_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1,1,5,6,7,8,1,1,1.5\n")
    with pytest.raises(UserError, match=r"a.txt:1: visibility 1.5"):
        read_mot(tmp_path / "a.txt")


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file: .*a.txt"):
        read_mot(tmp_path / "a.txt")
    with pytest.raises(UserError, match="cannot read"):
        read_mot(tmp_path)
    (tmp_path / "b.txt").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    with pytest.raises(UserError, match="b.txt is not a text file"):
        read_mot(tmp_path / "b.txt")


def test_failing_to_write_leaves_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write"):
        write_mot(tmp_path / "missing" / "a.txt", Tracks.empty())
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(UserError, match="cannot write"):
        write_mot(tmp_path / "folder", Tracks.empty())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder"]


def sequence(root: Path, name: str, length: int | None = None) -> None:
    (root / name / "gt").mkdir(parents=True)
    (root / name / "gt" / "gt.txt").write_text(TRUTH)
    if length is not None:
        (root / name / "seqinfo.ini").write_text(f"[Sequence]\nname={name}\nseqLength={length}\n")


def test_files_are_listed_by_the_names_of_their_clips(tmp_path: Path) -> None:
    for name in ("b", "a"):
        sequence(tmp_path / "tree", name)
    files = {name: tmp_path / "tree" / name / "gt" / "gt.txt" for name in ("a", "b")}
    assert list_mot(tmp_path / "tree") == files
    assert list(list_mot(tmp_path / "tree")) == ["a", "b"]
    assert list_mot(tmp_path / "tree" / "a") == {"a": files["a"]}
    assert list_mot(files["a"]) == {"a": files["a"]}
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "c.txt").write_text(RESULT)
    assert list_mot(tmp_path / "flat") == {"c": tmp_path / "flat" / "c.txt"}
    assert list_mot(tmp_path / "flat" / "c.txt") == {"c": tmp_path / "flat" / "c.txt"}


def test_folders_without_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        list_mot(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds neither"):
        list_mot(tmp_path / "empty")
    sequence(tmp_path / "root" / "test", "a")
    with pytest.raises(UserError, match="is .*root/test meant"):
        list_mot(tmp_path / "root")
    (tmp_path / "root" / "test" / "b" / "img1").mkdir(parents=True)
    with pytest.raises(UserError, match="test/b is a sequence without gt/gt.txt"):
        list_mot(tmp_path / "root" / "test")


def test_lengths_are_those_of_seqinfo(tmp_path: Path) -> None:
    sequence(tmp_path, "a", length=12)
    sequence(tmp_path, "b")
    assert read_length(tmp_path / "a" / "gt" / "gt.txt") == 12
    assert read_length(tmp_path / "b" / "gt" / "gt.txt") is None
    for damage in ("[Sequence]\nseqLength=many\n", "[Sequence]\n", "seqLength=3\n", "[Other]\nseqLength=3\n"):
        (tmp_path / "a" / "seqinfo.ini").write_text(damage)
        with pytest.raises(UserError, match="seqinfo.ini does not say seqLength"):
            read_length(tmp_path / "a" / "gt" / "gt.txt")


ROWS = "1,7,10.5,20,30,40,0.5,-1,-1,-1\n2,7,11,20,30,40,0.5,-1,-1,-1\n"


@pytest.mark.parametrize(
    "data",
    [
        ROWS.encode(),
        b"\xef\xbb\xbf" + ROWS.encode(),
        ROWS.encode("utf-16"),
        ROWS.replace("\n", "\r\n").encode(),
        ROWS.replace("\n", "\r").encode(),
        ROWS.rstrip("\n").encode(),
        ROWS.replace(",", "\t").encode(),
        ROWS.replace(",", ";").encode(),
        ROWS.replace(",", "  ").encode(),
        ROWS.replace(",", " , ").encode(),
        ROWS.replace("\n", ",\n").encode(),
        b"1.0e+00,7.0,1.05e1,2e1,3e1,4e1,5e-1,-1,-1,-1\n2.0,7e0,11.,20.,30.,40.,.5,-1.,-1.,-1.\n",
        ROWS.replace(",-1,-1,-1", "").encode(),
        ROWS.replace(",-1,-1,-1", ",-1").encode(),
        ROWS.replace("-1,-1,-1", "nan,nan,nan").encode(),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_rows_are_the_same_in_every_dress(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    rows = read_rows(tmp_path / "a.txt")
    assert rows.frame.tolist() == [1, 2] and rows.id.tolist() == [7, 7] and rows.kind.tolist() == [-1, -1]
    assert rows.box.tolist() == [[10.5, 20, 30, 40], [11, 20, 30, 40]] and rows.conf.tolist() == [0.5, 0.5]
    assert read_mot(tmp_path / "a.txt").box[0].tolist() == [9.5, 19, 30, 40]


def test_ids_are_names_to_the_last_digit(tmp_path: Path) -> None:
    names = [0, -1, -7, 2**53 + 1, 2**53 + 2, 2**63 - 2, -(2**63) + 2]
    (tmp_path / "a.txt").write_text("".join(f"1,{name},5,6,7,8,1\n" for name in names))
    assert read_rows(tmp_path / "a.txt").id.tolist() == names
    tracks = read_mot(tmp_path / "a.txt")
    write_mot(tmp_path / "b.txt", tracks)
    assert sorted(read_rows(tmp_path / "b.txt").id.tolist()) == sorted(names)


def test_rows_keep_their_order_and_their_classes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("2,1,5,6,7,8,1,12,0.5\n\n1,2,5,6,7,8,0,3,-1\n")
    rows = read_rows(tmp_path / "a.txt")
    assert rows.frame.tolist() == [2, 1] and rows.kind.tolist() == [12, 3] and rows.line.tolist() == [1, 3]
    assert rows.visibility.tolist() == [0.5, 1] and rows.place(1) == f"{tmp_path / 'a.txt'}:3"
    assert rows.where(rows.kind == 3).line.tolist() == [3]


@pytest.mark.parametrize(
    ("more", "kinds"),
    [("1,1", [1]), ("3,-1,-1", [3]), ("3,0.5,2", [3]), ("4,7.5,0", [-1]), ("4.2,0.5,0", [-1]), ("-1,-1,-1", [-1])],
)
def test_a_place_in_the_world_is_no_class(tmp_path: Path, more: str, kinds: list[int]) -> None:
    (tmp_path / "a.txt").write_text(f"1,1,5,6,7,8,1,{more}\n")
    assert read_rows(tmp_path / "a.txt").kind.tolist() == kinds


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\x1f\x8b\x08\x00", "a.txt is compressed: unpack it first"),
        (b"PK\x03\x04", "a.txt is compressed: unpack it first"),
        (b"1,2\0,3", "a.txt is not a text file"),
        (b'{"frame": 0, "objects": []}\n', "a.txt holds JSON, not MOTChallenge rows"),
        (b"frame,id,x\n1,1,5\n", "a.txt:1: 'frame,id,x' has no numbers: if it is a header, remove that line"),
        (b"1;1;5,5;6;7;8;1\n", "a.txt:1: write numbers with decimal points"),
        (b"1,1,5,6,7\n", "a.txt:1: 5 comma-separated values; a MOTChallenge row has 7 to 10"),
        (b"1\t1\t5\n", "a.txt:1: 3 tab-separated values"),
    ],
)
def test_what_is_no_file_of_rows_is_named(tmp_path: Path, data: bytes, complaint: str) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(UserError, match=complaint):
        read_rows(tmp_path / "a.txt")


def test_trackers_are_listed_by_their_data(tmp_path: Path) -> None:
    (tmp_path / "me" / "data").mkdir(parents=True)
    (tmp_path / "me" / "data" / "c.txt").write_text(RESULT)
    (tmp_path / "me" / "data" / "._c.txt").write_bytes(b"\0\5\x16\7")
    (tmp_path / "me" / "pedestrian_summary.txt").write_text("MOTA\n")
    expected = {"c": tmp_path / "me" / "data" / "c.txt"}
    assert list_mot(tmp_path / "me") == list_mot(tmp_path) == expected


def test_a_data_frame_has_a_row_for_each_box() -> None:
    tracks = Tracks(np.array([3, 1]), np.array([0, 7]), np.array([[1.0, 2, 4, 6], [0, 0, 2, 2]]), np.array([0.5, 1]))
    table = tracks.to_dataframe(fps=2.0)
    assert list(table.columns) == ["frame", "seconds", "id", "x", "y", "w", "h", "centre_x", "centre_y", "score"]
    assert table.to_numpy().tolist() == [[1, 0.5, 7, 0, 0, 2, 2, 1, 1, 1], [3, 1.5, 0, 1, 2, 4, 6, 3, 5, 0.5]]
    assert len(Tracks.empty().to_dataframe()) == 0 and "seconds" not in Tracks.empty().to_dataframe()
