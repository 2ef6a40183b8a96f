"""z_where and boxes, and the spatial transformer that reads glimpses and writes objects.

``z_where = (x, y, w, h)`` lives in units of its prior, which is N(0, I): the box that it stands for is

    centre = canvas / 2 * (1 + position_std * z_xy)
    size = size_mean * (aspect^-1/2, aspect^1/2) * exp(size_std * z_wh)

in pixels. An axis-aligned spatial transformer is separable, so that reading and writing are two small matrix
products with interpolation weights instead of a sampling grid.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sqair.config import ModelConfig

_MAX_LOG_SIZE = 3.0
_STEP = 15 / 11
"""What networks may easily move an object by, in its typical sides."""
_GROWTH = 0.25
"""By how much of the log of its size they may easily let it grow from frame to frame, at most."""


def where_to_box(where: Tensor, config: ModelConfig) -> Tensor:
    """``z_where [..., 4]`` to ``(centre x, centre y, w, h) [..., 4]`` in pixels."""
    half = where.new_tensor([config.width / 2, config.height / 2])
    centre = half * (1 + config.position_std * where[..., :2])
    log_size = (config.size_std * where[..., 2:]).clamp(-_MAX_LOG_SIZE, _MAX_LOG_SIZE)
    median = where.new_tensor([config.size_mean * config.aspect**-0.5, config.size_mean * config.aspect**0.5])
    return torch.cat([centre, median * log_size.exp()], -1)


def centre_to_where(centre: Tensor, config: ModelConfig) -> Tensor:
    """Centres in pixels ``[..., 2]`` (x, y) to the first two components of z_where."""
    half = centre.new_tensor([config.width / 2, config.height / 2])
    return (centre / half - 1) / config.position_std


def box_to_where(box: Tensor, config: ModelConfig) -> Tensor:
    """``(centre x, centre y, w, h) [..., 4]`` in pixels to z_where, whose inverse this is."""
    median = box.new_tensor([config.size_mean * config.aspect**-0.5, config.size_mean * config.aspect**0.5])
    return torch.cat([centre_to_where(box[..., :2], config), (box[..., 2:] / median).log() / config.size_std], -1)


def where_unit(config: ModelConfig, like: Tensor) -> Tensor:
    """In what networks speak of z_where, ``[4]``: so much of its units is 1 to them.

    Positions go by the size of a typical object, whatever the size of the canvas; sizes are in units of their prior.
    """
    side = like.new_tensor([config.aspect**-0.5, config.aspect**0.5]) * (_STEP * config.size_mean)
    half = like.new_tensor([config.width / 2, config.height / 2]) * config.position_std
    return torch.cat([side / half, like.new_ones(2)])


def drift_unit(config: ModelConfig, like: Tensor) -> Tensor:
    """The same from frame to frame ``[4]``: an object hardly grows, however much sizes differ among objects.

    One that may would rather grow over its neighbour than leave it to be discovered.
    """
    growth = min(1.0, _GROWTH / config.size_std)
    return where_unit(config, like) * like.new_tensor([1.0, 1.0, growth, growth])


def top_left_box(box: Tensor) -> Tensor:
    """``(centre x, centre y, w, h)`` to ``(x, y, w, h)`` with x, y the top left corner."""
    return torch.cat([box[..., :2] - box[..., 2:] / 2, box[..., 2:]], -1)


def _kernel(distance: Tensor, width: Tensor) -> Tensor:
    """Weights of source cells at a ``distance`` from a target cell that is ``width >= 1`` of them wide.

    Each is the mean of the source, a box per cell, over the target: linear interpolation at width 1, the average
    over an area above. They add up to 1 wherever the target lies.
    """
    return ((1 + width) / 2 - distance.abs()).clamp(0, 1) / width


def read_weights(centre: Tensor, size: Tensor, cells: int, pixels: int, stride: float = 1.0) -> Tensor:
    """Weights ``[..., cells, pixels]`` that sample an image axis at the cells of a window.

    Args:
        centre, size: ``[...]``, the window on this axis, in pixels of the full canvas.
        cells: glimpse side G.
        pixels: length P of the image axis.
        stride: canvas pixels per image pixel (2 for the half-resolution retina).
    """
    cell = (torch.arange(cells, device=centre.device, dtype=centre.dtype) + 0.5) / cells - 0.5
    position = (centre[..., None] + cell * size[..., None]) / stride  # [..., G]
    pixel = torch.arange(pixels, device=centre.device, dtype=centre.dtype) + 0.5
    width = (size / (cells * stride)).clamp_min(1.0)[..., None, None]
    return _kernel(position[..., None] - pixel, width)


def write_weights(centre: Tensor, size: Tensor, cells: int, pixels: int, stride: float = 1.0) -> Tensor:
    """Weights ``[..., pixels, cells]`` that draw a glimpse of ``cells`` into a window of an image axis."""
    pixel = (torch.arange(pixels, device=centre.device, dtype=centre.dtype) + 0.5) * stride
    position = ((pixel - centre[..., None]) / size[..., None] + 0.5) * cells - 0.5  # [..., P]
    cell = torch.arange(cells, device=centre.device, dtype=centre.dtype)
    width = (cells * stride / size).clamp_min(1.0)[..., None, None]
    return _kernel(position[..., None] - cell, width)


def read(image: Tensor, box: Tensor, cells: int, stride: float = 1.0) -> Tensor:
    """Reads a glimpse ``[M, C, G, G]`` of each image ``[M, C, H, W]`` in its box ``[M, 4]`` (centre, size)."""
    height, width = image.shape[-2:]
    weights = read_weights(box[:, :2], box[:, 2:], cells, max(height, width), stride)  # [M, 2, G, P], x and y
    columns, rows = weights[:, 0, :, :width], weights[:, 1, :, :height]
    return rows[:, None] @ image @ columns.transpose(1, 2)[:, None]


def write(glimpse: Tensor, box: Tensor, height: int, width: int, stride: float = 1.0) -> Tensor:
    """Draws each glimpse ``[M, C, G, G]`` into its box on an empty image ``[M, C, height, width]``."""
    cells = glimpse.shape[-1]
    weights = write_weights(box[:, :2], box[:, 2:], cells, max(height, width), stride)  # [M, 2, P, G], x and y
    columns, rows = weights[:, 0, :width], weights[:, 1, :height]
    return rows[:, None] @ glimpse @ columns.transpose(1, 2)[:, None]
