"""A frame being explained: what is proposed, what the frame says of that, and what has been settled so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from sqair.assign import before_in_clip, rank_in_clip
from sqair.background import Behind
from sqair.config import ModelConfig
from sqair.deviation import deviation
from sqair.geometry import where_to_box, write
from sqair.objects import Objects, Posterior
from sqair.render import background
from sqair.roster import EXACT, Exact
from sqair.salience import to_retina
from sqair.windows import Patches

_LEAST = 1e-6
"""Pixels that an object covers at least, to divide by."""


@dataclass
class Proposal:
    """Objects that may be there, at most once each.

    Attributes:
        objects: as they leave the frame if they are there, M of them.
        posterior: of their z_what and z_where, with samples.
        paint: ``[M, P, h, w]``, in their windows.
        p_logit: ``[M]`` prior log-odds of z_pres.
        q_logit: ``[M]`` posterior ones, of a search that gives them.
        on: ``[M]`` 1 for those that are part of the scene as they are proposed.
        weight: ``[M]`` presence of what has to be there for z_pres to be asked for: 1 unless presence is relaxed, and 0
            of rows that nothing is asked of (roster.Fixed).
        round: 0 for what propagation proposes, and the round of discovery from 1 on.
    """

    objects: Objects
    posterior: Posterior
    paint: Patches
    p_logit: Tensor
    q_logit: Tensor | None
    on: Tensor
    weight: Tensor
    round: int

    @property
    def asked(self) -> Tensor:
        """Of which rows z_pres is asked for, ``[M]``."""
        return self.weight.detach() != 0

    def rows(self, index: Tensor) -> Proposal:
        """The rows that ``index`` (a mask or row numbers) picks."""
        return Proposal(
            self.objects.rows(index),
            self.posterior.rows(index),
            self.paint.rows(index),
            self.p_logit[index],
            None if self.q_logit is None else self.q_logit[index],
            self.on[index],
            self.weight[index],
            self.round,
        )


class Evidence:
    """What a scene says of the M objects of a proposal; no gradient but that of ``kl``.

    Attributes:
        gain: ``[M]`` log-likelihood of the frame with the object minus without it, the others as they are.
        kl: ``[M]`` KL of z_what and z_where to their prior.
        price, over_black: ``[M]`` and ``[]``, of an object, nats: those of the scene.
        clips: of the scene, B.
        crowding: prices that an object costs more which lies wholly on others.
    """

    def __init__(self, scene: Scene, proposal: Proposal) -> None:
        self._box = proposal.posterior.box.detach()
        self._paint = scene.roster.tight(Patches(proposal.paint.image.detach(), proposal.paint.windows), self._box)
        self.windows = self._paint.windows
        self.clips, self.over_black = len(scene.frame), scene.over_black
        self.price = scene.price.detach()[self.windows.clip]
        self._config, self._frame, self._behind, self._render = scene.config, scene.frame, scene.behind, scene.render
        self._std = scene.std
        self._found = [(objects.clip, objects.where, objects.there) for objects in scene.alive]
        self._on, self._total = proposal.on, scene.paint.detach()
        self.crowding = scene.config.crowding
        cut = self.windows.cut
        behind = None if scene.behind is None else cut(scene.behind.detach())
        std = cut(scene.std) if isinstance(scene.std, Tensor) else scene.std
        self._gain = partial(scene.render.gain, cut(scene.frame), behind=behind, std=std)
        self._without = cut(self._total) - self._times(self._on)
        self.gain = self.at(torch.ones_like(proposal.on))
        self.kl = proposal.posterior.kl()

    def at(self, pres: Tensor) -> Tensor:
        """The gain ``[M]`` of each at a presence ``pres [M]`` between 0 and 1, the others as they are."""
        return self._gain(self._times(pres), self._without)

    def given(self, there: Tensor) -> Tensor:
        """The gain ``[M]`` of each, if those are there of which ``there [M]`` is 1."""
        total = self._total + self._paint.total(there - self._on, self.clips)
        return self._gain(self._paint.image, self.windows.cut(total) - self._times(there))

    @torch.no_grad()
    def overlap(self) -> Tensor:
        """The share of what each covers that others cover as well, ``[M]`` in [0, 1]."""
        own = self._render.cover(self._paint.image).amax(1)  # [M, h, w]
        others = self._render.cover(self._without).amax(1)
        return (own * others).flatten(1).sum(1) / own.flatten(1).sum(1).clamp_min(_LEAST)

    def touches(self) -> Tensor:
        """Whether the box of each meets that of an object settled before ``[M]``."""
        touches = torch.zeros_like(self.windows.clip, dtype=torch.bool)
        for clip, where, there in self._found:
            other = where_to_box(where, self._config)  # [F, 4]
            sides = (self._box[:, None, 2:] + other[:, 2:]) / 2  # [M, F, 2]
            apart = (self._box[:, None, :2] - other[:, :2]).abs() - sides
            touches |= ((apart < 0).all(-1) & (self.windows.clip[:, None] == clip) & there).any(1)
        return touches

    @torch.no_grad()
    def most(self) -> Tensor:
        """The most that each could gain, what is missing in its box, nats ``[M]``."""
        box, glimpse = self._box, self._config.glimpse
        inside = write(box.new_ones(len(box), 1, glimpse, glimpse), self.windows.local(box), *self.windows.size)
        missing = self._render.missing(self._frame, self._render.canvas(self._total, self._behind))
        missing = missing.square().sum(1, keepdim=True)
        if isinstance(self._std, Tensor):
            return (self.windows.cut(missing / (2 * self._std**2)) * inside).flatten(1).sum(1)
        return (self.windows.cut(missing) * inside).flatten(1).sum(1) / (2 * self._std**2)  # of [M, 1, h, w]

    def _times(self, pres: Tensor) -> Tensor:
        return pres[:, None, None, None] * self._paint.image


@dataclass
class Rows:
    """A proposal that is settled: q(z_pres) as log-odds ``q_logit [M]``, and z_pres times its weight, ``pres [M]``."""

    proposal: Proposal
    evidence: Evidence
    q_logit: Tensor
    pres: Tensor

    @property
    def clip(self) -> Tensor:
        """``[M]`` int64, the clip that each is in."""
        return self.proposal.objects.clip

    @property
    def there(self) -> Tensor:
        """Which are there ``[M]``."""
        return self.pres.detach().bool()

    def numbered(self) -> Rows:
        """The same, of which those that are there have ids in a row, from that on that all of their clip have; for rows
        of ascending clips."""
        objects = self.proposal.objects
        objects = replace(objects, id=objects.id + before_in_clip(self.clip, self.there))
        return replace(self, proposal=replace(self.proposal, objects=objects))

    def some(self, scene: Scene, index: Tensor) -> Rows:
        """The rows that ``index`` (a mask or row numbers) picks, of those not yet in their scene."""
        proposal = self.proposal.rows(index)
        return Rows(proposal, Evidence(scene, proposal), self.q_logit[index], self.pres[index])


class Scene:
    """A frame ``[B, C, H, W]`` being explained, and what has been found in it so far.

    Attributes:
        paint: ``[B, P, H, W]`` of all objects so far.
        sight: ``[B, S, H, W]`` the frame as inference sees it, and ``retina [B, S, h, w]`` a coarse image of it.
        std: standard deviation of the likelihood, or ``[B, 1, H, W]`` (deviation.py).
        over_black: price of an object over black, nats. What it costs to be displaced or to look otherwise is measured
            in it: those are priors, which the light of a scene does not change.
        price: ``[B]`` float64, of an object, nats: that over black, times the share of what objects are worth there
            which is left over what is behind them.
        log_p_nothing: ``[B]``, log prior of finding nothing more where the search saw nothing.
        roster: who is on the list of objects.
        rows: what was settled; of that alive are the objects that are there, with their patches, depths (of objects
            that hide what is behind them) and confidence.
    """

    def __init__(
        self, frame: Tensor, behind: Behind | None, price: float | Tensor, config: ModelConfig, roster: Exact = EXACT
    ) -> None:
        self.frame, self.config, self.roster, self.render = frame, config, roster, roster.render(config.render)
        self.behind = None if behind is None else background(behind.image)
        self.paint = frame.new_zeros(len(frame), config.painted, *frame.shape[2:])
        with torch.no_grad():
            self.sight = self.render.see(frame, self.behind)
            self.retina = to_retina(self.sight, config)
            self.std = deviation(frame if self.behind is None else frame - self.behind, config)
        contrast = frame.new_ones(len(frame)) if self.behind is None else self.render.contrast(self.behind)
        self.over_black = price
        self.price = price * contrast.double()
        self.log_p_nothing = frame.new_zeros(len(frame))
        self.rows: list[Rows] = []
        self.alive: list[Objects] = []
        self.patches: list[Patches] = []
        self.depths: list[Patches] = []
        self.confidence: list[Tensor] = []
        self._explained: tuple[Tensor | None, Tensor] = None, self.paint

    def show(self, proposal: Proposal) -> None:
        """Takes what propagation proposes into the scene, as far as it is ``on``, until it is settled."""
        self.paint = proposal.paint.total(proposal.on, len(self.frame))

    def add(self, rows: Rows) -> None:
        """Adds those objects that are there."""
        proposal, there = rows.proposal, rows.there
        paint = proposal.paint.total(rows.pres, len(self.frame))
        self.paint = self.paint + paint if proposal.round else paint
        self.rows.append(rows)
        self.alive.append(self.roster.keep(replace(proposal.objects, weight=rows.pres), there))
        with torch.no_grad():
            paint = self.roster.shown(proposal.paint, there)
            behind = None if self.behind is None else paint.windows.cut(self.behind)
            self.patches.append(Patches(self.render.alone(paint.image, behind), paint.windows))
            depth = self.render.depth(paint.image)
            if depth is not None:
                self.depths.append(Patches(depth, paint.windows))
        self.confidence.append(torch.sigmoid(rows.q_logit[self.roster.pick(there)].detach()))

    def mark(self) -> tuple[Tensor, int, int]:
        """Where ``reduce`` goes back to: the paint ``[B, P, H, W]``, the length of ``rows``, and that of ``alive``."""
        return self.paint, len(self.rows), len(self.alive)

    def reduce(self, mark: tuple[Tensor, int, int], most: int) -> None:
        """Leaves out what gains least of what was added since ``mark``, in clips of more than ``most`` objects."""
        beyond = self.taken() - most  # [B]
        paint, rows, alive = mark
        if not (beyond > 0).any():
            return
        added, self.paint, self.rows = self.rows[rows:], paint, self.rows[:rows]
        for kept in (self.alive, self.patches, self.depths, self.confidence):
            del kept[alive:]
        clip, there = torch.cat([r.clip for r in added]), torch.cat([r.there for r in added])
        gain = torch.cat([r.evidence.gain for r in added]).masked_fill(~there, -torch.inf)
        seats = torch.bincount(clip[there], minlength=len(beyond)) - beyond.clamp_min(0)  # [B]
        stays = rank_in_clip(clip, gain) < seats[clip]
        for part, on in zip(added, stays.split([len(r.clip) for r in added]), strict=True):
            self.add(replace(part, pres=part.pres * on.to(part.pres)))

    def explained(self) -> Tensor:
        """What the objects so far cover of the frame ``[B, E, H, W]``; no gradient."""
        paint, explained = self._explained
        if paint is not self.paint:
            explained = self.render.cover(self.paint.detach())
            self._explained = self.paint, explained
        return explained

    def canvas(self) -> Tensor:
        """The canvas so far, ``[B, C, H, W]``."""
        return self.render.canvas(self.paint, self.behind)

    def trust(self) -> Tensor | None:
        """Least standard deviation over that of each cell of the retina ``[B, 1, h, w]``; None if all are the same."""
        return to_retina(self.config.likelihood_std / self.std, self.config) if isinstance(self.std, Tensor) else None

    def most_missing(self) -> Tensor:
        """The most that all further objects could gain, nats ``[B]``."""
        missing = self.missing().square()
        if isinstance(self.std, Tensor):
            return (missing / (2 * self.std**2)).flatten(1).sum(1)
        return missing.flatten(1).sum(1) / (2 * self.std * self.std)

    def missing(self) -> Tensor:
        """What the canvas so far leaves for further objects to explain, ``[B, C, H, W]``; no gradient."""
        with torch.no_grad():
            return self.render.missing(self.frame, self.canvas())

    def taken(self) -> Tensor:
        """Objects of each clip so far, ``[B]``."""
        taken = torch.zeros(len(self.frame), dtype=torch.int64, device=self.frame.device)
        for objects in self.alive:
            taken = taken.index_add(0, objects.clip, objects.there.long())
        return taken
