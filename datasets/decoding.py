"""Files and streams of video, decoded by PyAV, with an account of what could not be.

OpenCV does not read users' files: at some sound ones its reader aborts the whole process. Nothing stands in for PyAV
where that refuses a file: both decode with FFmpeg, so that there is nothing to win by it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any, NamedTuple

import av
from av.codec.context import CodecContext
from av.stream import Discard, Disposition

from sqair.datasets.clip import DEFAULT_FPS
from sqair.datasets.depth import SAMPLED
from sqair.datasets.timing import Steps, Timing, seconds_of

NO_VIDEO = {"tty", "concat", "hls", "image2", "lavfi", "sdp"}
"""FFmpeg makes films of pages of text, and reads lists of other files: none of these is a file of video."""
PLAYLISTS = {"hls", "sdp"}
"""Of these, what a stream may be."""
STREAM_WAIT = (10.0, 20.0)
"""Seconds in which a stream has to be opened, and those without a packet after which it has ended."""
GIVE_UP = 50
"""Damaged places without a packet between them after which the rest of a file is not looked at."""
SMALL = 400_000
"""Pixels of a frame below which threads cost more than they save."""
LATE = 16
"""Packets that may come between one and its picture, where pictures are not in the order of their packets."""
FILLER, DROPPED = 1, 8
"""Bytes of a packet of MPEG-4 in AVI that stands for an encoder's lag, and of one of a dropped frame, at most."""
DECODED = 60
"""Frames from a key frame to a place that is looked for, at most."""
FROM_ZERO = ("matroska,webm", "asf")
"""Containers whose duration counts from time 0, which may be before their first frame."""
FORGIVING: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
"""PyAV before 19 refuses a file one of whose titles or comments is not UTF-8, unless it is told not to."""
TIMED = ("audio", "subtitle")
"""Streams that may last longer than the video."""
ROUNDED = Fraction(1, 1000)
"""Seconds up to which two beginnings are the same."""


class Picture(NamedTuple):
    """A decoded frame.

    Attributes:
        frame: its pixels.
        stamp: when it is shown, in ticks; None where the file does not say.
        missed: frames just before it that are in the file and gave no picture.
    """

    frame: av.VideoFrame
    stamp: int | None
    missed: int


@dataclass
class Losses:
    """Frames that are in a file and gave no picture: before the first picture, between two, after the last."""

    start: int = 0
    middle: int = 0
    end: int = 0

    @property
    def total(self) -> int:
        return self.start + self.middle + self.end


class Film:
    """The video of a file or of a stream, opened; to be closed, or used in ``with``.

    Attributes:
        losses: frames that were lost so far.
        fillers: packets so far that are no frames: those of MPEG-4 which stand for the lag of an encoder.
        broken: why a stream ended before its end, or None.
        kind: FFmpeg's name of the container.
        is_avi: whether it is AVI, which has a grid of frames and no other time stamps.
        accounts: whether a packet is a frame, so that those can be counted from which nothing comes.
    """

    def __init__(self, address: str) -> None:
        """``address`` is the absolute path of a file, or the URL of a stream.

        Raises av.FFmpegError where FFmpeg cannot open it, ValueError where there is no video in it; that says why.
        """
        self.live = "://" in address
        if self.live:
            options = {"rtsp_transport": "tcp"} if address.lower().startswith("rtsp") else {}
            self._container = av.open(address, options=options, timeout=STREAM_WAIT, **FORGIVING)
        else:
            options = {"protocol_whitelist": "file"}
            self._container = av.open(f"file:{address}", options=options, **FORGIVING)
        try:
            self.stream = self._choose()
            self._decoder = self._open_decoder()
        except BaseException:
            self.close()
            raise
        self._codec, self.kind = self.stream.codec_context.name, self._container.format.name
        self.is_avi = self.kind == "avi"
        self.accounts = not self.live
        self.losses, self.fillers = Losses(), 0
        self.broken: str | None = None

    def _choose(self) -> av.VideoStream:
        """The stream that is the video; the others are not read."""
        video = self._container.streams.best("video")
        refused = NO_VIDEO - PLAYLISTS if self.live else NO_VIDEO
        if not isinstance(video, av.VideoStream) or refused.intersection(self._container.format.name.split(",")):
            raise ValueError("not a video")
        if video.disposition & Disposition.attached_pic:
            raise ValueError("not a video, but sound with a cover")
        if video.codec_context is None:
            raise ValueError("a video of a kind that FFmpeg does not know")
        for other in self._container.streams:
            if other.index != video.index:
                other.discard = Discard.all
        return video

    def _open_decoder(self) -> CodecContext:
        """FFmpeg's own decoder, unless that leaves out alpha."""
        context = self.stream.codec_context
        library = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(context.name)
        if self.stream.metadata.get("alpha_mode") == "1" and library in av.codecs_available:
            return CodecContext.create(library, "r")
        if context.width * context.height < SMALL:
            context.thread_count = 1
        else:
            context.thread_type = "AUTO"
        return context

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def end(self) -> float | None:
        """Seconds from the beginning of the file to the end of its video, as the file says; None where it does not.

        What it says about all of its streams does not count where there are others.
        """
        stream, container = self.stream, self._container
        begins = Fraction(container.start_time or 0, av.time_base)
        alone = all(other.index == stream.index or other.type not in TIMED for other in container.streams)
        tagged = seconds_of(stream.metadata.get("DURATION", ""))
        if tagged is not None and not alone:
            return float(tagged - begins)
        if stream.duration is not None and stream.time_base is not None:
            before = 0 if self.kind in FROM_ZERO or stream.start_time is None else stream.start_time * stream.time_base
            return float(before + stream.duration * stream.time_base - begins)
        if container.duration is None or not alone:
            return None
        return float(Fraction(container.duration, av.time_base) - (begins if self.kind in FROM_ZERO else 0))

    @property
    def indexed(self) -> bool:
        """Whether its header says all that can be known about its time stamps."""
        count = self.stream.frames
        return self.is_avi or bool(count) and len(self.stream.index_entries) >= count

    def timing(self, *, walk: bool = False) -> Timing:
        """What the time stamps mean. A file without an index is read once for it, undecoded, where ``walk`` says so."""
        stream = self.stream
        stamped = stream.start_time is not None or self._container.duration is not None
        rate = (stream.average_rate if stamped else None) or stream.guessed_rate
        rate = rate if rate and 0 < rate <= 10**6 else Fraction(DEFAULT_FPS)
        start = stream.start_time if stamped and not (self.live and self._container.duration is None) else None
        tick, lead = stream.time_base or 1 / rate, Fraction(0)
        if start is not None and self._container.start_time is not None:
            lead = start * tick - Fraction(self._container.start_time, av.time_base)
        plain = Timing(tick, rate, start, lead if lead > ROUNDED else Fraction(0))
        if self.is_avi:
            return plain._replace(period=Fraction(1), start=start or 0)
        if self.indexed:
            shown = (entry.timestamp for entry in stream.index_entries if not entry.is_discard)
            return plain._replace(period=Steps(shown).period())
        return self._walked(plain) if walk and self.accounts else plain

    def places(self, timing: Timing) -> int:
        """Frames that the header counts, with those that are missing on the grid of a constant rate."""
        shown = [entry.timestamp for entry in self.stream.index_entries if not entry.is_discard]
        if self.is_avi or timing.period is None or not shown:
            return self.stream.frames
        return round((max(shown) - min(shown)) / timing.period) + 1

    def glimpses(self) -> Iterator[av.VideoFrame]:
        """Some frames, spread over the film if that can be searched."""
        begins, span = self._container.start_time or 0, self.end or 0.0
        for i in range(SAMPLED if span else 1):
            wanted = begins / av.time_base + span * i / SAMPLED
            try:
                if i:
                    self._container.seek(int(av.time_base * wanted))
            except av.FFmpegError:
                return
            frame = None
            for picture in islice(self.pictures(), DECODED):
                frame = picture.frame
                if frame.time is None or frame.time >= wanted:
                    break
            if frame is not None:
                yield frame

    def _walked(self, plain: Timing) -> Timing:
        stamps = (packet.pts for packet in self._packets() if packet.pts is not None and self._shows(packet))
        steps = Steps(stamps)
        rate = plain.rate if steps.coarse or not steps.mean else 1 / (steps.mean * plain.tick)
        start = plain.start if plain.start is not None else steps.first
        return plain._replace(rate=rate, start=start, period=steps.period(), coarse=steps.coarse)

    def pictures(self) -> Iterator[Picture]:
        """The frames in the order in which they are shown. What is damaged is left out, and counted in ``losses``."""
        waiting: list[int] = []  # a heap: the stamps of packets from which nothing has come yet
        first, small = True, DROPPED + 1
        for packet in self._packets(flush=True):
            if self.is_avi and packet.dts is not None:
                packet.pts = packet.dts  # AVI has no others: FFmpeg's are guesses
            if self.accounts and packet.pts is not None and self._shows(packet):
                heapq.heappush(waiting, packet.pts)
                small = packet.size if self._codec == "mpeg4" else DROPPED + 1
                self.fillers += small <= FILLER
            for frame in self._decode(packet):
                stamp, missed = self._place(frame.pts, waiting, first)
                if first:
                    self.losses.start = missed
                else:
                    self.losses.middle += missed
                first = False
                yield Picture(frame, stamp, missed)
        self.fillers += FILLER < small <= DROPPED
        self.losses.end = max(0, len(waiting) - self.fillers)

    def _place(self, own: int | None, waiting: list[int], first: bool) -> tuple[int | None, int]:
        """The stamp of a frame that comes of the packet ``own``, and how many packets before it gave none.

        In AVI with frames out of order, the stamps say the order of packets: the frame that is shown next has the
        least of those that are left.
        """
        if own is None:
            return None, 0
        reorders = self.is_avi and self._decoder.has_b_frames
        missed = 0
        while waiting and waiting[0] < own - (LATE if reorders and not first else 0):
            heapq.heappop(waiting)
            missed += 1
        if waiting and (reorders or waiting[0] == own):
            return heapq.heappop(waiting), missed
        return own, missed

    def _decode(self, packet: av.Packet) -> list[av.VideoFrame]:
        try:
            return self._decoder.decode(packet if packet.size else None)  # type: ignore[return-value]
        except av.FFmpegError:
            return []

    def _packets(self, *, flush: bool = False) -> Iterator[av.Packet]:
        """The packets of the video, over damaged places; with ``flush`` an empty one at the end."""
        failed = 0
        while failed < GIVE_UP:
            try:
                for packet in self._container.demux(self.stream):
                    if packet.size:
                        failed = 0
                        yield packet
                break
            except av.FFmpegError as error:
                failed += 1
                if self.live:
                    self.broken = (error.strerror or str(error)).splitlines()[0]
                    break
        if flush:
            yield av.Packet()

    def _shows(self, packet: av.Packet) -> bool:
        """Whether a picture should come of a packet.

        None does of what an edit list hides, of VP8's frames that only others refer to, and of MPEG-4 that says
        nothing but that a frame was dropped (where frames are reordered, such a packet gives one that came earlier).
        """
        if self._codec == "vp8" and packet.size:
            return bool(bytes(packet)[0] & 0x10)
        dropped = self._codec == "mpeg4" and packet.size <= DROPPED and not self._decoder.has_b_frames
        return not (packet.is_discard or dropped)
