"""Decoded pictures as arrays: upright, of one size, without alpha."""

from __future__ import annotations

from functools import cache

import av
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from sqair.datasets.images import opencv

OPAQUE = 255


@cache
def _layout(name: str) -> tuple[int, bool]:
    """Of a pixel format: bits of a value of a deep one, grey or RGB, else 0; and whether it has alpha.

    Values of deep YUV are nominal: 10 bits always mean black to white. Those of grey and RGB are what a sensor saw.
    """
    pixels = av.VideoFormat(name)
    bits = max(part.bits for part in pixels.components)
    alpha = pixels.has_palette or any(part.is_alpha for part in pixels.components)
    measured = pixels.is_rgb or name.startswith(("gray", "ya"))
    return bits if bits > 8 and measured else 0, alpha


class Pixels:
    """Turns the frames of one video into arrays of one size, that of the first as it is stored."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """The picture, turned upright as its display matrix says and composed over black.

        Returns:
            uint8 RGB ``[H, W, 3]``; of a deep frame uint16 or float32 values as they are stored, ``[H, W]`` if it is
            grey, else ``[H, W, 3]``.
        """
        self._size = self._size or (frame.width, frame.height)
        bits, alpha = _layout(frame.format.name)
        if bits:
            image = self._deep(frame, bits)
        else:
            image = _over_black(self._array(frame, "bgra")) if alpha else self._array(frame, "rgb24")
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image

    def _array(self, frame: av.VideoFrame, pixels: str) -> np.ndarray:
        assert self._size is not None
        width, height = self._size
        if frame.format.name != pixels or (frame.width, frame.height) != self._size:
            full = ColorRange.JPEG
            frame = self._reformatter.reformat(frame, width, height, format=pixels, dst_color_range=full)
        return frame.to_ndarray()

    def _deep(self, frame: av.VideoFrame, bits: int) -> np.ndarray:
        """swscale fills 16 bits; what it shifted in is taken out again."""
        grey = not frame.format.is_rgb
        if bits > 16:
            return self._array(frame, "grayf32le" if grey else "gbrpf32le")
        return self._array(frame, "gray16le" if grey else "rgb48le") >> np.uint16(16 - bits)


def _over_black(image: np.ndarray) -> np.ndarray:
    """BGRA ``[H, W, 4]`` over black, RGB ``[H, W, 3]``."""
    cv2 = opencv()
    colour = cv2.cvtColor(image, cv2.COLOR_BGRA2RGB)
    if cv2.extractChannel(image, 3).min() < OPAQUE:
        weight = image[..., 3:].astype(np.uint16)
        colour = ((colour * weight + OPAQUE // 2) // OPAQUE).astype(np.uint8)
    return colour
