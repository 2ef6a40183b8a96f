"""A step of training of fixed sizes: forward, backward and the optimisers, which a GPU replays (graphs.py)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from sqair.bounds import Terms
from sqair.config import TrainConfig
from sqair.estimators.base import Estimator
from sqair.graphs import Recorded
from sqair.inference import Sampled
from sqair.model import SQAIR
from sqair.roster import Exact
from sqair.snug import pull

_FORCED = {"boldness": "bold_steps", "exploration": "exploration", "crowd_dropout": "crowd_dropout"}
"""What training imposes that changes from step to step, and the setting without which it is always 0."""


class FixedStep:
    """What changes from step to step is in tensors here: the price, what is imposed on presence, learning rates.

    A step whose loss or gradient is not finite leaves parameters and optimisers as they are.
    """

    def __init__(
        self, model: SQAIR, estimator: Estimator, optimizers: list[torch.optim.Optimizer], config: TrainConfig,
        generator: torch.Generator, roster: Exact,
    ) -> None:  # fmt: skip
        self.model, self.estimator, self.optimizers, self.config, self.roster = (
            model, estimator, optimizers, config, roster
        )  # fmt: skip
        device = generator.device
        self._price = torch.zeros((), dtype=torch.float64, device=device)
        self._forced = {name: torch.zeros((), device=device) for name, by in _FORCED.items() if getattr(config, by)}
        self._sampled = Sampled(generator)
        self._recorded = Recorded(self._run, generator)
        self._rates: list[Tensor] = []
        self.settle()

    def settle(self) -> None:
        """Takes learning rates into tensors, after they were set as numbers or loaded."""
        device = self._price.device
        self._rates = []
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                rate = group["lr"] if isinstance(group["lr"], Tensor) else torch.tensor(float(group["lr"]))
                group["lr"] = rate.to(device)
                self._rates.append(group["lr"])
                if "fused" in group:
                    group["capturable"] = device.type == "cuda"
        self._recorded = Recorded(self._run, self._sampled.generator)

    def __call__(
        self, frames: Tensor, still: Tensor | None, sampled: Sampled, price: float, rates: Iterable[float]
    ) -> tuple[float, float, dict[str, float]]:
        """A step on ``frames [T, K * B, C, H, W]`` and the images of their scenes ``[K * B, C, H, W]``, at a ``price``
        and learning ``rates`` of all groups of parameters.

        Returns:
            The loss, nats per frame, the norm of its gradient, and the summary of the terms of the bound.
        """
        self._price.fill_(price)
        for name, share in self._forced.items():
            share.fill_(getattr(sampled, name))
        for mine, rate in zip(self._rates, rates, strict=True):
            mine.fill_(rate)
        self._sampled = replace(sampled, **self._forced, roster=self.roster)
        before = self.model.price
        self.model.price = self._price  # type: ignore[assignment]
        try:
            found = self._recorded(frames, still)
        finally:
            self.model.price = before
        names, values = list(found), torch.stack([value.double() for value in found.values()]).tolist()
        summary = dict(zip(names, values, strict=True))
        return summary.pop("loss"), summary.pop("norm"), {k: v / len(frames) for k, v in summary.items()}

    def _run(self, frames: Tensor, still: Tensor | None) -> dict[str, Tensor]:
        length, config, model = len(frames), self.config, self.model
        particles = self.estimator.particles(config.particles, length)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        terms = Terms(model(frames, self.estimator.inference(self._sampled, length), still))
        loss = self.estimator(terms, frames, particles) / length
        total = loss + pull(frames, terms.steps, config.snug, model.config, self.roster)
        total.backward()
        norm = clip_grad_norm_(model.parameters(), config.clip_norm)
        stuck = 1 - (norm.isfinite() & total.detach().isfinite()).float()
        for optimizer in self.optimizers:
            optimizer.found_inf = stuck  # type: ignore[attr-defined]
            optimizer.step()
        means = terms.means(self.estimator.weight(terms, particles).detach())
        return {"loss": loss.detach(), "norm": norm, **means}

