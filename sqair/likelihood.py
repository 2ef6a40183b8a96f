"""How likely clips are under the model: log p(x), and the parts of the bound on it.

The prior is the one that the model has: of the count that of equation (2) at ``model.price``, which is that of tracking
once a training has ended. Densities are of all pixels of a clip, in [0, 1], in nats. Particles are drawn from the
amortised posterior as it is, nothing forced of it. Where the search sees nothing, it is sure that there is nothing
more: of what might be there all the same the estimates know nothing, so that they are bounds still, but reach log p(x)
with no number of particles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sqair.bounds import Terms, iwae
from sqair.config import ModelConfig
from sqair.inference import Sampled
from sqair.model import SQAIR
from sqair.particles import effective, filtered, importance_weights
from sqair.scene import Rows
from sqair.state import State, Step

ROWS = 1024
"""Particles of all clips that go through the model at a time, so that memory does not grow with K but for states."""
PARTS = ("log_likelihood", "kl_presence", "kl_where", "kl_what", "kl_background")


@dataclass
class Likelihood:
    """What K particles of each of B clips say, summed over frames, ``[B]`` each, nats.

    Attributes:
        log_p: the importance-weighted bound on log p(x).
        bound: that of one particle, the mean over all: what is left of ``parts["log_likelihood"]`` without the KLs.
        parts: log p(x | z), and log q - log p of z_pres, z_where, z_what and the background, means over particles.
        effective: share of the particles that count, in [1 / K, 1]: where hardly one does, more of them find more.
    """

    log_p: Tensor
    bound: Tensor
    parts: dict[str, Tensor]
    effective: Tensor


def importance(
    model: SQAIR, frames: Tensor, particles: int, generator: torch.Generator, still: Tensor | None = None,
    rows: int = ROWS,
) -> Likelihood:  # fmt: skip
    """log p(x) of clips ``[T, B, C, H, W]`` by importance sampling, and its parts.

    Args:
        still: ``[B, C, H, W]``, the images of their scenes, of a model that wants them.
        rows: particles that go through the model at a time.
    """
    if apart(model.config) and len(frames) > 1:
        return _summed([importance(model, one[None], particles, generator, still, rows) for one in frames])
    swarm = Swarm(model, frames, particles, generator, still, rows)
    log_weight = importance_weights(swarm, len(frames))
    parts = {name: value.view(particles, -1).mean(0) for name, value in swarm.parts.items()}
    return Likelihood(iwae(log_weight), log_weight.mean(0), parts, effective(log_weight))


def _summed(frames: Sequence[Likelihood]) -> Likelihood:
    """That of clips, of their independent frames."""

    def total(of: Callable[[Likelihood], Tensor]) -> Tensor:
        return torch.stack([of(frame) for frame in frames]).sum(0)

    parts = {name: total(lambda frame, name=name: frame.parts[name]) for name in PARTS}
    return Likelihood(
        total(lambda f: f.log_p), total(lambda f: f.bound), parts, total(lambda f: f.effective) / len(frames)
    )


def particle_filter(
    model: SQAIR, frames: Tensor, particles: int, generator: torch.Generator, still: Tensor | None = None,
    rows: int = ROWS,
) -> Tensor:  # fmt: skip
    """log p(x) ``[B]`` of clips by a particle filter; the arguments are those of ``importance``."""
    return filtered(Swarm(model, frames, particles, generator, still, rows), len(frames), generator)


def apart(config: ModelConfig) -> bool:
    """Whether frames are independent under such models, so that log p(x) of a clip is the sum of those of its frames.

    The log of a product of means is then a bound on it too, and a much tighter one than that of the mean of products.
    """
    return not config.temporal.any() and config.background == "none"


def conditions(config: ModelConfig) -> list[str]:
    """What the likelihood of such models takes from the frame itself, so that it is no density over all frames."""
    told = {
        "the image of the scene": config.background == "still",
        "the colour behind things": config.background == "plain",
        "the layer of each object": config.objects == "layered",
        "the deviation of each pixel": config.ink_std > 0,
        "the contrast": config.stretch != 1,
    }
    return [what for what, holds in told.items() if holds]


class Swarm:
    """Particles of the model: particle k of clip b is clip k * B + b of one batch, which goes on some at a time.

    ``parts`` are those of ``Likelihood``, of each particle ``[K * B]``, summed over frames so far.
    """

    def __init__(
        self, model: SQAIR, frames: Tensor, particles: int, generator: torch.Generator, still: Tensor | None, rows: int
    ) -> None:
        self.model, self.frames, self.particles, self.rows = model, frames, particles, rows
        self.inference = Sampled(generator)
        still = None if still is None else still.repeat(particles, 1, 1, 1)
        self.state = model.initial_state(particles * frames.shape[1], frames, still)
        self.parts = {name: frames.new_zeros(particles * frames.shape[1]) for name in PARTS}

    @torch.no_grad()
    def weigh(self, t: int) -> Tensor:
        """See ``particles.Particles``."""
        clips = self.frames.shape[1]
        states, weights = [], []
        for which in torch.arange(self.particles * clips, device=self.frames.device).split(self.rows):
            step, state = self.model.step(self.frames[t, which % clips], picked(self.state, which), self.inference)
            states.append(state)
            weights.append(Terms([step]).log_weight)
            for name, value in parts_of(step).items():
                self.parts[name][which] += value
        self.state = joined(states)
        return torch.cat(weights).view(self.particles, clips)

    def resample(self, ancestors: Tensor) -> None:
        """See ``particles.Particles``."""
        clips = ancestors.shape[1]
        which = (ancestors * clips + torch.arange(clips, device=ancestors.device)).flatten()
        self.state = picked(self.state, which)
        self.parts = {name: value[which] for name, value in self.parts.items()}


def parts_of(step: Step) -> dict[str, Tensor]:
    """Parts of the log weight of one frame, ``[B]`` each: its log-likelihood, and log q - log p of what was sampled."""
    terms = Terms([step])

    def where(rows: Rows) -> Tensor:
        latents = rows.proposal.posterior
        return rows.pres * (latents.q_where.log_prob(latents.where) - latents.p_where.log_prob(latents.where))

    def what(rows: Rows) -> Tensor:
        latents = rows.proposal.posterior
        return rows.pres * (latents.q_what.log_prob(latents.what) - latents.p_what.log_prob(latents.what))

    behind = torch.zeros_like(step.log_likelihood) if step.behind is None else step.behind.log_ratio()
    values = (
        step.log_likelihood,
        terms.log_q_presence - terms.log_p_presence,
        terms.clip_sum(terms.each(where)),
        terms.clip_sum(terms.each(what)),
        behind,
    )
    return dict(zip(PARTS, values, strict=True))


def picked(state: State, clips: Tensor) -> State:
    """The state of the clips ``clips [A]``, of which each may be there any number of times, numbered anew."""
    objects = state.objects
    order = torch.argsort(objects.clip, stable=True)
    number = objects.clip.bincount(minlength=len(state.next_id))  # [B]
    first = number.cumsum(0) - number
    times = number[clips]  # [A]
    clip = torch.repeat_interleave(torch.arange(len(clips), device=clips.device), times)
    within = torch.arange(len(clip), device=clips.device) - (times.cumsum(0) - times)[clip]
    chosen = replace(objects.rows(order[first[clips][clip] + within]), clip=clip)
    behind = None if state.background is None else state.background[clips]
    return State(chosen, state.next_id[clips], state.begun, behind)


def joined(states: list[State]) -> State:
    """States of parts of a batch as that of all of it, in their order."""
    first = states[0]
    if len(states) == 1:
        return first
    before, parts = 0, []
    for state in states:
        parts.append(replace(state.objects, clip=state.objects.clip + before))
        before += len(state.next_id)
    behind = [state.background for state in states if state.background is not None]
    next_id = torch.cat([state.next_id for state in states])
    return State(type(first.objects).concat(parts), next_id, first.begun, torch.cat(behind) if behind else None)
