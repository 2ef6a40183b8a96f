"""Discovery: AIR's inference of the objects that nothing explains yet, those far apart at a time."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sqair.assign import before_in_clip
from sqair.config import ModelConfig
from sqair.distributions import Gaussian, geometric_logits
from sqair.encoder import Appearance
from sqair.geometry import where_to_box
from sqair.inference import Inference
from sqair.objects import Posterior
from sqair.salience import to_retina
from sqair.scene import Rows, Scene
from sqair.search import Found, RecurrentSearch, ResidualSearch
from sqair.windows import read_from


class Discovery(nn.Module):
    """New objects in some clips: q(z_where) from the search, then q(z_what) from a glimpse there."""

    def __init__(self, config: ModelConfig, appearance: Appearance) -> None:
        super().__init__()
        self.config = config
        self.search = RecurrentSearch(config) if config.discovery == "recurrent" else ResidualSearch(config)
        self.appearance = appearance

    def forward(self, scene: Scene, found: Found, generator: torch.Generator | None) -> Posterior:
        """The latents of one object at each of the places at which the search ``found`` something to see."""
        where = found.where.sample(generator)  # [M, 4]
        box = where_to_box(where, self.config)
        with torch.no_grad():
            seen = torch.cat([scene.sight, scene.explained()], 1)  # [B, S + E, H, W]
            glimpse = read_from(seen, found.clip, box, self.config)  # [M, S + E, G, G]
        encoding, q_what = self.appearance(glimpse)
        p_where, what = Gaussian.standard(where), q_what.sample(generator)
        return Posterior(box, where, what, found.where, p_where, q_what, Gaussian.standard(what), encoding)


class New(NamedTuple):
    """M new objects, of a clip from the most salient on, where there is something to see."""

    posterior: Posterior
    clip: Tensor
    """``[M]``, the clip of each, ascending."""
    p_logit: Tensor
    """``[M]``, prior log-odds of one more."""
    q_logit: Tensor | None
    """``[M]``, posterior ones, of a search that gives them."""
    weight: Tensor
    """``[M]``, presence of the object that was found before it: 1 unless presence is relaxed."""
    round: int
    """Which round of discovery it is, from 1 on."""


class Hunt:
    """The discoveries of a frame: rounds of more objects in each clip, until a clip has none or no room for one.

    Its prior is that on the number of objects, equation (2), bit by bit: whether there is one more. With ``patience``
    another candidate is looked at where one was rejected, so often in a clip: one that is not there says little of
    others, but that the network which looks for them looks there first.

    Those of a round do not see each other, and count as if one came after the other: those after the last that is
    looked at were never asked for.
    """

    def __init__(
        self, discovery: Discovery, scene: Scene, limit: int, inference: Inference, skipped: bool | Tensor = False
    ) -> None:
        """``limit`` is the most that are looked for in each clip, none if discovery is ``skipped``."""
        self.discovery, self.scene, self.limit, self.inference = discovery, scene, limit, inference
        config, device = discovery.config, scene.frame.device
        patience = inference.patience(config)
        self.round, self.most = 0, limit + patience
        alone = config.discovery != "residual" or inference.roster.fixed
        self.together = 1 if alone else inference.together(limit)
        self.patience = torch.full((len(scene.frame),), patience, device=device)
        self.looked = torch.zeros_like(self.patience)
        explained = to_retina(scene.explained(), config)
        self.state = discovery.search.begin(scene.retina, explained, scene.trust())
        more = geometric_logits(scene.price, limit)  # [B, limit], of one more where so many are left
        self.more = more.to(scene.frame).flip(-1)
        self.every = torch.arange(len(scene.frame), device=device)
        self.searching = torch.ones_like(self.patience, dtype=torch.bool)  # [B]
        if isinstance(skipped, Tensor):
            self.searching = self.searching & ~skipped
        self.weight = torch.ones_like(scene.log_p_nothing)

    def next(self) -> New | None:
        """The next round; None when it is over."""
        scene, config, inference = self.scene, self.discovery.config, self.inference
        self.round += 1
        if self.round > self.most:
            return None
        room = inference.room(config) + inference.spare() - scene.taken()  # [B]
        most = torch.minimum(room, self.most - self.looked).clamp_max(self.together)
        self.searching = self.searching & (most > 0)
        if inference.roster.none(self.searching):
            return None
        p_logit = self._one_more(self.every, room, self.looked)  # [B]
        looks = self.searching & inference.promising(scene, p_logit)  # [B]
        found = None
        if not inference.roster.none(looks):
            coarse = to_retina(scene.explained(), config)
            clip = inference.roster.row_numbers(looks)
            most = inference.roster.only(looks, most[clip], 0)
            found = self.discovery.search(self.state, scene.retina, coarse, clip, most, inference)
        self._rest(p_logit, found)
        if found is None:
            return None
        posterior = self.discovery(scene, found, inference.generator)
        clip, p_logit = found.clip, p_logit[found.clip]
        if self.together > 1:
            turn = before_in_clip(clip, torch.ones_like(clip))
            p_logit = self._one_more(clip, room[clip] - turn, self.looked[clip] + turn)
        weight = inference.roster.only(found.there, self.weight[clip], 0)
        return New(posterior, clip, p_logit, found.q_logit, weight, self.round)

    def _one_more(self, clip: Tensor, room: Tensor, looked: Tensor) -> Tensor:
        """Prior log-odds ``[M]`` of one more in clips ``clip [M]`` with ``room [M]``, after ``looked [M]`` others."""
        left = torch.minimum(room, self.limit - looked).clamp_min(1)
        return self.more[clip, left - 1]

    def _rest(self, p_logit: Tensor, found: Found | None) -> None:
        """Notes the prior of there being no more in the clips that are searched, but where something was ``found``."""
        idle = self.searching
        if found is not None:
            number = torch.zeros_like(self.looked).index_add(0, found.clip, found.there.long())
            idle = idle & (number == 0)
        self.scene.log_p_nothing = self.scene.log_p_nothing + idle * self.weight * F.logsigmoid(-p_logit)

    def learn(self, rows: Rows) -> Rows:
        """Takes in what came of a round: where there is nobody, there is nobody else, or else only so often.

        Returns the rows that were asked for: in each clip, those up to the last that was looked at.
        """
        self.discovery.search.learn(self.state, rows.clip, rows.proposal.posterior, rows.pres)
        last: Tensor | slice = slice(None)
        if self.together > 1:
            asked = before_in_clip(rows.clip, ~rows.there) <= self.patience[rows.clip]
            rows = (rows if asked.all() else rows.some(self.scene, asked)).numbered()
            last = torch.cat([rows.clip.diff() > 0, asked.new_ones(1)])
        clip, there, asked = rows.clip, rows.there, rows.proposal.asked
        self.looked = self.looked.index_add(0, clip, asked.long())
        self.patience = self.patience.index_add(0, clip, -(asked & ~there).long())
        on = asked & (there | (self.patience[clip] >= 0))
        self.weight = self.weight.index_copy(0, clip[last], torch.where(there, rows.pres, on.to(rows.pres))[last])
        self.searching = torch.zeros_like(self.searching).index_copy(0, clip[last], on[last])
        return rows
