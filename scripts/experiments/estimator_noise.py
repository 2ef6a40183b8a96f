"""How noisy and how biased the presence gradients of each estimator are, at points of one fixed trajectory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sqair.bounds import Terms
from sqair.config import Stage
from sqair.errors import UserError
from sqair.inference import Sampled
from sqair.scripts.experiments.estimator_runs import SETTINGS, new_trainer

REFERENCE = "nvil_unscaled"
"""The exact estimator of least variance, by which bias is measured."""
MANY = {"frames": 40, "clips": 12}
"""Times as many draws for it."""
CLIPS = 64
"""That all draws are about, whatever the number of particles."""
WARM = 40
"""Steps in which an estimator's baselines get to know the model, which stays as it is."""


def measure_noise(
    setting: str, point: int, names: list[str], particles: int, draws: int, output: str
) -> list[dict[str, Any]]:
    """Of each estimator at one point: variance and bias of its gradient in the parameters that only z_pres has.

    The frames are the same for all draws, so that what varies is the estimator. The squared length of a mean of R
    gradients is on average the true one plus variance / R, which is taken off: the bias is not noise. ``squared_noise``
    is what was taken off.
    """
    torch.set_num_threads(1)
    state = torch.load(Path(output) / f"{setting}-{point}.pt", weights_only=True)
    reference = Moments(presence_gradients(setting, REFERENCE, particles, state, MANY[setting] * draws))
    lines = []
    for name in names:
        line: dict[str, Any] = {"key": ["noise", setting, name, point]}
        try:
            found = Moments(presence_gradients(setting, name, particles, state, draws))
        except UserError as error:
            lines.append({**line, "failed": str(error)})
            continue
        apart = (found.mean - reference.mean).square().sum() - found.error - reference.error
        lines.append(
            {
                **line,
                "variance": found.variance,
                "squared_norm": float(found.mean.square().sum()) - found.error,
                "squared_bias": float(apart),
                "squared_noise": found.error + reference.error,
                "reference_squared_norm": float(reference.mean.square().sum()) - reference.error,
                "along_reference": float(found.mean @ reference.mean / reference.mean.square().sum()),
            }
        )
    return lines


class Moments:
    """Mean, total variance and squared standard error of gradients."""

    def __init__(self, gradients: Iterator[Tensor]) -> None:
        each = torch.stack(list(gradients)).double()
        self.mean = each.mean(0)
        self.variance = float(each.var(0).sum())
        self.error = self.variance / len(each)


def presence_gradients(
    setting: str, estimator: str, particles: int, state: dict[str, Any], draws: int
) -> Iterator[Tensor]:
    """Gradients of the loss per clip on one batch, in the parameters of z_pres alone, once the estimator is warm."""
    length = SETTINGS[setting].shares[-1][0]
    steps = [0] * (len(SETTINGS[setting].shares) - 1) + [1]
    trainer = new_trainer(setting, estimator, particles, steps, 0, 1.0)
    model, rule = trainer.model, trainer.estimator
    model.load_state_dict(state["model"])
    model.price = state["price"]
    wanted = [(p, rows) for name, p in model.named_parameters() if (rows := presence_rows(name)) is not None]
    own = list(rule.parameters())
    optimiser = torch.optim.Adam(own, lr=rule.learning_rate, betas=(0.9, 0.99)) if own else None
    count = rule.particles(trainer.config.particles, length)
    for i in range(WARM + draws):
        trainer.step, trainer.next_clip = (0, 0) if i >= WARM else (i + 1, 1000 + CLIPS * i)
        frames, _ = trainer.batch(Stage(length, 1, CLIPS))
        frames = frames.repeat(1, count, 1, 1, 1)
        terms = Terms(model(frames, rule.inference(Sampled(trainer.generator), length)))
        loss = rule(terms, frames, count)
        if i >= WARM:
            parts = torch.autograd.grad(loss, [p for p, _ in wanted], allow_unused=True, materialize_grads=True)
            yield torch.cat([part[rows].flatten() for part, (_, rows) in zip(parts, wanted, strict=True)])
        elif optimiser is not None:
            optimiser.zero_grad()
            loss.backward(inputs=own)
            optimiser.step()


def presence_rows(name: str) -> slice | None:
    """Which part of the parameter ``name`` belongs to z_pres alone; None if no part does."""
    if name.startswith(("new_presence.", "old_presence.")):
        return slice(None)
    if name in ("discovery.search.omega.2.weight", "discovery.search.omega.2.bias"):
        return slice(8, 9)
    return None
