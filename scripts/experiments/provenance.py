"""Which code a result depends on: its commit, and a fingerprint that only a change of code changes.

Comments, docstrings and white space are left out of the fingerprint, so that a result stays valid when they change.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import subprocess
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import sqair

PARTS: Mapping[str, tuple[str, ...]] = {
    "model": ("sqair.trainer", "sqair.tracker"),
    "data": ("sqair.datasets.generate",),
    "scores": ("sqair.eval.mot", "sqair.eval.floor"),
    "footage": ("sqair.datasets.survey", "sqair.datasets.footage"),
}
"""What the scores of a model depend on, and the modules that it is made of: these and all that they import."""
PLUMBING = {
    "sqair.errors", "sqair.files.checkpoint", "sqair.files.durable", "sqair.files.pretrained", "sqair.datasets.images",
}  # fmt: skip
"""Modules that carry files and messages: a fault of theirs is an error and no other score."""


GENERATED = ("model", "data", "scores")
"""What scores on generated video depend on."""


def fingerprints(parts: Iterable[str] = GENERATED) -> dict[str, str]:
    """A fingerprint of the code of each part."""
    return {part: _digest(modules(PARTS[part])) for part in parts}


def commit() -> str:
    """The commit of the checkout that runs, with a + if its code was changed since; the version outside of one."""
    root = Path(sqair.__file__).resolve().parent.parent
    try:
        said = [_git(root, "rev-parse", "--short=7", "HEAD"), _git(root, "status", "--porcelain", "--", "*.py")]
    except (OSError, subprocess.CalledProcessError):
        return f"version {sqair.__version__}"
    return said[0] + ("+" if said[1] else "")


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def modules(roots: Iterable[str]) -> dict[str, Path]:
    """The modules of this package that ``roots`` import when they are imported, themselves included, by name."""
    found: dict[str, Path] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found or name in PLUMBING:
            continue
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        found[name] = Path(spec.origin)
        waiting += _imports(ast.parse(found[name].read_text(encoding="utf-8")))
    return dict(sorted(found.items()))


def _imports(tree: ast.Module) -> Iterator[str]:
    """What a module imports of this package outside of its functions; a name may be a module or a thing in one."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("sqair."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqair":
            if node.module != "sqair":
                yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names if _is_module(node.module, alias.name))


def _is_module(package: str | None, name: str) -> bool:
    spec = importlib.util.find_spec(str(package))
    inside = spec.submodule_search_locations if spec else None
    return bool(inside) and importlib.util.find_spec(f"{package}.{name}") is not None


def _digest(files: Mapping[str, Path]) -> str:
    text = "".join(f"{name}:{code(path.read_text(encoding='utf-8'))}" for name, path in files.items())
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def code(source: str) -> str:
    """The source of a module without comments, docstrings and white space between its words."""
    lines = source.splitlines()
    for first, last in _docstrings(ast.parse(source)):
        lines[first - 1 : last] = [""] * (last - first + 1)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and lines[token.start[0] - 1]:
            lines[token.start[0] - 1] = lines[token.start[0] - 1][: token.start[1]]
    return "".join("".join(lines).split())


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """First and last lines of the strings that are statements by themselves."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.end_lineno or node.lineno
