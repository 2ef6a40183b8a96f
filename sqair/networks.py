"""Encoders, decoder and heads: small perceptrons, all of one shape."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sqair.config import ModelConfig
from sqair.convolutions import glimpse_decoder

_FAINT = -1.0
"""Log-odds of what an untrained decoder draws."""


def mlp(*sizes: int, last_gain: float | None = None) -> nn.Sequential:
    """A perceptron with ReLU between layers; ``last_gain`` scales the initial weights of the last one."""
    layers: list[nn.Module] = []
    for before, after in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(before, after), nn.ReLU()]
    last = layers[-2]
    assert isinstance(last, nn.Linear)
    if last_gain is not None:
        nn.init.zeros_(last.bias)
        with torch.no_grad():
            last.weight.mul_(last_gain)
    return nn.Sequential(*layers[:-1])


class Decoder(nn.Module):
    """z_what ``[M, D]`` to object glimpses in (0, 1): light ``[M, C, G, G]``; or ``[M, 1 + C, G, G]``, alpha and alpha
    times colour."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.shape = (config.drawn, config.glimpse, config.glimpse)
        self.render = config.render
        if config.glimpse_net == "conv":
            self.net = glimpse_decoder(config.z_what, config.drawn, config.glimpse)
        else:
            self.net = mlp(config.z_what, 128, 256, config.drawn * config.glimpse**2)
        self.tone = mlp(config.z_what, 64, config.channels) if self.render.hides else None
        """Colour of the object as a whole, which its cells vary."""
        last = self.net[-1]
        assert isinstance(last, nn.Linear | nn.Conv2d) and last.bias is not None
        nn.init.constant_(last.bias, _FAINT)
        if self.render.hides:
            nn.init.zeros_(last.bias[len(last.bias) // config.drawn :])

    def forward(self, what: Tensor) -> Tensor:
        logits = self.net(what).view(-1, *self.shape)
        return self.render.drawing(logits, None if self.tone is None else self.tone(what))
