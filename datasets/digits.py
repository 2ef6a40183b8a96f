"""Handwritten digits: the 4000 that ship with the package, or the whole of MNIST where its files are."""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from sqair.errors import UserError
from sqair.words import count

SPLITS = ("train", "val", "test")
SIDE = 28

_EMBEDDED = Path(__file__).parent / "data" / "digits.npz"
_EMBEDDED_SIZES = {"train": 3200, "val": 400}
_MNIST_VALIDATION = 5000
_IDX_FILES = {"train": "train", "val": "train", "test": "t10k"}


@dataclass(frozen=True)
class Crops:
    """Digits scaled and cropped to their non-zero pixels.

    Attributes:
        image: ``[D, S, S]`` uint8, each crop in the top left corner, zero elsewhere.
        size: ``[D, 2]`` int64, width and height of each crop in pixels.
        label: ``[D]`` int64, 0 to 9.
    """

    image: np.ndarray
    size: np.ndarray
    label: np.ndarray


def load_digits(split: str, idx_path: str | Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The digits of one split: images ``[D, 28, 28]`` uint8 and labels ``[D]`` uint8.

    Without ``idx_path`` these are the embedded digits, 3200 for "train", 400 for "val" and 400 for "test",
    dealt out by a fixed seed. With ``idx_path``, a folder that holds MNIST's four IDX files (as they are, or
    as ``.gz``), "train" is all but the last 5000 of the training file, "val" those 5000, and "test" the t10k
    file.

    Raises:
        UserError: the split is unknown, or a file is missing or damaged.
    """
    if split not in SPLITS:
        raise UserError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    return _load_embedded(split) if idx_path is None else _load_mnist(split, Path(idx_path))


@lru_cache(maxsize=8)
def load_crops(split: str, digit_size: int = SIDE, idx_path: str | Path | None = None) -> Crops:
    """The digits of a split, scaled from 28x28 to ``digit_size`` squared and cropped to their ink.

    They are kept in memory. Digits whose ink vanishes as they are scaled down are left out.
    """
    images, labels = load_digits(split, idx_path)
    scaled = resize(images, digit_size)
    keep = scaled.any(axis=(1, 2))
    scaled = scaled[keep]
    size, top_left = np.empty((len(scaled), 2), np.int64), np.empty((len(scaled), 2), np.int64)
    for axis, across in ((0, 1), (1, 2)):  # x looks down the columns, y along the rows
        ink = scaled.max(axis=across) > 0
        top_left[:, axis] = ink.argmax(axis=1)
        size[:, axis] = digit_size - ink[:, ::-1].argmax(axis=1) - top_left[:, axis]
    image = np.zeros_like(scaled)
    for to, of, (x, y), (w, h) in zip(image, scaled, top_left, size, strict=True):
        to[:h, :w] = of[y : y + h, x : x + w]
    crops = Crops(image, size, labels[keep].astype(np.int64))
    for array in (crops.image, crops.size, crops.label):
        array.setflags(write=False)
    return crops


@lru_cache(maxsize=8)
def load_patches(split: str, digit_size: int = SIDE, idx_path: str | Path | None = None) -> Crops:
    """The digits of a split, scaled as by :func:`load_crops` but not cropped: of ``digit_size`` squared each."""
    images, labels = load_digits(split, idx_path)
    scaled = resize(images, digit_size)
    return Crops(scaled, np.full((len(scaled), 2), digit_size), labels.astype(np.int64))


def resize(images: np.ndarray, side: int) -> np.ndarray:
    """Scales ``[D, S, S]`` uint8 images to ``[D, side, side]`` uint8.

    Smaller by the mean over each new pixel's area, larger by linear interpolation; in whole numbers, so that
    every machine makes the same digits.
    """
    old = images.shape[-1]
    if side == old:
        return images
    weights, total = _area_weights(old, side) if side < old else linear_weights(old, side)
    rows = np.einsum("ij,djk->dik", weights, images.astype(np.int64))
    scaled = np.einsum("lk,dik->dil", weights, rows)
    return ((2 * scaled + total**2) // (2 * total**2)).astype(np.uint8)


def _area_weights(old: int, new: int) -> tuple[np.ndarray, int]:
    """``[new, old]`` whole numbers and what each row sums to: the share of each old pixel in each new one."""
    edge, pixel = old * np.arange(new + 1), new * np.arange(old)  # in units of 1 / new of an old pixel
    shared = np.minimum(edge[1:, None], pixel + new) - np.maximum(edge[:-1, None], pixel)
    return np.clip(shared, 0, None), old


def linear_weights(old: int, new: int) -> tuple[np.ndarray, int]:
    """As above, for interpolation between the centres of the old pixels."""
    unit = 2 * new  # per old pixel
    centre = np.clip((2 * np.arange(new) + 1) * old - new, 0, unit * (old - 1))
    return np.clip(unit - np.abs(centre[:, None] - unit * np.arange(old)), 0, None), unit


def _load_embedded(split: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        with _EMBEDDED.open("rb") as file, np.load(file) as data:
            images, labels = data["images"], data["labels"]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{_EMBEDDED} cannot be read ({error}): install the package again") from error
    order = np.argsort(np.random.PCG64(0).random_raw(len(images)), kind="stable")
    train, val = _EMBEDDED_SIZES["train"], _EMBEDDED_SIZES["val"]
    part = {"train": order[:train], "val": order[train : train + val], "test": order[train + val :]}[split]
    return images[part], labels[part]


def _load_mnist(split: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give the one that holds MNIST's IDX files")
    stem = _IDX_FILES[split]
    images = _read_idx(folder, f"{stem}-images-idx3-ubyte", 3)
    labels = _read_idx(folder, f"{stem}-labels-idx1-ubyte", 1)
    if images.shape[1:] != (SIDE, SIDE):
        raise UserError(f"{folder}: {stem} images are {images.shape[1]}x{images.shape[2]}, MNIST's are 28x28")
    if len(images) != len(labels):
        has = f"{count(len(images), f'{stem} image')}, {count(len(labels), 'label')}"
        raise UserError(f"{folder}: {has}: download them again")
    if split != "test":
        if len(images) <= _MNIST_VALIDATION:
            raise UserError(
                f"{folder}: {count(len(images), 'training digit')}, and the last {_MNIST_VALIDATION} of them are for "
                "validation: none is left to train on"
            )
        part = slice(None, -_MNIST_VALIDATION) if split == "train" else slice(-_MNIST_VALIDATION, None)
        images, labels = images[part], labels[part]
    return images, labels


def _read_idx(folder: Path, name: str, n_dim: int) -> np.ndarray:
    """One IDX file of unsigned bytes, plain or gzipped, with a dash or (some write so) a dot before idx."""
    stem, kind = name.split("-idx")
    names = [name, f"{name}.gz", f"{stem}.idx{kind}", f"{stem}.idx{kind}.gz"]
    path = next((folder / n for n in names if (folder / n).is_file()), None)
    if path is None:
        raise UserError(f"{folder} has no {name} or {name}.gz: give the folder that holds MNIST's IDX files")
    try:
        raw = path.read_bytes()
        data = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}): download it again") from error
    header = 4 + 4 * n_dim
    if len(data) < header or data[:4] != bytes([0, 0, 8, n_dim]):  # 8: unsigned bytes
        raise UserError(f"{path} is not an IDX file of unsigned bytes with {n_dim} axes: download it again")
    shape = struct.unpack(f">{n_dim}I", data[4:header])
    expected = header + int(np.prod(shape, dtype=object))
    if len(data) != expected:
        raise UserError(f"{path} has {count(len(data), 'byte')} where its header says {expected}: download it again")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
