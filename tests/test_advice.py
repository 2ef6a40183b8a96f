"""What an error advises works when it is done."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import TINY, moving_spots, spots, spotter, straight, tiny_model
from sqair.datasets.images import write_png
from sqair.errors import UserError
from sqair.files.checkpoint import load_checkpoint
from sqair.files.pretrained import save_weights
from sqair.scripts import cli
from sqair.scripts.run_folder import ENTRIES
from sqair.scripts.tracking import _summary

SHORT = "--preset tiny --device cpu --train.stages 1x2x2 --validate-every 0 --model.glimpse 8 --validation-clips 1"
ENUMERATE = "train --preset tiny --device cpu --estimator enumeration --validation-clips 1 --output new"
BIRTHS = "generate --recipe birth-death --count 2 --length 9 --min-objects 2 --max-objects 2 --output new"
CASES = {
    "a run is there: resume": (f"train {SHORT} --output run", "add --resume", "train --output run --resume"),
    "a run is there: replace": (
        f"train {SHORT} --output run", "--overwrite to replace it", f"train {SHORT} --output run --overwrite",
    ),
    "a run is there: elsewhere": (f"train {SHORT} --output run", "another --output", f"train {SHORT} --output new"),
    "files are there": (
        f"train {SHORT} --output walk",
        "add --overwrite: what is in it stays",
        f"train {SHORT} --output walk --overwrite",
    ),
    "a file is there": (f"train {SHORT} --output file", "is a file: choose a folder", f"train {SHORT} --output new"),
    "another configuration": (
        f"train {SHORT} --output run --resume --train.learning-rate 0.1",
        "go on with the run's own settings",
        "train --output run --resume",
    ),
    "another configuration: anew": (
        f"train {SHORT} --output run --resume --train.learning-rate 0.1",
        "train anew in another --output",
        f"train {SHORT} --output new --train.learning-rate 0.1",
    ),
    "both": (f"train {SHORT} --output run --resume --overwrite", "give one of them", "train --output run --resume"),
    "particles": (
        f"train {SHORT} --estimator vimco --output new",
        "set --particles",
        f"train {SHORT} --estimator vimco --particles 2 --output new",
    ),
    "outcomes: one object": (
        f"{ENUMERATE} --train.stages 7x2x2",
        "or of 6 with --model.slots 1 --model.first-steps 1",
        f"{ENUMERATE} --train.stages 6x2x2 --model.slots 1 --model.first-steps 1",
    ),
    "outcomes: short clips": (
        f"{ENUMERATE} --train.stages 7x2x2",
        "--train.stages to clips of 3 at most",
        f"{ENUMERATE} --train.stages 3x2x2",
    ),
    "canvas": (f"train {SHORT} --model.height 60 --output new", "leave it out", f"train {SHORT} --output new"),
    "preset": (
        f"train {SHORT.replace('tiny', 'tini')} --output new", "did you mean 'tiny'?", f"train {SHORT} --output new",
    ),
    "tracks are there": (
        "track --source walk --output tracks --model model",
        "add --overwrite to replace walk.txt in it",
        "track --source walk --output tracks --model model --overwrite",
    ),
    "track beside": (
        "track --source walk --output walk --model model",
        "add --overwrite: what is in it stays",
        "track --source walk --output walk --model model --overwrite",
    ),
    "a display": (
        "track --source walk --output new --model model --show",
        "--overlay writes videos instead",
        "track --source walk --output new --model model --overlay",
    ),
    "a file of weights": (
        "track --source walk --output new --model model/model.safetensors",
        "give the folder that holds",
        "track --source walk --output new --model model",
    ),
    "a page is there": (
        "report walk --output tracks --model model",
        "add --overwrite: what is in it stays",
        "report walk --output tracks --model model --overwrite",
    ),
    "clips are there": (
        "generate --output walk --count 2", "add --overwrite", "generate --output walk --count 2 --overwrite",
    ),
    "births: fewer": (BIRTHS + " --max-digits 8", "lower min_objects", BIRTHS.replace("s 2 --m", "s 0 --m")),
    "births: fewer digits": (BIRTHS + " --max-digits 8", "or max_digits", BIRTHS + " --max-digits 2"),
    "pairs": (
        "generate --recipe parting --count 2 --min-objects 1 --output new",
        "leave min_objects and max_objects at 2",
        "generate --recipe parting --count 2 --output new",
    ),
    "crowd": (
        "generate --count 2 --max-objects 9 --min-objects 9 --output new",
        "fewer objects, smaller digits or a larger canvas",
        "generate --count 2 --max-objects 9 --min-objects 9 --digit-size 9 --output new",
    ),
    "too large": (
        "generate --count 2 --digit-size 70 --output new",
        "digit_size smaller or the canvas larger",
        "generate --count 2 --digit-size 70 --width 99 --height 99 --output new",
    ),
    "a demo is there": ("demo --output walk", "choose another --output, or add --overwrite", None),
    "a file for a demo": ("demo --output file --overwrite", "is a file: choose a folder", None),
    "numbers are there": ("bench --tiny --output file", "or add --overwrite", None),
    "a folder for numbers": ("bench --tiny --output walk --overwrite", "is a folder: choose a file", None),
}  # fmt: skip
"""What fails, a part of what is advised, and what works then; None where that takes long."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert cli.run("train", [*SHORT.split(), "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run, a model, a clip and tracks; it is where commands run, without a display."""
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    save_weights("model", tiny_model(replace(TINY), price=-2.0), {})
    (tmp_path / "walk").mkdir()
    for t, frame in enumerate((255 * spots(TINY, 5, 1)[:, 0, 0]).byte().numpy()):
        write_png(tmp_path / "walk" / f"{t}.png", frame)
    (tmp_path / "tracks").mkdir()
    (tmp_path / "tracks" / "walk.txt").write_text("")
    (tmp_path / "file").write_text("")
    return tmp_path


@pytest.mark.parametrize("name", CASES)
def test_advice_works(name: str, place: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails, advice, works = CASES[name]
    if "run" in fails.split():
        shutil.copytree(trained, "run")
    command, *words = fails.split()
    assert cli.run(command, words) == 2
    said = capsys.readouterr().err.strip()
    assert advice in said and len(said.splitlines()) == 1, said
    if works is not None:
        command, *words = works.split()
        assert cli.run(command, words) == 0, capsys.readouterr().err


def test_frames_of_another_size_take_a_model_of_their_own(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [straight(12, 12 + 9 * i, 1.5 - i, 0, 24) for i in range(2)]
    (place / "my clip").mkdir()
    for t, frame in enumerate(moving_spots(paths)[:, 0, 0].mul(255).byte().numpy()):
        write_png(place / "my clip" / f"{t:02d}.png", np.pad(frame, 9))
    save_weights("spotter", spotter(), {})
    assert cli.run("track", ["--source", "my clip", "--model", "spotter", "--output", "new"]) == 2
    assert "sqair train --data 'my clip' --output runs/mine" in capsys.readouterr().err
    few = ["--train.stages", "5x2x2", "--validate-every", "0", "--validation-clips", "1", "--device", "cpu"]
    assert cli.run("train", ["--data", "my clip", "--output", "runs/mine", *few]) == 0
    assert cli.run("track", ["--source", "my clip", "--model", "runs/mine", "--output", "new", "--no-reid"]) == 0


def test_a_damaged_checkpoint_is_put_back_or_trained_anew(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SHORT.split(), "--output", "run"]
    assert cli.run("train", words) == 0
    whole = (place / "run" / "checkpoint.pt").read_bytes()
    for damaged in (whole[:1], whole[:-9], whole[:-1] + bytes([whole[-1] ^ 1])):
        (place / "run" / "checkpoint.pt").write_bytes(damaged)
        with pytest.raises(UserError, match="put back a copy of it, or train anew"):
            load_checkpoint(place / "run" / "checkpoint.pt")
    (place / "run" / "checkpoint.pt").write_bytes(whole)
    assert cli.run("train", ["--resume", "--output", "run"]) == 0
    assert cli.run("train", [*words, "--overwrite"]) == 0


def test_what_is_taken_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "half").mkdir()
    for entry in ("metrics.jsonl", "config.yaml"):
        (place / "half" / entry).write_text("")
    assert cli.run("train", [*SHORT.split(), "--output", "half"]) == 2
    assert "add --overwrite to replace config.yaml, metrics.jsonl in it" in capsys.readouterr().err
    assert {"config.yaml", "metrics.jsonl"} <= set(ENTRIES)


def test_sentences_about_one_and_many() -> None:
    out = Path("out")
    assert _summary(out, ["a.txt"], 1, 1, 1, 1.25) == "found 1 object in 1 frame, 1.2 frames a second: out/a.txt"
    assert _summary(out, ["a.txt", "a.mp4"], 1, 0, 9, 99.7) == (
        "found nothing in 9 frames, 100 frames a second: out/a.txt, out/a.mp4"
    )
    many = "found 3 objects in 9 frames of 2 clips, 10 frames a second: out"
    assert _summary(out, ["a.txt", "b.txt"], 2, 3, 9, 10) == many
