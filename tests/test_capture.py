"""Video as it comes: which frame is which and when, what its pixels are, where it may lie, what is lost of it."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import socket
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from conftest import TINY, tiny_model
from sqair.datasets import decoding
from sqair.datasets.capture import is_stream, stream_name, without_password
from sqair.datasets.clip import ClipSource, Frame, TruncatedClip
from sqair.datasets.images import opencv
from sqair.datasets.timing import Clock, Steps, Timing
from sqair.datasets.video import read_source
from sqair.errors import UserError
from sqair.files.mot_io import read_mot
from sqair.files.pretrained import save_weights
from sqair.scripts import cli

HEIGHT, WIDTH, LENGTH, RATE = 48, 64, 24, 12
VARIABLE = np.cumsum([0] + [20 if i % 2 else 180 for i in range(22)] + [2000]).tolist()
"""Milliseconds at which 24 frames are shown."""


def grey(number: int) -> np.ndarray:
    """A frame that says its number by its brightness."""
    return np.full((HEIGHT, WIDTH, 3), 20 + 8 * number, dtype=np.uint8)


def told(image: np.ndarray) -> int:
    """The number that a frame says."""
    return round((float(image.mean()) - 20) / 8)


def encode(
    path: Path,
    *,
    times: Sequence[int] = range(LENGTH),
    tick: Fraction = Fraction(1, RATE),
    codec: str = "libx264",
    pixels: str | None = None,
    frames: Sequence[np.ndarray] | None = None,
    layout: str = "rgb24",
    dropped: Sequence[int] = (),
    options: dict[str, str] | None = None,
    **context: Any,
) -> Path:
    """Writes a video whose frame t is shown at ``times[t]`` ticks; packets of the numbers ``dropped`` are left out."""
    frames = [grey(t) for t in range(len(times))] if frames is None else frames
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=1 / tick)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels or stream.codec.video_formats[0].name
        stream.time_base = stream.codec_context.time_base = tick
        stream.options = options or {}
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        packets = []
        for image, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=layout)
            frame.pts, frame.time_base = time, tick
            packets += stream.encode(frame)
        for number, packet in enumerate(packets + stream.encode(None)):
            if number not in dropped:
                container.mux(packet)
    return path


def only(source: Path | str, **kwargs: Any) -> ClipSource:
    (clip,) = read_source(source, **kwargs)
    return clip


def read(source: Path | str, **kwargs: Any) -> tuple[list[Frame], str]:
    """The frames of a source, and what cut it short."""
    frames = []
    try:
        for frame in only(source, **kwargs).stamped():
            frames.append(frame)
    except TruncatedClip as error:
        assert error.frames == len(frames) and "\n" not in str(error)
        return frames, str(error)
    return frames, ""


def seconds(frames: list[Frame]) -> list[float]:
    return [frame.seconds for frame in frames]


# which frame, and when


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "mov", "flv"])
def test_a_variable_rate_has_the_times_of_its_stamps_and_counts_frames(tmp_path: Path, kind: str) -> None:
    path = encode(tmp_path / f"a.{kind}", times=VARIABLE, tick=Fraction(1, 1000))
    frames, error = read(path)
    assert not error and [frame.number for frame in frames] == list(range(LENGTH))
    np.testing.assert_allclose(seconds(frames), np.array(VARIABLE) / 1000, atol=1e-3)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "webm", "gif", "avi"])
def test_frames_that_were_never_recorded_leave_gaps_in_the_numbers(tmp_path: Path, kind: str) -> None:
    places = [t for t in range(LENGTH + 3) if t not in (5, 6, 20)]
    codec = {"webm": "libvpx-vp9", "gif": "gif", "avi": "mjpeg"}.get(kind, "libx264")
    frames, error = read(encode(tmp_path / f"a.{kind}", times=places, codec=codec))
    assert not error and [frame.number for frame in frames] == places
    np.testing.assert_allclose(seconds(frames), np.array(places) / RATE, atol=6e-3)
    assert [told(frame.image) for frame in frames] == list(range(LENGTH))


def avi(path: Path, jpegs: Sequence[bytes], fps: int = RATE) -> Path:
    """An AVI of these chunks, of which some may be empty."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)

    size, movi, index = (WIDTH, HEIGHT), b"", b""
    for data in jpegs:
        index += b"00dc" + struct.pack("<III", 0x10 if data else 0, 4 + len(movi), len(data))
        movi += chunk(b"00dc", data)
    avih = struct.pack("<14I", 10**6 // fps, 0, 0, 0x10, len(jpegs), 0, 1, 0, *size, 0, 0, 0, 0)
    rate = (1, fps, 0, len(jpegs), 0, 0xFFFFFFFF, 0, 0, 0)
    strh = b"vidsMJPG" + struct.pack("<IHHIIIIIIII4H", 0, 0, 0, 0, *rate, *size)
    strf = struct.pack("<IiiHH4sIiiII", 40, *size, 1, 24, b"MJPG", 3 * WIDTH * HEIGHT, 0, 0, 0, 0)
    stream = chunk(b"LIST", b"strl" + chunk(b"strh", strh) + chunk(b"strf", strf))
    header = chunk(b"LIST", b"hdrl" + chunk(b"avih", avih) + stream)
    path.write_bytes(chunk(b"RIFF", b"AVI " + header + chunk(b"LIST", b"movi" + movi) + chunk(b"idx1", index)))
    return path


def jpeg(number: int) -> bytes:
    return opencv().imencode(".jpg", grey(number))[1].tobytes()


@pytest.mark.parametrize("empty", [(5, 6), (0, 1), (22, 23), (0, 7, 23)])
def test_empty_frames_of_avi_are_gaps_and_no_fault(tmp_path: Path, empty: tuple[int, ...]) -> None:
    path = avi(tmp_path / "a.avi", [b"" if t in empty else jpeg(t) for t in range(LENGTH)])
    frames, error = read(path)
    assert error == ""
    assert [frame.number for frame in frames] == [t for t in range(LENGTH) if t not in empty]
    assert [told(frame.image) for frame in frames] == [frame.number for frame in frames]
    assert seconds(frames)[-1] == pytest.approx(frames[-1].number / RATE)


@pytest.mark.parametrize("fps", [4000, 1])
def test_fast_and_slow_avi(tmp_path: Path, fps: int) -> None:
    frames, _ = read(avi(tmp_path / "a.avi", [jpeg(t) for t in range(LENGTH)], fps))
    np.testing.assert_allclose(seconds(frames), np.arange(LENGTH) / fps)


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
@pytest.mark.parametrize("fps", [Fraction(4000), Fraction(1, 10), Fraction(30000, 1001)])
def test_rates_of_every_size(tmp_path: Path, kind: str, fps: Fraction) -> None:
    """Matroska has milliseconds, of which four frames of the fastest share one."""
    path = encode(tmp_path / f"a.{kind}", tick=1 / fps)
    assert only(path).fps == pytest.approx(float(fps), rel=1e-3)
    frames, _ = read(path)
    assert [frame.number for frame in frames] == list(range(LENGTH))
    np.testing.assert_allclose(seconds(frames), np.arange(LENGTH) / float(fps), atol=0.001 if fps < 1000 else 1e-5)


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "libx264"), ("b.avi", "mpeg4"), ("c.h264", "libx264")])
def test_frames_out_of_order_where_there_are_no_stamps(tmp_path: Path, name: str, codec: str) -> None:
    frames, error = read(encode(tmp_path / name, codec=codec, max_b_frames=2, bit_rate=2_000_000))
    assert not error and [frame.number for frame in frames] == list(range(LENGTH))
    assert [told(frame.image) for frame in frames] == list(range(LENGTH))
    assert np.diff(seconds(frames)) == pytest.approx(np.full(LENGTH - 1, seconds(frames)[1]))


def test_seconds_are_those_of_a_player_whose_clock_starts_with_the_sound(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        video, sound = container.add_stream("mpeg4", rate=RATE), container.add_stream("pcm_s16le", rate=8000)
        video.height, video.width, video.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        quiet = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), "s16", "mono")
        quiet.rate, quiet.pts = 8000, 0
        packets = list(sound.encode(quiet))
        for t in range(LENGTH):
            frame = av.VideoFrame.from_ndarray(grey(t), format="rgb24")
            frame.pts, frame.time_base = 6 + t, Fraction(1, RATE)
            packets += video.encode(frame)
        for packet in packets + video.encode(None):
            container.mux(packet)
    frames, error = read(tmp_path / "a.mkv")
    assert not error and (frames[0].number, frames[0].seconds) == (0, 0.5)


def test_a_rate_that_is_given_replaces_the_files(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", times=[0, 1, 4, *range(5, 25)])
    clip = only(path, fps=100)
    assert clip.fps == 100
    assert [(frame.number, frame.seconds) for frame in clip.stamped()][1:4] == [(1, 0.01), (4, 0.04), (5, 0.05)]


def period(stamps: Iterable[int]) -> Fraction | None:
    return Steps(stamps).period()


def test_periods_and_clocks() -> None:
    assert period(range(0, 100, 4)) == 4
    assert period([0, 33, 67, 100, 133, 233, 267, 300, *range(400, 1400, 100), 333]) is None
    assert period([3, 0, 1, 2, 4, 5, 9, 6, 7, 8, 20, 21, 22, 23]) == 1
    assert period([0, 180, 200, 380, 400]) is None and period([7]) is None and period([]) is None
    assert period([0, 0, 1, 1, 1, 1, 2, 2]) is None
    thirds = [round(100 * t / 3) for t in range(10**4) if t not in (7, 4000)]
    assert period(thirds) == pytest.approx(100 / 3, rel=1e-6)
    clock = Clock(Timing(Fraction(1, 10), Fraction(10), start=5, period=Fraction(1)))
    back = [clock.tell(stamp) for stamp in (7, 8, 3, 4, None, 4)]
    assert back == [(2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5), (6, 0.6), (7, 0.7)], "a clock that is set back goes on"
    clock = Clock(Timing(Fraction(1, 1000), Fraction(10), start=0))
    assert [clock.tell(stamp, missed) for stamp, missed in ((70, 2), (90, 0), (400, 1))] == [
        (2, 0.07), (3, 0.09), (5, 0.4)
    ]  # fmt: skip


# what is lost, and where


@pytest.mark.parametrize("kind", ["ts", "mkv", "mp4", "flv", "webm"])
@pytest.mark.parametrize("rate", ["constant", "variable"])
def test_video_that_begins_between_key_frames(tmp_path: Path, kind: str, rate: str) -> None:
    """Of groups of 8 frames the first 3 are missing, so that 5 cannot be decoded: they are lost at the start."""
    times = [t + 3 * (t // 5) * (rate == "variable") for t in range(LENGTH)]
    codec = "libvpx-vp9" if kind == "webm" else "libx264"
    options = {"g": "8", "keyint_min": "8", "bf": "0"} if codec == "libx264" else {"g": "8", "lag-in-frames": "0"}
    path = encode(tmp_path / f"a.{kind}", times=times, codec=codec, options=options, dropped=range(3))
    frames, error = read(path)
    assert [frame.number for frame in frames] == list(range(5, 21))
    assert [told(frame.image) for frame in frames] == list(range(8, LENGTH))
    shown = np.array(times[8:]) - times[3]
    np.testing.assert_allclose(seconds(frames), shown / RATE, atol=1e-3)
    assert error.endswith("cut short or damaged: only 16 frames of the 21 that it promises can be decoded "
                          "(missing: 5 at the start)")  # fmt: skip


def erase(path: Path, packets: Sequence[int]) -> None:
    """Overwrites these packets of a file by zeros."""
    with av.open(str(path)) as container:
        places = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for number in packets:
        start, size = places[number]
        data[start : start + size] = bytes(size)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("lost", "where"),
    [
        ((7, 8), "2 in the middle"),
        ((22, 23), "2 at the end"),
        ((0, 1), "2 at the start"),
        ((0, 9, 23), "1 at the start, 1 in the middle, 1 at the end"),
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mov"])
def test_damage_is_told_by_its_place_and_the_rest_keeps_its_numbers(
    tmp_path: Path, name: str, lost: tuple[int, ...], where: str
) -> None:
    path = encode(tmp_path / name, codec="mjpeg", pixels="yuvj420p")
    erase(path, lost)
    frames, error = read(path)
    assert [frame.number for frame in frames] == [t for t in range(LENGTH) if t not in lost]
    assert [told(frame.image) for frame in frames] == [frame.number for frame in frames]
    assert error.endswith(f"only {LENGTH - len(lost)} frames of the 24 that it promises can be decoded "
                          f"(missing: {where})")  # fmt: skip


def test_fillers_of_an_encoders_lag_are_no_loss(tmp_path: Path) -> None:
    """XviD writes chunks of one byte where its first frames are not there yet."""
    path = encode(tmp_path / "b.avi", codec="mpeg4", max_b_frames=2)
    with av.open(str(path)) as old, av.open(str(tmp_path / "a.avi"), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            number = packet.dts or 0
            if packet.size:
                packet.stream, packet.pts, packet.dts = stream, number + 2 * (number > 0), number + 2 * (number > 0)
                new.mux(packet)
            if packet.size and packet.dts == 0:
                for place in (1, 2):
                    filler = av.Packet(b"\x7f")
                    filler.stream, filler.pts, filler.dts, filler.time_base = stream, place, place, Fraction(1, RATE)
                    new.mux(filler)
    frames, error = read(tmp_path / "a.avi")
    assert error == "" and [frame.number for frame in frames] == list(range(LENGTH))


# pixels


@pytest.mark.parametrize(("name", "codec", "pixels"), [
    ("a.mp4", "libx264", "yuv420p"), ("a.avi", "mjpeg", "yuvj420p"), ("a.avi", "mpeg4", "yuv420p"),
    ("a.webm", "libvpx-vp9", "yuv420p"), ("a.gif", "gif", "rgb8"), ("a.mkv", "ffv1", "bgr0"),
    ("a.avi", "ffv1", "yuv422p"),
])  # fmt: skip
def test_colours_are_those_that_opencv_reads(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    """Within 2 grey levels, in colour and in grey."""
    cv2 = opencv()
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    images = [
        np.stack([x * 4 + 0 * y, (y * 5 + 3 * t) + 0 * x, (x + y + 9 * t) % 200], -1).clip(0, 255).astype(np.uint8)
        for t in range(6)
    ]
    path = encode(tmp_path / name, times=range(6), codec=codec, pixels=pixels, frames=images)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    for colour, luma in zip(only(path).frames(), only(path, channels=1).frames(), strict=True):
        seen, frame = capture.read()
        assert seen and np.abs(colour.astype(int) - frame[..., ::-1]).max() <= 2
        assert np.abs(luma.astype(int) - cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)).max() <= 2
    assert not capture.read()[0]


def test_a_sound_video_at_which_opencv_aborts(tmp_path: Path) -> None:
    """Raw BGR of 48x48 in AVI; the library that reads it may not take the process down."""
    frames = [np.random.default_rng(t).integers(0, 256, (48, 48, 3), dtype=np.uint8) for t in range(51)]
    path = encode(tmp_path / "demo.avi", times=range(51), codec="rawvideo", pixels="bgr24", frames=frames)
    found, error = read(path)
    assert not error and [frame.number for frame in found] == list(range(51))
    np.testing.assert_array_equal([frame.image for frame in found], frames)


@pytest.mark.parametrize(("pixels", "bits"), [("gray12le", 12), ("gray16le", 16), ("gray10le", 10), ("gbrp12le", 12)])
def test_deep_video_is_scaled_and_never_black(tmp_path: Path, pixels: str, bits: int) -> None:
    """12 bits, whether the format says so or they are in 16."""
    images = [(grey(t)[..., 0].astype(np.uint16) * 16) >> (12 - min(bits, 12)) for t in range(LENGTH)]
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, pixels
        for t, image in enumerate(images):
            frame = av.VideoFrame(WIDTH, HEIGHT, pixels)
            for plane in frame.planes:
                rows = np.frombuffer(plane, np.uint16).reshape(HEIGHT, -1)  # type: ignore[call-overload]
                rows[:, :WIDTH] = image
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frames, error = read(path)
    assert not error and frames[0].image.shape == (HEIGHT, WIDTH, 3)
    assert [told(frame.image) for frame in frames] == list(range(LENGTH))
    assert only(path, channels=1).size == next(only(path, channels=1).frames()).shape


def test_ten_bits_of_a_phone_are_nominal(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", codec="ffv1", pixels="yuv420p10le")
    frames, _ = read(path)
    assert [told(frame.image) for frame in frames] == list(range(LENGTH))


@pytest.mark.parametrize(("name", "codec", "pixels"), [
    ("a.mkv", "ffv1", "bgra"), ("a.mov", "png", "rgba"), ("a.webm", "libvpx-vp9", "yuva420p"),
])  # fmt: skip
def test_what_is_transparent_shows_black(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    image = np.full((HEIGHT, WIDTH, 4), 200, dtype=np.uint8)
    image[:, :32, 3], image[:, 32:, 3] = 255, 0
    path = encode(tmp_path / name, times=range(3), codec=codec, pixels=pixels, frames=[image] * 3, layout="rgba")
    frames, error = read(path)
    assert not error and len(frames) == 3
    for frame in frames:
        assert np.abs(frame.image[:, :30].astype(int) - 200).max() <= 3 and frame.image[:, 34:].max() <= 3


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_phones_are_turned_upright(tmp_path: Path, turn: int) -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    image[:16, :16], image[-16:, :32] = 250, 120
    upright = encode(tmp_path / "a.mp4", times=range(3), frames=[image] * 3)
    with av.open(str(upright)) as old, av.open(str(tmp_path / "turned.mp4"), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        stream.set_display_rotation(turn)  # counterclockwise
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    clip = only(tmp_path / "turned.mp4")
    expected = np.rot90(image, turn // 90)
    assert clip.size == expected.shape[:2]
    for frame in clip.frames():
        assert np.abs(frame.astype(int) - expected).mean() < 5


def test_a_size_that_changes_is_scaled_to_the_first(tmp_path: Path) -> None:
    from sqair.scripts.experiments.fault_videos import encode as of_sizes

    of_sizes(tmp_path / "a.ts", [*(grey(t) for t in range(5)), *(grey(t)[:32, :32] for t in range(5, 10))])
    frames, _ = read(tmp_path / "a.ts")
    assert [told(frame.image) for frame in frames] == list(range(10))
    assert {frame.image.shape for frame in frames} == {(HEIGHT, WIDTH, 3)}


def test_sound_with_a_cover_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "song.mp4"), "w") as container:
        sound, cover = container.add_stream("aac", rate=44100), container.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = HEIGHT, WIDTH, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        quiet = av.AudioFrame.from_ndarray(np.zeros((2, 44100), np.float32), "fltp", "stereo")
        quiet.rate = 44100
        frame = av.VideoFrame.from_ndarray(grey(1), format="rgb24")
        container.mux([*sound.encode(quiet), *sound.encode(None), *cover.encode(frame), *cover.encode(None)])
    with pytest.raises(UserError, match="song.mp4: not a video, but sound with a cover: cannot be opened"):
        read_source(tmp_path / "song.mp4")


# where it lies


@pytest.mark.parametrize(
    "name", ["2024-05-01T12:30:00.mp4", "cam 1 – größe %03d.mp4", "http:.mp4", "a#b?c=d&e.mp4", "-i.mp4", "file:a.mp4"]
)
def test_names_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = encode(tmp_path / "plain.mp4", times=range(3))
    shutil.move(path, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for source in (name, f"./{name}", str(tmp_path / name), f"{name[:2]}*.mp4"):
        clip = only(source)
        assert clip.name == Path(name).stem and len(list(clip.frames())) == 3


def test_addresses() -> None:
    streams = ("rtsp://10.0.0.5:554/live", "HTTP://a/b.mp4", "https://a", "rtmp://a/b")
    assert all(map(is_stream, streams))
    paths = ("2024-05-01T12:30:00.mp4", "C:/a.mp4", "http:/a", "http", "a/rtsp://b", "file:a.mp4", "0")
    assert not any(map(is_stream, paths))
    assert stream_name("http://host:80/cams/front%20door.mp4?x=1#y") == "front_door"
    assert stream_name("rtsp://user:word@10.0.0.5:554/") == "10.0.0.5" and stream_name("http://a/../..") == "a"
    assert without_password("rtsp://user:w@rd@host/a@b") == "rtsp://host/a@b"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and breaks off in the middle of files of that name."""

    def log_message(self, *_: object) -> None:
        pass

    def copyfile(self, source: Any, outputfile: Any) -> None:
        try:
            data = source.read()
            outputfile.write(data[: len(data) // 2] if "breaks" in self.path else data)
        except OSError:
            pass  # the reader has seen enough


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server of what is in the folder of the test."""
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_a_stream_over_http_is_read_and_read_again(tmp_path: Path, server: str, kind: str) -> None:
    path = encode(tmp_path / f"front door.{kind}")
    clip = only(f"{server}/front%20door.{kind}?token=1")
    assert (clip.name, clip.length, clip.size) == ("front_door", None, (HEIGHT, WIDTH))
    for _ in range(2):
        frames = list(clip.stamped())
        assert [told(frame.image) for frame in frames] == list(range(LENGTH))
        np.testing.assert_allclose(seconds(frames), seconds(read(path)[0]), atol=1e-3)


def test_a_stream_that_breaks_off(tmp_path: Path, server: str) -> None:
    encode(tmp_path / "breaks.ts", frames=[np.random.default_rng(t).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
                                           for t in range(LENGTH)])  # fmt: skip
    frames, error = read(f"{server}/breaks.ts")
    assert 5 < len(frames) < LENGTH - 5
    assert f"{server}/breaks.ts: the stream broke off after {len(frames)} frames: " in error


def test_streams_that_cannot_be_reached_are_one_line(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "words.mp4").write_text("these are words\n" * 99)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(decoding, "STREAM_WAIT", (0.3, 0.3))
        mute = f"127.0.0.1:{silent.getsockname()[1]}/a"
        sources = (f"http://me:secret@{mute}", f"rtsp://{mute}", "rtsp://127.0.0.1:9/a", f"{server}/no.mp4",
                   f"{server}/words.mp4", "http://", "http://no.such.host.invalid/a.mp4")  # fmt: skip
        for source in sources:
            with pytest.raises(UserError, match="the stream cannot be opened: ") as caught:
                read_source(source)
            assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


# what the commands make of it


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_weights(tmp_path / "model", tiny_model(price=-2.0), {})
    return tmp_path / "model"


def small(path: Path, **kwargs: Any) -> Path:
    """A video of the size of the model."""
    frames = [np.random.default_rng(t).integers(0, 255, (TINY.height, TINY.width, 3), np.uint8) for t in range(LENGTH)]
    return encode(path, frames=frames, **kwargs)


def tracked(source: object, model: Path, output: Path, *words: str) -> list[dict]:
    arguments = ["--source", str(source), "--model", str(model), "--output", str(output), "--json", *words]
    assert cli.run("track", arguments) == 0
    (lines,) = output.glob("*.jsonl")
    return [json.loads(line) for line in lines.read_text().splitlines()]


def test_lines_and_rows_have_the_frames_own_numbers_and_times(tmp_path: Path, model: Path) -> None:
    places = [t for t in range(LENGTH + 3) if t not in (5, 6, 20)]
    lines = tracked(small(tmp_path / "a.mkv", times=places), model, tmp_path / "out")
    assert [line["frame"] for line in lines] == [t + 1 for t in places]
    assert [line["seconds"] for line in lines] == pytest.approx(np.array(places) / RATE, abs=1e-3)
    rows = read_mot(tmp_path / "out" / "a.txt")
    assert set(rows.frame.tolist()) == {line["frame"] - 1 for line in lines if line["objects"]}
    thin = tracked(tmp_path / "a.mkv", model, tmp_path / "thin", "--stride", "3", "--max-frames", "10", "--fps", "100")
    assert [(line["frame"], line["seconds"]) for line in thin] == [(1, 0), (4, 0.03), (8, 0.07), (10, 0.09)]


def test_a_variable_rate_is_tracked_with_its_own_times(tmp_path: Path, model: Path) -> None:
    lines = tracked(small(tmp_path / "a.mp4", times=VARIABLE, tick=Fraction(1, 1000)), model, tmp_path / "out")
    assert [line["seconds"] for line in lines] == pytest.approx(np.array(VARIABLE) / 1000, abs=1e-3)


def test_a_stream_is_tracked(tmp_path: Path, server: str, model: Path) -> None:
    small(tmp_path / "a.mp4")
    assert len(tracked(f"{server}/a.mp4", model, tmp_path / "out")) == LENGTH
    assert (tmp_path / "out" / "a.txt").exists()


def test_a_report_of_a_video_with_gaps_names_its_frames(tmp_path: Path, model: Path) -> None:
    small(tmp_path / "a.mp4", times=[t for t in range(LENGTH + 3) if t not in (5, 6, 20)])
    (tmp_path / "gt.txt").write_text(f"6,1,1,1,5,5,1,1,1\n{LENGTH + 3},1,1,1,5,5,1,1,1\n")
    words = [tmp_path / "a.mp4", "--model", model, "--output", tmp_path / "out", "--gt", tmp_path / "gt.txt"]
    words += ["--frames", "truth"]
    assert cli.run("report", list(map(str, words))) == 0
    page = (tmp_path / "out" / "a.html").read_text()
    assert f"{LENGTH} frames of {TINY.width}x{TINY.height} pixels" in page
    assert f"On the 1 of {LENGTH} frames" in page and 'alt="model 24"' in page


@pytest.mark.parametrize("command", ["track", "report"])
@pytest.mark.parametrize("fps", ["0", "-1", "inf", "nan"])
def test_rates_are_positive(
    tmp_path: Path, model: Path, command: str, fps: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = [str(tmp_path / "a.mp4")] if command == "report" else ["--source", str(tmp_path / "a.mp4")]
    assert cli.run(command, [*source, "--model", str(model), "--output", str(tmp_path / "out"), f"--fps={fps}"]) == 2
    assert "--fps is" in capsys.readouterr().err
