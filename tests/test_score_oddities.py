"""Files as users have them, beside TrackEval: docs/scores.md has the table that this checks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from oddities import LENGTH, ODDITIES, TRUTH, Oddity
from sqair.scripts import cli
from trackeval_oracle import OVERALL, Refused, trackeval

DOCS = (Path(__file__).parents[1] / "docs" / "scores.md").read_text()
REFUSED = "refused"


def numbers(mota: float | None, false_positives: float, misses: float) -> str:
    return f"{'-' if mota is None else f'{mota:.4f}'}, {false_positives:.0f}, {misses:.0f}"


def of_trackeval(oddity: Oddity, root: Path) -> str:
    if oddity.crash:
        return f"asks for {oddity.crash}"
    try:
        row = trackeval(root, {"clip": oddity.length}, oddity.benchmark)[OVERALL]
    except Refused:
        return REFUSED
    return numbers(row["mota"], row["false_positives"], row["misses"])


def run(root: Path, *words: object) -> int:
    command = ["--truth", root / "gt", "--pred", root / "pred", "--output", root / "out", *words]
    return cli.run("score", list(map(str, command)))


def of_sqair(oddity: Oddity, root: Path) -> str:
    """By itself, but for MOT20, which the name of the clip would tell."""
    if run(root, *(["--benchmark", "mot20"] if oddity.benchmark == "mot20" else [])) == 2:
        return REFUSED
    row = json.loads((root / "out" / "scores.json").read_text())["overall"]
    return numbers(row["mota"], row["false_positives"], row["misses"])


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.what)
def test_the_table_of_the_docs_is_true(oddity: Oddity, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    oddity.write(tmp_path)
    line = f"| {oddity.what} | {of_trackeval(oddity, tmp_path)} | {of_sqair(oddity, tmp_path)} |"
    assert line in DOCS.splitlines()
    said = capsys.readouterr()
    if line.endswith(f"{REFUSED} |"):
        assert said.err.startswith("error: ") and said.err.count("\n") == 1
        assert re.search(r"(gt|clip)\.txt:\d+: |clip clip: ", said.err), "which file and line"


def test_the_table_of_the_docs_is_whole() -> None:
    (table,) = re.findall(r"^\| what is odd \|.*?\n\n", DOCS, re.M | re.S)
    assert len(table.strip().splitlines()) == 2 + len(ODDITIES)


def told(tmp_path: Path, capsys: pytest.CaptureFixture[str], gt: str, pred: str, *words: str) -> str:
    """What is printed about two files."""
    root = tmp_path / f"{len(list(tmp_path.iterdir()))}"
    root.mkdir()
    Oddity("", gt, pred, length=100).write(root)
    assert run(root, *words) == 0
    return capsys.readouterr().out


def by_name(what: str) -> Oddity:
    (found,) = [oddity for oddity in ODDITIES if oddity.what == what]
    assert isinstance(found.gt, str) and isinstance(found.pred, str)
    return found


def test_what_may_be_meant_differently_is_hinted_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def say(what: str, *words: str) -> str:
        oddity = by_name(what)
        return told(tmp_path, capsys, str(oddity.gt), str(oddity.pred), *words)

    assert "Hint" not in say("plain: ids from 1, class 1, conf 1")
    assert "20 boxes of ground truth have a conf between 0 and 1" in say("truth of conf 0.9")
    nothing = say("truth of class 3 only")
    assert "its classes are 3, not 1. --benchmark mot15 scores it" in nothing
    assert "OVERALL  1.0000" in say("truth of class 3 only", "--benchmark", "mot15")
    assert "one pixel further right and down MOTA would be 1.0000, not -1.0000" in say(
        "truth one pixel off, on small things"
    )
    swapped = by_name("truth one pixel off, on small things")
    assert "one pixel further left and up MOTA would be 1" in told(
        tmp_path, capsys, str(swapped.pred).replace(",0.9,-1,-1,-1", ",1,1,1"), str(swapped.gt)
    )
    mixed = TRUTH + f"{LENGTH},9,300,20,20,30,1,0,1\n"
    assert "classes are not looked at, for class 0 is none" in told(tmp_path, capsys, mixed, str(swapped.pred))
    assert "the rule of MOT15" in told(tmp_path, capsys, mixed, str(swapped.pred))


def test_sparse_truth_is_scored_on_its_frames_and_the_rule_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sparse = by_name("truth on every tenth frame")
    gt, pred = str(sparse.gt), str(sparse.pred)
    out = told(tmp_path, capsys, gt, pred)
    assert "1 clip, 10 frames" in out and "ground truth is on 1 frame in 10" in out and "Hint" not in out
    assert "OVERALL  1.0000" in out
    out = told(tmp_path, capsys, gt, pred, "--frames", "all")
    assert "OVERALL  -8.0000" in out and "1 clip, 100 frames" in out
    assert "On the frames that have ground truth MOTA is 1.0000" in out and "--frames truth" in out
    assert "OVERALL  1.0000" in told(tmp_path, capsys, gt, pred, "--frames", "truth")
    uneven = gt + "2,1,14,20,20,30,1,1,1\n"
    out = told(tmp_path, capsys, uneven, pred)
    assert "1 clip, 100 frames" in out and "--frames truth" in out, "no rule for this, so it is hinted at"
    few = "".join(line + "\n" for line in gt.splitlines()[:8])
    assert "1 clip, 100 frames" in told(tmp_path, capsys, few, pred), "four frames say nothing"
