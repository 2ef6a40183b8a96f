"""The weights that ship for any camera: one training on generated footage of great variety.

sqair experiments general --output runs/general          makes its clips and trains, about half an hour

A training that was stopped goes on where it was saved last. docs/footage.md says how its model does.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sqair.config import ModelConfig, Stage, TrainConfig
from sqair.datasets.suggest import CROWDING, GENERAL
from sqair.datasets.varied import varied
from sqair.files.checkpoint import load_checkpoint, save_checkpoint
from sqair.files.pretrained import save_weights
from sqair.process import keep_freed_memory, set_threads
from sqair.trainer import Trainer

SIDE, LENGTH, MOST = 128, 20, 10
"""Pixels of the canvas, frames of a clip, and the most things that are in it."""
OBJECT = 14.5
"""Side of a typical thing, pixels."""
MODEL = ModelConfig(
    height=SIDE,
    width=SIDE,
    channels=3,
    fit=True,
    objects="opaque",
    background="still",
    background_change=0.01,
    slots=12,
    first_steps=12,
    patience=3,
    likelihood_std=0.06,
    ink_std=0.3,
    size_mean=OBJECT,
    size_std=0.4,
    context=39.0,
    search_margin=6.5,
    max_size=44.0,
    displacement="prices",
    saliency_threshold=0.0162,
)
"""Errors of a pixel grow with what it shows, so that faint things and strong ones are worth about the same."""
TRACKING = replace(MODEL, crowding=CROWDING)
"""As it tracks: half of a large thing is no other one."""
SCHEDULE = TrainConfig(
    stages=(Stage(1, 900, 32), Stage(3, 450, 16), Stage(5, 300, 16), Stage(10, 250, 8)),
    muon_rate=0.02,
    snug=0.0,
    price=(0.25, 0.03),
    price_steps=200,
    tracking_price=GENERAL,
    exploration=0.2,
    crowd_dropout=0.5,
)
SAVE_SECONDS = 60.0
"""Seconds between two checkpoints."""


@dataclass(frozen=True)
class Args:
    """Train the weights that ship for any camera."""

    output: Path
    """Folder of checkpoint.pt and, at the end, weights/any-camera."""
    clips: int = 700
    """Clips to train on, each of another scene and of other things; they are made anew each time, in a minute."""
    seed: int = 0
    """Of the clips and of the training."""
    steps: float = 1.0
    """Share of the schedule's steps that are made: less to try it."""


class Pool:
    """Clips of variety in memory, each with its scene, in an order that changes."""

    def __init__(self, count: int, seed: int) -> None:
        self.length, self.seed = LENGTH, seed
        self.frames = np.empty((count, LENGTH, SIDE, SIDE, 3), np.uint8)
        self.images = np.empty((count, SIDE, SIDE, 3), np.uint8)
        for i in tqdm(range(count), desc="making clips", unit="clip", disable=None):
            clip = varied(np.random.default_rng([seed, i]), LENGTH, SIDE, SIDE, MOST)
            self.frames[i], self.images[i] = clip.frames, clip.scene

    def __call__(self, start: int, count: int) -> np.ndarray:
        return self.frames[self._drawn(start, count)]

    def scenes(self, start: int, count: int) -> np.ndarray:
        """The scenes of these clips, uint8 ``[N, H, W, 3]``."""
        return self.images[self._drawn(start, count)]

    def _drawn(self, start: int, count: int) -> list[int]:
        """Which clips of the pool are ``start`` to ``start + count``."""
        each = (np.random.default_rng([self.seed, 1, i]) for i in range(start, start + count))
        return [int(random.integers(len(self.frames))) for random in each]


def main(args: Args) -> None:
    """Trains and writes the weights. Raises UserError if the folder is of another training or cannot be written."""
    keep_freed_memory()
    set_threads(1)
    args.output.mkdir(parents=True, exist_ok=True)
    stages = tuple(Stage(s.length, max(1, round(args.steps * s.steps)), s.clips) for s in SCHEDULE.stages)
    trainer = Trainer(MODEL, replace(SCHEDULE, stages=stages, seed=args.seed), Pool(args.clips, args.seed))
    checkpoint, seconds = args.output / "checkpoint.pt", 0.0
    if checkpoint.exists():
        state = load_checkpoint(checkpoint)
        trainer.load_state_dict(state["trainer"])
        seconds = state["cpu_seconds"]
    saved = time.monotonic()
    with tqdm(total=trainer.total_steps, initial=trainer.step, desc="training", unit="step", disable=None) as bar:
        while trainer.step < trainer.total_steps:
            began = time.process_time()
            metrics = trainer.train_step()
            seconds += time.process_time() - began
            bar.set_postfix_str(f"bound {metrics['elbo']:.0f}", refresh=False)
            bar.update()
            if trainer.step == trainer.total_steps or time.monotonic() - saved > SAVE_SECONDS:
                save_checkpoint(checkpoint, {"trainer": trainer.state_dict(), "cpu_seconds": seconds})
                saved = time.monotonic()
    place = args.output / "weights" / "any-camera"
    info = {
        "data": f"generated footage of great variety: {args.clips} clips of {LENGTH} frames of {SIDE}x{SIDE} pixels, "
        "each of another scene and of other things",
        "command": f"sqair experiments general --clips {args.clips} --seed {args.seed}",
        "steps": trainer.step,
        "total_steps": trainer.total_steps,
        "cpu_seconds": round(seconds, 1),
        "train": asdict(trainer.config),
    }
    save_weights(place, trainer.model.refitted(TRACKING, trainer.tracking_price()), info)
    print(f"trained in {seconds:.0f} CPU-seconds: {place}")
