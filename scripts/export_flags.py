"""Flags of what is told of tracks, for the commands that write it."""

from __future__ import annotations

from typing import Annotated

import tyro

ScaleFlag = Annotated[
    tuple[float, str] | None,
    tyro.conf.arg(
        help="Units a pixel and their name, such as 0.12 mm: adds distance_mm, path_mm and speed_mm_s to the csv."
    ),
]
ZoneFlag = Annotated[
    tuple[str, ...],
    tyro.conf.arg(
        help="Rectangles x,y,w,h in pixels, such as 20,30,200,100, or files of polygons as LabelMe and VIA write them "
        "(JSON): NAME.zones.csv says how many are in each, in each frame."
    ),
]
RegionFlag = Annotated[
    tuple[str, ...],
    tyro.conf.arg(
        help="Where to look: rectangles x,y,w,h in pixels, such as 20,30,200,100, or files of shapes (JSON) as LabelMe "
        "and VIA write them. Each is an arena of its own: nobody goes from one to another. Shapes whose names begin "
        "with exclude are where never to look."
    ),
]
ExcludeFlag = Annotated[
    tuple[str, ...],
    tyro.conf.arg(help="Where never to look, such as at a clock in a corner: rectangles x,y,w,h, or files, as above."),
]
LineFlag = Annotated[
    tuple[str, ...],
    tyro.conf.arg(
        help="Lines x0,y0,x1,y1 in pixels, such as 0,120,320,120: NAME.lines.csv says who crosses them, when, and "
        "whether to the right or left of one who looks from its first point to its second."
    ),
]
