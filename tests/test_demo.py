"""``sqair demo``: all of it with next to no training, and a page that holds what was made."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest

from sqair.scripts import cli, demo
from sqair.scripts.demo import TRACKINGS


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "out"
    words = ["--preset", "tiny", "--clips", "6", "--seed", "5", "--output", str(folder)]
    assert cli.run("demo", words) == 0
    return folder


def test_the_page_holds_scores_and_videos_and_needs_nothing_else(out: Path) -> None:
    page = (out / "report.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:)", page) and "<script" not in page
    scores = json.loads((out / "scores.json").read_text())
    assert list(scores) == [*(name for name, _ in TRACKINGS.values()), "floor"]
    for name, row in scores.items():
        assert re.search(rf'<th scope="row"[^>]*>{name}</th><td[^>]*>(<strong>)?{row["mota"]:.3f}<', page)
    best = max(row["mota"] for row in scores.values())
    assert re.findall(r'data-name="MOTA"><strong>([^<]*)<', page) == [f"{best:.3f}"]
    assert all(f"<dt>{word}</dt><dd>" in page for word in ("MOTA", "IDF1", "HOTA", "Count", "FN", "FP", "IDs"))
    lead = re.search(r'<p class="lead">(.*?)</p>', page)
    assert lead and f"{scores['model']['recall']:.0%} of the objects" in lead[1] and "in 6 clips" in lead[1]
    assert "What next" in page and "sqair train --data clip.mp4" in page and len(page) < 3e6
    videos = list((out / "videos").glob("*.mp4"))
    assert 3 <= len(videos) <= 6
    for video in videos:
        assert base64.b64encode(video.read_bytes()).decode() in page
    pictures = sorted((out / "run" / "pictures").glob("*.png"))
    for picture in (pictures[0], pictures[-1]):
        assert base64.b64encode(picture.read_bytes()).decode() in page
    assert f"<code>sqair demo --output {out} --preset tiny --clips 6 --seed 5</code>" in page
    for command in ("generate", "train", "track"):
        assert f"<code>sqair {command} " in page
    assert "--train.seed 5" in page


def test_its_scores_are_those_of_sqair_score(out: Path, tmp_path: Path) -> None:
    scores = json.loads((out / "scores.json").read_text())
    truth = out / "clips" / "moving-mnist-test"
    for folder, (name, _) in TRACKINGS.items():
        words = ["--truth", truth, "--pred", out / "tracks" / folder, "--output", tmp_path / folder]
        assert cli.run("score", list(map(str, words))) == 0
        told = json.loads((tmp_path / folder / "scores.json").read_text())
        assert told["overall"] == scores[name]
        assert told["floor"] == scores["floor"]


def test_a_taken_folder_is_refused_before_any_work(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo.Demo, "parse", lambda *words: pytest.fail("it began to work"))
    (tmp_path / "file").write_text("")
    cases = [
        (["--output", str(out)], [str(out), "--overwrite"]),
        (["--output", str(tmp_path / "file" / "out")], [str(tmp_path / "file" / "out")]),
        (["--recipe", "moving-mnits", "--output", str(tmp_path / "new")], ["moving-mnits"]),
        (["--preset", "quik", "--output", str(tmp_path / "new")], ["quik"]),
        (["--clips", "0", "--output", str(tmp_path / "new")], ["--clips is 0"]),
    ]
    for words, expected in cases:
        assert cli.run("demo", words) == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1 and said[0].startswith("error: ")
        assert all(part in said[0] for part in expected), said
    assert not (tmp_path / "new").exists()
