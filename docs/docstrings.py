"""What docstrings of this house need beside napoleon: docstrings of fields are prose, and names may share a line."""

from __future__ import annotations

import inspect
import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import GoogleDocstring

MANY = 9
"""Parameters of a class from which on they are not repeated before its fields, which have them all."""
OTHERS = ("Create new instance of", "Initialize internal Module state")
"""How docstrings begin that named tuples and modules inherit."""
SHARED = re.compile(r"^(\s+)(\w+(?:, \w+)+): (.*)$")


def prepare(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Before napoleon reads them: ``a, b:`` is of a and of b, what is of Python or PyTorch is left out."""
    if what == "class":
        lines[:] = [line for long in lines for line in _each(long) if not line.startswith(OTHERS)]


def _each(line: str) -> list[str]:
    shared = SHARED.match(line)
    return [f"{shared[1]}{name}: {shared[3]}" for name in shared[2].split(", ")] if shared else [line]


def skip(app: Sphinx, what: str, name: str, thing: Any, skipped: bool, options: Any) -> bool | None:
    """Fields of named tuples whose docstring is Python's own; the class's tells of them."""
    return True if str(inspect.getdoc(thing)).startswith("Alias for field number") else None


def shorten(app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str | None, returns: Any) -> Any:
    """Classes of many settings go without their signature."""
    many = what == "class" and signature is not None and len(inspect.signature(thing).parameters) > MANY
    return ("", None) if many else None


def setup(app: Sphinx) -> dict[str, Any]:
    GoogleDocstring._parse_attribute_docstring = GoogleDocstring._consume_to_end  # a colon there ends no type
    app.connect("autodoc-process-docstring", prepare, priority=300)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-signature", shorten)
    return {"parallel_read_safe": True}
