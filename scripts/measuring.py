"""What ``sqair bench`` measures: time, arithmetic and memory of training steps, and the speed of tracking."""

from __future__ import annotations

import functools
import multiprocessing
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import sqair.model
import sqair.trainer
from sqair.config import ModelConfig, Stage, TrainConfig
from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import Recipe
from sqair.errors import UserError
from sqair.model import SQAIR
from sqair.muon import Muon
from sqair.process import keep_freed_memory
from sqair.render import Light
from sqair.scripts.training import Generated
from sqair.tracker import Tracker, track_clips
from sqair.trainer import ClipSource, Trainer
from sqair.windows import Patches

PARTS: dict[str, list[tuple[Any, str]]] = {
    "data": [(Trainer, "batch")],
    "propagate": [(SQAIR, "_propagate")],
    "discover": [(SQAIR, "_discover")],
    "draw": [(SQAIR, "draw")],
    "likelihood": [(Light, "gain"), (Patches, "total"), (sqair.model, "log_likelihood")],
    "bound": [(sqair.trainer, "Terms")],
    "backward": [(torch.Tensor, "backward")],
    "optimiser": [(torch.nn.utils, "clip_grad_norm_"), (Muon, "step")]
    + [(torch.optim.Adam, name) for name in ("step", "zero_grad")],
    "rest": [(Trainer, "train_step")],
}
"""What the CPU-seconds of a step are put down to: names of a class or module, without what they call of others."""

WARM_UP = 2


@dataclass(frozen=True)
class Setting:
    """What is trained on what, for one row of a table."""

    name: str
    stage: Stage
    recipe: Recipe = Recipe("moving-mnist")
    estimator: str = "closed_form"
    particles: int = 1
    dropout: float = TrainConfig.discovery_dropout
    """Share of later frames without discovery."""
    slots: int | None = None
    """Slots N instead of the model's."""
    discovery_steps: int | None = None
    """Discovery steps in every frame instead of the model's."""

    def fit(self, config: ModelConfig) -> ModelConfig:
        """The configuration of a trained model with the sizes of this setting; its weights stay as they are."""
        if config.channels != 1:
            raise UserError(f"the model has {config.channels} channels, and the clips to measure with have one")
        return replace(
            config,
            height=self.recipe.height,
            width=self.recipe.width,
            slots=self.slots or config.slots,
            first_steps=self.discovery_steps or config.first_steps,
            later_steps=self.discovery_steps or config.later_steps,
        )


class Stopwatch:
    """CPU-seconds by part; the time in a part that another part calls is the other's alone."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._since = 0.0

    def _switch(self) -> None:
        now = time.process_time()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._switch()
        self._running.append(name)
        try:
            yield
        finally:
            self._switch()
            self._running.pop()

    @contextmanager
    def watch(self, parts: dict[str, list[tuple[Any, str]]]) -> Iterator[None]:
        """Within it, calls of what ``parts`` names are put down to their parts."""
        with ExitStack() as stack:
            for part, places in parts.items():
                for owner, name in places:
                    stack.enter_context(patch.object(owner, name, self._timed(part, getattr(owner, name))))
            yield

    def _timed(self, part: str, function: Callable) -> Callable:
        @functools.wraps(function, updated=())
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(part):
                return function(*args, **kwargs)

        return timed


class OperationCounter(TorchDispatchMode):
    """Counts tensor operations, those of the backward pass too."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def make_trainer(setting: Setting, model: str, source: ClipSource | None = None, device: str = "cpu") -> Trainer:
    """A trainer whose model has trained weights, which the measured steps hardly change.

    Its clips are those of the setting's recipe, or of ``source``.
    """
    trained = SQAIR.from_pretrained(model)
    config = TrainConfig(
        stages=(setting.stage,),
        learning_rate=1e-6,
        muon_rate=1e-6,
        estimator=setting.estimator,
        particles=setting.particles,
        discovery_dropout=setting.dropout,
        price=(TrainConfig.price[1], TrainConfig.price[1]),
        bold_steps=0,
    )
    trainer = Trainer(setting.fit(trained.config), config, source or Generated(setting.recipe, 0), device)
    trainer.model.load_state_dict(trained.state_dict())
    return trainer


def measure_step(setting: Setting, model: str, steps: int) -> dict[str, Any]:
    """CPU-seconds of a training step (median, least, share of each part), its objects and what it computes."""
    setting = replace(setting, stage=replace(setting.stage, steps=WARM_UP + steps + 1))
    trainer = make_trainer(setting, model)
    for _ in range(WARM_UP):
        trainer.train_step()
    watch, seconds, objects = Stopwatch(), [], []
    with watch.watch(PARTS):
        for _ in range(steps):
            before = sum(watch.seconds.values())
            objects.append(trainer.train_step()["objects"])
            seconds.append(sum(watch.seconds.values()) - before)
    with FlopCounterMode(display=False) as flop, OperationCounter() as operations:
        trainer.train_step()
    return {
        "cpu_seconds": statistics.median(seconds),
        "least_cpu_seconds": min(seconds),
        "objects_per_frame": statistics.mean(objects),
        "flop": flop.get_total_flops(),
        "operations": operations.calls,
        "share": {part: watch.seconds[part] / sum(seconds) for part in PARTS},
    }


def measure_matmul(size: int, least_seconds: float = 0.3) -> float:
    """Additions and multiplications per CPU-second of a float32 matrix product of that size: the best of several."""
    a, b = torch.randn(2, size, size)
    out = torch.empty(size, size)
    best, began = float("inf"), time.process_time()
    while best == float("inf") or time.process_time() - began < least_seconds:
        start = time.process_time()
        torch.mm(a, b, out=out)
        best = min(best, time.process_time() - start)
    return 2 * size**3 / best


def measure_growth(settings: list[Setting], model: str, steps: int) -> list[dict[str, float]]:
    """CPU-seconds and memory of a step of each setting, each in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        jobs = [pool.submit(_grow, setting, model, steps, torch.get_num_threads()) for setting in settings]
        return [job.result() for job in jobs]


def _grow(setting: Setting, model: str, steps: int, threads: int) -> dict[str, float]:
    keep_freed_memory()
    torch.set_num_threads(threads)
    setting = replace(setting, stage=replace(setting.stage, steps=WARM_UP + steps))
    trainer = make_trainer(setting, model)
    before, seconds, objects = peak_bytes(), [], []
    for _ in range(WARM_UP + steps):
        start = time.process_time()
        objects.append(trainer.train_step()["objects"])
        seconds.append(time.process_time() - start)
    return {
        "cpu_seconds": statistics.median(seconds[WARM_UP:]),
        "objects_per_frame": statistics.mean(objects[WARM_UP:]),
        "peak_bytes": peak_bytes() - before,
    }


def peak_bytes() -> int:
    """The most memory that this process has held so far."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would remember the process that started this one
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure_tracking(model: SQAIR, clips: int, length: int, long: int, refine: bool) -> dict[str, float]:
    """Frames per CPU-second: ``clips`` clips of ``length`` frames at a time, and one of ``long``, frame by frame."""
    recipe = Recipe("moving-mnist", height=model.config.height, width=model.config.width, length=length)
    batch = make_clips(recipe, "test", 0, 0, clips, truth=False).frames
    video = make_clips(replace(recipe, length=long), "test", 1, 0, 4, truth=False).frames
    track_clips(model, batch[:8], refine=refine, threads=None)
    start = time.process_time()
    track_clips(model, batch, refine=refine, threads=None)
    batched = time.process_time() - start
    seconds = []
    for clip in video:
        tracker = Tracker(model, refine=refine, threads=None)
        for frame in clip:
            start = time.process_time()
            tracker.update(frame)
            seconds.append(time.process_time() - start)
    return {
        "batched": clips * length / batched,
        "streaming": len(seconds) / sum(seconds),
        "streaming_median_ms": 1000 * statistics.median(seconds),
        "streaming_slowest_percent_ms": 1000 * float(np.quantile(seconds, 0.99)),
    }
