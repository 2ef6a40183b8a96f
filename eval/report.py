"""A report as one HTML file that needs nothing else: text, tables, charts, pictures and video.

Pictures and video are inside the file as ``data:`` addresses, the style is inline, and a content policy
forbids the page to fetch anything. It reads on a phone, in dark mode and on paper, and holds no script unless it is
given one (``Report.live``), which the policy lets in by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import NamedTuple

from sqair.eval.chart import line_chart
from sqair.eval.page import PAGE, POLICY, SCRIPTED, STYLE
from sqair.files.durable import write_text

__all__ = ["Report", "line_chart"]


class Picture(NamedTuple):
    """A cell of a table: the bytes of a picture, as ``Report.figure`` takes them, and what it shows in words.

    With a ``width`` in pixels of the page its pixels are enlarged to that, and stay square.
    """

    image: bytes
    alt: str
    width: int | None = None


class Link(NamedTuple):
    """A cell of a table: a place on this page, such as ``#frame=1``, and what is said of it."""

    text: str
    fragment: str


Cell = str | float | Real | None | Picture | Link


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
        self._style, self._script = STYLE, ""

    def lead(self, text: str) -> Report:
        """The sentence that says it all, in larger letters; ``**bold**`` and `` `code` `` work."""
        self._blocks.append(_Block(f'<p class="lead">{_inline(text)}</p>'))
        return self

    def text(self, text: str) -> Report:
        """Paragraphs apart by an empty line; ``## Heading``, ``- item``, ``**bold**``, `` `code` `` work."""
        for paragraph in re.split(r"\n\s*\n", text.strip()):
            self._blocks.append(_Block(_paragraph(paragraph)))
        return self

    def code(self, *lines: str) -> Report:
        """Lines to be typed."""
        self._blocks.append(_Block(f"<pre><code>{html.escape(chr(10).join(lines))}</code></pre>"))
        return self

    def table(
        self,
        rows: Iterable[Sequence[Cell]],
        header: Sequence[str],
        *,
        caption: str = "",
        better: Mapping[str, bool] | None = None,
        terms: Mapping[str, str] | None = None,
    ) -> Report:
        """The first column names the rows, and one named OVERALL stands out. On a phone each row is a card of its own.

        Real numbers have three decimals, None and NaN are a dash, columns of numbers are right-aligned. A cell may
        be a ``Picture``. ``better`` says of columns, by heading, whether more is better: the best of several rows is
        marked. ``terms`` are words and what they mean, listed below the table.
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
        better = better or {}
        columns = {name: [row[i] for row in rows] for i, name in enumerate(header)}
        best = [_best(columns[name], better.get(name)) for name in header]
        body = "".join(_row(row, header, kinds, [i in cells for cells in best]) for i, row in enumerate(rows))
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        below = _below(caption) + _terms(terms or {})
        self._blocks.append(_Block(f'<figure class="table"><div class="scroll">{table}</div>{below}</figure>'))
        return self

    def figure(self, image: str | bytes, caption: str = "", narrow: str | bytes | None = None) -> Report:
        """A picture: SVG text, or the bytes of a PNG, GIF, JPEG or SVG file; on a phone ``narrow``, where it is given.

        Raises:
            ValueError: it is none of these.
        """
        element = _image(_bytes(image), caption)
        if narrow is not None:
            data = _bytes(narrow)
            source = _data_address(_image_type(data), data)
            element = f'<picture><source media="(max-width: 40rem)" srcset="{source}">{element}</picture>'
        self._media(element, caption)
        return self

    def drawing(self, markup: str, caption: str = "") -> Report:
        """Markup as wide as the page, such as inline SVG; it is trusted."""
        self._blocks.append(_Block(f"<figure>{markup}{_below(caption)}</figure>"))
        return self

    def live(self, markup: str, style: str, script: str) -> Report:
        """Markup that is trusted, and the style and the one script (a module of JavaScript) that it needs."""
        self._blocks.append(_Block(markup))
        self._style, self._script = STYLE + style, script
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
        policy, script = POLICY, ""
        if self._script:
            digest = hashlib.sha256(self._script.encode()).digest()
            policy = SCRIPTED.format(base64.b64encode(digest).decode())
            script = f'\n<script type="module">{self._script}</script>'
        title, body = html.escape(self.title), "\n".join(parts)
        return PAGE.format(title=title, policy=policy, style=self._style, body=body, script=script)

    def save(self, path: str | Path) -> None:
        """Write the page, whole or not at all.

        Raises:
            UserError: the file cannot be written.
        """
        write_text(path, self.to_html())

    def _media(self, element: str, caption: str) -> None:
        self._blocks.append(_Block(f"<figure>{element}{_below(caption)}</figure>", is_media=True))


def _below(caption: str) -> str:
    return f"<figcaption>{_inline(caption)}</figcaption>" if caption else ""


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


def _row(row: Sequence[Cell], header: Sequence[str], kinds: Sequence[str], best: Sequence[bool]) -> str:
    name, *rest = map(_show, row)
    labels = [f' data-name="{html.escape(label, quote=True)}"' for label in header]
    shown = (f"<strong>{text}</strong>" if is_best else text for text, is_best in zip(rest, best[1:], strict=True))
    kinds = [' class="picture"' if isinstance(cell, Picture) else kind for cell, kind in zip(row, kinds, strict=True)]
    columns = zip(shown, kinds[1:], labels[1:], strict=True)
    cells = "".join(f"<td{kind}{label}>{text}</td>" for text, kind, label in columns)
    total = ' class="total"' if name == "OVERALL" else ""
    return f'<tr{total}><th scope="row"{labels[0]}>{name}</th>{cells}</tr>'


def _best(column: Sequence[Cell], more: bool | None) -> list[int]:
    """The rows whose number is the best as it is shown, if there are several and they differ."""
    values = {i: float(_show(v)) for i, v in enumerate(column) if isinstance(v, Real) and v == v}
    if more is None or len(set(values.values())) < 2:
        return []
    top = (max if more else min)(values.values())
    return [i for i, value in values.items() if value == top]


def _terms(terms: Mapping[str, str]) -> str:
    items = "".join(f"<dt>{html.escape(word)}</dt><dd>{_inline(meaning)}</dd>" for word, meaning in terms.items())
    return f"<dl>{items}</dl>" if terms else ""


def _show(value: Cell) -> str:
    if isinstance(value, Picture):
        return _image(value.image, value.alt, value.width)
    if isinstance(value, Link):
        return f'<a href="{html.escape(value.fragment, quote=True)}">{html.escape(value.text)}</a>'
    if value is None or value != value:
        return "\N{EN DASH}"
    if isinstance(value, Real) and not isinstance(value, Integral):
        return f"{value:.3f}"
    return _inline(str(value))


def _bytes(image: str | bytes) -> bytes:
    return image.encode() if isinstance(image, str) else image


def _image(data: bytes, alt: str, width: int | None = None) -> str:
    large = "" if width is None else f' width="{width}" class="pixels"'
    return f'<img src="{_data_address(_image_type(data), data)}" alt="{html.escape(alt, quote=True)}"{large}>'


def _is_number(value: Cell) -> bool:
    """Also of text: a figure with its spread or its unit belongs under the other figures."""
    if isinstance(value, Picture):
        return False
    value = value.text if isinstance(value, Link) else value
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
