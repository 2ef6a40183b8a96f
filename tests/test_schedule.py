"""What is annealed over a training: closed forms at steps that tell one schedule from another."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import TINY
from sqair import schedule
from sqair.config import ModelConfig, Stage, TrainConfig
from sqair.scripts.presets import PRESETS
from sqair.trainer import Trainer

SETTINGS = Path(__file__).parent / "golden" / "settings.json"
CONFIG = TrainConfig(
    stages=(Stage(1, 60, 8), Stage(2, 30, 4), Stage(3, 10, 2)), learning_rate=0.01, final_rate=0.05, price=(0.5, 0.1),
    price_steps=40, bold_steps=20, exploration=0.4, crowd_dropout=0.3, discovery_dropout=0.25, jitter=0.2,
)  # fmt: skip


@pytest.mark.parametrize(
    ("step", "length", "rate", "price"),
    [(0, 1, 1.0, 0.5), (10, 1, 0.9**1.5, 0.4), (36, 1, 0.512, 0.14), (60, 2, 0.4**1.5, 0.1), (99, 3, 0.05, 0.1)],
)
def test_stage_rate_and_price_of_a_step(step: int, length: int, rate: float, price: float) -> None:
    assert schedule.total_steps(CONFIG) == 100
    assert schedule.stage_of(CONFIG, step).length == length
    assert schedule.rate(CONFIG, step) == pytest.approx(rate, rel=1e-12)
    assert schedule.price(CONFIG, step) == pytest.approx(price, rel=1e-12)


def test_the_last_stage_goes_on_after_the_end() -> None:
    assert schedule.stage_of(CONFIG, 100) == CONFIG.stages[-1] and schedule.rate(CONFIG, 100) == 0.05


@pytest.mark.parametrize(
    ("step", "found", "boldness"), [(0, 1.0, 1.0), (5, 1.0, 0.75), (20, 1.0, 0.0), (60, 0.05, 0.15), (60, 0.3, 0.0)]
)
def test_boldness_falls_unless_hardly_anything_is_found(step: int, found: float, boldness: float) -> None:
    assert schedule.boldness(CONFIG, step, found) == pytest.approx(boldness)


def test_what_is_forced_in_a_step() -> None:
    generator = torch.Generator()
    early, late = (schedule.sampled(CONFIG, step, 1.0, generator) for step in (39, 75))
    assert (early.exploration, late.exploration) == pytest.approx((0.4 * 0.61, 0.1))
    assert (early.crowd_dropout, late.crowd_dropout) == (0.3, 0.0)
    assert schedule.sampled(CONFIG, 40, 1.0, generator).crowd_dropout == 0
    assert (early.dropout, early.jitter, early.generator) == (0.25, 0.2, generator)


def test_the_trainer_follows_it() -> None:
    """Learning rates of the optimiser, that of the background held back while discoveries are bold, and the price."""

    class Source:
        length = 6

        def __call__(self, start: int, count: int) -> np.ndarray:
            random = np.random.default_rng(start)
            return random.integers(0, 255, (count, 6, TINY.height, TINY.width), dtype=np.uint8)

    config = TrainConfig(stages=(Stage(2, 10, 2),), learning_rate=0.01, bold_steps=5, object_nats=100.0)
    smooth = type(TINY)(**{**vars(TINY), "background": "smooth", "background_cells": 2})
    trainer = Trainer(smooth, config, Source())
    for step in range(4):
        told = trainer.train_step()
        rate = 0.01 * (1 - step / 10) ** 1.5
        assert told["learning_rate"] == pytest.approx(rate, rel=1e-12)
        groups = {bool(group.get("last")): group["lr"] for group in trainer.optimizers[0].param_groups}
        assert groups[False] == pytest.approx(rate) and groups[True] == pytest.approx(rate * min(1, step / 5))
        assert told["price"] == pytest.approx(100 * schedule.price(config, step))


def test_the_defaults_are_those_that_the_tables_were_made_with() -> None:
    """golden/settings.json is written by ``python tests/test_schedule.py``, with the tables that depend on it."""
    assert json.loads(SETTINGS.read_text()) == defaults()


def defaults() -> dict[str, Any]:
    return json.loads(json.dumps({"model": asdict(ModelConfig()), "train": asdict(TrainConfig()), "presets": PRESETS}))


if __name__ == "__main__":
    SETTINGS.write_text(json.dumps(defaults(), indent=1) + "\n")
