"""``sqair track``: rows and videos of archives, folders and videos; what it refuses; what it leaves alone."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import TINY, spots, tiny_model
from sqair.config import Stage, TrainConfig
from sqair.datasets.clip import ClipSource, evenly
from sqair.datasets.images import read_image, to_channels, write_png
from sqair.datasets.video import read_source
from sqair.datasets.video_out import write_video
from sqair.files.mot_io import read_mot
from sqair.files.pretrained import save_weights
from sqair.model import SQAIR
from sqair.passes import Options
from sqair.scripts import cli, track_archive, track_pictures, tracking
from sqair.scripts.track import Args as TrackArgs
from sqair.tracker import Tracker, track_clips
from sqair.tracks import Tracks
from sqair.trainer import Trainer

N, T, H, W = 5, 6, TINY.height, TINY.width
COLOUR = replace(TINY, channels=3)
USUAL: Options = {"passes": 2, "tries": 8}
"""How the command tracks archives, and ``track_clips`` only if it is told to."""


def pixels(channels: int = 1, *, length: int = T, clips: int = N, seed: int = 1) -> np.ndarray:
    """Clips uint8 ``[N, T, H, W]`` or ``[N, T, H, W, 3]`` of moving spots."""
    frames = spots(COLOUR if channels == 3 else TINY, length, clips, seed=seed)
    frames = frames.clamp(0, 1).mul(255).byte().numpy()
    return frames.transpose(1, 0, 3, 4, 2).copy() if channels == 3 else frames[:, :, 0].swapaxes(0, 1).copy()


class Spots:
    """Training clips."""

    length = T

    def __call__(self, start: int, count: int) -> np.ndarray:
        return pixels(clips=count, seed=start + 2)


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned a little: it finds most spots."""
    stages = (Stage(1, 40, 12), Stage(3, 5, 8))
    config = TrainConfig(stages=stages, learning_rate=1e-2, muon_rate=0.0, snug=0.0, bold_steps=20)
    trainer = Trainer(TINY, config, Spots())
    for _ in trainer.run():
        pass
    folder = tmp_path_factory.mktemp("grey")
    save_weights(folder, trainer.model, {})
    return folder


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model that finds things where there is light."""
    folder = tmp_path_factory.mktemp("colour")
    save_weights(folder, tiny_model(COLOUR, price=-2.0), {})
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "clips.npz"
    np.savez(path, frames=pixels())
    return path


def images(folder: Path, clip: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for t, frame in enumerate(clip):
        write_png(folder / f"{t:04d}.png", frame)
    return folder


def sequence(folder: Path, clip: np.ndarray, promised: int) -> Path:
    """A MOTChallenge sequence that promises more frames than it has."""
    images(folder / "img1", clip)
    (folder / "seqinfo.ini").write_text(f"[Sequence]\nname=x\nframeRate=10\nseqLength={promised}\n")
    return folder


def run(source: object, model: Path, output: Path, *more: str) -> int:
    return cli.run("track", ["--source", str(source), "--model", str(model), "--output", str(output), *more])


def assert_rows(path: Path, expected: Tracks) -> None:
    found = read_mot(path)
    assert len(found) == len(expected)
    for name in ("frame", "id", "box", "score"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-6)


def streamed(model: SQAIR, clip: Sequence[np.ndarray], **options: Any) -> Tracks:
    tracker = Tracker(model, **options)
    return Tracks.concat([tracker.update(frame) for frame in clip])


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([], {}),
        (["--box", "patch"], {"box": "patch"}),
        (["--no-refine"], {"refine": False}),
        (["--memory", "0"], {"memory": 0}),
        (["--passes", "1"], {"passes": 1}),
        (["--tries", "1"], {"tries": 1}),
    ],
)
def test_an_archive_gives_the_rows_of_track_clips(
    grey: Path, tmp_path: Path, words: list[str], options: dict[str, Any]
) -> None:
    clips = pixels()
    clips[:, 3] = 0  # objects that vanish for a moment: what is remembered matters
    np.savez(tmp_path / "clips.npz", frames=clips)
    assert run(tmp_path / "clips.npz", grey, tmp_path / "out", *words) == 0
    asked: Any = {**USUAL, **options}
    expected = track_clips(SQAIR.from_pretrained(grey), clips, **asked)
    assert sum(map(len, expected)) > N * T
    if options:
        usual = track_clips(SQAIR.from_pretrained(grey), clips, **USUAL)
        columns = [(clip.frame, clip.id, clip.box.round(3)) for clip in usual]
        other = [(clip.frame, clip.id, clip.box.round(3)) for clip in expected]
        assert str(columns) != str(other)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{i:06d}.txt" for i in range(N)]
    for i, tracks in enumerate(expected):
        assert_rows(tmp_path / "out" / f"{i:06d}.txt", tracks)


@pytest.mark.parametrize(
    ("objects", "background", "stabilise", "together"),
    [
        ("light", "none", "auto", True),
        ("layered", "plain", "auto", True),
        ("layered", "still", "auto", True),  # short clips, whose cameras are steady
        ("layered", "still", "on", False),
        ("opaque", "still", "auto", False),  # footage: it is looked at how its camera moves
    ],
)
@pytest.mark.parametrize("name", ["set.npz", "set.npy", "set.h5"])
def test_clips_of_a_set_are_tracked_many_at_a_time(
    tmp_path: Path, objects: Any, background: Any, stabilise: Any, together: bool, name: str
) -> None:
    frames = np.zeros((3, 6, 44, 52, 3), np.uint8)
    if name == "set.h5":
        with pytest.importorskip("h5py").File(tmp_path / name, "w") as file:
            file["frames"] = frames
    elif name == "set.npy":
        np.save(tmp_path / name, frames)
    else:
        np.savez(tmp_path / name, frames=frames)
    config = replace(TINY, channels=3, fit=True, objects=objects, background=background)
    args = TrackArgs(str(tmp_path / name), tmp_path / "out", "model", stabilise=stabilise)
    assert track_archive.fit_together(read_source(tmp_path / name), args, config) == together


def test_batches_of_an_archive_do_not_show(
    archive: Path, grey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track_archive, "BATCH_CLIPS", 2)
    assert run(archive, grey, tmp_path / "twos", "--passes", "1", "--tries", "1") == 0
    monkeypatch.setattr(track_archive, "BATCH_PIXELS", 10)  # no clip fits: frame by frame
    assert run(archive, grey, tmp_path / "stream") == 0
    for i, tracks in enumerate(track_clips(SQAIR.from_pretrained(grey), pixels())):
        for how in ("twos", "stream"):
            assert_rows(tmp_path / how / f"{i:06d}.txt", tracks)


def test_a_folder_gives_the_rows_of_the_tracker(
    grey: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = pixels(length=11)[0]
    assert run(images(tmp_path / "walk", clip), grey, tmp_path / "out") == 0
    assert_rows(tmp_path / "out" / "walk.txt", streamed(SQAIR.from_pretrained(grey), clip))
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1
    objects = len(set(read_mot(tmp_path / "out" / "walk.txt").id.tolist()))
    assert said[0].startswith(f"found {objects} objects in 11 frames, ") and objects > 1
    assert said[0].endswith(f" frames a second: {tmp_path / 'out' / 'walk.txt'}")


@pytest.mark.parametrize("kind", ["archive", "video"])
def test_overlays_show_every_frame(kind: str, grey: Path, tmp_path: Path) -> None:
    source = tmp_path / ("film.mp4" if kind == "video" else "clips.npz")
    if kind == "video":
        write_video(source, pixels()[0], 10)
    else:
        np.savez(source, frames=pixels()[:2])
    assert run(source, grey, tmp_path / "out", "--overlay") == 0
    names = [clip.name for clip in read_source(source)]
    assert sorted(path.stem for path in (tmp_path / "out").glob("*.mp4")) == names
    for name in names:
        (film,) = read_source(tmp_path / "out" / f"{name}.mp4")
        frames = list(film.frames())
        assert len(frames) == T and film.size == (20 * H, 20 * W)
        assert len(np.unique(frames[-1].reshape(-1, 3), axis=0)) > 256  # not grey: something is drawn
    if kind == "video":
        clip = [to_channels(frame, 1) for frame in read_source(source)[0].frames()]
        assert_rows(tmp_path / "out" / "film.txt", streamed(SQAIR.from_pretrained(grey), clip))


def test_a_grey_model_sees_colour_as_grey(grey: Path, tmp_path: Path) -> None:
    clip = pixels(3)[0]
    assert run(images(tmp_path / "walk", clip), grey, tmp_path / "out") == 0
    expected = streamed(SQAIR.from_pretrained(grey), [to_channels(frame, 1) for frame in clip])
    assert_rows(tmp_path / "out" / "walk.txt", expected)


def test_a_colour_model_sees_colour(colour: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "clips.npz", frames=pixels(3))
    assert run(tmp_path / "clips.npz", colour, tmp_path / "out", "--no-refine") == 0
    expected = track_clips(SQAIR.from_pretrained(colour), pixels(3), **{**USUAL, "refine": False})
    assert sum(map(len, expected)) > N
    for i, tracks in enumerate(expected):
        assert_rows(tmp_path / "out" / f"{i:06d}.txt", tracks)


@pytest.mark.parametrize("more", [(), ("--overlay",)])
def test_a_source_cut_short_keeps_the_tracks_up_to_there(
    grey: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    clips = tmp_path / "clips"
    sequence(clips / "a", pixels()[0], T)
    sequence(clips / "b", pixels()[1], 2 * T)
    sequence(clips / "c", pixels()[2], T)
    out = tmp_path / "out"
    assert run(clips, grey, out, *more) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith(f"error: {clips / 'b'}: has {T} images")
    assert str(out) in said[0]
    for i, name in enumerate("abc"):
        assert_rows(out / f"{name}.txt", streamed(SQAIR.from_pretrained(grey), pixels()[i]))
    assert sorted(path.stem for path in out.glob("*.mp4")) == (["a", "b", "c"] if more else [])


def test_errors_are_one_line_and_write_nothing(
    archive: Path, grey: Path, colour: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, blocked, full = tmp_path / "out", tmp_path / "file", tmp_path / "full"
    blocked.write_text("")
    full.mkdir()
    (full / "000000.txt").write_text("mine")
    large = images(tmp_path / "large", np.zeros((2, 30, 40), np.uint8))
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in grey.iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[:-9])
    np.savez(tmp_path / "complex.npz", frames=pixels() * 1j)
    cases = [
        ((large, grey, out), [str(large), "40x30", f"{W}x{H}"]),
        ((archive, colour, out), [str(archive), "grey", "colour"]),
        ((images(tmp_path / "grey", pixels()[0]), colour, out), [str(tmp_path / "grey"), "grey", "colour"]),
        ((tmp_path / "none.mp4", grey, out), ["none.mp4"]),
        ((tmp_path / "complex.npz", grey, out), ["complex.npz", "complex128"]),
        ((archive, grey, out, "--range", "9", "3"), ["--range 9 3"]),
        ((archive, tmp_path / "no-model", out), ["no-model"]),
        ((archive, broken, out), [str(broken)]),
        ((archive, grey, full), [str(full), "--overwrite"]),
        ((archive, grey, blocked), [str(blocked)]),
        ((archive, grey, blocked / "out"), [str(blocked / "out")]),
        ((archive, grey, out, "--memory", "-1"), ["--memory is -1"]),
        ((archive, grey, out, "--threads", "0"), ["--threads is 0"]),
    ]
    for words, expected in cases:
        assert run(*words) == 2, words
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1 and said[0].startswith("error: "), said
        for part in expected:
            assert part in said[0], (part, said[0])
        assert not out.exists()
    assert [path.name for path in full.iterdir()] == ["000000.txt"]
    assert (full / "000000.txt").read_text() == "mine"


def test_overwrite_replaces_files_of_the_same_names(archive: Path, grey: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "000000.txt").write_text("old")
    (out / "notes.txt").write_text("mine")
    assert run(archive, grey, out, "--overwrite") == 0
    assert_rows(out / "000000.txt", track_clips(SQAIR.from_pretrained(grey), pixels(), **USUAL)[0])
    assert (out / "notes.txt").read_text() == "mine"


def test_a_failure_leaves_what_was_there(
    archive: Path, grey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert run(archive, grey, out) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write = track_archive.write_mot

    def fail(path: Path, tracks: Tracks) -> None:
        if path.name == "000003.txt":
            raise KeyboardInterrupt
        write(path, tracks)

    monkeypatch.setattr(track_archive, "write_mot", fail)
    assert run(archive, grey, out, "--box", "patch", "--overwrite") == 130
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("more", [(), ("--overlay",)])
def test_frames_are_let_go_of(
    grey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    alive: set[int] = set()
    most = 0

    def frames() -> Iterator[np.ndarray]:
        nonlocal most
        for t in range(40):
            frame = np.full((H, W), t, np.uint8)
            alive.add(t)
            weakref.finalize(frame, alive.remove, t)
            most = max(most, len(alive))
            yield frame

    clip = ClipSource("film", tmp_path / "film.mp4", (H, W), 40, 10.0, lambda: evenly(frames(), 10.0))
    monkeypatch.setattr(tracking, "read_source", lambda source, **_: [clip])
    assert run("film.mp4", grey, tmp_path / "out", *more) == 0
    assert 1 <= most <= 4


class Screen:
    """Stands for OpenCV where there is a display; Escape is pressed at the third picture."""

    COLOR_RGB2BGR = 0
    error = ValueError

    def __init__(self) -> None:
        self.shown: list[tuple[int, ...]] = []
        self.closed = 0

    def cvtColor(self, image: np.ndarray, code: int) -> np.ndarray:
        return image

    def imshow(self, name: str, image: np.ndarray) -> None:
        assert name == "walk"
        self.shown.append(image.shape)

    def waitKey(self, delay: int) -> int:
        return track_pictures.ESCAPE if len(self.shown) == 3 else -1

    def destroyWindow(self, name: str) -> None:
        self.closed += 1


def test_show_needs_a_display_and_ends_with_escape(
    grey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = pixels()[0]
    source, screen = images(tmp_path / "walk", clip), Screen()
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert run(source, grey, tmp_path / "out", "--show") == 2
    assert "--overlay" in capsys.readouterr().err
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(track_pictures, "opencv", lambda: screen)
    assert run(source, grey, tmp_path / "out", "--show") == 0
    assert screen.shown == [(20 * H, 20 * W, 3)] * 3 and screen.closed == 1
    assert_rows(tmp_path / "out" / "walk.txt", streamed(SQAIR.from_pretrained(grey), clip))


def test_pictures_of_a_folder_are_what_was_written(tmp_path: Path) -> None:
    """Guards the comparisons above: PNG keeps every pixel."""
    folder = images(tmp_path / "walk", pixels(3)[0])
    np.testing.assert_array_equal(read_image(folder / "0002.png"), pixels(3)[0, 2])
