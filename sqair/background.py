"""The background b of equations (11) and (12): what lies behind all objects.

There are four kinds. ``Plain`` (sqair/plain.py) is one colour. ``Smooth`` is g(z_background), with latents on a grid
of so few cells that no stroke of an object fits between them: that keeps it from explaining objects. ``UpConvolved``
adds detail to it which a network draws from those latents. ``Still`` is an image of the scene, the same in all frames
but for slow change: what moves is no part of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sqair.config import ModelConfig
from sqair.distributions import Gaussian, gaussian_kl
from sqair.scenery import exposure

_FREEDOM = 0.2
"""How far learning may move a latent of g from what the brightness of its block says: blobs in place of objects are
out of reach."""
_DETAIL = 0.12
"""What a network may add to straight lines, or take from them, at most: less than most objects do."""
_CODES = 8
"""Latents of each cell for what that is."""
_DRIFT = -2.0
"""log standard deviation of what a grid value is expected to change by from frame to frame."""


Generator = torch.Generator | None


@dataclass
class Behind:
    """The background of one frame."""

    image: Tensor
    """b ``[B, C, H, W]`` in [0, 1]."""

    def rows(self, clips: Tensor) -> Behind:
        """That of some of the clips."""
        return Behind(self.image[clips])

    def kl(self) -> Tensor:
        """KL of its latents to their prior, ``[B]``; 0 without any."""
        return self.image.new_zeros(len(self.image))

    def log_ratio(self) -> Tensor:
        """log q - log p of the sample, ``[B]``."""
        return self.image.new_zeros(len(self.image))


@dataclass
class Drawn(Behind):
    """One that is drawn from latents: prior, posterior and sample ``[B, D]``."""

    z: Tensor
    q: Gaussian
    p: Gaussian

    def rows(self, clips: Tensor) -> Drawn:
        q, p = (Gaussian(*(v[clips] for v in g)) for g in (self.q, self.p))
        return Drawn(self.image[clips], self.z[clips], q, p)

    def kl(self) -> Tensor:
        return gaussian_kl(self.q, self.p)

    def log_ratio(self) -> Tensor:
        return self.q.log_prob(self.z) - self.p.log_prob(self.z)


class Background(nn.Module):
    """What all kinds can do. What they carry from frame to frame, ``before [B, ...]``, is None before the first."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, retina: Tensor, frame: Tensor, before: Tensor | None, generator: Generator) -> Behind:
        """The background of a ``frame [B, C, H, W]``; its ``retina`` is ``[B, C, h, w]``."""
        raise NotImplementedError

    def carry(self, behind: Behind, frame: Tensor, clear: Tensor) -> Tensor:
        """What the next frame gets, given how clear of objects each pixel was, ``clear [B, C, H, W]`` in [0, 1]."""
        raise NotImplementedError

    def imagine(self, like: Tensor, before: Tensor | None, generator: Generator) -> Tensor:
        """What would be carried from frames ``like [B, C, H, W]`` in shape and device alone, from the prior."""
        raise NotImplementedError

    def draw(self, carried: Tensor) -> Tensor:
        """b ``[B, C, H, W]`` of what is carried."""
        raise NotImplementedError

    def rough(self, clips: Tensor) -> Tensor:
        """A guess at b of all frames of ``clips [T, B, C, H, W]``, without any learning, where no scene is known."""
        raise NotImplementedError


class Smooth(Background):
    """q(z_background | frame, last z_background), its prior, and g. The latents are carried."""

    down: Tensor
    across: Tensor
    codes = 0
    """Latents of each cell beside its level."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        channels, self.cells = config.channels, config.background_cells
        self.latents = (channels + self.codes) * self.cells**2
        self.look = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(self.cells),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 3 * (channels + self.codes), 1),
        )
        last = self.look[-1]
        assert isinstance(last, nn.Conv2d)
        with torch.no_grad():
            last.weight.mul_(0.1)
        for name, pixels in (("down", config.height), ("across", config.width)):
            self.register_buffer(name, lines(self.cells, pixels), persistent=False)

    def forward(self, retina: Tensor, frame: Tensor, before: Tensor | None, generator: Generator) -> Drawn:
        shift, spread, gate = self.look(retina).flatten(1).chunk(3, -1)
        level = self.levels(retina)
        mean = torch.cat([level + _FREEDOM * torch.tanh(shift[:, : level.shape[1]]), shift[:, level.shape[1] :]], 1)
        p = self.prior(retina, before)
        if before is not None:
            mean = before + torch.sigmoid(gate - 1) * (mean - before)
        q = Gaussian.around(torch.zeros_like(mean), mean, spread, -3.0, reach=10.0)
        z = q.sample(generator)
        return Drawn(self.draw(z), z, q, p)

    def carry(self, behind: Behind, frame: Tensor, clear: Tensor) -> Tensor:
        assert isinstance(behind, Drawn)
        return behind.z.detach()

    def prior(self, like: Tensor, before: Tensor | None) -> Gaussian:
        """p(z_background) ``[B, D]`` of first frames, as many as ``like [B, ...]``, or of those after ``before``."""
        if before is None:
            return Gaussian.standard(like.new_zeros(len(like), self.latents))
        return Gaussian(before, torch.full_like(before, _DRIFT))

    def imagine(self, like: Tensor, before: Tensor | None, generator: Generator) -> Tensor:
        return self.prior(like, before).sample(generator)

    def draw(self, carried: Tensor) -> Tensor:
        """g: latents ``[B, D]`` to images ``[B, C, H, W]``."""
        return self.straight(carried).clamp(0, 1)

    def straight(self, z: Tensor) -> Tensor:
        """Straight lines between the levels ``[B, C x cells x cells]`` with which latents begin, ``[B, C, H, W]``."""
        level = z.unflatten(1, (-1, self.cells, self.cells))[:, : self.config.channels]
        return self.down @ torch.sigmoid(2 * level - 2) @ self.across.T

    def levels(self, images: Tensor) -> Tensor:
        """Latents ``[B, C x cells x cells]`` of the levels of images ``[B, C, h, w]``. No gradient."""
        with torch.no_grad():
            return _to_latent(block_levels(images, self.cells, self.config.render.shaded)).flatten(1)

    def rough(self, clips: Tensor) -> Tensor:
        return self.straight(self.levels(clips.flatten(0, 1))).clamp(0, 1).view_as(clips)


class UpConvolved(Smooth):
    """Straight lines, and detail from an up-convolution of the same grid: for larger canvases and colour."""

    codes = _CODES

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        doublings = math.ceil(math.log2(max(config.height, config.width) / config.retina / self.cells))
        widths = [max(8, 32 >> i) for i in range(doublings + 1)]  # of grids twice as fine each
        layers: list[nn.Module] = [nn.Conv2d(config.channels + self.codes, widths[0], 1)]
        for width, narrower in pairwise(widths):
            layers += [nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(width, narrower, 3, padding=1)]
        last = nn.Conv2d(widths[-1], config.channels, 3, padding=1)
        with torch.no_grad():
            last.weight.mul_(0.1)
        self.detail = nn.Sequential(*layers, nn.ReLU(), last)

    def draw(self, carried: Tensor) -> Tensor:
        detail = self.detail(carried.unflatten(1, (-1, self.cells, self.cells)))
        size = (self.config.height, self.config.width)
        detail = F.interpolate(detail, size, mode="bilinear", align_corners=False)
        return (self.straight(carried) + _DETAIL * torch.tanh(detail)).clamp(0, 1)


class Still(Background):
    """An image of the scene, which is carried; each frame moves it a little towards what is seen of it.

    Within a margin of objects it stays: what their pictures leave out, a wing, would be left behind when they go.
    It starts as what ``still_image`` makes of a clip, or of a single frame where no more is known. Behind opaque
    objects it is shown in the light of each frame; where objects add light, that cannot be told. No gradient.
    """

    def forward(self, retina: Tensor, frame: Tensor, before: Tensor | None, generator: Generator) -> Behind:
        if before is None:
            return Behind(frame)
        return Behind((exposure(frame, before) * before).clamp(0, 1) if self.config.render.hides else before)

    def carry(self, behind: Behind, frame: Tensor, clear: Tensor) -> Tensor:
        if beside := round(self.config.background_margin * self.config.size_mean):
            clear = -F.max_pool2d(-clear, 2 * beside + 1, 1, beside)
        return behind.image + self.config.background_change * clear * (frame - behind.image)

    def imagine(self, like: Tensor, before: Tensor | None, generator: Generator) -> Tensor:
        return torch.zeros_like(like) if before is None else before

    def draw(self, carried: Tensor) -> Tensor:
        return carried


def lines(cells: int, pixels: int) -> Tensor:
    """Weights ``[pixels, cells]`` of straight lines between values at the centres of cells, and on beyond the last."""
    place = (torch.arange(pixels) + 0.5) * cells / pixels - 0.5
    low = place.floor().clamp(0, cells - 2).long()
    part = (place - low)[:, None]
    cell = torch.arange(cells)
    return (1 - part) * (cell == low[:, None]) + part * (cell == low[:, None] + 1)


def block_levels(images: Tensor, cells: int, darker: float) -> Tensor:
    """``[N, C, h, w]`` to levels of blocks ``[N, C, cells, cells]``: a share ``darker`` of each is darker."""
    height, width = (-(-side // cells) for side in images.shape[-2:])
    beyond = (0, cells * width - images.shape[-1], 0, cells * height - images.shape[-2])
    padded = F.pad(images, beyond, mode="replicate")
    blocks = padded.unfold(2, height, height).unfold(3, width, width).flatten(4)
    return blocks.kthvalue(1 + int(darker * (blocks.shape[-1] - 1))).values


def _to_latent(level: Tensor) -> Tensor:
    """Latents of which g makes these levels in [0, 1]."""
    return (torch.logit(level.clamp(0.005, 0.995)) + 2) / 2
