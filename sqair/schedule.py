"""What is annealed over a training, as functions of the step; the settings are those of config.TrainConfig."""

from __future__ import annotations

import torch

from sqair.config import Stage, TrainConfig
from sqair.inference import Sampled

_FEWEST = 0.2
"""If fewer objects than that are found in a frame, some are accepted in any case."""


def total_steps(config: TrainConfig) -> int:
    return sum(stage.steps for stage in config.stages)


def stage_of(config: TrainConfig, step: int) -> Stage:
    """The stage of the curriculum that a step belongs to."""
    done = 0
    for stage in config.stages:
        done += stage.steps
        if step < done:
            return stage
    return config.stages[-1]


def rate(config: TrainConfig, step: int) -> float:
    """The share of the learning rate that is left."""
    return max(config.final_rate, (1 - step / total_steps(config)) ** 1.5)


def price(config: TrainConfig, step: int) -> float:
    """The price of an object, as a share of what a typical one is worth."""
    start, end = config.price
    return start + (end - start) * min(1.0, step / config.price_steps)


def boldness(config: TrainConfig, step: int, found: float) -> float:
    """Share of first discoveries that are accepted in any case: less with every step, unless hardly any others are.

    Where a model finds nothing, its decoder learns nothing, and so it never would. ``found`` are the objects of a
    frame, lately.
    """
    return max(1 - step / config.bold_steps, _FEWEST - found, 0.0) if config.bold_steps else 0.0


def sampled(config: TrainConfig, step: int, found: float, generator: torch.Generator) -> Sampled:
    """How latents are sampled in a step, and what is forced of them."""
    return Sampled(
        generator,
        boldness=boldness(config, step, found),
        bold_all=config.bold_all,
        exploration=config.exploration * (1 - step / total_steps(config)),
        crowd_dropout=config.crowd_dropout if step < config.price_steps else 0.0,
        dropout=config.discovery_dropout,
        jitter=config.jitter,
    )
