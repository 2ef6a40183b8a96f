"""Masks of a clip in ``NAME.masks.npz``: which object shows in each pixel.

    masks   [T, H, W] uint8, or the smallest unsigned integers that hold the ids: 0 for nobody, or an id as in NAME.txt
    frames  [T] int64, the numbers of the frames as in NAME.txt, from 1

or as label maps, ``NAME.masks/000001.png`` and so on, of 16 bits a pixel.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from sqair.errors import UserError
from sqair.files.durable import whole, write_bytes

ENDING = ".masks.npz"
IMAGES = ".masks"
"""Ending of the folder of label maps."""
MOST_LABELS = 65535
"""Largest id that a pixel of a label map holds."""


class MaskWriter:
    """Gathers the masks of a clip, compressed, and writes them at the end."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self._numbers: list[int] = []
        self._size = (0, 0)
        self._largest = 0

    def add(self, labels: np.ndarray, number: int) -> None:
        """The masks ``[H, W]`` of the frame ``number``, counted from 0; all frames are of one size."""
        self._size = (labels.shape[0], labels.shape[1])
        self._largest = max(self._largest, int(labels.max(initial=0)))
        self._packed.append(zlib.compress(labels.astype(np.uint32).tobytes(), 1))
        self._numbers.append(number + 1)

    def rename(self, tables: Sequence[Mapping[int, int]]) -> None:
        """Puts other labels for those of the first frames: what the table of each says, 0 for nobody."""
        self._largest = max((max(table.values(), default=0) for table in tables), default=0)
        for t, table in enumerate(tables):
            labels = np.frombuffer(zlib.decompress(self._packed[t]), dtype=np.uint32)
            old, place = np.unique(labels, return_inverse=True)
            new = np.array([table.get(int(label), 0) for label in old], dtype=np.uint32)
            self._packed[t] = zlib.compress(new[place].tobytes(), 1)

    def write_images(self, folder: Path) -> None:
        """Writes label maps as 16 bit PNG into a folder that is not there: ``000001.png`` is of the frame 1.

        Raises UserError if an id is too large for that.
        """
        if self._largest > MOST_LABELS:
            raise UserError(f"an id is {self._largest}, and pixels of a PNG hold no more than {MOST_LABELS}")
        folder.mkdir()
        for number, labels in zip(self._numbers, self._labels(), strict=True):
            write_bytes(folder / f"{number:06d}.png", cv2.imencode(".png", labels.astype(np.uint16))[1].tobytes())

    def write(self, path: Path) -> None:
        """Writes the file, a frame at a time."""
        kind = np.min_scalar_type(self._largest)
        header = {"descr": kind.str, "fortran_order": False, "shape": (len(self._packed), *self._size)}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("masks.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(file, header)
                for labels in self._labels():
                    file.write(labels.astype(kind).tobytes())
            with archive.open("frames.npy", "w") as file:
                np.lib.format.write_array(file, np.array(self._numbers, dtype=np.int64))

    def _labels(self) -> Iterator[np.ndarray]:
        """The masks of each frame, uint32 ``[H, W]``."""
        for packed in self._packed:
            yield np.frombuffer(zlib.decompress(packed), dtype=np.uint32).reshape(self._size)

    @staticmethod
    def of(labels: np.ndarray) -> MaskWriter:
        """With the masks ``[T, H, W]`` of all frames of a clip."""
        writer = MaskWriter()
        for number, frame in enumerate(labels):
            writer.add(frame, number)
        return writer


def write_masks(path: str | Path, labels: np.ndarray) -> None:
    """Writes the masks ``[T, H, W]`` of all frames of a clip, whole or not at all."""
    writer = MaskWriter.of(labels)
    with whole(path) as partial:
        writer.write(partial)


def read_masks(path: str | Path) -> np.ndarray:
    """The masks ``[T, H, W]`` of a file.

    Raises:
        UserError: the file is missing, damaged, or holds no masks.
    """
    return read_labels(path, "masks", "THW", "`sqair track --masks` writes them")


def read_segments(path: str | Path) -> np.ndarray:
    """Which object shows in each pixel of generated clips, ``[N, T, H, W]``: 0 for the background, 1 and its place.

    Raises:
        UserError: the file is missing, damaged, or holds no segments.
    """
    return read_labels(path, "segments", "NTHW", "`sqair generate --masks` writes them")


def read_labels(path: str | Path, key: str, axes: str, made_by: str) -> np.ndarray:
    """The labels, whole numbers from 0, that an ``.npz`` has under ``key``; ``made_by`` says what writes such files."""
    try:
        with Path(path).open("rb") as file, np.load(file) as archive:
            labels = archive[key] if key in archive else None
    except FileNotFoundError as error:
        raise UserError(f"no such file: {path}: {made_by}") from error
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is not a readable .npz file: make it again") from error
    if labels is None:
        raise UserError(f"{path} has no array {key!r}: {made_by}")
    if labels.dtype.kind not in "iu" or labels.ndim != len(axes) or labels.min(initial=0) < 0:
        is_ = f"{labels.dtype} {list(labels.shape)}"
        raise UserError(f"{path}: {key} is {is_}, it should be whole numbers from 0 of [{', '.join(axes)}]")
    return labels
