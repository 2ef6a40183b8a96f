"""What a GPU makes of it: whether it computes the same, how fast it is, where it waits, and what goes wrong there.

sqair experiments gpu --output runs/gpu                       all parts, on the GPU; some ten minutes
sqair experiments gpu --output runs/gpu --only same profile
sqair experiments gpu --output runs/gpu --device cpu --tiny   that the script runs, without a GPU

A part that fails says so, and the others go on. Lines of results.jsonl are what was measured; a part that has been
measured in the folder is not measured again.
"""

from __future__ import annotations

import statistics
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sqair.scripts.experiments.running import check_names
from sqair.scripts.experiments.study import Study

BATCHES = (32, 256, 2048, 8192)
"""Clips of 10 frames of a training step."""
MODEL = "moving-mnist"


@dataclass(frozen=True)
class Args:
    """Check and measure training and tracking on a GPU."""

    output: Path
    """Folder of results.jsonl."""
    only: tuple[str, ...] = ()
    """Parts, by default all: same, steps, profile, waits, launches, tracking, resume, full, footage, preset."""
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
        study.add({"key": [name], "device": device_name(args), "seconds": time.monotonic() - began, **found})
        print(name, *(f"    {key}: {value}" for key, value in found.items()), sep="\n", flush=True)


def device_name(args: Args) -> str:
    import torch

    return torch.cuda.get_device_name() if args.device == "cuda" else "CPU"


def same(args: Args) -> dict[str, Any]:
    """Tracks, bounds and gradients of the same clips there and on the CPU."""
    import numpy as np
    import torch

    from sqair.bounds import Terms
    from sqair.estimators import make_estimator
    from sqair.frames import to_frames
    from sqair.inference import Inference
    from sqair.model import SQAIR
    from sqair.tracker import track_clips

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


def steps(args: Args) -> dict[str, Any]:
    """Seconds of a training step of 10 frames, data apart, by number of clips; peak memory on the device."""
    import torch

    found: dict[str, Any] = {}
    for batch in (4, 8) if args.tiny else BATCHES:
        trainer = trainer_of(args, batch)
        reset_peak(args)
        seconds = []
        for _ in range(3 if args.tiny else 8):
            with timed(args, seconds):
                trainer.train_step()
        line = {"median s": statistics.median(seconds[2:]), "first s": seconds[0]}
        line["clips/s"] = batch / line["median s"]
        if args.device == "cuda":
            line["peak MiB"] = torch.cuda.max_memory_allocated() / 2**20
        found[f"{batch} clips"] = {key: round(value, 4) for key, value in line.items()}
        del trainer
    return found


def profile(args: Args) -> dict[str, Any]:
    """Kernels of a step, the time that they take, and how long the step takes beside."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    found: dict[str, Any] = {}
    on_gpu = args.device == "cuda"
    for batch in (4,) if args.tiny else (32, 2048):
        trainer = trainer_of(args, batch)
        for _ in range(2):
            trainer.train_step()
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
        seconds: list[float] = []
        with timed(args, seconds):
            trainer.train_step()
        with profiled(activities=kinds) as run:
            trainer.train_step()
            wait(args)
        rows = run.key_averages()
        kernels = [e for e in run.events() if "CUDA" in str(e.device_type)]
        took = sum(e.device_time_total for e in kernels) / 1e6
        found[f"{batch} clips"] = {"step s": seconds[0], "kernels": len(kernels), "kernels s": took}
        spent = Counter[str]()
        for event in kernels:
            spent[event.name[:90]] += event.device_time_total / 1e3
        found[f"{batch} clips: ms by kernel"] = {k: round(v, 2) for k, v in spent.most_common(14)}
        found[f"{batch} clips: calls"] = {r.key: r.count for r in sorted(rows, key=lambda r: -r.count)[:30]}
    return found


def waits(args: Args) -> dict[str, Any]:
    """Where a step makes the processor wait for the GPU, and how often."""
    import torch

    if args.device != "cuda":
        return {}
    found: dict[str, Any] = {}
    trainer = trainer_of(args, 32)
    trainer.train_step()
    with waits_counted() as places:
        trainer.train_step()
    found["training"] = {"all": places.total(), **dict(places.most_common(40))}
    from sqair.tracker import track_clips

    track_clips(trainer.model, clips(64))
    with waits_counted() as places:
        track_clips(trainer.model, clips(64))
    torch.cuda.synchronize()
    found["tracking 10 frames"] = {"all": places.total(), **dict(places.most_common(40))}
    return found


@contextmanager
def waits_counted() -> Iterator[Counter[str]]:
    """Counts waits for the GPU by the line of code that is to blame."""
    import torch

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


def launches(args: Args) -> dict[str, Any]:
    """Microseconds of a small operation: one by one, in a replayed graph, and forward with backward."""
    import torch

    x = torch.rand(64, 16, 16, device=args.device, requires_grad=True)

    def chain(n: int = 1000) -> torch.Tensor:
        y = x
        for _ in range(n // 2):
            y = (y * 1.0001).add(0.1)
        return y

    found, seconds = {}, list[float]()
    for _ in range(4):
        with timed(args, seconds):
            chain()
    found["one by one, us"] = 1e3 * min(seconds)
    seconds.clear()
    for _ in range(4):
        with timed(args, seconds):
            torch.autograd.grad(chain().sum(), x)
    found["with backward, us per forward operation"] = 1e3 * min(seconds)
    if args.device == "cuda":
        graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(graph):
            chain()
        seconds.clear()
        for _ in range(4):
            with timed(args, seconds):
                graph.replay()
        found["in a graph, us"] = 1e3 * min(seconds)
    return found


def tracking(args: Args) -> dict[str, Any]:
    """Frames a second, 64 clips at a time and one by one, refined."""
    from sqair.model import SQAIR
    from sqair.tracker import Tracker, track_clips

    frames = clips(16 if args.tiny else 512)
    found: dict[str, Any] = {}
    for where in dict.fromkeys((args.device, "cpu")):
        model = SQAIR.from_pretrained(MODEL, where)
        track_clips(model, frames[:64])
        seconds: list[float] = []
        with timed(args, seconds):
            track_clips(model, frames)
        tracker = Tracker(model)
        tracker.update(frames[0, 0])
        with timed(args, seconds):
            for frame in frames[:8].reshape(-1, *frames.shape[2:]):
                tracker.update(frame)
        found[where] = {
            "batched frames/s": frames.shape[0] * frames.shape[1] / seconds[0],
            "one by one": 8 * frames.shape[1] / seconds[1],
        }
    return found


def resume(args: Args) -> dict[str, Any]:
    """A training is stopped on one device and goes on on the other."""
    import numpy as np

    found = {}
    for first, second in ((args.device, "cpu"), ("cpu", args.device)):
        before, after = trainer_of(args, 8, first), trainer_of(args, 8, second)
        for _ in range(2):
            before.train_step()
        state = before.state_dict()
        after.load_state_dict(state)
        loss = after.train_step()["loss"]
        found[f"{first} to {second}"] = "goes on" if np.isfinite(loss) else f"loss {loss}"
    return found


def full(args: Args) -> dict[str, Any]:
    """What a user reads when the memory of the device does not suffice: of ``sqair train``, nearly all taken before."""
    import torch

    from sqair.scripts import cli

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


def footage(args: Args) -> dict[str, Any]:
    """Frames a second of tracking a clip of shapes, and seconds of a training step of each stage, there and here."""
    import torch

    from sqair.config import Stage
    from sqair.datasets.footage import Footage
    from sqair.datasets.survey import suggest, survey
    from sqair.datasets.video import read_source
    from sqair.datasets.video_out import write_video
    from sqair.scripts.experiments.shape_clip import FPS, shape_clip
    from sqair.tracker import Tracker
    from sqair.trainer import Trainer

    path, length = args.output / "shapes.mp4", 60 if args.tiny else 200
    frames, _ = shape_clip(0, length, 0.0)
    write_video(path, iter(frames), FPS)
    sources = read_source([str(path)])
    model, training = suggest(survey(sources))
    found: dict[str, Any] = {"canvas": f"{model.width}x{model.height}"}
    for where, threads in ((args.device, 1), ("cpu", 1), ("cpu", 8)):
        torch.set_num_threads(threads)
        line: dict[str, float] = {}
        for stage in training.stages:
            short = replace(training, stages=(Stage(stage.length, 100, stage.clips),))
            source = Footage(sources, (model.height, model.width), model.channels, stage.length, 0)
            trainer, seconds = Trainer(model, short, source, where), list[float]()
            for _ in range(2 if args.tiny else 5):
                with timed(args, seconds):
                    trainer.train_step()
            line[f"step of {stage.clips} clips of {stage.length}, s"] = round(statistics.median(seconds[1:]), 4)
        tracker, seconds = Tracker(trainer.model, threads=threads), []
        with timed(args, seconds):
            for frame in frames[:40]:
                tracker.update(frame)
        line["tracking, frames/s"] = 40 / seconds[0]
        found[f"{where}, {threads} threads"] = line
    return found


def preset(args: Args) -> dict[str, Any]:
    """The whole preset from scratch, and its scores on 500 test clips; seconds by the clock."""
    from sqair.datasets.generate import make_clips
    from sqair.eval.mot import score
    from sqair.files.pretrained import is_finished
    from sqair.model import SQAIR
    from sqair.scripts.train import main as train
    from sqair.scripts.train import parse, recipe_of
    from sqair.tracker import track_clips

    folder = args.output / "preset"
    words = ["--output", str(folder), "--device", args.device, "--validate-every", "0", "--overwrite"]
    training = parse([*words, *(["--preset", "tiny"] if args.tiny else [])])
    began = time.monotonic()
    train(training)
    seconds = time.monotonic() - began
    assert is_finished(folder)
    recipe, count = recipe_of(training), 20 if args.tiny else 500
    made = make_clips(recipe, "test", 0, 0, count)
    tracks = track_clips(SQAIR.from_pretrained(folder, args.device), made.frames)
    names = [str(i) for i in range(count)]
    truth, named = dict(zip(names, made.truth, strict=True)), dict(zip(names, tracks, strict=True))
    scores = score(truth, named, dict.fromkeys(names, recipe.length)).overall
    return {"training s": seconds, **{name: scores[name] for name in ("count_accuracy", "mota", "idf1")}}


def clips(count: int) -> Any:
    """Moving digits of the test set, uint8 ``[N, T, H, W]``."""
    from sqair.datasets.generate import make_clips
    from sqair.datasets.recipes import Recipe

    return make_clips(Recipe(MODEL), "test", 0, 0, count, truth=False).frames


class Repeated:
    """Training clips that are made once, so that steps are timed without them."""

    def __init__(self, count: int) -> None:
        self.made = clips(count)
        self.length = self.made.shape[1]

    def __call__(self, start: int, count: int) -> Any:
        return self.made[[i % len(self.made) for i in range(start, start + count)]]


def trainer_of(args: Args, batch: int, where: str | None = None) -> Any:
    """A trainer of a trained model whose steps hardly change it."""
    from sqair.config import Stage, TrainConfig
    from sqair.model import SQAIR
    from sqair.trainer import Trainer

    stages = (Stage(3 if args.tiny else 10, 100, batch),)
    price = (TrainConfig.price[1], TrainConfig.price[1])
    config = replace(TrainConfig(), stages=stages, learning_rate=1e-6, price=price, bold_steps=0)
    trained = SQAIR.from_pretrained(MODEL)
    trainer = Trainer(trained.config, config, Repeated(max(batch // 2, 100)), where or args.device)
    trainer.model.load_state_dict(trained.state_dict())
    return trainer


@contextmanager
def timed(args: Args, seconds: list[float]) -> Iterator[None]:
    """Adds the seconds by the clock that it takes, until the device is done."""
    wait(args)
    began = time.perf_counter()
    yield
    wait(args)
    seconds.append(time.perf_counter() - began)


def wait(args: Args) -> None:
    import torch

    if args.device == "cuda":
        torch.cuda.synchronize()


def reset_peak(args: Args) -> None:
    import torch

    if args.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


PARTS: dict[str, Callable[[Args], dict[str, Any]]] = {
    "same": same,
    "steps": steps,
    "profile": profile,
    "waits": waits,
    "launches": launches,
    "tracking": tracking,
    "resume": resume,
    "full": full,
    "footage": footage,
    "preset": preset,
}
