"""Ground truth on some frames only."""

import numpy as np

from sqair.eval.sampled import sampled
from sqair.tracks import Tracks


def test_only_frames_of_the_ground_truth_count() -> None:
    truth = Tracks([0, 0, 10, 30], [1, 2, 1, 1], np.arange(16).reshape(4, 4), [1, 0, 1, 1])
    found = Tracks(np.arange(40), np.arange(40) % 3, np.ones((40, 4)))
    gt, pred, count = sampled(truth, found)
    assert count == 3 and gt.frame.tolist() == [0, 0, 1, 2] and gt.score.tolist() == [1, 0, 1, 1]
    assert pred.frame.tolist() == [0, 1, 2] and pred.id.tolist() == [0, 1, 0]
    gt, pred, count = sampled(truth, found, 1, 10)
    assert count == 1 and gt.frame.tolist() == [0] and pred.id.tolist() == [1]
    assert sampled(truth, found, 31)[2] == 0
