"""What is installed, what is pinned, and that README.md says only what the program does."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import tyro
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import sqair
from sqair.scripts.cli import COMMANDS
from test_footage import film
from test_train_footage import video

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
README = (ROOT / "README.md").read_text()
FOLDERS = {"sqair": "sqair", "sqair.datasets": "datasets", "sqair.eval": "eval", "sqair.scripts": "scripts"}
PINS = {
    canonicalize_name(name): Version(version)
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
}
EXPERIMENT = "experiments"
LINES = re.findall(r"^python3 -m venv \.venv .*$", README, re.M)


def requirements(*extras: str) -> list[Requirement]:
    """What the project asks for with these extras."""
    project = PROJECT["project"]
    optional = [text for extra in extras for text in project["optional-dependencies"][extra]]
    return [Requirement(text) for text in [*project["dependencies"], *optional]]


def needed(found: dict[str, Version], requirement: Requirement) -> dict[str, Version]:
    """``found`` and what ``requirement`` brings with it, by the metadata of what is installed here.

    Left out is what a package pins itself, as PyTorch does with its libraries for a GPU.
    """
    name = canonicalize_name(requirement.name)
    if name not in found and "==" not in str(requirement.specifier):
        installed = distribution(name)
        found[name] = Version(installed.version)
        for text in installed.requires or []:
            more = Requirement(text)
            extras = ["", *requirement.extras]
            if more.marker is None or any(more.marker.evaluate({"extra": extra}) for extra in extras):
                needed(found, more)
    return found


def test_every_package_that_an_installation_brings_is_pinned() -> None:
    found: dict[str, Version] = {}
    for requirement in requirements("test"):
        needed(found, requirement)
    assert "torch" in found
    assert "numpy" in found
    assert sorted(set(found) - set(PINS)) == []


@pytest.mark.parametrize("requirement", requirements("test", "dev", "compare", "hub", "docs"), ids=str)
def test_pins_satisfy_the_bounds(requirement: Requirement) -> None:
    pin = PINS[canonicalize_name(requirement.name)]
    assert pin in requirement.specifier
    assert str(pin).count("+") == 0
    assert {s.operator for s in requirement.specifier} == {">="}


def packages() -> Iterator[tuple[str, Path]]:
    """The packages in the checkout, by name, with their folders."""
    for name, folder in FOLDERS.items():
        for path in (ROOT / folder).rglob("__init__.py"):
            inside = path.parent.relative_to(ROOT / folder)
            if not any((ROOT / folder / part).is_symlink() for part in [inside, *inside.parents]):
                yield ".".join([name, *inside.parts]), path.parent


def test_every_package_is_installed_under_sqair() -> None:
    settings = PROJECT["tool"]["setuptools"]
    found = dict(packages())
    assert set(settings["packages"]) == set(found)
    for name, folder in found.items():
        mapped = settings["package-dir"].get(name, name.replace(".", "/"))
        assert ROOT / mapped == folder
    top = {name.partition(".")[0] for name in settings["packages"]}
    assert top == {"sqair"}


@pytest.mark.parametrize("name", ["datasets", "eval", "scripts"])
def test_a_checkout_has_the_import_names_of_an_installation(name: str) -> None:
    link = ROOT / "sqair" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name
    module = importlib.import_module(f"sqair.{name}")
    assert Path(str(module.__file__)).resolve() == ROOT / name / "__init__.py"


def test_files_that_are_no_modules_are_declared() -> None:
    declared = PROJECT["tool"]["setuptools"]["package-data"]
    for name, folder in packages():
        data = {path for pattern in declared.get(name, []) for path in folder.glob(pattern)}
        modules = set(folder.glob("*.py"))
        inside = {p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
        others = {p for _, sub in packages() if sub != folder and folder in sub.parents for p in sub.rglob("*")}
        assert inside - others - modules - data == set(), name
    assert (ROOT / "datasets/data/digits.npz").is_file()


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["project"]["version"] == sqair.__version__
    try:
        assert distribution("sqair").version == sqair.__version__
    except PackageNotFoundError:
        pytest.skip("a checkout that is not installed")


def test_the_readme_has_one_line_for_the_demo_and_one_for_the_tests() -> None:
    demo, tests = LINES
    install = "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt"
    assert demo == f"{install} . && .venv/bin/sqair demo"
    assert tests == f'{install} -e ".[test]" && .venv/bin/pytest'


def commands() -> list[str]:
    """The words after ``sqair`` of every command in README.md."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S)
    block_lines = [line.rpartition(" && ")[2] for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`(sqair [a-z]+ --[^`]*)`", README)
    calls = [line.removeprefix(".venv/bin/") for line in [*block_lines, *inline]]
    return [call.removeprefix("sqair ") for call in calls if call.startswith("sqair ")]


@pytest.mark.parametrize("line", commands())
def test_the_commands_of_the_readme_have_these_options(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "--data " in line:  # footage is looked at before the words are read
        monkeypatch.chdir(tmp_path)
        video(tmp_path / "clip.mp4", film(8))
    name, *words = shlex.split(line, comments=True)
    assert name in COMMANDS
    module = importlib.import_module(f"sqair.scripts.{'.'.join([name, words.pop(0)]) if name == EXPERIMENT else name}")
    if "--resume" not in words and hasattr(module, "expand"):
        words = module.expand(words)
    tyro.cli(module.Args, args=words)


def test_the_commands_of_the_readme_are_found() -> None:
    assert {line.split()[0] for line in commands()} == set(COMMANDS)


def test_files_that_the_readme_links_to_exist() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 4
    missing = [link for link in links if not (ROOT / link).exists()]
    assert missing == []


def test_ci_runs_the_lines_of_the_readme() -> None:
    """The script takes them from README.md: it prints both, and stops if there are others."""
    script = (ROOT / ".ci" / "run").read_text()
    taken = re.search(r"< <\((grep .*?README\.md)\)", script)
    assert taken is not None
    found = subprocess.run(["bash", "-c", taken[1]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == LINES
    assert script.index('bash -c "${commands[0]}"') < script.index('bash -c "${commands[1]}"')
    assert script.rstrip().endswith('bash -c "${commands[1]}"')


@pytest.mark.parametrize("module", ["sqair.files.mot_io", "sqair.tracks", "sqair.scripts.cli", "sqair.eval.mot"])
def test_what_needs_no_torch_does_not_import_it(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
