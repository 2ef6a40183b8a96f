"""``--stabilise``, as several commands take it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, get_args

import tyro

from sqair.camera import Stabilise
from sqair.errors import UserError

_WORDS = {"true": "on", "false": "off", "none": "auto"}
"""What YAML makes of on and off, and of nothing."""


def read_stabilise(words: Sequence[str]) -> Stabilise:
    """What ``--stabilise`` with these words says: on if there are none. Raises UserError on another word."""
    word = words[0].lower() if words else "on"
    word = _WORDS.get(word, word)
    for choice in get_args(Stabilise):
        if word == choice:
            return choice
    raise UserError(f"--stabilise {word}: give one of auto, on and off")


StabiliseFlag = Annotated[
    Stabilise,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=(0, 1),
        metavar="[auto|on|off]",
        instance_from_str=read_stabilise,
        is_instance=lambda value: value in get_args(Stabilise),
        str_from_instance=lambda value: [value],
    ),
]
