"""The background g of equations (11) and (12): what lies behind all objects, as smooth as a coarse grid.

b = g(z_background), and the canvas is y = 1 - (1 - b) prod_k (1 - z_pres_k g_k): for the objects the background is
one more thing that is there already. Its latents are levels on a grid of so few cells that no stroke of an object
fits between them, which keeps it from explaining objects.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sqair.config import ModelConfig
from sqair.distributions import Gaussian, gaussian_kl

_DRIFT = -2.0
"""log standard deviation of what a grid value is expected to change by from frame to frame."""


@dataclass
class Behind:
    """The background of one frame: prior, posterior and sample ``[B, D]`` of its latent, and its image."""

    z: Tensor
    q: Gaussian
    p: Gaussian
    image: Tensor
    """b ``[B, C, H, W]`` in (0, 1)."""

    def rows(self, clips: Tensor) -> Behind:
        """That of some of the clips."""
        q, p = (Gaussian(*(v[clips] for v in g)) for g in (self.q, self.p))
        return Behind(self.z[clips], q, p, self.image[clips])

    def kl(self) -> Tensor:
        """``[B]``."""
        return gaussian_kl(self.q, self.p)

    def log_ratio(self) -> Tensor:
        """log q - log p of the sample, ``[B]``."""
        return self.q.log_prob(self.z) - self.p.log_prob(self.z)


class Background(nn.Module):
    """q(z_background | frame, last z_background), its prior, and g."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        channels, self.cells = config.channels, config.background_cells
        self.look = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(self.cells),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 3 * channels, 1),
        )

    def forward(self, retina: Tensor, before: Tensor | None, generator: torch.Generator | None) -> Behind:
        """The background of a frame, from its ``retina [B, C, h, w]`` and the last frame's latents ``[B, D]``."""
        mean, spread, gate = self.look(retina).flatten(2).flatten(1).chunk(3, -1)
        p = self.prior(len(retina), before)
        if before is not None:
            mean = before + torch.sigmoid(gate - 1) * (mean - before)
        q = Gaussian.around(torch.zeros_like(mean), mean, spread, -2.0, reach=10.0)
        z = q.sample(generator)
        return Behind(z, q, p, self.draw(z))

    def prior(self, clips: int, before: Tensor | None) -> Gaussian:
        """p(z_background) ``[B, D]`` of ``clips`` first frames, or of frames after those of latents ``before``."""
        if before is None:
            size = self.config.channels * self.cells**2
            return Gaussian.standard(next(self.parameters()).new_zeros(clips, size))
        return Gaussian(before, torch.full_like(before, _DRIFT))

    def imagine(self, clips: int, before: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Latents ``[B, D]`` from the prior."""
        return self.prior(clips, before).sample(generator)

    def draw(self, z: Tensor) -> Tensor:
        """g: latents ``[B, D]`` to images ``[B, C, H, W]``, straight lines between the values of the grid."""
        config = self.config
        grid = z.view(-1, config.channels, self.cells, self.cells)
        size = (config.height, config.width)
        return torch.sigmoid(2 * F.interpolate(grid, size, mode="bilinear", align_corners=True) - 2)
