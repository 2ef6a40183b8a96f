"""Cards of models: what is told of them follows from config.json, whatever that says, and the hub can read it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import TINY, tiny_model
from sqair.errors import UserError
from sqair.files.card import card_of
from sqair.files.pretrained import BUILT_IN, pretrained_names, save_weights
from sqair.model import SQAIR
from sqair.scripts import cli

ROOT = Path(__file__).resolve().parents[1]


def read(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def info_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())["info"]


def parts(card: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The head, and the sections by their names."""
    _, head, body = card.split("---\n", 2)
    names, texts = re.findall(r"^## (.+)$", body, re.M), re.split(r"^## .+$", body, flags=re.M)[1:]
    return yaml.safe_load(head), dict(zip(names, map(str.strip, texts), strict=True))


def test_a_saved_model_has_a_card_that_says_what_it_can_do(tmp_path: Path) -> None:
    config = replace(TINY, channels=3, fit=True, objects="opaque", background="still")
    save_weights(tmp_path / "w", tiny_model(config), {})
    head, sections = parts(read(tmp_path / "w"))
    assert head["library_name"] == "sqair" and head["pipeline_tag"] == "object-detection" and "license" not in head
    assert list(sections) == ["Use", "Trained on", "Scores", "Limits", "Again"]
    for said in ("scaled to 24x20 pixels", "in colour", "at most 3 objects", "of about 7 pixels", "at most 14", "hide"):
        assert said in sections["Limits"]
    assert "camera that stands still" in sections["Limits"] and "[H, W, 3]" in sections["Use"]
    grey = parts(card_of(TINY, {}))[1]
    assert "frames of 24x20 pixels, no others" in grey["Limits"] and "grey" in grey["Limits"]
    assert "# uint8 [H, W]\n" in grey["Use"] and "light" in grey["Limits"] and "camera" not in grey["Limits"]


def test_the_card_of_a_run_tells_its_data_its_steps_and_its_scores(tmp_path: Path) -> None:
    words = ["--preset", "tiny", "--train.seed", "3", "--output", str(tmp_path / "run")]
    assert cli.run("train", words) == 0
    _, sections = parts(read(tmp_path / "run" / "weights"))
    assert "`moving-mnist`: 50x50 pixels, 1 to 2 objects, clips of 10 frames" in sections["Trained on"]
    assert "- 8 steps, " in sections["Trained on"] and "1x4x8, 3x4x4" in sections["Trained on"]
    info = info_of(tmp_path / "run" / "weights")
    assert f"right number of objects, unrefined: {info['validation_count_accuracy']:.3f}" in sections["Scores"]
    assert f"as found: {info['validation']['found']:.3f}" in sections["Scores"]
    assert "Seed 3 " in sections["Again"]


def test_what_is_known_of_a_model_outlives_loading_and_saving(tmp_path: Path) -> None:
    settings = {"footage": ["/home/me/secret/a.mp4", "b.avi"], "start": "any-camera"}
    info = {"settings": settings, "steps": 3, "total_steps": 9}
    model = tiny_model()
    save_weights(tmp_path / "a", model, info)
    SQAIR.from_pretrained(tmp_path / "a").save_pretrained(tmp_path / "b", {"MOTA": 0.5, "switches": 4}, "On 3 *clips*.")
    first, second = (parts(read(tmp_path / name))[1] for name in "ab")
    assert "footage without labels: `a.mp4`, `b.avi`" in first["Trained on"] and "secret" not in read(tmp_path / "a")
    assert "3 steps of 9: the training was not finished" in first["Trained on"]
    assert second["Trained on"] == first["Trained on"] and "from the weights `any-camera`" in second["Trained on"]
    assert first["Scores"].startswith("None is noted")
    assert second["Scores"] == "- MOTA: 0.500\n- switches: 4\n\nOn 3 *clips*."
    SQAIR.from_pretrained(tmp_path / "b").save_pretrained(tmp_path / "c")
    assert read(tmp_path / "c") == read(tmp_path / "b")
    assert (tmp_path / "c" / "config.json").read_bytes() == (tmp_path / "b" / "config.json").read_bytes()


def test_many_sources_are_counted(tmp_path: Path) -> None:
    text = parts(card_of(TINY, {"settings": {"footage": [f"{i}.mp4" for i in range(9)]}}))[1]["Trained on"]
    assert text == "- footage without labels: `0.mp4`, `1.mp4`, `2.mp4`, `3.mp4`, `4.mp4` and 4 more"


ODD: list[Any] = [None, 3, "x", [], [1], {}, {"a": {}}, float("nan"), True, "---\n## Limits\n"]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_whatever_the_information_is_there_is_a_card(odd: Any) -> None:
    keys = ("settings", "train", "scores", "notes", "data", "steps", "cpu_seconds", "command", "validation", "found")
    infos: list[dict[str, Any]] = [
        dict.fromkeys(keys, odd),
        {"settings": dict.fromkeys(("footage", "data", "range", "train", "start"), odd)},
        {"settings": {"train": {"stages": odd, "seed": odd}, "footage": [odd]}},
        {"scores": {"a\nb": odd, "c": 1}},
    ]
    for info in infos:
        head, sections = parts(card_of(TINY, info))
        assert head["library_name"] == "sqair" and {"Use", "Limits", "Again"} <= set(sections)


def test_a_card_is_never_read(tmp_path: Path) -> None:
    """Weights without one load, as those of before there were cards; so do weights whose card was edited."""
    model = tiny_model()
    save_weights(tmp_path / "w", model, {})
    for change in (lambda card: card.write_text("---\nlicense: mit\n---\nMine."), lambda card: card.unlink()):
        change(tmp_path / "w" / "README.md")
        assert SQAIR.from_pretrained(tmp_path / "w").price == model.price
    save_weights(tmp_path / "w", model, {})
    assert "Limits" in parts(read(tmp_path / "w"))[1]


def test_a_readme_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("My project")
    with pytest.raises(UserError, match="holds a README.md of something else, which saving would remove"):
        tiny_model().save_pretrained(tmp_path)
    assert read(tmp_path) == "My project" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", pretrained_names())
def test_models_that_ship_have_cards_whose_scores_stand_in_the_documentation(name: str) -> None:
    card = read(BUILT_IN / name)
    head, sections = parts(card)
    assert head["library_name"] == "sqair" and f'from_pretrained("{name}")' in card and f"--model {name} " in card
    assert sections["Limits"] == parts(card_of(SQAIR.from_pretrained(name).config, {}))[1]["Limits"]
    pages = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    documented = "".join(page.read_text(encoding="utf-8") for page in pages)
    figures = re.findall(r"\b\d\.\d{3}\b", sections["Scores"])
    assert len(figures) >= 3 and all(figure[1:] in documented for figure in figures)
