"""All gradient estimators on the same data with the same CPU budget: what each reaches, how noisy it is, what it costs.

sqair experiments estimators --output runs/estimators            everything; about 90 minutes on 2 cores
sqair experiments estimators --output runs/quick --quick         the same in a few minutes, for a look
sqair experiments estimators --output runs/estimators --only vimco nvil

Static AIR learns single frames, the sequential model clips of 5, and the recurrent AIR of the notes frames again, all
of moving MNIST. What a step costs is measured first, on an idle machine, and gives every estimator as many steps as fit
the budget: the schedules do not depend on what else the machine does later. What is finished is not run again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sqair.estimators import ESTIMATORS
from sqair.scripts.experiments.estimator_noise import measure_noise
from sqair.scripts.experiments.estimator_report import write_report
from sqair.scripts.experiments.estimator_runs import SETTINGS, Run, measure_cost, train_once, train_trajectory
from sqair.scripts.experiments.running import check_names
from sqair.scripts.experiments.study import Study

NVIL_RATE = 0.1
"""A still lower learning rate, times the default, for NVIL alone: the notes behind this project ask for it."""


@dataclass(frozen=True)
class Args:
    """Compare the gradient estimators of presence; resumable."""

    output: Path
    """Folder of results.jsonl, the plots and table.md."""
    only: tuple[str, ...] = ()
    """Estimators to run, by default all."""
    seeds: int = 5
    """Seeds 0 to this, of every estimator in both settings."""
    rate_seeds: int = 2
    """Seeds 0 to this, of the lower and the higher learning rate on single frames."""
    recurrent_seeds: int = 2
    """Seeds 0 to this, of the recurrent search, which is the slowest to learn."""
    budget: float = 1.0
    """CPU-seconds of each training, times the default: 15 on frames, 30 on clips, 40 with the recurrent search."""
    particles: int = 3
    """Particles K of the estimators that need several."""
    draws: int = 60
    """Gradients of which the variance is taken."""
    workers: int = 2
    """Runs at a time."""
    quick: bool = False
    """One seed, a tenth of the budget and of the draws: what comes out is no result."""


def main(args: Args) -> None:
    """Runs what is missing, then writes the plots and prints the table. Raises UserError for an unknown estimator."""
    check_names(args.only, ESTIMATORS, "estimator")
    if args.quick:
        args = replace(args, seeds=1, rate_seeds=1, recurrent_seeds=1, budget=0.1 * args.budget)
        args = replace(args, draws=max(2, args.draws // 10))
    names = list(args.only or ESTIMATORS)
    budgets = {setting: args.budget * plan.budget for setting, plan in SETTINGS.items()}
    study = Study(args.output, args.workers)

    missing = [setting for setting in SETTINGS if not study.has("trajectory", setting)]
    study.work("trajectory", train_trajectory, [(name, str(args.output), budgets[name]) for name in missing])
    for setting in SETTINGS:  # one after another: what is timed wants the machine for itself
        for name in names:
            if not study.has("cost", setting, name):
                study.add(measure_cost(setting, name, args.particles, str(args.output)))
    noise = [
        (setting, point, names, args.particles, args.draws, str(args.output))
        for setting in ("frames", "clips")
        for point in range(3)
        if not all(study.has("noise", setting, name, point) for name in names)
    ]
    study.work("noise", measure_noise, noise)
    runs = [run for run in _runs(args, names, budgets, study) if not study.has(*run.key())]
    study.work("training", train_once, [(run,) for run in runs])
    write_report(study.lines, args.output)


def _runs(args: Args, names: list[str], budgets: dict[str, float], study: Study) -> Iterator[Run]:
    """All trainings, the most needed first."""
    rates = [1 / math.sqrt(10), math.sqrt(10)]
    plan = [(seed, 1.0, setting) for seed in range(args.seeds) for setting in ("frames", "clips")]
    plan += [(seed, rate, "frames") for seed in range(args.rate_seeds) for rate in rates]
    plan += [(seed, NVIL_RATE, "frames") for seed in range(args.rate_seeds)]
    plan += [(seed, 1.0, "recurrent") for seed in range(args.recurrent_seeds)]
    for seed, rate, setting in plan:
        for name in names:
            if rate == NVIL_RATE and not name.startswith("nvil"):
                continue
            cost = study.get("cost", setting, name)["milliseconds"]
            yield Run(setting, name, seed, rate, args.particles, budgets[setting], tuple(cost.items()))
