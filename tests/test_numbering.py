"""The numbers that frames have by the names of their images."""

import numpy as np
import pytest

from sqair.datasets.images import write_png
from sqair.datasets.numbering import frame_numbers
from sqair.datasets.video import read_source


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["a1", "a2", "a3"], [0, 1, 2]),
        (["000000", "000001", "000002"], [0, 1, 2]),
        (["000001", "000002"], [0, 1]),
        (["cam2_9", "cam2_10"], [8, 9]),
        (["x", "y", "z"], [0, 1, 2]),
        (["only7"], [0]),
    ],
)
def test_numbers_that_count_up_need_no_word(capsys, names, numbers):
    assert frame_numbers("plain", names) == numbers
    said = capsys.readouterr().out
    assert said == ("plain: files are numbered 9 to 10: rows bear these numbers\n" if names[0] == "cam2_9" else "")


@pytest.mark.parametrize(
    ("names", "numbers", "said"),
    [
        (["1", "2", "5"], [0, 1, 4], "files are numbered 1 to 5, with 2 missing: rows bear these numbers"),
        (["0", "2", "3"], [0, 2, 3], "files are numbered 0 to 3, with 1 missing: file 0 is frame 1"),
        (["f1", "f4", "f7"], [0, 3, 6], "files are numbered 1 to 7 in steps of 3: rows bear these numbers"),
        (["301", "302"], [300, 301], "files are numbered 301 to 302: rows bear these numbers"),
        (["a1", "b2"], [0, 1], ""),
        (["t1_5", "t2_7"], [0, 1], "names differ in 2 numbers: frames are counted from 1"),
        (["1", "01"], [0, 1], ""),
        (["1", "01", "2"], [0, 1, 2], "number 1 is there twice: frames are counted from 1"),
        (
            ["1700000000123", "1700000000156"],
            [0, 1],
            "numbers in names go to 1700000000156, as times and dates do: frames are counted from 1",
        ),
        (
            ["5", "99999"],
            [0, 1],
            "2 files are numbered 5 to 99999, too sparse to count frames: frames are counted from 1",
        ),
    ],
)
def test_other_numbers_are_said(capsys, names, numbers, said):
    path = "/".join(names)  # a line is said once
    assert frame_numbers(path, names) == numbers
    assert capsys.readouterr().out == (f"{path}: {said}\n" if said else "")


def write_images(folder, numbers, form="{:06d}.png"):
    folder.mkdir(parents=True)
    for number in numbers:
        write_png(folder / form.format(number), np.full((4, 5), number, np.uint8))


def test_frames_bear_the_numbers_of_their_files_and_the_times_that_follow(tmp_path):
    write_images(tmp_path / "gap", [1, 2, 5])
    (clip,) = read_source(tmp_path / "gap")
    assert clip.length == 5, "frames that are missing have their places"
    frames = [(frame.image[0, 0], frame.number, frame.seconds) for frame in clip.stamped()]
    assert frames == [(1, 0, 0), (2, 1, 0.1), (5, 4, 0.4)]


def test_a_motchallenge_sequence_with_gaps(tmp_path):
    write_images(tmp_path / "A" / "img1", [1, 2, 5])
    info = "[Sequence]\nframeRate=20\n"
    (tmp_path / "A" / "seqinfo.ini").write_text(info)
    (clip,) = read_source(tmp_path / "A")
    assert [(frame.number, frame.seconds) for frame in clip.stamped()] == [(0, 0), (1, 0.05), (4, 0.2)]


def test_the_images_of_a_sequence_are_where_its_seqinfo_says(tmp_path):
    write_images(tmp_path / "A" / "frames", [1, 2])
    write_images(tmp_path / "B" / "img1", [1, 2, 3])
    (tmp_path / "A" / "seqinfo.ini").write_text("\ufeff[Sequence]\nimDir=frames\nframeRate=20\n", encoding="utf-8")
    clips = read_source(tmp_path)
    assert [(clip.name, clip.fps, len(list(clip.frames()))) for clip in clips] == [("A", 20, 2), ("B", 10, 3)]
    (clip,) = read_source(tmp_path / "A")
    assert len(list(clip.frames())) == 2


def test_times_as_names_cost_what_frames_cost(tmp_path):
    write_images(tmp_path / "clock", [1, 2, 3], "17000000000{}.png")
    (clip,) = read_source(tmp_path / "clock")
    assert clip.length == 3
    assert [frame.number for frame in clip.stamped()] == [0, 1, 2]
