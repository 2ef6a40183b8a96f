"""``sqair train``: runs that repeat, stop, go on and refuse."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sqair.config import ModelConfig, Stage, TrainConfig
from sqair.datasets.images import read_image
from sqair.datasets.recipes import get_recipe
from sqair.errors import UserError
from sqair.files.checkpoint import load_checkpoint, save_checkpoint
from sqair.inference import Sampled
from sqair.model import SQAIR, Step
from sqair.scripts import cli, train
from sqair.scripts.presets import PRESETS
from sqair.scripts.run_folder import read_metrics
from sqair.scripts.training import Generated, Session
from sqair.scripts.validation import Validation
from sqair.tracker import track_clips
from sqair.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
TINY = (
    "--preset", "tiny", "--log-every", "1", "--validation-clips", "2", "--train.stages", "1x4x6", "2x3x4",
    "--data.length", "4", "--model.glimpse", "8",
)  # fmt: skip
STEPS = 7


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert cli.run("train", [*TINY, "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Makes this process send itself a signal in the middle of a step."""

    def plan(step: int, number: int) -> None:
        whole_step = Session.step

        def interrupted(self: Session) -> dict[str, float]:
            if self.trainer.step + 1 == step:
                os.kill(os.getpid(), number)
            return whole_step(self)

        monkeypatch.setattr(Session, "step", interrupted)

    return plan


def metrics(folder: Path) -> list[dict[str, Any]]:
    """All that was logged but the time it took."""
    lines = read_metrics(folder / "metrics.jsonl")
    return [{key: value for key, value in line.items() if key != "cpu_seconds"} for line in lines]


def equal(a: Any, b: Any) -> bool:
    """Whether two nested states are the same, bit for bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def assert_same_run(a: Path, b: Path) -> None:
    assert (a / "weights/model.safetensors").read_bytes() == (b / "weights/model.safetensors").read_bytes()
    assert metrics(a) == metrics(b)
    states = [load_checkpoint(folder / "checkpoint.pt") for folder in (a, b)]
    assert equal(states[0]["trainer"], states[1]["trainer"])
    for picture in (a / "pictures").iterdir():
        assert picture.read_bytes() == (b / "pictures" / picture.name).read_bytes()


def test_a_run_leaves_all_that_was_promised(whole: Path) -> None:
    lines = read_metrics(whole / "metrics.jsonl")
    assert [line["step"] for line in lines if line["kind"] == "train"] == list(range(1, STEPS + 1))
    assert [line["step"] for line in lines if line["kind"] == "validation"] == [4, 7]
    cpu = [line["cpu_seconds"] for line in lines]
    assert cpu == sorted(cpu) and 0 < cpu[0]
    assert {"elbo", "count_accuracy"} <= lines[-1].keys()
    assert sorted(path.name for path in (whole / "pictures").iterdir()) == ["000004.png", "000007.png"]
    assert read_image(whole / "pictures" / "000007.png").shape[2] == 3
    assert SQAIR.from_pretrained(whole).config == SQAIR.from_pretrained(whole / "weights").config
    info = json.loads((whole / "weights/config.json").read_text())["info"]
    assert info["settings"]["train"]["stages"] == ["1x4x6", "2x3x4"] and info["steps"] == STEPS


def test_the_settings_of_a_run_repeat_it(whole: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert cli.run("train", ["--config", str(whole / "config.yaml"), "--output", str(again)]) == 0
    assert_same_run(whole, again)


def test_another_seed_is_another_run(whole: Path, tmp_path: Path) -> None:
    assert cli.run("train", [*TINY, "--train.seed", "1", "--output", str(tmp_path / "other")]) == 0
    assert metrics(whole)[0]["elbo"] != metrics(tmp_path / "other")[0]["elbo"]


def test_looking_at_validation_clips_changes_nothing(whole: Path, tmp_path: Path) -> None:
    blind = tmp_path / "blind"
    assert cli.run("train", [*TINY, "--validate-every", "0", "--output", str(blind)]) == 0
    assert (whole / "weights/model.safetensors").read_bytes() == (blind / "weights/model.safetensors").read_bytes()


@pytest.mark.parametrize(("number", "status", "step"), [(signal.SIGTERM, 143, 2), (signal.SIGINT, 130, 5)])
def test_a_stopped_run_goes_on_bit_for_bit(
    whole: Path,
    tmp_path: Path,
    stop_after: Callable[[int, int], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    status: int,
    step: int,
) -> None:
    before = signal.getsignal(number)
    stop_after(step, number)
    run = tmp_path / "run"
    with pytest.raises(SystemExit) as stopped:
        cli.run("train", [*TINY, "--output", str(run)])
    assert stopped.value.code == status
    assert signal.getsignal(number) == before
    said = capsys.readouterr().out.splitlines()[-1]
    assert f"stopped after step {step}; saved {run / 'checkpoint.pt'}" in said
    assert f"sqair train --resume --output {run}" in said
    assert (run / "weights").exists() == (step >= 4), "weights are written with every validation"

    monkeypatch.undo()
    with (run / "metrics.jsonl").open("a") as file:  # what a later kill -9 could have left
        file.write('{"kind": "train", "step": 6, "elbo": 0}\n{"kind": "tra')
    assert cli.run("train", ["--resume", "--output", str(run)]) == 0
    assert_same_run(whole, run)


@pytest.mark.parametrize("how", [("nvil",), ("vimco", "--particles", "2"), ("concrete",), ("relax",)])
def test_estimators_resume_too(
    tmp_path: Path, stop_after: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]
) -> None:
    """Baselines are a part of the state; the recurrent search and its feedback keep none between frames."""
    words = [*TINY, "--validate-every", "0", "--model.discovery", "recurrent", "--estimator", *how]
    assert cli.run("train", [*words, "--output", str(tmp_path / "whole")]) == 0
    stop_after(3, signal.SIGTERM)
    with pytest.raises(SystemExit):
        cli.run("train", [*words, "--output", str(tmp_path / "parts")])
    monkeypatch.undo()
    assert cli.run("train", ["--resume", "--output", str(tmp_path / "parts")]) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("stage", ["1x4x6", "2x4x2"])
def test_enumeration_trains_on_frames_and_short_clips(tmp_path: Path, stage: str) -> None:
    words = [*TINY, "--validate-every", "0", "--estimator", "enumeration", "--train.stages", stage]
    assert cli.run("train", [*words, "--output", str(tmp_path)]) == 0
    lines = [line for line in metrics(tmp_path) if "loss" in line]
    assert len(lines) == 4
    for line in lines:
        assert line["loss"] == pytest.approx(-line["elbo"], rel=1e-5)


def test_enumeration_refuses_what_it_could_never_finish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*TINY, "--estimator", "enumeration", "--train.stages", "5x4x6", "--data.length", "5"]
    assert cli.run("train", [*words, "--output", str(tmp_path / "run")]) == 2
    assert "1.65e+04 outcomes in clips of 5 frames, and does 256 at most" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_finished_run_has_nothing_to_resume(whole: Path) -> None:
    before = metrics(whole), (whole / "weights/model.safetensors").read_bytes()
    assert cli.run("train", ["--resume", "--output", str(whole)]) == 0
    assert before == (metrics(whole), (whole / "weights/model.safetensors").read_bytes())


def test_sigterm_in_another_process(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = [*TINY, "--train.stages", "1x100000x2", "--validate-every", "0", "--output", str(run)]
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, text=True, stdout=pipe, stderr=pipe) as process:
        until = time.monotonic() + 200
        while len(read_metrics(run / "metrics.jsonl")) < 3 and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.05)
        process.terminate()
        out, err = process.communicate(timeout=90)
    assert process.returncode == 143, err
    assert len(out.splitlines()) == 1 and "--resume" in out
    logged = metrics(run)
    assert load_checkpoint(run / "checkpoint.pt")["trainer"]["step"] == logged[-1]["step"] == len(logged)


def test_what_is_not_finite_stops_the_run_and_spares_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole_step = Session.step

    def spoiled(self: Session) -> dict[str, float]:
        if self.trainer.step == 4:
            next(self.trainer.model.parameters()).data.fill_(float("nan"))
        return whole_step(self)

    monkeypatch.setattr(Session, "step", spoiled)
    run = tmp_path / "run"
    assert cli.run("train", [*TINY, "--save-seconds", "0", "--output", str(run)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: step 4: ") and "not finite" in said and str(run / "checkpoint.pt") in said
    state = load_checkpoint(run / "checkpoint.pt")["trainer"]
    assert state["step"] == 4
    assert all(tensor.isfinite().all() for tensor in state["model"].values() if tensor.is_floating_point())
    assert SQAIR.from_pretrained(run).trained == (4, STEPS)
    assert all(parameter.isfinite().all() for parameter in SQAIR.from_pretrained(run).parameters())


def words_of(folder: Path, *more: str) -> list[str]:
    return [*TINY, *more, "--output", str(folder)]


def test_a_run_of_an_earlier_version_says_so(
    tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old"
    shutil.copytree(whole, old)
    state = load_checkpoint(old / "checkpoint.pt")
    del state["settings"]["train.exploration"]
    save_checkpoint(old / "checkpoint.pt", state)
    assert cli.run("train", words_of(old, "--resume")) == 2
    said = capsys.readouterr().err
    assert "of other settings, such as train.exploration: train anew" in said and said.count("\n") == 1


def test_errors_are_one_line(tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new, blocked = tmp_path / "new", tmp_path / "file"
    blocked.write_text("")
    bad_key, bad_value = tmp_path / "key.yaml", tmp_path / "value.yaml"
    bad_key.write_text("train:\n  learnin_rate: 0.1\n")
    bad_value.write_text("train:\n  stages: [10by3]\n")
    cases = [
        (words_of(new, "--recipe", "moving-mnits"), ["moving-mnits", "did you mean 'moving-mnist'"]),
        (words_of(new, "--preset", "quik"), ["quik", "did you mean 'quick'"]),
        (words_of(new, "--config", str(bad_key)), ["key.yaml", "train.learnin_rate", "train.learning_rate"]),
        (words_of(new, "--config", str(bad_value)), ["value.yaml", "train.stages", "10by3"]),
        (words_of(new, "--config", str(tmp_path / "none.yaml")), ["none.yaml"]),
        (words_of(new, "--model.height", "40"), ["--model.height is 40", "50"]),
        (words_of(new, "--data.length", "1"), ["2 frames", "1"]),
        (words_of(new, "--threads", "0"), ["--threads is 0"]),
        (words_of(new, "--train.learning-rate", "nan"), ["--train.learning-rate is nan"]),
        (words_of(new, "--train.price-steps", "0"), ["--train.price-steps is 0"]),
        (words_of(new, "--model.likelihood-std=-1"), ["--model.likelihood-std is -1"]),
        (words_of(new, "--model.stretch=0"), ["--model.stretch is 0"]),
        (words_of(new, "--train.exploration", "1.5"), ["--train.exploration is 1.5", "from 0 to 1"]),
        (words_of(new, "--train.crowd-dropout=nan"), ["--train.crowd-dropout is nan", "from 0 to 1"]),
        (words_of(new, "--resume", "--overwrite"), ["--resume", "--overwrite"]),
        (words_of(whole), [str(whole), "--overwrite"]),
        (words_of(blocked), [str(blocked)]),
        (words_of(blocked / "run"), [str(blocked / "run"), "cannot write"]),
        (["--resume", "--output", str(new)], ["no run to resume", str(new)]),
        (words_of(whole, "--resume", "--train.seed", "4"), ["train.seed is 0, not 4"]),
        (words_of(whole, "--resume", "--model.z-what", "5"), ["model.z_what is 8, not 5"]),
    ]
    before = sorted(whole.rglob("*"))
    for words, expected in cases:
        assert cli.run("train", words) == 2, words
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1 and said[0].startswith("error: "), said
        for part in expected:
            assert part in said[0], (part, said[0])
    assert not new.exists() and sorted(whole.rglob("*")) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("train", words_of(tmp_path / "run", "--device", "cuda")) == 2
    assert "--device cuda" in capsys.readouterr().err


def test_a_run_goes_on_on_another_device(whole: Path, tmp_path: Path) -> None:
    """Its generator is of another kind there, of which a state is of no use."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    path = run / "checkpoint.pt"
    state = load_checkpoint(path)
    state["trainer"] |= {"step": 3, "device": "cuda", "generator": torch.zeros(16, dtype=torch.uint8)}
    save_checkpoint(path, state)
    assert cli.run("train", ["--resume", "--output", str(run)]) == 0
    assert load_checkpoint(path)["trainer"]["device"] == "cpu"


def test_a_gpu_without_memory_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: Trainer) -> dict[str, float]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainer, "train_step", full)
    assert cli.run("train", words_of(tmp_path / "run")) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "error: the memory of the GPU is full: fewer clips at a time in --train.stages, or --device cpu"


@pytest.mark.parametrize("damage", ["cut short", "damaged"])
def test_a_spoiled_checkpoint_is_refused(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_bytes((whole / "config.yaml").read_bytes())
    data = bytearray((whole / "checkpoint.pt").read_bytes())
    if damage == "cut short":
        del data[len(data) // 2 :]
    else:
        data[len(data) // 2] ^= 1
    (run / "checkpoint.pt").write_bytes(data)
    assert cli.run("train", ["--resume", "--output", str(run)]) == 2
    said = capsys.readouterr().err
    assert str(run / "checkpoint.pt") in said and damage in said
    assert (run / "checkpoint.pt").read_bytes() == data


def test_overwrite_replaces_the_run_and_nothing_else(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "pictures").mkdir(parents=True)
    (run / "pictures" / "999999.png").write_text("old")
    (run / "metrics.jsonl").write_text('{"kind": "train", "step": 1}\n')
    (run / "notes.txt").write_text("mine")
    assert cli.run("train", words_of(run, "--overwrite")) == 0
    assert (run / "notes.txt").read_text() == "mine"
    assert not (run / "pictures" / "999999.png").exists()
    assert_same_run(whole, run)


def test_a_setting_is_decided_by_the_last_that_speaks(tmp_path: Path) -> None:
    output = ["--output", str(tmp_path / "run")]
    default = train.parse(output)
    assert default.model == ModelConfig() and default.train.stages == TrainConfig().stages
    assert train.recipe_of(default) == get_recipe("moving-mnist")
    script = train.parse(["--recipe", "sqair-script", *output])
    assert train.recipe_of(script) == get_recipe("sqair-script")
    config = tmp_path / "settings.yaml"
    config.write_text("recipe: sqair-script\ndata: {speed: 7}\ntrain: {stages: [2x3x4], price: [0.3, 0.1]}\n")
    words = ["--preset", "birth-death", "--config", str(config), "--train.price", "0.5", "0.2", *output]
    mixed = train.parse(words)
    assert train.recipe_of(mixed) == get_recipe("sqair-script", speed=7.0)
    assert mixed.train.stages == (Stage(2, 3, 4),) and mixed.train.price == (0.5, 0.2)
    assert train.parse([*words, "--data.speed=2"]).data.speed == 2


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_settings_that_exist(tmp_path: Path, preset: str) -> None:
    args = train.parse(["--preset", preset, "--output", str(tmp_path)])
    assert args.preset == preset
    assert max(stage.length for stage in args.train.stages) <= args.data.length


def test_the_model_takes_the_canvas_of_the_video(tmp_path: Path) -> None:
    run = tmp_path / "run"
    canvas = ("--data.width", "44", "--data.height", "40", "--train.stages", "1x1x2")
    assert cli.run("train", words_of(run, *canvas)) == 0
    config = SQAIR.from_pretrained(run).config
    assert (config.width, config.height) == (44, 40)


def test_the_count_of_validation_agrees_with_the_tracker() -> None:
    recipe = get_recipe("sqair-script", length=8)  # digits leave, so that some are slivers
    validation = Validation.generated(recipe, 6)
    assert validation.count is not None
    fewest, most = validation.count
    assert (fewest <= most).all() and (fewest < most).any()
    model = SQAIR(ModelConfig(hidden=16, features=16))
    measured, _ = validation.measure(model)
    tracks = track_clips(model, validation.pixels, refine=False)
    found = np.stack([np.bincount(clip.frame, minlength=8) for clip in tracks])
    right = (fewest <= found) & (found <= most)
    assert measured["count_accuracy"] == right.mean()
    assert measured["count_accuracy_first"] == right[:, 0].mean()


def test_tensorboard_where_it_is_installed(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, float, int]] = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int | None) -> None:
            assert Path(folder).parent == tmp_path / "run"

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

        def close(self) -> None:
            written.append(("closed", 0, 0))

    fake = types.ModuleType("torch.utils.tensorboard")
    fake.__dict__["SummaryWriter"] = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert cli.run("train", words_of(tmp_path / "run")) == 0
    expected = [(f"{line['kind']}/elbo", line["elbo"], line["step"]) for line in metrics(whole)]
    assert [line for line in written if line[0].endswith("/elbo")] == expected
    assert written[-1][0] == "closed"


def test_a_taken_folder_raises(whole: Path) -> None:
    args = train.parse(words_of(whole))
    with pytest.raises(UserError, match="--overwrite"):
        train.main(args)


def test_the_price_falls_in_training_and_the_trained_model_is_left_with_that_of_tracking(tmp_path: Path) -> None:
    config = TrainConfig(stages=(Stage(1, 4, 2),), price=(0.4, 0.2), price_steps=2, tracking_price=0.05)
    trainer = Trainer(ModelConfig(hidden=8, features=8), config, Generated(get_recipe("moving-mnist"), 0))
    prices = [metrics["price"] for metrics in trainer.run()]
    worth = trainer.object_nats
    assert worth is not None and worth > 0
    assert prices == pytest.approx([0.4 * worth, 0.3 * worth, 0.2 * worth, 0.2 * worth])
    assert trainer.model.price == pytest.approx(0.05 * worth)


@pytest.mark.parametrize("fewest", [0.2, 0.0])
def test_a_model_that_finds_nothing_stays_bold(fewest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a price that no object is worth; with 0 for the fewest that are wanted, it does not."""
    monkeypatch.setattr("sqair.schedule._FEWEST", fewest)
    config = TrainConfig(stages=(Stage(1, 90, 2),), price=(1e3, 1e3), bold_steps=2)
    clips = Generated(get_recipe("moving-mnist", min_objects=1), 0)
    trainer = Trainer(ModelConfig(hidden=8, features=8, glimpse=8), config, clips)
    found = [metrics["objects"] for metrics in trainer.run()]
    assert found[0] > 0 and any(found[50:]) == (fewest > 0)
    assert trainer.found < 0.2 and trainer.state_dict()["found"] == trainer.found


def test_what_training_forces_falls_with_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exploration to 0 over all steps; the rejection of what touches another ends when the price has fallen."""
    config = TrainConfig(stages=(Stage(1, 4, 2),), price_steps=2, exploration=0.4, crowd_dropout=0.5)
    trainer = Trainer(ModelConfig(hidden=8, features=8), config, Generated(get_recipe("moving-mnist"), 0))
    shares, forward = [], trainer.model.forward

    def watched(frames: torch.Tensor, inference: Sampled, still: torch.Tensor | None) -> list[Step]:
        shares.append((inference.exploration, inference.crowd_dropout))
        return forward(frames, inference, still)

    monkeypatch.setattr(trainer.model, "forward", watched)
    list(trainer.run())
    assert [share for pair in shares for share in pair] == pytest.approx([0.4, 0.5, 0.3, 0.5, 0.2, 0, 0.1, 0])


def test_the_background_begins_to_learn_when_objects_have(tmp_path: Path) -> None:
    config = TrainConfig(stages=(Stage(1, 2, 2),), bold_steps=2)
    model = ModelConfig(hidden=8, features=8, background="upconv")
    trainer = Trainer(model, config, Generated(get_recipe("moving-mnist", min_objects=1), 0))
    learned = []
    for _ in range(2):
        before = {name: parameter.clone() for name, parameter in trainer.model.named_parameters()}
        trainer.train_step()
        learned.append({n.split(".")[0] for n, p in trainer.model.named_parameters() if not torch.equal(p, before[n])})
    assert "decoder" in learned[0] and "background" not in learned[0]
    assert "background" in learned[1]
