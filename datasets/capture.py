"""Clips of video files and of streams over a network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from urllib.parse import unquote, urlsplit

import av
import numpy as np

from sqair.datasets import containers
from sqair.datasets.clip import ClipSource, Frame, TruncatedClip
from sqair.datasets.decoding import Film, Picture
from sqair.datasets.depth import FULL, Range, say_range, to_uint8, told_range
from sqair.datasets.images import to_channels
from sqair.datasets.pixels import Pixels
from sqair.datasets.timing import Clock, Timing
from sqair.errors import UserError
from sqair.process import keep_freed_memory

STREAMS = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp")
"""What stands before :// of a source that is a stream; anything else is a path, whatever colons it has."""
DOUBTFUL = 0.5
"""Frames in a unit of the time stamps from which a declared rate is measured before it is believed."""
FIELDS = ("mpegts", "mpeg")
"""Containers in which a packet of interlaced video may be half a frame."""


def is_stream(source: str) -> bool:
    """Whether ``source`` is the address of a stream, not a path."""
    scheme, colon, _ = source.partition("://")
    return bool(colon) and scheme.lower() in STREAMS


def stream_name(address: str) -> str:
    """The stem of files about a stream: the last part of its path, else its host, as a plain file name."""
    parts = urlsplit(address)
    last = Path(unquote(parts.path)).stem.strip(".") or parts.hostname or "stream"
    return re.sub(r"[^\w.-]+", "_", last)


def without_password(address: str) -> str:
    """The address of a stream as it may be shown: without a user's name and password."""
    return re.sub(r"(?<=://)[^/?#]*@", "", address)


class _Reading:
    """What video files and streams have in common: films that become frames."""

    def __init__(self, label: Path | str, channels: int | None, shown: Range | None) -> None:
        self.label, self.channels, self.shown = label, channels, shown

    def sample(self, image: np.ndarray) -> Iterator[np.ndarray]:
        """Some frames of a deep video, from which its range is told; ``image`` is the one at hand."""
        yield image

    def frames(self, pictures: Iterator[Picture], timing: Timing) -> Iterator[Frame]:
        keep_freed_memory()  # FFmpeg makes every frame anew
        clock, pixels = Clock(timing), Pixels()
        for frame, stamp, missed in pictures:
            yield Frame(self.image(pixels(frame)), *clock.tell(stamp, missed))

    def image(self, image: np.ndarray) -> np.ndarray:
        """A frame of the clip of one of the film: 8 bits, and the channels that are wanted."""
        if image.dtype != np.uint8 and self.shown is None:
            self.shown = told_range(self.sample(image))
            say_range(self.label, image.dtype, self.shown)
        return to_channels(to_uint8(image, self.shown or FULL), self.channels or 3)

    def first(self, pictures: Iterator[Picture]) -> tuple[Picture, tuple[int, int]]:
        """The first picture, and the size (H, W) of its frame. Raises UserError if there is none."""
        picture = next(pictures, None)
        if picture is None:
            raise UserError(f"{self.label}: not one frame of the video can be decoded")
        height, width = self.image(Pixels()(picture.frame)).shape[:2]
        return picture, (height, width)


class _Video(_Reading):
    """A video file. What takes a look at all of it is told at the first reading."""

    def __init__(self, path: Path, channels: int | None, shown: Range | None) -> None:
        super().__init__(path, channels, shown)
        self.path, self.container = path, containers.Container()
        self.fields = False
        self.timing: Timing | None = None

    def open(self) -> Film:
        """Raises UserError if it cannot be opened."""
        try:
            if self.path.stat().st_size == 0:
                raise UserError(f"{self.path}: the file is empty")
            self.container = containers.inspect(self.path)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read: {error.strerror}") from error
        try:
            film = Film(str(self.path.absolute()))
        except (av.FFmpegError, ValueError) as error:
            reason = "not a video" if isinstance(error, av.FFmpegError) else str(error)
            reason = reason if self.container.complete else "cut short or damaged"
            raise UserError(f"{self.path}: {reason}: cannot be opened") from error
        film.accounts = not self.fields
        return film

    def sample(self, image: np.ndarray) -> Iterator[np.ndarray]:
        with self.open() as film:
            pixels = Pixels()
            for frame in film.glimpses():
                yield pixels(frame)

    def length(self, film: Film, timing: Timing) -> int | None:
        """How many frames the file promises, those that are missing on its grid included; None if it does not say."""
        return film.places(timing) - self.container.empty if self.container.count == "stored" else None

    def read(self) -> Iterator[Frame]:
        if self.timing is None:
            with self.open() as film:
                self.timing = film.timing(walk=True)
        count, last = 0, None
        with self.open() as film:
            for last in self.frames(film.pictures(), self.timing):
                count += 1
                yield last
            if last is not None:
                self._account(film, self.timing, count, last)

    def _account(self, film: Film, timing: Timing, count: int, last: Frame) -> None:
        """Raises TruncatedClip if frames are missing that the file has or promises."""
        losses = film.losses
        promised = self._promised(film, timing, count + losses.total, last)
        held = last.number + 1 + losses.end + film.fillers if film.is_avi else count + losses.total
        beyond = max(0, promised - held)
        lost = losses.total + beyond
        if not lost and self.container.complete:
            return
        of = f" of the {promised or count + lost} that it promises" if lost else ""
        places = {"at the start": losses.start, "in the middle": losses.middle, "at the end": losses.end + beyond}
        missing = ", ".join(f"{number} {place}" for place, number in places.items() if number)
        missing = f" (missing: {missing})" if missing else ""
        message = f"{self.path}: cut short or damaged: only {count} frames{of} can be decoded{missing}"
        raise TruncatedClip(message, count)

    def _promised(self, film: Film, timing: Timing, held: int, last: Frame) -> int:
        """How many frames there should be; 0 if the file does not say, or what it says is not to be believed."""
        if self.container.count == "stored":
            return film.stream.frames - self.container.empty
        if self.container.count == "edited" or film.end is None:
            return 0
        promised, seen = round((film.end - timing.lead) * timing.fps), last.seconds + 1 / timing.fps
        return promised if held < 0.9 * promised and seen < 0.9 * film.end else 0


def video_clip(path: Path, channels: int | None, shown: Range | None = None) -> ClipSource:
    """The clip of a video file.

    ``shown`` are the values of black and white of a deep grey or RGB video; None tells them from the video itself.
    Raises UserError if the file cannot be read, or holds no frame.
    """
    video = _Video(path, channels, shown)
    with video.open() as film:
        timing = film.timing()
        if timing.rate * timing.tick > DOUBTFUL:  # what is declared may be no rate but the unit of the stamps
            with video.open() as again:
                timing = video.timing = again.timing(walk=True)
        elif film.indexed:
            video.timing = timing
        length = video.length(film, timing)
        picture, size = video.first(film.pictures())
        video.fields = picture.frame.interlaced_frame and film.kind in FIELDS
    return ClipSource(path.stem, path, size, length, float(timing.fps), video.read, video.shown or FULL)


class _Stream(_Reading):
    """A stream over a network. Its first reading goes on where opening it left off."""

    def __init__(self, address: str, channels: int | None, shown: Range | None) -> None:
        super().__init__(without_password(address), channels, shown)
        self.address = address
        self._begun: tuple[Film, Iterator[Picture]] | None = None

    def open(self) -> Film:
        """Raises UserError if it cannot be opened."""
        try:
            return Film(self.address)
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(f"{self.label}: the stream cannot be opened: {reason.splitlines()[0]}") from error

    def begin(self) -> ClipSource:
        """Its clip, once there is a first frame."""
        film = self.open()
        try:
            pictures = film.pictures()
            picture, size = self.first(pictures)
        except BaseException:
            film.close()
            raise
        self._begun = film, chain([picture], pictures)
        return ClipSource(stream_name(self.address), self.label, size, None, float(film.timing().fps), self.read)

    def read(self) -> Iterator[Frame]:
        begun, self._begun = self._begun, None
        film, pictures = begun or self._again()
        count = 0
        with film:
            for frame in self.frames(pictures, film.timing()):
                count += 1
                yield frame
            if film.broken:
                raise TruncatedClip(f"{self.label}: the stream broke off after {count} frames: {film.broken}", count)

    def _again(self) -> tuple[Film, Iterator[Picture]]:
        film = self.open()
        return film, film.pictures()


def stream_clip(address: str, channels: int | None, shown: Range | None = None) -> ClipSource:
    """The clip of a stream, from now on; no end is known. ``shown`` is as for :func:`video_clip`.

    Raises UserError if it cannot be reached, or sends no video.
    """
    return _Stream(address, channels, shown).begin()
