"""Ranges of values told from frames, and the uint8 that is made by them."""

import numpy as np
import pytest

from sqair.datasets.depth import to_uint8, told_range
from sqair.datasets.video import read_source
from sqair.errors import UserError

random = np.random.default_rng(0)


def clip(low: float, high: float, kind: type = np.uint16, length: int = 4) -> np.ndarray:
    """``[T, 30, 40]`` of values from ``low`` to ``high``, of which both are there in blocks of four pixels."""
    frames = random.uniform(low, high, (length, 30, 40))
    frames[:, :2, :2], frames[:, 4:6, 4:6] = low, high
    return frames.astype(kind)


@pytest.mark.parametrize(
    ("low", "high", "kind", "expected"),
    [
        (0, 255, np.uint16, (0, 255)),
        (3, 900, np.uint16, (0, 1023)),
        (0, 4080, np.uint16, (0, 4095)),
        (0, 4096, np.uint16, (0, 4095)),
        (100, 5000, np.uint16, (0, 16383)),
        (0, 65535, np.uint16, (0, 65535)),
        (0, 17000, np.uint16, (0, 65535)),
        (30000, 31000, np.uint16, (30000, 31000)),
        (0, 40, np.uint16, (0, 40)),
        (-200, 3000, np.int16, (-200, 3000)),
        (0, 3000, np.int32, (0, 4095)),
        (0, 2**20, np.uint32, (0, 2**20)),
        (0, 1, np.float32, (0, 1)),
        (-0.01, 1.01, np.float64, (0, 1)),
        (-1, 1, np.float32, (-1, 1)),
        (0, 255, np.float32, (0, 255)),
        (0, 65535, np.float32, (0, 65535)),
        (0.5, 0.625, np.float32, (0.5, 0.625)),
        (0, 200, np.uint8, (0, 255)),
        (0, 1, np.uint8, (0, 1)),
    ],
)
def test_told_ranges(low, high, kind, expected):
    assert told_range(clip(low, high, kind)) == expected


def test_truth_values():
    assert told_range(random.random((2, 4, 5)) > 0.5) == (0, 1)
    assert told_range(np.zeros((2, 4, 5), bool)) == (0, 1)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32])
def test_a_clip_of_one_value_has_a_range(kind):
    for value in (0, 7):
        low, high = told_range(np.full((2, 4, 5), value, kind))
        assert low < high


def test_hot_and_dead_pixels_decide_nothing():
    frames = clip(500, 3000)
    frames[:, 20, 20], frames[:, 20, 30] = 65535, 0
    assert told_range(frames) == (0, 4095)
    large = np.full((2, 1000, 1000), 500, np.uint16)
    large[:, 100:400, 100] = 3000
    large[:, 500, 500:509] = 65535  # a defect of nine pixels of a million
    assert told_range(large) == (0, 4095)


def test_a_small_bright_object_counts():
    frames = np.full((4, 200, 200), 100, np.uint16)
    frames[2, 50:52, 60:62] = 4000
    assert told_range(frames) == (0, 4095)


def test_what_comes_late_counts():
    """The range is of frames spread over all of a clip: objects appear in its last quarter."""
    frames = np.full((40, 20, 20), 90, np.uint16)
    frames[30:, 5:9, 5:9] = 3000
    assert told_range(frames) == (0, 4095)


def test_the_whole_of_sixteen_bits_is_divided_by_257():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(to_uint8(values, (0, 65535)), np.rint(values / 257))
    np.testing.assert_array_equal(to_uint8(np.uint16(257) * np.arange(256, dtype=np.uint16), (0, 65535)), range(256))


def test_beyond_the_range_is_black_or_white():
    for kind in (np.int16, np.int32, np.float16, np.float32, np.float64):
        values = np.array([[-300, 0, 50, 100, 20000]], kind)
        assert to_uint8(values, (0, 100)).tolist() == [[0, 0, 128, 255, 255]]
    assert to_uint8(np.array([[0, 50, 100, 255]], np.uint8), (50, 100)).tolist() == [[0, 0, 255, 255]]
    assert to_uint8(np.array([[0, 50, 100, 20000]], np.uint16), (-100, 100)).tolist() == [[128, 191, 255, 255]]


def test_uint8_is_as_it_is():
    frame = random.integers(0, 256, (4, 5), dtype=np.uint8)
    assert to_uint8(frame, (0, 255)) is frame


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused_with_their_place(value):
    frames = np.zeros((2, 4, 5), np.float32)
    frames[1, 2, 3] = value
    with pytest.raises(UserError, match=f"the value at x 3, y 2 is {value}"):
        to_uint8(frames[1], (0, 1))
    with pytest.raises(UserError, match="x 3, y 2"):
        told_range(frames)


def test_a_range_is_two_numbers_the_lower_one_first(tmp_path):
    np.save(tmp_path / "a.npy", clip(0, 900))
    for shown in ((5, 5), (9, 3), (0, float("nan")), (float("-inf"), 3)):
        with pytest.raises(UserError, match="--range .*: it takes two numbers, the lower one first"):
            read_source(tmp_path / "a.npy", shown=shown)
