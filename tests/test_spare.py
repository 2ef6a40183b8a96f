"""What a command reads is never what it writes over: by every name that a file can have, in every command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import TINY, spots, tiny_model
from sqair.datasets.images import write_png
from sqair.datasets.staging import source_files
from sqair.datasets.video_out import write_gif, write_video
from sqair.errors import UserError
from sqair.files.pretrained import BUILT_IN, save_weights
from sqair.files.spare import spare
from sqair.model import SQAIR
from sqair.scripts import cli

TRAIN = ("train", "--preset", "tiny", "--device", "cpu")
ROW = "1,1,5,5,9,9,1,1,1\n"


def same_file(folder: Path, name: str) -> tuple[Path, Path]:
    """A file that is read, and a path that is the same file, by what ``name`` says."""
    read = folder / "a" / "read.mp4"
    read.parent.mkdir()
    read.write_text("film")
    if name == "spelling":
        return read, folder / "a" / ".." / "a" / "." / "read.mp4"
    if name == "relative":
        return Path(os.path.relpath(read)), read
    write = folder / "other.mp4"
    if name == "hard link":
        os.link(read, write)
    elif name == "link":
        write.symlink_to(read)
    elif name == "link to the folder":
        (folder / "b").symlink_to(read.parent, target_is_directory=True)
        write = folder / "b" / "read.mp4"
    elif name == "read by a link":
        write.symlink_to(read)
        read, write = write, read
    elif name == "a link on the way":
        (folder / "first").symlink_to(write)
        write.symlink_to(read)
        read = folder / "first"
    return read, write


NAMES = ("itself", "spelling", "relative", "hard link", "link", "link to the folder", "read by a link")
NAMES += ("a link on the way",)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_known_by_every_name(name: str, tmp_path: Path) -> None:
    read, write = same_file(tmp_path, name)
    write = read if name == "itself" else write
    with pytest.raises(UserError, match="which this command reads|but this command reads it"):
        spare([tmp_path / "none", read], [tmp_path / "none", write])


def test_a_case_that_the_file_system_ignores(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("film")
    if not (tmp_path / "CLIP.MP4").exists():
        pytest.skip("this file system tells clip.mp4 from CLIP.MP4")
    with pytest.raises(UserError, match="which this command reads"):
        spare([tmp_path / "clip.mp4"], [tmp_path / "CLIP.MP4"])


def test_a_folder_takes_along_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "out" / "run" / "deep").mkdir(parents=True)
    (tmp_path / "out" / "run" / "deep" / "a.png").write_text("picture")
    (tmp_path / "link.png").symlink_to(tmp_path / "out" / "run" / "deep" / "a.png")
    (tmp_path / "out" / "run" / "mine.png").symlink_to(tmp_path / "elsewhere.png")
    (tmp_path / "elsewhere.png").write_text("picture")
    for read in ("out/run/deep/a.png", "link.png", "out/run/mine.png"):
        with pytest.raises(UserError, match="out/run would be replaced, and with it"):
            spare([tmp_path / read], [tmp_path / "out" / "run"])


def test_what_only_looks_alike_is_in_nobodys_way(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_text("film")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    (tmp_path / "out").mkdir()
    spare([tmp_path / "a.mp4", tmp_path / "circle"], [tmp_path / "b.mp4", tmp_path / "out", tmp_path / "dangling"])
    spare(["a\0b", tmp_path / "a.mp4"], ["a\0b", tmp_path / "b.mp4"])


def test_the_files_of_a_source(tmp_path: Path) -> None:
    for name in ("walk/1.png", "walk/walk.txt", "walk/deep/1.png", "mot/A/img1/1.jpg", "mot/A.txt", "a.mp4", "b.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")

    def found(source: str) -> set[str]:
        return {str(file.relative_to(tmp_path)) for file in source_files(tmp_path / source) if file.exists()}

    assert found("walk") == {"walk/1.png"} and found("mot") == found("mot/A") == {"mot/A/img1/1.jpg"}
    assert found("a.mp4") == {"a.mp4"} and found("*.mp4") == found("") == {"a.mp4", "b.mp4"} and found("none") == set()
    assert list(source_files([tmp_path / "a.mp4", str(tmp_path / "b*")])) == [tmp_path / "a.mp4", tmp_path / "b.mp4"]


def clip() -> np.ndarray:
    """A clip uint8 ``[T, H, W]``."""
    return (255 * spots(TINY, 12, 1)[:, 0, 0]).byte().numpy()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one of everything that a command reads; it is where commands run."""
    monkeypatch.chdir(tmp_path)
    frames = clip()
    save_weights(tmp_path / "model", tiny_model(replace(TINY), price=-2.0), {})
    (tmp_path / "v").mkdir()
    write_video(tmp_path / "v" / "clip.mp4", frames, 12)
    write_gif(tmp_path / "v" / "moving.gif", frames, 12)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "clip.mp4").symlink_to(tmp_path / "v" / "clip.mp4")
    for folder in ("walk", "run/pictures", "moving-mnist-test", "seq/img1"):
        (tmp_path / folder).mkdir(parents=True)
        for t, frame in enumerate(frames):
            write_png(tmp_path / folder / f"{t:04d}.png", frame)
    (tmp_path / "run" / "config.yaml").write_text("train: {seed: 3}\n")
    for name in ("scores.csv", "clip.html", "pred.txt", "video-2.txt"):
        (tmp_path / name).write_text(ROW)
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "table.md").write_text(ROW)
    os.link(tmp_path / "pred.txt", tmp_path / "scores.json")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


MODEL = ("--model", "model")
CLASHES: dict[str, tuple[str, ...]] = {
    "track": ("track", "--source", "v/clip.mp4", "--output", "v", "--overlay", *MODEL),
    "track, GIF": ("track", "--source", "v/moving.gif", "--output", "v", "--gif", *MODEL),
    "track, link": ("track", "--source", "v/clip.mp4", "--output", "links", "--overlay", *MODEL),
    "track, by a link": ("track", "--source", "links/clip.mp4", "--output", "v", "--overlay", *MODEL),
    "track, glob": ("track", "--source", "v/*.mp4", "--output", "./v/../v", "--overlay", *MODEL),
    "track, among images": ("track", "--source", "walk", "--output", "walk", "--gif", *MODEL),
    "track, video among images": ("track", "--source", "walk/", "--output", "v/../walk", "--overlay", *MODEL),
    "report, truth": ("report", "v/clip.mp4", "--output", ".", "--gt", "clip.html", *MODEL),
    "generate, textures": (
        "generate", "--output", ".", "--count", "2", "--background", "texture", "--texture-path", "moving-mnist-test",
    ),
    "generate, digits": ("generate", "--output", ".", "--count", "2", "--idx-path", "moving-mnist-test"),
    "train, source": (*TRAIN, "--output", "run", "--data", "run/pictures"),
    "train, config": (*TRAIN, "--output", "run", "--config", "run/config.yaml"),
    "train, config by a glance": (*TRAIN, "--output", "x/../run", "--config", "links/../run/config.yaml"),
    "train, textures": (
        *TRAIN, "--output", "run", "--data.background", "texture", "--data.texture-path", "run/pictures",
    ),
    "score, truth": ("score", "--truth", "scores.csv", "--pred", "video-2.txt", "--output", "."),
    "score, hard link": ("score", "--truth", "video-2.txt", "--pred", "pred.txt", "--output", "."),
    "experiments": ("experiments.pets", "--clip", "v/clip.mp4", "--gt", "e/table.md", "--output", "e"),
    "bench": ("bench", "--tiny", "--output", "model/config.json", *MODEL),
    "bench, weights": ("bench", "--tiny", "--output", "v/../model/model.safetensors", *MODEL),
}  # fmt: skip


def refused(words: Sequence[str], capfd: pytest.CaptureFixture[str]) -> str:
    assert cli.run(words[0], words[1:]) == 2, words
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("error: "), said
    return said[0]


@pytest.mark.parametrize("name", CLASHES)
def test_no_command_writes_over_what_it_reads(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sqair.scripts.footage.look_at", lambda *args: (None, {}))
    before = contents(place)
    for more in ((), ("--overwrite",)) if name != "experiments" else ((),):
        said = refused([*CLASHES[name], *more], capfd)
        assert "--overwrite" not in said and "choose another --output" in said, said
        assert contents(place) == before


def test_the_advice_works(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Another output is written, and with --overwrite the folder of the source, where nothing that is read is hit."""
    words = [word for word in CLASHES["track"] if word != "--overlay"]
    read = (place / "v" / "clip.mp4").read_bytes()
    assert "add --overwrite: what is in it stays" in refused(words, capfd)
    assert cli.run("track", [*words[1:], "--overwrite"]) == 0
    assert "add --overwrite to replace clip.txt in it" in refused(words, capfd)
    assert cli.run("track", [*words[1:], "--overwrite"]) == 0
    assert cli.run("track", [*CLASHES["track"][1:4], "elsewhere", "--overlay", *MODEL]) == 0
    walk = ["--source", "walk", "--output", "walk", *MODEL, "--json", "--overwrite"]
    assert cli.run("track", walk) == cli.run("track", walk) == 0
    assert (place / "v" / "clip.mp4").read_bytes() == read
    assert sorted(p.name for p in (place / "walk").glob("walk.*")) == ["walk.jsonl", "walk.txt"]
    assert [p.name for p in (place / "elsewhere").iterdir()] and len(list((place / "walk").glob("*.png"))) == 12


def test_models_that_ship_are_not_saved_over(place: Path) -> None:
    shipped = contents(BUILT_IN)
    for folder in (BUILT_IN / "moving-mnist", place / "shipped"):
        if folder.parent == place:
            folder.symlink_to(BUILT_IN / "moving-mnist", target_is_directory=True)
        with pytest.raises(UserError, match="ships with sqair: choose another folder"):
            SQAIR.from_pretrained("model").save_pretrained(folder)
    with pytest.raises(UserError, match="holds 0000.png, which saving would remove"):
        SQAIR.from_pretrained("model").save_pretrained("walk")
    assert contents(BUILT_IN) == shipped


HOLDS = """
import sys
from pathlib import Path
from sqair.files.durable import Hold
held = Hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_that_is_going_on_is_let_be(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = ["--output", "new", "--preset", "tiny", "--device", "cpu", "--train.stages", "1x2x2"]
    assert cli.run("train", run) == 0
    before = contents(place / "new")
    command = [sys.executable, "-c", HOLDS, place / "new" / "config.yaml"]
    pipe, root = subprocess.PIPE, str(Path(cli.__file__).parents[2].resolve())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, root])}
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        capfd.readouterr()
        for words in ([*run, "--overwrite"], ["--output", "new", "--resume"]):
            assert "another process is training there" in refused(["train", *words], capfd)
        assert contents(place / "new") == before
        holder.kill()
    assert cli.run("train", [*run, "--overwrite"]) == 0
