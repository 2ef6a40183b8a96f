"""What ``sqair experiments gpu`` asks of steps of fixed sizes: do they find the same, and what does replaying save?

Each is done in three ways: the list of objects exact; of fixed sizes, each operation issued; and the same, replayed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from sqair.bounds import Terms
from sqair.estimators import make_estimator
from sqair.frames import to_frames
from sqair.inference import Sampled
from sqair.model import SQAIR
from sqair.roster import EXACT, FIXED
from sqair.scripts.experiments.gpu_speed import MODEL, clips, timed, trainer_of, waits_counted
from sqair.scripts.experiments.shape_clip import shape_clip
from sqair.tracker import Tracker, track_clips

WAYS = ("exact", "issued", "replayed")
_NEVER = 10**9
"""Calls before a recording: more than there are."""
BATCHES = (32, 256, 2048)


@contextmanager
def way(name: str) -> Iterator[None]:
    """Within it, trainers and trackers that are made do it that way."""
    roster = EXACT if name == "exact" else FIXED
    with ExitStack() as stack:
        for module in ("trainer", "tracker", "passes"):
            stack.enter_context(patch(f"sqair.{module}.suited", lambda device: roster))
        if name == "issued":
            stack.enter_context(patch("sqair.graphs.WARM_UP", _NEVER))
        yield


def fixed(device: str, tiny: bool) -> dict[str, Any]:
    """Whether what is found is the same in all ways: tracks, loss and gradients, and steps of training."""
    found: dict[str, Any] = {}
    model, frames = SQAIR.from_pretrained(MODEL, device), clips(8 if tiny else 256)
    for refine in (True, False):
        tracks = {}
        for name in WAYS:
            with way(name):
                tracks[name] = track_clips(model, frames, refine=refine)
        for name in WAYS[1:]:
            pairs = list(zip(tracks["exact"], tracks[name], strict=True))
            alike = [(a, b) for a, b in pairs if np.array_equal(a.id, b.id) and np.array_equal(a.frame, b.frame)]
            apart = np.concatenate([np.abs(a.box - b.box).max(1) for a, b in alike])
            key = f"{name}, {'refined' if refine else 'amortised'}"
            found[f"{key}: clips of the same rows"] = f"{len(alike)} of {len(pairs)}"
            found[f"{key}: boxes more than a pixel apart"] = f"{(apart > 1).sum()} of {len(apart)}"
    return {**found, **_bounds(model, frames[:32], device), **_steps(device, tiny)}


def _bounds(model: SQAIR, frames: np.ndarray, device: str) -> dict[str, Any]:
    """Loss and gradients of an exact list and of fixed sizes, in float64 and with modes."""
    torch.set_default_dtype(torch.float64)
    model, results = model.double(), []
    for roster in (EXACT, FIXED):
        images = to_frames(frames, torch.device("cpu")).double().to(device)
        estimator = make_estimator("closed_form", model.config).to(device)
        loss = estimator(Terms(model(images, Sampled(roster=roster))), images, 1)
        gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)
        results.append((float(loss.detach()), gradients))
    torch.set_default_dtype(torch.float32)
    model.float()
    (loss, mine), (other, others) = results
    apart = max(float((b - a).norm() / a.norm().clamp(min=1e-9)) for a, b in zip(mine, others, strict=True))
    return {"loss, relative difference": abs(loss - other) / abs(loss), "gradients, largest": apart}


def _steps(device: str, tiny: bool) -> dict[str, Any]:
    """How far the losses of steps that are replayed are from those of steps of which each operation is issued."""
    losses = []
    for name in WAYS[1:]:
        with way(name):
            trainer = trainer_of(device, 4 if tiny else 32, tiny)
            losses.append([trainer.train_step()["loss"] for _ in range(8)])
    issued, replayed = np.array(losses)
    return {"loss of steps, issued": issued.tolist(), "loss of steps, replayed": replayed.tolist()}


def replays(device: str, tiny: bool) -> dict[str, Any]:
    """Seconds of a step of training, clips a second, frames a second tracked, and waits for the GPU, in all ways."""
    found: dict[str, Any] = {}
    for name in WAYS:
        with way(name):
            for batch in (4,) if tiny else BATCHES:
                found[f"{name}, a step of {batch} clips"] = _step(device, batch, tiny)
            found[f"{name}, tracking"] = _tracked(device, tiny)
    return found


def _step(device: str, batch: int, tiny: bool) -> dict[str, float]:
    trainer, seconds = trainer_of(device, batch, tiny), list[float]()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for _ in range(5 if tiny else 10):
        with timed(device, seconds):
            trainer.train_step()
    line = {"median s": statistics.median(seconds[5:] or seconds), "all of the first 4, s": sum(seconds[:4])}
    line["clips/s"] = batch / line["median s"]
    if device == "cuda":
        line["peak MiB"] = torch.cuda.max_memory_allocated() / 2**20
        with waits_counted() as places:
            trainer.train_step()
        line["waits"] = places.total()
    return {key: round(value, 4) for key, value in line.items()}


def _tracked(device: str, tiny: bool) -> dict[str, float]:
    model, frames = SQAIR.from_pretrained(MODEL, device), clips(16 if tiny else 512)
    seconds: list[float] = []
    with timed(device, seconds):
        track_clips(model, frames)
    line = {"64 clips at a time, frames/s": frames.shape[0] * frames.shape[1] / seconds[0]}
    footage, _ = shape_clip(0, 12 if tiny else 60, 0.0)
    singles = {"one by one": (model, frames[:4].reshape(-1, *frames.shape[2:]))}
    singles["footage of 320x240, any-camera"] = SQAIR.from_pretrained("any-camera", device), footage
    for name, (mine, some) in singles.items():
        tracker = Tracker(mine)
        tracker.watch(some[:5])
        for frame in some[:6]:  # the last of them is recorded
            tracker.update(frame)
        began = time.perf_counter()
        for frame in some[6:]:
            tracker.update(frame)
        line[f"{name}, frames/s"] = (len(some) - 6) / (time.perf_counter() - began)
    return {key: round(value, 1) for key, value in line.items()}
