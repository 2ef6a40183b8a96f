"""z_where and boxes, and the spatial transformer that reads glimpses and writes objects.

``z_where = (x, y, w, h)`` lives in units of its prior, which is N(0, I): the box that it stands for is

    centre = canvas / 2 * (1 + position_std * z_xy)
    size = size_mean * (aspect^-1/2, aspect^1/2) * exp(size_std * z_wh)

in pixels. An axis-aligned spatial transformer is separable, so that reading and writing are two small matrix
products with interpolation weights instead of a sampling grid.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf, log
from typing import NamedTuple

import torch
from torch import Tensor

from sqair.config import ModelConfig

_MAX_LOG_SIZE = 3.0
_STEP = 15 / 11
"""What networks may easily move an object by, in its typical sides."""
_GROWTH = 0.25
"""By how much of the log of its size they may easily let it grow from frame to frame, at most."""


class Units(NamedTuple):
    """What the numbers of z_where are worth on a canvas, ``[4]`` each; made once for each model and device."""

    middle: Tensor
    """The box of z_where = 0: its centre in pixels, and the logs of its sides."""
    std: Tensor
    """What 1 of z_where adds to that."""
    least: Tensor
    most: Tensor
    """Limits of it."""
    typical: Tensor
    """``where_unit``."""
    drift: Tensor
    """``drift_unit``."""


@lru_cache(64)
@torch.inference_mode(False)
def _units(
    width: int, height: int, position_std: float, size_mean: float, size_std: float, aspect: float,
    dtype: torch.dtype, device: torch.device,
) -> Units:  # fmt: skip
    half = [width / 2, height / 2]
    side = [size_mean * aspect**-0.5, size_mean * aspect**0.5]
    log_side = [log(s) for s in side]
    typical = [_STEP * s / (h * position_std) if position_std else inf for s, h in zip(side, half, strict=True)]
    growth = min(1.0, _GROWTH / size_std)
    rows = [
        half + log_side,
        [h * position_std for h in half] + [size_std] * 2,
        [-inf, -inf] + [s - _MAX_LOG_SIZE for s in log_side],
        [inf, inf] + [s + _MAX_LOG_SIZE for s in log_side],
        [*typical, 1.0, 1.0],
        [*typical, growth, growth],
    ]
    return Units(*torch.tensor(rows, dtype=dtype, device=device))


def units(config: ModelConfig, like: Tensor) -> Units:
    """The units of a model's z_where, of the type of ``like`` and where it is."""
    c = config
    return _units(c.width, c.height, c.position_std, c.size_mean, c.size_std, c.aspect, like.dtype, like.device)


def where_to_box(where: Tensor, config: ModelConfig) -> Tensor:
    """``z_where [..., 4]`` to ``(centre x, centre y, w, h) [..., 4]`` in pixels."""
    unit = units(config, where)
    box = torch.addcmul(unit.middle, unit.std, where).clamp(unit.least, unit.most)
    return torch.cat([box[..., :2], box[..., 2:].exp()], -1)


def centre_to_where(centre: Tensor, config: ModelConfig) -> Tensor:
    """Centres in pixels ``[..., 2]`` (x, y) to the first two components of z_where."""
    unit = units(config, centre)
    return (centre - unit.middle[:2]) / unit.std[:2]


def box_to_where(box: Tensor, config: ModelConfig) -> Tensor:
    """``(centre x, centre y, w, h) [..., 4]`` in pixels to z_where, whose inverse this is."""
    unit = units(config, box)
    return (torch.cat([box[..., :2], box[..., 2:].log()], -1) - unit.middle) / unit.std


def where_unit(config: ModelConfig, like: Tensor) -> Tensor:
    """In what networks speak of z_where, ``[4]``: so much of its units is 1 to them.

    Positions go by the size of a typical object, whatever the size of the canvas; sizes are in units of their prior.
    """
    return units(config, like).typical


def drift_unit(config: ModelConfig, like: Tensor) -> Tensor:
    """The same from frame to frame ``[4]``: an object hardly grows, however much sizes differ among objects.

    One that may would rather grow over its neighbour than leave it to be discovered.
    """
    return units(config, like).drift


def top_left_box(box: Tensor) -> Tensor:
    """``(centre x, centre y, w, h)`` to ``(x, y, w, h)`` with x, y the top left corner."""
    return torch.cat([box[..., :2] - box[..., 2:] / 2, box[..., 2:]], -1)


@lru_cache(512)
@torch.inference_mode(False)
def steps(count: int, first: float, by: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``count`` numbers from ``first`` on, ``by`` apart, ``[count]``; made once, and not to be changed."""
    return first + by * torch.arange(count, dtype=dtype, device=device)


@lru_cache(256)
@torch.inference_mode(False)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers ``[n]``; made once, so that nothing waits for them on their way to a device, and not to be changed."""
    return torch.tensor(values, dtype=dtype, device=device)


def _kernel(distance: Tensor, width: Tensor) -> Tensor:
    """Weights of source cells at a ``distance`` from a target cell that is ``width >= 1`` of them wide.

    Each is the mean of the source, a box per cell, over the target: linear interpolation at width 1, the average
    over an area above. They add up to 1 wherever the target lies.
    """
    return (width.add(1).mul(0.5) - distance.abs()).clamp(0, 1) / width


def _axes(box: Tensor, stride: float) -> tuple[Tensor, Tensor]:
    """Centres and sizes ``[M, 2, 1, 1]`` on x and y of boxes ``[M, 4]`` in pixels, in cells of ``stride`` pixels."""
    box = box if stride == 1 else box / stride
    centre, size = box.reshape(len(box), 2, 2, 1, 1).unbind(1)
    return centre, size


def read_weights(box: Tensor, cells: int, pixels: int, stride: float = 1.0) -> Tensor:
    """Weights ``[M, 2, cells, pixels]`` that sample both axes (x, y) of an image at the cells of a window.

    Args:
        box: ``[M, 4]``, the window (centre, size), in pixels of the full canvas.
        cells: glimpse side G.
        pixels: length P of the image axes.
        stride: canvas pixels per image pixel (2 for the half-resolution retina).
    """
    centre, size = _axes(box, stride)
    cell = steps(cells, 0.5 / cells - 0.5, 1 / cells, box.dtype, box.device)[:, None]
    position = torch.addcmul(centre, size, cell)  # [M, 2, G, 1]
    return _kernel(position - steps(pixels, 0.5, 1.0, box.dtype, box.device), (size / cells).clamp_min(1))


def write_weights(box: Tensor, cells: int, pixels: int, stride: float = 1.0) -> Tensor:
    """Weights ``[M, 2, pixels, cells]`` that draw a glimpse of ``cells`` into a window of both axes of an image."""
    centre, size = _axes(box, stride)
    finer = cells / size  # cells per pixel
    pixel = steps(pixels, 0.5, 1.0, box.dtype, box.device)[:, None]
    position = (pixel - centre) * finer  # [M, 2, P, 1], from the middle
    return _kernel(position - steps(cells, 0.5 - cells / 2, 1.0, box.dtype, box.device), finer.clamp_min(1))


def read(image: Tensor, box: Tensor, cells: int, stride: float = 1.0) -> Tensor:
    """Reads a glimpse ``[M, C, G, G]`` of each image ``[M, C, H, W]`` in its box ``[M, 4]`` (centre, size)."""
    m, channels, height, width = image.shape
    weights = read_weights(box, cells, max(height, width), stride)  # [M, 2, G, P], x and y
    columns, rows = weights[:, 0, :, :width], weights[:, 1, :, :height]
    wide = columns @ image.reshape(m, channels * height, width).mT  # [M, G, C * H]
    seen = wide.view(m, cells * channels, height) @ rows.mT
    return seen.view(m, cells, channels, cells).permute(0, 2, 3, 1)


def write(glimpse: Tensor, box: Tensor, height: int, width: int, stride: float = 1.0) -> Tensor:
    """Draws each glimpse ``[M, C, G, G]`` into its box on an empty image ``[M, C, height, width]``."""
    m, channels, cells = glimpse.shape[:3]
    weights = write_weights(box, cells, max(height, width), stride)  # [M, 2, P, G], x and y
    columns, rows = weights[:, 0, :width], weights[:, 1, :height]
    tall = rows @ glimpse.transpose(1, 2).reshape(m, cells, channels * cells)  # [M, h, C * G]
    drawn = tall.view(m, height * channels, cells) @ columns.mT
    return drawn.view(m, height, channels, width).transpose(1, 2)
