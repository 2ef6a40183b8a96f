"""What ``sqair experiments gpu`` measures: how fast a GPU is beside the CPU, and what it waits for."""

from __future__ import annotations

import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity
from torch.profiler import profile as profiled

from sqair.config import Stage
from sqair.datasets.footage import Footage
from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import Recipe
from sqair.datasets.survey import suggest, survey
from sqair.datasets.video import read_source
from sqair.datasets.video_out import write_video
from sqair.model import SQAIR
from sqair.scripts.api import Held
from sqair.scripts.experiments.shape_clip import FPS, shape_clip
from sqair.scripts.measuring import Setting, make_trainer
from sqair.tracker import Tracker, track_clips
from sqair.trainer import Trainer

BATCHES = (32, 256, 2048)
"""Clips of 10 frames of a training step."""
MODEL = "moving-mnist"


def steps(device: str, tiny: bool) -> dict[str, Any]:
    """Seconds of a training step of 10 frames, data apart, by number of clips; peak memory on the device."""
    found: dict[str, Any] = {}
    for batch in (4, 8) if tiny else BATCHES:
        trainer = trainer_of(device, batch, tiny)
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = []
        for _ in range(3 if tiny else 8):
            with timed(device, seconds):
                trainer.train_step()
        line = {"median s": statistics.median(seconds[2:]), "first s": seconds[0]}
        line["clips/s"] = batch / line["median s"]
        if device == "cuda":
            line["peak MiB"] = torch.cuda.max_memory_allocated() / 2**20
        found[f"{batch} clips"] = {key: round(value, 4) for key, value in line.items()}
        del trainer
    return found


def profile(device: str, tiny: bool) -> dict[str, Any]:
    """Kernels of a step, the time that they take, and how long the step takes beside."""
    found: dict[str, Any] = {}
    on_gpu = device == "cuda"
    for batch in (4,) if tiny else (32, 2048):
        trainer = trainer_of(device, batch, tiny)
        for _ in range(2):
            trainer.train_step()
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
        seconds: list[float] = []
        with timed(device, seconds):
            trainer.train_step()
        with profiled(activities=kinds) as run:
            trainer.train_step()
            wait(device)
        rows = run.key_averages()
        kernels = [e for e in (run.events() or []) if "CUDA" in str(e.device_type)]
        took = sum(e.device_time_total for e in kernels) / 1e6
        found[f"{batch} clips"] = {"step s": seconds[0], "kernels": len(kernels), "kernels s": took}
        spent = Counter[str]()
        for event in kernels:
            spent[event.name[:90]] += event.device_time_total / 1e3
        found[f"{batch} clips: ms by kernel"] = {k: round(v, 2) for k, v in spent.most_common(14)}
        found[f"{batch} clips: calls"] = {r.key: r.count for r in sorted(rows, key=lambda r: -r.count)[:30]}
    return found


def waits(device: str, tiny: bool) -> dict[str, Any]:
    """Where a step makes the processor wait for the GPU, and how often."""
    if device != "cuda":
        return {}
    trainer, found = trainer_of(device, 32, tiny), {}
    for name, work in {
        "training": trainer.train_step,
        "tracking 10 frames": lambda: track_clips(trainer.model, clips(64)),
    }.items():
        work()
        with waits_counted() as places:
            work()
        found[name] = {"all": places.total(), **dict(places.most_common(40))}
    return found


@contextmanager
def waits_counted() -> Iterator[Counter[str]]:
    """Counts waits for the GPU by the line of code that is to blame."""
    places = Counter[str]()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode("default")
    for warning in caught:
        if "synchroniz" in str(warning.message):
            places[f"{Path(warning.filename).name}:{warning.lineno}"] += 1


def launches(device: str, tiny: bool) -> dict[str, Any]:
    """Microseconds of a small operation: one by one, in a replayed graph, and forward with backward."""
    x = torch.rand(64, 16, 16, device=device, requires_grad=True)

    def chain(n: int = 1000) -> torch.Tensor:
        y = x
        for _ in range(n // 2):
            y = (y * 1.0001).add(0.1)
        return y

    ways: dict[str, Callable[[], object]] = {
        "one by one, us": chain,
        "with backward, us per forward operation": lambda: torch.autograd.grad(chain().sum(), x),
    }
    if device == "cuda":
        chain()  # kernels are there before they are recorded
        graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(graph):
            chain()
        ways["in a graph, us"] = graph.replay
    found = {}
    for name, work in ways.items():
        seconds: list[float] = []
        for _ in range(4):
            with timed(device, seconds):
                work()
        found[name] = 1e3 * min(seconds)
    return found


def tracking(device: str, tiny: bool) -> dict[str, Any]:
    """Frames a second, 64 clips at a time and one by one, refined."""
    frames = clips(16 if tiny else 512)
    found: dict[str, Any] = {}
    for where in dict.fromkeys((device, "cpu")):
        model = SQAIR.from_pretrained(MODEL, where)
        track_clips(model, frames[:64])
        seconds: list[float] = []
        with timed(device, seconds):
            track_clips(model, frames)
        tracker = Tracker(model)
        tracker.update(frames[0, 0])
        with timed(device, seconds):
            for frame in frames[:8].reshape(-1, *frames.shape[2:]):
                tracker.update(frame)
        found[where] = {
            "batched frames/s": frames.shape[0] * frames.shape[1] / seconds[0],
            "one by one": 8 * frames.shape[1] / seconds[1],
        }
    return found


def footage(device: str, tiny: bool) -> dict[str, Any]:
    """Frames a second of tracking a clip of shapes, and seconds of a training step of each stage, there and here."""
    frames, _ = shape_clip(0, 60 if tiny else 200, 0.0)
    with TemporaryDirectory() as folder:
        write_video(Path(folder) / "shapes.mp4", iter(frames), FPS)
        sources = read_source([str(Path(folder) / "shapes.mp4")])
        model, training = suggest(survey(sources))
        found: dict[str, Any] = {"canvas": f"{model.width}x{model.height}"}
        for where, threads in ((device, 1), ("cpu", 1), ("cpu", 8)):
            torch.set_num_threads(threads)
            line: dict[str, float] = {}
            for stage in training.stages:
                short = replace(training, stages=(Stage(stage.length, 100, stage.clips),))
                source = Footage(sources, (model.height, model.width), model.channels, stage.length, 0)
                trainer, seconds = Trainer(model, short, source, where), list[float]()
                for _ in range(2 if tiny else 5):
                    with timed(device, seconds):
                        trainer.train_step()
                line[f"step of {stage.clips} clips of {stage.length}, s"] = round(statistics.median(seconds[1:]), 4)
            tracker, seconds = Tracker(trainer.model, threads=threads), []
            with timed(device, seconds):
                for frame in frames[:40]:
                    tracker.update(frame)
            line["tracking, frames/s"] = 40 / seconds[0]
            found[f"{where}, {threads} threads"] = line
        return found


def clips(count: int) -> np.ndarray:
    """Moving digits of the test set, uint8 ``[N, T, H, W]``."""
    return make_clips(Recipe(MODEL), "test", 0, 0, count, truth=False).frames


def trainer_of(device: str, batch: int, tiny: bool) -> Trainer:
    """A trainer of a trained model whose steps hardly change it, and whose clips are made before they are timed."""
    setting = Setting(f"{batch} clips", Stage(3 if tiny else 10, 100, batch))
    return make_trainer(setting, MODEL, Held(clips(max(batch // 2, 100))), device)


@contextmanager
def timed(device: str, seconds: list[float]) -> Iterator[None]:
    """Adds the seconds by the clock that it takes, until the device is done."""
    wait(device)
    began = time.perf_counter()
    yield
    wait(device)
    seconds.append(time.perf_counter() - began)


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
