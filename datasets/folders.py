"""Clips on disk: MOTChallenge folders and one ``.npz``.

The folders are laid out so that TrackEval and CVAT read them unchanged::

    ROOT/NAME/000000/img1/00000001.png ...   the frames
                     gt/gt.txt               boxes of the visible ink, conf 0 for those to be ignored
                     gt/full.txt             the same rows for whole digits, of all that are present
                     gt/digits.txt           id,numeral
                     gt/clutter.txt          x,y,w,h (from 1) of each piece of clutter, in all frames; often empty
                     gt/labels.txt           the classes' names: 1 is a digit, 8 one too little visible to be scored
                     seqinfo.ini
    ROOT/NAME/source.json                    how the clips were made
    ROOT/seqmaps/NAME.txt                    the clips' names

The ``.npz`` holds these arrays, for N clips, T frames, K digits of a clip at most, H and W pixels:

    frames      [N, T, H, W] uint8
    count       [N, T] int64            how many digits there are, visible or not
    presence    [N, T, K] bool          which digits these are
    labels      [N, K] int64            numerals, -1 where a clip has no such digit
    visibility  [N, T, K] float64       visible fraction of each digit's non-zero pixels; 0 where not present
    truth_box   [N, T, K, 4] float64    x, y, w, h around the visible non-zero pixels; 0 where none is visible
    full_box    [N, T, K, 4] float64    x, y, w, h of the whole digit; 0 where not present
    clutter     [N, P, 4] int64         x, y, w, h of what looks like a digit but never moves; 0 where there is none
    segments    [N, T, H, W] uint8      if asked for: which object shows, 0 for none, otherwise 1 and its place on axis
                                        K; uint16 where K is more than 255
    source      text (JSON)             how the clips were made

Frames in colour are ``[N, T, H, W, 3]``, RGB.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from sqair.datasets.generate import IGNORED_BELOW, Clips
from sqair.errors import UserError
from sqair.files.durable import whole
from sqair.files.mot_io import write_mot
from sqair.tracks import Tracks

FRAME_RATE = 10
"""Frames per second that ``seqinfo.ini`` states; generated clips have no rate of their own."""

_ARRAYS = {
    "frames": (np.uint8, "NTHW"),
    "count": (np.int64, "NT"),
    "presence": (np.bool_, "NTK"),
    "labels": (np.int64, "NK"),
    "visibility": (np.float64, "NTK"),
    "truth_box": (np.float64, "NTK4"),
    "full_box": (np.float64, "NTK4"),
    "clutter": (np.int64, "NP4"),
}

_CLASSES = ("digit", *(f"unused{i}" for i in range(2, 8)), "ignored")


def mot_entries(name: str) -> list[str]:
    """What :func:`write_mot_folder` makes in its root."""
    return [name, f"seqmaps/{name}.txt"]


def write_mot_folder(
    root: str | Path, name: str, chunks: Iterable[Clips], source: Mapping[str, object] | None = None
) -> None:
    """Writes clips as MOTChallenge folders ``ROOT/NAME/000000``, ``000001``, ... and their seqmap.

    Args:
        chunks: the clips, some at a time, with their truth.
        source: how they were made, for ``source.json``.

    Raises:
        UserError: something cannot be written.
    """
    root = Path(root)
    names: list[str] = []
    for clips in chunks:
        for i in range(len(clips)):
            names.append(f"{len(names):06d}")
            _write_clip(root / name / names[-1], clips, i)
    (root / name).mkdir(parents=True, exist_ok=True)
    (root / name / "source.json").write_text(json.dumps(dict(source or {}), indent=2) + "\n")
    (root / "seqmaps").mkdir(exist_ok=True)
    (root / "seqmaps" / f"{name}.txt").write_text("".join(f"{line}\n" for line in ["name", *names]))


def _write_clip(folder: Path, clips: Clips, i: int) -> None:
    from sqair.datasets.video import write_png

    for part in ("img1", "gt"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for t, frame in enumerate(clips.frames[i], start=1):
        write_png(folder / "img1" / f"{t:08d}.png", frame)
    write_mot(folder / "gt" / "gt.txt", clips.truth[i], truth=True)
    write_mot(folder / "gt" / "full.txt", clips.full[i], truth=True)
    numerals = [f"{k},{label}\n" for k, label in enumerate(clips.labels[i].tolist(), start=1) if label >= 0]
    (folder / "gt" / "digits.txt").write_text("".join(numerals))
    (folder / "gt" / "labels.txt").write_text("".join(f"{name}\n" for name in _CLASSES))
    pieces = clips.clutter[i][clips.clutter[i].any(1)].tolist()
    (folder / "gt" / "clutter.txt").write_text("".join(f"{x + 1},{y + 1},{w},{h}\n" for x, y, w, h in pieces))
    length, height, width = clips.frames[i].shape[:3]
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate={FRAME_RATE}\nseqLength={length}\n"
        f"imWidth={width}\nimHeight={height}\nimExt=.png\n"
    )


def write_npz(
    path: str | Path,
    chunks: Iterable[Clips],
    source: Mapping[str, object] | None = None,
    *,
    segments: Iterable[np.ndarray] | None = None,
) -> None:
    """Writes clips with their truth as one ``.npz``, whole or not at all; the module's head lists its arrays.

    Args:
        segments: which object shows in each pixel, as ``make_segments`` returns it, some clips at a time.

    Raises:
        UserError: it cannot be written.
    """
    parts = [_arrays(clips) for clips in chunks]
    arrays: dict[str, np.ndarray] = {key: _joined([part[key] for part in parts]) for key in _ARRAYS}
    if segments is not None:
        arrays["segments"] = _joined(list(segments))
    arrays["source"] = np.array(json.dumps(dict(source or {})))
    with whole(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """All clips of the ``parts``; no copy where there is one only, which may be long."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def read_npz(path: str | Path) -> Clips:
    """The clips that :func:`write_npz` wrote, truth included.

    Raises:
        UserError: the file is missing, damaged, or lacks one of the arrays, or one has another type or shape.
    """
    try:
        with Path(path).open("rb") as file, np.load(file) as data:
            missing = [key for key in _ARRAYS if key not in data]
            arrays = {key: data[key] for key in _ARRAYS if key not in missing}
    except FileNotFoundError as error:
        raise UserError(f"no such file: {path}") from error
    except (
        OSError,
        ValueError,
        EOFError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise UserError(f"{path} is not a readable .npz file: make it again") from error
    if missing:
        raise UserError(f"{path} has no array {missing[0]!r}: `sqair generate --format npz` writes them all")
    _check(arrays, path)
    visible = arrays["visibility"] > 0
    truth = [_tracks(*of) for of in zip(visible, arrays["truth_box"], arrays["visibility"], strict=True)]
    full = [
        _tracks(*of) for of in zip(arrays["presence"], arrays["full_box"], arrays["visibility"], strict=True)
    ]
    given = (arrays[key] for key in ("frames", "count", "presence", "labels"))
    return Clips(*given, truth=truth, full=full, clutter=arrays["clutter"])


def _check(arrays: Mapping[str, np.ndarray], path: str | Path) -> None:
    length: dict[str, int] = {"4": 4, "C": 3}
    for key, (dtype, axes) in _ARRAYS.items():
        array = arrays[key]
        axes = f"{axes}C" if key == "frames" and array.ndim == 5 else axes
        if array.dtype != dtype or array.ndim != len(axes):
            raise UserError(
                f"{path}: {key} is {array.dtype} {list(array.shape)}, it should be {np.dtype(dtype)} "
                f"[{', '.join(axes)}]"
            )
        for axis, n in zip(axes, array.shape, strict=True):
            if length.setdefault(axis, n) != n:
                raise UserError(f"{path}: axis {axis} of {key} has {n} entries, elsewhere {length[axis]}")


def _arrays(clips: Clips) -> dict[str, np.ndarray]:
    shape = clips.presence.shape
    visibility, truth_box, full_box = np.zeros(shape), np.zeros((*shape, 4)), np.zeros((*shape, 4))
    for i, (truth, full) in enumerate(zip(clips.truth, clips.full, strict=True)):
        visibility[i, full.frame, full.id] = full.visibility
        full_box[i, full.frame, full.id] = full.box
        truth_box[i, truth.frame, truth.id] = truth.box
    return {
        "frames": clips.frames,
        "count": clips.count,
        "presence": clips.presence,
        "labels": clips.labels,
        "visibility": visibility,
        "truth_box": truth_box,
        "full_box": full_box,
        "clutter": clips.clutter,
    }


def _tracks(there: np.ndarray, box: np.ndarray, visibility: np.ndarray) -> Tracks:
    """Rows of one clip from ``[T, K]``, ``[T, K, 4]`` and ``[T, K]``."""
    frame, ids = np.nonzero(there)
    seen = visibility[there]
    return Tracks(frame, ids, box[there], (seen >= IGNORED_BELOW).astype(np.float64), seen)
