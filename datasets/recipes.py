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
    """Which motion: moving-mnist, sqair-script, birth-death, parting or together."""
    height: int = 50
    """Height of the canvas in pixels."""
    width: int = 50
    """Width of the canvas in pixels."""
    length: int = 10
    """Frames in a clip."""
    min_objects: int = 0
    """Fewest digits in a clip."""
    max_objects: int = 2
    """Most digits in a clip; in birth-death, most digits at a time."""
    max_digits: int = 0
    """Most digits that a clip of birth-death shows one after the other; 0 means one more than max_objects."""
    digit_size: int = 28
    """Side in pixels to which the 28x28 digits are scaled before they are cropped to their ink."""
    speed: float = 4.0
    """Greatest speed in pixels per frame and axis."""
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
    if name not in RECIPES:
        raise UserError(f"unknown recipe {name!r}{_near(name, RECIPES)}: choose one of {', '.join(RECIPES)}")
    known = [f.name for f in fields(Recipe) if f.name != "name"]
    for key in overrides:
        if key not in known:
            raise UserError(f"a recipe has no {key!r}{_near(key, known)}: its fields are {', '.join(known)}")
    return replace(RECIPES[name], **overrides)  # type: ignore[arg-type]


def _near(word: str, choices: object) -> str:
    near = difflib.get_close_matches(word, list(choices), n=1)  # type: ignore[call-overload]
    return f" (did you mean {near[0]!r}?)" if near else ""
