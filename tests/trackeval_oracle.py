"""What TrackEval says of files, run on them as its own script runs."""

from __future__ import annotations

import contextlib
import gc
import io
import warnings
from pathlib import Path

import numpy as np
from trackeval.datasets import MotChallenge2DBox
from trackeval.metrics import CLEAR, HOTA, Identity

OVERALL = "OVERALL"


class Refused(Exception):
    """TrackEval raised."""


def trackeval(root: Path, lengths: dict[str, int], benchmark: str) -> dict[str, dict[str, float]]:
    """The scores of ``root/pred/NAME.txt`` against ``root/gt/NAME/gt/gt.txt``, by clip and OVERALL.

    ``benchmark`` is ours, without "auto". Raises Refused if TrackEval raises.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # files that it cannot read it leaves open
        try:
            return _run(root, lengths, benchmark)
        except Exception as error:
            refused = str(error)
        gc.collect()
    raise Refused(refused)


def _run(root: Path, lengths: dict[str, int], benchmark: str) -> dict[str, dict[str, float]]:
    config = {
        "GT_FOLDER": str(root / "gt"), "TRACKERS_FOLDER": str(root), "TRACKERS_TO_EVAL": ["pred"],
        "TRACKER_SUB_FOLDER": "", "SKIP_SPLIT_FOL": True, "BENCHMARK": benchmark.upper(), "SEQ_INFO": dict(lengths),
        "PRINT_CONFIG": False,
    }  # fmt: skip
    metrics = [CLEAR({"PRINT_CONFIG": False}), Identity({"PRINT_CONFIG": False}), HOTA()]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        dataset = MotChallenge2DBox(config)
        results = {}
        for name in lengths:
            data = dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data("pred", name), "pedestrian")
            results[name] = [metric.eval_sequence(data) for metric in metrics]
    each = [{name: result[i] for name, result in results.items()} for i in range(len(metrics))]
    results[OVERALL] = [metric.combine_sequences(of) for metric, of in zip(metrics, each, strict=True)]
    return {name: _numbers(*result) for name, result in results.items()}


def _numbers(clear: dict, identity: dict, hota: dict) -> dict[str, float]:
    """TrackEval's numbers under our names; HOTA's are means over the thresholds."""
    return {
        "mota": float(clear["MOTA"]), "motp_iou": float(clear["MOTP"]), "idf1": float(identity["IDF1"]),
        "hota": float(np.mean(hota["HOTA"])), "deta": float(np.mean(hota["DetA"])),
        "assa": float(np.mean(hota["AssA"])), "recall": float(clear["CLR_Re"]), "precision": float(clear["CLR_Pr"]),
        "false_positives": float(clear["CLR_FP"]), "misses": float(clear["CLR_FN"]), "switches": float(clear["IDSW"]),
    }  # fmt: skip
