"""Reading clips: what comes out of good sources, and the one line that every bad one gets."""

import itertools
import re
import struct

import numpy as np
import pytest

from sqair.datasets.clip import TruncatedClip
from sqair.datasets.images import opencv, read_image, to_channels, write_png
from sqair.datasets.video import read_source
from sqair.datasets.video_out import write_video
from sqair.errors import UserError


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def moving_square(length: int = 12, height: int = 48, width: int = 64) -> np.ndarray:
    """[T, H, W, 3] uint8: a red square that moves by 3 px a frame over blue."""
    frames = np.zeros((length, height, width, 3), dtype=np.uint8)
    frames[..., 2] = 90
    for t, frame in enumerate(frames):
        frame[10:26, 3 * t : 3 * t + 16] = (230, 20, 20)
    return frames


def write(path, frames, codec="FFV1", fps=12):
    """FFV1 is lossless."""
    cv2 = opencv()
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), fps, (width, height))
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()


def message(source, **kwargs) -> str:
    """The error that reading ``source`` to its end gives, which must be one line."""
    with pytest.raises(UserError) as caught:
        for clip in read_source(source, **kwargs):
            for _ in clip.frames():
                pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


# good sources


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 3), (1, 1), (1, 1, 3)])
def test_png_gives_back_the_pixels(tmp_path, shape):
    frame = noise(*shape)
    write_png(tmp_path / "a.png", frame)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), frame)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_png_of_a_strided_view(tmp_path):
    frame = noise(9, 8, 3)[::2, ::-1]
    write_png(tmp_path / "a.png", frame)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), frame)


def test_sixteen_bits_and_alpha_become_eight_bits_without_alpha(tmp_path):
    cv2 = opencv()
    deep = np.array([[0, 256, 65535, 65535]], dtype=np.uint16)
    (tmp_path / "deep.png").write_bytes(cv2.imencode(".png", deep)[1].tobytes())
    assert read_image(tmp_path / "deep.png").tolist() == [[0, 1, 255, 255]]
    seen = noise(4, 4, 4)
    (tmp_path / "alpha.png").write_bytes(cv2.imencode(".png", seen)[1].tobytes())
    expected = np.rint(seen[..., 2::-1].astype(float) * seen[..., 3:] / 255)
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), expected)


def test_grey_is_bt601_luma():
    frame = noise(20, 30, 3)
    luma = frame @ np.array([0.299, 0.587, 0.114])
    assert np.abs(to_channels(frame, 1) - luma).max() <= 0.51
    grey = noise(4, 6)
    np.testing.assert_array_equal(to_channels(grey, 3), np.repeat(grey[..., None], 3, axis=2))
    assert to_channels(grey, 1) is grey and to_channels(frame, None) is frame


def test_lossless_video_comes_back_in_rgb_and_more_than_once(tmp_path):
    frames = moving_square()
    write(tmp_path / "clip.avi", frames)
    (clip,) = read_source(tmp_path / "clip.avi")
    assert (clip.name, clip.length, clip.fps, clip.size) == ("clip", 12, 12, (48, 64))
    for _ in range(2):
        assert np.abs(np.stack(list(clip.frames())).astype(int) - frames).max() <= 1
    (grey,) = read_source(tmp_path / "clip.avi", channels=1)
    assert next(grey.frames()).shape == (48, 64)


def test_video_is_streamed(tmp_path):
    write(tmp_path / "clip.avi", moving_square())
    frames = read_source(tmp_path / "clip.avi")[0].frames()
    assert len(list(itertools.islice(frames, 3))) == 3
    frames.close()  # type: ignore[attr-defined]


def test_npz_clips(tmp_path):
    grey, colour = noise(3, 4, 6, 5), noise(2, 4, 6, 5, 3)
    np.savez(tmp_path / "grey.npz", frames=grey, other=1)
    np.savez_compressed(tmp_path / "colour.npz", frames=colour)
    clips = read_source(tmp_path / "grey.npz")
    assert [(clip.name, clip.length, clip.size) for clip in clips] == [
        (name, 4, (6, 5)) for name in ("000000", "000001", "000002")
    ]
    np.testing.assert_array_equal(np.stack([np.stack(list(clip.frames())) for clip in clips]), grey)
    np.testing.assert_array_equal(list(read_source(tmp_path / "colour.npz")[1].frames()), colour[1])
    assert next(read_source(tmp_path / "colour.npz", channels=1)[0].frames()).shape == (6, 5)
    assert next(read_source(tmp_path / "grey.npz", channels=3)[0].frames()).shape == (6, 5, 3)


def test_folder_of_images_in_natural_order(tmp_path):
    folder = tmp_path / "my.clip"
    folder.mkdir()
    for n in (10, 9, 1, 2):
        write_png(folder / f"frame{n}.png", np.full((4, 5), n, dtype=np.uint8))
    (folder / "notes.txt").write_text("not an image")
    (folder / "._frame1.png").write_bytes(b"what a Mac leaves behind")
    (clip,) = read_source(folder)
    assert (clip.name, clip.length) == ("my.clip", 10), "with the frames that are missing"
    assert [frame.number for frame in clip.stamped()] == [0, 1, 8, 9]
    assert [frame[0, 0] for frame in clip.frames()] == [1, 2, 9, 10]
    (clip,) = read_source(str(folder / "frame*.png"))
    assert (clip.name, [frame[0, 0] for frame in clip.frames()]) == ("my.clip", [1, 2, 9, 10])
    (clip,) = read_source(folder / "frame9.png")
    assert (clip.name, clip.length) == ("frame9", 1)


def test_a_folder_of_folders_of_images_is_a_clip_each(tmp_path):
    for name in ("clip10", "clip2", "clip1"):
        (tmp_path / name).mkdir()
        for t in range(3):
            write_png(tmp_path / name / f"{t}.png", np.full((4, 5), t, dtype=np.uint8))
    (tmp_path / "notes").mkdir()
    clips = read_source(tmp_path)
    assert [(clip.name, clip.length) for clip in clips] == [("clip1", 3), ("clip2", 3), ("clip10", 3)]
    assert [frame[0, 0] for frame in clips[0].frames()] == [0, 1, 2]


def make_sequence(folder, length, info=None):
    (folder / "img1").mkdir(parents=True)
    for n in range(length):
        write_png(folder / "img1" / f"{n + 1:06d}.png", noise(4, 5, seed=n))
    if info is not None:
        (folder / "seqinfo.ini").write_text(info)


def test_motchallenge_folders(tmp_path):
    make_sequence(tmp_path / "train" / "A-2", 3, "[Sequence]\nname=A-2\nframeRate=25\nseqLength=3\n")
    make_sequence(tmp_path / "train" / "A-10", 2)
    (tmp_path / "train" / "seqmaps").mkdir()
    clips = read_source(tmp_path / "train")
    assert [(clip.name, clip.length, clip.fps) for clip in clips] == [("A-2", 3, 25), ("A-10", 2, 10)]
    assert len(list(read_source(tmp_path / "train" / "A-2")[0].frames())) == 3


def test_glob_of_videos_is_a_clip_each(tmp_path):
    for name in ("b", "a"):
        write(tmp_path / f"{name}.avi", moving_square(4))
    assert [clip.name for clip in read_source(str(tmp_path / "*.avi"))] == ["a", "b"]


def test_a_name_that_looks_like_a_glob(tmp_path):
    np.savez(tmp_path / "clips[1].npz", frames=noise(1, 2, 3, 4))
    assert len(read_source(tmp_path / "clips[1].npz")) == 1


# bad sources


def test_missing_empty_and_not_a_video(tmp_path):
    assert message(tmp_path / "no.mp4").endswith("no.mp4: no such file or folder")
    assert message(tmp_path / "no*.mp4").endswith("no*.mp4: matches no file")
    for name in ("a.mp4", "a.npz", "a.png"):
        (tmp_path / name).write_bytes(b"")
        assert message(tmp_path / name).endswith(f"{name}: the file is empty")
    for name in ("b.mp4", "b.txt", "b"):
        (tmp_path / name).write_text("these are words\n" * 100)
        assert message(tmp_path / name).endswith(f"{name}: not a video: cannot be opened")
    (tmp_path / "b.png").write_text("these are words\n" * 100)
    assert message(tmp_path / "b.png").endswith("b.png: not an image that can be decoded")


def test_empty_folders(tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "sequence" / "img1").mkdir(parents=True)
    assert "none: holds no images" in message(tmp_path / "none")
    assert message(tmp_path / "sequence").endswith("img1: holds no images")


@pytest.mark.parametrize("name", ["clip.avi", "clip.mp4", "clip.mkv"])
def test_video_cut_short_gives_what_is_there_and_then_says_so(tmp_path, name):
    if name.endswith("mp4"):
        write_video(tmp_path / name, noise(40, 48, 64, 3), fps=12)  # index first: without it nothing can be read
    else:
        write(tmp_path / name, noise(40, 48, 64, 3))
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) * 6 // 10])
    (clip,) = read_source(tmp_path / name)
    read = []
    with pytest.raises(TruncatedClip, match=f"{name}: cut short or damaged: only [0-9]+ frames") as caught:
        for frame in clip.frames():
            read.append(frame)
    assert 10 < len(read) < 30
    assert caught.value.frames == len(read)


def test_video_without_its_index(tmp_path):
    write(tmp_path / "clip.mp4", moving_square(), "vp09")  # OpenCV writes the index last
    data = (tmp_path / "clip.mp4").read_bytes()
    for keep in (40, len(data) // 2, len(data) - 300):
        (tmp_path / "cut.mp4").write_bytes(data[:keep])
        assert message(tmp_path / "cut.mp4").endswith("cut.mp4: cut short or damaged: cannot be opened")


@pytest.mark.parametrize(("name", "codec", "lost"), [("a.mp4", "vp09", 5000), ("a.webm", "VP90", 10**6)])
def test_damage_that_leaves_the_container_whole(tmp_path, name, codec, lost):
    """Frames that the decoder drops are missed in the MP4 by their number, in the WebM by its duration."""
    write(tmp_path / name, moving_square(40) // 2 + noise(40, 48, 64, 3) // 4, codec)
    assert len(list(read_source(tmp_path / name)[0].frames())) == 40
    data = bytearray((tmp_path / name).read_bytes())
    start, end = len(data) // 3, min(len(data) // 3 + lost, len(data))
    data[start:end] = bytes(end - start)
    (tmp_path / name).write_bytes(data)
    if name == "a.mp4":
        assert b"moov" in data, "the index at the end is whole"
    assert re.search(r"damaged: only \d+ frames of the 40 that it promises", message(tmp_path / name))


def test_video_trimmed_without_encoding_it_anew_is_whole(tmp_path):
    """An edit list that shows only half of the frames makes their stored number no promise."""
    write(tmp_path / "clip.mp4", moving_square(40), "vp09")
    data = bytearray((tmp_path / "clip.mp4").read_bytes())
    at = data.index(b"elst") + 12  # the first entry's duration, in the ticks of the whole film
    (duration,) = struct.unpack_from(">I", data, at)
    struct.pack_into(">I", data, at, duration // 2)
    (tmp_path / "clip.mp4").write_bytes(data)
    (clip,) = read_source(tmp_path / "clip.mp4")
    assert clip.length is None
    assert 15 < len(list(clip.frames())) < 25


def test_video_with_a_header_and_no_frames(tmp_path):
    cv2 = opencv()
    fourcc = cv2.VideoWriter_fourcc(*"FFV1")
    cv2.VideoWriter(str(tmp_path / "none.avi"), cv2.CAP_FFMPEG, fourcc, 10, (64, 48)).release()
    assert "none.avi" in message(tmp_path / "none.avi")


def test_flipped_bits_of_a_video_are_an_error_or_garbage_never_a_crash(tmp_path):
    write_video(tmp_path / "clip.mp4", moving_square(20), fps=12)
    data = np.frombuffer((tmp_path / "clip.mp4").read_bytes(), dtype=np.uint8)
    random = np.random.default_rng(5)
    noticed = 0
    for _ in range(30):
        broken = data.copy()
        broken[random.integers(len(data), size=20)] ^= np.uint8(1) << random.integers(
            8, size=20, dtype=np.uint8
        )
        (tmp_path / "flip.mp4").write_bytes(broken.tobytes())
        try:
            for clip in read_source(tmp_path / "flip.mp4"):
                assert len(list(clip.frames())) > 0
        except UserError as error:
            noticed += 1
            assert "flip.mp4" in str(error) and "\n" not in str(error)
    assert noticed >= 10


def test_images_of_different_sizes_or_colours(tmp_path):
    write_png(tmp_path / "1.png", noise(4, 5))
    write_png(tmp_path / "2.png", noise(4, 6))
    assert message(tmp_path).endswith("2.png: is 6x4 pixels, but 1.png is 5x4")
    colour = noise(4, 5, 3)
    write_png(tmp_path / "2.png", colour)
    for channels, shape in ((1, (4, 5)), (3, (4, 5, 3))):
        frames = list(read_source(tmp_path, channels=channels)[0].frames())
        assert [frame.shape for frame in frames] == [shape, shape]
        np.testing.assert_array_equal(frames[1], to_channels(colour, channels))
    assert [frame.ndim for frame in read_source(tmp_path)[0].frames()] == [2, 3]


def test_image_with_a_flipped_bit(tmp_path):
    write_png(tmp_path / "1.png", noise(4, 5))
    data = bytearray((tmp_path / "1.png").read_bytes())
    data[len(data) // 2] ^= 4
    write_png(tmp_path / "0.png", noise(4, 5))
    (tmp_path / "1.png").write_bytes(data)
    assert message(tmp_path).endswith("1.png: not an image that can be decoded")


def test_motchallenge_folder_that_promises_more_or_is_malformed(tmp_path):
    make_sequence(tmp_path / "A", 3, "[Sequence]\nseqLength=5\n")
    assert message(tmp_path / "A").endswith("A: has 3 images, but seqinfo.ini promises 5")
    for bad in ("[Sequence]\nseqLength=many\n", "seqLength=5\n", "[Sequence]\nframeRate=%(x)s\n"):
        (tmp_path / "A" / "seqinfo.ini").write_text(bad)
        assert "seqinfo.ini: malformed: " in message(tmp_path / "A")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"a": noise(1, 2, 3, 4), "b": noise(1, 2, 3, 4)}, "no array named frames (it has a, b): name the clips so"),
        ({"count": noise(3, 4)}, "no array named frames (it has count)"),
        ({}, "no array named frames (it has nothing)"),
        ({"frames": np.zeros((1, 2, 4, 5), dtype=np.complex64)}, "frames is complex64 [1, 2, 4, 5]: not numbers"),
        ({"frames": noise(4, 5)}, "frames is uint8 [4, 5]: not numbers [N, T, H, W] or [T, H, W]"),
        ({"frames": noise(4, 5, 3)}, "frames is uint8 [4, 5, 3]: not numbers [N, T, H, W] or [T, H, W]"),
        ({"frames": noise(1, 2, 4, 5, 2)}, "frames is uint8 [1, 2, 4, 5, 2]: not numbers"),
        ({"frames": noise(1, 1, 2, 4, 5, 2)}, "frames is uint8 [1, 1, 2, 4, 5, 2]: not numbers"),
        ({"frames": noise(1, 2, 4, 5, 4) / 255}, "frames is float64 [1, 2, 4, 5, 4]: not numbers"),
        ({"frames": noise(0, 2, 4, 5)}, "there is nothing in it"),
        ({"frames": noise(1, 0, 4, 5)}, "there is nothing in it"),
        ({"frames": np.array([{}, None])}, "cannot be read: Object arrays"),
    ],
)
def test_npz_of_the_wrong_kind(tmp_path, arrays, said):
    np.savez(tmp_path / "clips.npz", **arrays)
    assert said in message(tmp_path / "clips.npz")


def test_npz_that_is_no_archive(tmp_path):
    np.save(tmp_path / "array.npy", noise(1, 2, 3, 4))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    assert message(tmp_path / "array.npz").endswith("array.npz: not an .npz archive, or cut short")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_npz_is_an_error_or_harmless(tmp_path, save):
    frames = noise(2, 3, 6, 5)
    save(tmp_path / "ok.npz", frames=frames)
    data = (tmp_path / "ok.npz").read_bytes()
    damaged = [data[:keep] for keep in range(1, len(data), 29)]
    for bit in range(0, 8 * len(data), 13):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(broken))
    noticed = 0
    for broken in damaged:
        (tmp_path / "bad.npz").write_bytes(broken)
        try:
            clips = [list(clip.frames()) for clip in read_source(tmp_path / "bad.npz")]
            np.testing.assert_array_equal(clips, frames)
        except UserError as error:
            noticed += 1
            assert "bad.npz" in str(error) and "\n" not in str(error)
    assert noticed > len(damaged) / 2


def test_clips_of_one_name(tmp_path):
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", frames=noise(2, 2, 4, 5))
    assert [clip.name for clip in read_source(tmp_path / "*.npz")] == ["a-000000", "a-000001", "b-000000", "b-000001"]


def test_glob_of_images_and_other_files(tmp_path):
    write_png(tmp_path / "a.png", noise(4, 4))
    (tmp_path / "a.txt").write_text("words")
    assert "matches images and other things" in message(tmp_path / "a.*")


def test_png_that_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match="cannot write .*a.png"):
        write_png(tmp_path / "missing" / "a.png", noise(4, 4))
    with pytest.raises(ValueError, match="uint8"):
        write_png(tmp_path / "a.png", noise(4, 4).astype(np.float32))
    with pytest.raises(ValueError, match="uint8"):
        write_png(tmp_path / "a.png", noise(4, 4, 2))
    assert not list(tmp_path.iterdir())
