"""Video in: files, folders, globs and ``.npz`` archives become named clips of uint8 frames.

Files are opened as they are listed, so that bad input is known before any work is done, and are then read
frame by frame: a long video is never in memory. Frames are ``[H, W]`` (grey) or RGB ``[H, W, 3]``.

What cannot be seen: a video whose bits were flipped may decode to wrong pixels without any error from the
decoder. Frames that are lost to it are noticed where the container promises a number of frames or a duration
(``sqair.datasets.containers``). PNG files and ``.npz`` archives carry checksums, which are checked.
"""

from __future__ import annotations

import configparser
import glob
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from sqair.datasets.capture import camera_clip, video_clip
from sqair.datasets.clip import DEFAULT_FPS, ClipSource, Frame, TruncatedClip, evenly
from sqair.datasets.images import encode_png, read_image, to_channels, write_png
from sqair.datasets.names import told_apart
from sqair.errors import UserError

__all__ = ["encode_png", "read_image", "read_source", "write_png"]

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pnm"}
VIDEO_SUFFIXES = {
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp",
    ".ogv", ".mjpeg", ".mjpg", ".h264", ".264", ".gif",
}  # fmt: skip
"""Of the files of a folder, those that are videos; a file that is named itself is opened whatever its name."""


def read_source(source: str | Path | Sequence[str | Path], *, channels: int | None = None) -> list[ClipSource]:
    """The clips of ``source``, or of several one after another, which is one of

    - a video file: one clip, named by the file's stem;
    - a folder of images, in natural order of their names: one clip, named by the folder;
    - a folder of videos: a clip each; folders in it are not looked into;
    - a MOTChallenge sequence (a folder that holds ``img1/``) or a folder of them: a clip each, by that name;
    - an ``.npz`` whose ``frames`` are uint8 ``[N, T, H, W]`` or ``[N, T, H, W, 3]``: 000000, 000001, ...;
    - a glob: the images that it matches are one clip, anything else is read as above;
    - the number of a camera, such as 0: a clip without end.

    Clips of one name are told apart by the names of their folders (``sqair.datasets.names``).

    ``channels`` is 1 for grey frames ``[H, W]`` (BT.601 luma of colour), 3 for RGB ``[H, W, 3]`` (grey is
    repeated), or None for frames as they are stored, where a video is RGB.

    Raises:
        UserError: the source is missing, empty, damaged, of no known kind, or holds no frames.
    """
    if channels not in (None, 1, 3):
        raise ValueError(f"channels is 1, 3 or None, got {channels}")
    sources = [source] if isinstance(source, str | Path) else source
    return told_apart([clip for one in sources for clip in _list_clips(str(one), channels)])


def _list_clips(source: str, channels: int | None) -> list[ClipSource]:
    path = Path(source)
    if path.is_dir():
        return _folder_clips(path, channels)
    if path.exists():
        if path.suffix.lower() == ".npz":
            return _npz_clips(path, channels)
        return [_image_clip(path, [path], channels) if _is_image(path) else video_clip(path, channels)]
    if source.isdecimal():
        return [camera_clip(int(source), channels)]
    if not glob.has_magic(source):
        raise UserError(f"{source}: no such file or folder")
    matches = _natural_order(Path(match) for match in glob.glob(source, recursive=True))
    images = [match for match in matches if _is_image(match)]
    if not matches:
        raise UserError(f"{source}: matches no file")
    if not images:
        return [clip for match in matches for clip in _list_clips(str(match), channels)]
    if len(images) < len(matches):
        other = next(match for match in matches if match not in images)
        raise UserError(f"{source}: matches images and other things ({other}): let it match one kind")
    return [replace(_image_clip(Path(source), images, channels), name=images[0].absolute().parent.name)]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _count(things: Sequence[Path], noun: str) -> str:
    return f"{len(things)} {noun}{'s' * (len(things) != 1)}"


def _natural_order(paths: Iterable[Path]) -> list[Path]:
    """``paths`` with the numbers in their names in order of value: a2 before a10."""

    def key(path: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path))]

    return sorted(paths, key=key)


def _folder_clips(folder: Path, channels: int | None) -> list[ClipSource]:
    try:
        entries = _natural_order(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {error.strerror}") from error
    images, videos = [e for e in entries if _is_image(e)], [e for e in entries if _is_video(e)]
    sequences = [folder] if (folder / "img1").is_dir() else [e for e in entries if (e / "img1").is_dir()]
    if videos and (images or sequences not in ([], [folder])):
        other = f"{_count(images, 'image')}" if images else f"{_count(sequences, 'folder')} with img1/"
        example = f"{folder}/*{videos[0].suffix}"
        raise UserError(f"{folder}: holds {_count(videos, 'video')} and {other}: say which, such as '{example}'")
    if images:
        return [_image_clip(folder, images, channels)]
    if sequences:
        return [_mot_sequence(sequence, channels) for sequence in sequences]
    if not videos:
        advice = f"videos in folders of it: '{folder}/**/*.mp4'"
        raise UserError(f"{folder}: holds no images, no videos and no folders with img1/ ({advice})")
    return [video_clip(video, channels) for video in videos]


def _mot_sequence(folder: Path, channels: int | None) -> ClipSource:
    """A folder that holds ``img1/`` and perhaps ``seqinfo.ini`` with ``frameRate`` and ``seqLength``."""
    images = [image for image in _natural_order((folder / "img1").iterdir()) if _is_image(image)]
    if not images:
        raise UserError(f"{folder / 'img1'}: holds no images")
    info = configparser.ConfigParser(interpolation=None)
    try:
        info.read(folder / "seqinfo.ini", encoding="utf-8")
        fps = info.getfloat("Sequence", "frameRate", fallback=DEFAULT_FPS)
        length = info.getint("Sequence", "seqLength", fallback=len(images))
    except (configparser.Error, ValueError) as error:
        raise UserError(f"{folder / 'seqinfo.ini'}: malformed: {_first_line(error)}") from error
    return _image_clip(folder, images, channels, length=length, fps=fps if fps > 0 else DEFAULT_FPS)


def _image_clip(
    path: Path,
    images: list[Path],
    channels: int | None,
    *,
    length: int | None = None,
    fps: float = DEFAULT_FPS,
) -> ClipSource:
    length = length or len(images)
    reader = partial(_image_frames, path, images, length, channels, fps)
    name = path.absolute().stem if path.is_file() else path.absolute().name
    return ClipSource(name, path, _size(read_image(images[0])), length, fps, reader)


def _image_frames(
    path: Path, images: list[Path], length: int, channels: int | None, fps: float
) -> Iterator[Frame]:
    first = None
    for number, image in enumerate(images):
        frame = to_channels(read_image(image), channels)
        first = frame if first is None else first
        if frame.shape != first.shape:
            raise UserError(f"{image}: is {_describe(frame)}, but {images[0].name} is {_describe(first)}")
        yield Frame(frame, number, number / fps)
    if len(images) < length:
        message = f"{path}: has {len(images)} images, but seqinfo.ini promises {length}"
        raise TruncatedClip(message, len(images))


def _size(frame: np.ndarray) -> tuple[int, int]:
    return frame.shape[0], frame.shape[1]


def _describe(frame: np.ndarray) -> str:
    return f"{frame.shape[1]}x{frame.shape[0]} {'grey' if frame.ndim == 2 else 'colour'}"


def _npz_clips(path: Path, channels: int | None) -> list[ClipSource]:
    frames = _npz_frames(path)
    if frames.dtype != np.uint8 or not (frames.ndim == 5 and frames.shape[4] == 3 or frames.ndim == 4):
        raise UserError(
            f"{path}: frames are {frames.dtype} {list(frames.shape)}, "
            "not uint8 [N, T, H, W] or [N, T, H, W, 3]"
        )
    if frames.ndim == 4 and frames.shape[3] == 3:
        raise UserError(f"{path}: frames are {list(frames.shape)}: a single colour clip is [1, T, H, W, 3]")
    if frames.size == 0:
        raise UserError(f"{path}: frames are {list(frames.shape)}: there is nothing in them")
    size, length = _size(frames[0, 0]), frames.shape[1]
    readers = [partial(_array_frames, clip, channels) for clip in frames]
    return [ClipSource(f"{n:06d}", path, size, length, DEFAULT_FPS, read) for n, read in enumerate(readers)]


def _array_frames(clip: np.ndarray, channels: int | None) -> Iterator[Frame]:
    return evenly((to_channels(frame, channels) for frame in clip), DEFAULT_FPS)


_DAMAGE = (OSError, ValueError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)


def _npz_frames(path: Path) -> np.ndarray:
    try:
        if path.stat().st_size == 0:
            raise UserError(f"{path}: the file is empty")
        if not zipfile.is_zipfile(path):
            raise UserError(f"{path}: not an .npz archive, or cut short")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if "frames" not in archive:
                held = ", ".join(archive.files) or "nothing"
                raise UserError(f"{path}: the archive has no array named frames (it has {held})")
            return archive["frames"]
    except _DAMAGE as error:
        raise UserError(f"{path}: cannot be read: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
