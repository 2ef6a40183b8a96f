"""What ``--help`` says: of a command, of its options, and which examples it has."""

from __future__ import annotations

import ast
import re
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, get_type_hints

EXPERIMENTS = Path(__file__).parent / "experiments"


def examples(module: ModuleType) -> list[tuple[str, str]]:
    """The commands in the docstring of a command's module, each with what is said of it, which may be nothing.

    A line of one begins with ``sqair``; what is said follows after two spaces or more.
    """
    lines = [line.strip() for line in (module.__doc__ or "").splitlines()]
    parts = [re.split(r"\s{2,}", line, maxsplit=1) for line in lines if line.startswith("sqair ")]
    return [(command, said[0] if said else "") for command, *said in parts]


def about(module: ModuleType) -> str:
    """What a command does, and its examples, each of which can be copied as it stands."""
    lines = [f"{command}  # {said}" if said else command for command, said in examples(module)]
    what = _paragraph(module.Args.__doc__ or "")
    return "\n".join([what, "", "for example:", *(f"  {line}" for line in lines)])


def legible(args: type) -> None:
    """Makes the help of each option of a dataclass one paragraph: that its docstring has lines is of no interest."""
    import docstring_parser
    import tyro

    hints = get_type_hints(args, include_extras=True)
    for owner in args.__mro__[:-1]:
        notes = {note.arg_name: note.description or "" for note in docstring_parser.parse_from_object(owner).params}
        own = owner.__dict__.get("__annotations__", {})
        for name in own.keys() & notes.keys():
            own[name] = Annotated[hints[name], tyro.conf.arg(help=_paragraph(notes[name]))]
    for hint in hints.values():
        if isinstance(hint, type) and is_dataclass(hint):
            legible(hint)


def studies(names: tuple[str, ...]) -> list[str]:
    """A line for each study of ``sqair experiments``: its name, and what it is about."""
    width, lines = max(map(len, names)), []
    for name in names:
        source = (EXPERIMENTS / f"{name}.py").read_text(encoding="utf-8")
        what = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
        lines.append(f"  {name.ljust(width)}  {_paragraph(what)}")
    return lines


def _paragraph(text: str) -> str:
    """A docstring for people, without its lines."""
    return " ".join(text.replace("``", "`").split())
