"""SQAIR: for every frame, propagate the objects that are there, discover what they leave unexplained, render, score.

Notation, with the equations of the seed (Kosiorek's notes on AIR) and of docs/model.md:

    x         frame                                 n        number of objects, prior (2)
    z_what    appearance, z_where  box, z_pres  there or not; priors (3), posteriors (4) and (6)
    h         recurrent state, omega  parameters of the posteriors, (5)
    B clips, T frames, M objects of all clips in one list, C channels, H x W pixels, D size of z_what
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sqair.config import ModelConfig
from sqair.discover import Discovery
from sqair.distributions import gaussian_kl, geometric_logits, sample_bernoulli
from sqair.encoder import Appearance, Presence
from sqair.fixate import to_retina
from sqair.geometry import where_to_box, write
from sqair.networks import Decoder
from sqair.objects import Objects, Rows
from sqair.propagate import Posterior, Propagation
from sqair.render import blend, gain, log_clear, log_likelihood


@dataclass
class State:
    """What is carried from frame to frame: the objects, and the next free id of each clip ``[B]``."""

    objects: Objects
    next_id: Tensor
    first: bool = True


@dataclass
class Step:
    """One frame explained: the canvas ``[B, C, H, W]``, its log-likelihood ``[B]``, and the terms of the bound."""

    canvas: Tensor
    log_likelihood: Tensor
    rows: list[Rows]
    objects: Objects
    images: Tensor
    """``[M, C, H, W]``, what each object of ``objects`` adds to the canvas; no gradient."""


class SQAIR(nn.Module):
    """The model; ``forward`` explains clips, ``step`` one frame."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        appearance = Appearance(config)
        self.discovery = Discovery(config, appearance)
        self.propagation = Propagation(config, appearance)
        self.decoder = Decoder(config.z_what, config.channels, config.glimpse, bias=-1.0)
        self.new_presence = Presence(config, bias=1.0)
        self.old_presence = Presence(config, bias=3.0)
        self.recurrent = nn.GRUCell(config.z_what + 8, config.hidden)
        self.first_hidden = nn.Parameter(torch.zeros(config.hidden))
        self.price = 20.0

    def forward(self, frames: Tensor, generator: torch.Generator | None = None) -> list[Step]:
        """Explains clips ``[T, B, C, H, W]``; samples where a generator is given, else takes the modes."""
        state = self.initial_state(frames.shape[1], frames)
        steps = []
        for frame in frames:
            step, state = self.step(frame, state, generator)
            steps.append(step)
        return steps

    def initial_state(self, clips: int, like: Tensor) -> State:
        """No objects in any of ``clips`` clips."""
        config = self.config
        none = like.new_zeros
        row = torch.zeros(0, dtype=torch.int64, device=like.device)
        objects = Objects(
            row, row, none(0), none(0, config.z_what), none(0, 4), none(0, 4), none(0, 4),
            none(0, config.hidden), none(0, config.channels, config.glimpse, config.glimpse),
        )  # fmt: skip
        return State(objects, torch.zeros(clips, dtype=torch.int64, device=like.device))

    def step(self, frame: Tensor, state: State, generator: torch.Generator | None) -> tuple[Step, State]:
        """Propagate, discover, render, score one ``frame [B, C, H, W]``."""
        config = self.config
        clips = len(frame)
        with torch.no_grad():
            retina = to_retina(frame, config)
        clear = frame.new_zeros(frame.shape)  # log prod (1 - g) of the objects found so far
        rows: list[Rows] = []
        alive: list[Objects] = []
        images: list[Tensor] = []

        if len(state.objects):
            posterior = self.propagation(frame, retina, state.objects, generator)
            glimpse, image = self.draw(posterior)
            clear = blend(image, state.objects.clip, clips)
            seen = self._infer_presence(frame, clear, posterior, state.objects.clip, image, False, None, generator)
            clear = clear - blend((1 - seen.pres)[:, None, None, None] * image, state.objects.clip, clips)
            kept = seen.pres.detach().bool()
            moved = self._update(state.objects, posterior, glimpse)
            rows.append(seen)
            alive.append(moved.rows(kept))
            images.append(image[kept])

        limit = config.first_steps if state.first else config.later_steps
        taken = torch.zeros(clips, dtype=torch.int64, device=frame.device)
        for objects in alive:
            taken = taken.index_add(0, objects.clip, torch.ones_like(objects.clip))
        searching = (taken < config.slots).nonzero()[:, 0]
        prior = geometric_logits(self.price, limit).to(frame)
        next_id = state.next_id
        for i in range(limit):
            if not len(searching):
                break
            explained = -torch.expm1(clear.detach())
            posterior, clip = self.discovery(frame, retina, explained, searching, generator)
            if not len(clip):
                break
            glimpse, image = self.draw(posterior)
            seen = self._infer_presence(frame, clear, posterior, clip, image, True, prior[i], generator)
            clear = clear + blend(seen.pres[:, None, None, None] * image, clip, clips)
            found = seen.pres.detach().bool()
            born = self._birth(posterior, glimpse, clip, next_id)
            next_id = next_id.index_add(0, clip[found], torch.ones_like(clip[found]))
            rows.append(seen)
            alive.append(born.rows(found))
            images.append(image[found])
            taken = taken.index_add(0, clip[found], torch.ones_like(clip[found]))
            searching = clip[found]
            searching = searching[taken[searching] < config.slots]

        canvas = -torch.expm1(clear)
        objects = Objects.concat(alive) if alive else state.objects
        image = torch.cat(images).detach() if images else frame.new_zeros(0, *frame.shape[1:])
        score = log_likelihood(frame, canvas, config.likelihood_std)
        step = Step(canvas, score, rows, objects, -torch.expm1(image))
        return step, State(objects, next_id, first=False)

    def draw(self, posterior: Posterior) -> tuple[Tensor, Tensor]:
        """Object glimpses ``[M, C, G, G]``, and log(1 - g) of them in place ``[M, C, H, W]``."""
        config = self.config
        glimpse = self.decoder(posterior.what)
        image = write(glimpse, where_to_box(posterior.where, config), config.height, config.width)
        return glimpse, log_clear(image)

    def _infer_presence(
        self,
        frame: Tensor,
        clear: Tensor,
        posterior: Posterior,
        clip: Tensor,
        image: Tensor,
        new: bool,
        p_logit: Tensor | None,
        generator: torch.Generator | None,
    ) -> Rows:
        """q(z_pres) from the object's glimpse and from what it gains; ``clear`` includes the objects of propagation."""
        with torch.no_grad():
            without = clear[clip] if new else clear[clip] - image
            gained = gain(frame[clip], without.exp(), image, self.config.likelihood_std)
        kl = gaussian_kl(posterior.q_where, posterior.p_where) + gaussian_kl(posterior.q_what, posterior.p_what)
        if p_logit is None:
            stay = self.config.stay_logit if self.config.temporal.presence else -self.price
            p_logit = gained.new_tensor(stay)
        p_logit = p_logit.expand_as(gained)
        head = self.new_presence if new else self.old_presence
        q_logit = head(posterior.encoding, (gained - kl + p_logit).detach())
        pres = sample_bernoulli(q_logit.detach(), generator)
        ratio = (
            posterior.q_where.log_prob(posterior.where)
            - posterior.p_where.log_prob(posterior.where)
            + posterior.q_what.log_prob(posterior.what)
            - posterior.p_what.log_prob(posterior.what)
        )
        return Rows(clip, torch.ones_like(pres), q_logit, p_logit, pres, kl, ratio, gained, new)

    def _update(self, old: Objects, posterior: Posterior, glimpse: Tensor) -> Objects:
        """The objects of propagation after this frame."""
        where, what = posterior.where.detach(), posterior.what.detach()
        velocity = where - old.where
        seen = (old.age > 0).to(where.dtype)[:, None]
        return replace(
            old,
            age=old.age + 1,
            what=what,
            where=where,
            velocity=velocity,
            acceleration=seen * (velocity - old.velocity),
            hidden=self._recur(what, where, velocity, old.hidden),
            glimpse=glimpse.detach(),
        )

    def _birth(self, posterior: Posterior, glimpse: Tensor, clip: Tensor, next_id: Tensor) -> Objects:
        """The objects of discovery."""
        where, what = posterior.where.detach(), posterior.what.detach()
        still = torch.zeros_like(where)
        hidden = self.first_hidden.expand(len(clip), -1)
        hidden = self._recur(what, where, still, hidden)
        age = torch.zeros_like(where[:, 0])
        return Objects(clip, next_id[clip], age, what, where, still, still, hidden, glimpse.detach())

    def _recur(self, what: Tensor, where: Tensor, velocity: Tensor, hidden: Tensor) -> Tensor:
        if not self.config.temporal.hidden:
            return self.first_hidden.expand(len(what), -1)
        return self.recurrent(torch.cat([what, where, velocity], -1), hidden)
