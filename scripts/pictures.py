"""Pictures of what a model does: canvases as images, frames laid out in rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from torch import Tensor

from sqair.datasets.images import encode_png, enlarge, opencv
from sqair.datasets.overlay import draw_tracks
from sqair.tracks import Tracks

SCALE = 3
"""Pixels of a strip to a pixel of a frame, unless it would be too wide."""
WIDEST = 1500
"""Pixels of a strip of many frames, about, if its frames are enlarged at all."""
QUALITY = 88
"""Of JPEG."""
LINE = 64
"""Brightness of the lines between frames."""


def to_image(canvas: Tensor) -> np.ndarray:
    """A canvas ``[C, H, W]`` in [0, 1] as uint8 ``[H, W]`` or RGB ``[H, W, 3]``."""
    image = (canvas.detach().clamp(0, 1) * 255).round().byte().cpu().numpy()
    return image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))


def strip(frames: Iterable[np.ndarray], rows: Iterable[Tracks] | None = None) -> np.ndarray:
    """Frames side by side, enlarged, with the boxes of ``rows``, one Tracks for each frame. RGB."""
    frames = list(frames)
    scale = max(1, min(SCALE, WIDEST // (len(frames) * frames[0].shape[1])))
    if rows is None:
        return stack([enlarge(frame, scale) for frame in frames], axis=1)
    pairs = zip(frames, rows, strict=True)
    return stack([draw_tracks(frame, tracks, scale=scale) for frame, tracks in pairs], axis=1)


def stack(images: Sequence[np.ndarray], *, axis: int = 0, gap: int = 2) -> np.ndarray:
    """RGB images below one another (axis 0) or side by side (axis 1), ``gap`` pixels apart."""
    shape = list(images[0].shape)
    shape[axis] = gap
    between = np.full(shape, LINE, dtype=np.uint8)
    parts = [part for image in images for part in (image, between)]
    return np.concatenate(parts[:-1], axis=axis)


def encode_small(image: np.ndarray) -> bytes:
    """A picture, uint8 ``[H, W]`` or RGB ``[H, W, 3]``, as PNG, or as JPEG where that is a half of it or less."""
    cv2 = opencv()
    png = encode_png(image)
    bgr = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return jpeg if 2 * len(jpeg) <= len(png) else png


def spread(length: int, most: int) -> list[int]:
    """At most ``most`` frames of a clip of ``length``, evenly spread over it."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(int)).tolist()
