"""Clips of image files: of a folder of them, of a MOTChallenge sequence, of a stack or an animation.

A clip is of files with one image each, or of one file with many. Its frames are brought to uint8 by one range
(``sqair.datasets.depth``) and bear the numbers of the files (``sqair.datasets.numbering``). Listing it decodes the
first image, and some more where it is not uint8, from which the range is told.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from sqair.datasets.clip import DEFAULT_FPS, ClipSource, Frame, TruncatedClip
from sqair.datasets.depth import FULL, Range, check_finite, say_range, spread, to_uint8, told_range
from sqair.datasets.images import to_channels
from sqair.datasets.numbering import frame_numbers
from sqair.datasets.stills import Still, open_still, read_still
from sqair.errors import UserError

IMAGE_SUFFIXES = {".png", ".apng", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pnm", ".pbm"}


def is_image(path: Path) -> bool:
    """Whether the name is that of an image, and not of a hidden file."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def are_stacks(images: Sequence[Path]) -> bool:
    """Whether image files, in natural order, are stacks, a clip each, as the first is that can be opened."""
    for image in images:
        try:
            return open_still(image).count > 1
        except UserError:
            continue
    return False


def mot_sequence(folder: Path, images: Sequence[Path], channels: int | None, shown: Range | None) -> ClipSource:
    """The clip of a MOTChallenge sequence: ``folder`` may hold a ``seqinfo.ini`` with frameRate and seqLength.

    Raises:
        UserError: an image that is looked at cannot be read, or the ``seqinfo.ini`` is malformed.
    """
    info = read_info(folder)
    try:
        fps = info.getfloat("Sequence", "frameRate", fallback=DEFAULT_FPS)
        length = info.getint("Sequence", "seqLength", fallback=0)
    except ValueError as error:
        raise UserError(f"{folder / 'seqinfo.ini'}: malformed: {error}") from error
    clip = files_clip(
        folder, images, channels, shown, name=folder.absolute().name, fps=fps if fps > 0 else DEFAULT_FPS
    )
    if length <= len(images):
        return clip
    return replace(clip, length=max(length, clip.length or 0), reader=partial(_promised, clip, len(images), length))


def read_info(folder: Path) -> configparser.ConfigParser:
    """The ``seqinfo.ini`` of a MOTChallenge sequence, which may be absent. Raises UserError if it is malformed."""
    info = configparser.ConfigParser(interpolation=None)
    try:
        info.read(folder / "seqinfo.ini", encoding="utf-8-sig")
    except (configparser.Error, ValueError) as error:
        raise UserError(f"{folder / 'seqinfo.ini'}: malformed: {str(error).splitlines()[0]}") from error
    return info


def _promised(clip: ClipSource, count: int, length: int) -> Iterator[Frame]:
    yield from clip.stamped()
    raise TruncatedClip(f"{clip.path}: has {count} images, but seqinfo.ini promises {length}", count)


def files_clip(
    path: Path,
    images: Sequence[Path],
    channels: int | None,
    shown: Range | None,
    *,
    name: str,
    fps: float = DEFAULT_FPS,
) -> ClipSource:
    """The clip of files with an image each. Its length includes the images that are missing between their numbers.

    Args:
        path: what errors name: the folder or the glob.
        images: in natural order.
        channels: of the frames: 1, 3, or None for as they are stored.
        shown: the values of black and of white; None tells them from the images.

    Raises:
        UserError: an image that is looked at cannot be read.
    """
    first = read_still(images[0])
    shown = shown or _told(path, _some(images), first)
    numbers = frame_numbers(path, [image.stem for image in images])
    reader = partial(_files, images, numbers, shown, channels, fps, first.dtype)
    return ClipSource(name, path, (first.shape[0], first.shape[1]), numbers[-1] + 1, fps, reader, shown)


def _told(path: Path, images: Iterator[tuple[Path, np.ndarray]], first: np.ndarray) -> Range:
    """The range of a clip, which is said: told from images with their files, unless ``first`` is of uint8."""
    shown = FULL
    if first.dtype != np.uint8:
        alike = (_finite(file, image) for file, image in images if image.dtype == first.dtype)
        shown = told_range(alike)
    say_range(path, first.dtype, shown)
    return shown


def _finite(path: Path, image: np.ndarray) -> np.ndarray:
    try:
        check_finite(image)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return image


def _some(images: Sequence[Path]) -> Iterator[tuple[Path, np.ndarray]]:
    """Images spread over a clip. What is wrong with one is said when it is read as a frame."""
    for k in spread(len(images)):
        try:
            image = read_still(images[k])
        except UserError:
            continue
        yield images[k], image


def _files(
    images: Sequence[Path], numbers: Sequence[int], shown: Range, channels: int | None, fps: float, kind: np.dtype
) -> Iterator[Frame]:
    size = None
    for image, number in zip(images, numbers, strict=True):
        raw = read_still(image)
        size = size or raw.shape[:2]
        if raw.shape[:2] != size:
            raise UserError(f"{image}: is {_sides(raw.shape)} pixels, but {images[0].name} is {_sides(size)}")
        if raw.dtype != kind:
            raise UserError(f"{image}: is of type {raw.dtype}, but {images[0].name} is {kind}: give them alike")
        yield Frame(_shown(image, raw, shown, channels), number, number / fps)


def stack_clip(path: Path, channels: int | None, shown: Range | None) -> ClipSource:
    """The clip of one file, of the images in it; otherwise like ``files_clip``."""
    still = open_still(path)
    first, _ = next(still.images([0]))
    shown = shown or _told(path, _pages(path, still), first)
    fps = still.fps or DEFAULT_FPS
    reader = partial(_images, path, shown, channels, fps)
    return ClipSource(path.absolute().stem, path, (first.shape[0], first.shape[1]), still.count, fps, reader, shown)


def _pages(path: Path, still: Still) -> Iterator[tuple[Path, np.ndarray]]:
    """Images spread over a stack, up to one that cannot be read."""
    images = still.images(spread(still.count))
    while True:
        try:
            image, _ = next(images)
        except (StopIteration, UserError):
            return
        yield path, image


def _images(path: Path, shown: Range, channels: int | None, fps: float) -> Iterator[Frame]:
    seconds, size = 0.0, None
    for number, (image, lasts) in enumerate(_up_to_damage(open_still(path))):
        size = size or image.shape[:2]
        if image.shape[:2] != size:
            raise UserError(f"{path}: image {number + 1} is {_sides(image.shape)} pixels, the first {_sides(size)}")
        yield Frame(_shown(path, image, shown, channels), number, number / fps if lasts is None else seconds)
        seconds += lasts or 0.0


def _up_to_damage(still: Still) -> Iterator[tuple[np.ndarray, float | None]]:
    """The images of a stack, and TruncatedClip at the first that cannot be read, unless there is none before it."""
    images, count = still.images(None), 0
    while True:
        try:
            image = next(images)
        except (StopIteration, TruncatedClip) as end:
            if isinstance(end, TruncatedClip):
                raise
            return
        except UserError as error:
            if count == 0:
                raise
            raise TruncatedClip(str(error), count) from error
        count += 1
        yield image


def _shown(path: Path, raw: np.ndarray, shown: Range, channels: int | None) -> np.ndarray:
    try:
        return to_channels(to_uint8(raw, shown), channels)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _sides(shape: Sequence[int]) -> str:
    return f"{shape[1]}x{shape[0]}"
