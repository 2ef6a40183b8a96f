"""What a source holds, told without reading it: parts, each opened when its turn comes.

Listing thousands of files takes neither their time nor memory or open files, and one that is damaged is known when it
is opened.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from sqair.datasets.arrays import array_clips, is_array
from sqair.datasets.camera import camera_clip
from sqair.datasets.capture import is_stream, stream_clip, stream_name, video_clip, without_password
from sqair.datasets.clip import ClipSource
from sqair.datasets.depth import Range, checked_range
from sqair.datasets.names import told_apart
from sqair.datasets.sequences import are_stacks, files_clip, is_image, mot_sequence, read_info, stack_clip
from sqair.errors import UserError

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



@dataclass(frozen=True)
class Part:
    """What is opened by itself: a video, a folder of images, a stack, a file of arrays, a camera, a stream.

    Attributes:
        name: of its clip, told from those of other parts; where it holds many, what stands before their names.
        path: what its errors name: a path, or the address of a stream.
        opener: makes its clips; another process can be sent it.
        endless: whether it is a camera or a stream, seen once.
    """

    name: str
    path: Path | str
    opener: Callable[[], list[ClipSource]] = field(repr=False)
    endless: bool = False

    def open(self, fps: float | None = None) -> list[ClipSource]:
        """Its clips under their names, at ``fps`` frames per second if that is given. Raises UserError as the source
        of its kind does."""
        clips = self.opener()
        names = [self.name] if len(clips) == 1 else [f"{self.name}-{clip.name}" for clip in clips]
        named = [replace(clip, name=name) for clip, name in zip(clips, names, strict=True)]
        return named if fps is None else [clip.at_rate(fps) for clip in named]


def list_parts(sources: str | Path | Sequence[str | Path], shown: Range | None = None) -> list[Part]:
    """The parts of a source, or of several, in the order and under the names of the clips of ``read_source``, to be
    opened one at a time. Of files of many clips each clip's name has that of the file before it.

    Raises UserError where nothing is there or it is of no known kind; damaged files are found when they are opened.
    """
    shown = checked_range(shown)
    many = [sources] if isinstance(sources, str | Path) else sources
    return told_apart([part for source in many for part in parts_of(str(source), None, shown)])


def parts_of(source: str, channels: int | None, shown: Range | None) -> list[Part]:
    """The parts of one source, whose frames have so many ``channels`` and are ``shown`` as ``read_source`` says."""
    how = (channels, shown)
    if is_stream(source):
        name = stream_name(source)
        return [Part(name, without_password(source), partial(_one, stream_clip, source, *how), endless=True)]
    path = Path(source)
    if path.exists() and is_array(path):
        return [Part(path.stem, path, partial(array_clips, path, *how))]
    if path.is_dir():
        return list(_in_folder(path, *how))
    if path.exists():
        return [_file(path, *how)]
    if source.isdecimal() and shown is not None:
        raise UserError(f"camera {source}: its frames are of 8 bits and taken as they are: leave out --range")
    if source.isdecimal():
        opener = partial(_one, camera_clip, int(source), channels)
        return [Part(f"camera{source}", f"camera {source}", opener, endless=True)]
    if not glob.has_magic(source):
        raise UserError(f"{source}: no such file or folder")
    matches = natural_order(Path(match) for match in glob.glob(source, recursive=True))
    images = [match for match in matches if is_image(match)]
    if not matches:
        raise UserError(f"{source}: matches no file")
    if not images:
        return [part for match in matches for part in parts_of(str(match), *how)]
    if len(images) < len(matches):
        other = next(match for match in matches if match not in images)
        raise UserError(f"{source}: matches images and other things ({other}): let it match one kind")
    if are_stacks(images):
        return [_stack(image, *how) for image in images]
    name = images[0].absolute().parent.name
    return [Part(name, path, partial(_one, files_clip, path, images, *how, name=name))]


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """``paths`` with the numbers in their names in order of value: a2 before a10."""

    def key(path: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path))]

    return sorted(paths, key=key)


def _one(make: Callable[..., ClipSource], *args: object, **options: object) -> list[ClipSource]:
    return [make(*args, **options)]


def _refused(message: str) -> list[ClipSource]:
    raise UserError(message)


def _file(path: Path, channels: int | None, shown: Range | None) -> Part:
    if kind := UNSUPPORTED.get(path.suffix.lower()):
        message = f"{path}: {kind} is not supported: save its frames as images, or as .npy"
        return Part(path.stem, path, partial(_refused, message))
    if is_image(path):
        return _stack(path, channels, shown)
    return Part(path.stem, path, partial(_one, video_clip, path, channels, shown))


def _stack(path: Path, channels: int | None, shown: Range | None) -> Part:
    return Part(path.absolute().stem, path, partial(_one, stack_clip, path, channels, shown))


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _count(things: Sequence[Path], noun: str) -> str:
    return f"{len(things)} {noun}{'s' * (len(things) != 1)}"


def _in_folder(folder: Path, channels: int | None, shown: Range | None) -> Iterator[Part]:
    """The parts of a folder of videos, images, stacks or sequences, or of folders of images."""
    entries, how = _entries(folder), (channels, shown)
    images, videos = [e for e in entries if is_image(e)], [e for e in entries if _is_video(e)]
    sequences = [folder] if _is_sequence(folder) else [e for e in entries if not images and _is_sequence(e)]
    if videos and (images or sequences not in ([], [folder])):
        other = f"{_count(images, 'image')}" if images else f"{_count(sequences, 'folder')} with img1/"
        example = f"{folder}/*{videos[0].suffix}"
        raise UserError(f"{folder}: holds {_count(videos, 'video')} and {other}: say which, such as '{example}'")
    if images:
        yield from _of_images(folder, images, *how)
    elif sequences:
        yield from (Part(path.absolute().name, path, partial(_one, _sequence, path, *how)) for path in sequences)
    elif videos:
        yield from (Part(video.stem, video, partial(_one, video_clip, video, *how)) for video in videos)
    else:
        yield from _in_folders(folder, entries, *how)


def _in_folders(folder: Path, entries: Sequence[Path], channels: int | None, shown: Range | None) -> Iterator[Part]:
    """The parts of folders of images in a folder."""
    found = False
    for path in filter(Path.is_dir, entries):
        if inner := [entry for entry in _entries(path) if is_image(entry)]:
            found = True
            yield from _of_images(path, inner, channels, shown)
    if not found:
        advice = f"videos in folders of it: '{folder}/**/*.mp4'"
        raise UserError(f"{folder}: holds no images, no videos and no folders of images ({advice})")


def _of_images(folder: Path, images: Sequence[Path], channels: int | None, shown: Range | None) -> Iterator[Part]:
    if are_stacks(images):
        yield from (_stack(image, channels, shown) for image in images)
    else:
        yield Part(folder.absolute().name, folder, partial(_one, _images, folder, channels, shown))


def _images(folder: Path, channels: int | None, shown: Range | None) -> ClipSource:
    """The clip of all images of a folder, which are listed when it is opened: a list of them all would be long."""
    images = [image for image in _entries(folder) if is_image(image)]
    return files_clip(folder, images, channels, shown, name=folder.absolute().name)


def _entries(folder: Path) -> list[Path]:
    try:
        return natural_order(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {error.strerror}") from error


def _is_sequence(folder: Path) -> bool:
    """Whether a folder is a MOTChallenge sequence, or would be if its seqinfo.ini were in order."""
    try:
        return _place(folder) is not None
    except UserError:
        return True


def _place(folder: Path) -> Path | None:
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
    place = _place(folder)
    assert place is not None
    images = [image for image in _entries(place) if is_image(image)]
    if not images:
        raise UserError(f"{place}: holds no images")
    return mot_sequence(folder, images, channels, shown)
