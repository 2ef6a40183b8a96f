"""Notebooks as pages: their cells as they stand, without running them; they hold no outputs."""

from __future__ import annotations

import json
from typing import Any

from docutils.nodes import document
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx


def markdown(notebook: dict[str, Any]) -> str:
    """The cells one below another, those of code in blocks."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    return "\n\n".join(text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells)


class Notebook(MystParser):
    """A ``.ipynb`` file, read as Markdown."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: document) -> None:
        super().parse(markdown(json.loads(inputstring)), document)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_source_suffix(".ipynb", "notebook")
    app.add_source_parser(Notebook)
    return {"parallel_read_safe": True}
