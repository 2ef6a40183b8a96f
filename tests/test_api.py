"""The Python API: what ``import sqair`` offers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sqair
from sqair import SQAIR, ModelConfig, Stage, Tracker, Tracks, TrainConfig, score, train
from sqair.datasets.images import opencv
from sqair.datasets.recipes import get_recipe
from sqair.errors import UserError
from sqair.mot_io import write_mot
from sqair.scripts import cli

cv2 = opencv()
SHORT = TrainConfig(stages=(Stage(1, 2, 4), Stage(3, 1, 2)))


def test_importing_it_loads_nothing() -> None:
    code = "import sys, sqair; print(sqair.__version__, 'torch' in sys.modules, 'cv2' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == [sqair.__version__, "False", "False"]
    for name in sqair.__all__:
        assert callable(getattr(sqair, name))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        sqair.trian  # noqa: B018


def test_a_model_is_trained_on_clips_saved_and_tracks(tmp_path: Path) -> None:
    clips = np.random.default_rng(0).integers(0, 255, (5, 4, 50, 60), dtype=np.uint8)
    model = train((ModelConfig(width=60), SHORT), clips)
    assert isinstance(model, SQAIR) and not model.training and model.config.width == 60
    model.save_pretrained(tmp_path / "weights")
    again = SQAIR.from_pretrained(tmp_path / "weights")
    first, second = (Tracker(m).update(clips[0, 0]) for m in (model, again))
    assert np.array_equal(first.box, second.box)
    assert SQAIR.from_pretrained("moving-mnist").config.height == 50


def test_training_on_a_recipe_repeats_with_the_seed() -> None:
    recipe = get_recipe("moving-mnist")
    first, second = (train((ModelConfig(), SHORT), recipe) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_footage_without_a_configuration_is_surveyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (120, 90))
    for t in range(12):
        frame = np.full((90, 120, 3), 90, np.uint8)
        frame[30:50, 8 * t : 8 * t + 18] = (200, 30, 60)
        writer.write(frame)
    writer.release()
    monkeypatch.setattr("sqair.scripts.api.Trainer.run", lambda self: iter(()))
    model = train(None, tmp_path / "film.avi")
    assert model.config.fit and model.config.objects == "opaque" and model.config.channels == 3


def test_what_is_no_clip_is_refused() -> None:
    for wrong in (np.zeros((2, 5, 5), np.uint8), np.zeros((2, 3, 5, 5)), np.zeros((0, 3, 5, 5), np.uint8)):
        for config in ((ModelConfig(), SHORT), None):
            with pytest.raises(UserError, match="clips are uint8"):
                train(config, wrong)
    with pytest.raises(UserError, match="clips of 3 frames, the data has 2"):
        train((ModelConfig(), SHORT), np.zeros((2, 2, 50, 50), np.uint8))


def test_data_of_another_size_than_the_model_are_refused(tmp_path: Path) -> None:
    for data in (np.zeros((2, 3, 40, 50), np.uint8), np.zeros((2, 3, 50, 50, 3), np.uint8)):
        with pytest.raises(UserError, match=r"the model takes \[50, 50, 1\]"):
            train((ModelConfig(), SHORT), data)
    with pytest.raises(UserError, match=r"the data have \[H, W, C\] \[50, 60, 1\]"):
        train((ModelConfig(), SHORT), get_recipe("moving-mnist", width=60))
    for t in range(6):
        cv2.imwrite(str(tmp_path / f"{t}.png"), np.full((90, 120), 10 * t, np.uint8))
    with pytest.raises(UserError, match="frames are 120x90 pixels, the model takes 50x50"):
        train((ModelConfig(), SHORT), tmp_path)


def test_a_bar_is_shown_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    train((ModelConfig(), SHORT), get_recipe("moving-mnist"))
    assert "3/3" in capsys.readouterr().err


def test_training_gives_what_the_command_gives(tmp_path: Path) -> None:
    model = train((ModelConfig(), SHORT), get_recipe("moving-mnist"))
    words = ["--output", str(tmp_path / "run"), "--train.stages", "1x2x4", "3x1x2", "--device", "cpu"]
    assert cli.run("train", [*words, "--validation-clips", "2"]) == 0
    command = SQAIR.from_pretrained(tmp_path / "run")
    assert command.config == model.config and command.price == model.price
    assert all((a == b).all() for a, b in zip(model.parameters(), command.parameters(), strict=True))


def test_scores_of_tracks_of_clips_by_name_and_of_files(tmp_path: Path) -> None:
    frame = np.arange(4)
    gt = Tracks(frame, 0 * frame, np.tile([5.0, 5, 10, 10], (4, 1)))
    late = gt.where(frame > 0)
    expected = {"mota": 0.75, "recall": 0.75, "precision": 1.0}
    write_mot(tmp_path / "gt.txt", gt)
    write_mot(tmp_path / "pred.txt", late)
    pairs = ((gt, late), ({"a": gt}, {"a": late}), (tmp_path / "gt.txt", str(tmp_path / "pred.txt")))
    for truth, found in pairs:
        overall = score(truth, found).overall
        assert {key: overall[key] for key in expected} == expected
    assert score(gt, gt).overall["mota"] == 1
