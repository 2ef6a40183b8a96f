"""What ``sqair track`` shows of the tracks: overlay videos, GIFs, a window."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sqair.datasets.clip import ClipSource
from sqair.datasets.images import opencv
from sqair.datasets.video_out import playable, write_gif, write_video
from sqair.errors import UserError
from sqair.frames import Fit
from sqair.scripts.track import Args

GIF_FRAMES, GIF_WIDTH = 100, 400
"""Frames of a GIF, and its width in pixels, at most."""
ESCAPE = 27


def write_pictures(args: Args, clip: ClipSource, pictures: Iterator[np.ndarray], stage: Path) -> None:
    """Shows and writes the frames with their tracks, as they are tracked."""
    fps = playable(clip.fps / args.stride)
    first: list[np.ndarray] = []
    pictures = _show(pictures, clip.name) if args.show else pictures
    pictures = _keep(pictures, first) if args.gif else pictures
    try:
        if args.overlay:
            write_video(stage / f"{clip.name}.mp4", pictures, fps)
        else:
            deque(pictures, maxlen=0)
    finally:
        if first:
            write_gif(stage / f"{clip.name}.gif", first, fps)


def _keep(pictures: Iterator[np.ndarray], first: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Passes the pictures on; the first ones are kept in ``first``, small enough for a GIF."""
    for picture in pictures:
        if len(first) < GIF_FRAMES:
            height, width = picture.shape[:2]
            scale = min(1.0, GIF_WIDTH / width)
            first.append(Fit((height, width), (max(1, round(scale * height)), round(scale * width))).frame(picture))
        yield picture


def _show(pictures: Iterator[np.ndarray], name: str) -> Iterator[np.ndarray]:
    """Passes the pictures on, showing each in a window until Escape is pressed."""
    cv2 = opencv()
    is_open = True
    try:
        for picture in pictures:
            if is_open:
                cv2.imshow(name, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
                if cv2.waitKey(1) == ESCAPE:
                    cv2.destroyWindow(name)
                    is_open = False
            yield picture
    except cv2.error as error:
        raise UserError(f"--show: this OpenCV opens no windows ({error.err}): use --overlay") from error
    if is_open:
        cv2.destroyWindow(name)


def has_display() -> bool:
    """Whether a window can be opened: OpenCV kills the process where there is no display."""
    return sys.platform in ("darwin", "win32") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
