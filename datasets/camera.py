"""Frames of a camera, which OpenCV captures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from sqair.datasets.clip import DEFAULT_FPS, ClipSource, Frame
from sqair.datasets.images import opencv, to_channels
from sqair.errors import UserError


def camera_clip(number: int, channels: int | None) -> ClipSource:
    """What a camera sees from now on, in a clip named camera0 and so on, which can be read once.

    A frame's time is when it was taken out of the camera, by the clock.

    Raises UserError if it cannot be opened.
    """
    cv2 = opencv()
    camera = cv2.VideoCapture(number)
    seen, first = camera.read()
    if not seen:
        camera.release()
        raise UserError(f"camera {number} cannot be opened: is it connected, and may this program use it?")
    fps = camera.get(cv2.CAP_PROP_FPS)

    def frames() -> Iterator[Frame]:
        image, seen, count, began = first, True, 0, time.monotonic()
        try:
            while seen:
                taken = time.monotonic() - began if count else 0.0
                yield Frame(to_channels(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), channels), count, taken)
                seen, image = camera.read()
                count += 1
        finally:
            camera.release()

    size = (first.shape[0], first.shape[1])
    return ClipSource(f"camera{number}", Path(f"camera {number}"), size, None, fps or DEFAULT_FPS, frames)
