"""The experiments: what they measure, by hand and by brute force, and each of them on next to no training."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import TINY, tiny_model
from sqair.datasets.generate import Clips
from sqair.files.mot_io import write_mot
from sqair.scripts import cli
from sqair.scripts.experiments import ablation, backgrounds, pairs, pets, restarts, shapes
from sqair.scripts.experiments.looking import clutter_frames, errors, linked, look
from sqair.scripts.experiments.running import STATIC, markdown, spread, trained
from sqair.scripts.experiments.segmentation import adjusted_rand, explained_once, glimpses
from sqair.scripts.experiments.shape_clip import FEWEST, MOST, shape_clip
from sqair.scripts.experiments.study import Study
from sqair.tracker import track_clips
from sqair.tracks import Tracks

TINY_WORDS = ("--preset", "tiny", "--model.glimpse", "8", "--train.stages", "1x3x4", "3x2x2")


def test_adjusted_rand_counts_pairs() -> None:
    """Against its definition over all pairs of pixels."""
    random = np.random.default_rng(0)
    for _ in range(20):
        a, b = random.integers(0, 3, 12), random.integers(0, 4, 12)
        together = [(a[i] == a[j], b[i] == b[j]) for i, j in itertools.combinations(range(12), 2)]
        both, in_a, in_b, n = sum(p and q for p, q in together), *np.sum(together, 0), len(together)
        chance = in_a * in_b / n
        assert adjusted_rand(a, b) == pytest.approx((both - chance) / ((in_a + in_b) / 2 - chance))
    assert adjusted_rand(a, np.array(7 - a)) == 1 and adjusted_rand(np.zeros(5), np.ones(5)) == 1
    assert adjusted_rand(np.array([0, 0, 1, 1]), np.zeros(4)) == 0
    many = [adjusted_rand(random.integers(0, 2, 200), random.integers(0, 2, 200)) for _ in range(300)]
    assert abs(np.mean(many)) < 6 * np.std(many) / np.sqrt(len(many))


def halves(left: int, right: int) -> np.ndarray:
    """An image of 4 rows, of which the left 4 columns and the right 4 have a label each, and 2 between them 0."""
    return np.repeat([[left] * 4 + [0] * 2 + [right] * 4], 4, 0)


def test_whether_a_digit_is_explained_once() -> None:
    truth = halves(1, 2)
    assert explained_once(halves(5, 3), truth).tolist() == [True, True]
    assert explained_once(halves(5, 0), truth).tolist() == [True, False]  # missed
    assert explained_once(halves(5, 5), truth).tolist() == [False, False]  # shared
    split = halves(5, 3)
    split[:, 8:] = 4
    assert explained_once(split, truth).tolist() == [True, False]
    blur = np.where(truth > 0, halves(5, 3), 5)  # ink that spills over where there is no digit
    assert explained_once(blur, truth).tolist() == [True, True]
    assert explained_once(blur, 0 * truth).tolist() == []


def test_how_many_glimpses_explain_a_pair() -> None:
    truth = halves(1, 2)
    assert glimpses(halves(5, 3), truth) == "two"
    assert glimpses(halves(5, 5), truth) == "one"
    assert glimpses(halves(5, 0), truth) == "other" and glimpses(0 * truth, truth) == "other"
    assert glimpses(halves(5, 3), halves(1, 0)) == "other"  # no pair


def tracks_of(frame: list[int], ids: list[int], box: list[list[int]]) -> Tracks:
    return Tracks(np.array(frame), np.array(ids), np.array(box))


def clips_of(truth: Tracks, clutter: list[list[int]], frames: np.ndarray) -> Clips:
    none = np.zeros((1, 1), np.int64)
    return Clips(frames, none, none[None] > 0, none, [truth], [truth], np.array([clutter]))


def test_clutter_counts_where_a_box_is_no_objects() -> None:
    frames = np.zeros((1, 4, 50, 50), np.uint8)
    truth = tracks_of([0, 1], [0, 0], [[10, 10, 10, 10]] * 2)
    clips = clips_of(truth, [[12, 12, 8, 8], [40, 40, 5, 5], [0, 0, 0, 0]], frames)
    on_object = tracks_of([0], [0], [[10, 10, 10, 10]])  # the object moves over clutter: the box is its own
    assert clutter_frames(clips, [on_object]) == 0
    on_clutter = tracks_of([0, 2, 3], [0, 0, 0], [[41, 41, 3, 3], [12, 12, 8, 8], [0, 0, 4, 4]])
    assert clutter_frames(clips, [on_clutter]) == 2 / 4


def test_errors_on_objects_and_elsewhere() -> None:
    frames = np.full((1, 1, 2, 2), 255, np.uint8)
    ink = np.array([[[[9, 0], [0, 0]]]])
    canvas = np.array([[[[0.5], [1.0]], [[1.0], [0.4]]]])[None]
    on, off = errors(clips_of(Tracks.empty(), [], frames), ink, canvas)
    assert on == pytest.approx(0.25) and off == pytest.approx(0.36 / 3)


def test_looking_tracks_as_the_tracker_does() -> None:
    model = tiny_model(TINY)
    clips = np.random.default_rng(0).integers(0, 256, (3, 4, 20, 24), dtype=np.uint8)
    seen = look(model, clips)
    for mine, other in zip(seen.tracks, track_clips(model, clips), strict=True):
        for column in ("frame", "id", "box"):
            np.testing.assert_array_equal(getattr(mine, column), getattr(other, column))
    assert seen.canvas.shape == seen.behind.shape == (3, 4, 20, 24, 1) and not seen.behind.any()
    for clip in range(3):
        for t in range(4):
            assert set(np.unique(seen.segments[clip, t])) <= {0, *(1 + seen.tracks[clip].at(t).id)}
    assert seen.segments.any()


def test_linked_boxes_get_ids_by_overlap() -> None:
    boxes = [[0, 0, 9, 9], [30, 0, 9, 9], [31, 0, 9, 9], [1, 0, 9, 9]]
    found = linked(tracks_of([0, 0, 1, 1], [0, 1, 2, 3], boxes), 2)
    assert found.at(0).id.tolist() == [0, 1] and found.at(1).box[:, 0].tolist() == [1, 31]


def test_a_trained_model_is_not_trained_again(tmp_path: Path) -> None:
    model, recipe, seconds = trained(tmp_path / "run", (*TINY_WORDS, *STATIC, "--data.length", "3"))
    before = (tmp_path / "run" / "weights" / "model.safetensors").stat().st_mtime_ns
    again, _, same = trained(tmp_path / "run", (*TINY_WORDS, *STATIC, "--data.length", "3"))
    assert (tmp_path / "run" / "weights" / "model.safetensors").stat().st_mtime_ns == before and same == seconds
    assert recipe.length == 3 and not model.config.temporal.any()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert "step" in (tmp_path / "run.log").read_text()


def test_study_and_tables(tmp_path: Path) -> None:
    study = Study(tmp_path)
    study.add({"key": ["a", 1], "value": 2})
    again = Study(tmp_path)
    assert again.has("a", 1) and not again.has("a", 2) and again.get("a", 1)["value"] == 2
    assert spread([0.5, 1.0], 1) == "0.8 (0.5 to 1.0)" and spread([]) == "-"
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


@pytest.mark.parametrize("name", ["air, smooth g", "sequential, still g"])
def test_the_experiment_on_backgrounds(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    static = STATIC if name.startswith("air") else ()
    short = {schedule: (*TINY_WORDS, *static) for schedule in backgrounds.SHORT}
    monkeypatch.setattr(backgrounds, "SHORT", short)
    lines = backgrounds.run(str(tmp_path), "clutter", name, 0, 4, quick=True)
    assert 0 <= lines[0]["clutter_frames"] <= 1 and lines[0]["background_error"] < lines[0]["foreground_error"]
    text = backgrounds.table(lines)
    assert f"| clutter | {name} | 1 |" in text and "floor: blobs" in text
    backgrounds.plot_scores(lines, tmp_path / "scores.png")
    backgrounds.plot_examples(tmp_path, "clutter", tmp_path / "examples.png")
    backgrounds.plot_examples(tmp_path, "pan", tmp_path / "none.png")
    assert (tmp_path / "scores.png").exists() and (tmp_path / "examples.png").exists()
    assert not (tmp_path / "none.png").exists()


def test_the_experiment_on_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"air": ("--train.stages", "1x4x8"), "sequential": TINY_WORDS}
    monkeypatch.setitem(restarts.SCHEDULES, "quick", words)
    lines = [line for seed in (0, 1) for line in restarts.run(str(tmp_path), "sequential", "quick", seed, 6)]
    lines += restarts.run(str(tmp_path), "unguided-air", "quick", 0, 6)
    row = restarts.summary(tmp_path, lines, "sequential", "quick")
    assert row["restarts"] == 2 and len(row["rand_of_restarts"]) == 1 and row["interval"][0] == 0
    assert restarts.summary(tmp_path, lines, "air", "quick") == {"name": "air", "budget": "quick", "restarts": 0}
    assert "| sequential | quick |" in restarts.table([row])
    restarts.plot(lines, list(restarts.MODELS), ["quick"], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").exists()


def test_the_experiment_on_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (*TINY_WORDS, "--data.min-objects", "2")
    monkeypatch.setattr(pairs, "QUICK", {"air": (*words, *STATIC), "sequential": words})
    lines = [line for name in pairs.MODELS for line in pairs.run(str(tmp_path), "parting", name, 0, 3, quick=True)]
    for line in lines:
        assert np.allclose(np.sum(list(line["share"].values()), 0), 1, atol=1e-3)
    assert "| parting | apart | sequential | parting | 1 |" in pairs.table(lines)
    pairs.plot_verdicts(lines, tmp_path / "shares.png")
    pairs.plot_examples(tmp_path, tmp_path / "examples.png")
    assert (tmp_path / "shares.png").exists() and (tmp_path / "examples.png").exists()


def test_the_experiment_on_temporal_dependencies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(ablation.MODELS) == 10 and len(set(ablation.MODELS.values())) == 10
    monkeypatch.setattr(ablation, "QUICK", TINY_WORDS)
    lines = [line for name in ("all", "no-position", "none") for line in ablation.run(str(tmp_path), name, 0, 3, True)]
    assert all(len(line["prediction_error"]) == 5 for line in lines)
    config = json.loads((tmp_path / "no-position-0" / "weights" / "config.json").read_text())["model"]
    assert config["temporal"] == {"hidden": True, "position": False, "appearance": True, "presence": True}
    assert "| the last frame again |" in ablation.table(lines)
    ablation.plot(lines, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").exists()


@pytest.mark.parametrize(
    ("experiment", "message"),
    [("backgrounds", "unknown background"), ("ablation", "unknown model"), ("restarts", "unknown model")],
)
def test_unknown_names_are_refused(
    experiment: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(f"experiments.{experiment}", ["--output", str(tmp_path / "x"), "--only", "magic"]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "x").exists()


def test_shapes_differ_from_their_scene_where_the_truth_says() -> None:
    frames, truth = shape_clip(0, 40)
    assert (shape_clip(0, 40)[0] == frames).all() and (shape_clip(1, 40)[0] != frames).any()
    assert FEWEST <= len(np.unique(truth.id)) and np.bincount(truth.frame).max() <= MOST
    assert (truth.box[:, :2] >= 0).all() and (truth.box[:, :2] + truth.box[:, 2:] <= [320, 240]).all()
    differs = np.abs(frames - np.median(frames, 0)).max(-1) > 40
    x, y, w, h = truth.box.astype(int)[truth.visibility > 0.9].T
    frame = truth.frame[truth.visibility > 0.9]
    boxes = zip(frame, x, y, w, h, strict=True)
    inside = np.array([differs[f, b : b + d, a : a + c].mean() for f, a, b, c, d in boxes])
    everywhere = np.zeros_like(differs)
    for f, a, b, c, d in zip(truth.frame, *truth.box.astype(int).T, strict=True):
        everywhere[f, b : b + d, a : a + c] = True
    assert np.median(inside) > 0.4 and differs[~everywhere].mean() < 0.02


@pytest.mark.parametrize("name", ["shapes", "pets"])
def test_clips_without_labels_are_trained_on_tracked_and_scored(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but the training and tracking, in whose place the truth is found, with the first object missed."""
    _, truth = shape_clip(0, 30)
    found = truth.where((truth.score > 0) & (truth.id > 0))
    times = {"training_seconds": 3, "training_cpu_seconds": 2.5, "tracking_seconds": 1, "frames_per_second": 30.0}
    experiment = {"shapes": shapes, "pets": pets}[name]
    monkeypatch.setattr(experiment, "train_and_track", lambda clip, output, seed: (found, dict(times)))
    write_mot(tmp_path / "gt.txt", truth, truth=True)
    mine = {"shapes": ["--clips", "1", "--length", "30"], "pets": ["--clip", "c.avi", "--half", "15"]}
    words = [*mine[name], *(["--gt", str(tmp_path / "gt.txt")] if name == "pets" else [])]
    for _ in range(2):
        assert cli.run(f"experiments.{name}", ["--output", str(tmp_path / "out"), *words]) == 0
    (line,) = [json.loads(text) for text in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    scored = line["whole"] if name == "pets" else line
    scores = truth.score > 0
    assert scored["mota"] == pytest.approx((scores & (truth.id > 0)).sum() / scores.sum())
    assert f"{scored['mota']:.3f}" in capsys.readouterr().out
