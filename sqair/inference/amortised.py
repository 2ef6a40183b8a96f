"""Amortised inference: the posteriors as the networks have them; what every way of inference may decide otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sqair.config import ModelConfig
from sqair.distributions import sample_bernoulli
from sqair.objects import Objects
from sqair.roster import EXACT, Exact
from sqair.scene import Evidence, Proposal, Rows, Scene

_SPARE = 3
"""Candidates for whom there is no room where the number of individuals is known: a part of one may be found before
another of them."""


_ROUNDS = 8
"""Rounds in which discovery finds as many objects as it looks for, if it looks for so many and they are far apart."""


@dataclass
class Inference:
    """How the latents of a step are chosen: here the modes of the amortised posteriors."""

    generator: torch.Generator | None = None
    """Source of the samples of z_where, z_what and z_pres; None takes modes."""
    memory: int = 0
    """Frames for which an object that is not seen is remembered and may return under its id."""
    count: int = 0
    """How many individuals there are in a clip, of whom each is always there, if that is known: nobody is born once so
    many were found, and nobody is forgotten. Needs a memory."""
    roster: Exact = EXACT
    """Who is on the list of objects: those that are there, or, on a GPU, a row for every seat."""

    def settle(self, proposal: Proposal, evidence: Evidence, q_logit: Tensor) -> Rows:
        """Who of a proposal is there; ``q_logit [M]`` are the posterior log-odds of z_pres."""
        pres = self.presence(proposal, evidence, q_logit)
        return Rows(proposal, evidence, q_logit, proposal.weight * pres)

    def presence(self, proposal: Proposal, evidence: Evidence, q_logit: Tensor) -> Tensor:
        """z_pres ``[M]`` in {0., 1.}, where what it depends on is there."""
        return sample_bernoulli(q_logit.detach(), self.generator)

    def skips_discovery(self) -> bool | Tensor:
        """Whether to look for no new objects in a later frame."""
        return False

    def patience(self, config: ModelConfig) -> int:
        """Candidates of a frame that may be rejected in a clip before the search there ends."""
        return 0

    def together(self, limit: int) -> int:
        """How many objects of a clip discovery proposes at a time at most, of ``limit`` that it looks for.

        They are some of those that are there: where there are few, one after the other is looked for.
        """
        return max(1, limit // _ROUNDS)

    def promising(self, scene: Scene, p_logit: Tensor) -> Tensor:
        """In which clips ``[B]`` discovery may find something; ``p_logit [B]`` is the prior of one more object."""
        return torch.ones_like(p_logit, dtype=torch.bool)

    def room(self, config: ModelConfig) -> int:
        """The most objects of a clip."""
        return self.count or config.slots

    def seats(self, config: ModelConfig) -> int:
        """The most objects of a clip that go from frame to frame, those not seen among them, where sizes are fixed."""
        return self.room(config) + (config.slots if self.memory else 0)

    def spare(self) -> int:
        """How many more may be discovered than there is room for, of whom those stay that gain most."""
        return _SPARE if self.count else 0

    def attend(self, salience: Tensor, clip: Tensor) -> Tensor:
        """The salience maps ``[R, h, w]`` of the clips ``clip [R]`` as discovery sees them."""
        return salience

    def carry(self, objects: Objects, unit: Tensor) -> Objects:
        """The objects as the next frame gets them; ``unit [4]`` is that of geometry.where_unit."""
        return objects
