"""Image files as they are stored: of any depth, with one image or many in them.

Which file it is says its content, not its name. OpenCV decodes single images, Pillow animations (APNG, WebP, GIF),
``sqair.datasets.tiffs`` TIFF. What a file holds is given or the file is refused: images beyond the first one, and
alpha, which is composed over black. An orientation in EXIF is followed, but not in files with alpha.

Images are ``[H, W]`` (grey) or RGB ``[H, W, 3]``, of the type of the file.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sqair.datasets.alpha import over_black
from sqair.datasets.clip import TruncatedClip
from sqair.datasets.images import opencv
from sqair.errors import UserError

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Still(NamedTuple):
    """An image file.

    Attributes:
        count: how many images it promises.
        fps: how many are shown a second, or None where it does not say.
        images: makes an iterator over the images, or over those at some increasing places, from 0. Each comes with the
            seconds for which it is shown, or None where the file does not say. It raises UserError at an image that
            cannot be read, and TruncatedClip where all were asked for and some of them cannot be found.
    """

    count: int
    fps: float | None
    images: Callable[[Sequence[int] | None], Iterator[tuple[np.ndarray, float | None]]]


def open_still(path: Path) -> Still:
    """The images of a file, of which none is decoded yet.

    Raises:
        UserError: the file is missing, empty, damaged so that this is seen already, or of a kind that is not supported.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
            if head in _TIFF:
                from sqair.datasets.tiffs import open_tiff

                return Still(*open_tiff(path))
            data = head + file.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not data:
        raise UserError(f"{path}: the file is empty")
    try:
        png = _chunks(data) if data.startswith(_PNG) else {}
        if data.startswith(_PNG) and not png:
            raise UserError(f"{path}: not an image that can be decoded")
        if b"acTL" in png or data.startswith((b"GIF87a", b"GIF89a")) or _webp_flags(data) & 2:
            return _animation(path, data, png)
    except (struct.error, IndexError) as error:
        raise UserError(f"{path}: not an image that can be decoded") from error
    return Still(1, None, lambda _: iter([(_decode(path, data, png), None)]))


def read_still(path: Path) -> np.ndarray:
    """The image of a file that holds one, as it is stored.

    Raises:
        UserError: it cannot be read, or holds more than one.
    """
    still = open_still(path)
    if still.count != 1:
        raise UserError(f"{path}: holds {still.count} images where one is expected: give the file itself as a clip")
    try:
        ((image, _),) = still.images(None)
    except TruncatedClip as error:
        raise UserError(str(error)) from error
    return image


def _decode(path: Path, data: bytes, png: dict[bytes, bytes]) -> np.ndarray:
    """The only image of a file, of which ``png`` are the chunks if it is one. Raises UserError if there are more."""
    cv2 = opencv()
    if data.startswith(b"BM") and data[28:29] == b"\x20":
        return _pillow_picture(_open_pillow(path, data))
    _check_pnm(path, data)
    alpha = png[b"IHDR"][9] in (4, 6) or b"tRNS" in png if png else _webp_flags(data) & 0x10
    flags = cv2.IMREAD_UNCHANGED if alpha else cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise UserError(f"{path}: not an image that can be decoded")
    if image.ndim == 2:
        return _keyed(image, png)
    if image.shape[2] == 3:
        return _keyed(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), png)
    colour = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
    grey = bool(png) and png[b"IHDR"][9] == 4
    return over_black(colour[..., 0] if grey else colour[..., :3], colour[..., 3])


def _chunks(png: bytes) -> dict[bytes, bytes]:
    """The first chunk of each kind in a PNG up to its end, of those before the pixels; none if a checksum is wrong.

    libpng reports damage on its own, to stderr, and goes on.
    """
    found: dict[bytes, bytes] = {}
    start = len(_PNG)
    while start + 12 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, start)
        end = start + 12 + length
        if end > len(png) or struct.pack(">I", zlib.crc32(png[start + 4 : end - 4])) != png[end - 4 : end]:
            return {}
        found.setdefault(kind, png[start + 8 : end - 4] if kind in (b"IHDR", b"tRNS", b"acTL") else b"")
        if kind == b"IEND":
            return found if len(found.get(b"IHDR", b"")) == 13 else {}
        start = end
    return {}


def _keyed(image: np.ndarray, png: dict[bytes, bytes]) -> np.ndarray:
    """``image`` with the colour that a PNG says to be transparent, of one grey or RGB, in black."""
    key = png.get(b"tRNS", b"")
    if not key or png[b"IHDR"][9] not in (0, 2):
        return image
    depth = png[b"IHDR"][8]
    values = np.frombuffer(key, dtype=">u2").astype(np.uint32)
    values = values * (255 // (2**depth - 1)) if depth < 8 else values
    hidden = image == values[0] if image.ndim == 2 else (image == values).all(-1)
    return np.where(hidden if image.ndim == 2 else hidden[..., None], 0, image).astype(image.dtype)


def _check_pnm(path: Path, data: bytes) -> None:
    """Raises UserError if a PBM, PGM or PPM file holds images beyond its first, as the formats allow."""
    space = rb"(?:\s|#[^\n]*\n)+"
    head = re.match(rb"P([456])" + space + rb"(\d+)" + space + rb"(\d+)(?:" + space + rb"(\d+))?\s", data[:4096])
    if not head:
        return
    kind, width, height = (int(text) for text in head.groups()[:3])
    if kind == 4:
        head = re.match(rb"P4" + space + rb"\d+" + space + rb"\d+\s", data[:4096])
        size = height * ((width + 7) // 8)
    else:
        size = width * height * (3 if kind == 6 else 1) * (2 if int(head.group(4) or 0) > 255 else 1)
    if head and re.match(rb"\s*P[1-7]\s", data[head.end() + size :][:16]):
        raise UserError(f"{path}: holds several images: save each as a file of its own")


def _webp_flags(data: bytes) -> int:
    """Flags of a WebP file: 16 where it has alpha, 2 where it is an animation; 0 for other files."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return 0
    if data[12:16] == b"VP8L":
        return data[24] & 0x10
    return data[20] if data[12:16] == b"VP8X" else 0


def _open_pillow(path: Path, data: bytes) -> Any:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(data))
    except Exception as error:  # Pillow's plugins raise whatever a damaged file makes them
        raise UserError(f"{path}: not an image that can be decoded") from error


def _animation(path: Path, data: bytes, png: dict[bytes, bytes]) -> Still:
    image = _open_pillow(path, data)
    if png and png[b"IHDR"][8] == 16 and png[b"IHDR"][9] != 0:
        raise UserError(f"{path}: an animated PNG of 16 bits in colour is not supported: save it as a video")
    try:
        count, first = image.n_frames, int(getattr(image, "default_image", False))
        image.seek(first)
        image.load()
        shown = image.info.get("duration") or 0
    except Exception as error:
        raise UserError(f"{path}: not an image that can be decoded") from error
    return Still(count - first, 1000 / shown if shown else None, partial(_play, path, data, first, count))


def _play(
    path: Path, data: bytes, first: int, end: int, places: Sequence[int] | None
) -> Iterator[tuple[np.ndarray, float | None]]:
    image = _open_pillow(path, data)
    for k in range(end - first) if places is None else places:
        try:
            image.seek(first + k)
            frame, shown = _pillow_picture(image), image.info.get("duration")
        except Exception as error:
            raise UserError(f"{path}: damaged or cut short: image {k + 1} cannot be decoded") from error
        yield frame, shown / 1000 if shown else None


def _pillow_picture(image: Any) -> np.ndarray:
    if image.mode in ("L", "I", "I;16", "F"):
        return np.array(image)
    if image.mode == "1":
        return np.array(image.convert("L"))
    if image.mode == "LA":
        return over_black(*np.moveaxis(np.array(image), -1, 0))
    colour = np.array(image.convert("RGBA"))
    return over_black(colour[..., :3], colour[..., 3])
