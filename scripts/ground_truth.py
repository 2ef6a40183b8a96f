"""Ground truth from where a user has it: MOTChallenge files and folders, or the ``.npz`` of ``sqair generate``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from sqair.files.mot_io import find_images, list_mot, read_length
from sqair.files.mot_rows import Rows, read_rows


class Truth(NamedTuple):
    """The ground truth of a clip.

    Attributes:
        rows: its boxes.
        length: frames of the clip, None where nothing says it.
        frames: what to read the frames from, with this clip's name or as a single clip; None where they are not there.
        path: the file.
    """

    rows: Rows
    length: int | None
    frames: Path | None
    path: Path


def read_truth(path: Path, *, full: bool = False) -> dict[str, Truth]:
    """The ground truth of the clips at ``path`` by their names.

    ``path`` is an ``.npz`` of :func:`sqair.datasets.folders.write_npz`, or what
    :func:`sqair.files.mot_io.list_mot` takes. With ``full``, the boxes of an ``.npz`` are those of whole objects, not
    of what is visible of them.

    Raises:
        UserError: it is none of these, or a file is malformed.
    """
    if path.suffix.lower() == ".npz":
        return _from_archive(path, full)
    files = list_mot(path)
    return {name: Truth(read_rows(file), read_length(file), find_images(file), file) for name, file in files.items()}


def has_truth(path: Path) -> bool:
    """Whether ``path`` is an ``.npz`` with the ground truth of its frames."""
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    try:
        with path.open("rb") as file, np.load(file) as archive:
            return "truth_box" in archive
    except Exception:  # whatever is wrong with it, who reads its frames says it
        return False


def _from_archive(path: Path, full: bool) -> dict[str, Truth]:
    from sqair.datasets.folders import read_npz

    clips = read_npz(path)
    length = clips.frames.shape[1]
    truths = clips.full if full else clips.truth
    return {f"{i:06d}": Truth(Rows.of(truth, truth=True), length, path, path) for i, truth in enumerate(truths)}
