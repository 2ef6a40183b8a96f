"""Training: the curriculum, the optimiser and the annealed prior, one step at a time.

    trainer = Trainer(ModelConfig(), TrainConfig(), clips)
    for metrics in trainer.run():
        print(metrics["step"], metrics["elbo"])

``sqair train`` wraps this with data, logs, pictures and checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from sqair import schedule
from sqair.bounds import Terms
from sqair.config import ModelConfig, Stage, TrainConfig
from sqair.errors import UserError
from sqair.estimators import make_estimator
from sqair.fixed_step import FixedStep
from sqair.frames import to_frames
from sqair.model import SQAIR
from sqair.optimise import not_finite, optimisers, plain_state
from sqair.ranks import ALONE, Ranks
from sqair.render import background
from sqair.roster import suited
from sqair.salience import object_nats
from sqair.snug import pull
from sqair.stretch import stretched

_MEASURED = 2_500_000
"""Pixels of the clips on which it is measured what an object is worth, at most 100 clips and at least 10."""
_SHORTEST = 5
"""Fewest frames of a clip from which the image of its scene is taken."""


class ClipSource(Protocol):
    """Where training clips come from: clip ``index`` is the same whenever it is asked for."""

    length: int
    """Frames of a clip."""

    def __call__(self, start: int, count: int) -> np.ndarray:
        """Clips ``start`` to ``start + count``: uint8 ``[N, T, H, W]`` or ``[N, T, H, W, C]``."""
        ...


@runtime_checkable
class SceneSource(Protocol):
    """A source of clips that knows their scenes."""

    def scenes(self, start: int, count: int) -> np.ndarray:
        """Images of the scenes of the clips ``start`` to ``start + count``: uint8 ``[N, H, W]`` or ``[N, H, W, C]``."""
        ...


class TrainingError(RuntimeError):
    """Training cannot go on; the message names the step and the tensor."""


class Trainer:
    """A training run: model, optimiser, random state and position in the curriculum."""

    def __init__(
        self, model_config: ModelConfig, config: TrainConfig, source: ClipSource,
        device: torch.device | str = "cpu", ranks: Ranks = ALONE,
    ) -> None:  # fmt: skip
        """``ranks`` are the processes that train together (ranks.py): a step of N of them is N steps of the schedule.

        Raises:
            UserError: clips are shorter than the curriculum asks for, or than a scene can be told from.
        """
        self.config, self.source, self.device, self.ranks = config, source, torch.device(device), ranks
        too_long = max(stage.length for stage in config.stages)
        if too_long > source.length:
            raise UserError(f"the curriculum asks for clips of {too_long} frames, the data has {source.length}")
        knows_scenes = isinstance(source, SceneSource)
        if model_config.background == "still" and source.length < _SHORTEST and not knows_scenes:
            raise UserError(
                f"a still background is what stays in a clip: it needs {_SHORTEST} frames or more, and those that are "
                f"trained on have {source.length}: give longer ones, and one that long in --train.stages"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = SQAIR(model_config).to(self.device)
            self.estimator = make_estimator(config.estimator, model_config).to(self.device)
        for stage in config.stages:
            self.estimator.particles(config.particles, stage.length)  # rather now than when the stage comes
        self.optimizers = optimisers(self.model, self.estimator, config)
        self.generator = torch.Generator(self.device).manual_seed(config.seed)
        roster = suited(self.device)
        fixed = roster.fixed and self.estimator.fixed and ranks.size == 1
        mine = self.model, self.estimator, self.optimizers, config, self.generator, roster
        self.fixed = FixedStep(*mine) if fixed else None
        """A step of fixed sizes, where that is what is done."""
        self.step = 0
        self.next_clip = 0
        self.object_nats = config.object_nats
        self.found = 1.0
        """Objects found in a frame, lately."""

    @property
    def total_steps(self) -> int:
        return schedule.total_steps(self.config)

    def run(self) -> Iterator[dict[str, float]]:
        """Trains to the end, yielding the metrics of every step.

        Raises:
            TrainingError: frames, a loss or a gradient are not finite; the model is as it was before that step.
        """
        while self.step < self.total_steps:
            yield self.train_step()

    def batch(self, stage: Stage) -> tuple[Tensor, Tensor | None]:
        """Frames ``[T, B, C, H, W]``, and the images of their scenes ``[B, C, H, W]`` if the model wants them.

        The frames are windows of the clips that come next; single frames come from few clips. A scene is that of the
        whole clip.
        """
        windows = min(self.source.length // stage.length, 4)
        count = -(-stage.clips // windows)
        first = self.next_clip + self.ranks.rank * count
        clips = self.source(first, count)
        still = self._scenes(first, clips)
        self.next_clip += self.ranks.size * count
        spare = self.source.length - windows * stage.length
        random = np.random.default_rng([self.config.seed, self.step + self.ranks.rank])
        starts = (
            np.sort(random.integers(0, spare + 1, (windows, count)), 0) + np.arange(windows)[:, None] * stage.length
        )
        frame = starts.T.reshape(-1)[: stage.clips, None] + np.arange(stage.length)
        clip = np.repeat(np.arange(count), windows)[: stage.clips, None]
        return to_frames(clips[clip, frame], self.device), None if still is None else still[clip[:, 0]]

    def _scenes(self, start: int, clips: np.ndarray) -> Tensor | None:
        """Images ``[N, C, H, W]`` of the scenes of the source's ``clips`` from ``start`` on, of a still background."""
        if isinstance(self.source, SceneSource) and self.model.config.background == "still":
            return to_frames(self.source.scenes(start, len(clips))[:, None], self.device)[0]
        return self.model.still(to_frames(clips, self.device))

    def train_step(self) -> dict[str, float]:
        """One step of the optimiser; returns its metrics."""
        config, step = self.config, self.step
        stage, decay = schedule.stage_of(config, step), schedule.rate(config, step)
        if self.ranks.rank:  # a resumed run has the state of the first one's generator alone
            self.generator.manual_seed(self.ranks.seed(config.seed, step))
        sampled = schedule.sampled(config, step, self.found, self.generator)
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        rates = [g["rate"] * decay * (1 - sampled.boldness if "last" in g else 1) for g in groups]
        self.model.price = self._price(schedule.price(config, step))
        frames, still = self.batch(stage)
        particles = self.estimator.particles(config.particles, stage.length)
        frames = frames.repeat(1, particles, 1, 1, 1)
        still = None if still is None else still.repeat(particles, 1, 1, 1)
        if self.fixed is not None:
            loss, norm, summary = self.fixed(frames, still, sampled, self.model.price, rates)
            self._check(torch.tensor(loss), norm, frames)
        else:
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate
            terms = Terms(self.model(frames, self.estimator.inference(sampled, stage.length), still))
            loss = self.estimator(terms, frames, particles) / stage.length
            norm = self._descend(loss + pull(frames, terms.steps, config.snug, self.model.config), frames)
            loss, summary = float(loss.detach()), terms.summary(self.estimator.weight(terms, particles).detach())
        self.step = min(step + self.ranks.size, self.total_steps)
        self.estimator.passed(self.step - step - 1)
        self.ranks.mean([buffer for buffer in self.estimator.buffers() if buffer.is_floating_point()])
        summary = self.ranks.metrics(summary, self.device)
        self.found += 0.05 * (summary["objects"] - self.found)
        metrics = self._metrics(summary, stage, loss, norm, config.learning_rate * decay)
        if self.step == self.total_steps:
            self.model.price = self.tracking_price()
        return metrics

    def _descend(self, loss: Tensor, frames: Tensor) -> float:
        """One step down the gradient of ``loss``; returns the gradient's norm."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        if loss.requires_grad:  # frames without anything to see teach nothing
            loss.backward()
        self.ranks.gradients([*self.model.parameters(), *self.estimator.parameters()])
        try:
            norm = float(clip_grad_norm_(self.model.parameters(), self.config.clip_norm, error_if_nonfinite=True))
        except RuntimeError:  # rather than scaling by it: every gradient would be NaN, and which one it was unknown
            norm = math.nan
        self._check(loss, norm, frames)
        if loss.requires_grad or self.ranks.size > 1:
            for optimizer in self.optimizers:
                optimizer.step()
        return norm

    def _check(self, loss: Tensor, norm: float, frames: Tensor) -> None:
        """Raises TrainingError, which names it, if anything of a step is not finite."""
        if what := not_finite(loss, norm, frames, self.model, self.estimator):
            advice = "lower --train.learning-rate or check the video"
            raise TrainingError(f"step {self.step}: {what} is not finite; {advice}")

    def tracking_price(self) -> float:
        """Price of an object with which the model is to track, however far its training has got, nats."""
        return self._price(self.config.tracking_price)

    def _price(self, share: float) -> float:
        """A ``share`` of what an object is worth over black, nats; that is measured on the first clips."""
        if self.object_nats is None:
            canvas = self.model.config.height * self.model.config.width
            found = self.source(0, max(10, min(100, _MEASURED // (canvas * self.source.length))))
            clips, still = to_frames(found, self.device), self._scenes(0, found)
            if self.model.background is not None:
                behind = self.model.background.rough(clips) if still is None else still
                clips, behind = stretched(clips, behind, self.model.config)
                clips = self.model.render.ink(clips, background(behind))
            self.object_nats = object_nats(clips.flatten(0, 1), self.model.config)
        return self.object_nats * share

    def _metrics(
        self, terms: dict[str, float], stage: Stage, loss: float, norm: float, rate: float
    ) -> dict[str, float]:
        return {
            "step": self.step,
            "length": stage.length,
            "loss": loss,
            **terms,
            "price": self.model.price,
            "gradient_norm": norm,
            "learning_rate": rate,
        }

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs to go on bit for bit; plain values and tensors.

        Raises:
            TrainingError: a parameter is not finite, so that nothing could come of going on.
        """
        self.check_finite()
        return {
            "model": self.model.state_dict(),
            "optimizer": plain_state(self.optimizers[0]),
            "muon": [plain_state(optimizer) for optimizer in self.optimizers[1:]],
            "generator": self.generator.get_state(),
            "device": self.device.type,
            "step": self.step,
            "next_clip": self.next_clip,
            "object_nats": self.object_nats,
            "found": self.found,
            "price": self.model.price,
            "tracking_price": self.tracking_price() if self.step else None,
            "total_steps": self.total_steps,
            "estimator": self.estimator.state_dict(),
        }

    def check_finite(self) -> None:
        """Raises TrainingError, which names it, if a parameter is not finite."""
        for name, parameter in self.model.named_parameters():
            if not parameter.isfinite().all():
                raise TrainingError(f"step {self.step}: {name} is not finite; lower --train.learning-rate")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what ``state_dict`` gave, be it on another device: then random numbers go on as others.

        Raises:
            UserError: the state is that of another model or estimator, such as one of an earlier version.
        """
        try:
            self._restore(state)
        except (KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise UserError("the checkpoint fits another model: train anew, or use the sqair that saved it") from error

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, [state["optimizer"], *state.get("muon", ())], strict=True):
            optimizer.load_state_dict(saved)
        if self.fixed is not None:
            self.fixed.settle()
        self.step, self.next_clip = state["step"], state["next_clip"]
        if state.get("device", self.device.type) == self.device.type:
            self.generator.set_state(state["generator"])
        else:  # another kind of device draws other numbers
            self.generator.manual_seed(self.config.seed + self.step)
        self.object_nats, self.model.price = state["object_nats"], state["price"]
        self.found = state["found"]
        self.estimator.load_state_dict(state["estimator"])
