"""Windows: the part of the canvas in which an object is drawn, read and weighed.

What an object costs does not grow with the canvas: everything about it happens in a window around it. On canvases that
are hardly larger than a window, all windows are the whole canvas. J is any number of channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sqair.config import ModelConfig
from sqair.geometry import constant, read, steps

BEYOND = 0.1
"""What is drawn of a glimpse around its box, as a share of its side: half of a cell on both sides."""
_NEARLY = 1.25
"""A canvas of up to so many windows a side is a window."""


@dataclass
class Windows:
    """Windows of one size in the images of clips, all inside of them.

    Attributes:
        clip: ``[M]`` int64, the clip that each is in.
        corner: ``[M, 2]`` int64, its top left corner (x, y), in cells of the images.
        size: ``(h, w)`` of all windows; canvas: ``(H, W)`` of the images.
        stride: pixels per cell of the images.
    """

    clip: Tensor
    corner: Tensor
    size: tuple[int, int]
    canvas: tuple[int, int]
    stride: int = 1

    @staticmethod
    def around(centre: Tensor, clip: Tensor, side: float, canvas: tuple[int, int], stride: int = 1) -> Windows:
        """Windows of a ``side`` around ``centre [M, 2]``, both in pixels, where the ``canvas`` has room for them."""
        cells = math.ceil(side / stride)
        height, width = (n if n <= _NEARLY * cells else cells for n in canvas)
        if (height, width) == canvas:
            return Windows(clip, clip.new_zeros(len(centre), 2), canvas, canvas, stride)
        pairs = (width / 2, height / 2), (canvas[1] - width, canvas[0] - height), (0, 0)
        half, most, least = (constant(pair, centre.dtype, centre.device) for pair in pairs)  # (x, y)
        corner = (centre.detach() / stride - half).round().fmax(least).fmin(most).long()  # of what is no number, 0
        return Windows(clip, corner, (height, width), canvas, stride)

    def rows(self, index: Tensor | slice) -> Windows:
        """Some of them."""
        return replace(self, clip=self.clip[index], corner=self.corner[index])

    @property
    def everything(self) -> bool:
        """Whether they are the whole canvas."""
        return self.size == self.canvas

    def local(self, box: Tensor) -> Tensor:
        """Boxes ``[M, 4]`` (centre x, y, w, h in pixels) relative to the corners of the windows."""
        return box if self.everything else box - F.pad(self.stride * self.corner, (0, 2))

    def cut(self, images: Tensor) -> Tensor:
        """What is in the windows ``[M, J, h, w]``, of images ``[B, J, H, W]`` of the clips; no gradient, which would be
        as large as all windows that there can be."""
        images = images.detach()
        if self.everything:
            return images[self.clip]
        every = images.unfold(2, self.size[0], 1).unfold(3, self.size[1], 1)  # [B, J, H - h + 1, W - w + 1, h, w]
        return every[self.clip, :, self.corner[:, 1], self.corner[:, 0]]

    def add(self, images: Tensor, clips: int) -> Tensor:
        """The sums ``[B, J, H, W]`` of images in windows ``[M, J, h, w]``, 0 where there is none."""
        total = images.new_zeros(clips, images.shape[1], *self.canvas)
        if self.everything:
            return total.index_add(0, self.clip, images)
        y, x = self._places()
        place = ((self.clip[:, None, None] * self.canvas[0] + y) * self.canvas[1] + x).flatten()
        flat = total.transpose(0, 1).reshape(images.shape[1], -1).index_add(1, place, images.transpose(0, 1).flatten(1))
        return flat.view(images.shape[1], clips, *self.canvas).transpose(0, 1)

    def _places(self) -> tuple[Tensor, Tensor]:
        """Rows ``[M, h, 1]`` and columns ``[M, 1, w]`` of the images."""
        y, x = (steps(n, 0, 1, torch.int64, self.corner.device) for n in self.size)
        return self.corner[:, 1, None, None] + y[:, None], self.corner[:, 0, None, None] + x


@dataclass
class Patches:
    """Images of objects ``[M, J, h, w]``, each in its window: 0 everywhere else."""

    image: Tensor
    windows: Windows

    def rows(self, index: Tensor | slice) -> Patches:
        """Some of them."""
        return Patches(self.image[index], self.windows.rows(index))

    def of(self, first: int) -> Patches:
        """The same in clips that are counted from ``first`` on."""
        return Patches(self.image, replace(self.windows, clip=self.windows.clip + first))

    def tight(self, box: Tensor) -> Patches:
        """The same in smaller windows, of one size, that hold ``box [M, 4]`` (centre x, y, w, h in pixels).

        Images must be 0 outside of the boxes, but for what ``write`` draws around them. Where the windows would hardly
        be smaller they stay as they are.
        """
        height, width = self.windows.size
        side = float(box[:, 2:].detach().amax()) * (1 + BEYOND) + 2 if len(box) else height
        if not math.isfinite(side):  # nor is the loss then, and whoever trains is told
            return self
        windows = Windows.around(box[:, :2], self.windows.clip, side, self.windows.canvas)
        if 2 * windows.size[0] * windows.size[1] > height * width:
            return self
        corner = windows.corner - self.windows.corner
        alone = torch.arange(len(box), device=box.device)
        inner = Windows(alone, corner, windows.size, self.windows.size)
        return Patches(inner.cut(self.image), windows)

    def total(self, weight: Tensor, clips: int) -> Tensor:
        """The sum ``[B, J, H, W]`` of those of each clip, by ``weight [M]``."""
        return self.windows.add(weight[:, None, None, None] * self.image, clips)

    def full(self) -> Tensor:
        """On canvases of their own, ``[M, J, H, W]``."""
        count = len(self.image)
        alone = replace(self.windows, clip=torch.arange(count, device=self.image.device))
        return alone.add(self.image, count)

    @staticmethod
    def concat(parts: list[Patches]) -> Patches:
        """All of them; there is at least one part."""
        clip, corner = (torch.cat([getattr(p.windows, name) for p in parts]) for name in ("clip", "corner"))
        return Patches(torch.cat([p.image for p in parts]), replace(parts[0].windows, clip=clip, corner=corner))


def read_from(images: Tensor, clip: Tensor, box: Tensor, config: ModelConfig, stride: int = 1) -> Tensor:
    """Glimpses ``[M, J, G, G]`` of the images ``[B, J, H, W]`` of the clips ``clip [M]``, in boxes ``[M, 4]``.

    ``images`` have ``stride`` pixels per cell; the boxes are in pixels.
    """
    windows = Windows.around(box[:, :2], clip, config.window, (images.shape[-2], images.shape[-1]), stride)
    return read(windows.cut(images), windows.local(box), config.glimpse, stride)
