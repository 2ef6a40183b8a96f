"""Discovery: AIR's inference of the objects that nothing explains yet, one after another."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
    """One new object in each of some clips: q(z_where) from the search, then q(z_what) from a glimpse there."""

    def __init__(self, config: ModelConfig, appearance: Appearance) -> None:
        super().__init__()
        self.config = config
        self.search = RecurrentSearch(config) if config.discovery == "recurrent" else ResidualSearch(config)
        self.appearance = appearance

    def forward(self, scene: Scene, found: Found, generator: torch.Generator | None) -> Posterior:
        """The latents of one object in each of the clips in which the search ``found`` something to see."""
        where = found.where.sample(generator)  # [M, 4]
        box = where_to_box(where, self.config)
        with torch.no_grad():
            seen = torch.cat([scene.sight, scene.explained()], 1)  # [B, S + E, H, W]
            glimpse = read_from(seen, found.clip, box, self.config)  # [M, S + E, G, G]
        encoding, q_what = self.appearance(glimpse)
        p_where, what = Gaussian.standard(where), q_what.sample(generator)
        return Posterior(box, where, what, found.where, p_where, q_what, Gaussian.standard(what), encoding)


class New(NamedTuple):
    """One new object in each of the M clips in which there is something to see."""

    posterior: Posterior
    clip: Tensor
    """``[M]``, which they are."""
    p_logit: Tensor
    """``[M]``, prior log-odds of one more."""
    q_logit: Tensor | None
    """``[M]``, posterior ones, of a search that gives them."""
    weight: Tensor
    """``[M]``, presence of the object that was found before it: 1 unless presence is relaxed."""
    round: int
    """Which round of discovery it is, from 1 on."""


class Hunt:
    """The discoveries of a frame: rounds of one more object in each clip, until a clip has none or no room for one.

    Its prior is that on the number of objects, equation (2), bit by bit: whether there is one more. With ``patience``
    another candidate is looked at where one was rejected, so often in a clip: one that is not there says little of
    others, but that the network which looks for them looks there first.
    """

    def __init__(self, discovery: Discovery, scene: Scene, limit: int, patience: int = 0) -> None:
        """``limit`` is the most that are looked for in each clip."""
        self.discovery, self.scene, self.limit = discovery, scene, limit
        self.round, self.rounds = 0, limit + patience
        self.patience = torch.full((len(scene.frame),), patience, device=scene.frame.device)
        explained = to_retina(scene.explained(), discovery.config)
        self.state = discovery.search.begin(scene.retina, explained, scene.trust())
        more = geometric_logits(scene.price, limit)  # [B, limit], of one more where so many are left
        self.more = more.to(scene.frame).flip(-1)
        self.searching = torch.arange(len(scene.frame), device=scene.frame.device)
        self.weight = torch.ones_like(scene.log_p_nothing)

    def next(self, inference: Inference) -> New | None:
        """The next round; None when it is over."""
        if self.round == self.rounds:
            return None
        scene, config = self.scene, self.discovery.config
        left = max(1, self.limit - self.round)
        self.round += 1
        room = inference.room(config) + inference.spare() - scene.taken()  # [B]
        self.searching = self.searching[room[self.searching] > 0]
        p_logit = self.more.gather(1, room.clamp(1, left)[:, None] - 1)[:, 0]  # [B]
        clip = self.searching[inference.promising(scene, p_logit)[self.searching]]  # [R]
        found = None
        if len(clip):
            coarse = to_retina(scene.explained(), config)
            found = self.discovery.search(self.state, scene.retina, coarse, clip, inference)
        self._rest(p_logit, None if found is None else found.clip)
        if found is None:
            return None
        posterior = self.discovery(scene, found, inference.generator)
        clip = found.clip
        return New(posterior, clip, p_logit[clip], found.q_logit, self.weight[clip], self.round)

    def _rest(self, p_logit: Tensor, found: Tensor | None) -> None:
        """Notes the prior of there being no more in the clips that are searched, but in those ``found [M]``."""
        idle = torch.zeros_like(p_logit, dtype=torch.bool).index_fill(0, self.searching, True)
        idle = idle if found is None else idle.index_fill(0, found, False)
        self.scene.log_p_nothing = self.scene.log_p_nothing + idle * self.weight * F.logsigmoid(-p_logit)

    def learn(self, rows: Rows) -> None:
        """Takes in what came of a round: where there is nobody, there is nobody else, or else only so often."""
        on = rows.there | (self.patience[rows.clip] > 0)
        self.patience = self.patience.index_add(0, rows.clip, -(~rows.there).long())
        self.weight = self.weight.index_copy(0, rows.clip, torch.where(rows.there, rows.pres, on.to(rows.pres)))
        self.discovery.search.learn(self.state, rows.clip, rows.proposal.posterior, rows.pres)
        self.searching = rows.clip[on]
