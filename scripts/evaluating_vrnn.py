"""What ``sqair evaluate`` measures of a VRNN: all but what objects are needed for."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from sqair.baselines.vrnn import VRNN
from sqair.baselines.weighing import ahead_of, dreams, importance_of, particle_filter_of
from sqair.config import ModelConfig
from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import BENCHMARKS
from sqair.eval.accounts import CLIPS, Account
from sqair.eval.readouts import HIDDEN, Looks, ReadOut
from sqair.frames import to_frames
from sqair.render import log_likelihood
from sqair.scripts.evaluating import AT_ONCE, no_readouts
from sqair.scripts.evaluation_data import Data
from sqair.scripts.evaluation_parts import Found, Gauge, LeftOut, measure, prediction_errors, reconstruction, to_predict

if TYPE_CHECKING:
    from sqair.scripts.evaluate import Args

NO_OBJECTS = "a VRNN has no objects"
SHOWN = 3
"""Clips from the prior of which there are pictures."""


def canvas_of(model: VRNN) -> ModelConfig:
    """What clips have to be like."""
    config = model.config
    return replace(ModelConfig(), height=config.height, width=config.width, channels=config.channels)


def evaluate_vrnn(model: VRNN, data: Data, args: Args) -> Found:
    """Measures all that the data allow."""
    began, cpu = time.monotonic(), time.process_time()
    clips, length = data.frames.shape[:2]
    about = {
        "model": str(args.model), "baseline": "vrnn", "data": args.data, "split": data.split, "clips": clips,
        "frames": length, "particles": args.particles, "seed": args.seed,
        "likelihood_std": model.config.likelihood_std, "conditional_on": [],
    }  # fmt: skip
    with tqdm(total=clips * args.particles * (2 if args.filter else 1), unit="clip", disable=None) as bar:
        gauge = Gauge(args, bar)
        canvas, z = _explained(model, data.frames, args.device)
        found = Found(about, data, _no_objects(canvas))
        found.dreamt = dreams(model, SHOWN, length, gauge.generator).transpose(0, 1).cpu().numpy()
        parts = {
            "likelihood": partial(_likelihood, model), "reconstruction": reconstruction,
            "prediction": partial(_prediction, model), "counting": _no_part, "readouts": partial(_readouts, model, z),
            "changes": _no_part,
        }  # fmt: skip
        measure(found, {name: partial(part, gauge, found) for name, part in parts.items()})
    about["seconds"] = {"wall": time.monotonic() - began, "cpu": time.process_time() - cpu}
    return found


def _no_part(gauge: Gauge, found: Found) -> dict[str, Any]:
    raise LeftOut(NO_OBJECTS)


@torch.no_grad()
def _explained(model: VRNN, clips: np.ndarray, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Canvases ``[N, T, C, H, W]`` at the means of the posteriors, and the mean of z over frames ``[N, D]``."""
    parts = [model(to_frames(clips[i : i + CLIPS], device), 1, None) for i in range(0, len(clips), CLIPS)]
    canvas = torch.cat([part.canvas for part in parts], 1).transpose(0, 1)
    return canvas.cpu().numpy(), torch.cat([part.z.mean(0) for part in parts]).cpu().numpy()


def _no_objects(canvas: np.ndarray) -> Account:
    none, box = np.zeros(0, np.int64), np.zeros((0, 4))
    return Account(canvas, none, none, none, box, box, box, box, box[:, :2], box[:, :2], box)


def _likelihood(model: VRNN, gauge: Gauge, found: Found) -> dict[str, Any]:
    """Nats per clip: log p(x), the bound and its parts."""
    args, clips = gauge.args, found.data.frames
    values: dict[str, list[torch.Tensor]] = {}
    gauge.bar.set_description_str("log p(x)")
    for start in range(0, len(clips), AT_ONCE):
        frames = to_frames(clips[start : start + AT_ONCE], args.device)
        told = importance_of(model, frames, args.particles, gauge.generator)
        here = {"log_p": told.log_p, "bound": told.bound, **told.parts, "effective": told.effective}
        if args.filter:
            here["log_p_filter"] = particle_filter_of(model, frames, args.particles, gauge.generator)
        here["most"] = len(frames) * log_likelihood(frames[0], frames[0], model.config.likelihood_std)
        gauge.bar.update(args.particles * frames.shape[1] * (2 if args.filter else 1))
        for name, value in here.items():
            values.setdefault(name, []).append(value.cpu())
    return {name: gauge.over(torch.cat(value).double().numpy()) for name, value in values.items()}


def _prediction(model: VRNN, gauge: Gauge, found: Found) -> dict[str, Any]:
    """Errors of the frames that come: by means, by the mean of as many samples as there are particles, and none."""
    args, clips = gauge.args, to_predict(gauge, found)
    seen, horizon = clips[:, : args.observed], clips.shape[1] - args.observed

    def ahead(samples: int) -> np.ndarray:
        parts = [
            ahead_of(model, to_frames(seen[i : i + AT_ONCE], args.device), horizon, samples, gauge.generator)
            for i in range(0, len(seen), AT_ONCE)
        ]
        return torch.cat(parts, 1).transpose(0, 1).cpu().numpy()

    last = to_frames(seen[:, -1:]).transpose(0, 1).numpy()
    found.ahead = {"model": ahead(0), "samples": ahead(args.particles), "stays": np.repeat(last, horizon, 1)}
    return prediction_errors(gauge, found, clips)


def _readouts(model: VRNN, z: np.ndarray, gauge: Gauge, found: Found) -> dict[str, Any]:
    """Shares of sums that are right, of clips of two digits, by read-outs that learned from other such clips."""
    data, args = found.data, gauge.args
    if reason := no_readouts(data, args):
        raise LeftOut(reason)
    assert data.clips is not None and data.recipe is not None
    if data.recipe.name in BENCHMARKS:
        raise LeftOut("sums are read of two digits, and a benchmark's clips have others")
    two = np.flatnonzero((data.clips.labels >= 0).sum(1) == 2)
    clips = make_clips(replace(data.recipe, min_objects=2, max_objects=2), "train", args.seed, 0, args.readout_clips)
    sums = clips.labels.sum(1)
    classes = 2 * int(clips.labels.max(initial=0)) + 1
    if len(sums) < 10 * classes or not len(two):
        raise LeftOut(f"there are {len(sums)} clips of two to learn from, and {len(two)} to try it on")
    learned = Looks(_explained(model, clips.frames, args.device)[1], np.arange(len(sums)), sums)
    right = {}
    for name, hidden in (("sum of two, linear", 0), ("sum of two, network", HIDDEN)):
        readout = ReadOut(learned, classes, hidden, args.seed)
        right[name] = gauge.over(readout.probabilities(z[two]).argmax(1) == data.clips.labels[two].sum(1))
    return {"learned_from": len(sums), "pairs": len(two), "right": right}
