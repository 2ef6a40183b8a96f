"""A newcomer's walk: the commands of each page of docs/ run one after another, as they stand, on small clips.

Footage is twelve frames, generated video a few. Of trainings the settings and the first clips are looked at; a model
that a later command takes is the one that a training begins with, or one of two steps. What needs a camera, or minutes
in any case, is parsed.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tifffile
import tyro

from sqair.datasets.generate import make_clips
from sqair.datasets.video import read_source
from sqair.exports.edits import read_edits
from sqair.files.mot_io import write_mot
from sqair.scripts import cli, looping, train
from sqair.scripts.any_camera import any_camera
from sqair.scripts.experiments import gallery, gallery_page
from sqair.tracks import Tracks
from test_footage import film
from test_train_footage import video

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
USED = ["README.md", *(f"docs/{name}.md" for name in ("track-your-own-video", "sources", "scores", "identity", "api"))]
WALKED = [*USED, *(str(path.relative_to(ROOT)) for path in sorted((DOCS / "tasks").glob("*.md")))]
PARSED = sorted(str(path.relative_to(ROOT)) for path in DOCS.glob("*.md") if f"docs/{path.name}" not in USED)
FRAMES, SIZE = 12, (80, 96)
SHORT = ("--train.stages", "1x1x2", "--validate-every", "0", "--validation-clips", "1")
FLAG = re.compile(r"(?<![\w-])(--[a-z][\w.-]*\w)")
UNWALKED = re.compile(
    r"rtsp:|--source \d|^(bench|demo|experiments)\b|--resume|--help|NAME|COMMIT|FOLDER|org/name|\.\.\."
)
"""What needs a camera, takes minutes, or is a pattern."""


def calls(page: str) -> list[str]:
    """What follows ``sqair`` in the blocks of shell of a page, but for its figure, made in a folder of its own."""
    text = re.sub(r"<!-- gallery -->.*<!-- /gallery -->", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.S)
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.M | re.S)
    lines = [line.strip().rpartition(" && ")[2] for block in blocks for line in block.splitlines()]
    return [line.removeprefix("sqair ") for line in lines if line.startswith("sqair ")]


def mentioned(page: str) -> list[str]:
    """What follows ``sqair`` in the text of a page, wherever options are named with it."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [" ".join(call.split()) for call in re.findall(r"`sqair ((?:experiments )?[a-z]+ [^`]*--[^`]+)`", text)]


def module_of(command: str, words: list[str]) -> tuple[str, list[str]]:
    return (f"experiments.{words[0]}", words[1:]) if command == "experiments" else (command, words)


@cache
def flags(name: str) -> set[str]:
    """The options of a command, by its help."""
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        tyro.cli(importlib.import_module(f"sqair.scripts.{name}").Args, args=["--help"])
    return set(FLAG.findall(said.getvalue()))


def parse(call: str) -> None:
    """Parses a call as the program does; SystemExit if there is an option that there is not."""
    command, *words = shlex.split(call, comments=True)
    name, words = module_of(command, words)
    module = importlib.import_module(f"sqair.scripts.{name}")
    footage = {"--data", "--footage", "--resume", "--config"} & set(words)  # which are looked at before
    if hasattr(module, "expand") and not footage:
        words = module.expand(words)
    tyro.cli(module.Args, args=words)


class Walk:
    """Does the calls of a page in a folder, in which it puts what they read."""

    def __init__(self, page: str) -> None:
        self.calls = calls(page)

    def go(self) -> None:
        for number, call in enumerate(self.calls):
            if UNWALKED.search(call):
                parse(call)
                continue
            command, *words = shlex.split(call, comments=True)
            self.provide(words)
            if command == "train" and ("--data" in words or not self.is_used(words, number)):
                self.begin(words)
                continue
            assert cli.run(command, [*words, *self.shorter(command, words)]) == 0, call

    def is_used(self, words: list[str], number: int) -> bool:
        run = words[words.index("--output") + 1]
        return any(f"--model {run}" in call for call in self.calls[number + 1 :])

    def begin(self, words: list[str]) -> None:
        """A training up to its first clips; of footage the model is left that it begins with."""
        args = train.parse(words)
        if args.footage is None:
            assert len(make_clips(train.recipe_of(args), "train", 0, 0, 1)) == 1
        else:
            clips = [clip for source in args.footage for clip in read_source(source, channels=3)]
            any_camera(clips, "cpu").save_pretrained(args.output / "weights")

    @staticmethod
    def shorter(command: str, words: list[str]) -> tuple[str, ...]:
        """Words that make it short."""
        if command == "generate":
            return ("--count", "2", *(("--length", "5") if "moving-mnist" in words else ()))
        if command == "track" and "--adapt" in words:
            return ("--adapt", "0")
        if command == "evaluate":
            return ("--clips", "2", "--particles", "2", "--readout-clips", "0")
        if command == "track" and not Path(words[words.index("--source") + 1]).suffix == ".mp4":
            return ("--tries", "1")
        return SHORT if command == "train" else ()

    def provide(self, words: list[str]) -> None:
        """Makes what is read: sources, the truth of the film, a list of edits."""
        for before, word in zip(["", *words], words, strict=False):
            path = Path(word)
            if path.exists() or before == "--output":
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if before == "--truth" and path.suffix != ".npz":
                path = path if path.suffix else path / "clip.txt"
                path.parent.mkdir(exist_ok=True)
                write_mot(path, truth(), truth=True)
            elif path.suffix == ".yaml":
                path.write_text("- split: 1\n  from: 5\n")
            elif path.suffix == ".mp4":
                video(Path(word.replace("*", "a")), film(FRAMES, size_for(words)))
            elif path.suffix == ".tif":
                tifffile.imwrite(path, film(FRAMES, SIZE)[..., 0].astype(np.uint16) * 8)
            elif path.suffix == ".npz" and before in ("--source", "--truth"):
                assert cli.run("generate", ["--count", "1", "--length", "5", "--masks", "--output", "made"]) == 0
                path.write_bytes(Path("made/moving-mnist-test.npz").read_bytes())


def size_for(words: list[str]) -> tuple[int, int]:
    """Height and width of a film that has all regions of the words of a call."""
    regions = [word.split(",") for word in words if re.fullmatch(r"\d+(,\d+){3}", word)] if "--region" in words else []
    corners = [(int(y) + int(h), int(x) + int(w)) for x, y, w, h in regions]
    height, width = np.max([SIZE, *corners], axis=0)
    return int(height), int(width)


def truth() -> Tracks:
    """Where the boxes of the film are."""
    frame, k = np.divmod(np.arange(2 * FRAMES), 2)
    left = (30 * k + 5 * frame) % (SIZE[1] - 14)
    return Tracks(frame, k, np.stack([left, 10 + 35 * k, 0 * k + 14, 0 * k + 20], 1))


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Help does not break its lines."""
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path


@pytest.mark.parametrize("page", WALKED)
def test_the_commands_of_a_page_work_one_after_another(page: str, here: Path) -> None:
    Walk(page).go()


@pytest.mark.parametrize("page", [*WALKED, *PARSED])
def test_commands_that_pages_speak_of_have_these_options(page: str, wide: None) -> None:
    for call in [*mentioned(page), *calls(page)]:
        command, *words = call.split()
        name, words = module_of(command, words)
        assert {word for word in words if word.startswith("--")} <= flags(name), f"{page}: sqair {call}"


@pytest.mark.parametrize("page", WALKED)
def test_lists_of_edits_are_read(page: str, tmp_path: Path) -> None:
    for listed in re.findall(r"^```yaml\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S):
        (tmp_path / "edits.yaml").write_text(listed)
        assert read_edits(tmp_path / "edits.yaml")


def test_a_walk_stumbles(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over an option that there is not, and over a folder that is taken."""
    monkeypatch.setattr(sys.modules[__name__], "calls", lambda page: ["track --source a.mp4 --output out --fasst"])
    with pytest.raises(SystemExit):
        Walk("README.md").go()
    (here / "out").mkdir()
    (here / "out" / "mine").touch()
    monkeypatch.setattr(sys.modules[__name__], "calls", lambda page: ["track --source a.mp4 --output out"])
    with pytest.raises(AssertionError, match="--output out"):
        Walk("README.md").go()


def test_options_that_pages_name_exist(wide: None) -> None:
    names = [name for name in cli.COMMANDS if name != "experiments"]
    known = set().union(*map(flags, [*names, *(f"experiments.{name}" for name in cli.EXPERIMENTS)]))
    for page in WALKED:
        named = set(FLAG.findall((ROOT / page).read_text(encoding="utf-8")))
        assert named <= known, f"{page}: {sorted(named - known)}"


def test_every_page_is_in_the_index() -> None:
    listed = set(re.findall(r"^[a-z][\w/-]+$", (DOCS / "index.md").read_text(), re.M))
    files = [*DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb")]
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in files}
    assert listed == pages - {"README", "index"}
    linked = set(re.findall(r"\]\(([\w/-]+)\.(?:md|ipynb)\)", (DOCS / "README.md").read_text()))
    assert linked == listed


def test_the_gallery_is_that_of_its_results() -> None:
    """After a change: sqair experiments gallery --output runs/gallery --publish."""
    lines = [json.loads(line) for line in (ROOT / gallery_page.RESULTS).read_text().splitlines()]
    assert [line["key"][0] for line in lines] == list(gallery.EXHIBITS) == list(gallery_page.TITLES)
    for name, text in gallery_page.pages(lines).items():
        page = (ROOT / name).read_text(encoding="utf-8")
        assert text in page and gallery_page.marked(page, text) == page
    for line in lines:
        assert line["calls"] == [f"sqair {call}" for call in gallery.EXHIBITS[line["key"][0]].calls]
    sizes = [(ROOT / gallery_page.PICTURES / f"{line['key'][0]}.webp").stat().st_size for line in lines]
    assert sizes == [line["bytes"] for line in lines] and max(sizes) <= looping.MOST and sum(sizes) <= 2_000_000
