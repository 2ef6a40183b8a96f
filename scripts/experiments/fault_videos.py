"""Broken videos of every kind, and what ``sqair track`` makes of them."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np

from sqair.datasets.images import encode_png, opencv
from sqair.scripts.experiments.fault_commands import Run
from sqair.scripts.experiments.fault_damage import flip
from sqair.scripts.experiments.study import Line

LENGTH, RATE = 24, 12
"""Frames of the sound clip that each of them once was, and their number per second."""
SIDE = 50
"""Of its frames, in pixels."""


@cache
def film() -> np.ndarray:
    """RGB frames of moving digits, uint8 ``[T, H, W, 3]``, some noise on them, so that they take some bytes."""
    from sqair.datasets.generate import make_clips
    from sqair.datasets.recipes import get_recipe

    recipe = get_recipe("moving-mnist", length=LENGTH, min_objects=2, width=SIDE, height=SIDE)
    frames = make_clips(recipe, "test", 0, 0, 1).frames[0]
    noisy = np.random.default_rng(0).integers(0, 12, frames.shape, dtype=np.uint8) + np.minimum(frames, 240)
    return noisy[..., None].repeat(3, -1)


def encode(
    path: Path, frames: Sequence[np.ndarray], codec: str = "libx264", times: Sequence[int] = (), skip: int = 0
) -> None:
    """Writes a video of the kind of the path's suffix.

    Frame t is shown at ``times[t]``, or at t, of 1 / RATE seconds. Where frames change their size, so they do in the
    file. With ``skip`` so many frames are left out at the start of a video that has a key frame every 8.
    """
    sizes = [frame.shape[:2] for frame in frames]
    starts = [t for t in range(len(frames)) if t == 0 or sizes[t] != sizes[t - 1]]
    options = {"fflags": "+bitexact"} | ({"movflags": "+faststart"} if path.suffix == ".mp4" else {})
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=RATE)
        for start, end in zip(starts, [*starts[1:], len(frames)], strict=True):
            encoder = stream if start == 0 else av.CodecContext.create(codec, "w")
            encoder.height, encoder.width = sizes[start]
            formats = stream.codec.video_formats
            encoder.pix_fmt, encoder.time_base = formats[0].name if formats else "bgr24", Fraction(1, RATE)
            encoder.options = {"g": "8", "bf": "0"} if skip else {}
            packets = []
            for t in range(start, end):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frames[t]), format="rgb24")
                frame.pts, frame.time_base = times[t] if times else t, Fraction(1, RATE)
                packets += encoder.encode(frame)
            for packet in (packets + encoder.encode(None))[skip:]:
                packet.stream = stream
                container.mux(packet)


def cut(data: bytes, share: float) -> bytes:
    """The first bytes, an odd number of them: packets of MPEG-TS are even."""
    return data[: int(len(data) * share) | 1]


def erased(data: bytes, share: float, count: int) -> bytes:
    """``count`` bytes are 0."""
    start = int(len(data) * share)
    return data[:start] + bytes(count) + data[start + count :]


def flipped(data: bytes, seed: int, flips: int = 30) -> bytes:
    """Some bits of the last nine tenths flipped."""
    return flip(data, np.random.default_rng(seed).integers(8 * len(data) // 10, 8 * len(data), flips).tolist())


def counted(avi: bytes, frames: int) -> bytes:
    """An AVI file whose headers say that it has so many frames."""
    lying = bytearray(avi)
    struct.pack_into("<I", lying, avi.index(b"avih") + 8 + 16, frames)
    struct.pack_into("<I", lying, avi.index(b"strh") + 8 + 32, frames)
    return bytes(lying)


def lasting(mkv: bytes, factor: float) -> bytes:
    """A Matroska file whose header says that it lasts ``factor`` times as long as it does."""
    at = mkv.index(b"\x44\x89\x88") + 3
    return mkv[:at] + struct.pack(">d", factor * struct.unpack_from(">d", mkv, at)[0]) + mkv[at + 8 :]


WHOLE, TOLD, REFUSED, FEWER = "all frames", "up to there, and says so", "refused", "fewer frames, not a word"
MOST = "nine tenths of the frames or more, not a word"
DAMAGED = (WHOLE, TOLD, REFUSED)
TIMED = (*DAMAGED, MOST)
"""Of files that promise a duration, and no number of frames."""
UNSEEN = (*TIMED, FEWER)
"""Of streams that promise nothing."""
Sources = dict[str, tuple[str, ...]]
"""Names of files and folders, with the ways in which tracking them may end."""


def make_sources(folder: Path) -> Sources:
    """Puts all of them into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    return {**_sound(folder), **_damaged(folder), **_other_things(folder), **_images(folder)}


def _sound(folder: Path) -> Sources:
    """Videos that are unusual, not broken."""
    frames = film()
    kinds = {"mp4": "libx264", "mkv": "libx264", "ts": "libx264", "h264": "libx264", "avi": "ffv1", "gif": "gif"}
    for kind, codec in {**kinds, "webm": "libvpx-vp9"}.items():
        encode(folder / f"sound.{kind}", frames, codec)
    smaller = [*frames[: LENGTH // 2], *(frame[:40, :40] for frame in frames[LENGTH // 2 :])]
    uneven = np.cumsum([0, *(1 + 4 * (t % 5 == 0) for t in range(LENGTH - 1))]).tolist()
    for kind in ("mp4", "mkv", "ts"):
        encode(folder / f"size-changes.{kind}", smaller)
    encode(folder / "size-changes.avi", smaller, "mjpeg")
    for kind in ("mp4", "mkv"):
        encode(folder / f"variable-rate.{kind}", frames, times=uneven)
    encode(folder / "one-frame.mp4", frames[:1])
    encode(folder / "raw.avi", frames, "rawvideo")
    encode(folder / "other-size.mp4", [frame[:48, :40] for frame in frames])
    return {path.name: (REFUSED,) if path.stem == "other-size" else (WHOLE,) for path in folder.iterdir()}


def _damaged(folder: Path) -> Sources:
    """Those videos with a part missing or changed."""
    between = [folder / f"begins-between-key-frames.{kind}" for kind in ("mp4", "mkv", "ts")]
    for path in between:
        encode(path, film(), skip=3)
    mp4, mkv, webm, ts, h264, gif, avi = (
        (folder / f"sound.{kind}").read_bytes() for kind in ("mp4", "mkv", "webm", "ts", "h264", "gif", "avi")
    )
    start, index = mp4.index(b"mdat") - 4, mp4.index(b"moov") - 4
    contents = {
        "head-only.mp4": (mp4[:index], (REFUSED,)),
        "index-only.mp4": (mp4[: start + 8], (REFUSED,)),
        "no-index.mp4": (mp4[:index] + mp4[start:], (REFUSED,)),
        "cut-in-last-frame.mp4": (mp4[:-40], (TOLD,)),
        "cut-in-last-frame.avi": (avi[: avi.index(b"idx1") - 400], (TOLD,)),
        "cut-in-last-frame.mkv": (cut(mkv, 0.97), (TOLD,)),
        "promises-more.avi": (counted(avi, 2 * LENGTH), (TOLD,)),
        "promises-fewer.avi": (counted(avi, LENGTH // 2), (WHOLE, TOLD)),
        "promises-more.mkv": (lasting(mkv, 2), (TOLD,)),
        "promises-fewer.mkv": (lasting(mkv, 0.5), (WHOLE,)),
        "avi-named.mp4": (avi, (WHOLE,)),
        "mp4-named.avi": (mp4, (WHOLE,)),
        "mp4-named.png": (mp4, (REFUSED,)),
        "mp4-named.npz": (mp4, (REFUSED,)),
    }
    for kind, data in {"mp4": mp4, "mkv": mkv, "webm": webm, "avi": avi, "ts": ts, "h264": h264, "gif": gif}.items():
        damaged = UNSEEN if kind in ("ts", "h264", "gif") else TIMED if kind in ("mkv", "webm") else DAMAGED
        contents[f"cut.{kind}"] = cut(data, 0.6), UNSEEN if kind == "h264" else (TOLD,)
        contents[f"erased.{kind}"] = erased(data, 0.6, len(data) // 8), damaged
        contents |= {f"flipped-{seed}.{kind}": (flipped(data, seed), damaged) for seed in range(3)}
    return {**_write(folder, contents), **{path.name: (TOLD,) for path in between}}


def _other_things(folder: Path) -> Sources:
    """Files that are no videos."""
    with av.open(str(folder / "sound-only.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 44100), np.float32), "fltp", "stereo")
        silence.rate = 44100
        container.mux(stream.encode(silence) + stream.encode(None))
    fourcc = opencv().VideoWriter_fourcc(*"FFV1")
    opencv().VideoWriter(str(folder / "no-frames.avi"), opencv().CAP_FFMPEG, fourcc, RATE, (SIDE, SIDE)).release()
    os.mkfifo(folder / "pipe.mp4")
    (folder / "folder.mp4").mkdir()
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    remote = b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    contents = {
        "empty.mp4": b"",
        "words.mp4": b"these are words\n" * 99,
        "random.mp4": np.random.default_rng(0).bytes(5000),
        "zeros.mp4": bytes(5000),
        "playlist.m3u8": remote,
        "playlist.mp4": remote,
        "playlist.ffconcat": b"ffconcat version 1.0\nfile sound.mp4\n",
        "subtitles.srt": b"1\n00:00:00,000 --> 00:00:02,000\nwords\n",
    }
    others = ("sound-only.mp4", "no-frames.avi", "pipe.mp4", "folder.mp4", "loop.mp4", "missing.mp4")
    expected = _write(folder, {name: (data, (REFUSED,)) for name, data in contents.items()})
    return {**expected, **dict.fromkeys(others, (REFUSED,)), "playlist.ffconcat": (WHOLE, REFUSED)}


def _images(folder: Path) -> Sources:
    """Folders of images and archives."""
    frames = film()[:5]
    pictures = [encode_png(frame) for frame in frames]
    jpeg = opencv().imencode(".jpg", frames[2])[1].tobytes()
    instead = {
        "cut-png": ("2.png", cut(pictures[2], 0.6)),
        "flipped-png": ("2.png", flipped(pictures[2], 0, 1)),
        "empty-png": ("2.png", b""),
        "cut-jpeg": ("2.jpg", cut(jpeg, 0.6)),
        "other-size": ("2.png", encode_png(frames[2][:40])),
        "words-png": ("2.png", b"words"),
    }
    for name, (file, data) in instead.items():
        (folder / name).mkdir()
        for t in {0, 1, 2, 3, 4} - {2}:
            (folder / name / f"{t}.png").write_bytes(pictures[t])
        (folder / name / file).write_bytes(data)
    (folder / "promises-more" / "img1").mkdir(parents=True)
    for t, data in enumerate(pictures):
        (folder / "promises-more" / "img1" / f"{t}.png").write_bytes(data)
    (folder / "promises-more" / "seqinfo.ini").write_text("[Sequence]\nseqLength=9\n")
    np.savez(folder / "sound.npz", frames=frames[None])
    np.savez(folder / "floats.npz", frames=frames[None] / 255)
    np.savez(folder / "complex.npz", frames=frames[None] * 1j)
    np.savez(folder / "pickle.npz", frames=np.array([{"a": 1}]))
    archive = (folder / "sound.npz").read_bytes()
    spoiled = {"cut.npz": (cut(archive, 0.6), (REFUSED,)), "flipped.npz": (flipped(archive, 0), (REFUSED,))}
    expected = {name: (REFUSED,) for name in [*instead, "complex.npz", "pickle.npz"]}
    expected |= {**_write(folder, spoiled), "cut-jpeg": DAMAGED, "promises-more": (TOLD,), "sound.npz": (WHOLE,)}
    return {**expected, "floats.npz": (WHOLE,), **_stacks(folder)}


def _stacks(folder: Path) -> Sources:
    """Files of many images, whole and spoiled."""
    cv2 = opencv()
    cv2.imwritemulti(str(folder / "stack.tif"), [frame[..., ::-1] for frame in film()])
    contents = {}
    for kind in ("png", "webp", "tif"):
        if kind != "tif":
            frames = cv2.Animation()
            frames.frames, frames.durations = [frame[..., ::-1] for frame in film()], [1000 // RATE] * LENGTH
            cv2.imwriteanimation(str(folder / f"stack.{kind}"), frames)
        data = (folder / f"stack.{kind}").read_bytes()
        contents[f"cut-stack.{kind}"] = cut(data, 0.6), (TOLD, REFUSED)
        contents |= {f"flipped-{seed}-stack.{kind}": (flipped(data, seed, 3), DAMAGED) for seed in range(3)}
    return {**_write(folder, contents), **{f"stack.{kind}": (WHOLE,) for kind in ("png", "webp", "tif")}}


def _write(folder: Path, contents: dict[str, tuple[bytes, tuple[str, ...]]]) -> Sources:
    for name, (data, _) in contents.items():
        (folder / name).write_bytes(data)
    return {name: ends for name, (_, ends) in contents.items()}


def track(folder: Path, name: str, ends: tuple[str, ...], run: Run) -> Line:
    """Tracks one of the sources: how that ended, how many frames it tracked, what it said."""
    output = folder / "tracks" / name
    words = ["--source", str(folder / name), "--output", str(output), "--model", "moving-mnist", "--no-refine"]
    ended = run(["track", *words])
    outcome = ended.outcome
    if outcome == "refused":
        outcome = TOLD if output.exists() else REFUSED
    elif outcome == "works":
        found = re.search(r"(\d+) frames?,", ended.out)
        frames, length = int(found[1]) if found else 0, _length(name)
        outcome = WHOLE if frames == length else MOST if frames >= 0.9 * length else FEWER
    return {"outcome": outcome, "good": outcome in ends, "said": ended.said(folder)}


def _length(name: str) -> int:
    """Frames that there are."""
    return 1 if name == "one-frame.mp4" else 5 if name in ("sound.npz", "floats.npz", "cut-jpeg") else LENGTH
