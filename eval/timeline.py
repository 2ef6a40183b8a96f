"""When each object was seen, as SVG text that reads on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sqair.eval.chart import SCHEME
from sqair.tracks import Tracks

LEFT, WIDTH, ROW, BAR, AXIS = 48, 880, 18, 11, 30
"""Pixels: the names beside the bars, the bars, from one id to the next, a bar's height, and the axis below."""
NARROW = 280
"""Pixels of the bars where the whole has to fit a phone."""
APART = 80
"""Pixels between two frames that are named on the axis, about."""


def spans(frames: np.ndarray, within: int = 1) -> list[tuple[int, int]]:
    """The first and the last of each run in ``frames`` ([M], ascending, M > 0) whose steps are at most ``within``."""
    cuts = np.flatnonzero(np.diff(frames) > within)
    firsts, lasts = frames[np.append(0, cuts + 1)], frames[np.append(cuts, len(frames) - 1)]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def timeline(tracks: Tracks, length: int, colours: Mapping[int, str], width: int = WIDTH) -> str:
    """A bar over the ``length`` frames of a clip for each id of ``colours``, one below the other in that order.

    A bar of all frames would be ``width`` pixels wide. ``colours`` are those of SVG. A bar has gaps where its id is not
    in ``tracks``, unless they are narrower than a pixel. Ids and frames count from 1 in the picture.
    """
    pixel = max(1, length // width)
    scale = width / length
    height = ROW * len(colours) + AXIS
    step = _step(length, max(1, width // APART))
    marked = sorted({1, *range(step, length + 1, step)})
    parts = [_tick(frame, LEFT + scale * (frame - 0.5), height - AXIS) for frame in marked]
    for row, (name, colour) in enumerate(colours.items()):
        y = row * ROW
        parts.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{name + 1}</text>')
        for first, last in spans(tracks.frame[tracks.id == name], pixel):
            place = f'x="{LEFT + scale * first:.2f}" y="{y + 3}" width="{scale * (last + 1 - first):.2f}"'
            parts.append(f'<rect {place} height="{BAR}" fill="{colour}"/>')
    parts.append(f'<text x="{LEFT + width / 2:g}" y="{height - 1}" text-anchor="middle">frame</text>')
    view = f'width="{LEFT + width + 20}" height="{height}" viewBox="0 0 {LEFT + width + 20} {height}"'
    style = 'font-family="system-ui, DejaVu Sans, sans-serif" font-size="11" fill="currentColor"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {view} {style}>{SCHEME}{"".join(parts)}</svg>'


def _step(length: int, ticks: int) -> int:
    """1, 2 or 5 times a power of ten frames, of which about ``ticks`` make ``length``."""
    power = 10 ** int(np.log10(max(1, length / ticks)))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit * ticks >= length)


def _tick(frame: int, x: float, bottom: int) -> str:
    line = f'<path d="M{x:.2f} 0V{bottom}" stroke="currentColor" stroke-opacity=".15"/>'
    return f'{line}<text x="{x:.2f}" y="{bottom + 13}" text-anchor="middle">{frame}</text>'
