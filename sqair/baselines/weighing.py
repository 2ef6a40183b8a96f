"""How likely clips are under a VRNN: log p(x), as likelihood.py has it of ours, so that nats compare."""

from __future__ import annotations

import torch
from torch import Tensor

from sqair.baselines.vrnn import VRNN, Memory
from sqair.bounds import iwae
from sqair.likelihood import Likelihood
from sqair.particles import effective, filtered, importance_weights
from sqair.render import log_likelihood

ROWS = 512
"""Particles of all clips that are drawn at a time."""


def importance_of(model: VRNN, frames: Tensor, particles: int, generator: torch.Generator) -> Likelihood:
    """log p(x) of clips ``[T, B, C, H, W]`` by importance sampling, and its parts: log p(x | z), and log q - log p."""
    cloud = Cloud(model, frames, particles, generator)
    log_weight = importance_weights(cloud, len(frames))
    parts = {name: value.view(particles, -1).mean(0) for name, value in cloud.parts.items()}
    return Likelihood(iwae(log_weight), log_weight.mean(0), parts, effective(log_weight))


def particle_filter_of(model: VRNN, frames: Tensor, particles: int, generator: torch.Generator) -> Tensor:
    """log p(x) ``[B]`` of clips by a particle filter; the arguments are those of ``importance_of``."""
    return filtered(Cloud(model, frames, particles, generator), len(frames), generator)


class Cloud:
    """Particles of the model, see ``particles.Particles``; ``parts`` are of each ``[K * B]``, summed over frames."""

    @torch.no_grad()
    def __init__(self, model: VRNN, frames: Tensor, particles: int, generator: torch.Generator) -> None:
        self.model, self.frames, self.particles, self.generator = model, frames, particles, generator
        length, clips = frames.shape[:2]
        self.seen = model.look(frames.flatten(0, 1)).view(length, clips, -1)
        self.memory = model.blank(particles * clips)
        self.parts = {name: frames.new_zeros(particles * clips) for name in ("log_likelihood", "kl_z")}

    @torch.no_grad()
    def weigh(self, t: int) -> Tensor:
        """See ``particles.Particles``."""
        model, frame = self.model, self.frames[t]
        moment, self.memory = model.infer(self.seen[t].repeat(self.particles, 1), self.memory, self.generator)
        log_p = []
        for which in torch.arange(len(moment.z), device=frame.device).split(ROWS):
            canvas = model.draw(moment.said[which])
            log_p.append(log_likelihood(frame[which % frame.shape[0]], canvas, model.config.likelihood_std))
        here = {"log_likelihood": torch.cat(log_p), "kl_z": moment.log_ratio()}
        for name, value in here.items():
            self.parts[name] = self.parts[name] + value
        return (here["log_likelihood"] - here["kl_z"]).view(self.particles, -1)

    def resample(self, ancestors: Tensor) -> None:
        """See ``particles.Particles``."""
        clips = ancestors.shape[1]
        which = (ancestors * clips + torch.arange(clips, device=ancestors.device)).flatten()
        self.memory = Memory(*(value[which] for value in self.memory))
        self.parts = {name: value[which] for name, value in self.parts.items()}


@torch.no_grad()
def ahead_of(model: VRNN, observed: Tensor, horizon: int, samples: int, generator: torch.Generator) -> Tensor:
    """What comes after ``observed [T, B, C, H, W]``: mean images ``[horizon, B, C, H, W]``.

    The mean of so many ``samples``, of the past by the posterior and of what comes by the prior; with 0, both go on by
    their means. The frame that is imagined is seen as its mean image, without the noise of pixels.
    """
    clips = observed.shape[1]
    rows, source = (samples * clips, generator) if samples else (clips, None)
    memory = model.blank(rows)
    for seen in model.look(observed.flatten(0, 1)).view(len(observed), clips, -1):
        _, memory = model.infer(seen.repeat(max(1, samples), 1), memory, source)
    frames = []
    for _ in range(horizon):
        canvas, memory = model.imagine(memory, source)
        frames.append(canvas.view(-1, clips, *canvas.shape[1:]).mean(0))
    return torch.stack(frames)


@torch.no_grad()
def dreams(model: VRNN, clips: int, length: int, generator: torch.Generator) -> Tensor:
    """Clips from the prior: mean images ``[T, B, C, H, W]``."""
    memory, frames = model.blank(clips), []
    for _ in range(length):
        canvas, memory = model.imagine(memory, generator)
        frames.append(canvas)
    return torch.stack(frames)
