"""Convolutional networks of images: those of CONV-SQAIR for glimpses, and what they are made of.

Sizes are those of appendix C of Kosiorek et al. (2018): filters of 3x3 with ELU; a glimpse is encoded by 16, 32, 32 and
64 maps with strides 2, 2, 1, 1 and one layer; it is decoded by two layers and 32, 64 and 64 maps, of which the last two
each become 16 of twice the side (Shi et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from sqair.errors import UserError

MAPS, STRIDES = (16, 32, 32, 64), (2, 2, 1, 1)
_DOWN = 4
"""By how much the encoder's strides shrink a side, and the decoder lets it grow."""


def down(channels: int, maps: Sequence[int], strides: Sequence[int]) -> list[nn.Module]:
    """Layers from images ``[M, channels, H, W]`` to ``[M, maps[-1], h, w]``; each side shrinks by its strides, up."""
    layers: list[nn.Module] = []
    for before, after, stride in zip((channels, *maps), maps, strides, strict=False):
        layers += [nn.Conv2d(before, after, 3, stride, padding=1), nn.ELU()]
    return layers


def glimpse_encoder(channels: int, side: int, features: int) -> nn.Sequential:
    """Flat glimpses ``[M, channels * side * side]`` to ``[M, features]``.

    Raises:
        UserError: the side is no multiple of 4.
    """
    cells = _small(side) ** 2
    image = nn.Unflatten(1, (channels, side, side))
    layers = down(channels, MAPS, STRIDES)
    return nn.Sequential(image, *layers, nn.Flatten(), nn.Linear(MAPS[-1] * cells, features))


def glimpse_decoder(latent: int, channels: int, side: int) -> nn.Sequential:
    """z_what ``[M, latent]`` to logits ``[M, channels, side, side]``; the last module is the last convolution.

    Raises:
        UserError: the side is no multiple of 4.
    """
    small = _small(side)
    return nn.Sequential(
        nn.Linear(latent, 256), nn.ELU(), nn.Linear(256, 32 * small**2), nn.ELU(), nn.Unflatten(1, (32, small, small)),
        nn.Conv2d(32, 32, 3, padding=1), nn.ELU(),
        nn.Conv2d(32, 64, 3, padding=1), nn.PixelShuffle(2), nn.ELU(),
        nn.Conv2d(16, 64, 3, padding=1), nn.PixelShuffle(2), nn.ELU(),
        nn.Conv2d(16, channels, 3, padding=1),
    )  # fmt: skip


def _small(side: int) -> int:
    """The side of a glimpse where it is smallest."""
    if side % _DOWN:
        raise UserError(f"--model.glimpse is {side}: with --model.glimpse-net conv it must be a multiple of {_DOWN}")
    return side // _DOWN
