"""Motion and placement, as distributions and against plain loops.

Statistical tests have fixed seeds; each comparison would fail a correct generator with probability 1e-4
(P_VALUE) if its seed were drawn anew.
"""

import numpy as np
import pytest
from scipy import stats

from sqair.datasets.digits import load_crops
from sqair.datasets.draws import Draws, pick, pick_distinct
from sqair.datasets.motion import accelerate, boxes_overlap, make_scene, pixel, place
from sqair.datasets.recipes import RECIPES, get_recipe
from sqair.datasets.walls import reflect
from sqair.errors import UserError

P_VALUE = 1e-4
FREE = [name for name in RECIPES if name not in ("parting", "together")]
"""Recipes of any number of digits, which start apart."""
SIZES = load_crops("train").size


def scene_of(name: str, n: int, seed: int = 0, **overrides):
    return make_scene(get_recipe(name, **overrides), Draws(name, "train", seed, 0, n), SIZES)


def p_value(result) -> float:
    return float(result[1])


def equiprobable(numbers: np.ndarray, choices: int) -> bool:
    counts = np.bincount(numbers, minlength=choices)
    return len(counts) == choices and p_value(stats.chisquare(counts)) > P_VALUE


def uniform(values: np.ndarray, low: float, high: float) -> bool:
    return p_value(stats.kstest(values, "uniform", args=(low, high - low))) > P_VALUE


def overlap_pairs(scene, size: np.ndarray) -> np.ndarray:
    """``[n, T]``: whether any two digits present share a pixel of their boxes."""
    n, length, k = scene.presence.shape
    found = np.zeros((n, length), bool)
    for a in range(k):
        for b in range(a):
            hit = boxes_overlap(
                scene.position[:, :, a], size[:, None, a], scene.position[:, :, b], size[:, None, b]
            )
            found |= hit & scene.presence[:, :, a] & scene.presence[:, :, b]
    return found


# Draws


def test_draws_are_uniform_and_normal():
    draws = Draws("r", "train", 0, 0, 2000)
    u, z = draws.uniform("a", 6), draws.normal("a", 6)
    assert u.min() >= 0 and u.max() < 1
    assert uniform(u.ravel(), 0, 1)
    assert p_value(stats.kstest(z.ravel(), "norm")) > P_VALUE
    for a, b in ((0, 1), (0, 5), (2, 3)):
        assert p_value(stats.spearmanr(u[:, a], u[:, b])) > P_VALUE
    assert p_value(stats.spearmanr(u[:-1, 0], u[1:, 0])) > P_VALUE


@pytest.mark.parametrize("n", [1, 4, 7])
def test_draws_of_a_clip_do_not_depend_on_the_range(n):
    whole = Draws("r", "train", 3, 0, 50).uniform("x", n)
    for start, count in ((0, 1), (7, 13), (49, 1), (20, 0)):
        assert np.array_equal(
            Draws("r", "train", 3, start, count).uniform("x", n), whole[start : start + count]
        )
    far = Draws("r", "train", 3, 10**9, 2).uniform("x", n)
    assert np.array_equal(far[1:], Draws("r", "train", 3, 10**9 + 1, 1).uniform("x", n))


def test_draws_differ_by_recipe_split_seed_and_purpose():
    base = ("r", "train", 0, "x")
    others = [("s", "train", 0, "x"), ("r", "val", 0, "x"), ("r", "train", 1, "x"), ("r", "train", 0, "y")]
    u = [Draws(name, split, seed, 0, 2000).uniform(of, 1)[:, 0] for name, split, seed, of in (base, *others)]
    for other in u[1:]:
        assert p_value(stats.spearmanr(u[0], other)) > P_VALUE


def test_pick():
    u = Draws("r", "train", 0, 0, 9000).uniform("p", 3)
    assert equiprobable(pick(u[:, 0], 7), 7)
    chosen = pick_distinct(u, 4)
    assert equiprobable(np.unique(chosen @ [16, 4, 1], return_inverse=True)[1], 24)
    assert all(len(set(row)) == 3 for row in chosen.tolist())


# moving-mnist


def test_moving_mnist_numbers_velocities_and_places():
    """Single digits are free of one another, so their places are uniform over what the canvas allows."""
    scene = scene_of("moving-mnist", 9000)
    number = (scene.which >= 0).sum(1)
    assert equiprobable(number, 3)
    assert np.array_equal(scene.presence.sum(-1), np.repeat(number[:, None], 10, 1))
    one = np.flatnonzero(number == 1)
    assert equiprobable(scene.which[one, 0] * 8 // len(SIZES), 8)
    room = 50 - SIZES[scene.which[one, 0]]
    for axis in (0, 1):
        assert uniform(scene.position[one, 0, 0, axis] / room[:, axis], 0, 1)
    moved = np.abs(np.diff(scene.position, axis=1))
    free = (scene.position[:, :1] > 5) & (scene.position[:, :1] < 50 - SIZES[scene.which][:, None] - 5)
    speed = moved[:, 0][free[:, 0] & scene.presence[:, 0, :, None]]
    assert uniform(speed, 0, 4)


def test_velocities_have_no_favourite_direction():
    scene = scene_of("moving-mnist", 9000, min_objects=1, max_objects=1)
    start, step = scene.position[:, 0, 0], np.diff(scene.position, axis=1)[:, 0, 0]
    room = 50 - SIZES[scene.which[:, 0]]
    free = ((start > 5) & (start < room - 5)).all(1)
    assert uniform(step[free, 0], -4, 4) and uniform(step[free, 1], -4, 4)
    assert p_value(stats.spearmanr(step[free, 0], step[free, 1])) > P_VALUE


@pytest.mark.parametrize(("speed", "canvas"), [(4.0, 50), (300.0, 50), (7.0, 21)])
def test_moving_mnist_stays_inside(speed, canvas):
    most = 1 if canvas < 40 else 2
    scene = scene_of(
        "moving-mnist", 300, speed=speed, height=canvas, width=canvas + 9, max_objects=most, length=40
    )
    corner, size = pixel(scene.position), SIZES[scene.which][:, None]
    inside = (corner >= 0) & (corner + size <= [canvas + 9, canvas])
    assert inside[scene.presence].all()


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("most", [2, 3])
def test_no_overlap_in_frame_0(name, most):
    scene = scene_of(name, 600, max_objects=most)
    overlap = overlap_pairs(scene, SIZES[scene.which])
    assert not overlap[:, 0].any()
    assert overlap[:, 5].mean() > 0.03  # the check can see overlaps


def placed_by_loop(rng: np.random.Generator, n: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Two digits and places per clip as the published script finds them, on a map of what is taken."""
    which, where = np.zeros((n, 2), int), np.zeros((n, 2, 2))
    for i in range(n):
        while True:
            which[i] = rng.choice(len(SIZES), 2, replace=False)
            taken = np.zeros((side, side), bool)
            tries = 0
            for j in range(2):
                while True:
                    w, h = SIZES[which[i, j]]
                    where[i, j] = np.rint(rng.random(2) * (side - SIZES[which[i, j]]))
                    x, y = where[i, j].astype(int)
                    free = not taken[y : y + h, x : x + w].any()
                    if free or tries == 5:
                        break
                    tries += 1
                taken[y : y + h, x : x + w] = True
            if tries < 5:
                break
    return which, where


@pytest.mark.parametrize("side", [50, 32])
def test_places_are_those_of_the_published_script(side):
    """Where it is crowded, how often a place is drawn before new digits are decides which are shown."""
    recipe = get_recipe("sqair-script", height=side, width=side)
    number = np.full(4000, 2)
    which, where = place(
        recipe, Draws("sqair-script", "train", 1, 0, 4000), number, SIZES, np.array([side, side])
    )
    theirs_which, theirs = placed_by_loop(np.random.default_rng(0), 4000, side)
    where = np.rint(where)
    for ours, other in (
        (SIZES[which][:, :, 0].sum(1), SIZES[theirs_which][:, :, 0].sum(1)),
        (
            np.linalg.norm(where[:, 0] - where[:, 1], axis=1),
            np.linalg.norm(theirs[:, 0] - theirs[:, 1], axis=1),
        ),
        (where[:, 0, 0], theirs[:, 0, 0]),
        (where[:, 1, 1], theirs[:, 1, 1]),
    ):
        assert p_value(stats.ks_2samp(ours, other)) > P_VALUE


def bounced(position: float, velocity: float, room: float, time: float) -> float:
    """From wall to wall, one bounce after the other."""
    while room and velocity:
        wall = room if velocity > 0 else 0.0
        until = (wall - position) / velocity
        if until >= time:
            return position + velocity * time
        position, velocity, time = wall, -velocity, time - until
    return position


def test_reflect_goes_from_wall_to_wall():
    rng = np.random.default_rng(0)
    room = rng.integers(0, 30, (40, 2, 2))
    start, velocity = rng.random((40, 2, 2)) * room, rng.uniform(-9, 9, (40, 2, 2))
    path = reflect(start, velocity, room, np.arange(12)[None, :, None])
    for i, k, axis in np.ndindex(room.shape):
        p, v, far = (float(of[i, k, axis]) for of in (start, velocity, room))
        own = [bounced(p, v, far, t) for t in range(12)]
        assert np.abs(path[i, :, k, axis] - own).max() < 1e-9


@pytest.mark.parametrize("overrides", [{"height": 15}, {"width": 15}, {"digit_size": 90}])
@pytest.mark.parametrize("name", FREE)
def test_digits_larger_than_the_canvas(name, overrides):
    size = load_crops("test", overrides.get("digit_size", 28)).size
    with pytest.raises(UserError, match="digit_size smaller or the canvas larger"):
        make_scene(get_recipe(name, **overrides), Draws(name, "test", 0, 0, 8), size)


@pytest.mark.parametrize("name", FREE)
def test_crowded_canvas(name, monkeypatch):
    monkeypatch.setattr("sqair.datasets.motion.ROUNDS", 50)
    recipe = get_recipe(name, min_objects=9, max_objects=9, max_digits=9, length=1)
    with pytest.raises(UserError, match="fewer objects, smaller digits or a larger canvas"):
        make_scene(recipe, Draws(name, "train", 0, 0, 8), SIZES)


# sqair-script


def test_accelerate_is_the_published_motion():
    """Against a loop over digits and axes, one number at a time."""
    recipe, rng = get_recipe("sqair-script", acceleration_noise=0.5), np.random.default_rng(0)
    n, length = 60, 30
    start, velocity = rng.uniform(0, 50, (n, 1, 2)), rng.uniform(-10, 10, (n, 1, 2))
    acceleration, noise = rng.uniform(-3, 3, (n, 1, 2)), rng.normal(0, 0.5, (n, 1, length, 2))
    path = accelerate(start, velocity, acceleration, noise, np.array([50, 50]), recipe)
    for i in range(n):
        for axis in (0, 1):
            p, v = start[i, 0, axis], velocity[i, 0, axis]
            a = np.clip(acceleration[i, 0, axis] + noise[i, 0, 0, axis], -3, 3)
            for t in range(1, length):
                p, v, a = p + v, v + a, a + noise[i, 0, t, axis]
                if p < 0 or p > 50:
                    p, v, a = (-p if p < 0 else 100 - p), -v, -a
                v, a = min(max(v, -10), 10), min(max(a, -3), 3)
                assert path[i, t, 0, axis] == pytest.approx(p, abs=1e-9)


def test_sqair_script_has_the_measured_statistics():
    """Figures of 6000 clips made by the published script.

    They are of unrounded boxes. Tolerances are half of the last digit printed plus 4 standard errors of their
    sample and ours together (clips are independent), so each fails by chance with probability 1e-4 at most.
    """
    n = 20000
    scene = scene_of("sqair-script", n)
    size, there = SIZES[scene.which][:, None], scene.presence
    left = np.clip(np.minimum(scene.position + size, 50) - np.maximum(scene.position, 0), 0, None)
    visible = left.prod(-1) / size.prod(-1)
    published = [1.00, 0.96, 0.87, 0.78, 0.71, 0.66, 0.63, 0.61, 0.63, 0.68]
    spread = np.sqrt(1 / 6000 + 1 / n)  # each clip has one digit on average
    for t, mean in enumerate(published):
        of_t = visible[:, t][there[:, t]]
        assert of_t.mean() == pytest.approx(mean, abs=0.005 + 4 * of_t.std() * spread)
    assert np.diff([visible[:, t][there[:, t]].mean() for t in range(8)]).max() < 0

    def fraction(of: np.ndarray, expected: float, digit: float) -> None:
        per_clip = (of & there).sum((1, 2)) / there.sum((1, 2)).mean()
        assert per_clip.mean() == pytest.approx(expected, abs=digit + 4 * per_clip.std() * spread)

    fraction(visible <= 0.5, 0.25, 0.005)
    fraction(visible <= 0.25, 0.14, 0.005)
    fraction(visible == 0, 0.002, 0.0005)
    moved = np.linalg.norm(np.diff(scene.position, axis=1), axis=-1)[there[:, 1:]]
    assert moved.mean() == pytest.approx(9.3, abs=0.05 + 4 * 3 * spread)
    assert np.median(moved) == pytest.approx(10.1, abs=0.05 + 4 * 3 * spread)
    two = (scene.which >= 0).all(1)
    corner, extent = scene.position[two], size[two]
    shared = np.minimum(corner[:, :, 0] + extent[:, :, 0], corner[:, :, 1] + extent[:, :, 1])
    shared = np.clip(shared - np.maximum(corner[:, :, 0], corner[:, :, 1]), 0, None).prod(-1)
    iou = shared / (extent.prod(-1).sum(-1) - shared)
    assert not (shared[:, 0] > 0).any()
    spread_two = np.sqrt(3) * spread
    assert (shared[:, 1:] > 0).mean() == pytest.approx(0.32, abs=0.005 + 4 * 0.25 * spread_two)
    assert (iou > 0.2).mean() == pytest.approx(0.09, abs=0.005 + 4 * 0.15 * spread_two)


def test_sqair_script_leaves_at_the_far_edges_only_and_keeps_its_count():
    scene = scene_of("sqair-script", 2000)
    assert equiprobable((scene.which >= 0).sum(1), 3)
    assert (scene.presence == (scene.which >= 0)[:, None]).all()
    assert scene.position[scene.presence].min() >= 0 and scene.position[scene.presence].max() <= 50


# birth-death


def test_lives():
    scene = scene_of("birth-death", 6000)
    n, length, k = scene.presence.shape
    assert k == 3
    edges = np.diff(np.pad(scene.presence.astype(int), ((0, 0), (1, 1), (0, 0))), axis=1)
    assert ((edges == 1).sum(1) == (scene.which >= 0)).all()  # one interval for each digit
    life = scene.presence.sum(1)[scene.which >= 0]
    assert life.min() == 3 and life.max() == length
    assert scene.presence.sum(2).max() == 2
    assert equiprobable((scene.which >= 0).sum(1), 4)
    births, deaths = (edges == 1).sum((0, 2)), (edges == -1).sum((0, 2))
    assert (births[1:-3] > 0.04 * n).all() and (births[-3:] == 0).all()
    assert (deaths[3:-1] > 0.04 * n).all() and (deaths[:3] == 0).all()
    first = np.bincount(scene.presence[:, 0].sum(1), minlength=3) / n
    assert first.min() > 0.15
    for t in (0, 5, 9):
        assert np.bincount(scene.presence[:, t].sum(1), minlength=3).min() > 0.1 * n


def test_nobody_is_born_onto_another():
    scene = scene_of("birth-death", 3000)
    overlap = overlap_pairs(scene, SIZES[scene.which])
    born = scene.presence.copy()
    born[:, 1:] &= ~scene.presence[:, :-1]
    assert not (overlap & born.any(2)).any()
    assert overlap.any(1).mean() > 0.1


def test_birth_death_moves_like_moving_mnist():
    scene = scene_of("birth-death", 3000, min_objects=0, max_objects=1, max_digits=1)
    inside = (pixel(scene.position) >= 0) & (pixel(scene.position) + SIZES[scene.which][:, None] <= 50)
    assert inside[scene.presence].all()
    alive = np.flatnonzero(scene.presence.any((1, 2)))
    birth = scene.presence[alive, :, 0].argmax(1)
    start, after = scene.position[alive, birth, 0], scene.position[alive, birth + 1, 0]
    room = 50 - SIZES[scene.which[alive, 0]]
    for axis in (0, 1):
        assert uniform(start[:, axis] / room[:, axis], 0, 1)
        free = (start[:, axis] > 5) & (start[:, axis] < room[:, axis] - 5)
        assert uniform((after - start)[free, axis], -4, 4)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
@pytest.mark.parametrize("name", FREE)
def test_short_clips(name, length):
    scene = scene_of(name, 200, length=length)
    assert scene.presence.shape[1] == length
    assert set((scene.presence[:, 0]).sum(1).tolist()) == {0, 1, 2}


@pytest.mark.parametrize("name", FREE)
def test_no_objects(name):
    scene = scene_of(name, 5, max_objects=0)
    assert scene.presence.shape == (5, 10, 0)


@pytest.mark.parametrize("name", FREE)
def test_fixed_number_of_objects(name):
    scene = scene_of(name, 50, min_objects=2, max_objects=2)
    assert (scene.presence.sum(2) == 2).all()


def test_impossible_lives():
    recipe = get_recipe("birth-death", max_objects=1, max_digits=9, length=30)
    with pytest.raises(UserError, match="lower min_objects or max_digits"):
        make_scene(recipe, Draws("birth-death", "train", 0, 0, 40), SIZES)
