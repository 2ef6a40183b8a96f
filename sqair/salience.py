"""The retina, on which inference looks for things: coarse frames, and where in them most is left to explain."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sqair.config import ModelConfig
from sqair.deviation import deviation


def to_retina(image: Tensor, config: ModelConfig) -> Tensor:
    """Averages ``[B, C, H, W]`` over retina x retina blocks; the last ones may be partial."""
    if config.retina == 2 and image.shape[-2] % 2 == image.shape[-1] % 2 == 0:  # in a sixth of the time
        rows = image[..., ::2, :] + image[..., 1::2, :]
        return (rows[..., ::2] + rows[..., 1::2]) / 4
    return F.avg_pool2d(image, config.retina, ceil_mode=True, count_include_pad=False)


def saliency(ink: Tensor) -> Tensor:
    """Ink ``[B, h, w]``, the most of all channels ``[B, E, h, w]``, blurred by (1, 2, 1) / 4 along both axes."""
    ink = F.pad(ink.amax(1), (1, 1, 1, 1))
    rows = torch.add(ink[:, :-2], ink[:, 1:-1], alpha=2) + ink[:, 2:]
    return (torch.add(rows[:, :, :-2], rows[:, :, 1:-1], alpha=2) + rows[:, :, 2:]) / 16


def most_salient(salience: Tensor, config: ModelConfig) -> tuple[Tensor, Tensor]:
    """The most salient point ``[B, 2]`` (x, y in pixels) of maps ``[B, h, w]``, and its salience ``[B]``."""
    value, index = salience.flatten(1).max(1)
    width = salience.shape[-1]
    cell = torch.stack([index % width, index // width], -1)
    return (cell + 0.5) * config.retina, value


def object_nats(frames: Tensor, config: ModelConfig) -> float:
    """How much log-likelihood there is to gain from a typical object of ``frames [N, C, H, W]``, nats.

    The most that any window of the size of discovery's context holds, of what an empty canvas leaves unexplained;
    the median over frames that are not empty. ``frames`` are the ink of frames.
    """
    energy = (frames**2).sum(1, keepdim=True) / (2 * deviation(frames, config) ** 2)
    side = min(int(config.context), *frames.shape[-2:])
    local = F.avg_pool2d(energy, side, stride=2) * side**2
    most = local.flatten(1).amax(1)
    return float(most[most > 1.0].median()) if (most > 1.0).any() else 0.0
