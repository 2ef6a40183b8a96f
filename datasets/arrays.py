"""Arrays in files: NumPy's ``.npy`` and ``.npz``, and HDF5 and zarr where their packages are installed.

All but ``.npz`` are read frame by frame. An array is one clip or many, in a layout that ``sqair.datasets.layouts``
tells, of truth values, whole numbers or floats (``sqair.datasets.depth``).
"""

from __future__ import annotations

import importlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sqair.datasets.clip import DEFAULT_FPS, ClipSource, Frame, evenly
from sqair.datasets.depth import Range, check_finite, say_range, spread, to_uint8, told_range
from sqair.datasets.images import to_channels
from sqair.datasets.layouts import Layout, told_layout
from sqair.datasets.sayings import say
from sqair.errors import UserError

_DAMAGE = (OSError, ValueError, EOFError, MemoryError, RuntimeError, KeyError, zipfile.BadZipFile, zlib.error)
_OURS = {"presence", "truth_box"}
"""Arrays of an archive that ``sqair generate`` wrote: its ``frames`` are ``[N, T, H, W]``."""
_KINDS = (
    "numbers [N, T, H, W] or [T, H, W], perhaps with 1 or 3 channels before or behind H, W, "
    "or 4 behind if uint8 or uint16"
)


def is_array(path: Path) -> bool:
    """Whether the name is that of a file, or of a zarr folder, that holds arrays."""
    return path.suffix.lower() in _OPENERS


def array_clips(path: Path, channels: int | None, shown: Range | None) -> list[ClipSource]:
    """The clips in a file of arrays: one, named by the file, or many, named 000000, 000001, ...

    Args:
        channels: of the frames: 1, 3, or None for as they are stored.
        shown: the values of black and of white; None tells them from the frames, one range for all clips.

    Raises:
        UserError: the file cannot be read, or holds no array of clips, or more than one.
    """
    try:
        key, array, ours = _OPENERS[path.suffix.lower()](path)
        what = f"{key or 'its array'} is {array.dtype} {list(array.shape)}"
        if np.dtype(array.dtype).kind not in "buif" or 0 in array.shape:
            wrong = "there is nothing in it" if 0 in array.shape else f"not {_KINDS}"
            raise UserError(f"{path}: {what}: {wrong}")
        layout, told = told_layout(array, clips_first=ours)
        if layout is None or (layout.size("C") == 4 and array.dtype not in (np.uint8, np.uint16)):
            raise UserError(f"{path}: {what}: not {_KINDS}")
        if told:
            say(f"{path}: {what}, taken for [{', '.join(layout.axes)}], by which frames are alike")
        if shown is None:
            shown = _told_range(path, layout)
            say_range(path, np.dtype(array.dtype), shown)
    except _DAMAGE as error:
        raise UserError(f"{path}: cannot be read: {_first_line(error)}") from error
    first = layout.raw(0, 0)
    size, length, many = (first.shape[0], first.shape[1]), layout.size("T"), "N" in layout.axes
    return [
        ClipSource(
            f"{n:06d}" if many else path.stem, path, size, length, DEFAULT_FPS,
            partial(_frames, path, layout, n, channels, shown), shown,
        )
        for n in range(layout.size("N"))
    ]  # fmt: skip


def _frames(path: Path, layout: Layout, clip: int, channels: int | None, shown: Range) -> Iterator[Frame]:
    def images() -> Iterator[np.ndarray]:
        for t in range(layout.size("T")):
            try:
                yield to_channels(to_uint8(layout.image(clip, t), shown), channels)
            except (UserError, *_DAMAGE) as error:
                raise _in_frame(path, layout, clip, t, error) from error

    return evenly(images(), DEFAULT_FPS)


def _told_range(path: Path, layout: Layout) -> Range:
    """The range of some frames, spread over all clips."""
    if layout.array.dtype == np.bool_:
        return 0.0, 1.0
    clips, length = layout.size("N"), layout.size("T")

    def images() -> Iterator[np.ndarray]:
        for place in spread(clips * length):
            clip, t = divmod(place, length)
            image = layout.image(clip, t)
            try:
                check_finite(image)
            except UserError as error:
                raise _in_frame(path, layout, clip, t, error) from error
            yield image

    return told_range(images())


def _in_frame(path: Path, layout: Layout, clip: int, t: int, error: Exception) -> UserError:
    which = f"clip {clip}, frame {t}" if "N" in layout.axes else f"frame {t}"
    return UserError(f"{path}: {which} (from 0): {_first_line(error)}")


def _npy(path: Path) -> tuple[str, Any, bool]:
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty")
    return "", np.load(path, mmap_mode="r", allow_pickle=False), False


def _npz(path: Path) -> tuple[str, Any, bool]:
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty")
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path}: not an .npz archive, or cut short")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        key = _chosen(path, archive)
        return key, archive[key], archive.files is not None and set(archive.files) >= _OURS


def _hdf5(path: Path) -> tuple[str, Any, bool]:
    h5py = _package(path, "h5py")
    file = h5py.File(path, "r")
    found: dict[str, Any] = {}
    file.visititems(lambda name, thing: found.update({name: thing}) if isinstance(thing, h5py.Dataset) else None)
    key = _chosen(path, found)
    return key, found[key], False


def _zarr(path: Path) -> tuple[str, Any, bool]:
    zarr = _package(path, "zarr")
    store = zarr.open(str(path), mode="r")
    if not hasattr(store, "arrays"):
        return "", store, False
    found = dict(store.arrays())
    key = _chosen(path, found)
    return key, found[key], False


_OPENERS = {".npy": _npy, ".npz": _npz, ".h5": _hdf5, ".hdf5": _hdf5, ".zarr": _zarr}
"""By the ending of a name: what gives the name of the array in the file, the array, and whether we wrote it."""


def _chosen(path: Path, arrays: Mapping[str, Any]) -> str:
    """The name of the array ``frames``, or of the only one that may be clips, which is said."""
    if "frames" in arrays:
        return "frames"
    names = list(arrays)
    clips = [name for name in names if _may_be_clips(arrays[name])]
    if len(clips) != 1:
        held = ", ".join(names[:8]) or "nothing"
        raise UserError(f"{path}: it has no array named frames (it has {held}): name the clips so")
    if len(names) > 1:
        say(f"{path}: its array {clips[0]} is read, the only one that may be clips")
    return clips[0]


def _may_be_clips(array: Any) -> bool:
    return len(array.shape) >= 3 and np.dtype(array.dtype).kind in "buif" and min(array.shape) > 0


def _package(path: Path, name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"{path}: reading it needs the package {name}: pip install {name}") from error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
