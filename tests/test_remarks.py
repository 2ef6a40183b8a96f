"""What is said after tracking: a model that is full, a camera that trembles; and what --stabilise takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import TINY
from shaking import filmed, texture, trembling
from sqair.datasets.images import write_png
from sqair.errors import UserError
from sqair.files.pretrained import save_weights
from sqair.model import SQAIR
from sqair.scripts import cli
from sqair.scripts.remarks import Remarks, full_model
from sqair.scripts.stabilise import read_stabilise
from sqair.scripts.train import parse, settings


def test_a_model_that_is_full_is_said_once_in_many_frames_only() -> None:
    notes = Remarks(3)
    notes.count(np.array([1, 2, 3, 3]))
    assert "2 of 4 frames have 3 objects, as many as this model can follow" in notes.lines()[0]
    assert "--model.slots" in notes.lines()[0] and len(notes.lines()) == 1
    assert full_model(1, 40, 3) == "" and full_model(0, 0, 3) == ""


@pytest.mark.parametrize(("words", "read"), [((), "on"), (("off",), "off"), (("False",), "off"), (("AUTO",), "auto")])
def test_words_of_stabilise(words: tuple[str, ...], read: str) -> None:
    assert read_stabilise(words) == read
    with pytest.raises(UserError, match="give one of auto, on and off"):
        read_stabilise(["sometimes"])


def test_what_a_run_was_told_is_in_its_settings() -> None:
    assert settings(parse(["--output", "a"]))["stabilise"] == "auto"
    assert settings(parse(["--output", "a", "--stabilise"]))["stabilise"] == "on"
    assert settings(parse(["--output", "a", "--stabilise", "off"]))["stabilise"] == "off"


def test_tracking_says_that_the_camera_trembles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = replace(TINY, fit=True, objects="opaque", channels=3, background="still", height=90, width=120)
    save_weights(tmp_path / "model", SQAIR(config), {})
    for t, frame in enumerate(filmed(texture((180, 240)), trembling(12, 2.0))):
        write_png(tmp_path / "film" / f"{t}.png", frame) if t else (tmp_path / "film").mkdir()
    words = ["--source", str(tmp_path / "film"), "--model", str(tmp_path / "model")]
    for more, said in (((), True), (("--stabilise", "off"), False)):
        assert cli.run("track", [*words, "--output", str(tmp_path / f"out{said}"), *more]) == 0
        assert ("film: the camera trembles by 2" in capsys.readouterr().out) == said
