"""The door through which frames come in: uint8 arrays of any size to tensors of the model's, and boxes back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from sqair.config import ModelConfig
from sqair.errors import UserError
from sqair.words import count


@dataclass(frozen=True)
class Fit:
    """How frames of a ``size`` (H, W) lie on a ``canvas`` (h, w), both in pixels.

    They are scaled to fit, at its top left corner, with black where none is left.
    """

    size: tuple[int, int]
    canvas: tuple[int, int]

    @property
    def scale(self) -> float:
        """Canvas pixels to a pixel of the frame, the same on both axes."""
        return min(side / own for side, own in zip(self.canvas, self.size, strict=True))

    @property
    def inner(self) -> tuple[int, int]:
        """Height and width of what a frame covers of the canvas, pixels."""
        sides = zip(self.canvas, self.size, strict=True)
        height, width = (max(1, min(side, round(self.scale * own))) for side, own in sides)
        return height, width

    def frame(self, frame: np.ndarray) -> np.ndarray:
        """The canvas, uint8 ``[h, w]`` or ``[h, w, C]``, of a frame ``[H, W]`` or ``[H, W, C]``.

        Smaller frames are averages over areas, larger ones linear in between.
        """
        if self.size == self.canvas:
            return frame
        height, width = self.inner
        how = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        scaled = cv2.resize(frame, (width, height), interpolation=how)
        below = ((0, self.canvas[0] - height), (0, self.canvas[1] - width), (0, 0))
        return np.pad(scaled, below[: frame.ndim])

    def clips(self, clips: np.ndarray) -> np.ndarray:
        """The canvases ``[N, T, h, w]`` or ``[N, T, h, w, C]`` of clips ``[N, T, H, W]`` or ``[N, T, H, W, C]``."""
        if self.size == self.canvas:
            return clips
        return np.stack([np.stack([self.frame(frame) for frame in clip]) for clip in clips])

    def boxes(self, box: np.ndarray) -> np.ndarray:
        """Boxes ``[M, 4]`` (x, y, w, h) of the canvas, in the frame's pixels."""
        return box if self.size == self.canvas else box / self.scale

    def labels(
        self, canvas: np.ndarray, shift: np.ndarray | None = None, window: tuple[slice, slice] = np.s_[:, :]
    ) -> np.ndarray:
        """Labels ``[h, w]`` of the canvas, in the frame's pixels, ``[H, W]``, or those of a ``window`` of it.

        They are those of the nearest pixels, and are moved by a ``shift [2]`` (x, y) in the frame's pixels; where
        nothing comes from they are 0.
        """
        shift = np.zeros(2) if shift is None else shift
        sides = zip(self.size, window, self.inner, shift[::-1], strict=True)
        y, x = (np.floor((np.arange(own)[at] + 0.5 - by) * side / own).astype(int) for own, at, side, by in sides)
        rows, columns = ((0 <= at) & (at < side) for at, side in zip((y, x), self.inner, strict=True))
        found = canvas[y.clip(0, self.inner[0] - 1)[:, None], x.clip(0, self.inner[1] - 1)]
        return np.where(rows[:, None] & columns, found, 0)


def to_frames(clips: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """uint8 ``[N, T, H, W]`` or ``[N, T, H, W, C]`` to float ``[T, N, C, H, W]`` in [0, 1]."""
    frames = torch.from_numpy(np.ascontiguousarray(clips)).to(device)
    frames = frames[:, :, None] if frames.ndim == 4 else frames.permute(0, 1, 4, 2, 3)
    return frames.transpose(0, 1).float().div_(255)


def check_frames(clips: np.ndarray, config: ModelConfig) -> None:
    """Raises UserError unless ``clips`` is uint8 ``[N, T, H, W(, C)]`` of the model's size and channels."""
    if clips.dtype != np.uint8:
        raise UserError(f"frames must be uint8, not {clips.dtype}")
    channels = clips.shape[4] if clips.ndim == 5 else 1
    if clips.ndim not in (4, 5) or channels != config.channels:
        raise UserError(f"the model takes frames of {count(config.channels, 'channel')}, these have {channels}")
    if clips.shape[2:4] != (config.height, config.width):
        height, width = clips.shape[2:4]
        raise UserError(f"the model takes frames of {config.width}x{config.height} pixels, these have {width}x{height}")
