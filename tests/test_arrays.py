"""Arrays in files: layouts, types, and the files that hold them."""

import resource
from pathlib import Path

import numpy as np
import pytest

from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import get_recipe
from sqair.datasets.video import read_source
from sqair.errors import UserError


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def digits(count: int = 5, length: int = 8) -> np.ndarray:
    """Moving digits ``[N, T, 50, 50]``."""
    return make_clips(get_recipe("moving-mnist", length=length, min_objects=2), "test", 0, 0, count).frames


def clips_of(path: Path, array: np.ndarray, **options) -> list[np.ndarray]:
    """The clips of an ``.npy`` that holds ``array``, ``[T, H, W]`` or ``[T, H, W, 3]`` each."""
    np.save(path, array)
    return [np.stack(list(clip.frames())) for clip in read_source(path, **options)]


def refused(path: Path, array: np.ndarray) -> str:
    with pytest.raises(UserError) as caught:
        clips_of(path, array)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("array", "clips"),
    [
        (noise(3, 4, 6, 5), noise(3, 4, 6, 5)),
        (noise(3, 4, 6, 5)[:, :, None], noise(3, 4, 6, 5)),
        (noise(3, 4, 6, 5)[..., None], noise(3, 4, 6, 5)),
        (noise(3, 4, 6, 5, 3), noise(3, 4, 6, 5, 3)),
        (np.moveaxis(noise(3, 4, 6, 5, 3), -1, 2), noise(3, 4, 6, 5, 3)),
        (noise(7, 6, 5), noise(1, 7, 6, 5)),
        (noise(7, 6, 5, 3), noise(1, 7, 6, 5, 3)),
        (noise(7, 6, 5, 1), noise(1, 7, 6, 5)),
    ],
    ids=["NTHW", "NT1HW", "NTHW1", "NTHWC", "NTCHW", "THW", "THWC", "THW1"],
)
def test_layouts_that_the_shape_tells(tmp_path, capsys, array, clips):
    np.testing.assert_array_equal(clips_of(tmp_path / "a.npy", array), clips)
    names = [clip.name for clip in read_source(tmp_path / "a.npy")]
    assert names == (["a"] if len(clips) == 1 else [f"{n:06d}" for n in range(len(clips))])
    assert capsys.readouterr().out == ""


def test_moving_mnist_as_it_is_published_is_frames_of_clips(tmp_path, capsys):
    clips = digits(30)
    published = np.moveaxis(clips, 1, 0)
    assert published.shape == (8, 30, 50, 50)
    np.testing.assert_array_equal(clips_of(tmp_path / "a.npy", published), clips)
    said = "its array is uint8 [8, 30, 50, 50], taken for [T, N, H, W], by which frames are alike\n"
    assert capsys.readouterr().out == f"{tmp_path / 'a.npy'}: {said}"
    np.testing.assert_array_equal(clips_of(tmp_path / "b.npy", clips), clips)
    np.testing.assert_array_equal(clips_of(tmp_path / "c.npy", published[:, :, None]), clips)
    assert "[T, N, C, H, W]" in capsys.readouterr().out


def test_one_channel_before_the_pixels_or_clips_of_one_frame(tmp_path, capsys):
    (clip,) = digits(1, 24)
    np.testing.assert_array_equal(clips_of(tmp_path / "a.npy", clip[:, None]), [clip])
    assert "taken for [T, C, H, W]" in capsys.readouterr().out
    single = digits(24, 1)
    np.testing.assert_array_equal(clips_of(tmp_path / "b.npy", single), single)
    assert "taken for [N, T, H, W]" in capsys.readouterr().out


def test_colour_before_the_pixels_or_clips_of_three_frames(tmp_path):
    (clip,) = digits(1, 24)
    colour = np.stack([clip, clip // 2, clip // 3], -1)
    np.testing.assert_array_equal(clips_of(tmp_path / "a.npy", np.moveaxis(colour, -1, 1)), [colour])
    short = digits(24, 3)
    np.testing.assert_array_equal(clips_of(tmp_path / "b.npy", short), short)


@pytest.mark.parametrize("length", [1, 3])
def test_what_generate_wrote_is_always_clips_of_frames(tmp_path, capsys, length):
    """Also where its frames look like colours of one clip."""
    (clip,) = digits(1, 24)
    frames = np.stack([clip] * length, 1)
    np.savez(tmp_path / "a.npz", frames=frames, presence=np.ones(1), truth_box=np.ones(1))
    assert [len(list(source.frames())) for source in read_source(tmp_path / "a.npz")] == [length] * 24
    assert capsys.readouterr().out == ""


def test_alpha_is_composed_over_black(tmp_path):
    clip = noise(4, 6, 5, 4)
    expected = np.rint(clip[..., :3].astype(float) * clip[..., 3:] / 255)
    np.testing.assert_array_equal(clips_of(tmp_path / "a.npy", clip), [expected])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda grey: grey / 255, "float64: 0 to 1"),
        (lambda grey: (grey / 255).astype(np.float32), "float32: 0 to 1"),
        (lambda grey: grey.astype(np.float32), "float32: 0 to 255"),
        (lambda grey: grey / 127.5 - 1, "float64: -1 to 1"),
        (lambda grey: grey.astype(np.int64), "8 bits in 64: 0 to 255"),
        (lambda grey: grey.astype(np.uint16) * 257, "uint16: 0 to 65535"),
    ],
)
def test_types_that_hold_grey_levels_exactly(tmp_path, capsys, make, said):
    grey = noise(3, 4, 20, 20)
    grey[:, :, :2, :2], grey[:, :, :2, 2:4] = 0, 255
    np.testing.assert_array_equal(clips_of(tmp_path / "a.npy", make(grey)), grey)
    assert f"{said} shown as black to white; --range LOW HIGH overrides\n" in capsys.readouterr().out
    assert read_source(tmp_path / "a.npy")[0].shown[0] in (0, -1)


def test_truth_values_and_a_given_range(tmp_path, capsys):
    mask = noise(3, 4, 6, 5) > 100
    np.testing.assert_array_equal(clips_of(tmp_path / "a.npy", mask), 255 * mask)
    np.testing.assert_array_equal(clips_of(tmp_path / "b.npy", mask.astype(np.uint8)), 255 * mask)
    assert capsys.readouterr().out.count("0 to 1 shown as black to white") == 2
    values = np.arange(120, dtype=np.uint16).reshape(1, 2, 6, 10)
    (clip,) = clips_of(tmp_path / "c.npy", values, shown=(10, 61))
    np.testing.assert_array_equal(clip, np.clip(5 * (values[0].astype(int) - 10), 0, 255))
    assert capsys.readouterr().out == ""


def test_all_clips_of_a_file_have_one_range(tmp_path):
    """A dim clip stays dim beside a bright one."""
    frames = np.zeros((2, 4, 8, 8), np.uint16)
    frames[0, :, 2:6, 2:6], frames[1, :, 2:6, 2:6] = 400, 4000
    dim, bright = clips_of(tmp_path / "a.npy", frames)
    assert (dim.max(), bright.max()) == (25, 249)


def test_what_is_no_number_is_refused_with_its_place(tmp_path):
    frames = np.zeros((200, 3, 6, 5), np.float32)
    frames[0, 0, :2, :2] = 1
    frames[67, 1, 4, 2] = np.nan
    said = refused(tmp_path / "a.npy", frames)
    assert said == f"{tmp_path / 'a.npy'}: clip 67, frame 1 (from 0): the value at x 2, y 4 is nan"


def test_npy_files_that_are_damaged(tmp_path):
    np.save(tmp_path / "a.npy", noise(3, 4, 6, 5))
    data = (tmp_path / "a.npy").read_bytes()
    for damaged in (b"", b"words", data[:60], data[:-1], b"\x93NUMPY" + data[5:]):
        (tmp_path / "a.npy").write_bytes(damaged)
        with pytest.raises(UserError, match=r"a\.npy: (cannot be read|the file is empty)"):
            read_source(tmp_path / "a.npy")
    assert "cannot be read: " in refused(tmp_path / "b.npy", np.array([{}, None]))


def test_other_names_of_the_array(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", clips=noise(3, 4, 6, 5), labels=noise(3, 4))
    assert len(read_source(tmp_path / "a.npz")) == 3
    assert capsys.readouterr().out == f"{tmp_path / 'a.npz'}: its array clips is read, the only one that may be clips\n"


def test_npy_is_not_read_into_memory(tmp_path):
    """A file of 400 MB: the most memory that the process had does not grow by a quarter of it."""
    large = np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype=np.uint8, shape=(100, 1000, 4000))
    large[::10, 5, 5] = 1
    large.flush()
    del large
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (clip,) = read_source(tmp_path / "a.npy", shown=(0, 255))
    count = 0
    for frame in clip.frames():
        count += int(frame[5, 5])
    assert count == 10
    with open("/proc/self/status") as status:
        anonymous = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
    assert anonymous < before + 100_000


def test_hdf5_and_zarr(tmp_path, capsys):
    h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
    clips = noise(3, 4, 6, 5)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("video/clips", data=clips)
        file["labels"] = noise(3, 4)
    assert [np.stack(list(clip.frames())).tolist() for clip in read_source(tmp_path / "a.h5")] == clips.tolist()
    assert "a.h5: its array video/clips is read" in capsys.readouterr().out
    zarr.save_array(str(tmp_path / "a.zarr"), clips)
    assert [np.stack(list(clip.frames())).tolist() for clip in read_source(tmp_path / "a.zarr")] == clips.tolist()
    group = zarr.open_group(str(tmp_path / "b.zarr"), mode="w")
    group.create_array("frames", data=clips)
    assert len(read_source(tmp_path / "b.zarr")) == 3
    (tmp_path / "c.h5").write_bytes((tmp_path / "a.h5").read_bytes()[:300])
    with pytest.raises(UserError, match=r"c\.h5: cannot be read"):
        read_source(tmp_path / "c.h5")


@pytest.mark.parametrize(("name", "package"), [("a.h5", "h5py"), ("a.zarr", "zarr")])
def test_a_package_that_is_not_installed_is_named(tmp_path, monkeypatch, name, package):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=f"{name}: reading it needs the package {package}: pip install {package}"):
        read_source(tmp_path / name)


@pytest.mark.parametrize(("name", "kind"), [("a.mat", "a MATLAB file"), ("a.dcm", "DICOM"), ("a.pt", "a PyTorch file")])
def test_files_of_known_kinds_are_called_unsupported(tmp_path, name, kind):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=f"{name}: {kind} is not supported: save its frames as images, or as .npy"):
        read_source(tmp_path / name)
