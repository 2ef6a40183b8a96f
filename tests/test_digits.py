"""Digits: the splits, MNIST's own files, scaling and cropping."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from sqair.datasets import digits
from sqair.datasets.digits import SPLITS, load_crops, load_digits, resize
from sqair.errors import UserError


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def mnist(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """A folder of IDX files with 5007 training digits, plain, and 20 test digits, gzipped."""
    rng = np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte": rng.integers(0, 256, (5007, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": rng.integers(0, 10, 5007, dtype=np.uint8),
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": rng.integers(0, 10, 20, dtype=np.uint8),
    }
    for name, array in arrays.items():
        if name.startswith("t10k"):
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array)))
        else:
            (tmp_path / name).write_bytes(idx_bytes(array))
    return tmp_path, arrays


def test_embedded_splits_are_disjoint_and_together_the_whole_file():
    with np.load(Path(digits.__file__).parent / "data" / "digits.npz") as data:
        every = sorted(image.tobytes() for image in data["images"])
    parts = {split: load_digits(split) for split in SPLITS}
    assert {split: len(images) for split, (images, _) in parts.items()} == {
        "train": 3200,
        "val": 400,
        "test": 400,
    }
    assert len(set(every)) == 4000
    assert sorted(image.tobytes() for images, _ in parts.values() for image in images) == every
    for _, labels in parts.values():
        assert (np.bincount(labels, minlength=10) > 0.06 * len(labels)).all()


def test_embedded_splits_never_change():
    assert {split: hashlib.sha256(load_digits(split)[0].tobytes()).hexdigest()[:12] for split in SPLITS} == {
        "train": "2db595fa61cb",
        "val": "80fab702781f",
        "test": "ef318dbf71bb",
    }


def test_mnist_files(mnist):
    folder, arrays = mnist
    for split, stem, part in (
        ("train", "train", slice(0, 7)),
        ("val", "train", slice(7, None)),
        ("test", "t10k", slice(None)),
    ):
        images, labels = load_digits(split, folder)
        assert np.array_equal(images, arrays[f"{stem}-images-idx3-ubyte"][part])
        assert np.array_equal(labels, arrays[f"{stem}-labels-idx1-ubyte"][part])


def test_mnist_files_named_with_a_dot(mnist):
    folder, arrays = mnist
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace("-idx", ".idx"))
    assert np.array_equal(load_digits("test", folder)[1], arrays["t10k-labels-idx1-ubyte"])


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("train-images-idx3-ubyte", None, "has no train-images"),
        ("train-labels-idx1-ubyte", None, "has no train-labels"),
        ("train-images-idx3-ubyte", lambda b: b[:-1], "bytes where its header says"),
        ("train-images-idx3-ubyte", lambda b: b[:9], "not an IDX file"),
        ("train-images-idx3-ubyte", lambda b: b"", "not an IDX file"),
        ("train-images-idx3-ubyte", lambda b: b"\x00\x00\x0d" + b[3:], "not an IDX file"),
        (
            "train-labels-idx1-ubyte",
            lambda b: idx_bytes(np.zeros(9, np.uint8)),
            "5007 train images, 9 labels",
        ),
        ("train-images-idx3-ubyte", lambda b: idx_bytes(np.zeros((3, 9, 9), np.uint8)), "images are 9x9"),
    ],
)
def test_damaged_mnist_file(mnist, name, damage, message):
    path = mnist[0] / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=message) as error:
        load_digits("train", mnist[0])
    assert str(mnist[0]) in str(error.value)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:40], lambda b: b[:20] + b"\xff" + b[21:], lambda b: b"no gzip"]
)
def test_damaged_gzip(mnist, damage):
    path = mnist[0] / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="cannot be read"):
        load_digits("test", mnist[0])


def test_training_file_with_nothing_but_validation_digits(mnist):
    folder, _ = mnist
    (folder / "train-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((10, 28, 28), np.uint8)))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(10, np.uint8)))
    with pytest.raises(UserError, match="none is left"):
        load_digits("train", folder)


def test_unknown_split_and_folder(tmp_path):
    with pytest.raises(UserError, match="train, val, test"):
        load_digits("validation")
    with pytest.raises(UserError, match="not a folder"):
        load_digits("train", tmp_path / "nowhere")


def test_damaged_package(tmp_path, monkeypatch):
    broken = tmp_path / "digits.npz"
    monkeypatch.setattr(digits, "_EMBEDDED", broken)
    for content in (None, b"", b"PK\x03\x04 cut short"):
        if content is not None:
            broken.write_bytes(content)
        with pytest.raises(UserError, match="install the package again"):
            load_digits("train")


def test_crops_are_tight_and_complete():
    images, labels = load_digits("val")
    crops = load_crops("val")
    assert np.array_equal(crops.label, labels)
    for image, crop, (w, h) in zip(images, crops.image, crops.size, strict=True):
        rows, columns = np.nonzero(image)
        box = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert box.shape == (h, w)
        assert np.array_equal(crop[:h, :w], box)
        assert not crop[h:].any() and not crop[:, w:].any()


@pytest.mark.parametrize("side", [1, 5, 14, 20, 27])
def test_smaller_is_the_mean_over_each_new_pixel(side):
    """Against a twin: repeat pixels until the sides divide, then average blocks."""
    images = load_digits("test")[0][:20]
    fine = images.repeat(side, axis=1).repeat(side, axis=2).astype(np.float64)
    mean = fine.reshape(20, side, 28, side, 28).mean(axis=(2, 4))
    assert np.abs(resize(images, side) - mean).max() <= 0.5


def test_larger_interpolates():
    ramp = np.broadcast_to(np.arange(28, dtype=np.uint8) * 9, (1, 28, 28))
    wide = resize(ramp, 56)[0].astype(np.float64)
    expected = np.clip((np.arange(56) + 0.5) / 2 - 0.5, 0, 27) * 9
    assert np.abs(wide - expected).max() <= 0.5
    assert (resize(np.full((1, 28, 28), 77, np.uint8), 41) == 77).all()


def test_scaled_crops():
    full, small = load_crops("val").size.mean(0), load_crops("val", 20).size.mean(0)
    assert np.abs(small / full - 20 / 28).max() < 0.06  # a blurred edge may add a part of a pixel
    assert not load_crops("val", 20).image.flags.writeable
