"""What a GPU makes of it: whether it computes the same, how fast it is, where it waits, and what goes wrong there.

sqair experiments gpu --output runs/gpu                       all parts, on the GPU; some ten minutes
sqair experiments gpu --output runs/gpu --only fixed replays  what steps of fixed sizes find, and what replaying saves
sqair experiments gpu --output runs/gpu --device cpu --tiny   that the script runs, without a GPU

A part that fails says so, and the others go on. Lines of results.jsonl are what was measured; a part that has been
measured in the folder is not measured again.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from sqair.bounds import Terms
from sqair.datasets.generate import make_clips
from sqair.estimators import make_estimator
from sqair.frames import to_frames
from sqair.inference import Inference
from sqair.model import SQAIR
from sqair.scripts import cli, train
from sqair.scripts.experiments import gpu_fixed, gpu_speed
from sqair.scripts.experiments.gpu_speed import MODEL, clips, trainer_of
from sqair.scripts.experiments.looking import scores
from sqair.scripts.experiments.running import check_names
from sqair.scripts.experiments.study import Study
from sqair.tracker import track_clips


@dataclass(frozen=True)
class Args:
    """Check and measure training and tracking on a GPU."""

    output: Path
    """Folder of results.jsonl."""
    only: tuple[str, ...] = ()
    """Parts, by default all: fixed, replays, same, steps, profile, waits, launches, tracking, resume, full, footage,
    preset."""
    device: Literal["cuda", "cpu"] = "cuda"
    """Where."""
    tiny: bool = False
    """Few and short clips, to see that the script runs."""


def main(args: Args) -> None:
    """Runs the parts and prints what each found. Raises UserError for an unknown part."""
    check_names(args.only, PARTS, "part")
    study = Study(args.output)
    for name in args.only or PARTS:
        if study.has(name):
            continue
        began = time.monotonic()
        try:
            found = PARTS[name](args)
        except Exception:
            traceback.print_exc()
            continue
        device = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
        study.add({"key": [name], "device": device, "seconds": time.monotonic() - began, **found})
        print(name, *(f"    {key}: {value}" for key, value in found.items()), sep="\n", flush=True)


def same(args: Args) -> dict[str, Any]:
    """Tracks, bounds and gradients of the same clips there and on the CPU."""
    frames = clips(8 if args.tiny else 256)
    here, there = SQAIR.from_pretrained(MODEL), SQAIR.from_pretrained(MODEL, args.device)
    found: dict[str, Any] = {}
    for refine in (True, False):
        pairs = list(zip(*(track_clips(model, frames, refine=refine) for model in (here, there)), strict=True))
        alike = [(a, b) for a, b in pairs if np.array_equal(a.id, b.id) and np.array_equal(a.frame, b.frame)]
        apart = np.concatenate([np.abs(a.box - b.box).max(1) for a, b in alike])
        way = "refined" if refine else "amortised"
        found[f"{way}: clips of the same rows"] = f"{len(alike)} of {len(pairs)}"
        found[f"{way}: boxes more than a pixel apart"] = f"{(apart > 1).sum()} of {len(apart)}"
    results = []
    torch.set_default_dtype(torch.float64)
    for model in (here.double(), there.double()):
        where = next(model.parameters()).device
        estimator = make_estimator("closed_form", model.config).to(where)
        images = to_frames(frames[:32], torch.device("cpu")).double().to(where)
        loss = estimator(Terms(model(images, Inference())), images, 1)
        loss.backward()
        gradients = {n: p.grad.cpu() for n, p in model.named_parameters() if p.grad is not None}
        results.append((float(loss.detach()), gradients))
    torch.set_default_dtype(torch.float32)
    (loss, gradients), (other, others) = results
    found["loss in float64, relative difference"] = abs(loss - other) / abs(loss)
    norms = {name: float((others[name] - g).norm() / g.norm().clamp(min=1e-12)) for name, g in gradients.items()}
    found["gradients in float64, largest relative difference"] = max(norms.items(), key=lambda item: item[1])
    return found


def resume(args: Args) -> dict[str, Any]:
    """A training is stopped on one device and goes on on the other."""
    found = {}
    for first, second in ((args.device, "cpu"), ("cpu", args.device)):
        before, after = trainer_of(first, 8, args.tiny), trainer_of(second, 8, args.tiny)
        for _ in range(2):
            before.train_step()
        state = before.state_dict()
        after.load_state_dict(state)
        loss = after.train_step()["loss"]
        found[f"{first} to {second}"] = "goes on" if np.isfinite(loss) else f"loss {loss}"
    return found


def full(args: Args) -> dict[str, Any]:
    """What a user reads when the memory of the device does not suffice: of ``sqair train``, nearly all taken before."""
    if args.device != "cuda":
        return {}
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    taken = torch.empty(max(0, free - 300 * 2**20), dtype=torch.uint8, device="cuda")
    words = ["--output", str(args.output / "full"), "--overwrite", "--device", "cuda", "--train.stages", "10x4x4096"]
    try:
        status = cli.run("train", words)
    except Exception as error:
        status = f"{type(error).__name__}: {str(error)[:300]}"
    del taken
    torch.cuda.empty_cache()
    return {"exit": status}


def preset(args: Args) -> dict[str, Any]:
    """The whole preset from scratch, and its scores on 500 test clips; seconds by the clock."""
    folder = args.output / "preset"
    words = ["--output", str(folder), "--device", args.device, "--validate-every", "0", "--overwrite"]
    training = train.parse([*words, *(["--preset", "tiny"] if args.tiny else [])])
    began = time.monotonic()
    train.main(training)
    seconds = time.monotonic() - began
    made = make_clips(train.recipe_of(training), "test", 0, 0, 20 if args.tiny else 500)
    found = scores(made, track_clips(SQAIR.from_pretrained(folder, args.device), made.frames))
    return {"training s": seconds, **{name: found[name] for name in ("count_accuracy", "mota", "idf1")}}


def measured(part: Callable[[str, bool], dict[str, Any]]) -> Callable[[Args], dict[str, Any]]:
    return lambda args: part(args.device, args.tiny)


PARTS: dict[str, Callable[[Args], dict[str, Any]]] = {
    "fixed": measured(gpu_fixed.fixed),
    "replays": measured(gpu_fixed.replays),
    "same": same,
    "steps": measured(gpu_speed.steps),
    "profile": measured(gpu_speed.profile),
    "waits": measured(gpu_speed.waits),
    "launches": measured(gpu_speed.launches),
    "tracking": measured(gpu_speed.tracking),
    "resume": resume,
    "full": full,
    "footage": measured(gpu_speed.footage),
    "preset": preset,
}
