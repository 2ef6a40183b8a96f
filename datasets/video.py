"""Video in: files, folders, globs and archives become named clips of uint8 frames.

Files are opened as they are listed, so that bad input is known before any work is done, and are then read
frame by frame: a long video is never in memory. Frames are ``[H, W]`` (grey) or RGB ``[H, W, 3]``.

What cannot be seen: a video whose bits were flipped may decode to wrong pixels without any error from the
decoder. Frames that are lost to it are noticed where the container promises a number of frames or a duration
(``sqair.datasets.containers``). PNG files and ``.npz`` archives carry checksums, which are checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqair.datasets.clip import ClipSource
from sqair.datasets.depth import checked_range
from sqair.datasets.images import encode_png, read_image, write_png
from sqair.datasets.listing import parts_of
from sqair.datasets.names import told_apart

__all__ = ["encode_png", "read_image", "read_source", "write_png"]


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
    parts = [part for one in sources for part in parts_of(str(one), channels, shown)]
    clips = told_apart([clip for part in parts for clip in part.opener()])
    return clips if fps is None else [clip.at_rate(fps) for clip in clips]
