"""`sqair score` gives TrackEval's numbers: on random files, on published oddities, and in what both refuse."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sqair.scripts import cli
from trackeval_oracle import OVERALL, trackeval

Table = list[list[Any]]
EXACT = ("false_positives", "misses", "switches")


@dataclass
class Case:
    """Files of a random run: rows of ground truth and predictions by clip, frames of each clip, and the benchmark."""

    benchmark: str
    lengths: dict[str, int] = field(default_factory=dict)
    gt: dict[str, Table] = field(default_factory=dict)
    pred: dict[str, Table] = field(default_factory=dict)


def random_case(seed: int) -> Case:
    """One to three clips of a benchmark."""
    rng = np.random.default_rng(seed)
    case = Case(("mot15", "mot17", "mot20")[seed % 3])
    for i in range(int(rng.integers(1, 4))):
        name = f"{case.benchmark.upper()}-{i:02d}"
        case.lengths[name] = int(rng.integers(1, 25))
        case.gt[name], case.pred[name] = random_clip(rng, case.lengths[name], case.benchmark != "mot15")
        for rows, empty in ((case.gt[name], 0.05), (case.pred[name], 0.1)):
            if i and rng.random() < empty:
                rows.clear()
    return case


def random_clip(rng: np.random.Generator, length: int, classes: bool) -> tuple[Table, Table]:
    """Objects that move among each other and are lost; predictions near and off, doubled, swapped, of nothing.

    Boxes are whole, in quarters or in hundredths; some have no area, some predictions are twice an object's, so that
    they overlap it by exactly a half. Rows are in any order.
    """
    objects, grid = int(rng.integers(1, 8)), (1, 4, 100)[int(rng.integers(3))]
    start, speed = rng.uniform(-20, 150, (objects, 2)), rng.normal(0, 6, (objects, 2))
    size, noise = rng.uniform(15, 60, (objects, 2)), rng.exponential(2)
    kind = rng.integers(1, 14, objects) if classes else np.full(objects, rng.choice([-1, 1]))
    kind[rng.random(objects) < 0.7] = 1
    conf = np.where(rng.random(objects) < 0.8, 1.0, rng.choice([0, -1, 0.5, 2]))
    ids = rng.choice(10 ** int(rng.integers(2, 6)), 40 + 2 * objects, replace=False)
    name = ids[:objects].copy()
    gaps, lost = rng.random(length) < 0.1, rng.random(length) < 0.1
    gt: Table = []
    pred: Table = []
    for t in range(length):
        if objects > 1 and rng.random() < 0.2:
            a, b = rng.choice(objects, 2, replace=False)
            name[[a, b]] = name[[b, a]]
        taken: set[int] = set()
        for k in rng.permutation(objects):
            box = np.round(np.concatenate([start[k] + speed[k] * t, size[k]]) * grid) / grid
            if rng.random() < 0.03:
                box[2 + rng.integers(2)] = 0
            if not gaps[t] and rng.random() < 0.9:
                gt.append([t + 1, ids[k + objects], *box, conf[k], kind[k], round(rng.random(), 2)])
            if lost[t] or rng.random() < 0.15:
                if rng.random() < 0.3:
                    name[k] = ids[2 * objects + rng.integers(20)]
                continue
            near = box + np.round(rng.normal(0, noise, 4) * grid) / grid
            if rng.random() < 0.1:
                near = box * [1, 1, 1, 2]
            for who in (name[k], *(ids[-20:-18] if rng.random() < 0.1 else ())):
                if who not in taken:
                    taken.add(int(who))
                    pred.append([t + 1, who, *near[:2], *np.abs(near[2:]), round(rng.random(), 3), -1, -1, -1])
    return gt, pred


def write(root: Path, case: Case, rename: bool = False) -> None:
    """The case's files; with ``rename`` every id is another name, which TrackEval cannot take."""
    rng = np.random.default_rng(len(case.gt))
    used = {int(row[1]) for rows in (*case.gt.values(), *case.pred.values()) for row in rows}
    names = {old: int(rng.integers(-(2**40), 2**62)) for old in sorted(used)}
    for clip, length in case.lengths.items():
        (root / "gt" / clip / "gt").mkdir(parents=True)
        (root / "gt" / clip / "seqinfo.ini").write_text(f"[Sequence]\nname={clip}\nseqLength={length}\n")
        (root / "pred").mkdir(exist_ok=True)
        for path, rows in ((root / "gt" / clip / "gt" / "gt.txt", case.gt), (root / "pred" / f"{clip}.txt", case.pred)):
            lines = [
                ",".join([f"{frame:.0f}", str(names[who] if rename else int(who)), *map(repr, map(float, rest))])
                for frame, who, *rest in rows[clip]
            ]
            path.write_text("".join(f"{line}\n" for line in lines))


def sqair_score(root: Path, *words: str) -> dict[str, dict[str, float | None]]:
    command = ["--truth", root / "gt", "--pred", root / "pred", "--output", root / "out", *words]
    assert cli.run("score", list(map(str, command))) == 0
    data = json.loads((root / "out" / "scores.json").read_text())
    return {**data["clips"], OVERALL: data["overall"]}


def assert_equal(ours: dict[str, dict[str, float | None]], theirs: dict[str, dict[str, float]]) -> None:
    """Clip by clip, but for shares of nothing, which are none here and 0 there (MOTA: minus the false positives)."""
    assert ours.keys() == theirs.keys()
    for clip, row in theirs.items():
        for key, value in row.items():
            mine = ours[clip][key]
            if key in EXACT:
                assert mine == value, (clip, key)
            elif mine is None:
                assert value <= 0, (clip, key)
            else:
                assert math.isclose(mine, value, rel_tol=0, abs_tol=1e-9), (clip, key, mine, value)


@pytest.mark.parametrize("seed", range(120))
def test_random_files_score_as_in_trackeval(tmp_path: Path, seed: int) -> None:
    """The benchmark is told, or found out; the objects have names that TrackEval cannot take."""
    case = random_case(seed)
    if not any(case.gt.values()):
        pytest.skip("no ground truth: sqair has nothing to score")
    write(tmp_path, case)
    theirs = trackeval(tmp_path, case.lengths, case.benchmark)
    write(tmp_path / "renamed", case, rename=True)
    assert_equal(sqair_score(tmp_path / "renamed", *(["--benchmark", case.benchmark] if seed % 2 else [])), theirs)


def case_of_ties(seed: int) -> Case:
    """Boxes of few places and sizes, so that overlaps of a half, of a third and alike are common; ids come back."""
    rng = np.random.default_rng(seed)
    case = Case(("mot15", "mot17", "mot20")[seed % 3], {"clip": int(rng.integers(2, 15))}, {"clip": []}, {"clip": []})
    objects, unit = int(rng.integers(1, 5)), (10, 1, 3, 10 / 3)[int(rng.integers(4))]
    kinds = [-1] if case.benchmark == "mot15" else [1, 1, 1, 3, 6, 7]

    def box() -> list[float]:
        return [float(side) * unit for side in (*rng.integers(-2, 4, 2), *rng.choice([1, 2, 4], 2))]

    for t in range(1, case.lengths["clip"] + 1):
        for k in rng.permutation(objects):
            if rng.random() < 0.8:
                case.gt["clip"].append([t, k, *box(), int(rng.choice([1, 1, 1, 0])), int(rng.choice(kinds)), 1])
        for k in rng.permutation(objects + 2):
            if rng.random() < 0.8:
                case.pred["clip"].append([t, k, *box(), 0.5, -1, -1, -1])
    return case


@pytest.mark.parametrize("seed", range(30))
def test_ties_fall_as_in_trackeval(tmp_path: Path, seed: int) -> None:
    case = case_of_ties(seed)
    write(tmp_path, case)
    theirs = trackeval(tmp_path, case.lengths, case.benchmark)
    assert_equal(sqair_score(tmp_path, "--benchmark", case.benchmark), theirs)
