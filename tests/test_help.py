"""``--help`` of every command: what it says can be read, and what it shows can be typed."""

import importlib
import re
import shlex
import sys
from types import ModuleType

import pytest
import tyro

from sqair.scripts import cli
from sqair.scripts.cli import COMMANDS, EXPERIMENTS
from sqair.scripts.help_text import examples

CALLS = [*(name for name in COMMANDS if name != "experiments"), *(f"experiments {name}" for name in EXPERIMENTS)]


def module_of(call: str) -> ModuleType:
    return importlib.import_module(f"sqair.scripts.{call.replace(' ', '.')}")


def helped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What ``sqair WORDS`` prints, which ends well."""
    monkeypatch.setattr(sys, "argv", ["sqair", *words])
    monkeypatch.setenv("COLUMNS", "100")
    try:
        assert cli.main() == 0
    except SystemExit as ended:
        assert ended.code in (0, None)
    out, err = capsys.readouterr()
    assert err == ""
    return out


def parse(line: str) -> None:
    """Lets the command's own parser read an example, as a shell would pass it on."""
    program, name, *words = shlex.split(line, comments=True)
    assert program == "sqair"
    call = f"{name} {words.pop(0)}" if name == "experiments" else name
    assert call in CALLS
    tyro.cli(module_of(call).Args, args=words)


@pytest.mark.parametrize("call", CALLS)
def test_the_help_of_a_command_has_examples_that_its_parser_takes(
    call: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = helped(monkeypatch, capsys, *call.split(), "--help")
    lines = [line.strip() for line in said.splitlines() if line.strip().startswith("sqair ")]
    assert lines == [f"{command}  # {what}" if what else command for command, what in examples(module_of(call))]
    assert lines and any(line.startswith(f"sqair {call}") for line in lines)
    for line in lines:
        parse(line)
    with pytest.raises(SystemExit) as refused:
        parse(lines[0].partition("#")[0] + " --no-such-option")
    assert refused.value.code == 2 and "no-such-option" in capsys.readouterr().err
    assert helped(monkeypatch, capsys, *call.split(), "-h") == said, "asked again, it says the same"


def test_options_are_explained_in_paragraphs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No line ends where a docstring's does, but where the terminal does."""
    said = helped(monkeypatch, capsys, "track", "--help")
    rows = [line.strip("│ ") for line in said.splitlines()]
    start = next(i for i, row in enumerate(rows) if row.startswith("--source"))
    assert all(len(row) > 65 for row in rows[start + 1 : start + 4])
    for call in CALLS:
        assert "``" not in helped(monkeypatch, capsys, *call.split(), "--help")


@pytest.mark.parametrize(
    ("flag", "unit"),
    [
        ("--memory", "a second of a film of 30"),
        ("--min-life", "half a second"),
        ("--fill", "a fifth of a second"),
        ("--max-frames", "ten seconds"),
    ],
)
def test_numbers_of_frames_are_told_in_seconds_too(
    flag: str, unit: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = " ".join(helped(monkeypatch, capsys, "track", "--help").replace("│", " ").split())
    own = re.split(r" (?=--[a-z-]+ (?:INT|STR|FLOAT|PATH|\{|\[|--))", text)
    (said,) = (part for part in own if part.startswith(flag))
    assert unit in said and "frames" in said


def test_the_lists_of_commands_and_studies_name_each_and_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, names in (((), COMMANDS), (("experiments",), EXPERIMENTS)):
        said = helped(monkeypatch, capsys, *words, "--help")
        lines = [line.split() for line in said.splitlines()]
        for name in names:
            assert any(line[:1] == [name] and len(line) > 3 for line in lines), name
        (example,) = (line.strip() for line in said.splitlines() if line.startswith("  sqair "))
        parse(example)
    monkeypatch.setattr(sys, "argv", ["sqair", "experiments"])
    assert cli.main() == 2 and "name an experiment" in capsys.readouterr().err
