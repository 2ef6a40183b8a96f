"""The recipes of generated video, as plain settings."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from sqair.errors import UserError

BackgroundKind = Literal["none", "grey", "gradient", "texture", "pan", "clutter"]
BACKGROUNDS: tuple[str, ...] = get_args(BackgroundKind)
_AT_LEAST_ONE = ("height", "width", "length", "digit_size", "min_life")


@dataclass(frozen=True)
class Recipe:
    """How to make a kind of video. A clip depends on these settings, the split, the seed and its index."""

    name: str
    """Which motion: moving-mnist, sqair-script, birth-death, parting or together; or which benchmark of the field:
    tba-mnist, tba-sprites, spmot, vmds-style, texvmds-style, silot or shapes-dense."""
    height: int = 50
    """Height of the canvas in pixels."""
    width: int = 50
    """Width of the canvas in pixels."""
    length: int = 10
    """Frames in a clip."""
    min_objects: int = 0
    """Fewest digits in a clip."""
    max_objects: int = 2
    """Most digits in a clip; in birth-death and in streams, most digits at a time."""
    max_digits: int = 0
    """Most digits that a clip of birth-death shows one after the other; 0 means one more than max_objects."""
    digit_size: int = 28
    """Side in pixels to which the 28x28 digits are scaled before they are cropped to their ink; of sprites, that of the
    square that they fill, and in vmds-style that of the largest."""
    speed: float = 4.0
    """Greatest speed in pixels per frame and axis; in benchmarks, speed in pixels per frame."""
    acceleration: float = 0.0
    """Greatest acceleration in pixels per frame, per frame and axis; sqair-script only."""
    acceleration_noise: float = 0.0
    """Standard deviation of what each frame adds to the acceleration; sqair-script only."""
    min_life: int = 3
    """Fewest frames for which a digit of birth-death is present (all of a shorter clip)."""
    background: BackgroundKind = "none"
    """What lies behind the digits: nothing, one grey level, a gradient, a texture that stays or slowly pans, or
    clutter, which is digits that never move."""
    contrast: float = 0.5
    """Brightest value of a background, of 1; clutter is as bright as digits."""
    pan_speed: float = 0.5
    """Greatest speed of a panning texture, pixels per frame."""
    texture_path: str | None = None
    """Folder with images for textures; without it they are procedural, no two alike."""
    colour: bool = False
    """Three channels: digits and backgrounds of random colours."""
    idx_path: str | None = None
    """Folder with MNIST's IDX files; without it the embedded 4000 digits are used."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and (not isinstance(value, int) or isinstance(value, bool)):
                raise UserError(f"{field.name} is {value!r}: it must be a whole number")
            if field.type == "float" and (not isinstance(value, int | float) or isinstance(value, bool)):
                raise UserError(f"{field.name} is {value!r}: it must be a number")
            least = 1 if field.name in _AT_LEAST_ONE else 0
            if field.type in ("int", "float") and not least <= value < float("inf"):
                raise UserError(f"{field.name} is {value}: it must be at least {least}")
        if self.background not in BACKGROUNDS:
            raise UserError(f"unknown background {self.background!r}: choose one of {', '.join(BACKGROUNDS)}")
        if self.contrast > 1:
            raise UserError(f"contrast is {self.contrast}: it must be at most 1")
        if self.min_objects > self.max_objects:
            raise UserError(f"min_objects {self.min_objects} is more than max_objects {self.max_objects}")
        if 0 < self.max_digits < self.max_objects:
            raise UserError(f"max_digits {self.max_digits} is less than max_objects {self.max_objects}")
        if self.name in BENCHMARKS:
            self._check_benchmark()

    def _check_benchmark(self) -> None:
        """Raises UserError if a field is set that this benchmark cannot obey."""
        own, obeyed = BENCHMARKS[self.name], _OBEYED_BY_ALL | _OBEYED[self.name]
        for field in fields(Recipe):
            value, fixed = getattr(self, field.name), getattr(own, field.name)
            if field.name not in obeyed and value != fixed:
                raise UserError(f"{self.name} has no use for {field.name} {value!r}: leave it at {fixed!r}")
        if self.background == "clutter":
            raise UserError(f"{self.name} has no clutter: choose another background")


BENCHMARKS: dict[str, Recipe] = {}
"""Recipes that the field's benchmarks are made by; benchmarks.py says how, and whose they are."""

_OBEYED_BY_ALL = {"name", "height", "width", "length", "max_objects", "digit_size"}
_OBEYED_BY_ALL |= {"background", "contrast", "pan_speed", "texture_path"}
_OBEYED = {
    "tba-mnist": {"speed", "idx_path"},
    "tba-sprites": {"speed"},
    "spmot": {"speed"},
    "vmds-style": {"min_objects"},
    "texvmds-style": {"min_objects"},
    "silot": {"min_objects", "speed", "idx_path"},
    "shapes-dense": {"min_objects", "speed"},
}
"""Fields that each benchmark obeys beside those that all do."""

BENCHMARKS |= {
    recipe.name: recipe
    for recipe in (
        Recipe("tba-mnist", height=128, width=128, length=20, max_objects=3, speed=5.3),
        Recipe("tba-sprites", height=128, width=128, length=20, max_objects=3, digit_size=21, speed=5.3, colour=True),
        Recipe("spmot", height=64, width=64, max_objects=3, digit_size=21, speed=5.3, colour=True),
        Recipe(
            "vmds-style", height=64, width=64, min_objects=1, max_objects=4, digit_size=26, background="grey",
            contrast=1.0, colour=True
        ),
        Recipe(
            "texvmds-style", height=64, width=64, min_objects=1, max_objects=4, digit_size=26, background="texture",
            contrast=1.0, colour=True
        ),
        Recipe("silot", height=48, width=48, length=8, min_objects=1, max_objects=12, digit_size=14, speed=2.0),
        Recipe(
            "shapes-dense", height=96, width=96, length=8, min_objects=1, max_objects=30, digit_size=14, speed=5.0,
            colour=True
        ),
    )
}


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("moving-mnist"),
        Recipe("sqair-script", speed=10.0, acceleration=3.0, acceleration_noise=0.01),
        Recipe("birth-death"),
        Recipe("parting", min_objects=2),
        Recipe("together", min_objects=2),
    )
}


def get_recipe(name: str, /, **overrides: object) -> Recipe:
    """The recipe of that name, with some fields changed.

    Raises:
        UserError: no such recipe or field, or a value out of range.
    """
    recipes = RECIPES | BENCHMARKS
    if name not in recipes:
        raise UserError(f"unknown recipe {name!r}{_near(name, recipes)}: choose one of {', '.join(recipes)}")
    known = [f.name for f in fields(Recipe) if f.name != "name"]
    for key in overrides:
        if key not in known:
            raise UserError(f"a recipe has no {key!r}{_near(key, known)}: its fields are {', '.join(known)}")
    return replace(recipes[name], **overrides)  # type: ignore[arg-type]


def _near(word: str, choices: object) -> str:
    near = difflib.get_close_matches(word, list(choices), n=1)  # type: ignore[call-overload]
    return f" (did you mean {near[0]!r}?)" if near else ""
