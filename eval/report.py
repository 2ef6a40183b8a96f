"""A report as one HTML file that needs nothing else: text, tables, charts, pictures and video.

Pictures and video are inside the file as ``data:`` addresses, the style is inline, and a content policy
forbids the page to fetch anything. It reads on a phone, in dark mode and on paper, and holds no script.
"""

from __future__ import annotations

import base64
import html
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path
from typing import NamedTuple

from sqair.errors import UserError
from sqair.eval.chart import line_chart

__all__ = ["Report", "line_chart"]


class Picture(NamedTuple):
    """A cell of a table: the bytes of a picture, as ``Report.figure`` takes them, and what it shows in words."""

    image: bytes
    alt: str


Cell = str | float | Real | None | Picture


class _Block(NamedTuple):
    html: str
    is_media: bool = False


class Report:
    """Blocks one below the other, in the order of the calls; pictures and videos in a row share the width.

    Every string is escaped: names and captions may hold anything. Methods return the report.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._blocks: list[_Block] = []

    def text(self, text: str) -> Report:
        """Paragraphs apart by an empty line; ``## Heading``, ``- item``, ``**bold**``, `` `code` `` work."""
        for paragraph in re.split(r"\n\s*\n", text.strip()):
            self._blocks.append(_Block(_paragraph(paragraph)))
        return self

    def table(self, rows: Iterable[Sequence[Cell]], header: Sequence[str], *, caption: str = "") -> Report:
        """The first column names the rows, and one named OVERALL stands out.

        Real numbers have three decimals, None and NaN are a dash, columns of numbers are right-aligned. A cell may
        be a ``Picture``.
        """
        rows = [tuple(row) for row in rows]
        for row in rows:
            if len(row) != len(header):
                raise ValueError(f"a row of {len(row)} cells under a header of {len(header)}: {row}")
        kinds = [
            ' class="number"' if all(map(_is_number, column)) else "" for column in zip(*rows, strict=True)
        ]
        kinds = ["", *kinds[1:]] if rows else [""] * len(header)
        head = "".join(
            f'<th scope="col"{kind}>{html.escape(name)}</th>'
            for name, kind in zip(header, kinds, strict=True)
        )
        below = f"<figcaption>{_inline(caption)}</figcaption>" if caption else ""
        body = "".join(_row(row, kinds) for row in rows)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        self._blocks.append(_Block(f'<figure class="table"><div class="scroll">{table}</div>{below}</figure>'))
        return self

    def figure(self, image: str | bytes, caption: str = "") -> Report:
        """A picture: SVG text, or the bytes of a PNG, GIF, JPEG or SVG file.

        Raises:
            ValueError: it is none of these.
        """
        data = image.encode() if isinstance(image, str) else image
        self._media(_image(data, caption), caption)
        return self

    def video(self, video: bytes, caption: str = "") -> Report:
        """The bytes of an ``.mp4`` that a browser can decode; it plays silently, in a loop, with controls."""
        label = html.escape(caption, quote=True)
        source = _data_address("video/mp4", video)
        self._media(
            f'<video src="{source}" aria-label="{label}" controls autoplay loop muted playsinline></video>',
            caption,
        )
        return self

    def to_html(self) -> str:
        """The page."""
        parts: list[str] = []
        for i, block in enumerate(self._blocks):
            if block.is_media and (i == 0 or not self._blocks[i - 1].is_media):
                parts.append('<div class="media">')
            parts.append(block.html)
            if block.is_media and (i + 1 == len(self._blocks) or not self._blocks[i + 1].is_media):
                parts.append("</div>")
        return _PAGE.format(
            title=html.escape(self.title), policy=_POLICY, style=_STYLE, body="\n".join(parts)
        )

    def save(self, path: str | Path) -> None:
        """Write the page, whole or not at all.

        Raises:
            UserError: the file cannot be written.
        """
        path = Path(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            partial.write_text(self.to_html(), encoding="utf-8")
            os.replace(partial, path)
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from error
        finally:
            with suppress(OSError):
                partial.unlink()

    def _media(self, element: str, caption: str) -> None:
        below = f"<figcaption>{_inline(caption)}</figcaption>" if caption else ""
        self._blocks.append(_Block(f"<figure>{element}{below}</figure>", is_media=True))


def _paragraph(text: str) -> str:
    lines = text.splitlines()
    if heading := re.match(r"(#{2,4}) (.*)", lines[0]):
        level = len(heading[1])
        rest = "\n".join(lines[1:])
        return f"<h{level}>{_inline(heading[2])}</h{level}>" + (_paragraph(rest) if rest else "")
    if all(line.startswith("- ") for line in lines):
        return "<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>"
    return f"<p>{_inline(text)}</p>"


def _inline(text: str) -> str:
    """``text`` escaped, with ``**bold**`` and `` `code` `` as elements."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        f"<code>{html.escape(part[1:-1])}</code>"
        if part.startswith("`") and part.endswith("`") and len(part) > 2
        else re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html.escape(part))
        for part in parts
    )


def _row(row: Sequence[Cell], kinds: Sequence[str]) -> str:
    name, *rest = map(_show, row)
    cells = "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(rest, kinds[1:], strict=True))
    total = ' class="total"' if name == "OVERALL" else ""
    return f'<tr{total}><th scope="row">{name}</th>{cells}</tr>'


def _show(value: Cell) -> str:
    if isinstance(value, Picture):
        return _image(value.image, value.alt)
    if value is None or value != value:
        return "\N{EN DASH}"
    if isinstance(value, Real) and not isinstance(value, Integral):
        return f"{value:.3f}"
    return _inline(str(value))


def _image(data: bytes, alt: str) -> str:
    return f'<img src="{_data_address(_image_type(data), data)}" alt="{html.escape(alt, quote=True)}">'


def _is_number(value: Cell) -> bool:
    """Also of text: a figure with its spread or its unit belongs under the other figures."""
    if isinstance(value, Picture):
        return False
    return not isinstance(value, str) or re.match(r"[-+\u2212]?\.?\d", value) is not None


def _image_type(data: bytes) -> str:
    for magic, kind in ((b"\x89PNG\r\n", "png"), (b"GIF8", "gif"), (b"\xff\xd8\xff", "jpeg")):
        if data.startswith(magic):
            return f"image/{kind}"
    if re.match(rb"\s*(<\?xml|<!DOCTYPE svg|<svg)", data):
        return "image/svg+xml"
    raise ValueError("a figure is the text or bytes of an SVG, or the bytes of a PNG, GIF or JPEG")


def _data_address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""

_STYLE = """
:root { --ground: #ffffff; --ink: #24292f; --soft: #57606a; --line: #d0d7de; --tint: #f3f5f7 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #111418; --ink: #d4dae1; --soft: #97a1ac; --line: #333b44; --tint: #1b2026 }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0.5rem 0 1rem }
h2 { font-size: 1.25rem; margin: 2.2rem 0 0.5rem; padding-top: 0.6rem; border-top: 1px solid var(--line) }
h3, h4 { font-size: 1rem; margin: 1.4rem 0 0.3rem }
p, ul { max-width: 44rem; margin: 0.6rem 0; overflow-wrap: anywhere }
code { font: 0.88em ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; background: var(--tint);
  padding: 0.1em 0.3em; border-radius: 4px }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums }
th, td { padding: 0.35rem 0.6rem; text-align: left; white-space: nowrap;
  border-bottom: 1px solid var(--line) }
th:first-child { padding-left: 0 }
thead th { color: var(--soft); font-weight: 600 }
tbody th { font-weight: 500 }
td img { max-width: 12.5rem }
.number { text-align: right }
.total > * { font-weight: 700; border-top: 2px solid var(--line) }
.media { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); gap: 1rem;
  margin: 1rem 0; align-items: start }
figure { margin: 0 }
.table { margin: 1rem 0 }
img, video { display: block; max-width: 100%; height: auto; border-radius: 6px }
figcaption { max-width: 44rem; color: var(--soft); font-size: 0.88rem; margin-top: 0.4rem; overflow-wrap: anywhere }
"""
