"""What ``sqair bench`` measures of crowds: what an object costs, of few and of many on canvases as full."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from typing import Any

from sqair.config import Stage
from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import Recipe
from sqair.model import SQAIR
from sqair.scripts.measuring import WARM_UP, Setting, make_trainer
from sqair.tracker import Tracker

CROWDS = (12, 24, 48, 96)
"""Digits in every clip."""
EACH = 1250
"""Pixels of the canvas for each digit: as many as on one of 50x50 for two."""
SPARE = 1.25
"""Slots for each of them."""


def measure_crowd(digits: int, model: str, steps: int, clips: int = 4, length: int = 3) -> dict[str, Any]:
    """CPU-milliseconds for each object: of a frame of a training step, of the first frame tracked, and of later ones.

    Tracked are ``steps`` later frames of one clip, alone; a step of training is of ``clips`` of ``length`` frames.
    """
    side, slots = round((EACH * digits) ** 0.5), round(SPARE * digits)
    recipe = Recipe("moving-mnist", height=side, width=side, length=length, min_objects=digits, max_objects=digits)
    stage = Stage(length, WARM_UP + steps, clips)
    setting = Setting(f"{digits} digits", stage, recipe, slots=slots, discovery_steps=slots)
    trainer, seconds, found = make_trainer(setting, model), [], []
    for _ in range(WARM_UP + steps):
        start = time.process_time()
        found.append(trainer.train_step()["objects"])
        seconds.append((time.process_time() - start) / (clips * length * max(found[-1], 1e-9)))
    trained = SQAIR.from_pretrained(model)
    config = replace(setting.fit(trained.config), later_steps=trained.config.later_steps)
    first, later = _tracked(trained.refitted(config, trained.price), replace(recipe, length=1 + steps))
    return {
        "side": side,
        "objects_per_frame": statistics.mean(found[WARM_UP:]),
        "training_ms": 1000 * statistics.median(seconds[WARM_UP:]),
        "first_ms": 1000 * first,
        "later_ms": 1000 * later,
    }


def _tracked(model: SQAIR, recipe: Recipe) -> tuple[float, float]:
    """CPU-seconds for each object of the first frame of a clip, and for one of a later frame (the median)."""
    frames = make_clips(recipe, "test", 0, 0, 1, truth=False).frames[0]
    Tracker(model, threads=None).update(frames[0])
    tracker, each = Tracker(model, threads=None), []
    for frame in frames:
        start = time.process_time()
        objects = len(tracker.update(frame).id)
        each.append((time.process_time() - start) / max(1, objects))
    return each[0], statistics.median(each[1:])
