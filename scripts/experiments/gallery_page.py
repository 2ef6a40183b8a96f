"""The pictures of the gallery and what pages say of them: figures between ``<!-- gallery -->`` marks."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from sqair.scripts.experiments.bars_table import CHECKOUT
from sqair.scripts.experiments.running import markdown
from sqair.scripts.experiments.study import Line

RESULTS, PICTURES, INDEX = "docs/results/gallery.jsonl", "docs/pictures/gallery", "docs/README.md"
TITLES = {
    "arena": ("Animals in an arena", "docs/tasks/arena.md"),
    "cells": ("Cells", "docs/tasks/cells.md"),
    "street": ("A street", "docs/tasks/street.md"),
    "sport": ("Sport", "docs/tasks/sport.md"),
    "moving-mnist": ("Moving MNIST", "docs/tasks/moving-mnist.md"),
    "shapes": ("Anything before a still camera", "docs/track-your-own-video.md"),
}
"""What the clips are called, and the pages that speak of them."""
COLUMNS = ("mota", "idf1", "hota")
ENCODED = "; it is encoded anew\nwherever it is made, and scores then differ by some hundredths"
"""What is to be said of the scores of a video."""


def table(lines: Sequence[Line]) -> str:
    """The scores of all clips."""
    head = ("clip", "frames", "MOTA", "IDF1", "HOTA", "switches", "floor: HOTA", "CPU-s", "commit")
    return markdown(head, [_cells(line) for line in lines], rule="---")


def _cells(line: Line) -> list[str]:
    scores = [f"{line['overall'][column]:.3f}" for column in COLUMNS]
    told = [str(line["overall"]["switches"]), f"{line['floor']['hota']:.3f}", str(line["cpu_seconds"]), line["commit"]]
    return [line["key"][0], str(line["frames"]), *scores, *told]


def figure(line: Line) -> str:
    """What stands on the page of a clip: the picture, the commands, the scores."""
    name = line["key"][0]
    page = TITLES[name][1]
    up = "../" * (page.count("/") - 1)
    words = f"sqair experiments gallery --only {name} --output gallery"
    encoded = ENCODED if name != "moving-mnist" else ""
    scores = ", ".join(f"{column.upper()} {line['overall'][column]:.3f}" for column in COLUMNS)
    floor = f"the floor, [blobs]({up}scores.md#the-floor), has HOTA {line['floor']['hota']:.3f}"
    return "\n".join([
        f"![{TITLES[name][0]}, tracked]({up}pictures/gallery/{name}.webp)", "",
        "```sh", *line["calls"], "```", "",
        f"*Figure.* {scores}, {line['overall']['switches']} switches of ids in {line['frames']} frames; {floor}.",
        f"`{words}` makes the clip, which is generated, and runs",
        f"these commands in the folder `gallery`, in {line['cpu_seconds']} CPU-seconds ({line['commit']}){encoded}.",
    ])  # fmt: skip


def index(lines: Sequence[Line]) -> str:
    """The gallery of the index: pictures in two columns, each above the command that made it."""
    rows = []
    for pair in zip(lines[::2], lines[1::2], strict=True):
        names = [line["key"][0] for line in pair]
        links = {name: TITLES[name][1].removeprefix("docs/") for name in names}
        rows.append([f"[![{TITLES[name][0]}](pictures/gallery/{name}.webp)]({links[name]})" for name in names])
        commands = [next(call for call in line["calls"] if call.startswith("sqair track")) for line in pair]
        hota = [f"HOTA {line['overall']['hota']:.2f}" for line in pair]
        told = zip(names, commands, hota, strict=True)
        rows.append([f"[{TITLES[name][0]}]({links[name]}): `{command}`, {hota}" for name, command, hota in told])
    return "\n".join(["| | |", "|---|---|", *(f"| {left} | {right} |" for left, right in rows)])


def pages(lines: Sequence[Line]) -> dict[str, str]:
    """What stands between the marks, by page."""
    order = sorted(lines, key=lambda line: list(TITLES).index(line["key"][0]))
    return {INDEX: index(order)} | {TITLES[line["key"][0]][1]: figure(line) for line in order}


def marked(page: str, text: str) -> str:
    """``page`` with ``text`` between its marks."""
    return re.sub(
        r"(<!-- gallery -->\n).*?(\n<!-- /gallery -->)", lambda m: m[1] + text + m[2], page, flags=re.DOTALL
    )


def publish(output: Path, lines: Sequence[Line]) -> None:
    """Writes pictures, results and pages of the checkout."""
    (CHECKOUT / RESULTS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    for line in lines:
        name = line["key"][0]
        shutil.copy(output / f"{name}.webp", CHECKOUT / PICTURES / f"{name}.webp")
    for name, text in pages(lines).items():
        page = CHECKOUT / name
        page.write_text(marked(page.read_text(), text))
