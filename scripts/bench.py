"""Measure what a training step and a tracked frame cost, and where the time goes.

    sqair bench --output bench.json
    sqair bench --model runs/mine --steps 3 --no-growth  less of it

All times are CPU-seconds of one process, so that other work on the machine matters little.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqair.config import Stage, TrainConfig
from sqair.datasets.recipes import Recipe
from sqair.errors import UserError
from sqair.eval.scores import aligned
from sqair.words import count

if TYPE_CHECKING:
    from sqair.scripts.measuring import Setting

REFERENCES = {
    "the authors' code, TensorFlow 1.6, not built for AVX2": 8.97,
    "a port to PyTorch 2.15, smaller networks": 5.67,
}
"""CPU-seconds of a step of others at the original's settings, on one thread of a 2.25 GHz EPYC."""
ORIGINAL = "original"
SIZES = (256, 512, 1024)


@dataclass(frozen=True)
class Args:
    """Measure what a training step and a tracked frame cost, and where the time goes."""

    output: Path | None = None
    """JSON file for the numbers, which are printed in any case."""
    overwrite: bool = False
    """Replace the JSON file."""
    model: str = "moving-mnist"
    """A trained model, on whose objects the cost depends: a run, a folder of weights, a built-in name, or
    org/name of the hub."""
    steps: int = 10
    """Training steps to measure for each row, after two to warm up."""
    growth: bool = True
    """Also measure how time and memory grow with slots, objects, frames, clips, particles and pixels, and what an
    object costs in a crowd."""
    threads: int = 1
    """Threads of one operation."""
    tiny: bool = False
    """Few and short clips, to see that it runs: the numbers mean nothing."""


def main(args: Args) -> None:
    """Measures, prints tables, and writes the numbers to ``args.output``.

    Raises:
        UserError: a setting is wrong, there is no such model, or the file is taken or cannot be written.
    """
    import torch

    from sqair.files.durable import write_text
    from sqair.files.pretrained import weights_files
    from sqair.files.spare import spare
    from sqair.model import SQAIR
    from sqair.process import keep_freed_memory

    for name in ("steps", "threads"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name} is {getattr(args, name)}: it must be at least 1")
    if args.output is not None:
        spare(weights_files(args.model), [args.output])
    if args.output is not None and args.output.is_dir():
        raise UserError(f"{args.output} is a folder: choose a file as --output")
    if args.output is not None and args.output.exists() and not args.overwrite:
        raise UserError(f"{args.output} exists: choose another --output, or add --overwrite")
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    SQAIR.from_pretrained(args.model)
    results: dict[str, Any] = {"machine": machine(), "threads": args.threads, "steps": args.steps}
    print(f"{results['machine']}, {count(args.threads, 'thread')}; times are CPU-seconds")
    results["matmul"] = matmul(args)
    results["training"] = training(args, max(results["matmul"].values()))
    if args.growth:
        results["growth"] = growth(args)
        results["crowds"] = crowds(args)
    results["tracking"] = tracking(args)
    if args.output is not None:
        write_text(args.output, json.dumps(results, indent=1) + "\n")
        print(f"\nWritten: {args.output}")


def machine() -> str:
    """The processor, Python and PyTorch."""
    import torch

    return f"{processor()}, Python {platform.python_version()}, PyTorch {torch.__version__}"


def processor() -> str:
    """What the machine says its processor is."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def settings(tiny: bool) -> list[Setting]:
    """The original's settings, and each stage of ours."""
    from sqair.scripts.measuring import Setting

    stages = [Stage(min(s.length, 3), s.steps, 8) if tiny else s for s in TrainConfig.stages]
    first = Stage(2, 1, 8) if tiny else Stage(10, 1, 32)
    original = Setting(ORIGINAL, first, estimator="vimco", particles=5, dropout=0.0, slots=3, discovery_steps=3)
    return [original, *(Setting(f"ours, T = {s.length}", s) for s in stages)]


def growths(tiny: bool) -> list[Setting]:
    """The last stage of ours, and one thing changed at a time."""
    from dataclasses import replace

    from sqair.scripts.measuring import Setting

    base = Setting("as it is", Stage(2, 1, 8) if tiny else Stage(10, 1, 32))
    changed = [replace(base, name="8 slots", slots=8)]
    if tiny:
        return [base, *changed]
    objects = [Recipe("moving-mnist", min_objects=n, max_objects=n) for n in (1, 2)]
    return [
        base,
        *changed,
        *(replace(base, name=f"{count(r.max_objects, 'digit')} in every clip", recipe=r) for r in objects),
        replace(base, name="20 frames", stage=Stage(20, 1, 32), recipe=Recipe("moving-mnist", length=20)),
        replace(base, name="64 clips", stage=Stage(10, 1, 64)),
        replace(base, name="5 particles", particles=5),
        replace(base, name="100x100 pixels", recipe=Recipe("moving-mnist", height=100, width=100)),
    ]


def matmul(args: Args) -> dict[str, float]:
    """Operations per second of a float32 matrix product, by size."""
    from sqair.scripts.measuring import measure_matmul

    rates = {str(size): measure_matmul(size) for size in (SIZES[:1] if args.tiny else SIZES)}
    each = ", ".join(f"{rate / 1e9:.1f} ({size})" for size, rate in rates.items())
    print(f"float32 matrix product, GFLOP per second (by size): {each}")
    return rates


def training(args: Args, rate: float) -> dict[str, Any]:
    """CPU-seconds of a step at each setting, beside the least that its matrix products could take."""
    from sqair.scripts.measuring import measure_step

    results: dict[str, Any] = {}
    rows = [("training step", "clips", "CPU-s", "objects/frame", "operations", "GFLOP", "floor CPU-s", "floor/step")]
    total = 0.0
    for setting in settings(args.tiny):
        found = measure_step(setting, args.model, args.steps)
        floor = found["flop"] / rate
        results[setting.name] = {**found, "floor_cpu_seconds": floor, "floor_share": floor / found["cpu_seconds"]}
        total += 0.0 if setting.name == ORIGINAL else setting.stage.steps * found["cpu_seconds"]
        clips = f"{setting.stage.clips}" + (f" x {setting.particles}" if setting.particles > 1 else "")
        shown = (f"{found['cpu_seconds']:.3f}", f"{found['objects_per_frame']:.2f}", f"{found['operations']}")
        least = (f"{found['flop'] / 1e9:.2f}", f"{floor:.3f}", f"{floor / found['cpu_seconds']:.0%}")
        rows.append((setting.name, clips, *shown, *least))
    show(rows)
    print(
        "original: batch 32, 5 particles, 3 slots, T = 10, 50x50, VIMCO. Operations are those of PyTorch on tensors;\n"
        "GFLOP counts matrix products and convolutions, forward and backward; the floor is their time at the best\n"
        "rate above."
    )
    for who, seconds in REFERENCES.items():
        print(f"original, {who}: {seconds} CPU-s (measured elsewhere)")
    print(f"all {sum(s.steps for s in TrainConfig.stages)} steps of ours: {total:.0f} CPU-s")
    parts = list(next(iter(results.values()))["share"])
    show(
        [("where it goes, %", *parts)]
        + [(name, *(f"{100 * found['share'][part]:.0f}" for part in parts)) for name, found in results.items()]
    )
    return {**results, "references_cpu_seconds": REFERENCES, "whole_cpu_seconds": total}


def growth(args: Args) -> dict[str, Any]:
    """How time and memory of a step change with one thing at a time."""
    from sqair.scripts.measuring import measure_growth

    changed = growths(args.tiny)
    found = measure_growth(changed, args.model, args.steps)
    rows = [("a step of ours, T = 10, 32 clips", "CPU-s", "times", "objects/frame", "peak MiB", "times")]
    base = found[0]
    for setting, row in zip(changed, found, strict=True):
        times = (f"{row[key] / max(base[key], 1e-9):.2f}" for key in ("cpu_seconds", "peak_bytes"))
        shown = (f"{row['cpu_seconds']:.3f}", next(times), f"{row['objects_per_frame']:.2f}")
        rows.append((setting.name, *shown, f"{row['peak_bytes'] / 2**20:.0f}", next(times)))
    show(rows)
    return {setting.name: row for setting, row in zip(changed, found, strict=True)}


def crowds(args: Args) -> dict[str, Any]:
    """What an object costs, by how many there are."""
    from sqair.scripts.crowds import CROWDS, measure_crowd

    results = {}
    rows = [("CPU-ms an object", "canvas", "found", "a frame of training", "the first frame tracked", "a later one")]
    for digits in (2, 3) if args.tiny else CROWDS:
        found = results[str(digits)] = measure_crowd(digits, args.model, args.steps)
        ms = (f"{found[key]:.2f}" for key in ("training_ms", "first_ms", "later_ms"))
        canvas = f"{found['side']}x{found['side']}"
        rows.append((count(digits, "digit"), canvas, f"{found['objects_per_frame']:.1f}", *ms))
    show(rows)
    return results


def tracking(args: Args) -> dict[str, Any]:
    """Frames per CPU-second."""
    from sqair.model import SQAIR
    from sqair.scripts.measuring import measure_tracking

    model = SQAIR.from_pretrained(args.model)
    sizes = (2, 3, 4) if args.tiny else (256, 10, 100)
    results = {}
    rows = [("tracking", "frames/s, 64 clips at a time", "frames/s, one by one", "median ms", "99 % of them ms")]
    for name, refine in (("all refinements", True), ("amortised posteriors", False)):
        found = results[name] = measure_tracking(model, *sizes, refine)
        ms = (f"{found['streaming_median_ms']:.2f}", f"{found['streaming_slowest_percent_ms']:.2f}")
        rows.append((name, f"{found['batched']:.0f}", f"{found['streaming']:.0f}", *ms))
    show(rows)
    return results


def show(rows: Sequence[Sequence[str]]) -> None:
    """Prints a table, its first row the heads."""
    print(f"\n{aligned(rows)}", flush=True)


if __name__ == "__main__":
    from sqair.scripts.cli import run

    raise SystemExit(run("bench"))
