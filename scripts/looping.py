"""Short clips that play for ever, small enough for a page: animated WebP."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from sqair.errors import UserError
from sqair.files.durable import write_bytes

WIDTH, MOST = 400, 300_000
"""Of a picture: pixels at most, and bytes."""
QUALITIES = (70, 55, 40, 30, 20, 10)
"""Of WebP, the first that is small enough."""


def loop(path: Path, frames: Iterable[np.ndarray], fps: float) -> int:
    """Writes frames, RGB ``[H, W, 3]`` uint8, as an endless animated WebP; its bytes.

    Raises:
        UserError: there is no frame, or the file cannot be written.
    """
    pictures = [_small(Image.fromarray(frame)) for frame in frames]
    if not pictures:
        raise UserError(f"{path}: there are no frames to write")
    data = b""
    for quality in QUALITIES:
        held = BytesIO()
        how = {"quality": quality, "method": 6, "duration": round(1000 / fps), "loop": 0}
        pictures[0].save(held, "WEBP", save_all=True, append_images=pictures[1:], **how)
        data = held.getvalue()
        if len(data) <= MOST:
            break
    write_bytes(path, data)
    return len(data)


def _small(picture: Image.Image) -> Image.Image:
    size = (WIDTH, round(picture.height * WIDTH / picture.width))
    return picture.resize(size, Image.Resampling.LANCZOS) if picture.width > WIDTH else picture
