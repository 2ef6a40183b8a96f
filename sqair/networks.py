"""Encoders, decoder and heads: small perceptrons, all of one shape."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
    """z_what ``[M, D]`` to an object glimpse ``[M, C, G, G]`` with values in (0, 1)."""

    def __init__(self, z_what: int, channels: int, cells: int, bias: float) -> None:
        super().__init__()
        self.shape = (channels, cells, cells)
        self.net = mlp(z_what, 128, 256, channels * cells * cells)
        last = self.net[-1]
        assert isinstance(last, nn.Linear)
        nn.init.constant_(last.bias, bias)

    def forward(self, what: Tensor) -> Tensor:
        return torch.sigmoid(self.net(what)).view(-1, *self.shape)
