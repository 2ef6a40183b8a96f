"""What there is in each frame of a clip, as inline SVG that is as wide as its place: bars of ids, and lines of counts.

Places along the frames are percentages, so that frame t, from 1, of a clip of T frames lies at (t - 0.5) / T of the
width, in all of these pictures. Frames and ids count from 1 in them. A script may add a cursor.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np

from sqair.tracks import Tracks

PIXELS = 880
"""Of the page, that a clip is wide at most, about."""
ROW, BAR, AXIS = 18, 11, 30
"""Pixels: from one id to the next, a bar's height, and the axis below."""
TALL = 150
"""Pixels of lines."""
TICKS = 10
"""Frames that are named on the axis, about, and every third of these on a phone."""


def spans(frames: np.ndarray, within: int = 1) -> list[tuple[int, int]]:
    """The first and the last of each run in ``frames`` ([M], ascending, M > 0) whose steps are at most ``within``."""
    cuts = np.flatnonzero(np.diff(frames) > within)
    firsts, lasts = frames[np.append(0, cuts + 1)], frames[np.append(cuts, len(frames) - 1)]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def timeline(tracks: Tracks, length: int, colours: Mapping[int, str]) -> str:
    """A bar over the ``length`` frames of a clip for each id of ``colours``, one below the other in that order.

    Each is a link to the first frame of its id (``address``). ``colours`` are those of SVG. A bar has gaps where its id
    is not in ``tracks``, unless they are narrower than a pixel.
    """
    pixel = max(1, length // PIXELS)
    height = ROW * len(colours)
    parts = [_axis(length, height)]
    for row, (name, colour) in enumerate(colours.items()):
        y = row * ROW
        frames = tracks.frame[tracks.id == name]
        said = f"object {name + 1}, frames {frames[0] + 1} to {frames[-1] + 1}"
        bars = "".join(
            f'<rect x="{_percent(first / length)}" y="{y + 3}" width="{_percent((last + 1 - first) / length)}" '
            f'height="{BAR}" fill="{colour}"/>'
            for first, last in spans(frames, pixel)
        )
        place = html.escape(address(int(frames[0]), name))
        ground = f'<rect class="ground" y="{y}" width="100%" height="{ROW - 1}"/>'
        told = f'<text x="-8" y="{y + 13}" text-anchor="end">{name + 1}</text>'
        parts.append(f'<a href="{place}" aria-label="{said}">{ground}{told}{bars}</a>')
    return _svg(parts, height, "bars")


def lines(values: Mapping[str, np.ndarray], starts: np.ndarray, length: int, colours: Sequence[str]) -> str:
    """How many there are of what, each ``[P]``, in the frames from ``starts [P]`` (from 0) to the next of these."""
    most = max(1, *(float(counts.max(initial=0)) for counts in values.values()))
    step = _step(most, 4)
    top = step * -(-most // step)
    parts = [_axis(length, TALL)]
    for value in np.arange(0, top + step / 2, step):
        y = f"{TALL * (1 - value / top):.1f}"
        parts.append(f'<line class="grid" x2="100%" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="-8" y="{float(y) + 4:.1f}" text-anchor="end">{value:g}</text>')
    ends = np.append(starts[1:], length)
    shapes = "".join(
        f'<path class="line" stroke="{colour}" d="{_stairs(counts, starts, ends, top)}"/>'
        for counts, colour in zip(values.values(), colours, strict=True)
    )
    box = f'width="100%" height="{TALL}" viewBox="0 0 {length} {top:g}" preserveAspectRatio="none"'
    parts.append(f'<svg {box} overflow="visible">{shapes}</svg>')
    return _svg(parts, TALL, "lines") + (_legend(values, colours) if len(values) > 1 else "")


def address(frame: int, name: int | None = None) -> str:
    """The address on the page of a frame, and of an id in it, both from 0."""
    return f"#frame={frame + 1}" + ("" if name is None else f"&id={name + 1}")


def _stairs(counts: np.ndarray, starts: np.ndarray, ends: np.ndarray, top: float) -> str:
    """A path of level parts, where equal ones that follow each other are one."""
    new = np.flatnonzero(np.diff(counts, prepend=np.nan) != 0)
    last = np.append(new[1:], len(ends)) - 1
    steps = zip(counts[new].tolist(), starts[new].tolist(), ends[last].tolist(), strict=True)
    return "M" + "L".join(f"{a} {top - value:.6g}H{b}" for value, a, b in steps)


def _step(length: float, ticks: int) -> int:
    """1, 2 or 5 times a power of ten, of which about ``ticks`` make ``length``."""
    power = 10 ** int(np.log10(max(1, length / ticks)))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit * ticks >= length)


def _axis(length: int, bottom: int) -> str:
    """Lines and numbers at some frames, and what they are."""
    step = _step(length, TICKS)
    parts = [f'<text x="50%" y="{bottom + AXIS - 2}" text-anchor="middle">frame</text>']
    for number, frame in enumerate(sorted({1, *range(step, length + 1, step)})):
        x, kind = _percent((frame - 0.5) / length), "" if number % 3 == 0 else ' class="fine"'
        line = f'<line class="grid" x1="{x}" x2="{x}" y2="{bottom}"/>'
        parts.append(f'<g{kind}>{line}<text x="{x}" y="{bottom + 13}" text-anchor="middle">{frame}</text></g>')
    return "".join(parts)


def _svg(parts: Sequence[str], height: int, kind: str) -> str:
    return f'<svg class="frames {kind}" height="{height + AXIS}">{"".join(parts)}</svg>'


def _legend(values: Mapping[str, np.ndarray], colours: Sequence[str]) -> str:
    keys = zip(values, colours, strict=True)
    items = (f'<span><i style="background:{colour}"></i>{html.escape(name)}</span>' for name, colour in keys)
    return f'<p class="legend">{"".join(items)}</p>'


def _percent(part: float) -> str:
    return f"{100 * part:.3f}%"
