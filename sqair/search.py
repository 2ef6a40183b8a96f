"""Where discovery looks: q(z_where) of an object not yet explained, by two networks of one interface.

``begin`` starts the search in a frame and returns its state; a call makes one step in some of the clips and
says in which of them there is anything to see, and where (None if in no clip); ``learn`` tells it what came of that.
In a step there may be several places of a clip, from the most salient on, if none is seen from another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sqair.config import ModelConfig
from sqair.distributions import Gaussian
from sqair.encoder import GlimpseEncoder
from sqair.geometry import centre_to_where, constant, where_to_box, where_unit
from sqair.inference import Inference
from sqair.networks import mlp
from sqair.objects import Posterior
from sqair.roster import EXACT, Exact
from sqair.salience import saliency
from sqair.spots import Spots
from sqair.windows import read_from

_NEAR = 0.35
"""Radius around where nobody was found in which nobody is looked for again, in typical sizes."""
_SUREST = 5.0
"""Largest log-odds of presence of the recurrent search: surer, it would not learn from what it no longer tries."""


class Found(NamedTuple):
    """What a search step says of the M places at which it is worth looking."""

    clip: Tensor
    """``[M]``, the clips in which they are, ascending."""
    where: Gaussian
    """q(z_where) ``[M, 4]``."""
    q_logit: Tensor | None
    """Log-odds of presence ``[M]``; None leaves them to the object's own glimpse."""
    there: Tensor
    """bool ``[M]``, at which of them there is anything to see: all, unless sizes are fixed (roster.py)."""


@dataclass
class Tried:
    """Where a frame has been looked at in vain."""

    clear: Tensor
    """``[B, h, w]``, what residuals count: 0 near where nobody was found."""
    centre: Tensor
    """``[M, 2]``, where was looked at last, pixels."""
    roster: Exact = EXACT
    """Who is on the list of objects."""


class ResidualSearch(nn.Module):
    """Looks where the frame is least explained so far, and infers z_where from the context of that fixation."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.context = GlimpseEncoder(config)
        self.where = mlp(config.features, 128, 8, last_gain=0.1)

    def begin(self, retina: Tensor, explained: Tensor, trust: Tensor | None = None) -> Any:
        """Every step looks at the residual afresh, by how far it is to be trusted, but not where there was nobody."""
        clear = torch.ones_like(retina[:, 0]) if trust is None else trust[:, 0]
        return Tried(clear, retina.new_zeros(0, 2))

    def learn(self, state: Any, clip: Tensor, posterior: Posterior, pres: Tensor) -> None:
        """Where nobody was found, nobody is looked for again, within ``_NEAR`` of a typical size."""
        lost = pres.detach() == 0
        if not state.roster.none(lost):
            y, x = (self.config.retina * (torch.arange(n, device=pres.device) + 0.5) for n in state.clear.shape[1:])
            dx, dy = x - state.centre[:, 0, None], y - state.centre[:, 1, None]
            near = dy[:, :, None] ** 2 + dx[:, None] ** 2 <= (_NEAR * self.config.size_mean) ** 2
            tried = torch.zeros_like(state.clear).index_add(0, clip, (near & lost[:, None, None]).to(state.clear))
            state.clear = state.clear.masked_fill(tried > 0, 0)

    def forward(
        self, state: Any, retina: Tensor, explained: Tensor, clip: Tensor, most: Tensor, inference: Inference
    ) -> Found | None:
        """``retina [B, S, h, w]`` is the frame, ``explained [B, E, h, w]`` what is explained of it so far.

        In each of the clips ``clip [R]`` up to ``most [R]`` places are looked at.
        """
        config, state.roster = self.config, inference.roster
        with torch.no_grad():
            salience = saliency(config.render.unexplained(retina, explained)[clip]) * state.clear[clip]  # [R, h, w]
            spots = Spots.find(salience, clip, most, inference, config)
            if not len(spots.row):
                return None
            clip, centre, there = clip[spots.row], spots.centre, spots.clear  # [M], [M, 2], [M]
            window = torch.cat([centre, torch.full_like(centre, config.context)], -1)
            glimpse = read_from(torch.cat([retina, explained], 1), clip, window, config, config.retina)
            start = torch.cat([centre_to_where(centre, config), torch.zeros_like(centre)], -1)
        shift, spread = self.where(self.context(glimpse)).chunk(2, -1)
        where = Gaussian.around(start, 0.5 * shift, spread, -2.5, unit=where_unit(config, start))
        if len(spots.maps) > 1:
            alone = spots.alone(where_to_box(where.mean.detach(), config), config)
            clip, centre, there = clip[alone], centre[alone], there[alone]
            where = Gaussian(where.mean[alone], where.log_std[alone])
        state.centre = centre
        return Found(clip, where, None, there)


@dataclass
class Controller:
    """The recurrent search's state: features of the frame and h, of which ``attended`` is a part."""

    cells: Tensor
    """``[B, F, A]`` features of the A cells of the frame."""
    ink: Tensor
    """``[B, A]`` attention that a cell draws by its brightness alone."""
    position: Tensor
    """``[A, 2]`` their centres in z_where units."""
    hidden: Tensor
    """``[B, hidden]``."""
    attended: Tensor
    """``[B, 1, h, w]`` how much each cell has been attended to."""
    latents: Tensor
    """``[B, D + 5]`` z_what, z_where and z_pres of the last step; stays 0 without feedback."""


class RecurrentSearch(nn.Module):
    """R of equation (5): omega^i, h^i = R(x, h^(i-1)), with a learnable h^0 and attention over the frame.

    Without ``discovery_feedback`` h depends on the frame alone, never on a latent: all parameters could be computed
    before anything is sampled. With it h sees the latents of the step before, as in AIR.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.features = 32
        self.look = nn.Sequential(
            nn.Conv2d(config.sight + config.covered + 2, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, self.features, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(self.features, self.features, 3, padding=1),
            nn.ReLU(),
        )
        self.query = nn.Linear(config.hidden, self.features)
        self.bright = nn.Parameter(torch.full((1, config.covered, 5, 5), 15.0 / 25))
        self.inhibit = nn.Parameter(torch.full((1, 1, 5, 5), 15.0))
        self.first = nn.Parameter(torch.zeros(config.hidden))
        self.recurrent = nn.GRUCell(self.features + 2 + config.z_what + 5, config.hidden)
        self.omega = mlp(self.features + config.hidden, 128, 9, last_gain=0.1)

    def begin(self, retina: Tensor, explained: Tensor, trust: Tensor | None = None) -> Any:
        """Features of the frames ``retina [B, S, h, w]``, and of what propagation explains of them ``[B, E, h, w]``."""
        config = self.config
        ramp = [torch.linspace(-1, 1, n, device=retina.device) for n in retina.shape[-2:]]
        grid = torch.stack(torch.meshgrid(*ramp, indexing="ij")).flip(0).expand(len(retina), -1, -1, -1)
        cells = self.look(torch.cat([retina, explained, grid], 1))
        height, width = cells.shape[-2:]
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centre = (torch.stack([x, y], -1).view(-1, 2).to(retina) * 2 + 0.5) * config.retina
        clips = len(retina)
        hidden = self.first.expand(clips, -1)
        attended = retina.new_zeros(clips, 1, height, width)
        latents = retina.new_zeros(clips, config.z_what + 5)
        ink = F.conv2d(F.avg_pool2d(retina[:, : config.covered], 2, ceil_mode=True), self.bright, padding=2)
        return Controller(cells.flatten(2), ink.flatten(1), centre_to_where(centre, config), hidden, attended, latents)

    def learn(self, state: Any, clip: Tensor, posterior: Posterior, pres: Tensor) -> None:
        """Takes the latents of a step in the clips ``clip [R]`` into the next one's input."""
        if self.config.discovery_feedback:
            latents = torch.cat([posterior.what, posterior.where, pres[:, None]], -1)
            state.latents = torch.zeros_like(state.latents).index_add(0, clip, latents)

    def forward(
        self, state: Any, retina: Tensor, explained: Tensor, clip: Tensor, most: Tensor, inference: Inference
    ) -> Found:
        """One step of the recurrence, for all clips; the posteriors of the clips ``clip [R]``, one place in each."""
        query = self.query(state.hidden)
        tired = F.conv2d(state.attended, self.inhibit.relu(), padding=2).flatten(1)
        attention = self._around_peak((query[:, None] @ state.cells)[:, 0] + state.ink - tired, state.position)
        seen = (state.cells @ attention[:, :, None])[:, :, 0]
        centre = attention @ state.position
        state.attended = state.attended + attention.view_as(state.attended)
        state.hidden = self.recurrent(torch.cat([seen, centre, state.latents], -1), state.hidden)
        omega = self.omega(torch.cat([seen, state.hidden], -1))[clip]
        shift, spread, q_logit = omega.split([4, 4, 1], -1)
        start = torch.cat([centre, torch.zeros_like(centre)], -1)[clip]
        odds = _SUREST * torch.tanh((q_logit[:, 0] + 1) / _SUREST)
        unit = where_unit(self.config, start)
        return Found(clip, Gaussian.around(start, 0.5 * shift, spread, -2.5, unit=unit), odds, most > 0)

    def _around_peak(self, logits: Tensor, position: Tensor) -> Tensor:
        """Attention ``[B, A]``: softmax of ``logits [B, A]`` within an object's size of the largest of them.

        The cells are at ``position [A, 2]``. Attention that two objects share would look between them.
        """
        config = self.config
        canvas = constant((config.width, config.height), position.dtype, position.device)
        reach = centre_to_where(canvas / 2 + config.size_mean, config)
        peak = position[logits.argmax(1)]
        near = ((peak[:, None] - position).abs() <= reach).all(-1)
        return logits.masked_fill(~near, -torch.inf).softmax(-1)
