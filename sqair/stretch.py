"""Contrast, stretched: networks that know things of some contrast are shown fainter ones as if they had it.

Differences from the scene grow by one factor. The scene itself is moved from black and from white, so that they have
room; what has more than that is cut off, and is still seen.
"""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor

from sqair.config import ModelConfig

ROOM = 0.36
"""How far scenes are at least from black and from white."""


Image = TypeVar("Image", bound=Tensor | None)


def stretched(frame: Tensor, behind: Image, config: ModelConfig) -> tuple[Tensor, Image]:
    """Frames ``[.., C, H, W]`` and what is behind things in them, if anything is, as the model sees both."""
    if behind is None or config.stretch == 1:
        return frame, behind
    moved = _moved(behind)
    return (moved + config.stretch * (frame - behind)).clamp(0, 1), moved  # type: ignore[return-value]


def relaxed(canvas: Tensor, behind: Tensor, config: ModelConfig) -> Tensor:
    """A canvas ``[.., C, H, W]`` of the model, as frames are before whose things is ``behind``."""
    if config.stretch == 1:
        return canvas
    return behind + (canvas - _moved(behind)) / config.stretch


def _moved(behind: Tensor) -> Tensor:
    return behind.clamp(ROOM, 1 - ROOM)
