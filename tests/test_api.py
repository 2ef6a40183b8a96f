"""The Python API: what ``import sqair`` offers."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sqair
from sqair import SQAIR, ModelConfig, Stage, Tracker, Tracks, TrainConfig, score, train
from sqair.datasets.images import opencv
from sqair.datasets.recipes import get_recipe
from sqair.errors import UserError
from sqair.files.mot_io import write_mot
from sqair.process import set_threads
from sqair.scripts import cli
from sqair.tracker import track_clips

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


class Stop(Exception):
    """Ends a training from outside."""


def stop_at(step: int) -> Callable[[dict[str, float]], None]:
    def check(metrics: dict[str, float]) -> None:
        if metrics["step"] == step:
            raise Stop

    return check


CLIPS = np.random.default_rng(0).integers(0, 255, (5, 4, 50, 50), dtype=np.uint8)
TINY = ModelConfig(hidden=16, features=16)


def test_a_training_goes_on_from_its_checkpoint_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, seen = train((TINY, SHORT), CLIPS), []
    monkeypatch.setattr("sqair.scripts.api.SAVE_SECONDS", 0.0)
    with pytest.raises(Stop):
        train((TINY, SHORT), CLIPS, checkpoint=tmp_path / "mine.pt", each_step=stop_at(2))
    for steps in ([3], []):  # what is finished is only loaded
        model = train((TINY, SHORT), CLIPS, checkpoint=tmp_path / "mine.pt", each_step=lambda m: seen.append(m["step"]))
        assert seen == steps and model.price == whole.price
        assert all((a == b).all() for a, b in zip(model.parameters(), whole.parameters(), strict=True))
        seen.clear()


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    saved = tmp_path / "mine.pt"
    train((TINY, SHORT), CLIPS, checkpoint=saved)
    before = saved.read_bytes()
    for config, data, said in (
        ((TINY, replace(SHORT, seed=4)), CLIPS, "its train.seed is 0, not 4"),
        ((replace(TINY, slots=6), SHORT), CLIPS, "its model.slots is 4, not 6"),
        ((TINY, SHORT), CLIPS[::-1], "its data is clips"),
        ((TINY, SHORT), get_recipe("moving-mnist"), "its data is clips"),
    ):
        with pytest.raises(UserError, match=said):
            train(config, data, checkpoint=saved)
        assert saved.read_bytes() == before
    saved.write_bytes(before[:-5])
    with pytest.raises(UserError, match="cut short"):
        train((TINY, SHORT), CLIPS, checkpoint=saved)
    assert cli.run("train", ["--output", str(tmp_path / "run"), "--preset", "tiny", "--device", "cpu"]) == 0
    with pytest.raises(UserError, match="not a checkpoint of sqair.train: go on with sqair train --resume"):
        train((TINY, SHORT), CLIPS, checkpoint=tmp_path / "run" / "checkpoint.pt")


def test_several_files_are_footage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for t in range(12):
            frame = np.full((90, 120, 3), 90, np.uint8)
            frame[30:50, 8 * t : 8 * t + 18] = (200, 30, 60)
            cv2.imwrite(str(tmp_path / name / f"{t:02d}.png"), frame)
    monkeypatch.setattr("sqair.scripts.api.Trainer.run", lambda self: iter(()))
    assert train(None, [tmp_path / "a", tmp_path / "b"]).config.background == "still"
    with pytest.raises(UserError, match="names no video"):
        train(None, [])


@pytest.fixture
def many_threads() -> Iterator[tuple[int, int]]:
    """PyTorch and OpenCV as they are by default on a machine of three cores."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    set_threads(3)
    yield 3, 3
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def test_training_and_tracking_use_few_threads_and_leave_them_as_they_were(
    many_threads: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[tuple[int, int]] = []
    step = SQAIR.step

    def watched(self: SQAIR, *arguments: Any) -> Any:
        used.append((torch.get_num_threads(), cv2.getNumThreads()))
        return step(self, *arguments)

    monkeypatch.setattr(SQAIR, "step", watched)
    cases: tuple[tuple[dict[str, Any], tuple[int, int]], ...] = (
        ({}, (1, 1)),
        ({"threads": 2}, (2, 2)),
        ({"threads": None}, many_threads),
    )
    for given, expected in cases:
        model = train((TINY, SHORT), CLIPS, **given)
        Tracker(model, **given).update(CLIPS[0, 0])
        track_clips(model, CLIPS, **given)
        with pytest.raises(UserError):
            Tracker(model, **given).update(CLIPS[0, 0].astype(float))
        assert set(used) == {expected} and len(used) > 5
        assert (torch.get_num_threads(), cv2.getNumThreads()) == many_threads
        used.clear()


def test_memory_that_is_freed_is_kept_as_the_command_does(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr("sqair.scripts.api.keep_freed_memory", lambda: called.append("api"))
    train((TINY, SHORT), CLIPS)
    assert called == ["api"]
