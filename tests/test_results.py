"""The tables of README.md and docs/ are those of docs/results, and say which code they are of."""

import json
from pathlib import Path

import pytest

import sqair.matcher
from sqair.errors import UserError
from sqair.scripts.experiments import bars, bars_table, canary, provenance, replay
from sqair.scripts.experiments.bars_table import (
    CHECKOUT,
    RESULTS,
    SAME,
    alike,
    benchmarks,
    between,
    pages,
    read_lines,
    readme,
)

NOW = {"model": "a", "data": "b", "scores": "c"}
SOURCE = '''"""What it is for."""
import math  # a comment

def double(x: float) -> float:
    """Twice."""
    return 2 * x  # no half


HASH = "#1 \\
#2"
LIMIT = 3
"""Most of them."""
'''


@pytest.fixture(scope="module")
def now() -> dict[str, str]:
    return provenance.fingerprints(provenance.PARTS)


def line(setting: str = "quick", seed: int = 0, tracked: str = "refined", **changed: object) -> dict:
    scores = {"count_accuracy": 0.9, "mota": 0.8, "idf1": 0.7, "hota": 0.6, "switches": 4, "cpu_seconds": 60.0}
    key = {"setting": setting, "seed": seed, "split": "test", "tracked": tracked}
    return {**key, "commit": "1234567", "code": NOW, **scores, **changed}


def test_only_a_change_of_code_changes_the_code() -> None:
    code = provenance.code(SOURCE)
    assert code == 'importmathdefdouble(x:float)->float:return2*xHASH="#1\\#2"LIMIT=3'
    changed = SOURCE.replace("a comment", "another").replace("Twice", "Two times").replace("Most of them", "At most")
    assert provenance.code(changed.replace("\n\n\n", "\n\n")) == code
    assert provenance.code(SOURCE.replace("2 * x", "3 * x")) != code
    assert provenance.code(SOURCE.replace("#1", "#3")) != code


def test_a_part_is_what_its_modules_import() -> None:
    model = provenance.modules(provenance.PARTS["model"])
    assert {"sqair.tracker", "sqair.matcher", "sqair.estimators.vimco"} <= set(model)
    assert not any("datasets" in name or "scripts" in name or name in provenance.PLUMBING for name in model)
    assert "sqair.datasets.motion" in provenance.modules(provenance.PARTS["data"])
    assert "sqair.eval.hota" in provenance.modules(provenance.PARTS["scores"])
    assert all(path.is_file() for path in model.values())


def test_a_row_has_the_mean_and_the_lowest_of_its_seeds_and_its_commit() -> None:
    lines = [line(), line(seed=1, mota=0.6, cpu_seconds=70.4, switches=5), line(seed=1, mota=0.5, cpu_seconds=71.0)]
    text = benchmarks([*lines, line(setting="unknown"), line(split="val", seed=2)], [NOW])
    row = "| `moving-mnist`, preset `quick` | refined | 2 | 71 | 0.900 (0.900) | 0.650 (0.500) | 0.700 (0.700) | 4 |"
    assert text.splitlines()[2:] == [f"{row} 1234567 |"]
    short = readme([*lines, line(tracked="floor", mota=0.25)], [NOW]).splitlines()[2:]
    label = "in half the time: `--preset quick`"
    assert short == [f"| {label} | 2 | 71 | 0.900 (0.900) | 0.650 (0.500) | 0.700 (0.700) | 0.250 | 1234567 |"]


def test_rows_of_other_code_say_so() -> None:
    lines = [line(), line(tracked="amortised", code={**NOW, "model": "x"}, commit="7654321")]
    rows = benchmarks(lines, [NOW]).splitlines()
    assert rows[2].endswith("| 1234567 |") and rows[3].endswith("| 7654321 † |")
    assert rows[-1].startswith("† ")
    assert "†" not in readme(lines[:1], [NOW])


def test_code_that_does_the_same_makes_the_same_results() -> None:
    """Bit for bit, through any number of commits and in either direction."""
    codes = [{**NOW, "model": name} for name in "abcde"]
    same = [{"code": codes[1], "its_code": codes[0]}, {"code": codes[2], "its_code": codes[1]}]
    same.append({"code": codes[4], "its_code": codes[3]})
    assert alike(codes[2], same) == [codes[2], codes[1], codes[0]]
    assert alike(codes[0], same) == codes[:3] and alike(codes[3], same) == codes[3:]
    assert "†" not in readme([line(code=codes[0])], alike(codes[2], same))


def test_a_replay_is_the_same_again_and_another_with_other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--preset", "sqair-script", "--train.stages", "1x2x8", "3x2x4", "--train.price-steps", "2")
    digest = replay._digest(words)
    assert replay._digest(words) == digest
    monkeypatch.setitem(sqair.matcher._JUMP, "density", 0.05)
    assert replay._digest(words) != digest


def test_what_is_between_the_marks_is_replaced() -> None:
    page = "a\n<!-- bars -->\nold\nold\n<!-- /bars -->\nb\n"
    assert between(page, "new \\1") == "a\n<!-- bars -->\nnew \\1\n<!-- /bars -->\nb\n"


def test_the_tables_of_the_pages_are_those_of_the_results(now: dict[str, str]) -> None:
    """After a change of the model: sqair experiments bars --publish, which marks what was not measured again."""
    valid = alike({part: now[part] for part in provenance.GENERATED}, read_lines(SAME))
    for name, text in pages(read_lines(RESULTS), valid).items():
        page = (CHECKOUT / name).read_text()
        assert between(page, text) == page, f"{name} is not what docs/results/bars.jsonl says"


def test_every_row_names_its_commit_and_its_code() -> None:
    for row in read_lines(RESULTS):
        known = set(row["code"]) in (set(), set(provenance.GENERATED))  # none of before there were fingerprints
        assert row["commit"] and known, row["setting"]
        assert row["setting"].split(" x")[0] in bars.SETTINGS


def test_the_small_trainings_have_been_run_with_this_code(now: dict[str, str]) -> None:
    """After a change of the model: sqair experiments canary --publish, some minutes."""
    lines = read_lines(canary.RESULTS)
    assert canary.stale(lines, now, read_lines(SAME)) == []
    assert canary.failures(lines) == []
    assert set(canary.LEAST) == set(canary.CANARIES)


def test_a_small_training_that_is_worse_or_of_other_code_is_found() -> None:
    code = {**NOW, "footage": "f"}
    good = {"name": "moving-mnist", "seed": 0, "code": code, **dict.fromkeys(canary.LEAST["moving-mnist"], 1.0)}
    assert canary.failures([good]) == []
    key, least = next(iter(canary.LEAST["moving-mnist"].items()))
    assert canary.failures([{**good, key: least - 0.001}]) == [
        f"moving-mnist, seed 0: {key} {least - 0.001:.3f} is below {least}"
    ]
    assert "moving-mnist" not in canary.stale([good], code, []) and "texture" in canary.stale([good], code, [])
    newer = {**code, "model": "x"}
    assert "moving-mnist" in canary.stale([good], newer, [])
    other = {**code, "footage": "x"}
    assert "moving-mnist" not in canary.stale([good], other, [])
    assert "walkers" in canary.stale([{**good, "name": "walkers"}], other, [])
    same = [{"code": {**NOW, "model": "x"}, "its_code": NOW}]
    assert "moving-mnist" not in canary.stale([good], newer, same)


def test_bars_are_not_measured_twice_with_code_that_does_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "fingerprints", lambda: NOW)
    ran: list[tuple[str, int]] = []

    def run(args: bars.Args, name: str, seed: int) -> None:
        ran.append((name, seed))
        with (args.output / "results.jsonl").open("a") as file:
            file.write(json.dumps(line(name, seed, code=bars.fingerprints(), clips=args.clips)) + "\n")

    monkeypatch.setattr(bars, "run", run)
    args = bars.Args(tmp_path, only=("quick", "static-air"))
    bars.main(args)
    assert ran == [(name, seed) for seed in range(5) for name in args.only if seed < bars.SETTINGS[name].seeds]
    bars.main(args)
    assert len(ran) == 8
    monkeypatch.setattr(bars, "fingerprints", lambda: {**NOW, "data": "x"})
    same = [{"code": {**NOW, "data": "x"}, "its_code": NOW}]
    monkeypatch.setattr(bars, "read_lines", lambda name: same if name == SAME else [])
    bars.main(args)
    assert len(ran) == 8
    same.clear()
    bars.main(args)
    assert len(ran) == 16
    with pytest.raises(UserError, match="unknown setting 'slow'"):
        bars.main(bars.Args(tmp_path, only=("slow",)))


def test_publishing_replaces_what_was_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("README.md", "docs/benchmarks.md", "docs/backgrounds.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("top\n<!-- bars -->\n\n<!-- /bars -->\n")
    (tmp_path / "docs/results").mkdir()
    old = {**NOW, "model": "old"}
    lines = [line(mota=0.1), line(seed=1), line(seed=2, mota=0, code=old), line("vimco", mota=0.5, code=old)]
    (tmp_path / RESULTS).write_text("".join(json.dumps(row) + "\n" for row in lines))
    (tmp_path / "new.jsonl").write_text(json.dumps(line(mota=0.9, commit="7654321")) + "\n")
    monkeypatch.setattr(bars_table, "CHECKOUT", tmp_path)
    monkeypatch.setattr(provenance, "fingerprints", lambda: NOW)
    bars_table.publish(tmp_path / "new.jsonl")
    assert [row["mota"] for row in bars_table.read_lines(RESULTS)] == [0.9, 0.8, 0.5]
    assert "| 1234567, 7654321 |" in (tmp_path / "README.md").read_text()
    page = (tmp_path / "docs/benchmarks.md").read_text()
    assert "0.850 (0.800)" in page and "| 1234567, 7654321 |" in page and "| 1234567 † |" in page
