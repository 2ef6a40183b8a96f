"""Single images in and out.

Frames are ``[H, W]`` (grey) or ``[H, W, 3]`` (RGB, never BGR), uint8.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from sqair.errors import UserError
from sqair.files.durable import write_bytes


@cache
def opencv() -> Any:
    """The ``cv2`` module, imported when it is first needed and told to keep its decoders' chatter to itself.

    Raises:
        UserError: OpenCV or a system library that it needs is not installed.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError as error:
        raise UserError(
            f"OpenCV cannot be imported ({error}): install opencv-python-headless, "
            "or the system packages libgl1 and libglib2.0-0"
        ) from error
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def encode_png(frame: np.ndarray) -> bytes:
    """``frame`` (uint8, ``[H, W]`` or RGB ``[H, W, 3]``) as the bytes of a PNG file."""
    check_frame(frame)
    cv2 = opencv()
    ok, data = cv2.imencode(".png", frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    if not ok:
        raise RuntimeError(f"OpenCV could not encode a frame of shape {frame.shape} as PNG")
    return data.tobytes()


def write_png(path: str | Path, frame: np.ndarray) -> None:
    """Write ``frame`` (uint8, ``[H, W]`` or RGB ``[H, W, 3]``) as a PNG, which is there whole or not at all.

    Raises:
        UserError: the folder does not exist or cannot be written.
    """
    write_bytes(path, encode_png(frame))


def read_image(path: str | Path) -> np.ndarray:
    """The image as uint8 ``[H, W]`` if the file is grey, else RGB ``[H, W, 3]``.

    What is transparent is black, and values of more than 8 bits are shown by the range of this image alone
    (``sqair.datasets.depth``).

    Raises:
        UserError: the file is missing, empty, holds several images, or is none that can be decoded.
    """
    from sqair.datasets.depth import to_uint8, told_range
    from sqair.datasets.stills import read_still

    image = read_still(Path(path))
    try:
        return image if image.dtype == np.uint8 else to_uint8(image, told_range([image]))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def check_frame(frame: np.ndarray) -> None:
    """Raise ValueError unless ``frame`` is uint8 ``[H, W]`` or ``[H, W, 3]`` with pixels in it."""
    if frame.dtype != np.uint8 or frame.size == 0 or not (frame.ndim == 2 or frame.shape[2:] == (3,)):
        raise ValueError(f"a frame is uint8 [H, W] or [H, W, 3], got {frame.dtype} {list(frame.shape)}")


def to_channels(frame: np.ndarray, channels: int | None) -> np.ndarray:
    """``frame`` as grey ``[H, W]`` (1, BT.601 luma), RGB ``[H, W, 3]`` (3, grey repeated) or as is (None)."""
    if channels is None or (frame.ndim == 2) == (channels == 1):
        return frame
    cv2 = opencv()
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY if channels == 1 else cv2.COLOR_GRAY2RGB)


def enlarge(frame: np.ndarray, scale: int) -> np.ndarray:
    """``frame`` as RGB ``[H * scale, W * scale, 3]``, every pixel a square; always a copy."""
    check_frame(frame)
    if scale > 1:
        frame = opencv().resize(frame, None, fx=scale, fy=scale, interpolation=0)  # the nearest pixel
        return to_channels(frame, 3)
    return to_channels(frame, 3) if frame.ndim == 2 else frame.copy()
