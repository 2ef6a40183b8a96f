"""The tables of README.md, docs/benchmarks.md and docs/backgrounds.md, made from docs/results/bars.jsonl, with commits.

A row whose code has changed since it was measured says so: its commit has a dagger, and a line below tells what has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqair.scripts.experiments import study
from sqair.scripts.experiments.running import markdown

Line = Mapping[str, Any]
CHECKOUT = Path(__file__).resolve().parent.parent.parent
RESULTS = "docs/results/bars.jsonl"
SAME = "docs/results/same.jsonl"
"""Which code did bit for bit what other code did (replay.py)."""
Code = Mapping[str, str]
"""Fingerprints of the parts of the code (provenance.py)."""

_TRACKED, _FLOOR = ("refined", "amortised"), ("refined", "amortised", "floor")
_BENCHMARKS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("`moving-mnist`: 50x50, 10 frames, 0 to 2 digits", "moving-mnist", (*_TRACKED, "refined, raw boxes", "floor")),
    ("the same models on clips of 100 frames", "moving-mnist x100", _FLOOR),
    ("`moving-mnist`, preset `quick`", "quick", _FLOOR),
    ("`moving-mnist`, `--estimator score_function`", "score-function", _TRACKED),
    ("`moving-mnist`, `--estimator vimco --particles 3`", "vimco", _TRACKED),
    ("`moving-mnist`, `--estimator closed_form_corrected`", "closed-form-corrected", _TRACKED),
    ("digits 30 % smaller", "small-digits", _FLOOR),
    ("0 to 3 digits", "three-digits", _FLOOR),
    ("`birth-death`: digits come and go in mid-clip", "birth-death", _FLOOR),
    ("`sqair-script`: to 10 px a frame, leaving the canvas", "sqair-script", _FLOOR),
    ("the same, slivers scored", "sqair-script", ("refined, slivers scored",)),
    ("`sqair-script`, all of MNIST: 60,000 digits, tested on its 10,000", "sqair-script-full", _FLOOR),
    ("over gradients, `--model.background smooth`", "gradient-smooth", _FLOOR),
    ("over textures of contrast .5, `--model.background still`", "texture", _FLOOR),
    ("over 1 to 3 digits that never move, `--model.background still`", "clutter", _FLOOR),
    ("`static-air`: AIR of the seed on single frames", "static-air", ("amortised",)),
)
"""Rows of docs/benchmarks.md: what they say of the data, the setting, and the ways of tracking that are shown."""
_README = (
    ("50x50, 10 frames, 0 to 2 digits", "moving-mnist"),
    ("the same models on clips of 100 frames", "moving-mnist x100"),
    ("in half the time: `--preset quick`", "quick"),
    ("digits 30 % smaller", "small-digits"),
    ("0 to 3 digits", "three-digits"),
    ("digits that come and go in mid-clip: `--preset birth-death`", "birth-death"),
    ("to 10 px a frame, leaving the canvas: `--preset sqair-script`", "sqair-script"),
    ("over gradients: `--model.background smooth`", "gradient-smooth"),
    ("over textures: `--model.background still`", "texture"),
    ("single frames, AIR of the seed: `--preset static-air`", "static-air"),
)
"""Rows of README.md: data and setting."""
_BACKGROUNDS = (
    ("gradients", "`smooth`", "gradient-smooth"),
    ("gradients", "`still`", "gradient-still"),
    ("textures of contrast .5, no two alike", "`still`", "texture"),
    ("1 to 3 digits that never move", "`still`", "clutter"),
    ("black", "none", "moving-mnist"),
    ("black", "`smooth`", "plain-smooth"),
    ("black", "`still`", "plain-still"),
    ("colour textures of contrast .5, opaque objects", "`still`", "colour-texture"),
    ("colour gradients, opaque objects", "`smooth`", "colour-gradient"),
)
"""Rows of docs/backgrounds.md: data, model, setting."""


def table(lines: Iterable[Line], split: str) -> str:
    """All settings and ways of tracking, mean (lowest) over seeds; of each seed the latest line counts."""
    groups = _groups(lines, split)
    head = ("data", "tracked", "seeds", "CPU-s", "count", "MOTA", "IDF1", "HOTA", "switches")
    keys = ("count_accuracy", "mota", "idf1", "hota")
    rows = [(*name, *_seeds(group), *_means(group, keys), _switches(group)) for name, group in groups.items()]
    return markdown(head, rows, rule="---")


def readme(lines: Iterable[Line], valid: Sequence[Code]) -> str:
    """The table of README.md, scores of refined tracks and MOTA of the floor, and which code it is of.

    ``valid`` is the code whose results are today's.
    """
    groups = _groups(lines, "test")
    rows: list[Sequence[str]] = []
    for label, setting in _README:
        still = setting == "static-air"
        if group := groups.get((setting, "amortised" if still else "refined")):
            count, mota, idf1 = _means(group, ("count_accuracy", "mota", "idf1"))
            floor = groups.get((setting, "floor"))
            floors = _means(floor, ("mota",))[0].split()[0] if floor else ""
            rows.append((label, *_seeds(group), count, mota, "" if still else idf1, floors, _commits(group, valid)))
    head = ("moving MNIST", "seeds", "training, CPU-s", "count", "MOTA", "IDF1", "floor: MOTA", "commit")
    return _table(head, rows)


def benchmarks(lines: Iterable[Line], valid: Sequence[Code]) -> str:
    """The table of docs/benchmarks.md: every way of tracking."""
    groups = _groups(lines, "test")
    rows: list[Sequence[str]] = []
    for label, setting, ways in _BENCHMARKS:
        for way in ways:
            if group := groups.get((setting, way)):
                seeds, means = _seeds(group), _means(group, ("count_accuracy", "mota", "idf1"))
                if way == "floor":
                    seeds, means = ("", ""), [mean.split()[0] for mean in means]
                last = (means[2], _switches(group)) if setting != "static-air" else ("", "")
                name = label if way == ways[0] else ""
                rows.append((name, way, *seeds, *means[:2], *last, _commits(group, valid)))
    head = ("data", "tracked", "seeds", "training, CPU-s", "count", "MOTA", "IDF1", "id switches", "commit")
    return _table(head, rows)


def backgrounds(lines: Iterable[Line], valid: Sequence[Code]) -> str:
    """The table of docs/backgrounds.md, scores of refined tracks."""
    groups = _groups(lines, "test")
    rows: list[Sequence[str]] = []
    for data, model, setting in _BACKGROUNDS:
        if group := groups.get((setting, "refined")):
            floor = groups[setting, "floor"][0]
            floors = (f"{floor['count_accuracy']:.3f}", f"{floor['mota']:.3f}")
            means = _means(group, ("count_accuracy", "mota", "idf1"))
            rows.append((data, model, *_seeds(group), *means, *floors, _commits(group, valid)))
    head = ("data", "model", "seeds", "training, CPU-s", "count", "MOTA", "IDF1", "floor: count", "MOTA", "commit")
    return _table(head, rows)


def alike(now: Code, same: Iterable[Line]) -> list[Code]:
    """The code of ``now``, and all that is known to do the same by the lines of docs/results/same.jsonl."""
    pairs, found = [(line["code"], line["its_code"]) for line in same], [now]
    for code in found:
        found += [b for pair in pairs for a, b in (pair, pair[::-1]) if a == code and b not in found]
    return found


def pages(lines: Sequence[Line], valid: Sequence[Code]) -> dict[str, str]:
    """What pages say between their marks, by path in the checkout."""
    makers = {"README.md": readme, "docs/benchmarks.md": benchmarks, "docs/backgrounds.md": backgrounds}
    return {name: maker(lines, valid) for name, maker in makers.items()}


def publish(found: Path) -> None:
    """Adds the lines of a results.jsonl to those of the checkout, and makes the tables anew.

    Of a setting of which there are lines of code that does what today's does, the others go.
    """
    from sqair.scripts.experiments.provenance import fingerprints

    lines = [*read_lines(RESULTS), *read_lines(str(found.resolve()))]
    valid = alike(fingerprints(), read_lines(SAME))
    current = {line["setting"] for line in lines if line["code"] in valid}
    lines = [line for line in lines if line["code"] in valid or line["setting"] not in current]
    kept = {(line["setting"], line["tracked"], line["seed"], line["split"]): line for line in lines}
    lines = [line for _, line in sorted(kept.items(), key=lambda item: item[0])]
    (CHECKOUT / RESULTS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name, text in pages(lines, valid).items():
        page = CHECKOUT / name
        page.write_text(between(page.read_text(), text))


def read_lines(name: str) -> list[Line]:
    """The lines of a file of the checkout; none without it."""
    return study.read_lines(CHECKOUT / name)


def between(page: str, text: str) -> str:
    """``page`` with ``text`` between its marks ``<!-- bars -->`` and ``<!-- /bars -->``."""
    return re.sub(r"(<!-- bars -->\n).*?(\n<!-- /bars -->)", lambda m: m[1] + text + m[2], page, flags=re.DOTALL)


def _groups(lines: Iterable[Line], split: str) -> dict[tuple[str, str], list[Line]]:
    """Lines of a split by setting and way of tracking, one for each seed."""
    latest = {(line["setting"], line["tracked"], line["seed"]): line for line in lines if line["split"] == split}
    groups: dict[tuple[str, str], list[Line]] = {}
    for (setting, way, _), line in latest.items():
        groups.setdefault((setting, way), []).append(line)
    return groups


def _seeds(group: Sequence[Line]) -> tuple[str, str]:
    """How many, and the CPU-seconds of the slowest."""
    return str(len(group)), f"{max(line['cpu_seconds'] for line in group):.0f}"


def _means(group: Sequence[Line], keys: Iterable[str]) -> list[str]:
    """Mean (lowest) of each key."""
    values = ([line[key] for line in group] for key in keys)
    return [f"{sum(value) / len(value):.3f} ({min(value):.3f})" for value in values]


def _switches(group: Sequence[Line]) -> str:
    return f"{sum(line['switches'] for line in group) / len(group):.0f}"


def _commits(group: Sequence[Line], valid: Sequence[Code]) -> str:
    """The commits of the lines, with a dagger if their code does not do what today's does."""
    commits = sorted({line["commit"] for line in group})
    return ", ".join(commits) + ("" if all(line["code"] in valid for line in group) else " †")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows, and a line on those of code that does not do what today's does, if there are any."""
    changed = "\n\n† Since then code has changed; `sqair experiments canary` tries today's."
    return markdown(head, rows, rule="---") + changed * any(row[-1].endswith("†") for row in rows)
