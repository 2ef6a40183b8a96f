"""Several processes that train one model: by torchrun, or by --processes."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from conftest import TINY
from sqair.config import Stage, TrainConfig
from sqair.ranks import Ranks, joined
from sqair.scripts import cli
from sqair.trainer import Trainer

CONFIG = TrainConfig(stages=(Stage(2, 6, 3),), clip_norm=1e9, estimator="nvil", bold_steps=0)
WORDS = ["--preset", "tiny", "--validate-every", "0"]


class Noise:
    """Training clips."""

    length = 4

    def __call__(self, start: int, count: int) -> np.ndarray:
        size = (self.length, TINY.height, TINY.width)
        clips = [np.random.default_rng(start + i).integers(0, 256, size, np.uint8) for i in range(count)]
        return np.stack(clips)


def steps_of(ranks: Ranks, steps: int) -> tuple[list[torch.Tensor], list[torch.Tensor], list[dict[str, float]], int]:
    """Gradients of the last of so many steps, the parameters after it, the metrics of all, and where they led."""
    trainer = Trainer(TINY, CONFIG, Noise(), ranks=ranks)
    metrics = [trainer.train_step() for _ in range(steps)]
    parameters = [*trainer.model.parameters(), *trainer.estimator.parameters()]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    return gradients, [*(p.detach() for p in parameters), *trainer.estimator.buffers()], metrics, trainer.step


def _one_of_two(rank: int, address: str, folder: Path) -> None:
    torch.set_num_threads(1)
    with joined(rank, 2, address) as ranks:
        found = [steps_of(ranks, steps) for steps in (1, 3)]
        assert ranks.any(rank == 1) and not ranks.any(False) and ranks.of_first(rank) == 0
    torch.save(found, folder / f"{rank}.pt")


def test_two_processes_go_down_the_mean_of_their_gradients(tmp_path: Path) -> None:
    """As one with the clips of both would; the model is the same in both, and a step counts as two."""
    context = multiprocessing.get_context("spawn")
    address = (tmp_path / "meet").as_uri()
    both = [context.Process(target=_one_of_two, args=(rank, address, tmp_path)) for rank in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    here, there = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    (gradients, _, (metrics,), step), (_, after, _, end) = here
    assert step == 2 and end == 6
    for one, other in zip(after, there[1][1], strict=True):
        assert torch.equal(one, other)
    alone = [steps_of(Ranks(rank, 1), 1) for rank in range(2)]
    assert any(not torch.equal(a, b) for a, b in zip(alone[0][0], alone[1][0], strict=True)), "clips of their own"
    for found, a, b in zip(gradients, alone[0][0], alone[1][0], strict=True):
        assert_allclose(found, (a + b) / 2, rtol=1e-4, atol=1e-4 * float((a.abs() + b.abs()).max()) + 1e-9)
    assert metrics["elbo"] == pytest.approx((alone[0][2][0]["elbo"] + alone[1][2][0]["elbo"]) / 2, rel=1e-5)


def torchrun(folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "sqair"]
    command += ["train", *WORDS, "--output", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def test_torchrun_and_processes_do_the_same(tmp_path: Path) -> None:
    """Files are written once."""
    done = torchrun(tmp_path / "torchrun")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained 8 steps") == 1
    assert cli.run("train", [*WORDS, "--output", str(tmp_path / "here"), "--processes", "2"]) == 0
    weights = [(tmp_path / run / "weights" / "model.safetensors").read_bytes() for run in ("torchrun", "here")]
    assert weights[0] == weights[1]
    lines = [json.loads(line) for line in (tmp_path / "torchrun" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "train"][-1] == 8


def test_processes_are_started_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.run("train", [*WORDS, "--output", str(tmp_path / "run"), "--processes", "2"]) == 2
    assert "--processes: torchrun has started several" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.fixture
def going(tmp_path: Path):
    """A run of two processes that has made some steps, in a process of its own."""
    words = ["train", *WORDS, "--output", str(tmp_path / "run"), "--train.stages", "1x150x2", "--processes", "2"]
    log = (tmp_path / "log").open("w+")
    process = subprocess.Popen([sys.executable, "-m", "sqair", *words, "--log-every", "2"], stdout=log, stderr=log)
    metrics = tmp_path / "run" / "metrics.jsonl"
    for _ in range(600):
        if metrics.exists() and metrics.read_text().count("\n") > 2:
            break
        time.sleep(0.1)
    yield process
    process.kill()
    process.wait()
    log.close()


def test_a_run_goes_on_with_another_number_of_processes(going: subprocess.Popen, tmp_path: Path) -> None:
    going.terminate()
    assert going.wait(60) == 143
    said = (tmp_path / "log").read_text()
    assert "stopped after step" in said and said.strip().endswith("--processes 2")
    folder = str(tmp_path / "run")
    assert cli.run("train", ["--output", folder, "--resume"]) == 0
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    steps = [line["step"] for line in lines if line["kind"] == "train"]
    assert steps == sorted(set(steps)) and steps[-1] == 150


def test_a_lost_process_is_a_clear_error(going: subprocess.Popen, tmp_path: Path) -> None:
    children = Path(f"/proc/{going.pid}/task/{going.pid}/children").read_text().split()
    helper = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    assert len(helper) == 1
    os.kill(int(helper[0]), signal.SIGKILL)
    assert going.wait(60) == 2
    error = (tmp_path / "log").read_text().strip().splitlines()[-1]
    assert error.startswith("error: a process of the training has ended") and "--resume" in error
