"""The study of estimators: its parts on next to no budget, and what it says of them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sqair.estimators import ESTIMATORS
from sqair.scripts import cli
from sqair.scripts.experiments import estimator_noise, estimator_runs
from sqair.scripts.experiments.estimator_report import Results, table, write_report
from sqair.scripts.experiments.estimator_runs import SETTINGS, Run, measure_cost, train_once, train_trajectory
from sqair.scripts.experiments.estimators import Args, _runs
from sqair.scripts.experiments.study import Study

SMALL = ("--model.hidden", "16", "--model.features", "16", "--model.glimpse", "8")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, setting in SETTINGS.items():
        words = (*setting.words, *SMALL)
        monkeypatch.setitem(SETTINGS, name, replace(setting, words=words, rows=4, validation=(2, 2)))
    monkeypatch.setattr(estimator_noise, "WARM", 1)
    monkeypatch.setattr(estimator_noise, "MANY", dict.fromkeys(SETTINGS, 2))
    monkeypatch.setattr(estimator_noise, "CLIPS", 4)
    monkeypatch.setattr(estimator_runs, "LOOKS", 2)


@pytest.mark.parametrize("setting", ["clips", "frames"])
def test_a_study_from_trajectory_to_table(small: None, tmp_path: Path, setting: str) -> None:
    """All steps, stored and read again, and the report of an estimator that works and one that cannot be run."""
    torch.set_num_threads(1)
    names = ["nvil", "vimco", "enumeration"]
    run_too = names if setting == "frames" else names[1:]
    study = Study(tmp_path)
    for line in train_trajectory(setting, str(tmp_path), 0.2):
        study.add(line)
    for name in run_too:
        study.add(measure_cost(setting, name, 2, str(tmp_path)))
    for line in estimator_noise.measure_noise(setting, 1, names, 2, 3, str(tmp_path)):
        study.add(line)
    for name in run_too:
        cost = study.get("cost", setting, name)["milliseconds"]
        for line in train_once(Run(setting, name, 0, 1.0, 2, 0.2, tuple(cost.items()))):
            study.add(line)
    read = Study(tmp_path)
    assert read.has("run", setting, "vimco", 0, 1.0) and not read.has("run", setting, "vimco", 1, 1.0)
    (run,) = Results(read.lines).runs(setting, "vimco")
    assert len(run["curve"]) == 2 and 0 < run["curve"][-1][0] and 0 <= run["count_accuracy"] <= 1
    cannot = setting == "clips"
    (row,) = [line for line in table(Results(read.lines), setting).splitlines() if "`enumeration`" in line]
    assert ("it cannot enumerate clips of this length" in row) == cannot
    assert Results(read.lines).noise(setting, "nvil")[0]["variance"] > 0
    write_report(read.lines, tmp_path)
    assert {"table.md", f"estimators-{setting}.png", "estimators-noise.png"} <= {p.name for p in tmp_path.iterdir()}


def test_what_is_finished_is_not_planned_again_and_nvil_gets_a_lower_rate(tmp_path: Path) -> None:
    study = Study(tmp_path)
    for setting in SETTINGS:
        for name in ESTIMATORS:
            study.add({"key": ["cost", setting, name], "milliseconds": {"1": 1.0}})
    args = Args(tmp_path, seeds=1, rate_seeds=1, recurrent_seeds=1)
    budgets = dict.fromkeys(SETTINGS, 1.0)
    runs = list(_runs(args, list(ESTIMATORS), budgets, study))
    assert len({run.key() for run in runs}) == len(runs) == 5 * len(ESTIMATORS) + 3
    assert {run.estimator for run in runs if run.rate == 0.1} == {"nvil", "nvil_unscaled", "nvil_paper"}


def test_the_noise_of_an_estimator_is_that_of_its_draws() -> None:
    draws = 400
    source = torch.Generator().manual_seed(0)
    gradients = [torch.tensor([3.0, 0.0]) + torch.randn(2, generator=source) for _ in range(draws)]
    found = estimator_noise.Moments(iter(gradients))
    assert found.variance == pytest.approx(2, rel=0.3)  # 6 standard errors
    assert float(found.mean.square().sum()) - found.error == pytest.approx(9, abs=1)
    assert found.error == pytest.approx(found.variance / draws)


def test_an_unknown_estimator_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("experiments.estimators", ["--output", str(tmp_path / "study"), "--only", "magic"]) == 2
    assert "unknown estimator 'magic': choose from closed_form" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_results_that_are_kept_are_whole() -> None:
    """The results in the docs have every estimator in every setting."""
    path = Path(__file__).parents[1] / "docs" / "results" / "estimators.jsonl"
    results = Results([json.loads(line) for line in path.read_text().splitlines()])
    assert set(results.names) == set(ESTIMATORS)
    for name in ESTIMATORS:
        for setting, seeds in (("frames", 5), ("clips", 5), ("recurrent", 2)):
            assert len(results.runs(setting, name)) >= seeds
