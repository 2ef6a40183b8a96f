"""Ground truth on some frames only."""

import numpy as np
import pytest

from sqair.errors import UserError
from sqair.eval.mot import score
from sqair.eval.sampled import sampled, step_of
from sqair.files.mot_rows import Rows
from sqair.tracks import Tracks


def test_only_frames_of_the_ground_truth_count() -> None:
    truth = Tracks(*map(np.array, ([0, 0, 10, 30], [1, 2, 1, 1], np.ones((4, 4)), [1, 0, 1, 1])))
    found = Tracks(np.arange(40), np.arange(40) % 3, np.ones((40, 4)))
    gt, pred, count = sampled(truth, found)
    assert count == 3 and gt.frame.tolist() == [0, 0, 1, 2] and gt.score.tolist() == [1, 0, 1, 1]
    assert pred.frame.tolist() == [0, 1, 2] and pred.id.tolist() == [0, 1, 0]
    gt, pred, count = sampled(truth, found, 1, 10)
    assert count == 1 and gt.frame.tolist() == [0] and pred.id.tolist() == [1]
    assert sampled(truth, found, 31)[2] == 0


def rows(*frames: int) -> Rows:
    return Rows.of(Tracks(np.array(frames) - 1, np.zeros(len(frames)), np.ones((len(frames), 4))))


def test_how_sparse_the_truth_is_is_told_by_its_frames_and_those_of_predictions() -> None:
    every, tenth = rows(*range(1, 60)), rows(*range(1, 60, 10))
    assert step_of(tenth, every) == 10
    assert step_of(tenth, tenth) == step_of(every, tenth) == step_of(every, every) == 1
    assert step_of(rows(1, 11, 21, 31), every) == 1, "too few to tell"
    assert step_of(rows(1, 11, 21, 41, 51), every) == 10, "nothing was there in frame 31"
    assert step_of(rows(1, 11, 21, 31, 42), every) == 1
    assert step_of(rows(), every) == 1 and step_of(tenth, rows()) == 1
    ms = [rows(*range(1543358529500, 1543358531900, 40 * step)) for step in (10, 1)]
    assert step_of(*ms) == 10 and step_of(ms[1], ms[0]) == 1, "frames may be numbered by their times"


def test_frames_of_the_truth_or_all() -> None:
    """One object, seen on every tenth frame and followed on all."""
    found = Tracks(np.arange(41), np.zeros(41), np.tile([5.0, 5, 9, 9], (41, 1)))
    truth = found.where(found.frame % 10 == 0)
    for frames, mota, count in (("auto", 1, 5), ("truth", 1, 5), ("all", -7.2 + 1, 41)):
        scores = score({"a": truth}, {"a": found}, {"a": 41}, frames=frames)  # type: ignore[arg-type]
        assert abs(scores.overall["mota"] - mota) < 1e-12 and scores.overall["frames"] == count
        assert scores.sampled == ({} if frames == "all" else {"a": 10})
    with pytest.raises(UserError, match="frames 'some' is none of auto, truth, all"):
        score({"a": truth}, {"a": found}, {"a": 41}, frames="some")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="benchmark 'kitti' is none of"):
        score({"a": truth}, {"a": found}, {"a": 41}, benchmark="kitti")  # type: ignore[arg-type]
