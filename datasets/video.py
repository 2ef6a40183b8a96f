"""Video in: files, folders, globs and archives become named clips of uint8 frames.

Files are opened as they are listed, so that bad input is known before any work is done, and are then read
frame by frame: a long video is never in memory. Frames are ``[H, W]`` (grey) or RGB ``[H, W, 3]``.

What cannot be seen: a video whose bits were flipped may decode to wrong pixels without any error from the
decoder. Frames that are lost to it are noticed where the container promises a number of frames or a duration
(``sqair.datasets.containers``). PNG files and ``.npz`` archives carry checksums, which are checked.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from sqair.datasets.arrays import array_clips, is_array
from sqair.datasets.camera import camera_clip
from sqair.datasets.capture import is_stream, stream_clip, video_clip
from sqair.datasets.clip import ClipSource
from sqair.datasets.depth import Range, checked_range
from sqair.datasets.images import encode_png, read_image, write_png
from sqair.datasets.names import told_apart
from sqair.datasets.sequences import image_clips, is_image, mot_sequence, read_info
from sqair.errors import UserError

__all__ = ["encode_png", "read_image", "read_source", "write_png"]

UNSUPPORTED = {
    ".dcm": "DICOM", ".nii": "NIfTI", ".mat": "a MATLAB file", ".pt": "a PyTorch file", ".pth": "a PyTorch file",
    ".pkl": "a pickle", ".nd2": "Nikon ND2", ".czi": "Zeiss CZI", ".lif": "Leica LIF", ".fits": "FITS", ".fit": "FITS",
    ".exr": "OpenEXR", ".psd": "Photoshop", ".svg": "SVG", ".heic": "HEIC", ".heif": "HEIF", ".jp2": "JPEG 2000",
    ".jxl": "JPEG XL", ".dng": "a raw photograph", ".nef": "a raw photograph", ".cr2": "a raw photograph",
}  # fmt: skip
"""Files of known kinds that nothing here reads."""
VIDEO_SUFFIXES = {
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp",
    ".ogv", ".mjpeg", ".mjpg", ".h264", ".264", ".gif",
}  # fmt: skip
"""Of the files of a folder, those that are videos; a file that is named itself is opened whatever its name."""


def read_source(
    source: str | Path | Sequence[str | Path],
    *,
    channels: int | None = None,
    fps: float | None = None,
    shown: tuple[float, float] | None = None,
) -> list[ClipSource]:
    """The clips of ``source``, or of several one after another, which is one of

    - a video file: one clip, named by the file's stem;
    - a folder of images, in natural order of their names: one clip, named by the folder;
    - a folder of videos: a clip each; folders in it are not looked into;
    - a MOTChallenge sequence (a folder that holds ``img1/``) or a folder of them: a clip each, by that name;
    - a folder of folders of images: a clip each, likewise;
    - a stack or an animation (TIFF, APNG, WebP) or a folder of them: a clip each, by the file's stem;
    - an array in an ``.npy``, ``.npz``, HDF5 or zarr (``sqair.datasets.arrays``): 000000, 000001, ..., or one clip;
    - a glob: the images that it matches are one clip, anything else is read as above;
    - the number of a camera, such as 0: a clip without end;
    - the address of a stream (``rtsp://``, ``http://`` and a few more): a clip of what it sends from now on.

    Clips of one name are told apart by the names of their folders (``sqair.datasets.names``).

    ``channels`` is 1 for grey frames ``[H, W]`` (BT.601 luma of colour), 3 for RGB ``[H, W, 3]`` (grey is
    repeated), or None for frames as they are stored, where a video is RGB and images of one clip may be of both kinds.
    ``fps`` is the number of frames per second, whatever the source says.
    ``shown`` are the values that are black and white, as ``--range`` says them; None tells them from each clip that is
    not of 8 bits (``sqair.datasets.depth``), and prints a line about it.

    Raises:
        UserError: the source is missing, empty, damaged, of no known kind, or holds no frames.
    """
    if channels not in (None, 1, 3):
        raise ValueError(f"channels is 1, 3 or None, got {channels}")
    shown = checked_range(shown)
    sources = [source] if isinstance(source, str | Path) else source
    clips = told_apart([clip for one in sources for clip in _list_clips(str(one), channels, shown)])
    return clips if fps is None else [clip.at_rate(fps) for clip in clips]


def _list_clips(source: str, channels: int | None, shown: Range | None) -> list[ClipSource]:
    if is_stream(source):
        return [stream_clip(source, channels, shown)]
    path = Path(source)
    if path.exists() and is_array(path):
        return array_clips(path, channels, shown)
    if path.is_dir():
        return _folder_clips(path, channels, shown)
    if path.exists():
        if (kind := path.suffix.lower()) in UNSUPPORTED:
            raise UserError(f"{path}: {UNSUPPORTED[kind]} is not supported: save its frames as images, or as .npy")
        return image_clips(path, [path], channels, shown) if is_image(path) else [video_clip(path, channels, shown)]
    if source.isdecimal() and shown is not None:
        raise UserError(f"camera {source}: its frames are of 8 bits and taken as they are: leave out --range")
    if source.isdecimal():
        return [camera_clip(int(source), channels)]
    if not glob.has_magic(source):
        raise UserError(f"{source}: no such file or folder")
    matches = _natural_order(Path(match) for match in glob.glob(source, recursive=True))
    images = [match for match in matches if is_image(match)]
    if not matches:
        raise UserError(f"{source}: matches no file")
    if not images:
        return [clip for match in matches for clip in _list_clips(str(match), channels, shown)]
    if len(images) < len(matches):
        other = next(match for match in matches if match not in images)
        raise UserError(f"{source}: matches images and other things ({other}): let it match one kind")
    return image_clips(Path(source), images, channels, shown, name=images[0].absolute().parent.name)


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _count(things: Sequence[Path], noun: str) -> str:
    return f"{len(things)} {noun}{'s' * (len(things) != 1)}"


def _natural_order(paths: Iterable[Path]) -> list[Path]:
    """``paths`` with the numbers in their names in order of value: a2 before a10."""

    def key(path: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path))]

    return sorted(paths, key=key)


def _folder_clips(folder: Path, channels: int | None, shown: Range | None) -> list[ClipSource]:
    entries = _entries(folder)
    images, videos = [e for e in entries if is_image(e)], [e for e in entries if _is_video(e)]
    sequences = [folder] if _image_folder(folder) else [e for e in entries if not images and _image_folder(e)]
    if videos and (images or sequences not in ([], [folder])):
        other = f"{_count(images, 'image')}" if images else f"{_count(sequences, 'folder')} with img1/"
        example = f"{folder}/*{videos[0].suffix}"
        raise UserError(f"{folder}: holds {_count(videos, 'video')} and {other}: say which, such as '{example}'")
    if images:
        return image_clips(folder, images, channels, shown)
    if sequences:
        return [_sequence(sequence, channels, shown) for sequence in sequences]
    folders = {e: [f for f in _entries(e) if is_image(f)] for e in entries if e.is_dir() and not videos}
    if any(folders.values()):
        return [clip for path, found in folders.items() if found for clip in image_clips(path, found, channels, shown)]
    if not videos:
        advice = f"videos in folders of it: '{folder}/**/*.mp4'"
        raise UserError(f"{folder}: holds no images, no videos and no folders of images ({advice})")
    return [video_clip(video, channels, shown) for video in videos]


def _entries(folder: Path) -> list[Path]:
    try:
        return _natural_order(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {error.strerror}") from error


def _image_folder(folder: Path) -> Path | None:
    """Where the images of a MOTChallenge sequence are: what ``imDir`` of its seqinfo.ini says, or ``img1``."""
    if not folder.is_dir():
        return None
    named = folder / read_info(folder).get("Sequence", "imDir", fallback="img1")
    if named.is_dir():
        return named
    if named.name != "img1":
        raise UserError(f"{folder / 'seqinfo.ini'}: there is no folder {named}, which imDir names")
    return None


def _sequence(folder: Path, channels: int | None, shown: Range | None) -> ClipSource:
    place = _image_folder(folder)
    assert place is not None
    images = [image for image in _entries(place) if is_image(image)]
    if not images:
        raise UserError(f"{place}: holds no images")
    return mot_sequence(folder, images, channels, shown)
