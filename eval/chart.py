"""Line charts as SVG text that reads on a light and on a dark page."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_INK = "#010203"  # stands for currentColor, which matplotlib cannot say
COLOURS = ("#3d8fd1", "#e08a00", "#12a37a", "#dd5c26", "#c06fa5", "#8a8f98")
"""Of lines, on a light and on a dark page."""
SCHEME = "<style>svg{color:#24292f}@media(prefers-color-scheme:dark){svg{color:#d4dae1}}</style>"
"""Makes currentColor of an SVG the colour of the page's text."""
SIZE = (4.6, 2.8)
"""Inches; as wide as a phone, nearly, so that letters keep their size there."""


def line_chart(
    series: Mapping[str, tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]],
    xlabel: str,
    ylabel: str,
) -> str:
    """One line per name in ``series``, which maps names to x and y; the same data give the same text.

    Values that are not finite leave gaps. Axes and letters take the colours of the reader's colour scheme.
    """
    import matplotlib
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.hashsalt": "sqair",
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot()
        for i, (name, (x, y)) in enumerate(series.items()):
            values = np.asarray(y, dtype=float)
            colour, marker = COLOURS[i % len(COLOURS)], "o" if len(values) == 1 else ""
            finite = np.where(np.isfinite(values), values, np.nan)
            axes.plot(x, finite, color=colour, marker=marker, linewidth=1.6, label=name)
        _count_by_ones(axes, [y for _, y in series.values()])
        axes.set_xlabel(xlabel, color=_INK)
        axes.set_ylabel(ylabel, color=_INK)
        axes.tick_params(colors=_INK, labelsize=9)
        axes.grid(color=_INK, alpha=0.12, linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_INK)
        if len(series) > 1:
            place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.3}
            axes.legend(ncols=4, frameon=False, labelcolor=_INK, **place)
        text = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    svg = text.getvalue().replace(_INK, "currentColor")
    return re.sub(r"(<svg[^>]*>)", lambda tag: tag[1] + SCHEME, svg[svg.index("<svg") :], count=1)


def _count_by_ones(axes: Any, values: Sequence[Sequence[float] | np.ndarray]) -> None:
    """Where all values are whole, and none is negative, the axis has whole numbers, from 0 on."""
    from matplotlib.ticker import MaxNLocator

    every = np.concatenate([np.ravel(np.asarray(y, dtype=float)) for y in values]) if values else np.zeros(0)
    every = every[np.isfinite(every)]
    if every.size and (every >= 0).all() and (every == every.round()).all():
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.set_ylim(0, max(1.0, axes.get_ylim()[1]))
