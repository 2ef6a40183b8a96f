"""``sqair bench``: that it counts what it says it counts. How fast the model is depends on the machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

import sqair.muon
from sqair.config import ModelConfig, Stage
from sqair.datasets.recipes import Recipe
from sqair.errors import UserError
from sqair.files.pretrained import save_weights
from sqair.model import SQAIR
from sqair.scripts import bench, measuring
from sqair.scripts.measuring import Setting, Stopwatch

DIGITS = Recipe("moving-mnist", min_objects=2)
SMALL = ModelConfig(hidden=16, features=16, z_what=8)


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.manual_seed(0)
    save_weights(tmp_path / "model", SQAIR(SMALL), {})
    return str(tmp_path / "model")


@pytest.fixture
def spend(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Replaces the process's clock by one that only this function moves."""
    now = [100.0]
    monkeypatch.setattr(measuring.time, "process_time", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


def test_stopwatch_puts_time_down_to_the_innermost_part(spend: Callable[[float], None]) -> None:
    class Work:
        def outer(self) -> str:
            spend(1)
            self.inner()
            spend(2)
            self.inner()
            return "done"

        def inner(self) -> None:
            spend(10)

    watch = Stopwatch()
    with watch.watch({"out": [(Work, "outer")], "in": [(Work, "inner")]}):
        spend(1000)
        assert Work().outer() == "done"
        with pytest.raises(TypeError):
            Work().inner(1)  # type: ignore[call-arg]
        spend(1000)
    assert watch.seconds == {"out": 3, "in": 20}
    Work().outer()
    assert watch.seconds == {"out": 3, "in": 20}


def test_what_a_step_is_put_down_to(weights: str) -> None:
    found = measuring.measure_step(Setting("", Stage(3, 1, 4), DIGITS), weights, 2)
    share = found["share"]
    assert sum(share.values()) == pytest.approx(1)
    assert {part for part, value in share.items() if value > 0} == set(measuring.PARTS)
    assert 0 < found["least_cpu_seconds"] <= found["cpu_seconds"]
    assert found["operations"] > 100
    assert 0 < found["objects_per_frame"] <= SMALL.slots


def test_arithmetic_is_that_of_the_matrix_products(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Discovery's network sees every clip at least once, and its weights get gradients: all of that is counted."""
    clips, c = 6, SMALL
    context = 2 * c.glimpse**2 * 256 + 256 * c.features + c.features * 128 + 128 * 8
    flop = measuring.measure_step(Setting("", Stage(1, 1, clips), DIGITS), weights, 1)["flop"]
    forward_and_backward = 2 * 2 * clips * context
    monkeypatch.setattr(sqair.muon, "orthogonal", lambda matrix: matrix)
    without_muon = measuring.measure_step(Setting("", Stage(1, 1, clips), DIGITS), weights, 1)["flop"]
    assert forward_and_backward < without_muon < 20 * forward_and_backward < flop


def test_operations_of_the_backward_pass_count() -> None:
    x = torch.ones(3, requires_grad=True)
    with measuring.OperationCounter() as counter:
        y = x * 2
        forward = counter.calls
        y.sum().backward()
    assert forward == 1
    assert counter.calls >= 4


def test_measured_steps_leave_the_trained_weights(weights: str) -> None:
    trainer = measuring.make_trainer(Setting("", Stage(2, 3, 2), DIGITS, slots=2, discovery_steps=1), weights)
    for _ in trainer.run():
        pass
    assert asdict(trainer.model.config) == {**asdict(SMALL), "slots": 2, "first_steps": 1, "later_steps": 1}
    trained = SQAIR.from_pretrained(weights).state_dict()
    for name, value in trainer.model.state_dict().items():
        assert torch.allclose(value, trained[name], atol=1e-5), name


def test_models_of_three_channels_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "colour", SQAIR(ModelConfig(channels=3, hidden=8, features=8)), {})
    with pytest.raises(UserError, match="3 channels"):
        measuring.make_trainer(Setting("", Stage(1, 1, 1)), str(tmp_path / "colour"))


def test_the_rate_of_a_matrix_product(spend: Callable[[float], None], monkeypatch: pytest.MonkeyPatch) -> None:
    costs = iter([0.5, 0.25, 1.0])
    monkeypatch.setattr(measuring.torch, "mm", lambda a, b, out: spend(next(costs)))
    assert measuring.measure_matmul(8, least_seconds=1.5) == 2 * 8**3 / 0.25


def test_peak_memory_is_in_bytes() -> None:
    before = measuring.peak_bytes()
    ballast = np.ones((before + 2**26) // 8)
    assert ballast.nbytes <= measuring.peak_bytes() <= before + ballast.nbytes + 2**26


def test_growth_is_measured_elsewhere(weights: str) -> None:
    (row,) = measuring.measure_growth([Setting("", Stage(2, 1, 2), DIGITS, particles=2)], weights, 1)
    assert row["cpu_seconds"] > 0
    assert 2**18 < row["peak_bytes"] < 2**30


def test_prints_tables_and_writes_numbers(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "bench.json"
    args = bench.Args(output=output, model=weights, steps=1, growth=False, tiny=True)
    bench.main(args)
    results = json.loads(output.read_text())
    out = capsys.readouterr().out
    assert {"original", "ours, T = 1", "ours, T = 3"} <= set(results["training"])
    assert "8.97 CPU-s (measured elsewhere)" in out
    for row in ("original ", "all refinements ", "amortised posteriors "):
        assert f"\n{row}" in out
    for speeds in results["tracking"].values():
        assert speeds["batched"] > 0 < speeds["streaming"]
        assert speeds["streaming_median_ms"] <= speeds["streaming_slowest_percent_ms"]
    floor = results["training"]["original"]
    rate = max(results["matmul"].values())
    assert floor["floor_share"] == pytest.approx(floor["flop"] / rate / floor["cpu_seconds"])
    with pytest.raises(UserError, match="exists"):
        bench.main(args)


def test_the_rows_are_those_that_the_documents_name() -> None:
    original, *ours = bench.settings(tiny=False)
    assert (original.stage.length, original.stage.clips, original.particles) == (10, 32, 5)
    assert (original.slots, original.estimator, original.recipe.height, original.recipe.width) == (3, "vimco", 50, 50)
    assert [s.stage for s in ours] == list(measuring.TrainConfig.stages)
    base, *changed = bench.growths(tiny=False)
    for setting in changed:
        different = [key for key, value in asdict(setting).items() if value != asdict(base)[key]]
        assert len(set(different) - {"name"}) == (2 if setting.name == "20 frames" else 1), setting.name


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"steps": 0}, "--steps is 0"), ({"threads": 0}, "--threads is 0"), ({"model": "nope"}, "'nope'")],
)
def test_wrong_settings(settings: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        bench.main(bench.Args(**settings))
