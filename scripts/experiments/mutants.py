"""Would the tests notice? Small faults are planted in the code of the model, one at a time, and its tests are run.

sqair experiments mutants --output runs/mutants                 12 faults a module, chosen by chance; hours on two cores
sqair experiments mutants --output runs/mutants --only render --each 100

A fault is an operator, a comparison, a constant or a condition that is another. It is *killed* if a test fails, and by
which is noted; what survives is a gap in the tests, or a fault without an effect. What is finished is not run again,
unless the module has changed.
"""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from sqair.scripts.experiments.bars_table import CHECKOUT
from sqair.scripts.experiments.running import check_names, markdown
from sqair.scripts.experiments.study import Line, Study, lines_of

COPIED = ("sqair", "datasets", "eval", "scripts", "tests")
"""Folders of the checkout that the tests need."""
ORDER = (
    "golden_model", "learned_paths", "life", "schedule", "presence", "scene", "render", "geometry", "distributions",
    "matcher", "identity", "windows", "bounds", "model", "background", "tracker", "estimators", "estimator_twins",
    "relaxations", "layers", "deviation", "plain", "masks", "weights", "checkpoint",
    "mot_io", "spare", "unfinished", "camera", "footage", "api",
    "train_command",
)  # fmt: skip
"""Tests in the order in which they are run, each as long as none has failed, after that of the module itself."""
LIMIT = 900
"""Seconds that the tests may take with a fault: it may make them hang."""
_SWAPPED: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult,
    ast.Mod: ast.Mult, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


@dataclass(frozen=True)
class Args:
    """Plant faults in the code, and see whether tests fail; resumable."""

    output: Path
    """Folder of results.jsonl and table.md."""
    only: tuple[str, ...] = ()
    """Modules of sqair/ by their names, by default all."""
    each: int = 12
    """Faults of a module, at most."""
    seed: int = 0
    """Of the choice."""
    workers: int = 2
    """Faults at a time."""


def main(args: Args) -> None:
    """Runs what is missing and prints what survives. Raises UserError for an unknown module."""
    known = modules()
    check_names(args.only, known, "module")
    study = Study(args.output, args.workers)
    cells = []
    for name in args.only or known:
        source = known[name].read_text(encoding="utf-8")
        count = len(list(sites(ast.parse(source))))
        chosen = sorted(Random(f"{args.seed} {name}").sample(range(count), min(args.each, count)))
        cells += [(name, place, digest(source)) for place in chosen]
    study.measure("mutants", run, cells)
    study.publish(table([study.get(*cell) for cell in cells]))


def modules() -> dict[str, Path]:
    """The modules of sqair/ by name, without its packages."""
    folders = [CHECKOUT / "sqair" / name for name in ("", "estimators", "inference", "files")]
    paths = sorted(path for folder in folders for path in folder.glob("*.py") if path.name != "__init__.py")
    return {path.stem: path for path in paths}


def digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def sites(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """What can be another in a module, and what it becomes; annotations, messages and strings are left alone."""
    for node in _code(tree):
        if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in _SWAPPED:
            yield node, f"{type(node.op).__name__} is {_SWAPPED[type(node.op)].__name__}"
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPPED:
            yield node, f"{type(node.ops[0]).__name__} is {_SWAPPED[type(node.ops[0])].__name__}"
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
            yield node, f"{type(node.op).__name__} is left out"
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
            yield node, f"{node.value!r} is {_other(node.value)!r}"


def _code(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.JoinedStr | ast.Raise | ast.Assert):
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns", "decorator_list"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _code(child)


def _other(value: float) -> float:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else 1.5 * value + (value == 0)


def mutated(source: str, place: int) -> tuple[ast.Module, int, str]:
    """A module with the fault of that number planted, its line, and what it is."""
    tree = ast.parse(source)
    node, what = list(sites(tree))[place]
    line = getattr(node, "lineno", 0)
    if isinstance(node, ast.BinOp | ast.BoolOp):
        node.op = _SWAPPED[type(node.op)]()
    elif isinstance(node, ast.Compare):
        node.ops[0] = _SWAPPED[type(node.ops[0])]()
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        node.value = _other(node.value)
    elif isinstance(node, ast.UnaryOp):
        for parent in ast.walk(tree):
            for name, value in ast.iter_fields(parent):
                if value is node:
                    setattr(parent, name, node.operand)
                elif isinstance(value, list) and any(item is node for item in value):
                    value[[item is node for item in value].index(True)] = node.operand
    return ast.fix_missing_locations(tree), line, what


def run(output: str, name: str, place: int, version: str) -> list[Line]:
    """Runs the tests of a copy of the checkout that has the fault."""
    path = modules()[name]
    source = path.read_text(encoding="utf-8")
    tree, line, what = mutated(source, place)
    told: Line = {"line": line, "code": source.splitlines()[line - 1].strip(), "what": what}
    with TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copy(CHECKOUT / "pyproject.toml", copy)
        for part in COPIED:
            shutil.copytree(CHECKOUT / part, copy / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / path.relative_to(CHECKOUT)).write_text(ast.unparse(tree), encoding="utf-8")
        killer = killed_by(copy, name)
    return [{"key": [name, place, version], **told, "killed": bool(killer), "by": killer}]


def killed_by(checkout: Path, name: str) -> str:
    """The first of the tests of a module that fails in a checkout, ``time`` if they hang; nothing if none does."""
    files = dict.fromkeys(f"tests/test_{stem}.py" for stem in (name, *ORDER))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no"]
    command += [file for file in files if (checkout / file).exists()]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return "time"
    if done.returncode == 0:
        return ""
    failed = [text for text in done.stdout.splitlines() if text.startswith(("FAILED", "ERROR"))]
    return failed[0].split(" - ")[0] if failed else (done.stdout + done.stderr).strip()[-80:]


def table(lines: list[Line]) -> str:
    """What was killed by module, and what survives."""
    rows = []
    for name in dict.fromkeys(line["key"][0] for line in lines):
        mine = lines_of(lines, name)
        rows.append([name, str(sum(line["killed"] for line in mine)), str(len(mine))])
    killed = sum(line["killed"] for line in lines)
    rows.append(["all", f"{killed} ({killed / max(1, len(lines)):.0%})", str(len(lines))])
    left = [line for line in lines if not line["killed"]]
    survivors = [f"- `{line['key'][0]}`, line {line['line']}, {line['what']}: `{line['code']}`" for line in left]
    return "\n".join([markdown(("module", "killed", "of"), rows), "", "What survives:", "", *survivors])
