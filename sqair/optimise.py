"""The optimisers of a training: Adam, and Muon for the matrices of networks; a background has rates of its own."""

from __future__ import annotations

import math
from typing import Any

import torch

from sqair.config import TrainConfig
from sqair.estimators.base import Estimator
from sqair.model import SQAIR
from sqair.muon import Muon, matrices


def optimisers(model: SQAIR, estimator: Estimator, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Adam, and Muon where it has a learning rate; groups of parameters have a ``rate``, and "last" those of the
    background."""
    behind = set() if model.background is None else set(model.background.parameters())
    turned = [p for p in matrices(model) if p not in behind] if config.muon_rate else []
    rest = [p for p in model.parameters() if p not in behind.union(turned)]
    learned = [
        {"params": rest, "rate": config.learning_rate},
        {"params": list(estimator.parameters()), "rate": estimator.learning_rate},
        {"params": [p for p in model.parameters() if p in behind], "rate": config.learning_rate, "last": True},
    ]
    groups = [group for group in learned if group["params"]]
    found: list[torch.optim.Optimizer] = [torch.optim.Adam(groups, betas=(0.9, 0.99), fused=True)]
    if turned:
        found.append(Muon([{"params": turned, "rate": config.muon_rate}]))
    return found


def plain_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The state of an optimiser with learning rates as numbers, for any device."""
    state = optimizer.state_dict()
    groups = [{**group, "lr": float(group["lr"])} for group in state["param_groups"]]
    groups = [{**group, "capturable": False} if "capturable" in group else group for group in groups]
    return {**state, "param_groups": groups}


def not_finite(loss: torch.Tensor, norm: float, frames: torch.Tensor, model: SQAIR, estimator: Estimator) -> str | None:
    """What of a step is not finite, if anything: a pixel, the loss, the gradient of a parameter or their ``norm``."""
    extra = {name: p.grad for name, p in estimator.named_parameters("estimator") if p.grad is not None}
    finite = [bool(loss.isfinite()), *(bool(gradient.isfinite().all()) for gradient in extra.values())]
    if math.isfinite(norm) and all(finite):
        return None
    if not frames.isfinite().all():
        return "a pixel of the frames"
    if not loss.isfinite():
        return "the loss"
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None} | extra
    bad = [name for name, gradient in gradients.items() if not gradient.isfinite().all()]
    return f"the gradient of {bad[0]}" if bad else "the norm of the gradients"
