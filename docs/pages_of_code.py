"""Links from pages to files of the repository that are no pages: each such file gets one, with its code.

``[`SQAIR`](../sqair/model.py)`` leads to the file on a code host, and to a page of the site here. A link to a folder
leads to a list of the files in it.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PREFIX = "code"
"""Folder of these pages."""
Page = tuple[str, dict[str, Any], str]


def files_of(env: BuildEnvironment) -> dict[str, set[str]]:
    """By the pages that name them, files and folders by their paths in the repository."""
    if not hasattr(env, "files_of_code"):
        env.files_of_code = {}  # type: ignore[attr-defined]
    return env.files_of_code  # type: ignore[attr-defined]


def lead(app: Sphinx, doctree: nodes.document) -> None:
    """Links to what lies beside docs/ become links to pages of it."""
    docs, here = Path(app.srcdir), app.env.docname
    found = files_of(app.env).setdefault(here, set())
    links = [*doctree.findall(addnodes.download_reference), *doctree.findall(addnodes.pending_xref)]
    for link in links:
        target = str(link["reftarget"]).partition("#")[0]
        path = (docs / here).parent.joinpath(target).resolve()
        path = path if path.exists() else path.with_suffix(".md")  # of Markdown files Sphinx drops the ending
        if not target or not path.exists() or path.is_relative_to(docs) or not path.is_relative_to(docs.parent):
            continue
        name = path.relative_to(docs.parent).as_posix()
        found.add(name)
        uri = app.builder.get_relative_uri(here, f"{PREFIX}/{name}")
        link.replace_self(nodes.reference("", "", *link.children, refuri=uri, internal=True))


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    files_of(env).pop(docname, None)


def merge(app: Sphinx, env: BuildEnvironment, docnames: list[str], other: BuildEnvironment) -> None:
    files_of(env).update({name: files_of(other)[name] for name in docnames if name in files_of(other)})


def pages(app: Sphinx) -> Iterator[Page]:
    """A page for each file and folder that is linked to, and for what is in these folders."""
    root = Path(app.srcdir).parent
    names = {name for found in files_of(app.env).values() for name in found}
    folders = [root / name for name in names if (root / name).is_dir()]
    inside = {path.relative_to(root).as_posix() for folder in folders for path in _in(folder)}
    for name in sorted(names | inside):
        body = _listed(root / name) if (root / name).is_dir() else _coloured(root / name)
        yield f"{PREFIX}/{name}", {"title": name, "body": f"<h1>{html.escape(name)}</h1>\n{body}"}, "page.html"


def _in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix == ".py")


def _listed(folder: Path) -> str:
    items = [f'<li><a href="{folder.name}/{path.name}.html">{path.name}</a></li>' for path in _in(folder)]
    return "<ul>" + "\n".join(items) + "</ul>"


def _coloured(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return highlight(text, get_lexer_for_filename(path.name), HtmlFormatter(linenos="inline"))


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-read", lead, priority=300)  # before downloads are gathered
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
