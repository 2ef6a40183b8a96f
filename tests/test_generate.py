"""Generated clips: reproducible, and their truth is what the pixels say."""

import hashlib
import time

import numpy as np
import pytest

from sqair.datasets.digits import load_crops
from sqair.datasets.draws import Draws
from sqair.datasets.generate import Clips, make_clips
from sqair.datasets.motion import Scene, make_scene, pixel
from sqair.datasets.recipes import RECIPES, Recipe, get_recipe
from sqair.errors import UserError


def scene_of(recipe: Recipe, split: str, n: int) -> Scene:
    return make_scene(recipe, Draws(recipe.name, split, 0, 0, n), load_crops(split, recipe.digit_size).size)


def alone(
    recipe: Recipe, scene: Scene, split: str, i: int, t: int, k: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Digit k by itself: the canvas, its whole box, and its number of non-zero pixels inside and outside."""
    crops = load_crops(split, recipe.digit_size)
    w, h = crops.size[scene.which[i, k]]
    x, y = pixel(scene.position[i, t, k])
    margin = 100
    wide = np.zeros((recipe.height + 2 * margin, recipe.width + 2 * margin), np.uint8)
    wide[margin + y : margin + y + h, margin + x : margin + x + w] = crops.image[scene.which[i, k], :h, :w]
    canvas = wide[margin : margin + recipe.height, margin : margin + recipe.width]
    return canvas, np.array([x, y, w, h]), int(np.count_nonzero(wide))


@pytest.mark.parametrize(
    "recipe",
    [
        *RECIPES.values(),
        get_recipe("sqair-script", height=31, width=70, digit_size=20, max_objects=3, length=15),
        get_recipe("birth-death", height=64, width=40, digit_size=41, length=12, speed=9.0),
    ],
    ids=lambda r: f"{r.name}-{r.width}x{r.height}",
)
def test_frames_and_truth_are_those_of_digits_painted_one_by_one(recipe):
    n = 60
    clips, scene = make_clips(recipe, "val", 0, 0, n), scene_of(recipe, "val", n)
    seen_partly = 0
    for i in range(n):
        rows = {(t, k): r for r, (t, k) in enumerate(zip(*clips_key(clips.truth[i]), strict=True))}
        whole = {(t, k): r for r, (t, k) in enumerate(zip(*clips_key(clips.full[i]), strict=True))}
        assert set(whole) == {(t, k) for t, k in np.argwhere(scene.presence[i]).tolist()}
        for t in range(recipe.length):
            frame = np.zeros((recipe.height, recipe.width), np.uint8)
            for k in np.flatnonzero(scene.presence[i, t]).tolist():
                canvas, box, ink = alone(recipe, scene, "val", i, t, k)
                frame = np.maximum(frame, canvas)
                y, x = np.nonzero(canvas)
                full = clips.full[i]
                assert np.array_equal(full.box[whole[t, k]], box)
                assert full.visibility[whole[t, k]] == len(x) / ink
                if not len(x):
                    assert (t, k) not in rows
                    continue
                truth, r = clips.truth[i], rows.pop((t, k))
                tight = [x.min(), y.min(), x.max() + 1 - x.min(), y.max() + 1 - y.min()]
                assert np.array_equal(truth.box[r], tight)
                assert truth.visibility[r] == len(x) / ink
                assert truth.score[r] == (len(x) >= ink / 4)
                seen_partly += len(x) < ink
            assert np.array_equal(clips.frames[i, t], frame)
        assert not rows
    assert (seen_partly > 0) == (recipe.name == "sqair-script")
    assert np.array_equal(clips.presence, scene.presence)
    assert np.array_equal(clips.count, scene.presence.sum(2))
    labels = load_crops("val", recipe.digit_size).label
    assert np.array_equal(clips.labels, np.where(scene.which < 0, -1, labels[scene.which]))


def clips_key(tracks) -> tuple[list[int], list[int]]:
    return tracks.frame.tolist(), tracks.id.tolist()


def same(a: Clips, b: Clips, part: slice = slice(None)) -> bool:
    """Whether ``a`` equals the ``part`` of ``b``."""
    arrays = all(
        np.array_equal(getattr(a, name), getattr(b, name)[part])
        for name in ("frames", "count", "presence", "labels")
    )
    tracks = all(
        np.array_equal(getattr(p, column), getattr(q, column))
        for name in ("truth", "full")
        for p, q in zip(getattr(a, name), getattr(b, name)[part], strict=True)
        for column in ("frame", "id", "box", "score", "visibility")
    )
    return arrays and tracks


@pytest.mark.parametrize("name", RECIPES)
def test_a_clip_is_the_same_whatever_range_it_is_drawn_in(name):
    recipe = get_recipe(name, **({} if name in ("parting", "together") else {"max_objects": 3}))
    whole = make_clips(recipe, "train", 5, 0, 70)
    for start, count in ((0, 70), (0, 1), (13, 1), (31, 33), (69, 1), (4, 0)):
        assert same(make_clips(recipe, "train", 5, start, count), whole, slice(start, start + count))


@pytest.mark.parametrize("name", RECIPES)
def test_truth_does_not_change_the_frames(name):
    recipe = get_recipe(name)
    plain, full = make_clips(recipe, "train", 0, 0, 20, truth=False), make_clips(recipe, "train", 0, 0, 20)
    assert np.array_equal(plain.frames, full.frames) and np.array_equal(plain.count, full.count)
    assert plain.truth == [] and plain.full == []


def test_clips_differ_by_split_seed_recipe_and_index():
    kinds = [
        make_clips(get_recipe(name), split, seed, start, 40, truth=False).frames
        for name, split, seed, start in (
            ("moving-mnist", "train", 0, 0),
            ("moving-mnist", "val", 0, 0),
            ("moving-mnist", "test", 0, 0),
            ("moving-mnist", "train", 1, 0),
            ("moving-mnist", "train", 0, 40),
            ("sqair-script", "train", 0, 0),
            ("birth-death", "train", 0, 0),
        )
    ]
    clips = [clip.tobytes() for frames in kinds for clip in frames if clip.any()]
    assert len(clips) > 150 and len(set(clips)) == len(clips)


@pytest.mark.parametrize(
    ("name", "digest"),
    [("moving-mnist", "8f85473feb42"), ("sqair-script", "33b486570199"), ("birth-death", "378060f1c357")],
)
def test_clips_never_change(name, digest):
    frames = make_clips(get_recipe(name), "test", 0, 0, 100, truth=False).frames
    assert hashlib.sha256(frames.tobytes()).hexdigest()[:12] == digest


def test_a_longer_clip_of_moving_mnist_begins_as_the_shorter_one():
    short, long = (make_clips(get_recipe("moving-mnist", length=n), "test", 0, 0, 30) for n in (10, 100))
    assert np.array_equal(long.frames[:, :10], short.frames)


def test_only_digits_of_the_split_are_shown():
    recipe = get_recipe("moving-mnist", min_objects=1, max_objects=1)
    for split in ("train", "val", "test"):
        crops, scene = load_crops(split), scene_of(recipe, split, 50)
        clips = make_clips(recipe, split, 0, 0, 50)
        for i in range(50):
            x, y, w, h = clips.truth[i].box[0].astype(int)
            shown = clips.frames[i, 0, y : y + h, x : x + w]
            assert np.array_equal(shown, crops.image[scene.which[i, 0], :h, :w])


def test_fast_enough_to_feed_training():
    """A frame takes a few times what adding one more picture to it does, by turns, whatever else the machine does."""
    recipe = get_recipe("moving-mnist")
    frames = make_clips(recipe, "train", 0, 0, 32, truth=False).frames.reshape(-1, 50, 50)
    made, added = [], []
    for i in range(20):
        start = time.process_time()
        make_clips(recipe, "train", 0, 32 * i, 32, truth=False)
        between = time.process_time()
        for frame in frames:
            np.maximum(frame, frames[0], out=frame)
        made.append(between - start)
        added.append(time.process_time() - between)
    assert min(made) < 40 * min(added)


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("moving-mnits", {}, r"did you mean 'moving-mnist'\?.*moving-mnist, sqair-script, birth-death"),
        ("moving-mnist", {"lenght": 3}, r"did you mean 'length'\?.*height, width"),
        ("moving-mnist", {"name": "other"}, "no 'name'"),
        ("moving-mnist", {"length": 0}, "length is 0: it must be at least 1"),
        ("moving-mnist", {"length": 2.5}, "length is 2.5: it must be a whole number"),
        ("moving-mnist", {"width": True}, "width is True: it must be a whole number"),
        ("moving-mnist", {"speed": "fast"}, "speed is 'fast': it must be a number"),
        ("moving-mnist", {"speed": float("nan")}, "speed is nan"),
        ("moving-mnist", {"speed": -1}, "speed is -1: it must be at least 0"),
        ("moving-mnist", {"min_objects": 3}, "min_objects 3 is more than max_objects 2"),
        ("birth-death", {"max_digits": 1}, "max_digits 1 is less than max_objects 2"),
    ],
)
def test_bad_recipe(name, overrides, message):
    with pytest.raises(UserError, match=message):
        get_recipe(name, **overrides)


def test_bad_request():
    recipe = get_recipe("moving-mnist")
    with pytest.raises(UserError, match="train, val, test"):
        make_clips(recipe, "valid", 0, 0, 1)
    with pytest.raises(UserError, match="do not exist"):
        make_clips(recipe, "val", 0, -1, 3)
