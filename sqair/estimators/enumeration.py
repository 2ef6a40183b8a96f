"""Exact enumeration of presence: one particle for each joint outcome of all presence variables of a clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count, product

import torch
from torch import Tensor

from sqair.assign import rank_in_clip
from sqair.bounds import Terms
from sqair.config import ModelConfig
from sqair.errors import UserError
from sqair.estimators.base import Estimator
from sqair.inference import Explored, Sampled
from sqair.objects import Objects
from sqair.scene import Evidence, Proposal

MOST_OUTCOMES = 256


@dataclass
class Scripted(Explored):
    """Particle k of each clip does what outcome k says, as far as there is something to see."""

    outcomes: Tensor = field(default_factory=lambda: torch.zeros(1, 1, 0))
    """``[K, T, slots + steps]``: bits of the objects carried into a frame, then of its steps of discovery."""
    slots: int = 0
    frame: int = 0

    def presence(self, proposal: Proposal, evidence: Evidence, q_logit: Tensor) -> Tensor:
        clip = proposal.objects.clip
        column = rank_in_clip(clip, -torch.arange(len(clip), dtype=torch.float64, device=clip.device))
        if proposal.round:
            column = torch.full_like(clip, self.slots + proposal.round - 1)
        particle = particle_of(clip, evidence.clips, len(self.outcomes))
        return self.outcomes.to(evidence.gain)[particle, self.frame, column]

    def together(self, limit: int) -> int:
        """One: its bit is that of the round."""
        return 1

    def carry(self, objects: Objects, unit: Tensor) -> Objects:
        self.frame += 1
        return objects


class Enumeration(Estimator):
    """sum_b q(b) ELBO(b) over all presences b of a clip, differentiated as it stands.

    On a single frame b is the count, of first_steps + 1 values; on clips the outcomes multiply with every frame.
    """

    def particles(self, wanted: int, length: int) -> int:
        found = count_outcomes(self.config, length)
        if found > MOST_OUTCOMES:
            alone = replace(self.config, slots=1, first_steps=1)
            raise UserError(
                f"the enumeration estimator would enumerate {found:.3g} outcomes in clips of {length} frames, and does "
                f"{MOST_OUTCOMES} at most: set --train.stages to clips of {longest(self.config)} at most, or of "
                f"{longest(alone)} with --model.slots 1 --model.first-steps 1"
            )
        return found

    def inference(self, sampled: Sampled, length: int) -> Sampled:
        table = torch.tensor(outcomes(self.config, length))
        return Scripted(**{**vars(sampled), "dropout": 0.0}, outcomes=table, slots=self.config.slots)

    def weight(self, total: Terms, particles: int) -> Tensor:
        clips = len(total.elbo)
        script = torch.tensor(outcomes(self.config, len(total.steps)), device=total.elbo.device).sum(-1)
        n = script[particle_of(torch.arange(clips, device=script.device), clips, particles)].T
        found = torch.stack([step.objects.clip.bincount(minlength=clips) for step in total.steps])
        # where there was nothing more to see, fewer were found than the script says, which has probability 0
        return particles * torch.where((found == n).all(0), total.log_q_presence.exp(), 0.0)

    def forward(self, total: Terms, frames: Tensor, particles: int) -> Tensor:
        return -(self.weight(total, particles) * total.elbo).mean()


def particle_of(clip: Tensor, clips: int, particles: int) -> Tensor:
    """Which particle of its clip each of ``clip [M]`` is, of ``clips`` in all."""
    return clip // (clips // particles)


def frame_outcomes(config: ModelConfig, carried: int, first: bool) -> Iterator[tuple[tuple[int, ...], int]]:
    """Which of the ``carried`` objects stay, and how many are found, in every way that one frame allows."""
    carries = config.temporal.any()
    limit = config.first_steps if first or not carries else config.later_steps
    for stay in product((0, 1), repeat=carried if carries else 0):
        for found in range(min(limit, config.slots - sum(stay)) + 1):
            yield stay, found


@lru_cache
def count_outcomes(config: ModelConfig, length: int) -> int:
    """How many joint outcomes the presences of a clip of ``length`` frames have."""
    ways = {0: 1}  # by the number of objects
    for t in range(length):
        after: dict[int, int] = {}
        for carried, number in ways.items():
            for stay, found in frame_outcomes(config, carried, t == 0):
                n = sum(stay) + found
                after[n] = after.get(n, 0) + number
        ways = after
    return sum(ways.values())


def longest(config: ModelConfig) -> int:
    """The most frames of a clip whose outcomes can be enumerated."""
    return next(length for length in count(0) if count_outcomes(config, length + 1) > MOST_OUTCOMES)


@lru_cache
def outcomes(config: ModelConfig, length: int) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """All of them ``[K, T, slots + steps]``: of each frame the bits of the objects carried, then of discovery."""
    width = max(config.first_steps, config.later_steps)
    paths: list[tuple[tuple[int, ...], ...]] = [()]
    for t in range(length):
        longer = []
        for path in paths:
            carried = sum(path[-1]) if path else 0
            for stay, found in frame_outcomes(config, carried, t == 0):
                bits = (*stay, *(0,) * (config.slots - len(stay)), *(1,) * found, *(0,) * (width - found))
                longer.append((*path, bits))
        paths = longer
    return tuple(paths)
