"""Checks the installed wheel: python .ci/check_wheel.py CHECKOUT WHEEL, from a folder that is neither."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import zipfile
from importlib.metadata import files
from pathlib import Path

PACKAGES = {"sqair": "sqair", "sqair.datasets": "datasets", "sqair.eval": "eval", "sqair.scripts": "scripts"}


def expected(checkout: Path) -> set[str]:
    """Every file of the packages, by its name in a wheel."""
    names = set()
    for package, folder in PACKAGES.items():
        root = checkout / folder
        inside = [path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        names |= {f"{package.replace('.', '/')}/{path.relative_to(root).as_posix()}" for path in inside}
    return names


def main(checkout: Path, wheel: Path) -> None:
    found = set(zipfile.ZipFile(wheel).namelist())
    info = {name for name in found if ".dist-info/" in name}
    if difference := expected(checkout) ^ (found - info):
        sys.exit(f"in the checkout or in the wheel, but not in both: {', '.join(sorted(difference))}")
    modules = sorted(name for name in found if name.endswith(".py"))
    for module in modules:
        importlib.import_module(module.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    theirs = importlib.import_module("datasets")
    assert theirs.__file__ in {str(path.locate()) for path in files("datasets") or []}, theirs.__file__
    assert theirs.Dataset.from_dict({"x": [1]})[0] == {"x": 1}
    assert not any(hasattr(theirs, name) for name in ("digits", "recipes"))
    for name in ("eval", "scripts"):
        assert importlib.util.find_spec(name) is None, f"a top-level package {name} was installed"
    print(f"{wheel.name}: {len(found - info)} files, {len(modules)} modules import beside {theirs.__name__} "
          f"{theirs.__version__}")  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
