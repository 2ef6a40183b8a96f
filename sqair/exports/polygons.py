"""Polygons of a picture that are drawn by hand: of ``x,y,w,h``, or of files that LabelMe and VIA write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sqair.errors import UserError
from sqair.files.text import read_text

ROUND = 72
"""Corners of what is round."""


class Zone(NamedTuple):
    """A polygon of corners ``[K, 2]`` (x, y), pixels that count from 0, and what it is called."""

    name: str
    corner: np.ndarray

    def holds(self, point: np.ndarray) -> np.ndarray:
        """Which points ``[N, 2]`` are in it, bool ``[N]``: those from which a ray crosses its sides an odd number of
        times."""
        inside = np.zeros(len(point), bool)
        x, y = point.T
        for (x0, y0), (x1, y1) in zip(self.corner, np.roll(self.corner, -1, axis=0), strict=True):
            if y0 != y1:
                inside ^= ((y0 <= y) != (y1 <= y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
        return inside


def parse_zones(words: Sequence[str], flag: str = "zone") -> list[Zone]:
    """Zones of ``x,y,w,h`` in pixels, or of files of LabelMe or VIA, by words of a command line.

    Those of one name get numbers, and those without one are called by the ``flag`` and their number.

    Raises:
        UserError: a word is neither, or a file holds no zone.
    """
    zones: list[Zone] = []
    for word in words:
        numbers = numbers_of(word)
        if numbers is None:
            zones += _read(Path(word))
        elif len(numbers) == 4 and min(numbers[2:]) > 0:
            zones.append(_rectangle("", *numbers))
        else:
            raise UserError(f"--{flag} {word}: a rectangle is x,y,w,h, pixels, such as 20,30,200,100")
    names = [zone.name or f"{flag}{number}" for number, zone in enumerate(zones, 1)]
    told = [f"{n}-{names[: k + 1].count(n)}" if names.count(n) > 1 else n for k, n in enumerate(names)]
    return [zone._replace(name=name) for zone, name in zip(zones, told, strict=True)]


def numbers_of(word: str) -> list[float] | None:
    """The numbers of ``1,2,3``; None if a word is something else."""
    try:
        numbers = [float(part) for part in word.split(",")]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _rectangle(name: str, x: float, y: float, w: float, h: float) -> Zone:
    return Zone(name, np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], dtype=np.float64))


def _read(path: Path) -> list[Zone]:
    """The polygons and rectangles of a file of LabelMe, or of a project or its regions as VIA saves them (JSON)."""
    try:
        said = json.loads(read_text(path))
        shapes = said["shapes"] if "shapes" in said else None
        zones = _of_via(said) if shapes is None else [_of_labelme(shape) for shape in shapes]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"{path}: no zones as LabelMe or VIA write them (JSON)") from error
    if not zones:
        raise UserError(f"{path}: it holds no polygon, rectangle, circle or ellipse")
    return zones


def _of_labelme(shape: dict[str, Any]) -> Zone:
    points, name = np.array(shape["points"], dtype=np.float64), str(shape["label"])
    kind = shape.get("shape_type") or "polygon"
    if kind == "rectangle":
        low, high = points.min(0), points.max(0)
        return _rectangle(name, *low, *(high - low))
    if kind == "circle":
        radius = float(np.hypot(*(points[1] - points[0])))
        return _ellipse(name, points[0], radius, radius)
    if len(points) < 3 or points.shape[1] != 2:
        raise ValueError
    return Zone(name, points)


def _of_via(said: dict[str, Any]) -> list[Zone]:
    images = said.get("_via_img_metadata", said)
    zones = []
    for image in images.values():
        for region in image["regions"]:
            shape, told = region["shape_attributes"], region["region_attributes"]
            name = str(next(iter(told.values()), ""))
            if shape["name"] == "rect":
                zones.append(_rectangle(name, shape["x"], shape["y"], shape["width"], shape["height"]))
            elif shape["name"] == "polygon":
                points = [shape["all_points_x"], shape["all_points_y"]]
                zones.append(Zone(name, np.array(points, dtype=np.float64).T))
            elif shape["name"] in ("circle", "ellipse"):
                radii = (shape["r"], shape["r"]) if "r" in shape else (shape["rx"], shape["ry"])
                zones.append(_ellipse(name, (shape["cx"], shape["cy"]), *radii, shape.get("theta", 0.0)))
    return zones


def _ellipse(name: str, middle: Sequence[float] | np.ndarray, rx: float, ry: float, theta: float = 0.0) -> Zone:
    """A polygon that is nearly an ellipse, turned by ``theta`` radians clockwise."""
    if min(rx, ry) <= 0:
        raise ValueError
    angle = np.linspace(0, 2 * np.pi, ROUND, endpoint=False)
    x, y = rx * np.cos(angle), ry * np.sin(angle)
    turned = np.stack([x * np.cos(theta) - y * np.sin(theta), x * np.sin(theta) + y * np.cos(theta)], 1)
    return Zone(name, np.asarray(middle, dtype=np.float64) + turned)
