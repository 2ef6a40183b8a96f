"""What is measured of a model's knowledge: intervals, predictions, read-outs, changes."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import TINY, spots, tiny_model
from sqair.datasets.changes import variations
from sqair.datasets.recipes import get_recipe
from sqair.errors import UserError
from sqair.eval import readouts
from sqair.eval.accounts import Account, accounts, joined, matched
from sqair.eval.changes import apart, change, presence
from sqair.eval.intervals import over_clips, wilson
from sqair.eval.prediction import METHODS, predictions, shifted
from sqair.eval.readouts import Looks, ReadOut, looks, pairs, random_pairs, sums_by_class
from sqair.tracks import Tracks


def account(clip: list[int], frame: list[int], identity: list[int], box: list[list[float]], shape: tuple) -> Account:
    """Objects with boxes, on canvases of ``shape [N, T, C, H, W]``; z_what is the middle of the box."""
    boxes = np.array(box, np.float64)
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    ones = np.ones_like
    where = np.concatenate([centre, boxes[:, 2:]], 1)
    return Account(
        np.zeros(shape, np.float32), np.array(clip), np.array(frame), np.array(identity), centre, 2 * ones(centre),
        where, ones(where), centre, boxes[:, 2:], boxes,
    )  # fmt: skip


def tracks(frame: list[int], identity: list[int], box: list[list[float]]) -> Tracks:
    return Tracks(np.array(frame), np.array(identity), np.array(box))


def test_intervals_of_means_cover_them() -> None:
    """Of 200 normal samples of 40 the intervals hold the mean in 95 %: fewer than 88 % has probability 1e-4."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        figure = over_clips(random.normal(3.0, 2.0, 40))
        assert figure.low < figure.value < figure.high and figure.number == 40
        held += figure.low < 3.0 < figure.high
    assert 0.88 < held / 200 <= 1


def test_a_mean_weighs_clips_by_what_they_have() -> None:
    figure = over_clips(np.array([1.0, 6.0, 0.0]), np.array([1.0, 3.0, 0.0]))
    assert figure.value == 7 / 4 and figure.number == 2
    assert (figure.low, figure.high) == (1.0, 2.0)
    assert over_clips(np.ones(9)) == (1.0, 1.0, 1.0, 9)
    assert over_clips(np.arange(9.0), seed=1) == over_clips(np.arange(9.0), seed=1)
    with pytest.raises(UserError, match="nothing"):
        over_clips(np.zeros(3), np.zeros(3))


def test_wilson_s_interval_is_the_textbook_s() -> None:
    share = wilson(7, 10)  # R: prop.test(7, 10, correct = FALSE)
    assert share[:3] == pytest.approx((0.7, 0.3967781, 0.8922087), abs=1e-6)
    assert wilson(20, 20)[:3] == pytest.approx((1, 0.8388748, 1), abs=1e-6)
    assert wilson(0, 20).low == 0
    with pytest.raises(UserError):
        wilson(0, 0)


def test_pictures_are_moved_by_whole_pixels() -> None:
    image = np.arange(12.0).reshape(1, 3, 4)
    assert np.array_equal(shifted(image, 0, 0), image)
    right_up = shifted(image, 1, -1)[0]
    assert right_up.tolist() == [[0, 4, 5, 6], [0, 8, 9, 10], [0, 0, 0, 0]]
    assert not shifted(image, 4, 0).any() and not shifted(image, 0, -3).any()


def test_constant_velocity_moves_what_is_in_boxes() -> None:
    """A square that goes 2 to the right, another that is new, and dust that belongs to nobody."""
    clips = np.zeros((1, 5, 20, 24), np.uint8)
    for t in range(5):
        clips[0, t, 4:8, 2 + 2 * t : 6 + 2 * t] = 200
        clips[0, t, 19, 23] = 90
    clips[0, 2:, 12:16, 4:8] = 255
    box = [[4.0, 4, 4, 4], [6.0, 4, 4, 4], [4.0, 12, 4, 4]]
    told = account([0, 0, 0], [1, 2, 2], [0, 0, 1], box, (1, 5, 1, 20, 24))
    ahead = predictions(tiny_model(), clips, told, 3)
    assert set(ahead) == set(METHODS) and all(image.shape == (1, 2, 1, 20, 24) for image in ahead.values())
    np.testing.assert_allclose(ahead["constant velocity"][0, :, 0], clips[0, 3:] / 255, atol=1e-6)
    np.testing.assert_allclose(ahead["stays"][0, 1, 0], clips[0, 2] / 255, atol=1e-6)


def test_no_prediction_looks_ahead() -> None:
    model = tiny_model()
    clips = (255 * spots(TINY, 6, 2)[:, :, 0].transpose(0, 1).numpy()).astype(np.uint8)
    others = clips.copy()
    others[:, 3:] = 255 - others[:, 3:]
    ahead, same = (predictions(model, of, joined(list(accounts(model, of))), 3) for of in (clips, others))
    for name in METHODS:
        assert np.array_equal(ahead[name], same[name])


def test_accounts_are_of_the_frames_that_they_name() -> None:
    model = tiny_model()
    clips = (255 * spots(TINY, 4, 3)[:, :, 0].transpose(0, 1).numpy()).astype(np.uint8)
    told = joined(list(accounts(model, clips)))
    again = joined([next(accounts(model, clips[i : i + 1])) for i in range(3)])
    assert len(told.clip) and told.canvas.shape == (3, 4, 1, 20, 24) and told.count.sum() == len(told.clip)
    for name in ("clip", "frame", "id"):
        assert np.array_equal(getattr(told, name), getattr(again, name))
    np.testing.assert_allclose(told.what, again.what, atol=1e-4)
    assert (told.what_std > 0).all() and (told.where_std > 0).all()


def test_objects_are_whom_they_overlap() -> None:
    truth = [tracks([0, 0, 1], [4, 7, 4], [[0, 0, 10, 10], [20, 0, 10, 10], [0, 0, 10, 10]]), Tracks.empty()]
    box = [[21.0, 0, 10, 10], [0, 1, 10, 10], [6, 0, 10, 10], [0, 0, 10, 10]]
    told = account([0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0], box, (2, 2, 1, 4, 4))
    assert matched(told, truth).tolist() == [7, 4, -1, -1]


def test_boxes_that_touch_are_not_apart() -> None:
    truth = tracks([0, 0, 1, 1], [0, 1, 0, 1], [[0, 0, 9, 9], [8, 0, 9, 9], [0, 0, 9, 9], [9, 0, 9, 9]])
    assert apart([truth], 3).tolist() == [[False, True, True]]


def test_changes_are_of_the_same_object_in_the_same_frame() -> None:
    before = account([0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0], [[0.0, 0, 4, 4]] * 4, (2, 2, 1, 4, 4))
    after = account([0, 1, 1], [1, 0, 1], [0, 0, 0], [[1.0, 0, 4, 4], [0, 0, 8, 8], [9, 9, 4, 4]], (2, 2, 1, 4, 4))
    every, frames = np.ones(4, bool), np.array([[True, True], [True, False]])
    found = change(before, after, every, np.ones(3, bool), frames)
    assert found.clip.tolist() == [0, 1]
    assert found.right.tolist() == [1, 2] and found.down.tolist() == [0, 2]
    np.testing.assert_allclose(found.wider, [0, np.log(2)])
    np.testing.assert_allclose(found.what, [np.sqrt(0.5 / 4), 1])  # of two components, in deviations of 2
    np.testing.assert_allclose(found.where, [0.5, np.sqrt(10)])
    assert presence(after, np.ones(3, bool)).tolist() == [0.5, 1]
    assert not len(change(before, after, ~every, np.ones(3, bool), frames).clip)


def blobs(number: int, seed: int, classes: int = 3) -> Looks:
    """Objects of z_what around a middle for each class, two to a clip; the first class is inside of a ring."""
    random = np.random.default_rng(seed)
    label = random.integers(0, classes, number)
    angle = np.where(label == 0, 0, 2 * np.pi * random.random(number))
    radius = np.array([0.0, 2.0, 4.0])[label]
    what = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1) + 0.3 * random.normal(size=(number, 2))
    return Looks(what, np.arange(number) // 2, label)


def test_rings_are_read_by_a_network_and_not_by_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readouts, "_PASSES", 15)
    train, other = blobs(800, 0), blobs(400, 1)
    linear, network = (ReadOut(train, 3, hidden) for hidden in (0, 64))
    right = [(of.probabilities(other.what).argmax(1) == other.label).mean() for of in (linear, network)]
    assert right[0] < 0.7 and right[1] > 0.95
    two = pairs(other)
    assert two.what.shape == (200, 4) and np.array_equal(two.label, other.label[::2] + other.label[1::2])
    assert (sums_by_class(network, two) == two.label).mean() > 0.93
    direct = ReadOut(random_pairs(train), 5, 64)
    assert (direct.probabilities(two.what).argmax(1) == two.label).mean() > 0.85


def test_lines_are_read_by_a_line_and_nothing_is_read_from_noise() -> None:
    random = np.random.default_rng(0)
    label = random.integers(0, 4, 600)
    what = 3 * np.eye(4)[label] + 0.3 * random.normal(size=(600, 4))
    kept = Looks(what[:300], np.arange(300), label[:300])
    assert (ReadOut(kept, 4).probabilities(what[300:]).argmax(1) == label[300:]).mean() > 0.98
    noise = Looks(random.normal(size=(300, 4)), np.arange(300), label[:300])
    chance = (ReadOut(noise, 4).probabilities(random.normal(size=(300, 4))).argmax(1) == label[300:]).mean()
    assert chance < 0.25 + 5 * np.sqrt(0.25 * 0.75 / 300)  # 5 standard errors: fails with probability 3e-7


def test_looks_are_means_over_frames() -> None:
    box = [[0.0, 0, 2, 2], [2, 0, 2, 2], [8, 8, 2, 2], [0, 0, 2, 2]]
    told = account([0, 0, 0, 1], [0, 1, 1, 0], [0, 0, 1, 0], box, (2, 2, 1, 4, 4))
    found = looks(told, np.array([1, 1, -1, 0]), np.array([[5, 6], [7, -1]]))
    assert found.what.tolist() == [[2, 1], [1, 1]] and found.clip.tolist() == [0, 1] and found.label.tolist() == [6, 7]
    assert not len(pairs(found).clip)


def test_one_thing_changes_at_a_time() -> None:
    recipe = get_recipe("moving-mnist", length=3)
    kinds = variations(recipe, "val", 0, 6)
    first = kinds["as they are"]
    assert first.frames.shape == (6, 3, 50, 50) and all(kind.frames.dtype == np.uint8 for kind in kinds.values())
    boxes = {name: np.stack([tracks.box.reshape(3, 2, 4) for tracks in kind.truth]) for name, kind in kinds.items()}
    for name, box in boxes.items():
        assert np.array_equal(box[:, :, 1], boxes["as they are"][:, :, 1])  # the other stays where it is
        middle = box[:, :, 0, :2] + box[:, :, 0, 2:] / 2
        was = boxes["as they are"][:, :, 0, :2] + boxes["as they are"][:, :, 0, 2:] / 2
        moved = np.abs(middle - was - np.array([name.startswith("1 pixel"), 0]))
        assert moved.max() <= 0.5
        if name != "as they are":
            assert (kinds[name].frames != first.frames).any((1, 2, 3)).all(), name
    clear = apart(first.truth, 3)
    gone = kinds["taken away"].frames
    for n, t in np.argwhere(clear).tolist():
        x, y, w, h = boxes["as they are"][n, t, 0].astype(int).tolist()
        assert first.frames[n, t, y : y + h, x : x + w].any() and not gone[n, t, y : y + h, x : x + w].any()
    fainter, ratio = kinds["30% fainter"].frames, boxes["15% smaller"][:, :, 0, 2:] / boxes["as they are"][:, :, 0, 2:]
    assert (fainter <= first.frames).all()
    assert 0.75 < ratio.mean() < 0.95


@pytest.mark.parametrize(
    ("name", "more", "split", "said"),
    [
        ("birth-death", {}, "val", "alone can be changed"),
        ("moving-mnist", {"background": "grey"}, "val", "on black only"),
        ("moving-mnist", {}, "training", "choose one of train, val, test"),
    ],
)
def test_what_cannot_be_changed_is_said(name: str, more: dict, split: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        variations(get_recipe(name, **more), split, 0, 1)
