"""CLEAR and identity scores against cases worked out by hand, motmetrics' sums and TrackEval's numbers."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence

import motmetrics
import numpy as np
import pytest

from golden_clips import DOUBLED, EXPECTED, GT, GT_ROWS, LENGTHS, NAMES, PRED, PRED_ROWS, rename
from sqair.errors import UserError
from sqair.eval.boxes import iou
from sqair.eval.mot import score
from sqair.eval.scores import COLUMNS, Scores
from sqair.tracks import Tracks

A, B, FAR = [0, 0, 10, 10], [100, 0, 10, 10], [50, 50, 10, 10]
B_SHIFTED = [102.5, 0, 10, 10]  # overlaps B with IoU 7.5 / 12.5 = 0.6
GOLDEN = score(GT, PRED, LENGTHS)
IN_ORDER = score(GT_ROWS, PRED_ROWS, LENGTHS)


def tracks(*rows: tuple[int, int, Sequence[float]], score: list[float] | None = None) -> Tracks:
    """Tracks of rows (frame, id, box)."""
    frame, ids, box = (np.array([row[i] for row in rows], dtype=float) for i in range(3))
    return Tracks(frame, ids, box, np.ones(len(rows)) if score is None else np.array(score))


def score_one(gt: Tracks, pred: Tracks, length: int, **options: float) -> dict[str, float]:
    return score({"clip": gt}, {"clip": pred}, {"clip": length}, **options).overall  # type: ignore[arg-type]


def same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=0, abs_tol=1e-12) or (math.isnan(a) and math.isnan(b))


def test_a_clip_worked_out_by_hand() -> None:
    """A is found as 5, 5, lost, found as 6; B as 7 throughout, badly; something else is found in frame 1."""
    gt = tracks(*[(t, k, box) for t in range(4) for k, box in ((0, A), (1, B))])
    pred = tracks((0, 5, A), (1, 5, A), (3, 6, A), (1, 9, FAR), *[(t, 7, B_SHIFTED) for t in range(4)])
    scores = score_one(gt, pred, 4)
    expected = {
        "mota": 1 - (1 + 1 + 1) / 8,
        "motp_iou": (3 * 1 + 4 * 0.6) / 7,
        "idf1": 2 * (2 + 4) / (8 + 8),
        "count_accuracy": 2 / 4,
        "recall": 7 / 8,
        "precision": 7 / 8,
        "switches": 1,
        "fragmentations": 1,
        "misses": 1,
        "false_positives": 1,
        "mostly_tracked": 1,
        "mostly_lost": 0,
        "objects": 8,
        "frames": 4,
    }
    for key, value in expected.items():
        assert same(scores[key], value), key


def test_a_match_survives_a_better_one() -> None:
    """CLEAR keeps a pair while it overlaps enough, even where another prediction overlaps more."""
    gt = tracks((0, 0, B), (1, 0, B))
    pred = tracks((0, 1, B_SHIFTED), (1, 1, B_SHIFTED), (1, 2, B))
    scores = score_one(gt, pred, 2)
    assert (scores["switches"], scores["false_positives"]) == (0, 1)
    assert same(scores["motp_iou"], 0.6)


@pytest.mark.parametrize(("gate", "matches"), [(0.6, 1), (0.61, 0)])
def test_the_gate_is_the_overlap_from_which_boxes_match(gate: float, matches: int) -> None:
    scores = score_one(tracks((0, 0, B)), tracks((0, 0, B_SHIFTED)), 1, iou=gate)
    assert scores["recall"] == matches
    assert scores["idf1"] == matches


def test_ids_start_anew_in_every_clip() -> None:
    """Two perfect clips whose ids mean other objects: joined into one they would give switches."""
    first, second = tracks((0, 0, A), (0, 1, B)), tracks((0, 1, A), (0, 0, B))
    perfect = score({"a": first, "b": first}, {"a": first, "b": second}, {"a": 1, "b": 1})
    assert perfect.overall["mota"] == perfect.overall["idf1"] == 1
    assert perfect.overall["switches"] == 0


def test_overall_pools_counts() -> None:
    long = tracks(*[(t, 0, A) for t in range(9)])
    short = tracks((0, 0, A))
    scores = score(
        {"long": long, "short": short}, {"long": long, "short": Tracks.empty()}, {"long": 9, "short": 1}
    )
    assert scores.clips["long"]["mota"] == 1
    assert scores.clips["short"]["mota"] == 0
    assert same(scores.overall["mota"], 0.9)
    assert scores.overall["motp_iou"] == 1, "one clip without matches must not spoil the mean overlap"


def test_frames_without_anything_count_for_the_count() -> None:
    assert same(score_one(tracks((0, 0, A)), Tracks.empty(), 10)["count_accuracy"], 0.9)


def test_nothing_at_all() -> None:
    scores = score({"empty": Tracks.empty()}, {"empty": Tracks.empty()}, {"empty": 5})
    for row in (scores.overall, scores.clips["empty"]):
        for key in ("mota", "motp_iou", "idf1", "hota", "deta", "assa", "recall", "precision"):
            assert math.isnan(row[key]), key
        assert row["count_accuracy"] == 1
        assert row["objects"] == row["false_positives"] == row["mostly_tracked"] == 0
    assert math.isnan(score_one(Tracks.empty(), Tracks.empty(), 0)["count_accuracy"])


def test_only_ground_truth_and_only_predictions() -> None:
    missed = score_one(tracks((0, 0, A), (1, 0, A)), Tracks.empty(), 2)
    assert [missed[k] for k in ("mota", "idf1", "hota", "recall", "count_accuracy")] == [0, 0, 0, 0, 0]
    assert (missed["misses"], missed["mostly_lost"]) == (2, 1)
    assert math.isnan(missed["motp_iou"])
    assert math.isnan(missed["precision"])
    invented = score_one(Tracks.empty(), tracks((0, 0, A)), 2)
    assert [invented[k] for k in ("idf1", "hota", "precision", "count_accuracy")] == [0, 0, 0, 0.5]
    assert invented["false_positives"] == 1
    assert math.isnan(invented["mota"])
    assert math.isnan(invented["recall"])


def test_ignored_ground_truth_takes_its_prediction_along() -> None:
    gt = tracks((0, 0, A), (0, 1, B), score=[1, 0])
    pred = tracks((0, 0, A), (0, 1, B_SHIFTED), (0, 2, FAR))
    scores = score_one(gt, pred, 1)
    assert (scores["objects"], scores["false_positives"], scores["misses"]) == (1, 1, 0)
    assert scores["count_accuracy"] == 0, "what matches nothing is still counted"
    everything = score_one(gt, pred, 1, ignore=False)
    assert (everything["objects"], everything["false_positives"]) == (2, 1)


def test_ignored_ground_truth_need_not_be_found() -> None:
    gt = tracks((0, 0, A), (0, 1, B), score=[1, 0])
    scores = score_one(gt, tracks((0, 0, A)), 1)
    assert scores["mota"] == scores["count_accuracy"] == scores["hota"] == 1


def test_ignored_ground_truth_takes_no_prediction_from_what_is_scored() -> None:
    """Both boxes overlap the one prediction enough; together they are assigned, and the better one has it."""
    near = [1, 0, 10, 10]  # IoU 9 / 11 with A, A itself is nearer
    gt = tracks((0, 0, A), (0, 1, near), score=[1, 0])
    assert score_one(gt, tracks((0, 0, A)), 1)["mota"] == 1
    assert score_one(gt, tracks((0, 0, near)), 1)["misses"] == 1
    assert score_one(gt, tracks((0, 0, A), (0, 1, near)), 1)["mota"] == 1


def test_ignored_ground_truth_takes_only_what_reaches_the_gate() -> None:
    gt = tracks((0, 0, A), (0, 1, B), score=[1, 0])
    pred = tracks((0, 0, A), (0, 1, B_SHIFTED))
    assert score_one(gt, pred, 1, iou=0.6)["false_positives"] == 0
    assert score_one(gt, pred, 1, iou=0.61)["false_positives"] == 1


def test_perfect_tracking() -> None:
    gt = {name: t for name, t in GT.items() if len(t)}
    rng = np.random.default_rng(0)
    scores = score(gt, {name: rename(t, rng) for name, t in gt.items()}, LENGTHS)
    for name, row in [*scores.clips.items(), ("OVERALL", scores.overall)]:
        for key in list(COLUMNS)[:9]:
            assert same(row[key], 1), (name, key)
        assert row["switches"] == row["fragmentations"] == row["misses"] == row["false_positives"] == 0
        assert row["mostly_lost"] == 0
    assert scores.overall["mostly_tracked"] == sum(len(np.unique(t.id)) for t in gt.values())


def test_names_of_the_tracks_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    renamed = score(
        {name: rename(t, rng) for name, t in GT.items()},
        {name: rename(t, rng) for name, t in PRED.items()},
        LENGTHS,
    )
    for name in NAMES:
        for key in COLUMNS:
            assert same(GOLDEN.clips[name][key], renamed.clips[name][key]), (name, key)
    assert all(same(GOLDEN.overall[key], renamed.overall[key]) for key in COLUMNS)


OF_MOTMETRICS = {
    "mota": "mota",
    "idf1": "idf1",
    "recall": "recall",
    "precision": "precision",
    "switches": "num_switches",
    "fragmentations": "num_fragmentations",
    "misses": "num_misses",
    "false_positives": "num_false_positives",
    "mostly_tracked": "mostly_tracked",
    "mostly_lost": "mostly_lost",
    "objects": "num_objects",
    "frames": "num_frames",
}


def accumulate(name: str) -> motmetrics.MOTAccumulator:
    """motmetrics' own matches of a clip, which may be others where several predictions compete for an object."""
    accumulator = motmetrics.MOTAccumulator()
    for t in range(LENGTHS[name]):
        gt, pred = GT[name].at(t), PRED[name].at(t)
        distance = 1 - iou(gt.box, pred.box)
        accumulator.update(gt.id, pred.id, np.where(distance <= 0.5, distance, np.nan), frameid=t)
    return accumulator


def test_the_sums_are_those_of_motmetrics() -> None:
    """Every clip with boxes on both sides, and OVERALL, whose MOTP motmetrics spoils only without matches."""
    names = [name for name in NAMES if len(GT[name]) and len(PRED[name]) and name not in DOUBLED]
    gt, pred = ({name: those[name] for name in names} for those in (GT, PRED))
    scores = score(gt, pred, LENGTHS)
    table = motmetrics.metrics.create().compute_many(
        [accumulate(name) for name in names],
        names=names,
        metrics=[*OF_MOTMETRICS.values(), "motp", "num_detections"],
        generate_overall=True,
    )
    for name, row in [*scores.clips.items(), ("OVERALL", scores.overall)]:
        for ours, theirs in OF_MOTMETRICS.items():
            assert same(row[ours], float(table.loc[name, theirs])), (name, ours)  # type: ignore[arg-type]
        assert same(row["motp_iou"], 1 - float(table.loc[name, "motp"])), name  # type: ignore[arg-type]


OF_TRACKEVAL = {
    "mota": "MOTA",
    "motp_iou": "MOTP",
    "idf1": "IDF1",
    "recall": "CLR_Re",
    "precision": "CLR_Pr",
    "switches": "IDSW",
    "misses": "CLR_FN",
    "false_positives": "CLR_FP",
}


@pytest.mark.parametrize("name", [*NAMES, "OVERALL"])
def test_the_scores_are_those_of_trackeval(name: str) -> None:
    """But for shares of nothing, which are NaN here and 0 there."""
    row = IN_ORDER.overall if name == "OVERALL" else IN_ORDER.clips[name]
    for ours, theirs in OF_TRACKEVAL.items():
        if not math.isnan(row[ours]):
            assert abs(row[ours] - EXPECTED[name][theirs]) < 1e-9, ours


def test_fragmentations_are_those_of_trackeval() -> None:
    """Where every frame has a prediction: TrackEval passes over frames without any, and sees no gap there."""
    compared = [name for name in NAMES if len(np.unique(PRED[name].frame)) == LENGTHS[name]]
    assert len(compared) >= 5
    assert sum(EXPECTED[name]["Frag"] for name in compared) >= 5
    for name in compared:
        assert GOLDEN.clips[name]["fragmentations"] == EXPECTED[name]["Frag"], name


def test_overlap_lies_between_0_and_1_and_is_symmetric() -> None:
    rng = np.random.default_rng(2)
    a, b = (
        np.concatenate([rng.normal(0, 5, (60, 2)), rng.exponential(6, (60, 2))], axis=1) for _ in range(2)
    )
    a[:5, 2:] = 0
    b[:5] = a[:5]
    overlap = iou(a, b)
    assert overlap.shape == (60, 60)
    assert overlap.min() == 0
    assert overlap.max() <= 1
    np.testing.assert_array_equal(overlap, iou(b, a).T)
    np.testing.assert_allclose(np.diag(iou(a, a))[5:], 1, rtol=1e-12)
    np.testing.assert_array_equal(np.diag(overlap)[:5], 0)
    np.testing.assert_allclose(iou(a + [3, 4, 0, 0], b + [3, 4, 0, 0]), overlap, atol=1e-12)
    assert iou(np.zeros((0, 4)), b).shape == (0, 60)


def test_overlap_of_boxes_worked_out_by_hand() -> None:
    overlap = iou(np.array([A, B]), np.array([A, B_SHIFTED, [10, 0, 5, 5], [5, 5, 10, 10]]))
    np.testing.assert_allclose(overlap, [[1, 0, 0, 25 / 175], [0, 0.6, 0, 0]], rtol=1e-12)


def test_what_does_not_fit_together_is_named() -> None:
    with pytest.raises(UserError, match="no clips"):
        score({}, {}, {})
    with pytest.raises(UserError, match="clip b has no predictions"):
        score({"a": GT["00"], "b": GT["01"]}, {"a": PRED["00"]}, {"a": 20, "b": 20})
    with pytest.raises(UserError, match="clip b has no ground truth"):
        score({"a": GT["00"]}, {"a": PRED["00"], "b": PRED["01"]}, {"a": 20, "b": 20})
    with pytest.raises(UserError, match="clip clip: a prediction in frame 3, but the clip has 2 frames"):
        score_one(tracks((0, 0, A)), tracks((2, 0, A)), 2)


def scores_of(clips: int) -> Scores:
    names = [f"{i:06d}" for i in range(clips)]
    gt = {name: tracks((0, 0, A)) if i % 2 else Tracks.empty() for i, name in enumerate(names)}
    return score(gt, gt, dict.fromkeys(names, 1))


def test_the_table_says_that_motp_is_an_overlap_and_ends_with_overall() -> None:
    lines = scores_of(3).table().splitlines()
    assert "MOTP(IoU)" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == ["000000", "000001", "000002", "OVERALL"]
    assert lines[1].split()[1:6] == ["-", "-", "-", "-", "1.0000"]
    assert len({len(line) for line in lines}) == 1


def test_a_long_table_is_shortened() -> None:
    assert len(scores_of(20).table().splitlines()) == 22
    lines = scores_of(21).table(more={"floor": scores_of(1).overall}).splitlines()
    firsts = [line.split()[0] for line in lines[1:]]
    assert firsts == ["000000", "000001", "000002", "...", "000018", "000019", "000020", "OVERALL", "floor"]
    assert lines[4] == "... 15 more"


def test_csv_and_json_hold_every_clip() -> None:
    scores = scores_of(30)
    rows = list(csv.DictReader(io.StringIO(scores.csv(more={"floor": scores.overall}))))
    assert len(rows) == 32
    assert rows[0]["mota"] == ""
    assert [rows[1]["mota"], rows[1]["objects"]] == ["1.0", "1"]
    assert [row["clip"] for row in rows[-2:]] == ["OVERALL", "floor"]
    data = json.loads(scores.json())
    assert len(data["clips"]) == 30
    assert data["clips"]["000000"]["mota"] is None
    assert data["overall"]["mota"] == 1
    assert data["iou"] == 0.5
