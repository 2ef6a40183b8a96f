"""The protocols of published trackers: rules worked out by hand, motmetrics' numbers on random data, the command."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import motmetrics
import numpy as np
import pytest

from sqair.datasets.folders import write_npz
from sqair.datasets.generate import Clips, make_clips, make_segments
from sqair.datasets.recipes import get_recipe
from sqair.errors import UserError
from sqair.eval.boxes import iou
from sqair.eval.precision import average_precision
from sqair.eval.protocols import resized, score_ocrb, score_silot, score_tba, silot_by_objects
from sqair.files.masks import write_masks
from sqair.files.mot_io import write_mot
from sqair.scripts import cli
from sqair.tracks import Tracks

Capture = pytest.CaptureFixture[str]


def tracks_of(*rows: Sequence[float]) -> Tracks:
    """Boxes of 10 by 10 pixels, or other sizes: rows of frame, id, x, y and perhaps confidence, width, height."""
    full = np.array([[*row, *(1, 10, 10)[len(row) - 4 :]] for row in rows], dtype=np.float64).reshape(-1, 7)
    return Tracks(full[:, 0], full[:, 1], full[:, [2, 3, 5, 6]], full[:, 4])


def random_clip(rng: np.random.Generator, length: int = 12, objects: int = 4) -> tuple[Tracks, Tracks]:
    """Objects that wander and meet, and predictions of them that are late, lost, exchanged, doubled or nothing's."""
    place = rng.uniform(0, 25, (objects, 2))
    name = rng.permutation(objects)
    truth, found = [], []
    for t in range(length):
        place = place + rng.normal(0, 1.5, place.shape)
        if rng.random() < 0.3:
            name = rng.permutation(objects)
        for i in range(objects):
            if rng.random() < 0.9:
                truth.append((t, i, *place[i]))
            if rng.random() < 0.8:
                found.append((t, name[i], *(place[i] + rng.normal(0, 1.5, 2)), rng.random()))
        if rng.random() < 0.3:
            found.append((t, objects + t, *rng.uniform(0, 25, 2), rng.random()))
    return tracks_of(*truth), tracks_of(*found)


def summary(accumulator: motmetrics.MOTAccumulator) -> dict[str, float]:
    metrics = [
        "mota", "motp", "idf1", "idp", "idr", "num_switches", "num_false_positives", "num_misses", "mostly_tracked",
        "mostly_lost", "num_fragmentations", "num_matches", "num_objects",
    ]  # fmt: skip
    return motmetrics.metrics.create().compute(accumulator, metrics=metrics).iloc[0].to_dict()  # type: ignore[union-attr]


def accumulated(clips: Sequence[tuple[Tracks, Tracks]], lengths: Sequence[int]) -> motmetrics.MOTAccumulator:
    """motmetrics' events of clips one after the other, whose ids are their own."""
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for i, ((truth, found), length) in enumerate(zip(clips, lengths, strict=True)):
        for t in range(length):
            gt, pred = truth.at(t), found.at(t)
            distance = 1 - iou(gt.box, pred.box)
            accumulator.update(1000 * i + gt.id, 1000 * i + pred.id, np.where(distance <= 0.5, distance, np.nan))
    return accumulator


def test_tba_is_what_motmetrics_says() -> None:
    rng = np.random.default_rng(0)
    clips, lengths = [random_clip(rng, length=60), random_clip(rng)], [60, 14]
    truth, found = map(list, zip(*clips, strict=True))
    mine = score_tba(truth, found, lengths)
    theirs = summary(accumulated(clips, lengths))
    assert mine["ids"] > 5 and mine["fp"] > 5 and mine["frag"] > 5
    for key, of, factor in (
        ("mota", "mota", 100), ("idf1", "idf1", 100), ("idp", "idp", 100), ("idr", "idr", 100), ("fn", "num_misses", 1),
        ("fp", "num_false_positives", 1), ("ids", "num_switches", 1), ("frag", "num_fragmentations", 1),
        ("mt", "mostly_tracked", 1), ("ml", "mostly_lost", 1),
    ):  # fmt: skip
        assert mine[key] == pytest.approx(factor * theirs[of]), key
    assert mine["motp"] == pytest.approx(100 * (1 - theirs["motp"]))
    assert mine["faf"] == mine["fp"] / 74 and mine["frames"] == 74


def test_a_pair_outlasts_the_loss_of_the_object() -> None:
    """Where two predictions lie on an object, the one that it had before it was lost is its match."""
    truth = tracks_of(*((t, 0, 0, 0) for t in (0, 1, 2, 3)))
    found = tracks_of((0, 5, 0, 0), (1, 7, 50, 50), (3, 5, 2, 0), (3, 6, 0, 0))
    scores = score_tba([truth], [found], [4])
    assert scores["ids"] == 0 and scores["fp"] == 2 and scores["fn"] == 2 and scores["frag"] == 1
    assert scores["motp"] == pytest.approx(100 * (1 + 80 / 120) / 2)


def test_predictions_become_patches_around_their_centres() -> None:
    box = resized(tracks_of((0, 0, 10, 20, 1, 4, 8)), (28, 20)).box
    assert box.tolist() == [[2.0, 10.0, 20.0, 28.0]]
    truth = tracks_of((0, 0, 3, 5, 1, 28, 28))
    small = tracks_of((0, 0, 12, 14, 1, 10, 10))
    assert score_tba([truth], [small], [1])["mota"] == -100
    whole = score_tba([truth], [small], [1], patch=(28, 28))
    assert whole["mota"] == whole["motp"] == whole["idf1"] == 100


def masks_of(*frames: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Labels ``[T, 4, 100]``: in each frame (label, first, last) columns of the second row; all of the others 0."""
    masks = np.zeros((len(frames), 4, 100), dtype=np.int64)
    for mask, runs in zip(masks, frames, strict=True):
        for label, first, last in runs:
            mask[1, first:last] = label
    return masks


def test_ocrb_scores_masks_from_the_third_frame_on() -> None:
    truth = masks_of(*[[(1, 0, 10), (2, 20, 40)]] * 10)
    found = masks_of(*[[]] * 2, *[[(7, 0, 10), (9, 20, 36)]] * 8)
    scores = score_ocrb(truth[None], found[None])
    assert scores["frames"] == 8 and scores["objects"] == 16
    assert [scores[key] for key in ("mota", "md", "mt", "match", "miss", "ids", "fp")] == [100, 100, 100, 100, 0, 0, 0]
    assert scores["motp"] == pytest.approx(90)
    other = found.copy()
    other[6:][found[6:] == 7] = 3  # a switch, in 1 of 8 frames
    other[9][found[9] == 9] = 0
    other[8][found[8] == 9] = 0  # found in 6 of 8 frames
    scores = score_ocrb([truth, truth], [other, found])
    assert scores["ids"] == pytest.approx(100 / 32) and scores["miss"] == pytest.approx(200 / 32)
    assert scores["match"] == pytest.approx(2900 / 32) and scores["mota"] == pytest.approx(2900 / 32)
    assert scores["md"] == scores["mt"] == 75
    twice = other.copy()
    twice[7:][found[7:] == 7] = 4  # two switches: found in all frames, without a switch in 6 of 8
    scores = score_ocrb([truth], [twice])
    assert scores["md"] == 50 and scores["mt"] == 0


def test_ocrb_needs_half_and_leaves_out_what_is_small_or_background() -> None:
    empty: list[tuple[int, int, int]] = []
    truth = masks_of(empty, empty, [(1, 0, 10), (2, 50, 55)])
    for last, matched in ((5, 100), (4, 0)):
        scores = score_ocrb([truth], [masks_of(empty, empty, [(4, 0, last)])])
        assert scores["match"] == 0 and scores["fp"] == 0 and scores["objects"] == 1, matched
    exactly = masks_of(empty, empty, [(1, 0, 12), (2, 50, 56)])
    scores = score_ocrb([exactly], [masks_of(empty, empty, [(4, 0, 6), (5, 50, 55), (6, 80, 86)])])
    assert scores["match"] == 50 and scores["fp"] == 50 and scores["motp"] == 50
    behind = masks_of(empty, empty, [(1, 0, 10)])
    for columns, fp in ((18, 100), (22, 0)):
        found = masks_of(empty, empty, [(1, 0, 10)])
        found[2, 2:, 40 : 40 + columns * 2] = 9
        assert (4 * columns / 390 > 0.2) == (fp == 0)
        assert score_ocrb([behind], [found])["fp"] == fp


def test_ocrb_is_what_motmetrics_says() -> None:
    rng = np.random.default_rng(1)
    truths, founds = [], []
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for clip in range(3):
        truth, found = np.zeros((2, 10, 24, 32), dtype=np.int64)
        for t, boxes in enumerate(np.moveaxis(rng.integers(0, 3, (5, 10, 2)).cumsum(1), 1, 0)):
            for i, (x, y) in enumerate(boxes.tolist()):
                truth[t, y : y + 6, 5 * i + x // 3 : 5 * i + 6 + x // 3] = i + 1
        for t in range(10):
            names = np.concatenate([[0], 1 + (np.arange(5) if rng.random() < 0.6 else rng.permutation(5))])
            found[t] = np.roll(names[truth[t]], rng.integers(-1, 2), 1) * (rng.random((24, 32)) < 0.9)
        truths.append(truth)
        founds.append(found)
        for t in range(2, 10):
            gt, pred = ([k for k in range(1, 9) if (of[t] == k).sum() > 5] for of in (truth, found))
            distance = np.full((len(gt), len(pred)), np.nan)
            for i, a in enumerate(gt):
                for j, b in enumerate(pred):
                    both, either = (truth[t] == a) & (found[t] == b), (truth[t] == a) | (found[t] == b)
                    distance[i, j] = 1 - both.sum() / either.sum()
            distance[distance > 0.5] = np.nan
            accumulator.update([100 * clip + k for k in gt], [100 * clip + k for k in pred], distance)
    mine, theirs = score_ocrb(np.stack(truths), np.stack(founds)), summary(accumulator)
    objects = theirs["num_objects"]
    assert mine["objects"] == objects and mine["ids"] > 0 and mine["fp"] > 0
    assert mine["mota"] == pytest.approx(100 * theirs["mota"])
    assert mine["motp"] == pytest.approx(100 * (1 - theirs["motp"]))
    for key, of in (("match", "matches"), ("miss", "misses"), ("ids", "switches"), ("fp", "false_positives")):
        assert mine[key] == pytest.approx(100 * theirs[f"num_{of}"] / objects), key
    events = accumulator.mot_events
    there: Any = events[events.Type.isin(["MATCH", "MISS", "SWITCH"])]
    for key, kinds in (("mt", ["MATCH"]), ("md", ["MATCH", "SWITCH"])):
        share = there.Type.isin(kinds).groupby(there.OId).mean()
        assert mine[key] == pytest.approx(100 * (share >= 0.8).mean()), key


def test_silot_empties_frames_of_too_many_and_counts() -> None:
    truth = tracks_of(*((t, i, 20 * i, 0) for t in range(3) for i in range(2)))
    four = [(t, i, 20 * i, 0) for t in range(3) for i in range(4)]
    right = score_silot([truth], [tracks_of(*four)], [4])
    assert right["fp"] == 6 and right["fn"] == 0 and right["count_error"] == 6 / 4
    fifth = score_silot([truth], [tracks_of(*four, (1, 4, 80, 0))], [4])
    assert fifth["fp"] == 4 and fifth["fn"] == 2 and fifth["count_error"] == 7 / 4
    assert fifth["mota"] == pytest.approx(0)
    beyond = score_silot([truth], [tracks_of(*four, (3, 9, 0, 0))], [4])
    assert beyond["fp"] == 6 and beyond["count_error"] == 7 / 4


def test_silot_is_what_motmetrics_says_and_goes_by_the_number_of_objects() -> None:
    rng = np.random.default_rng(2)
    clips = [random_clip(rng, objects=n) for n in (3, 4, 3, 4, 4)]
    truth, found = map(list, zip(*clips, strict=True))
    lengths = [12] * 5
    kept = [
        pred.where(np.array([len(pred.at(t)) <= 2 * len(gt.at(t)) for t in pred.frame])) for gt, pred in clips
    ]
    assert sum(map(len, kept)) < sum(map(len, found))
    theirs = summary(accumulated(list(zip(truth, kept, strict=True)), lengths))
    mine = score_silot(truth, found, lengths)
    assert mine["mota"] == pytest.approx(100 * theirs["mota"]) and mine["ids"] == theirs["num_switches"] > 0
    assert mine["fp"] == theirs["num_false_positives"] and mine["fn"] == theirs["num_misses"]
    rows = silot_by_objects(truth, found, lengths)
    assert list(rows) == [3, 4] and rows[3] == score_silot(truth[:3:2], found[:3:2], [12, 12])
    assert sum(row["objects"] for row in rows.values()) == mine["objects"]


def test_average_precision_in_closed_form() -> None:
    truth = tracks_of((0, 0, 0, 0), (1, 0, 0, 0))
    assert average_precision([(truth, truth)]) == 1
    assert average_precision([(truth, Tracks.empty())]) == 0
    assert math.isnan(average_precision([(Tracks.empty(), truth)]))
    half = tracks_of((0, 0, 0, 0, 0.9))  # recall of a half: 6 of 11
    assert average_precision([(truth, half)]) == pytest.approx(6 / 11)
    below = tracks_of((0, 0, 0, 0, 0.9), (0, 1, 30, 0, 0.5), (1, 0, 0, 0, 0.4))  # right, wrong, right
    assert average_precision([(truth, below)]) == pytest.approx((6 + 5 * 2 / 3) / 11)
    equal = tracks_of((0, 0, 0, 0, 0.9), (0, 1, 30, 0, 0.9), (1, 0, 0, 0, 0.9))
    assert average_precision([(truth, equal)]) == pytest.approx(2 / 3)
    double = tracks_of((0, 0, 0, 0, 0.9), (0, 1, 0, 0, 0.8), (1, 0, 0, 0, 0.7))  # the second finds none left
    assert average_precision([(truth, double)]) == pytest.approx((6 + 5 * 2 / 3) / 11)
    close = tracks_of((0, 0, 2.5, 0), (1, 0, 0, 2.5))  # an overlap of .6, which is not more than .6
    assert average_precision([(truth, close)]) == pytest.approx(5 / 9)


def test_clips_that_do_not_go_together_are_refused() -> None:
    one = tracks_of((0, 0, 0, 0))
    for function in (score_tba, score_silot):
        with pytest.raises(UserError, match="1 clips of ground truth, and 2"):
            function([one], [one, one], [1])
        with pytest.raises(UserError, match="no clips"):
            function([], [], [])
        with pytest.raises(UserError, match="a box in frame 1, but the clip has 0"):
            function([one], [one], [0])
    masks = np.zeros((1, 3, 4, 5), dtype=np.int64)
    with pytest.raises(UserError, match=r"\[3, 4, 4\]"):
        score_ocrb(masks, masks[..., :4])
    with pytest.raises(UserError, match="from their frame 3 on"):
        score_ocrb(masks[:, :2], masks[:, :2])
    assert math.isnan(score_ocrb(masks, masks)["mota"])


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    """Four clips in ``clips.npz`` with their segments; all that is true of them as predictions in ``found``."""
    recipe = get_recipe("sqair-script", length=6)
    clips, segments = make_clips(recipe, "test", 0, 0, 4), make_segments(recipe, "test", 0, 0, 4)
    write_npz(tmp_path / "bare.npz", [clips])
    with np.load(tmp_path / "bare.npz") as archive:
        np.savez(tmp_path / "clips.npz", **archive, segments=segments)
    (tmp_path / "found").mkdir()
    for i, truth in enumerate(clips.truth):
        write_mot(tmp_path / "found" / f"{i:06d}.txt", truth)
        write_masks(tmp_path / "found" / f"{i:06d}.masks.npz", segments[i])
    return clips


def run(tmp_path: Path, *words: object) -> int:
    files = ["--truth", tmp_path / "clips.npz", "--pred", tmp_path / "found"]
    return cli.run("score", [str(word) for word in (*files, *words)])


@pytest.mark.parametrize("protocol", ["ocrb", "silot"])
def test_the_command_scores_beside_the_floor(tmp_path: Path, clips: Clips, capsys: Capture, protocol: str) -> None:
    assert run(tmp_path, "--protocol", protocol, "--output", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert f"protocol {protocol}" in out and "\nOVERALL" in out and "\nfloor" in out
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["overall"]["mota"] == 100 and scores["protocol"] == protocol
    assert scores["floor"]["mota"] < 100
    rows = (tmp_path / "out" / "scores.csv").read_text().splitlines()
    assert rows[-1].startswith("floor,") and rows[-2].startswith("OVERALL,100")
    by_objects = {key for key in scores if "object" in key}
    counts = {len(np.unique(truth.id)) for truth in clips.truth}
    assert len(by_objects) == (2 * len(counts) if protocol == "silot" else 0)
    assert run(tmp_path, "--protocol", protocol, "--no-floor") == 0
    assert "floor" not in capsys.readouterr().out


def test_the_command_scores_whole_objects_for_tba(tmp_path: Path, clips: Clips, capsys: Capture) -> None:
    for i, full in enumerate(clips.full):
        write_mot(tmp_path / "found" / f"{i:06d}.txt", full)
    assert run(tmp_path, "--protocol", "tba", "--output", tmp_path / "out") == 0
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["overall"]["mota"] == scores["overall"]["idf1"] == scores["overall"]["motp"] == 100
    assert scores["overall"]["objects"] == sum(map(len, clips.full)) and scores["overall"]["frames"] == 24
    assert "other sizes" not in capsys.readouterr().out
    assert run(tmp_path, "--protocol", "tba", "--patch", "28") == 0
    assert "boxes of other sizes than --patch" in capsys.readouterr().out


def without(tmp_path: Path) -> None:
    (tmp_path / "found" / "000002.masks.npz").unlink()


def smaller(tmp_path: Path) -> None:
    write_masks(tmp_path / "found" / "000001.masks.npz", np.zeros((6, 9, 9), dtype=np.int64))


def bare(tmp_path: Path) -> None:
    (tmp_path / "bare.npz").replace(tmp_path / "clips.npz")


def nothing(tmp_path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "words", "says"),
    [
        (without, "--protocol ocrb", "has no 000002.masks.npz, which `sqair track --masks` writes; --allow-missing"),
        (smaller, "--protocol ocrb", "000001.masks.npz: masks are [6, 9, 9], the clip is [6, 50, 50]"),
        (bare, "--protocol ocrb", "has no array 'segments': `sqair generate --masks` writes them"),
        (nothing, "--protocol ocrb --pred nowhere", "nowhere: give the folder that `sqair track --masks` wrote"),
        (nothing, "--protocol ocrb --truth found", "give an .npz of `sqair generate --masks`"),
        (nothing, "--protocol silot --patch 28", "--patch goes with --protocol tba only"),
        (nothing, "--patch 28", "--patch goes with --protocol tba only"),
        (nothing, "--protocol tba --patch 0x9", "--patch 0x9: give a side in pixels"),
        (nothing, "--protocol tba --iou 0.3", "--iou: --protocol tba says that itself"),
        (nothing, "--protocol ocrb --frames-from clips.npz", "--frames-from: --protocol ocrb says that itself"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, clips: Clips, capsys: Capture, spoil: Callable[[Path], None], words: str, says: str
) -> None:
    spoil(tmp_path)
    assert run(tmp_path, *words.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and says in error


def test_missing_masks_are_of_clips_found_empty(tmp_path: Path, clips: Clips, capsys: Capture) -> None:
    without(tmp_path)
    assert run(tmp_path, "--protocol", "ocrb", "--allow-missing", "--no-floor", "--output", tmp_path / "out") == 0
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())["overall"]
    assert scores["miss"] == pytest.approx(100 - scores["match"]) and 0 < scores["miss"] < 100 and scores["fp"] == 0
