"""Glimpses to features, and features to the posterior of z_what and z_pres."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sqair.config import ModelConfig
from sqair.convolutions import glimpse_encoder
from sqair.distributions import Gaussian
from sqair.networks import mlp


class GlimpseEncoder(nn.Module):
    """Encodes a glimpse of the frame and of what the other objects already explain there."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.render = config.render
        channels = config.sight + config.covered
        if config.glimpse_net == "conv":
            self.net = glimpse_encoder(channels, config.glimpse, config.features)
        else:
            self.net = mlp(channels * config.glimpse**2, 256, config.features)

    def forward(self, glimpse: Tensor) -> Tensor:
        """``[M, S + E, G, G]``, of what inference sees and what is explained, to features ``[M, features]``."""
        return self.net(self.render.focus(glimpse).flatten(1)).relu()


class Appearance(nn.Module):
    """q(z_what | glimpse): a proposal from the object's own glimpse, shared by discovery and propagation."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = GlimpseEncoder(config)
        self.head = mlp(config.features, 2 * config.z_what)

    def forward(self, glimpse: Tensor) -> tuple[Tensor, Gaussian]:
        """``[M, S + E, G, G]`` to features ``[M, features]`` and q(z_what)."""
        encoding = self.encoder(glimpse)
        mean, log_std = self.head(encoding).chunk(2, -1)
        return encoding, Gaussian.around(torch.zeros_like(mean), mean, log_std, -1.0, reach=20.0)


class Presence(nn.Module):
    """q(z_pres | glimpse, gain): log-odds that an object is there."""

    def __init__(self, config: ModelConfig, bias: float) -> None:
        super().__init__()
        self.net = mlp(config.features + 2, 64, 1, last_gain=0.1)
        self.bias = bias

    def forward(self, encoding: Tensor, odds: Tensor) -> Tensor:
        """Logits ``[M]`` from features ``[M, features]`` and ``odds [M]``, no gradient.

        ``odds`` is what the object gains in log-likelihood, minus its KL, plus the prior log-odds: the log-odds
        of z_pres given everything else, when nothing but this frame counts.
        """
        scaled = torch.stack([(odds / 10).clamp(-4, 4), (odds / 50).clamp(-4, 4)], -1)
        return self.net(torch.cat([encoding, scaled], -1))[:, 0] + self.bias
