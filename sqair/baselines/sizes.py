"""Settings of models to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple


class Size(NamedTuple):
    """Units of all layers and of the LSTM, hidden layers of perceptrons, maps and strides of convolutions."""

    units: int
    layers: int
    maps: tuple[int, ...]
    strides: tuple[int, ...]


SIZES = {
    "small": Size(128, 2, (32, 32, 64, 64), (2, 2, 2, 2)),
    "medium": Size(256, 3, (32, 32, 32, 64, 64, 64), (1, 2, 1, 2, 1, 2)),
    "large": Size(512, 4, (32,) * 3 + (64,) * 6, (1, 1, 2) * 3),
}
"""The three that the paper tries. With convolutions, perceptrons have one hidden layer."""


@dataclass(frozen=True)
class VRNNConfig:
    """Sizes of a VRNN."""

    net: Literal["mlp", "conv"] = "mlp"
    """What sees and draws frames: perceptrons, or convolutions."""
    size: Literal["small", "medium", "large"] = "medium"
    """Of the sizes that SQAIR's paper tries, which; it compares with those of medium size."""
    z: int = 165
    """Size of the latent of a frame: as many numbers as the paper's SQAIR may use, three objects of 50, 4 and 1."""
    likelihood_std: float = 0.3
    """Standard deviation of p(x | z), pixels in [0, 1]."""
    height: int = 50
    """Canvas height H, pixels; that of the video."""
    width: int = 50
    """Canvas width W, pixels; that of the video."""
    channels: int = 1
    """Colour channels C; those of the video."""
