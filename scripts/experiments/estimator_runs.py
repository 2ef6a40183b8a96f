"""Training for ``sqair experiments estimators``: one run, what its steps cost, and the trajectory of the noise."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sqair.config import Stage
from sqair.errors import UserError
from sqair.estimators import ESTIMATORS, make_estimator
from sqair.estimators.vimco import Vimco
from sqair.process import keep_freed_memory
from sqair.schedule import stage_of
from sqair.scripts import train
from sqair.scripts.training import Generated
from sqair.scripts.validation import Validation
from sqair.trainer import Trainer, TrainingError

LOOKS = 10
"""Times that a run is looked at."""
TYPICAL = {"frames": {1: 10.0}, "clips": {1: 10.0, 5: 50.0}, "recurrent": {1: 30.0}}
"""CPU-milliseconds of a step, roughly, from which the trajectory gets its steps."""
POINTS = (0.35, 0.65, 1.0)
"""Of the trajectory, as shares of its steps."""
GUIDE = "closed_form_corrected"
"""The estimator that the trajectory is trained with."""


@dataclass(frozen=True)
class Setting:
    """A model, its data, and how the budget is shared by stages."""

    title: str
    words: tuple[str, ...]
    """Of ``sqair train``."""
    shares: tuple[tuple[int, float], ...]
    """Frames of a clip, and share of the budget."""
    budget: float
    """CPU-seconds of a training."""
    cheapening: float = 0.8
    """Share of the steps over which the price of an object falls, or rises, to its last value."""
    rows: int = 64
    """Clips per step, times particles."""
    validation: tuple[int, int] = (200, 1000)
    """Validation clips on the way and at the end."""


SETTINGS = {
    "frames": Setting("single frames", ("--data.length", "1"), ((1, 1.0),), 15.0),
    "clips": Setting("clips of 5", ("--data.length", "5"), ((1, 0.5), (5, 0.5)), 30.0, validation=(100, 500)),
    "recurrent": Setting("single frames, recurrent search", ("--preset", "static-air"), ((1, 1.0),), 40.0, 1 / 3),
}


@dataclass(frozen=True)
class Run:
    """One training; ``milliseconds`` of a step, by frames of a clip, make its schedule."""

    setting: str
    estimator: str
    seed: int
    rate: float
    """Times the default learning rate."""
    particles: int
    budget: float
    """CPU-seconds."""
    milliseconds: tuple[tuple[str, float], ...]

    def key(self) -> tuple[Any, ...]:
        return ("run", self.setting, self.estimator, self.seed, round(self.rate, 3))


def arguments(setting: str, estimator: str, particles: int) -> train.Args:
    """The arguments of ``sqair train`` in a setting; ``particles`` are for those estimators that need several."""
    needed = particles if issubclass(ESTIMATORS[estimator], Vimco) else 1
    words = (*SETTINGS[setting].words, "--estimator", estimator, "--particles", str(needed))
    return train.parse(["--output", "unused", *words])


def new_trainer(setting: str, estimator: str, particles: int, steps: list[int], seed: int, rate: float) -> Trainer:
    """A trainer of ``steps`` in each stage, the price scaled to them. Raises UserError as Trainer does."""
    keep_freed_memory()
    args, plan = arguments(setting, estimator, particles), SETTINGS[setting]
    rule, total, stages = make_estimator(estimator, args.model), sum(steps), []
    for (length, _), count in zip(plan.shares, steps, strict=True):
        stages.append(Stage(length, count, plan.rows // rule.particles(args.train.particles, length)))
    config = replace(
        args.train,
        stages=tuple(stages),
        seed=seed,
        learning_rate=args.train.learning_rate * rate,
        price_steps=round(plan.cheapening * total),
    )
    return Trainer(args.model, config, Generated(train.recipe_of(args), seed))


def train_once(run: Run) -> list[dict[str, Any]]:
    """Trains and validates; a refusal or a failure is a result as well."""
    torch.set_num_threads(1)
    plan, cost = SETTINGS[run.setting], dict(run.milliseconds)
    line: dict[str, Any] = {"key": run.key(), "budget": run.budget, "curve": []}
    if not cost:
        return [{**line, "failed": "it cannot enumerate clips of this length"}]
    steps = [max(1, int(1000 * run.budget * share / cost[str(length)])) for length, share in plan.shares]
    recipe = train.recipe_of(arguments(run.setting, run.estimator, run.particles))
    few, many = (Validation.generated(recipe, clips) for clips in plan.validation)
    spent, began = 0.0, time.process_time()
    try:
        trainer = new_trainer(run.setting, run.estimator, run.particles, steps, run.seed, run.rate)
        marks = {round(trainer.total_steps * (i + 1) / LOOKS) for i in range(LOOKS)}
        for _ in trainer.run():
            spent += cost[str(stage_of(trainer.config, trainer.step).length)] / 1000
            if trainer.step in marks:
                metrics, _ = few.measure(trainer.model)
                line["curve"].append([round(spent, 2), metrics["elbo"], metrics["count_accuracy"]])
        metrics, _ = many.measure(trainer.model)
    except (TrainingError, UserError) as error:
        return [{**line, "failed": str(error)}]
    seconds = time.process_time() - began
    final = {name: metrics[name] for name in ("elbo", "count_accuracy", "objects")}
    return [{**line, "steps": steps, "cpu_seconds": round(seconds, 1), **final}]


def train_trajectory(setting: str, output: str, budget: float) -> list[dict[str, Any]]:
    """Trains with ``GUIDE`` for about the budget and saves the model at each of ``POINTS``."""
    torch.set_num_threads(1)
    plan = SETTINGS[setting]
    steps = [max(3, int(1000 * budget * share / TYPICAL[setting][length])) for length, share in plan.shares]
    trainer = new_trainer(setting, GUIDE, 1, steps, 0, 1.0)
    marks = [round(trainer.total_steps * point) for point in POINTS]
    for _ in trainer.run():
        if trainer.step in marks:
            point = {"model": trainer.model.state_dict(), "price": trainer.model.price}
            torch.save(point, Path(output) / f"{setting}-{marks.index(trainer.step)}.pt")
    return [{"key": ["trajectory", setting], "steps": steps}]


def measure_cost(setting: str, estimator: str, particles: int, output: str) -> dict[str, Any]:
    """CPU-milliseconds of a training step from the middle of the trajectory on, by frames of a clip."""
    torch.set_num_threads(1)
    state = torch.load(Path(output) / f"{setting}-1.pt", weights_only=True)
    line: dict[str, Any] = {"key": ["cost", setting, estimator], "milliseconds": {}}
    warm, timed = 5, 41
    for i, (length, _) in enumerate(SETTINGS[setting].shares):
        steps = [0] * len(SETTINGS[setting].shares)
        steps[i] = warm + timed
        try:
            trainer = new_trainer(setting, estimator, particles, steps, 0, 1.0)
        except UserError as error:
            return {**line, "milliseconds": {}, "failed": str(error)}
        trainer.model.load_state_dict(state["model"])
        for group in trainer.optimizers[0].param_groups:
            group["rate"] = 0.0  # a model that loses its objects would be cheap
        seconds = []
        for _ in range(warm + timed):
            began = time.process_time()
            trainer.train_step()
            seconds.append(time.process_time() - began)
        line["milliseconds"][str(length)] = round(1000 * statistics.median(seconds[warm:]), 2)
    return line
