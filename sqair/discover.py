"""Discovery: AIR's inference of the objects that nothing explains yet, one after another."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sqair.config import ModelConfig
from sqair.distributions import Gaussian
from sqair.encoder import Appearance, GlimpseEncoder
from sqair.fixate import most_salient
from sqair.geometry import centre_to_where, read, where_to_box
from sqair.networks import mlp
from sqair.propagate import Posterior


class ResidualSearch(nn.Module):
    """q(z_where) around a fixation on the point of the frame that is least explained."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.context = GlimpseEncoder(config)
        self.where = mlp(config.features, 128, 8, last_gain=0.1)

    def begin(self, retina: Tensor, explained: Tensor) -> None:
        """Nothing to prepare: every step looks at the residual afresh."""

    def forward(self, retina: Tensor, explained: Tensor, clip: Tensor) -> tuple[Gaussian, Tensor]:
        """Posterior of z_where ``[R, 4]`` in the clips ``clip [R]``, and whether there is anything to see ``[R]``.

        ``retina`` and ``explained`` are ``[R, C, h, w]``, the frame and what is explained of it so far.
        """
        config = self.config
        with torch.no_grad():
            centre, salience = most_salient(retina - explained, config)
            window = torch.cat([centre, torch.full_like(centre, config.context)], -1)
            glimpse = read(torch.cat([retina, explained], 1), window, config.glimpse, config.retina)
            start = torch.cat([centre_to_where(centre, config), torch.zeros_like(centre)], -1)
        shift, spread = self.where(self.context(glimpse)).chunk(2, -1)
        return Gaussian(start + 0.5 * shift, spread - 2.5), salience > config.saliency_threshold


class Discovery(nn.Module):
    """One step of discovery: q(z_where) from the search, then q(z_what) from a glimpse there."""

    def __init__(self, config: ModelConfig, appearance: Appearance) -> None:
        super().__init__()
        self.config = config
        self.search = ResidualSearch(config)
        self.appearance = appearance

    def forward(
        self, frame: Tensor, retina: Tensor, explained: Tensor, clip: Tensor, generator: torch.Generator | None
    ) -> tuple[Posterior, Tensor]:
        """Infers one new object in each of the clips ``clip [R]``.

        Args:
            frame: ``[B, C, H, W]``; retina: ``[B, C, h, w]``.
            explained: ``[B, C, H, W]``, the canvas so far.

        Returns:
            The posteriors of those clips in which there is something to see, and their clips ``[M]``.
        """
        config = self.config
        with torch.no_grad():
            coarse = nn.functional.avg_pool2d(explained[clip], config.retina, ceil_mode=True, count_include_pad=False)
        q_where, worth = self.search(retina[clip], coarse, clip)
        worth = worth.nonzero()[:, 0]
        q_where = Gaussian(q_where.mean[worth], q_where.log_std[worth])
        clip, coarse = clip[worth], coarse[worth]
        where = q_where.sample(generator)
        with torch.no_grad():
            box = where_to_box(where, config)
            seen = torch.cat([frame[clip], explained[clip]], 1)
            glimpse = read(seen, box, config.glimpse)
        encoding, q_what = self.appearance(glimpse)
        what = q_what.sample(generator)
        posterior = Posterior(where, what, q_where, Gaussian.standard(where), q_what, Gaussian.standard(what), encoding)
        return posterior, clip
