"""Video out: an ``.mp4`` of H.264 that plays in a browser, or a ``.gif``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np

from sqair.datasets.clip import TruncatedClip
from sqair.datasets.images import enlarge, opencv
from sqair.errors import UserError
from sqair.files.durable import whole, write_bytes

ENCODING = {"crf": "20", "preset": "veryfast"}
"""Of x264: as good as looks sound, at a third of the time that its defaults take, and no more bytes."""
FEW_BYTES = {"preset": "medium", "g": "30"}
"""Of a video that is to be small: more for its bytes, in three times as long, and soon at any frame."""
SPEEDS = (2.0, 60.0)
"""Frames per second of a video for people to watch, at least and at most."""
GIF_SPEED = 50.0
"""Of a GIF at most: browsers play faster ones slowly."""
WAITING = 4
"""Frames that may wait for the encoder, which works beside whatever makes them."""


def playable(fps: float) -> float:
    """``fps``, or the nearest rate at which a video can be watched: of 4000 frames a second nobody sees any."""
    return min(max(fps, SPEEDS[0]), SPEEDS[1])


def write_video(
    path: str | Path, frames: Iterable[np.ndarray], fps: float, *, scale: int = 1, rate: float | None = None
) -> int:
    """Write ``frames``, uint8 ``[H, W]`` or RGB ``[H, W, 3]`` of one shape, as ``.mp4``; return their number.

    Each pixel is repeated ``scale`` times in both directions, and odd sizes are padded by one line. H.264 takes at
    most ``rate`` bytes a second, at the price of quality where it needs more for a good one; such a video is for pages,
    whose readers go to and fro. The file
    appears under its name when it is whole. If ``frames`` ends in a :class:`TruncatedClip`, that is raised
    again after the video of the frames before it has been written.

    Raises:
        UserError: the file cannot be written, there is no frame, or the encoder fails.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise UserError(f"{path}: videos are written as .mp4")
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise UserError(f"{path}: there are no frames to write")
    truncated: list[TruncatedClip] = []
    try:
        with whole(path) as partial:
            count = _encode(partial, _until(chain([first], frames), truncated), fps, scale, rate)
            _check_written(path, partial, count)
    except av.FFmpegError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    if truncated:
        raise truncated[0]
    return count


def _until(frames: Iterator[np.ndarray], truncated: list[TruncatedClip]) -> Iterator[np.ndarray]:
    """The frames up to where they are cut short, which is noted in ``truncated``."""
    try:
        yield from frames
    except TruncatedClip as error:
        truncated.append(error)


def _encode(path: Path, frames: Iterator[np.ndarray], fps: float, scale: int, rate: float | None) -> int:
    """Writes the video, and returns the number of its frames, of which there is one at least."""
    first = next(frames)
    height, width = _prepare(first, scale).shape[:2]
    path.touch()
    with _h264(path, width, height, fps, rate) as write:
        for count, frame in enumerate(chain([first], frames)):
            if frame.shape != first.shape:
                raise ValueError(f"frame {count} is {frame.shape}, the first is {first.shape}")
            write(_prepare(frame, scale))
    return count + 1


def write_gif(path: str | Path, frames: Iterable[np.ndarray], fps: float, *, scale: int = 1) -> int:
    """Write ``frames`` (as in :func:`write_video`) as an endless ``.gif``; return their number.

    All frames are held in memory, and the format has 256 colours: for short clips.

    Raises:
        UserError: the file cannot be written, there is no frame, or this OpenCV (before 4.12) writes no GIF.
    """
    path = Path(path)
    cv2 = opencv()
    if path.suffix.lower() != ".gif":
        raise UserError(f"{path}: the name must end in .gif")
    if not hasattr(cv2, "imencodeanimation"):
        raise UserError(
            f"{path}: OpenCV {cv2.__version__} writes no GIF: install opencv-python 4.12 or newer"
        )
    animation = cv2.Animation()
    animation.frames = [cv2.cvtColor(enlarge(frame, scale), cv2.COLOR_RGB2BGR) for frame in frames]
    animation.durations = np.full(len(animation.frames), round(1000 / min(fps, GIF_SPEED)), dtype=np.int32)
    if not animation.frames:
        raise UserError(f"{path}: there are no frames to write")
    # the least dithering: less than a sixth of the default's error, and smaller files
    done, data = cv2.imencodeanimation(".gif", animation, [cv2.IMWRITE_GIF_DITHER, 3])
    if not done:
        raise UserError(f"{path}: OpenCV failed to make it")
    write_bytes(path, data.tobytes())
    return len(animation.frames)


def _prepare(frame: np.ndarray, scale: int) -> np.ndarray:
    """RGB, enlarged, and padded to even sides by repeating the last row and column."""
    image = enlarge(frame, scale)
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return image


def _check_written(path: Path, partial: Path, count: int) -> None:
    """What was written is opened again, and its frames are counted: a disk may be full without a word."""
    try:
        with av.open(f"file:{partial.absolute()}") as container:
            written = container.streams.video[0].frames
    except (av.FFmpegError, IndexError):
        written = 0
    if written != count:
        raise UserError(f"{path}: the encoder wrote {written} of {count} frames: is the disk full?")


@contextmanager
def _h264(
    path: Path, width: int, height: int, fps: float, rate: float | None
) -> Iterator[Callable[[np.ndarray], None]]:
    with av.open(f"file:{path.absolute()}", "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = dict(ENCODING)
        if rate is not None:
            kilobits = f"{max(1, round(8 * rate / 1000))}k"
            stream.options |= FEW_BYTES | {"maxrate": kilobits, "bufsize": kilobits}
        with _beside(lambda frame: container.mux(stream.encode(frame))) as encode:
            yield lambda frame: encode(av.VideoFrame.from_ndarray(frame, format="rgb24"))
        container.mux(stream.encode(None))


@contextmanager
def _beside(work: Callable[[av.VideoFrame], None]) -> Iterator[Callable[[av.VideoFrame], None]]:
    """``work``, in a thread of its own and in order; what it raises is raised by a later call, or at the end."""
    waiting: deque[Future[None]] = deque()

    def call(frame: av.VideoFrame) -> None:
        waiting.append(thread.submit(work, frame))
        if len(waiting) > WAITING:
            waiting.popleft().result()

    with ThreadPoolExecutor(1) as thread:
        yield call
        for done in waiting:
            done.result()
