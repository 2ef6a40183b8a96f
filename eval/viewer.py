"""The viewer of a clip's page: a video with what was tracked drawn over it, by a script of the page's own.

A reader goes through the frames, chooses an id, sees its track, and takes rows and edits away. Where no script runs the
video has controls, and no boxes. What the script (rows.js, viewer.js) is given stands in the page as JSON, with rows as
``packed`` columns. The table that it saves is that of ``sqair.exports.tidy``, to the last digit; only the columns of a
scale are from boxes that are rounded to a hundredth of a pixel.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from sqair.eval.packed import packed
from sqair.exports.measures import Scale, measures
from sqair.exports.polygons import Zone
from sqair.exports.record import Record
from sqair.exports.tidy import COLUMNS
from sqair.exports.zones import Line, home

SPEEDS = (0.1, 0.25, 0.5, 1, 2, 4)
"""Of playing, that can be chosen."""


class Film(NamedTuple):
    """The plain video of a clip: an ``.mp4``, its frames a second, how many there are, of which one in ``step`` frames
    of the clip, and how many of its pixels make one of the clip."""

    video: bytes
    fps: float
    shots: int
    step: int
    pixels: float


class Marks(NamedTuple):
    """What is drawn over all frames: zones with their colours of CSS, regions among them, and lines."""

    zones: Sequence[tuple[Zone, str]] = ()
    lines: Sequence[Line] = ()
    regions: Sequence[Zone] = ()


@cache
def script() -> str:
    """JavaScript of the page, a module."""
    return _beside("rows.js") + _beside("viewer.js")


@cache
def style() -> str:
    """CSS of the page, beside that of all reports."""
    return _beside("viewer.css")


def _beside(name: str) -> str:
    return files("sqair.eval").joinpath(name).read_text(encoding="utf-8")


def viewer(
    record: Record,
    times: tuple[np.ndarray, np.ndarray],
    film: Film,
    colours: Mapping[int, str],
    marks: Marks,
    scale: Scale | None = None,
) -> str:
    """Markup of the viewer of a clip; the page needs ``style`` and ``script`` too.

    ``times`` are the numbers and the seconds of the frames that were tracked, ``[T]`` each; ``colours`` those of ids.
    """
    measured = {} if scale is None else measures(record, scale)
    told = {
        "name": record.name,
        "size": record.size,
        "length": record.length,
        "fps": film.fps,
        "step": film.step,
        "shots": film.shots,
        "pixels": film.pixels,
        "columns": [*COLUMNS, *measured, *(["region"] if marks.regions else [])],
        "homes": _homes(record, marks.regions),
        "scale": None if scale is None else [scale.units, scale.name],
        "colours": {name + 1: colour for name, colour in colours.items()},
        "zones": [{"name": z.name, "corners": z.corner.tolist(), "colour": colour} for z, colour in marks.zones],
        "lines": [{"name": line.name, "corners": line.end.tolist()} for line in marks.lines],
        "clock": packed([times[0] + 1, np.rint(1e6 * times[1])]),
        "rows": packed(whole_numbers(record)),
    }
    data = json.dumps(told).replace("<", "\\u003c")
    video = f"data:video/mp4;base64,{base64.b64encode(film.video).decode()}"
    speeds = "".join(f"<option{' selected' * (speed == 1)} value={speed}>{speed:g}\u00d7</option>" for speed in SPEEDS)
    ratio = record.size[1] / record.size[0]
    return MARKUP.format(video=video, ratio=ratio, data=data, speeds=speeds)


def _homes(record: Record, regions: Sequence[Zone]) -> dict[int, str] | None:
    """The region of each id, from 1."""
    if not regions:
        return None
    return dict(zip((record.tracks.id + 1).tolist(), home(record, regions), strict=True))


def whole_numbers(record: Record) -> list[np.ndarray]:
    """Rows by id, and then by frame, as integers: id and frame from 1, x, y, w and h in hundredths of a pixel, score in
    hundredths of a per cent, and marks.

    Bit 0 of these is whether a gap was filled. The middle of a box, in hundredths, is the floor of x + w / 2 of these
    integers, and bits 1 and 2 of the marks, less 1; that of y has bits 3 and 4.
    """
    tracks = record.tracks
    order = np.lexsort((tracks.frame, tracks.id))
    exact = np.nan_to_num(tracks.box[order], posinf=0, neginf=0).clip(-1e7, 1e7)
    box, centre = _hundredths(exact), _hundredths(exact[:, :2] + exact[:, 2:] / 2)
    off = centre - (2 * box[:, :2] + box[:, 2:]) // 2 + 1
    marks = record.filled[order] + 2 * off[:, 0] + 8 * off[:, 1]
    score = np.array([round(1e4 * round(value, 4)) for value in tracks.score[order].tolist()], np.int64)
    return [tracks.id[order] + 1, tracks.frame[order] + 1, *box.T, score, marks]


def _hundredths(value: np.ndarray) -> np.ndarray:
    """As Python rounds, which numpy does not do to the last digit."""
    rounded = [round(100 * round(one, 2)) for one in value.ravel().tolist()]
    return np.array(rounded, np.int64).reshape(value.shape)


MARKUP = """<section class="viewer" aria-label="Viewer">
<div>
<div class="stage" style="--ratio: {ratio:.4f}">
<video src="{video}" aria-label="The clip" controls loop muted playsinline preload="auto"></video>
<canvas id="boxes" class="live" role="img" aria-label="Boxes, ids and trails of the objects in this frame" hidden>
</canvas></div>
<noscript><p class="hint">This is the plain video: boxes, ids and tracks are drawn by the page's own script, which does
not run here. Open the file in a browser.</p></noscript>
<div class="controls live" hidden>
<input type="range" id="shot" min="0" value="0" step="1" aria-label="Frame">
<output id="now" aria-live="off"></output>
<button id="play" type="button">Play</button>
<button id="back" type="button" aria-label="One frame back">\u25c2 1</button>
<button id="on" type="button" aria-label="One frame on">1 \u25b8</button>
<select id="speed" aria-label="Speed">{speeds}</select>
<select id="object" aria-label="Object"><option value="">no object</option></select>
<button id="csv" type="button">Download the CSV</button>
</div>
</div>
<aside class="live" aria-label="The chosen object" hidden>
<div id="panel" hidden>
<p id="who"><img id="look" alt="" hidden><strong id="title" aria-live="polite"></strong>
<button id="close" type="button" aria-label="Choose no object">\u2715</button></p>
<dl id="facts"></dl>
<p class="hint">Where it is wrong, choose what goes into <code>edits.yaml</code>:</p>
<div id="begin"></div>
</div>
<p class="hint">Click an object, its bar or its id to see its track. Arrow keys go from frame to frame, the
space bar plays, Escape chooses none.</p>
<details id="list"><summary>edits.yaml</summary>
<textarea id="edits" aria-label="edits.yaml" spellcheck="false"></textarea>
<button id="yaml" type="button">Download edits.yaml</button>
<p class="hint">For <code>sqair edit NAME.txt edits.yaml</code>, with the rows of <code>sqair track</code>.</p>
</details>
</aside>
<script type="application/json" id="clip">{data}</script>
</section>"""
