"""TIFF: pages, one by one, of stacks as cameras and microscopes write them.

tifffile reads the structure (BigTIFF, ImageJ, OME) and the pixels of pages that are not compressed, or by Deflate or
PackBits. OpenCV decodes other compressions and what is no plain grey or RGB. What neither reads is refused by its name.
A file of which pages are cut off is noticed: its chain of pages has to come to its end, and every page has to be in it.
"""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile

from sqair.datasets.alpha import over_black
from sqair.datasets.clip import TruncatedClip
from sqair.datasets.images import opencv
from sqair.errors import UserError

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong is said by an error of ours

MOST_PIXELS = 2**30
"""Of one page: a damaged header may promise any number."""
MOST_CHANNELS = 4
"""More images along the axis of channels are frames: programs that do not name the axes of a stack call it so."""
_OWN = {"NONE", "DEFLATE", "ADOBE_DEFLATE", "PACKBITS"}
"""Compressions that tifffile decodes itself."""
_BY_OPENCV = {"MINISBLACK", "RGB", "PALETTE", "YCBCR", "SEPARATED", "MINISWHITE"}

Pages = Iterator[tuple[np.ndarray, None]]


class _Stack(NamedTuple):
    """The images of an open TIFF: a page each, or all in one array ``[T, H, W]`` that ImageJ wrote behind one page."""

    pages: Any
    array: np.ndarray | None
    count: int


def open_tiff(path: Path) -> tuple[int, float | None, Callable[[Sequence[int] | None], Pages]]:
    """How many images a TIFF holds, how many are shown a second (if it says), and what makes an iterator over them.

    Raises:
        UserError: it is damaged, or holds several kinds of images or channels, so that it is no clip.
    """
    with _opened(path) as tif:
        count = _stack(path, tif).count
        interval = (tif.imagej_metadata or {}).get("finterval") if tif.is_imagej else None
    fps = 1 / interval if isinstance(interval, float | int) and interval > 0 else None
    return count, fps, partial(_images, path)


def _opened(path: Path) -> tifffile.TiffFile:
    try:
        return tifffile.TiffFile(path)
    except Exception as error:  # tifffile raises whatever a damaged file makes it
        raise UserError(f"{path}: not an image that can be decoded") from error


def _stack(path: Path, tif: tifffile.TiffFile) -> _Stack:
    try:
        series = [one for one in tif.series if not one.keyframe.is_reduced]
        kinds = [(one.axes, one.shape) for one in series]
        pages = series[0].pages
    except Exception as error:
        raise UserError(f"{path}: damaged or cut short: its pages cannot be listed") from error
    if len(series) > 1:
        shapes = ", ".join(f"{list(shape)}" for _, shape in kinds[:3])
        raise UserError(f"{path}: holds images of several kinds ({shapes}): save those of one kind as a file")
    axes, shape = kinds[0]
    more = {axis: n for axis, n in zip(axes, shape, strict=True) if axis not in "YXS" and n > 1}
    if more.get("C", MOST_CHANNELS + 1) <= MOST_CHANNELS or len(more) > 1:
        held = ", ".join(f"{n} along {axis}" for axis, n in more.items())
        raise UserError(f"{path}: holds {held}: save one channel and one plane as a file, [T, Y, X]")
    count = int(np.prod([*more.values()]))
    if len(pages) == count:
        return _Stack(pages, None, count)
    if series[0].dataoffset is None or len(axes) != 2 + len(more):
        raise UserError(f"{path}: holds {count} images in {len(pages)} pages, which is not supported")
    try:
        array = tifffile.memmap(path, mode="r")
    except Exception as error:
        raise UserError(f"{path}: cut short or damaged: {count} images do not fit into it") from error
    return _Stack(pages, array.reshape(count, *array.shape[-2:]), count)


def _images(path: Path, places: Sequence[int] | None) -> Pages:
    with _opened(path) as tif:
        stack = _stack(path, tif)
        for k in range(stack.count) if places is None else places:
            if stack.array is not None:
                yield np.array(stack.array[k]), None
                continue
            try:
                image = _read(path, tif, stack.pages[k])
            except UserError:
                raise
            except Exception as error:
                where = f": page {k + 1} cannot be decoded" if stack.count > 1 else ""
                raise UserError(f"{path}: damaged or cut short{where}") from error
            yield image, None
        if places is not None or stack.array is not None:
            return
        if stack.count < _promised(tif) or not _chain_is_whole(path, tif):
            found = stack.count
            raise TruncatedClip(f"{path}: damaged or cut short: only {found} of its pages can be found", found)


def _promised(tif: tifffile.TiffFile) -> int:
    """How many images the text in the first page says that there are; 1 where it does not say."""
    text = tif.pages.first.description
    if text.startswith("ImageJ="):
        return int((re.findall(r"^images=(\d+)", text, re.MULTILINE) or [1])[0])
    shape = re.match(r'\{"shape": \[([\d, ]+)\]', text)  # as tifffile writes it
    sides = [int(side) for side in shape[1].split(",")] if shape else []
    return int(np.prod(sides)) // max(1, int(np.prod(tif.pages.first.shape)))


def _chain_is_whole(path: Path, tif: tifffile.TiffFile) -> bool:
    """Whether the pages, each of which says where the next one is, come to an end inside the file."""
    big, order = tif.is_bigtiff, tif.byteorder
    (offset, size), (count, step) = (("Q", 8), ("Q", 20)) if big else (("I", 4), ("H", 12))
    seen = set()
    with path.open("rb") as file:
        file.seek(8 if big else 4)
        data = file.read(size)
        while len(data) == size:
            (start,) = struct.unpack(order + offset, data)
            if start == 0 or start in seen:
                return start == 0
            seen.add(start)
            file.seek(start)
            tags = file.read(struct.calcsize(count))
            if len(tags) < struct.calcsize(count):
                return False
            file.seek(struct.unpack(order + count, tags)[0] * step, 1)
            data = file.read(size)
    return False


def _read(path: Path, tif: tifffile.TiffFile, page: Any) -> np.ndarray:
    """The image of a page, ``[H, W]`` or RGB ``[H, W, 3]``."""
    key, size = page.keyframe, tif.filehandle.size
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if key.imagewidth * key.imagelength > MOST_PIXELS or not segments:
        raise ValueError("no page has as many pixels")
    if any(start <= 0 or length <= 0 or start + length > size for start, length in segments):
        raise ValueError("pixels are beyond the end of the file")
    photometric = getattr(key.photometric, "name", str(key.photometric))
    plain = photometric in ("MINISBLACK", "RGB") or (photometric == "MINISWHITE" and key.dtype.kind in "bu")
    if plain and key.compression.name in _OWN and key.bitspersample in (1, 8, 16, 32, 64):
        try:
            return _coloured(path, key, photometric, page.asarray())
        except (KeyError, ValueError, NotImplementedError) as error:
            if "imagecodecs" not in str(error):
                raise
    return _by_opencv(path, tif, page, photometric)


def _coloured(path: Path, key: Any, photometric: str, image: np.ndarray) -> np.ndarray:
    """What tifffile reads of a plain page, with colours last and alpha applied."""
    image = image * np.uint8(255) if image.dtype == np.bool_ else image
    if photometric == "MINISWHITE":
        image = np.iinfo(image.dtype).max - image
    if key.axes in ("YX", "ZYX") and image.ndim == 2:
        return image
    image = np.moveaxis(image, 0, -1) if key.axes == "SYX" else image
    colours = 3 if photometric == "RGB" else 1
    extras = [int(extra) for extra in key.extrasamples]
    if image.ndim != 3 or image.shape[2] not in (colours, colours + 1):
        raise UserError(f"{path}: has {image.shape[-1]} channels, of which {colours} can be shown: save these alone")
    colour = np.ascontiguousarray(image[..., 0] if colours == 1 else image[..., :3])
    if image.shape[2] == colours or extras == [1]:  # 1: the colour is already multiplied by alpha
        return colour
    if extras not in ([], [2]):
        raise UserError(f"{path}: does not say what its last channel is: save it without, or as alpha")
    return over_black(colour, image[..., -1])


def _by_opencv(path: Path, tif: tifffile.TiffFile, page: Any, photometric: str) -> np.ndarray:
    """A page as OpenCV decodes it: it sees the file as if the page were the first one."""
    cv2, key = opencv(), page.keyframe
    kind = f"{key.compression.name} compression, {photometric}, {key.samplesperpixel} x {key.bitspersample} bits"
    unsupported = UserError(f"{path}: a TIFF of {kind} is not supported: save it without compression, as grey or RGB")
    extras = [int(extra) for extra in key.extrasamples]
    has_alpha = photometric == "RGB" and key.samplesperpixel == 4 and extras in ([], [1], [2])
    alone = key.samplesperpixel in (1, 3) or (photometric == "SEPARATED" and key.samplesperpixel == 4)
    if photometric not in _BY_OPENCV or not (alone or has_alpha):
        raise unsupported
    if tif.filehandle.size >= 2**31:
        raise UserError(f"{path}: a compressed TIFF of 2 GiB and more: install imagecodecs, or save it uncompressed")
    data = np.memmap(path, np.uint8, "c")
    at, form = (8, "Q") if tif.is_bigtiff else (4, "I")
    offset = struct.pack(tif.byteorder + form, page.offset)
    data[at : at + len(offset)] = np.frombuffer(offset, np.uint8)
    flags = cv2.IMREAD_UNCHANGED if has_alpha else cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    try:
        image = cv2.imdecode(data, flags)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError("OpenCV decodes nothing") if photometric in ("MINISBLACK", "RGB") else unsupported
    if key.bitspersample in (10, 12, 14):
        image = image >> (16 - key.bitspersample)
    if image.ndim == 2:
        return image
    if image.shape[2] == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    colour = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
    multiplied = extras == [1] or (extras == [2] and key.bitspersample == 8)  # libtiff does it for bytes
    return np.ascontiguousarray(colour[..., :3]) if multiplied else over_black(colour[..., :3], colour[..., 3])
