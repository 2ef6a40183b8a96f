"""The notebook docs/tour.ipynb runs from its first cell to its last, with a tenth of its training on digits.

What a short training on digits learns is asked in test_training.py; here nothing is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CELLS = json.loads((ROOT / "docs" / "tour.ipynb").read_text(encoding="utf-8"))["cells"]
RUN = """
import json, sys
import matplotlib.pyplot as plt
plt.show = lambda: print(len(plt.get_fignums()), "picture(s)") or plt.close("all")
names = {"__name__": "__main__"}
for number, source in enumerate(json.load(sys.stdin)):
    exec(compile(source, f"code cell {number}", "exec"), names)
print(names["scores"].overall["objects"], len(names["tracks"]), names["tracker"].frame)
"""


SCHEDULE, SHORTER = "Stage(1, 400, 32), Stage(3, 20, 32)", "Stage(1, 40, 32), Stage(3, 2, 32)"


@pytest.mark.timeout(600)
def test_the_cells_run_in_order(tmp_path: Path) -> None:
    sources = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
    assert sum(SCHEDULE in source for source in sources) == 1
    sources = [source.replace(SCHEDULE, SHORTER) for source in sources]
    settings = {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN], input=json.dumps(sources), cwd=tmp_path, env={**os.environ, **settings},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("1 picture(s)") == 2
    objects, rows, tracked = map(int, done.stdout.split("\n")[-2].split())
    assert objects == 260 and tracked == 120 and rows > 0


def test_it_says_what_its_schedules_are_good_for_and_holds_no_outputs() -> None:
    text = "".join("".join(cell["source"]) for cell in CELLS)
    assert "2 to 3 minutes" in text
    assert all(not cell["outputs"] for cell in CELLS if cell["cell_type"] == "code")


def test_ten_cells_go_from_a_video_to_speeds_of_individuals(tmp_path: Path) -> None:
    cells = json.loads((ROOT / "docs" / "speeds.ipynb").read_text(encoding="utf-8"))["cells"]
    assert len(cells) == 10 and all(not cell.get("outputs") for cell in cells)
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    last = "print(names['speeds'].to_json())\nprint(names['first'], max(names['table'].id))"
    settings = {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN.rsplit("print", 1)[0] + last], input=json.dumps(sources), cwd=tmp_path,
        env={**os.environ, **settings}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("1 picture(s)") == 2
    *_, told, ids = done.stdout.strip().split("\n")
    speeds, (first, new) = json.loads(told), ids.split()
    assert {first, new} <= set(speeds["path"]), "the edit made two of one"
    for name, seconds in speeds["seconds"].items():
        assert 0 < seconds <= 6 and 0 < speeds["median_speed"][name] <= speeds["highest_speed"][name]
        assert speeds["path"][name] <= speeds["highest_speed"][name] * seconds * 1.01
