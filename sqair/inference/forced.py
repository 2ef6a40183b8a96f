"""What training imposes on presence: objects accepted or rejected whatever the posterior says.

It is one formula: of a posterior q, a share ``accepted`` a is there in any case, and of what is there then a share
``rejected`` r is not,

    q' = (1 - r) (a + (1 - a) q).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sqair.distributions import Gaussian, sample_bernoulli
from sqair.inference.amortised import Inference
from sqair.objects import Objects
from sqair.scene import Evidence, Proposal, Rows

_MOST = 0.99
"""Most that is forced of a posterior: at 1 its log-odds would be infinite."""
_JITTERED = 0.3
"""Share of the objects of a frame that jitter moves."""
_PAYS = 1.2
"""What there must be to gain where exploration accepts an object, in prices: some more than it costs, since what the
decoder will make of it explains never all of that."""


class Forced(NamedTuple):
    """Shares ``[M]`` of the formula above; None where there are none."""

    accepted: Tensor | None
    rejected: Tensor | None

    def posterior(self, q_logit: Tensor) -> Tensor:
        """The log-odds ``[M]`` of q'."""
        if self.accepted is not None:
            q_logit = embolden(q_logit, self.accepted.clamp_max(_MOST))
        if self.rejected is not None:
            q_logit = -embolden(-q_logit, self.rejected.clamp_max(_MOST))
        return q_logit

    def sample(self, pres: Tensor, generator: torch.Generator | None) -> Tensor:
        """A sample ``[M]`` of q', of one of q, ``pres [M]``."""
        if self.accepted is not None:
            pres = torch.maximum(pres, self.accepted.bernoulli(generator=generator))
        if self.rejected is not None:
            pres = pres * (1 - self.rejected.bernoulli(generator=generator))
        return pres


@dataclass
class Sampled(Inference):
    """Samples every posterior, as the bounds demand, and then what is forced; q itself is what is scored.

    For estimators whose gradient in a bit does not depend on what the bit is.
    """

    boldness: float | Tensor = 0.0
    """Share accepted of the discoveries of the first round, so that the decoder has something to learn."""
    bold_all: bool = False
    """Whether that goes for all discoveries, not only those of the first round of a frame."""
    exploration: float | Tensor = 0.0
    """Share accepted of discoveries that touch no object, where more is missing than one costs: what the decoder cannot
    draw yet, it would otherwise never learn."""
    crowd_dropout: float | Tensor = 0.0
    """Share rejected of discoveries that touch an object: it has to learn to explain what they would, if that is a part
    of it."""
    dropout: float = 0.0
    """Share of later frames without discovery, all rejected: propagation has to carry the objects."""
    jitter: float = 0.0
    """Noise on z_where of carried objects, in its units: propagation learns to pull a box back that has drifted."""

    def presence(self, proposal: Proposal, evidence: Evidence, q_logit: Tensor) -> Tensor:
        pres = super().presence(proposal, evidence, q_logit)
        return self.forced(proposal, evidence).sample(pres, self.generator)

    def forced(self, proposal: Proposal, evidence: Evidence) -> Forced:
        """What is imposed on a proposal."""
        accepted = rejected = None
        if proposal.round == 0:
            return Forced(None, None)
        if _some(self.boldness) and (proposal.round == 1 or self.bold_all):
            accepted = torch.ones_like(evidence.gain) * self.boldness
        if _some(self.exploration) or _some(self.crowd_dropout):
            touches = evidence.touches()
            lonely = ~touches & (evidence.most() > _PAYS * evidence.price)
            explored = self.exploration * lonely.to(evidence.gain)
            accepted = explored if accepted is None else torch.maximum(accepted, explored)
            rejected = self.crowd_dropout * touches.to(evidence.gain)
        return Forced(accepted, rejected)

    def skips_discovery(self) -> bool | Tensor:
        if not self.dropout:
            return False
        device = self.generator.device if self.generator else None
        return self.roster.known(torch.rand((), generator=self.generator, device=device) < self.dropout)

    def carry(self, objects: Objects, unit: Tensor) -> Objects:
        if not self.jitter:
            return objects
        noise = Gaussian.standard(objects.where).sample(self.generator) * (self.jitter * unit)
        hit = torch.zeros_like(objects.age).bernoulli_(_JITTERED, generator=self.generator)
        return replace(objects, where=objects.where + hit[:, None] * noise)


@dataclass
class Explored(Sampled):
    """What is forced as a part of the posterior, so that what is sampled is what is scored.

    For estimators that need samples of the posterior that they differentiate.
    """

    def settle(self, proposal: Proposal, evidence: Evidence, q_logit: Tensor) -> Rows:
        return super().settle(proposal, evidence, self.forced(proposal, evidence).posterior(q_logit))

    def presence(self, proposal: Proposal, evidence: Evidence, q_logit: Tensor) -> Tensor:
        return sample_bernoulli(q_logit.detach(), self.generator)


def _some(share: float | Tensor) -> bool:
    """Whether a share may be more than 0: one in a tensor changes from step to step."""
    return isinstance(share, Tensor) or share > 0


def embolden(logit: Tensor, share: Tensor) -> Tensor:
    """Log-odds ``[M]`` of share + (1 - share) sigmoid(logit), for a ``share [M]`` in [0, 1)."""
    rest = torch.log1p(-share)
    on = torch.logaddexp(F.logsigmoid(logit) + rest, share.log())
    return on - F.logsigmoid(-logit) - rest
