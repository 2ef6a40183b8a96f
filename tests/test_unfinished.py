"""Runs that are stopped or in progress have a model to track with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest
import torch

from sqair.datasets.generate import make_clips
from sqair.datasets.images import write_png
from sqair.datasets.recipes import get_recipe
from sqair.errors import UserError
from sqair.files.checkpoint import load_checkpoint, save_checkpoint
from sqair.files.pretrained import is_finished, save_weights
from sqair.model import SQAIR
from sqair.scripts import cli
from sqair.scripts.training import Session

TINY = (
    "--preset", "tiny", "--log-every", "1", "--validation-clips", "2", "--train.stages", "1x4x6", "2x3x4",
    "--data.length", "4", "--model.glimpse", "8",
)  # fmt: skip
STEPS = 7


def stopped(folder: Path, step: int, *words: str) -> Path:
    """A run that was stopped in that step."""
    whole_step = Session.step

    def interrupted(self: Session) -> dict[str, float]:
        if self.trainer.step + 1 == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return whole_step(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "step", interrupted)
        with pytest.raises(SystemExit):
            cli.run("train", [*TINY, *words, "--output", str(folder)])
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run stopped after 3 of 7 steps, before its first validation."""
    return stopped(tmp_path_factory.mktemp("runs") / "run", 3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images."""
    folder = tmp_path_factory.mktemp("clip") / "digits"
    folder.mkdir()
    for t, frame in enumerate(make_clips(get_recipe("moving-mnist", min_objects=2), "test", 0, 0, 1).frames[0]):
        write_png(folder / f"{t}.png", frame)
    return folder


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "checkpoint.pt")["trainer"]["model"]


def same(model: SQAIR, tensors: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, tensors[name]) for name, value in model.state_dict().items())


def test_a_stopped_run_has_the_model_of_its_checkpoint_at_the_price_of_tracking(run: Path) -> None:
    model = SQAIR.from_pretrained(run)
    state = load_checkpoint(run / "checkpoint.pt")["trainer"]
    assert same(model, state["model"]) and model.trained == (3, STEPS) and not model.training
    assert model.price == pytest.approx(0.06 * state["object_nats"]) and model.price < state["price"]
    assert not (run / "weights").exists() and not is_finished(run)


def test_tracking_and_reporting_say_how_far_a_stopped_run_got(
    run: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run("track", ["--source", str(clip), "--model", str(run), "--output", str(tmp_path / "tracks")]) == 0
    assert f"{run} is of a run that is not finished: step 3 of {STEPS}" in capsys.readouterr().out
    assert (tmp_path / "tracks" / "digits.txt").is_file()
    assert cli.run("report", [str(clip), "--model", str(run), "--output", str(tmp_path / "pages")]) == 0
    assert f"step 3 of {STEPS}" in capsys.readouterr().out
    finished = tmp_path / "finished"
    assert cli.run("train", [*TINY, "--output", str(finished)]) == 0
    capsys.readouterr()
    assert cli.run("track", ["--source", str(clip), "--model", str(finished), "--output", str(tmp_path / "more")]) == 0
    assert "not finished" not in capsys.readouterr().out and is_finished(finished)


@pytest.mark.parametrize(("checkpoint", "weights", "newer"), [(5, 4, "checkpoint"), (3, 4, "weights")])
def test_the_newer_of_checkpoint_and_weights_is_taken(
    tmp_path: Path, checkpoint: int, weights: int, newer: str
) -> None:
    """A run that is killed may have either: a checkpoint is written now and then, weights with every validation."""
    whole = stopped(tmp_path / "whole", 6)
    assert SQAIR.from_pretrained(whole / "weights").trained == (weights, STEPS)
    shutil.copy(stopped(tmp_path / "other", checkpoint) / "checkpoint.pt", whole)
    model = SQAIR.from_pretrained(whole)
    assert model.trained == (max(checkpoint, weights), STEPS)
    assert same(model, tensors_of(whole)) == (newer == "checkpoint")
    assert same(model, SQAIR.from_pretrained(whole / "weights").state_dict()) == (newer == "weights")


def test_weights_of_a_validation_are_those_of_a_run_stopped_there(tmp_path: Path) -> None:
    first, second = stopped(tmp_path / "first", 6), stopped(tmp_path / "second", 4, "--validate-every", "0")
    a, b = SQAIR.from_pretrained(first / "weights"), SQAIR.from_pretrained(second)
    assert a.trained == b.trained == (4, STEPS) and a.price == b.price and same(a, b.state_dict())


def test_a_damaged_checkpoint_beside_whole_weights_costs_nothing(tmp_path: Path) -> None:
    run = stopped(tmp_path / "run", 6)
    (run / "checkpoint.pt").write_bytes((run / "checkpoint.pt").read_bytes()[:-9])
    assert SQAIR.from_pretrained(run).trained == (4, STEPS)
    shutil.rmtree(run / "weights")
    with pytest.raises(UserError, match="cut short"):
        SQAIR.from_pretrained(run)


def test_what_is_no_model_yet_is_named(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "run"
    other.mkdir()
    shutil.copy(run / "config.yaml", other)
    with pytest.raises(UserError, match="is a run that has saved no model yet"):
        SQAIR.from_pretrained(other)
    state = load_checkpoint(run / "checkpoint.pt")
    spoiled = {
        "not made a step yet": {**state, "trainer": {**state["trainer"], "tracking_price": None}},
        "of an earlier sqair": {**state, "trainer": {k: v for k, v in state["trainer"].items() if k != "total_steps"}},
        "not the checkpoint of a run": {"step": 3},
        "of another sqair": {**state, "trainer": {**state["trainer"], "model": {}}},
        "unknown key 'none'": {**state, "settings": {**state["settings"], "model.none": 3}},
    }
    for said, payload in spoiled.items():
        save_checkpoint(other / "checkpoint.pt", payload)
        with pytest.raises(UserError, match=said):
            SQAIR.from_pretrained(other)


def test_a_run_without_a_step_has_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr("sqair.scripts.training._loop", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        cli.run("train", [*TINY, "--output", str(folder)])
    with pytest.raises(UserError, match="has not made a step yet"):
        SQAIR.from_pretrained(folder)


def test_weights_that_are_being_replaced_are_read_whole(run: Path, tmp_path: Path) -> None:
    """A training that goes on publishes again and again, while others load."""
    folder, models = tmp_path / "run", [SQAIR.from_pretrained(run), SQAIR.from_pretrained(run)]
    shutil.copytree(run, folder)
    models[1].price = 99.0
    with torch.no_grad():
        for parameter in models[1].parameters():
            parameter.zero_()
    info = {"steps": 4, "total_steps": STEPS}
    save_weights(folder / "weights", models[0], info)
    done = threading.Event()

    def publish() -> None:
        for i in range(60):
            save_weights(folder / "weights", models[i % 2], info)
        done.set()

    thread = threading.Thread(target=publish)
    thread.start()
    loaded = 0
    while not done.is_set():
        model = SQAIR.from_pretrained(folder)
        loaded += 1
        assert any(same(model, other.state_dict()) and model.price == other.price for other in models)
    thread.join()
    assert loaded > 0


def test_how_far_training_got_is_saved_with_the_model(run: Path, tmp_path: Path) -> None:
    SQAIR.from_pretrained(run).save_pretrained(tmp_path / "weights")
    assert SQAIR.from_pretrained(tmp_path / "weights").trained == (3, STEPS)
    save_weights(tmp_path / "bare", SQAIR.from_pretrained(run), {})
    SQAIR.from_pretrained(tmp_path / "bare").save_pretrained(tmp_path / "more")
    assert json.loads((tmp_path / "more" / "config.json").read_text())["info"] == {}
    assert SQAIR.from_pretrained("moving-mnist").trained == (1750, 1750)
