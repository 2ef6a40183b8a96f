"""Every call on docs/api.md runs, in the order of the page, with trainings of a few steps."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sqair.trainer
from sqair import Tracks
from sqair.files.mot_io import write_mot
from test_footage import film
from test_train_footage import video

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
STEPS = 3


class Board:
    """What is used of TensorBoard, which need not be installed."""

    written: list[tuple[str, float, int]] = []

    def __init__(self, folder: str) -> None:
        Path(folder).mkdir()

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.written.append((name, value, step))

    def close(self) -> None:
        self.written.append(("closed", 0, 0))


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A folder with what the page speaks of, and the names that it takes for granted."""
    monkeypatch.chdir(tmp_path)
    for name in ("clip.mp4", "more/a.mp4", "more/b.mp4"):
        video(tmp_path / name, film(14))
    frame = np.arange(4)
    tracks = Tracks(frame, 0 * frame, np.tile([5.0, 5, 10, 10], (4, 1)))
    for name in ("gt.txt", "tracks.txt"):
        write_mot(tmp_path / name, tracks)
    run = sqair.trainer.Trainer.run

    def short(self: sqair.trainer.Trainer) -> Iterator[dict[str, float]]:
        return islice(run(self), STEPS)

    monkeypatch.setattr(sqair.trainer.Trainer, "run", short)
    board = types.ModuleType("torch.utils.tensorboard")
    board.__dict__["SummaryWriter"] = Board
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    clips = np.random.default_rng(0).integers(0, 255, (4, 5, 50, 60), dtype=np.uint8)
    return {"frames": clips[0, :, :, :50], "clips": clips, "__name__": "page"}


def test_every_call_of_the_page_runs(surroundings: dict[str, Any], tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 11
    space, threads = surroundings, torch.get_num_threads()
    wide = space["clips"]
    for block in blocks:
        space["clips"] = wide[..., :50] if "track_clips" in block else wide
        exec(compile(block, f"{PAGE.name}: {block.splitlines()[0]}", "exec"), space)
    count = wide.shape[0]
    assert space["images"].shape == (5, count, 1, 50, 60)
    assert space["bound"].shape == space["tighter"].shape == (count,)
    assert (space["tighter"].isfinite() & space["bound"].isfinite()).all()
    assert space["imagined"].shape == (10, 8, 1, 50, 60)
    assert space["expected"].shape == space["possible"].shape == (5, count, 1, 50, 60)
    assert len(space["objects"]) == 5 and space["loss"].ndim == 0
    assert space["scores"].overall["mota"] == 1
    assert {"elbo", "gradient_norm"} <= {name for name, _, _ in Board.written} and Board.written[-1][0] == "closed"
    assert torch.get_num_threads() == threads
