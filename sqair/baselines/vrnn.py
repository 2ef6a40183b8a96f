"""VRNN (Chung et al. 2015): clips explained by one latent vector a frame, of no objects.

As SQAIR's paper has it (Kosiorek et al. 2018, appendix C.3), with psi for networks:

    o_t = LSTM(psi_x(x_(t-1)), psi_z(z_(t-1)))             p(z_t | past)      = N(z_t; MLP(o_t))
    p(x_t | z_t, past) = N(x_t; psi_dec(psi_z(z_t), o_t), std)     q(z_t | x_t, past) = N(z_t; MLP(o_t, psi_x(x_t)))

psi_x and psi_dec are perceptrons, or convolutions and transposed ones, with ELU all over. The mean image is the sigmoid
of what psi_dec says: pixels are in [0, 1]. R rows are K particles of B clips, particle k of clip b is row k * B + b.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sqair.baselines.sizes import SIZES, Size, VRNNConfig
from sqair.convolutions import down
from sqair.distributions import Gaussian
from sqair.render import log_likelihood

_FAINT = -3.0
"""Log-odds of what an untrained decoder draws: most of a canvas is black."""
_NARROWEST = 1e-3
"""Least standard deviation of a latent."""


class Memory(NamedTuple):
    """What R rows remember: the LSTM's state ``[R, units]`` twice, and psi_x and psi_z of the last frame."""

    hidden: Tensor
    cell: Tensor
    last: Tensor


class Moment(NamedTuple):
    """The latent of one frame: its posterior, prior and sample ``[R, D]``, and what is drawn from ``[R, 2 units]``."""

    q: Gaussian
    p: Gaussian
    z: Tensor
    said: Tensor

    def log_ratio(self) -> Tensor:
        """log q - log p of the sample, ``[R]``."""
        return self.q.log_prob(self.z) - self.p.log_prob(self.z)


class Pass(NamedTuple):
    """K particles of each of B clips, nats summed over frames.

    ``log_likelihood [K, B]``, ``log_ratio [K, B]`` of log q - log p, the mean images ``canvas [T, R, C, H, W]`` and the
    means of the posteriors ``z [T, R, D]``.
    """

    log_likelihood: Tensor
    log_ratio: Tensor
    canvas: Tensor
    z: Tensor

    @property
    def log_weight(self) -> Tensor:
        """log p(x, z) - log q(z | x), ``[K, B]``."""
        return self.log_likelihood - self.log_ratio


class VRNN(nn.Module):
    """The model; ``forward`` explains clips, ``infer`` one frame, ``imagine`` makes one up."""

    trained: tuple[int, int] | None = None
    """Steps of training behind it and steps that there were to be, where it was loaded."""

    def __init__(self, config: VRNNConfig) -> None:
        super().__init__()
        self.config, size = config, SIZES[config.size]
        units, convolved = size.units, config.net == "conv"
        inner = [units] * (1 if convolved else size.layers)
        image = (config.channels, config.height, config.width)
        self.look = _convolved(image, size) if convolved else _flat(image, inner)
        """psi_x: frames ``[R, C, H, W]`` to ``[R, units]``."""
        self.say = nn.Sequential(*_layers(config.z, *inner))
        """psi_z: latents ``[R, D]`` to ``[R, units]``."""
        self.paint = _deconvolved(image, size) if convolved else _unflat(image, inner)
        """psi_dec: what is said and remembered ``[R, 2 units]`` to logits ``[R, C, H, W]``."""
        self.lstm = nn.LSTMCell(2 * units, units)
        self.prior = nn.Sequential(*_layers(units, *inner), nn.Linear(units, 2 * config.z))
        self.posterior = nn.Sequential(*_layers(2 * units, *inner), nn.Linear(units, 2 * config.z))
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        last = self.paint[-2] if isinstance(self.paint[-1], nn.Unflatten) else self.paint[-1]
        assert isinstance(last, nn.Linear | nn.ConvTranspose2d) and last.bias is not None
        nn.init.constant_(last.bias, _FAINT)

    def forward(self, frames: Tensor, particles: int, generator: torch.Generator | None) -> Pass:
        """Explains clips ``[T, B, C, H, W]`` in [0, 1] by K ``particles``; by the posteriors' means without generator.

        Only the recurrence goes frame by frame: all frames are seen, and all particles drawn, at once.
        """
        length, clips = frames.shape[:2]
        seen = self.look(frames.flatten(0, 1)).view(length, clips, -1).repeat(1, particles, 1)
        memory, moments = self.blank(particles * clips), []
        for at in seen:
            moment, memory = self.infer(at, memory, generator)
            moments.append(moment)
        said = torch.stack([moment.said for moment in moments])  # [T, R, 2 units]
        canvas = self.draw(said.flatten(0, 1))
        target = frames.repeat(1, particles, 1, 1, 1).flatten(0, 1)
        log_p = log_likelihood(target, canvas, self.config.likelihood_std).view(length, particles, clips)
        ratio = torch.stack([moment.log_ratio() for moment in moments]).view(length, particles, clips)
        means = torch.stack([moment.q.mean for moment in moments])
        return Pass(log_p.sum(0), ratio.sum(0), canvas.view(length, -1, *frames.shape[2:]), means)

    def blank(self, rows: int) -> Memory:
        """Nothing seen and nothing remembered, of so many rows."""
        nothing = next(self.parameters()).new_zeros(rows, self.lstm.hidden_size)
        return Memory(nothing, nothing, nothing.repeat(1, 2))

    def infer(self, seen: Tensor, memory: Memory, generator: torch.Generator | None) -> tuple[Moment, Memory]:
        """Explains one frame, of which psi_x is ``seen [R, units]``."""
        hidden, cell = self.lstm(memory.last, (memory.hidden, memory.cell))
        p, q = _gaussian(self.prior(hidden)), _gaussian(self.posterior(torch.cat([hidden, seen], -1)))
        z = q.sample(generator)
        said = self.say(z)
        return Moment(q, p, z, torch.cat([said, hidden], -1)), Memory(hidden, cell, torch.cat([seen, said], -1))

    def imagine(self, memory: Memory, generator: torch.Generator | None) -> tuple[Tensor, Memory]:
        """One frame by the prior, its mean image ``[R, C, H, W]``, which is seen as the frame that it is of.

        z is sampled, or the prior's mean without a generator; the noise of pixels is left out.
        """
        hidden, cell = self.lstm(memory.last, (memory.hidden, memory.cell))
        said = self.say(_gaussian(self.prior(hidden)).sample(generator))
        canvas = self.draw(torch.cat([said, hidden], -1))
        return canvas, Memory(hidden, cell, torch.cat([self.look(canvas), said], -1))

    def draw(self, said: Tensor) -> Tensor:
        """Mean images ``[R, C, H, W]`` in (0, 1) of what is said and remembered ``[R, 2 units]``."""
        return self.paint(said).sigmoid()


def _gaussian(raw: Tensor) -> Gaussian:
    """Of deviation 1 where the raw one is 0."""
    mean, spread = raw.chunk(2, -1)
    unit = math.log(math.e - 1)
    return Gaussian(mean, (nn.functional.softplus(spread + unit) + _NARROWEST).log())


def _layers(*sizes: int) -> list[nn.Module]:
    """Linear layers, each followed by ELU."""
    layers: list[nn.Module] = []
    for before, after in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(before, after), nn.ELU()]
    return layers


def _flat(image: tuple[int, int, int], inner: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), *_layers(math.prod(image), *inner))


def _unflat(image: tuple[int, int, int], inner: Sequence[int]) -> nn.Sequential:
    layers = _layers(2 * inner[0], *inner)
    return nn.Sequential(*layers, nn.Linear(inner[-1], math.prod(image)), nn.Unflatten(1, image))


def _convolved(image: tuple[int, int, int], size: Size) -> nn.Sequential:
    flat = size.maps[-1] * math.prod(_sides(image, size)[-1])
    return nn.Sequential(*down(image[0], size.maps, size.strides), nn.Flatten(), *_layers(flat, size.units))


def _deconvolved(image: tuple[int, int, int], size: Size) -> nn.Sequential:
    """The encoder backwards: each transposed convolution makes an image of the size that its twin has shrunk."""
    sides = _sides(image, size)
    first = (size.maps[-1], *sides[-1])
    layers = [*_layers(2 * size.units, math.prod(first)), nn.Unflatten(1, first)]
    maps = (image[0], *size.maps)
    for i in reversed(range(len(size.maps))):
        more = [to - (side - 1) * size.strides[i] - 1 for to, side in zip(sides[i], sides[i + 1], strict=True)]
        pad = (more[0], more[1])
        layers += [nn.ConvTranspose2d(maps[i + 1], maps[i], 3, size.strides[i], 1, pad), nn.ELU()]
    return nn.Sequential(*layers[:-1])


def _sides(image: tuple[int, int, int], size: Size) -> list[tuple[int, int]]:
    """Height and width of an image before each convolution, and after the last."""
    sides = [image[1:]]
    for stride in size.strides:
        height, width = sides[-1]
        sides.append((-(-height // stride), -(-width // stride)))
    return sides
