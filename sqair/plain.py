"""A plain background: one colour behind all objects, told from each frame by itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sqair.background import Background, Behind, Generator

_LEVELS = 12
"""Steps of a channel by which it is counted which colour most pixels have."""
_NEAR = 0.04
"""Largest difference in a channel of pixels of one colour."""
_FEW = 0.05
"""Share of a frame that has to have the colour of the last one, for it to be still that."""


class Plain(Background):
    """The colour that most pixels of a frame have, unless enough have that of the frame before. No gradient."""

    def forward(self, retina: Tensor, frame: Tensor, before: Tensor | None, generator: Generator) -> Behind:
        with torch.no_grad():
            colour = most_common(frame)
            if before is not None:
                same, mean = _nearby(frame, before, _NEAR)
                colour = torch.where((same >= _FEW)[:, None], mean, colour)
        return Behind(self.draw(colour))

    def carry(self, behind: Behind, frame: Tensor, clear: Tensor) -> Tensor:
        return behind.image[:, :, 0, 0]

    def imagine(self, like: Tensor, before: Tensor | None, generator: Generator) -> Tensor:
        size = (len(like), self.config.channels)
        return torch.rand(size, generator=generator, device=like.device).to(like) if before is None else before

    def draw(self, carried: Tensor) -> Tensor:
        return carried[:, :, None, None].expand(-1, -1, self.config.height, self.config.width)

    def rough(self, clips: Tensor) -> Tensor:
        return self.draw(most_common(clips.flatten(0, 1))).view_as(clips)


def most_common(images: Tensor) -> Tensor:
    """The colour ``[B, C]`` that most pixels of ``images [B, C, H, W]`` have, the mean of those near to it."""
    channels = images.shape[1]
    step = (images.flatten(2) * (_LEVELS - 1)).round().long()  # [B, C, H W]
    weights = _LEVELS ** torch.arange(channels, device=images.device).flip(0)
    bins = (step * weights[:, None]).sum(1)  # [B, H W]
    count = images.new_zeros(len(images), _LEVELS**channels)
    count = count.scatter_add(1, bins, images.new_ones(bins.shape)).view(-1, 1, *channels * [_LEVELS])
    pairs = F.avg_pool3d(count, 2, 1) if channels == 3 else F.avg_pool1d(count, 2, 1)  # a colour may be between steps
    first = torch.stack(torch.unravel_index(pairs.flatten(1).argmax(1), pairs.shape[2:]), 1)  # [B, C]
    colour = (first + 0.5).to(images) / (_LEVELS - 1)
    for within in (1.01 / (_LEVELS - 1), _NEAR, _NEAR):  # the first is what a pair spans on each side
        colour = _nearby(images, colour, within)[1]
    return colour


def _nearby(images: Tensor, colour: Tensor, within: float) -> tuple[Tensor, Tensor]:
    """Share of pixels of ``images [B, C, H, W]`` that are near a ``colour [B, C]``, and their mean, or it itself."""
    pixels = images.flatten(2)
    near = ((pixels - colour[..., None]).abs().amax(1) <= within).to(images)  # [B, H W]
    mean = (pixels * near[:, None]).sum(2) / near.sum(1, keepdim=True).clamp_min(1)
    return near.mean(1), torch.where((near.sum(1) > 0)[:, None], mean, colour)
