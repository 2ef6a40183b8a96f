"""``sqair experiments benchmarks``: what sets are tested with, the floor, and the table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sqair.scripts.experiments import benchmarks
from sqair.scripts.experiments.benchmarks import (
    CROWDS,
    SETS,
    Args,
    make_training_set,
    measure_floor,
    recipe_of,
    table,
    tracks_of,
)
from sqair.tracks import Tracks

RECIPES = {name: recipe_of(name) for name in SETS}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three clips, or a stream of 60 frames."""
    for name, plan in SETS.items():
        fewer = {"clips": 12} if plan.length is None else {"length": 240}
        monkeypatch.setitem(SETS, name, replace(plan, **fewer))
    monkeypatch.setattr(benchmarks, "TRAINING", 100)


@pytest.mark.parametrize("name", ["spmot", "vmds-style", "texvmds-style"])
def test_the_truth_has_full_marks_by_masks(name: str) -> None:
    test = benchmarks.Test(RECIPES[name], "val")
    scores = test.score([], test.segments)
    assert scores["mota"] == scores["motp"] == scores["mt"] == 100


@pytest.mark.parametrize("name", ["tba-sprites", "tba-mnist", "silot"])
def test_the_truth_has_full_marks_by_boxes(name: str) -> None:
    test = benchmarks.Test(RECIPES[name], "val")
    scores = test.score(test.truth, np.zeros(0))
    assert scores["mota"] == 100
    if name == "tba-mnist":
        assert all((tracks.box[:, 2:] == 28).all() for tracks in test.truth), "whole patches"


def test_boxes_of_masks_are_those_of_the_truth() -> None:
    test = benchmarks.Test(RECIPES["spmot"], "val")
    for labels, truth in zip(test.segments, test.clips.truth, strict=True):
        found = tracks_of(labels)
        assert np.array_equal(found.frame, truth.frame) and np.array_equal(found.id, truth.id)
        assert np.array_equal(found.box, truth.box)


def test_the_table_has_means_lowest_floors_and_what_is_published(tmp_path: Path) -> None:
    floor = measure_floor(str(tmp_path), "floor", "silot", "val", recipes=RECIPES)[0]
    floor.update({f"mota of {n}": 50.0 for n in CROWDS})
    scores = {"mota": 80.0, "ap": 70.0, "count_error": 0.5, **{f"mota of {n}": 60.0 for n in CROWDS}}
    runs = [
        {"key": ["model", "silot", "val", seed], "cpu_seconds": 100 + seed, "refined": {**scores, "mota": 80.0 - seed},
         "once": scores, "amortised": scores}
        for seed in range(3)
    ]  # fmt: skip
    text = table([floor, *runs], ["silot"], Args(tmp_path, split="val"))
    of = 3 * "60.0 (60.0) | "
    assert f"| silot | refined | 79.0 (78.0) | {of}70.0 (70.0) | 0.5 (0.5) | 3 | 102 |" in text
    assert f"| connected components | {floor['mota']:.1f} | 50.0 |" in text
    tried = {**runs[0], "key": [*runs[0]["key"], "--train.muon-rate", "0"]}
    text = table([floor, *runs, tried], ["silot"], Args(tmp_path, split="val", words="--train.muon-rate 0"))
    assert f"| silot | refined | 80.0 (80.0) | {of}70.0 (70.0) | 0.5 (0.5) | 1 | 100 |" in text
    assert "published: curves only" in text and "true boxes, linked by overlap" in text


def test_a_picture_shows_what_was_found_in_some_frames() -> None:
    test = benchmarks.Test(RECIPES["silot"], "val")
    image = benchmarks.picture(test.clips.frames, test.truth)
    rows, columns = benchmarks.SHOWN_CLIPS, benchmarks.SHOWN_FRAMES
    assert image.shape == (rows * 3 * 48 + 2 * (rows - 1), columns * 3 * 48 + 2 * (columns - 1), 3)
    empty = benchmarks.picture(test.clips.frames, [Tracks.concat([]) for _ in test.truth])
    assert (image != empty).any()


def test_a_training_set_is_made_once(tmp_path: Path) -> None:
    path = make_training_set(tmp_path, RECIPES["spmot"])
    assert np.load(path)["frames"].shape == (100, 10, 64, 64, 3)
    before = path.stat().st_mtime_ns
    assert make_training_set(tmp_path, RECIPES["spmot"]) == path and path.stat().st_mtime_ns == before


def test_sets_of_digits_are_made_of_those_that_are_given(tmp_path: Path) -> None:
    given = {name for name in SETS if recipe_of(name, tmp_path).idx_path == str(tmp_path)}
    assert given == {"tba-mnist", "silot"}
