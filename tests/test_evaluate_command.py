"""``sqair evaluate``: what it writes, what it leaves out, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from sqair.datasets.changes import variations
from sqair.datasets.recipes import get_recipe
from sqair.eval import readouts
from sqair.scripts import cli

Capture = pytest.CaptureFixture[str]
PARTS = ("likelihood", "reconstruction", "prediction", "counting", "readouts", "changes")


def run(tmp_path: Path, *words: object) -> int:
    small = ["--clips", 3, "--particles", 3, "--readout-clips", 0, "--output", tmp_path / "out"]
    return cli.run("evaluate", [str(word) for word in [*small, *words]])


def written(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "out" / "evaluation.json").read_text())


def test_all_of_it_is_measured_and_shown(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readouts, "_PASSES", 3)
    assert run(tmp_path, "--clips", 4, "--readout-clips", 160, "--filter", "--seed", 1) == 0
    found, said = written(tmp_path), capsys.readouterr().out
    assert found["left_out"] == {} and found["clips"] == 4 and found["frames"] == 10 and found["particles"] == 3
    for part in PARTS:
        assert found[part]
    told = {name: figure["value"] for name, figure in found["likelihood"].items()}
    kls = sum(told[name] for name in ("kl_presence", "kl_where", "kl_what", "kl_background"))
    assert told["bound"] == pytest.approx(told["log_likelihood"] - kls, rel=1e-4)
    assert told["bound"] < told["log_p"] < told["most"] and told["bound"] < told["log_p_filter"] < told["most"]
    assert found["likelihood"]["log_p"]["low"] < told["log_p"] < found["likelihood"]["log_p"]["high"]
    assert found["reconstruction"]["elsewhere"]["value"] < found["reconstruction"]["ink"]["value"] < 0.2
    assert len(found["prediction"]["by_frame"]["model"]) == 5
    assert set(found["counting"]) == {"amortised", "as tracked"}
    assert found["changes"]["1 pixel to the right"]["changed"]["right"]["value"] == pytest.approx(1, abs=0.5)
    assert found["changes"]["taken away"]["changed"]["presence"]["value"] < 0.2
    page = (tmp_path / "out" / "evaluation.html").read_text()
    for text in ("How likely the clips are", "What changes with one thing", "data:image/png", "filter of 3 particles"):
        assert text in page
    assert not re.search(r"(src|href)=.(?!data:|#)", page)
    assert "sum of two" in said and "Written:" in said


def test_an_archive_is_as_good_as_its_recipe_and_a_seed_finds_the_same(tmp_path: Path) -> None:
    words = ["--count", "2", "--split", "val", "--format", "npz", "--output", str(tmp_path / "clips")]
    assert cli.run("generate", words) == 0
    assert run(tmp_path, "--data", tmp_path / "clips" / "moving-mnist-val.npz") == 0
    of_archive = written(tmp_path)
    assert run(tmp_path, "--overwrite", "--clips", 2) == 0
    assert {k: v for k, v in written(tmp_path).items() if k in PARTS} == {
        k: v for k, v in of_archive.items() if k in PARTS
    }


def test_what_needs_labels_is_left_out_and_said(tmp_path: Path, capsys: Capture) -> None:
    frames = variations(get_recipe("moving-mnist", length=4), "val", 0, 2)["as they are"].frames
    np.save(tmp_path / "clips.npy", frames)
    assert run(tmp_path, "--data", tmp_path / "clips.npy") == 0
    left, said = written(tmp_path)["left_out"], capsys.readouterr().out
    assert set(left) == {"prediction", "counting", "readouts", "changes"}
    assert "4 frames" in left["prediction"] and "how many objects" in left["counting"]
    assert all(f"Left out: {name}: {reason}" in said for name, reason in left.items())
    assert set(written(tmp_path)["reconstruction"]) == {"all"}


def test_footage_of_a_model_that_takes_its_scene_from_it(tmp_path: Path, capsys: Capture) -> None:
    """In colour, of another size than the model's; the page says of what the density is."""
    frames = variations(get_recipe("moving-mnist", length=8), "val", 0, 1)["as they are"].frames
    np.save(tmp_path / "clips.npy", np.repeat(frames[..., None], 3, -1) // 2 + 60)
    assert run(tmp_path, "--data", tmp_path / "clips.npy", "--model", "any-camera", "--particles", 2) == 0
    found = written(tmp_path)
    assert "the image of the scene" in found["conditional_on"]
    assert "the image of the scene" in (tmp_path / "out" / "evaluation.html").read_text()
    assert "the image of the scene" in capsys.readouterr().out
    assert len(found["prediction"]["by_frame"]["stays"]) == 3 and "most" not in found["likelihood"]


def test_the_price_of_an_object_is_that_of_the_prior(tmp_path: Path) -> None:
    told = []
    for price in (1, 60):
        assert run(tmp_path, "--price", price, "--overwrite") == 0
        told.append(written(tmp_path))
        assert told[-1]["price"] == price
    assert told[0]["likelihood"]["kl_presence"]["value"] < told[1]["likelihood"]["kl_presence"]["value"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--clips", 0), "--clips is 0"),
        (("--particles", 0), "--particles is 0"),
        (("--price", 0), "--price is 0"),
        (("--price", "nan"), "--price is nan"),
        (("--observed", 1), "--observed is 1"),
        (("--readout-clips", -1), "--readout-clips is -1"),
        (("--split", "all"), "unknown split"),
        (("--data", "moving-mnst"), "no file, and no recipe"),
        (("--data", "tba-mnist"), "50x50 pixels"),
        (("--data", "tba-sprites"), "1 channel"),
        (("--model", "nothing"), "nothing"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, capsys: Capture, words: tuple, said: str) -> None:
    assert run(tmp_path, *words) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-1] and error[-1].startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_clips_of_several_lengths_are_refused(tmp_path: Path, capsys: Capture) -> None:
    from sqair.datasets.images import write_png

    for name, length in (("a", 3), ("b", 4)):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for t in range(length):
            write_png(tmp_path / "clips" / name / f"{t}.png", np.zeros((50, 50), np.uint8))
    assert run(tmp_path, "--data", tmp_path / "clips") == 2
    assert "several lengths" in capsys.readouterr().err


def test_a_folder_that_is_taken_stays_as_it_is(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "evaluation.json").write_text("mine")
    assert run(tmp_path) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "out" / "evaluation.json").read_text() == "mine"
