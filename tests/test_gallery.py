"""The gallery: its clips are what they are called, and its commands, pictures and figures are made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sqair.errors import UserError
from sqair.files.mot_io import read_mot
from sqair.scripts import cli, looping
from sqair.scripts.experiments import cell_clip, gallery, gallery_page, pitch_clip
from sqair.scripts.experiments.plaza_clip import plaza_clip
from sqair.scripts.experiments.walkers import walker_clip


def ids_at(truth, frame: int) -> set[int]:
    return set(truth.at(frame).id.tolist())


def test_cells_divide_into_two_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_clip, "DIVIDES", 0.05)
    frames, truth = cell_clip.cell_clip(1, 40)
    assert frames.shape == (40, cell_clip.HEIGHT, cell_clip.WIDTH, 3) and frames.dtype == np.uint8
    before, after = ids_at(truth, 0), ids_at(truth, 39)
    divisions = len(after) - len(before)
    assert divisions and len(set(truth.id.tolist())) == len(before) + 2 * divisions and before - after
    assert len(after) <= cell_clip.FULL
    lit = [frames[0, int(y) : int(y + h), int(x) : int(x + w)].mean() for x, y, w, h in truth.at(0).box]
    assert min(lit) > frames[0].mean()
    again, _ = cell_clip.cell_clip(1, 2)
    assert (again == frames[:2]).all()


def test_all_players_stay_on_the_pitch() -> None:
    frames, truth = pitch_clip.pitch_clip(0, 30)
    assert frames.shape == (30, pitch_clip.HEIGHT, pitch_clip.WIDTH, 3)
    assert ids_at(truth, 0) == set(range(2 * pitch_clip.TEAM)) and set(truth.id.tolist()) == ids_at(truth, 0)
    feet = truth.box[:, 1] + truth.box[:, 3]
    assert (feet > pitch_clip.FAR).all() and (feet < pitch_clip.NEAR + 10).all()
    tall = [truth.box[truth.id == one, 3].mean() for one in truth.at(0).id[np.argsort(feet[:8])]]
    assert tall[0] < tall[-1]  # who is nearer is larger


def test_a_street_is_walkers_before_another_scene() -> None:
    frames, truth = plaza_clip(3, 6)
    others, _ = walker_clip(3, 6)
    assert frames.shape == others.shape and np.abs(frames.astype(int) - others).mean() > 10
    assert len(truth) and (truth.visibility <= 1).all()


def test_a_loop_is_small_enough_or_as_small_as_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (4, 90, 800, 3), dtype=np.uint8)
    size = looping.loop(tmp_path / "a.webp", iter(frames), 10)
    with Image.open(tmp_path / "a.webp") as picture:
        assert (picture.size, picture.n_frames, picture.info["loop"]) == ((400, 45), 4, 0)  # type: ignore[attr-defined]
    monkeypatch.setattr(looping, "MOST", size - 1)
    assert looping.loop(tmp_path / "b.webp", iter(frames), 10) < size == (tmp_path / "a.webp").stat().st_size
    with pytest.raises(UserError, match="no frames"):
        looping.loop(tmp_path / "c.webp", iter(()), 10)


def test_a_clip_is_made_tracked_scored_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 8 frames; what is there is not made again, and the page of it has its commands and scores."""
    monkeypatch.setitem(gallery.EXHIBITS, "sport", gallery.EXHIBITS["sport"]._replace(length=8))
    words = ["--only", "sport", "--output", str(tmp_path)]
    assert cli.run("experiments.gallery", words) == 0 == cli.run("experiments.gallery", words)
    assert capsys.readouterr().out.count("$ sqair track") == 1
    (line,) = map(json.loads, (tmp_path / "results.jsonl").read_text().splitlines())
    assert line["frames"] == 8 and line["bytes"] == (tmp_path / "sport.webp").stat().st_size
    assert len(read_mot(tmp_path / "tracks" / "sport" / "sport.txt")) and line["overall"]["mota"] <= 1
    said = gallery_page.figure(line)
    assert line["calls"][0] in said and f"HOTA {line['overall']['hota']:.3f}" in said and "sport.webp" in said
    with Image.open(tmp_path / "sport.webp") as picture:
        assert picture.n_frames == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "ducks"], "unknown clip 'ducks': choose from arena, cells"),
        (["--only", "sport", "--publish"], "leave --only out"),
    ],
)
def test_what_is_no_good_is_said(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run("experiments.gallery", [*words, "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not (tmp_path / "out").exists()
