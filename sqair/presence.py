"""Who decides whether an object is there: q(z_pres) sampled, its mode, or its refinement against the frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sqair.distributions import Gaussian, sample_bernoulli
from sqair.objects import Objects, Rows

MOST_BOLD = 0.99
"""Most that is forced of a posterior: at 1 its log-odds would be infinite."""
JITTERED = 0.3
"""Share of the objects of a frame that jitter moves."""
_PAYS = 1.2
"""What there must be to gain where exploration accepts an object, in prices."""


@dataclass
class Inference:
    """How the latents of a step are chosen: here the modes of the amortised posteriors."""

    generator: torch.Generator | None = None
    """Source of the samples of z_where, z_what and z_pres; None takes modes."""
    memory: int = 0
    """Frames for which an object that is not seen is remembered and may return under its id."""
    familiar: float = 0.5
    """Most nats by which its place and looks may then differ from what was expected of it, as a share of the price of a
    new one."""

    def decide(self, rows: Rows, clips: int) -> Tensor:
        """z_pres ``[M]`` in {0., 1.} of the objects inferred in ``clips`` clips; ``rows`` have no ``pres`` yet."""
        return sample_bernoulli(rows.q_logit.detach(), self.generator)

    def skips_discovery(self) -> bool:
        """Whether to look for no new objects in a later frame."""
        return False

    def promising(self, missing: Tensor, p_logit: Tensor, std: float) -> Tensor:
        """In which clips ``[B]`` discovery may find something.

        Args:
            missing: ``[B, C, H, W]``, what the canvas so far leaves for further objects to explain.
            p_logit: ``[B]``, prior log-odds of one more object.
            std: standard deviation of the likelihood.
        """
        return torch.ones_like(p_logit, dtype=torch.bool)

    def attend(self, salience: Tensor, clip: Tensor) -> Tensor:
        """The salience maps ``[R, h, w]`` of the clips ``clip [R]`` as discovery sees them."""
        return salience

    def carry(self, objects: Objects, unit: Tensor) -> Objects:
        """The objects as the next frame gets them; ``unit [4]`` is that of geometry.where_unit."""
        return objects


@dataclass
class Sampled(Inference):
    """Samples every posterior, as the bounds demand; training may accept or reject some discoveries in any case."""

    boldness: float = 0.0
    """Share of first discoveries accepted whatever q(z_pres) says, so that the decoder has something to learn."""
    bold_all: bool = False
    """Whether that goes for all discoveries, not only the first of a frame."""
    exploration: float = 0.0
    """Share accepted likewise of discoveries that touch no object, where more is missing than one costs: what the
    decoder cannot draw yet, it would otherwise never learn."""
    crowd_dropout: float = 0.0
    """Share rejected of discoveries that touch an object: it has to learn to explain what they would, if that is a part
    of it."""
    dropout: float = 0.0
    """Share of later frames without discovery: propagation has to carry the objects."""
    jitter: float = 0.0
    """Noise on z_where of carried objects, in its units: propagation learns to pull a box back that has drifted."""

    def carry(self, objects: Objects, unit: Tensor) -> Objects:
        if not self.jitter:
            return objects
        noise = Gaussian.standard(objects.where).sample(self.generator) * (self.jitter * unit)
        hit = torch.zeros_like(objects.age).bernoulli_(JITTERED, generator=self.generator)
        return replace(objects, where=objects.where + hit[:, None] * noise)

    def skips_discovery(self) -> bool:
        device = self.generator.device if self.generator else None
        return self.dropout > 0 and float(torch.rand((), generator=self.generator, device=device)) < self.dropout

    def decide(self, rows: Rows, clips: int) -> Tensor:
        pres = super().decide(rows, clips)
        accepted, rejected = self.forced(rows)
        if accepted is not None:
            pres = torch.maximum(pres, accepted.bernoulli(generator=self.generator))
        if rejected is not None:
            pres = pres * (1 - rejected.bernoulli(generator=self.generator))
        return pres

    def forced(self, rows: Rows) -> tuple[Tensor | None, Tensor | None]:
        """Shares ``[M]`` of the rows accepted in any case, and then of those rejected; None if there are none."""
        accepted = rejected = None
        if self.boldness > 0 and (rows.first or (rows.new and self.bold_all)):
            accepted = torch.full_like(rows.gain, self.boldness)
        if rows.new and (self.exploration > 0 or self.crowd_dropout > 0):
            touches = rows.prospect.touches()
            lonely = ~touches & (rows.prospect.most() > _PAYS * rows.price * rows.contrast)
            explored = self.exploration * lonely.to(rows.gain)
            accepted = explored if accepted is None else torch.maximum(accepted, explored)
            rejected = self.crowd_dropout * touches.to(rows.gain)
        return accepted, rejected


@dataclass
class Explored(Sampled):
    """What is forced as a part of the posterior, so that what is sampled is what is scored:
    q = (1 - rejected) (accepted + (1 - accepted) q).

    For estimators that need samples of the posterior that they differentiate.
    """

    def embolden(self, rows: Rows) -> None:
        """Makes the shares that are forced a part of q(z_pres) of the rows that they go for."""
        accepted, rejected = self.forced(rows)
        if accepted is not None:
            rows.q_logit = embolden(rows.q_logit, accepted.clamp_max(MOST_BOLD))
        if rejected is not None:
            rows.q_logit = -embolden(-rows.q_logit, rejected.clamp_max(MOST_BOLD))

    def decide(self, rows: Rows, clips: int) -> Tensor:
        self.embolden(rows)
        return sample_bernoulli(rows.q_logit.detach(), self.generator)


def embolden(logit: Tensor, boldness: Tensor) -> Tensor:
    """Log-odds of boldness + (1 - boldness) sigmoid(logit), for a ``boldness`` in [0, 1)."""
    rest = torch.log1p(-boldness)
    on = torch.logaddexp(F.logsigmoid(logit) + rest, boldness.log())
    return on - F.logsigmoid(-logit) - rest


@dataclass
class Refined(Inference):
    """Coordinate ascent on presence, from what each object gains given the others, which is exact (render.Light.gain).

    A new object is accepted where the bound says so: gain - KL - price > 0. One that was there stays while taking it
    out would cost the frame enough likelihood. It is a refinement at test time; the amortised posteriors are
    ``Inference``.
    """

    keep: float = 0.5
    """What an object must gain to be kept, as a share of the price of a new one."""
    back: float = 1.0
    """What a remembered object must gain to return, in the same shares."""
    sweeps: int = 3
    """Most changes of mind about one clip."""
    restarts: int = 8
    """Ways in which the first frame of a clip is explained; the one of the best bound is kept."""
    exploring: bool = False
    """Whether this is a search over restarts: clip b * restarts + r looks where chance, for r > 0, tells it to."""

    def promising(self, missing: Tensor, p_logit: Tensor, std: float) -> Tensor:
        """Where an object could be accepted: it gains at most what ``missing`` costs."""
        return missing.square().flatten(1).sum(1) / (2 * std * std) + p_logit > 0

    def attend(self, salience: Tensor, clip: Tensor) -> Tensor:
        if not self.exploring:
            return salience
        noise = torch.rand(self.restarts, 1, 4, 4, generator=self.chance).to(salience)
        noise[0] = 1
        weight = F.interpolate(noise, salience.shape[-2:], mode="bilinear")[:, 0]
        return salience * weight[clip % self.restarts]

    def __post_init__(self) -> None:
        self.chance = torch.Generator().manual_seed(0)

    def decide(self, rows: Rows, clips: int) -> Tensor:
        if rows.new:
            return (rows.gain - rows.kl + rows.p_logit > 0).to(rows.gain)
        on = rows.reach.clone()
        gains = rows.gain
        price = rows.price * rows.contrast
        for _ in range(self.sweeps):
            drop = self._extreme((on > 0) & (gains < self.keep * price), -gains, rows.clip, clips)
            back = (on == 0) & (gains > self.back * price) & (rows.kl < self.familiar * rows.price)
            add = self._extreme(back, gains, rows.clip, clips)
            if not (drop | add).any():
                break
            on = torch.where(drop, 0.0, torch.where(add, 1.0, on))
            gains = rows.gains_given(on)
        return on

    @staticmethod
    def _extreme(candidate: Tensor, value: Tensor, clip: Tensor, clips: int) -> Tensor:
        """The candidate of the largest value in each clip, as a mask ``[M]``."""
        score = torch.where(candidate, value, -torch.inf)
        best = torch.full((clips,), -torch.inf, dtype=value.dtype, device=value.device)
        best = best.scatter_reduce(0, clip, score, "amax")
        return candidate & (score == best[clip])
