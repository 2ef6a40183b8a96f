"""What a video file's own headers promise, so that a file cut short is told from one that merely ends.

Decoders stop at the last frame they can read and say nothing. The outermost boxes of MP4/MOV, AVI and
Matroska/WebM say how many bytes the file should have, and MP4/MOV and AVI also store the number of frames. A GIF has
a last byte, and MPEG-TS packets of one size. Other streams (MPEG-PS, bare H.264) promise nothing, and a cut there goes
unseen, as does one between two packets.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

_PACKET = 188
"""Bytes of a packet of MPEG-TS, the first of which is a G."""

Box = tuple[bytes, int, int]  # kind, first byte of the body, first byte after it


@dataclass(frozen=True)
class Container:
    """Attributes:
    complete: no outermost box reaches beyond the end of the file.
    count: what the header's number of frames is worth: ``stored`` is exactly what a decoder should give,
        ``estimated`` follows from a duration, ``edited`` counts frames that an edit list hides.
    empty: frames without a byte at the end of AVI, which stand for dropped ones and are counted.
    """

    complete: bool = True
    count: Literal["stored", "estimated", "edited"] = "estimated"
    empty: int = 0


def inspect(path: Path) -> Container:
    """Read the headers of the file at ``path``, whatever its kind; OSError if it cannot be read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(_PACKET + 1)
        try:
            if magic[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
                return _iso(file, size)
            if magic[:4] == b"RIFF" and magic[8:12] == b"AVI ":
                end = 8 + int.from_bytes(magic[4:8], "little")
                return Container(end <= size, "stored", _empty_at_end(file, size))
            if magic[:4] == b"\x1a\x45\xdf\xa3":
                return Container(complete=_matroska_end(file) <= size)
            if magic[:4] == b"GIF8":
                file.seek(-1, os.SEEK_END)
                return Container(complete=file.read() == b";")
            if magic[:1] == magic[_PACKET:] == b"G":
                return Container(complete=size % _PACKET == 0)
        except (struct.error, IndexError, StopIteration):
            return Container(complete=False)
    return Container()


def _empty_at_end(file: BinaryIO, size: int) -> int:
    """The chunks of video of length 0 after the last other one, in the index of an AVI file."""
    start = 12
    while start + 8 <= size:
        file.seek(start)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind == b"idx1":
            rows = file.read(min(length, size - file.tell()) // 16 * 16)
            count = 0
            for at in range(len(rows) - 16, -1, -16):
                if rows[at + 2 : at + 4] in (b"dc", b"db"):
                    if rows[at + 12 : at + 16] != bytes(4):
                        break
                    count += 1
            return count
        start += 8 + length + length % 2
    return 0


def _iso(file: BinaryIO, size: int) -> Container:
    """MP4 and MOV, whose header counts the frames unless the file is fragmented or edited."""
    boxes = list(_boxes(file, 0, size))
    moov = next((box for box in boxes if box[0] == b"moov"), None)
    if moov is None:
        return Container(complete=False)
    fragmented = any(kind == b"moof" for kind, _, _ in boxes)
    count = "estimated" if fragmented else "edited" if _hides_frames(file, moov) else "stored"
    return Container(boxes[-1][2] <= size, count)


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes between two offsets; the last one may claim to reach beyond ``end``."""
    while start + 8 <= end:
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        body = start + 8
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
            body += 8
        stop = end if length == 0 else max(start + length, body)
        yield kind, body, stop
        start = stop


def _hides_frames(file: BinaryIO, moov: Box) -> bool:
    """Whether the video track's edit list hides a part of it (a clip trimmed without re-encoding)."""
    shown_scale, _ = _header_times(file, _child(file, moov, b"mvhd"))
    for track in _boxes(file, moov[1], moov[2]):
        if track[0] != b"trak":
            continue
        media = _child(file, track, b"mdia")
        file.seek(_child(file, media, b"hdlr")[1] + 8)
        if file.read(4) != b"vide":
            continue
        if all(kind != b"edts" for kind, _, _ in _boxes(file, track[1], track[2])):
            return False
        edits = _child(file, _child(file, track, b"edts"), b"elst")
        shown = _edited_duration(file, edits) / max(shown_scale, 1)
        scale, held = _header_times(file, _child(file, media, b"mdhd"))
        return shown < held / max(scale, 1) - 0.002
    return False


def _child(file: BinaryIO, parent: Box, kind: bytes) -> Box:
    return next(box for box in _boxes(file, parent[1], parent[2]) if box[0] == kind)


def _header_times(file: BinaryIO, box: Box) -> tuple[int, int]:
    """The ticks per second and the duration in ticks of an ``mvhd`` or ``mdhd`` box."""
    file.seek(box[1])
    version = file.read(4)[0]
    return struct.unpack(">16xIQ" if version else ">8xII", file.read(28 if version else 16))


def _edited_duration(file: BinaryIO, box: Box) -> int:
    """The ticks that an ``elst`` box shows of its track, leaving out empty edits (media time -1)."""
    file.seek(box[1])
    version, count = struct.unpack(">BxxxI", file.read(8))
    entry = struct.Struct(">Qqi" if version else ">Iii")
    edits = [entry.unpack(file.read(entry.size)) for _ in range(min(count, 1000))]
    return sum(duration for duration, start, _ in edits if start >= 0)


def _matroska_end(file: BinaryIO) -> int:
    """The offset at which the Segment of a Matroska or WebM file ends; 0 where its writer left that open."""
    file.seek(4)
    file.seek(_element_size(file)[0], 1)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    size, unknown = _element_size(file)
    return 0 if unknown else file.tell() + size


def _element_size(file: BinaryIO) -> tuple[int, bool]:
    """The variable-length integer at the file's position, and whether it is the reserved "unknown size"."""
    first = file.read(1)[0]
    width = 9 - first.bit_length()
    value = int.from_bytes(bytes([first & (0xFF >> width)]) + file.read(width - 1), "big")
    return value, value == (1 << 7 * width) - 1
