"""Frames that OpenCV captures: of video files and of cameras."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sqair.datasets import containers
from sqair.datasets.clip import DEFAULT_FPS, ClipSource, Frame, TruncatedClip, evenly
from sqair.datasets.images import opencv, to_channels
from sqair.errors import UserError

TEXT_SUFFIXES = {".txt", ".nfo", ".asc", ".ans", ".art", ".diz", ".ice", ".vt"}  # FFmpeg films a page of text


def _open_video(path: Path) -> tuple[Any, containers.Container]:
    """A ``cv2.VideoCapture`` and what its headers promise; UserError if it cannot be opened."""
    cv2 = opencv()
    try:
        if path.stat().st_size == 0:
            raise UserError(f"{path}: the file is empty")
        container = containers.inspect(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if path.suffix.lower() in TEXT_SUFFIXES or not capture.isOpened():
        reason = "not a video" if container.complete else "cut short or damaged"
        raise UserError(f"{path}: {reason}: cannot be opened")
    return capture, container


def video_clip(path: Path, channels: int | None) -> ClipSource:
    """The clip of a video file. Raises UserError if it cannot be read, or holds no frame."""
    cv2 = opencv()
    capture, container = _open_video(path)
    ok, frame = capture.read()
    count, fps = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    if not ok:
        raise UserError(f"{path}: not one frame of the video can be decoded")
    length = int(count) if container.count == "stored" else None
    fps = fps if 0 < fps <= 1000 else DEFAULT_FPS
    size = (frame.shape[0], frame.shape[1])
    return ClipSource(path.stem, path, size, length, fps, partial(_video_frames, path, channels))


def _video_frames(path: Path, channels: int | None) -> Iterator[Frame]:
    cv2 = opencv()
    capture, container = _open_video(path)
    count, seconds, shape = 0, 0.0, None
    try:
        promised, fps = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
        while (read := capture.read())[0]:
            frame = read[1]
            shape = shape or frame.shape
            if frame.shape != shape:
                raise UserError(f"{path}: the size of the frames changes at frame {count + 1}")
            count += 1
            seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            image = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY if channels == 1 else cv2.COLOR_BGR2RGB)
            yield Frame(image, count - 1, (count - 1) / fps if fps > 0 else seconds)
    finally:
        capture.release()
    short = container.count == "stored" and count < promised
    if container.count == "estimated" and fps > 0:  # believe it only if the last frame's time agrees
        short = count < 0.9 * promised and seconds + 1 / fps < 0.9 * promised / fps
    if short or not container.complete:
        of = f" of the {int(promised)} that it promises" if short else ""
        raise TruncatedClip(f"{path}: cut short or damaged: only {count} frames{of} can be decoded", count)


def camera_clip(number: int, channels: int | None) -> ClipSource:
    """What a camera sees from now on, in a clip named camera0 and so on, which can be read once.

    Raises UserError if it cannot be opened.
    """
    cv2 = opencv()
    camera = cv2.VideoCapture(number)
    seen, first = camera.read()
    if not seen:
        camera.release()
        raise UserError(f"camera {number} cannot be opened: is it connected, and may this program use it?")
    fps = camera.get(cv2.CAP_PROP_FPS)

    def frames() -> Iterator[np.ndarray]:
        frame, seen = first, True
        try:
            while seen:
                yield to_channels(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), channels)
                seen, frame = camera.read()
        finally:
            camera.release()

    size = (first.shape[0], first.shape[1])
    return ClipSource(f"camera{number}", Path(f"camera {number}"), size, None, fps or DEFAULT_FPS, lambda: evenly(frames(), fps or DEFAULT_FPS))
