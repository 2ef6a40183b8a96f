"""Ranges of values in the commands: told, given, and remembered by a run."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from sqair.config import ModelConfig
from sqair.datasets.images import write_png
from sqair.datasets.video import read_source
from sqair.errors import UserError
from sqair.model import SQAIR
from sqair.scripts.cli import run
from sqair.scripts.track_frames import fitted

SHORT = ["--preset", "tiny", "--train.stages", "1x2x2", "2x1x2", "--validation-clips", "1", "--model.glimpse", "8"]


def walk(high: int = 255, length: int = 20) -> np.ndarray:
    """Grey frames ``[T, 60, 80]``, uint16, of a bright square that walks over a dim scene."""
    scene = np.random.default_rng(0).integers(20, 30, (60, 80))
    frames = np.stack([scene] * length).astype(np.float64)
    for t, frame in enumerate(frames):
        frame[20 + t : 32 + t, 5 + 2 * t : 17 + 2 * t] = 255
    return np.rint(frames * high / 255).astype(np.uint16)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A stack of 12 bits in 16."""
    tifffile.imwrite(tmp_path / "stack.tif", walk(4080))
    return tmp_path / "stack.tif"


def test_a_stack_is_trained_on_and_the_run_keeps_its_range(tmp_path, stack, capsys):
    out = str(tmp_path / "run")
    assert run("train", ["--data", str(stack), "--output", out, *SHORT]) == 0
    told = capsys.readouterr().out
    said = f"{stack}: 12 bits in 16: 0 to 4095 shown as black to white; --range LOW HIGH overrides\n"
    assert told.count(said) == 1, "the survey and the training read it, and it is said once"
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["range"] == [0, 4095]
    model = SQAIR.from_pretrained(out)
    assert model.shown == (0, 4095)
    model.save_pretrained(tmp_path / "again")
    assert SQAIR.from_pretrained(tmp_path / "again").shown == (0, 4095)
    assert run("train", ["--resume", "--output", out]) == 0
    words = ["--resume", "--config", str(tmp_path / "run" / "config.yaml"), "--output", out, "--range", "0", "1000"]
    assert run("train", words) == 2
    assert "its range is [0.0, 4095.0], not [0.0, 1000.0]" in capsys.readouterr().err
    # other clips: of the same range nothing is said, of another one it is, unless the range is given
    tifffile.imwrite(tmp_path / "dim.tif", walk(900))
    for source, more, says in ((stack, [], False), ("dim.tif", [], True), ("dim.tif", ["--range", "0", "4095"], False)):
        track = ["--source", str(tmp_path / source), "--model", out, "--output", str(tmp_path / "t"), "--overwrite"]
        assert run("track", [*track, *more]) == 0
        assert ("trained on another range: --range 0 4095 takes that" in capsys.readouterr().out) == says


def test_a_given_range_is_what_training_sees(tmp_path, stack):
    out = str(tmp_path / "run")
    assert run("train", ["--data", str(stack), "--output", out, "--range", "-100", "5000", *SHORT]) == 0
    assert SQAIR.from_pretrained(out).shown == (-100, 5000)
    (clip,) = read_source(stack, shown=(-100, 5000))
    assert next(clip.frames()).max() == round(255 * 4180 / 5100)


def test_runs_on_eight_bits_have_no_range(tmp_path):
    np.save(tmp_path / "a.npy", walk().astype(np.uint8))
    assert run("train", ["--data", str(tmp_path / "a.npy"), "--output", str(tmp_path / "run"), *SHORT]) == 0
    assert "range" not in yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert SQAIR.from_pretrained(tmp_path / "run").shown is None


def test_a_wrong_range_is_one_line(tmp_path, stack, capsys):
    for command in (["track", "--source", str(stack)], ["report", str(stack)], ["train", "--data", str(stack)]):
        assert run(command[0], [*command[1:], "--output", str(tmp_path / "out"), "--range", "5", "5"]) == 2
        assert capsys.readouterr().err == "error: --range 5 5: it takes two numbers, the lower one first\n"


def test_a_folder_of_stacks_is_a_clip_each(tmp_path):
    for name in ("b", "a"):
        tifffile.imwrite(tmp_path / f"{name}.tif", walk(4080))
    clips = read_source(tmp_path)
    assert [(clip.name, clip.length, clip.shown) for clip in clips] == [("a", 20, (0, 4095)), ("b", 20, (0, 4095))]


def test_an_image_of_another_depth_in_a_folder_is_refused(tmp_path):
    for t, frame in enumerate(walk(4080, 4)):
        tifffile.imwrite(tmp_path / f"{t}.tif", frame if t != 2 else (frame // 16).astype(np.uint8))
    (clip,) = read_source(tmp_path)
    with pytest.raises(UserError, match=r"2\.tif: is of type uint8, but 0\.tif is uint16: give them alike"):
        list(clip.frames())


def test_grey_among_colour_is_tracked_by_models_of_either(tmp_path):
    grey = walk(255, 4).astype(np.uint8)
    for t, frame in enumerate(grey):
        write_png(tmp_path / f"{t}.png", frame if t == 0 else np.stack([frame] * 3, -1))
    (clip,) = read_source(tmp_path)
    for channels in (1, 3):
        images = np.stack([frame.image for frame in fitted(clip, ModelConfig(channels=channels))])
        np.testing.assert_array_equal(images if channels == 1 else images[..., 2], grey)
