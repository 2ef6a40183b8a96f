"""Discovery: AIR's inference of the objects that nothing explains yet, one after another."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sqair.config import ModelConfig
from sqair.distributions import Gaussian
from sqair.encoder import Appearance
from sqair.fixate import to_retina
from sqair.geometry import where_to_box
from sqair.objects import Posterior
from sqair.presence import Inference
from sqair.search import RecurrentSearch, ResidualSearch
from sqair.windows import read_from


class New(NamedTuple):
    """One new object in each of the M clips in which there is something to see."""

    posterior: Posterior
    clip: Tensor
    """``[M]``, which they are."""
    q_logit: Tensor | None
    """Log-odds of presence ``[M]`` if the search gives them."""


class Discovery(nn.Module):
    """One step of discovery: q(z_where) from the search, then q(z_what) from a glimpse there."""

    def __init__(self, config: ModelConfig, appearance: Appearance) -> None:
        super().__init__()
        self.config = config
        self.search = RecurrentSearch(config) if config.discovery == "recurrent" else ResidualSearch(config)
        self.appearance = appearance

    def forward(
        self,
        memory: Any,
        sight: Tensor,
        retina: Tensor,
        explained: Tensor,
        clip: Tensor,
        inference: Inference,
    ) -> New | None:
        """Infers one new object in each of the clips ``clip [R]``.

        Args:
            memory: what ``search.begin`` returned for this frame.
            sight: ``[B, S, H, W]``, the frame as inference sees it; retina: ``[B, S, h, w]``, of it.
            explained: ``[B, E, H, W]``, what the objects so far cover.

        Returns:
            None where there is nothing to see in any of them.
        """
        config = self.config
        with torch.no_grad():
            coarse = to_retina(explained, config)
        found = self.search(memory, retina, coarse, clip, inference)
        if found is None:
            return None
        clip, q_where = found.clip, found.where
        where = q_where.sample(inference.generator)
        with torch.no_grad():
            box = where_to_box(where, config)
            glimpse = read_from(torch.cat([sight, explained], 1), clip, box, config)
        encoding, q_what = self.appearance(glimpse)
        what = q_what.sample(inference.generator)
        posterior = Posterior(where, what, q_where, Gaussian.standard(where), q_what, Gaussian.standard(what), encoding)
        return New(posterior, clip, found.q_logit)
