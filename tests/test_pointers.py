"""What documentation and docstrings point at is there: files, and the names in them."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FOLDERS = {"sqair": "sqair", "datasets": "sqair.datasets", "eval": "sqair.eval", "scripts": "sqair.scripts"}
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if not path.is_symlink())
FILES = {path.name for path in (*SOURCES, *(ROOT / "tests").rglob("*.py"))}
MODULES = {path.stem: path for path in SOURCES if (ROOT / "sqair") in path.parents}
"""Modules of the model by their names, by which docstrings call them."""


@cache
def module_of(path: Path) -> ModuleType:
    first, *rest = path.relative_to(ROOT).with_suffix("").parts
    return importlib.import_module(".".join([FOLDERS[first], *rest]).removesuffix(".__init__"))


def holds(path: Path, name: str) -> bool:
    """Whether a module has something of that dotted name; fields of dataclasses without a default count."""
    thing = module_of(path)
    for part in name.split("."):
        fields = getattr(thing, "__annotations__", {})
        if not hasattr(thing, part) and part not in fields:
            return False
        thing = getattr(thing, part, None)
    return True


def links(page: Path) -> Iterator[tuple[str, str]]:
    for text, target in re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("#"):
            yield text, target.partition("#")[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere_and_to_what_they_name(page: Path) -> None:
    for text, target in links(page):
        path = (page.parent / target).resolve()
        assert path.exists(), f"{page.name}: {target}"
        if path.suffix == ".py" and ROOT / "tests" not in path.parents:
            for name in re.findall(r"`([A-Za-z_][\w.]*)`", text):
                assert name.endswith(".py") or holds(path, name), f"{page.name}: {name} is not in {target}"


def strings(path: Path) -> Iterator[str]:
    """Docstrings of a module, of what is in it, and of its fields and constants."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_name_what_is_there(path: Path) -> None:
    for text in strings(path):
        for name in re.findall(r"\b(\w+\.py)\b", text):
            assert name in FILES, f"{path}: {name}"
        for name in re.findall(r"docs/\w+\.md", text):
            assert (ROOT / name).exists(), f"{path}: {name}"
        for module, name in re.findall(r"(?<![\w./])([a-z_]+)\.([A-Za-z_]\w*(?:\.\w+)*)", text):
            if module in MODULES and module not in MUTE and not name.endswith(("py", "pt")):
                assert holds(MODULES[module], name.rstrip(".")), f"{path}: {module}.{name}"


MUTE = {
    "base", "bounds", "camera", "config", "frames", "model", "objects", "scene", "state", "tracker", "tracks",
    "trainer",
}  # fmt: skip
"""Modules whose names are those of variables as well."""


def test_a_pointer_to_nothing_is_noticed() -> None:
    assert holds(MODULES["render"], "Light.gain") and not holds(MODULES["render"], "Light.blend")
    assert holds(MODULES["state"], "Step.canvas") and not holds(MODULES["state"], "Step.frame")
