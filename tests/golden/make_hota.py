"""Makes hota.json: random clips and what TrackEval 1.3.0 says of them.

    python -m venv VENV && VENV/bin/pip install trackeval==1.3.0
    VENV/bin/python tests/golden/make_hota.py

Needs TrackEval and numpy only, nothing of this project: the overlap of boxes is TrackEval's own too. Boxes
are whole numbers, so that the file is short and what is stored is what was scored.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from trackeval.datasets._base_dataset import _BaseDataset  # pyright: ignore[reportMissingImports]
from trackeval.metrics import CLEAR, HOTA, Identity  # pyright: ignore[reportMissingImports]

CLIPS = 40
CLEAR_FIELDS = ("MOTA", "MOTP", "IDSW", "CLR_FP", "CLR_FN", "Frag", "CLR_Re", "CLR_Pr")
Row = tuple[int, int, int, int, int, int]


def random_clip(rng: np.random.Generator, doubles: float) -> tuple[list[Row], list[Row], int]:
    """Ground truth and predictions as rows (frame, id, x, y, w, h) from 0, and the number of frames.

    Objects come, move and go. Predictions are noisy, get lost for a while, swap ids, begin new ids, some are
    of nothing, and a share ``doubles`` is there twice, under one of two other ids.
    """
    length, objects = int(rng.integers(4, 16)), int(rng.integers(1, 6))
    noise, miss, swap, extra = (
        rng.uniform(0, 9),
        rng.uniform(0, 0.3),
        rng.uniform(0, 0.15),
        rng.uniform(0, 0.5),
    )
    size = rng.integers(30, 90, (objects, 2))
    start, speed = rng.uniform(0, 400, (objects, 2)), rng.uniform(-15, 15, (objects, 2))
    born, dies = rng.integers(0, length // 2, objects), rng.integers(length // 2, length, objects) + 1
    name = np.arange(objects) + 10
    gt: list[Row] = []
    pred: list[Row] = []
    for t in range(length):
        alive = [k for k in range(objects) if born[k] <= t < dies[k]]
        if len(alive) > 1 and rng.random() < swap:
            a, b = rng.choice(alive, 2, replace=False)
            name[a], name[b] = name[b], name[a]
        for k in alive:
            box = np.round([*(start[k] + speed[k] * t), *size[k]]).astype(int)
            gt.append((t, k, *box.tolist()))
            if rng.random() < doubles:
                doubled = box + np.round(rng.normal(0, noise, 4)).astype(int)
                pred.append((t, 2000 + 2 * k + int(rng.integers(2)), *doubled.tolist()))
            if rng.random() < miss:
                if rng.random() < 0.3:
                    name[k] = name.max() + 1
                continue
            pred.append((t, int(name[k]), *(box + np.round(rng.normal(0, noise, 4)).astype(int)).tolist()))
        if rng.random() < extra:
            pred.append((t, 1000 + int(rng.integers(3)), *rng.integers(0, 400, 2).tolist(), 50, 60))
    return gt, pred, length


def trackeval_data(gt: list[Row], pred: list[Row], length: int) -> dict:
    """The clip as TrackEval's metrics want it."""
    data: dict = {"num_timesteps": length}
    for rows, ids, boxes, kind in (
        (gt, "gt_ids", "gt_dets", "gt"),
        (pred, "tracker_ids", "tracker_dets", "tracker"),
    ):
        number = {name: i for i, name in enumerate(sorted({row[1] for row in rows}))}
        at = [[row for row in rows if row[0] == t] for t in range(length)]
        data[ids] = [np.array([number[row[1]] for row in frame], dtype=int) for frame in at]
        data[boxes] = [np.array([row[2:] for row in frame], dtype=float).reshape(-1, 4) for frame in at]
        data[f"num_{kind}_dets"], data[f"num_{kind}_ids"] = len(rows), len(number)
    data["similarity_scores"] = [
        _BaseDataset._calculate_box_ious(g, p, box_format="xywh")
        for g, p in zip(data["gt_dets"], data["tracker_dets"], strict=True)
    ]
    return data


def numbers(clear: dict, identity: dict, hota: dict) -> dict[str, float]:
    """What is kept of TrackEval's results; HOTA's are means over the thresholds."""
    kept = {key: float(clear[key]) for key in CLEAR_FIELDS}
    kept |= {key: float(identity[key]) for key in ("IDF1", "IDTP")}
    return kept | {key: float(np.mean(hota[key])) for key in ("HOTA", "DetA", "AssA")}


def main() -> None:
    metrics = [CLEAR({"PRINT_CONFIG": False}), Identity({"PRINT_CONFIG": False}), HOTA()]
    rng = np.random.default_rng(20)
    plain = [random_clip(rng, 0) for _ in range(CLIPS // 2)]
    plain += [(plain[0][0], [], plain[0][2]), ([], plain[0][1], plain[0][2])]
    doubled = [random_clip(rng, 0.6) for _ in range(CLIPS // 2)]
    clips = plain + doubled
    results = [[m.eval_sequence(trackeval_data(*clip)) for m in metrics] for clip in clips]
    overall = [
        m.combine_sequences({str(k): r[i] for k, r in enumerate(results)}) for i, m in enumerate(metrics)
    ]
    stored = [
        {"doubled": i >= len(plain), "length": length, "gt": gt, "pred": pred, "expected": numbers(*result)}
        for i, ((gt, pred, length), result) in enumerate(zip(clips, results, strict=True))
    ]
    lines = ",\n".join(json.dumps(clip, separators=(",", ":")) for clip in stored)
    text = f'{{"overall": {json.dumps(numbers(*overall))},\n"clips": [\n{lines}\n]}}\n'
    Path(__file__).with_name("hota.json").write_text(text)


if __name__ == "__main__":
    main()
