"""The training of a VRNN: the importance-weighted bound of K particles (Burda et al. 2015), by plain backpropagation.

What SQAIR's trainer does beside its gradients is the same here: the same clips in the same order, a curriculum of
stages, Muon for matrices and Adam for what else there is, under rates that fall as (1 - progress)^1.5, and a state from
which a run goes on bit for bit.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from sqair import schedule
from sqair.baselines.kept import save_baseline
from sqair.baselines.sizes import VRNNConfig
from sqair.baselines.vrnn import VRNN
from sqair.bounds import iwae
from sqair.config import Stage, TrainConfig
from sqair.errors import UserError
from sqair.frames import to_frames
from sqair.muon import Muon, matrices
from sqair.trainer import ClipSource, TrainingError

USED = ("seed", "stages", "learning_rate", "final_rate", "muon_rate", "clip_norm", "particles")
"""The settings of ``TrainConfig`` that count here: the others are of objects."""


class BaselineTrainer:
    """A training run: model, optimiser, random state and position in the curriculum."""

    def __init__(
        self, model_config: VRNNConfig, config: TrainConfig, source: ClipSource, device: torch.device | str = "cpu"
    ) -> None:
        """Raises UserError if clips are shorter than the curriculum asks for, or there are no particles."""
        too_long = max(stage.length for stage in config.stages)
        if too_long > source.length:
            raise UserError(f"the curriculum asks for clips of {too_long} frames, the data has {source.length}")
        if config.particles < 1:
            raise UserError(f"--particles is {config.particles}: it must be at least 1")
        self.config, self.source, self.device = config, source, torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = VRNN(model_config).to(self.device)
        turned = matrices(self.model) if config.muon_rate else []
        rest = [p for p in self.model.parameters() if all(p is not one for one in turned)]
        adam = torch.optim.Adam([{"params": rest, "rate": config.learning_rate}], betas=(0.9, 0.99), fused=True)
        self.optimizers: list[torch.optim.Optimizer] = [adam]
        if turned:
            self.optimizers.append(Muon([{"params": turned, "rate": config.muon_rate}]))
        self.generator = torch.Generator(self.device).manual_seed(config.seed)
        self.step = self.next_clip = 0

    @property
    def total_steps(self) -> int:
        return schedule.total_steps(self.config)

    def batch(self, stage: Stage) -> Tensor:
        """Frames ``[T, B, C, H, W]``, a window of each of the clips that come next."""
        clips = self.source(self.next_clip, stage.clips)
        self.next_clip += stage.clips
        random = np.random.default_rng([self.config.seed, self.step])
        start = random.integers(0, self.source.length - stage.length + 1, (stage.clips, 1))
        frames = clips[np.arange(stage.clips)[:, None], start + np.arange(stage.length)]
        return to_frames(frames, self.device)

    def train_step(self) -> dict[str, float]:
        """One step of the optimiser; returns its metrics.

        Raises:
            TrainingError: a loss or a gradient is not finite; the model is as it was before the step.
        """
        stage, rate = schedule.stage_of(self.config, self.step), schedule.rate(self.config, self.step)
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = group["rate"] * rate
        told = self.model(self.batch(stage), self.config.particles, self.generator)
        loss = -iwae(told.log_weight).mean() / stage.length
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        norm = float(clip_grad_norm_(self.model.parameters(), self.config.clip_norm))
        if not (math.isfinite(norm) and loss.isfinite()):
            raise TrainingError(f"step {self.step}: the loss or a gradient is not finite; lower --train.learning-rate")
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        parts = {"elbo": told.log_weight, "log_likelihood": told.log_likelihood, "kl_z": told.log_ratio}
        return {
            "step": self.step,
            "length": stage.length,
            "loss": float(loss.detach()),
            **{name: float(value.detach().mean()) / stage.length for name, value in parts.items()},
            "gradient_norm": norm,
            "learning_rate": self.config.learning_rate * rate,
        }

    def publish(self, folder: Path, info: dict[str, Any]) -> None:
        """Writes the weights. Raises TrainingError if one is not finite."""
        self.check_finite()
        save_baseline(folder, self.model, info)

    def check_finite(self) -> None:
        """Raises TrainingError, which names it, if a parameter is not finite."""
        for name, parameter in self.model.named_parameters():
            if not parameter.isfinite().all():
                raise TrainingError(f"step {self.step}: {name} is not finite; lower --train.learning-rate")

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs to go on bit for bit. Raises TrainingError as ``check_finite`` does."""
        self.check_finite()
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "generator": self.generator.get_state(),
            "device": self.device.type,
            "step": self.step,
            "next_clip": self.next_clip,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what ``state_dict`` gave; on another kind of device random numbers go on as others.

        Raises:
            UserError: it is the state of another model.
        """
        try:
            self.model.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.step, self.next_clip = state["step"], state["next_clip"]
            if state["device"] == self.device.type:
                self.generator.set_state(state["generator"])
            else:
                self.generator.manual_seed(self.config.seed + self.step)
        except (KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise UserError("the checkpoint fits another model: train anew, or use the sqair that saved it") from error
