"""The numbers of images: what their names say, where these are numbered.

Names of images are numbered if they differ in one number and in nothing else (their endings aside), no two of them are
the same, none is ten million or more, which would be a date or a time, and there are gaps of less than a thousand times
as many as there are images. Then a frame bears the number of its file, as in a MOTChallenge ``img1/``, whose
``000001.png`` has the rows of frame 1. Files are numbered from 1, unless one of them is 0: then file k is the (k + 1)th
frame. Images of other names are counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from sqair.datasets.sayings import say

LARGEST = 10_000_000
"""From here on the number in a name is a time or a date: this many frames are four days of video."""
SPARSEST = 1000
"""Most numbers for every image: sparser ones do not count frames."""


def frame_numbers(path: object, names: Sequence[str]) -> list[int]:
    """The numbers, from 0, of the frames of images of these names (without endings, in natural order).

    Says in a line, which begins with ``path``, what was made of numbers that do not simply count up.
    """
    count = len(names)
    numbers, why = _file_numbers(names)
    if numbers is None:
        if why:
            say(f"{path}: {why}: frames are counted from 1")
        return list(range(count))
    base = 0 if numbers[0] == 0 else 1
    if numbers[-1] - numbers[0] >= count or numbers[0] > 1:
        steps = {after - before for before, after in pairwise(numbers)}
        lacks = "" if steps == {1} else f", with {numbers[-1] - numbers[0] + 1 - count} missing"
        lacks = lacks if len(steps) > 1 or steps == {1} else f" in steps of {steps.pop()}"
        rows = "rows bear these numbers" if base else "file 0 is frame 1"
        say(f"{path}: files are numbered {numbers[0]} to {numbers[-1]}{lacks}: {rows}")
    return [number - base for number in numbers]


def _file_numbers(names: Sequence[str]) -> tuple[list[int] | None, str]:
    """What the names say, increasing; or None and why it is not used, if they have numbers at all."""
    parts = [re.split(r"(\d+)", name) for name in names]
    if len(names) < 2 or len({tuple(part[::2]) for part in parts}) > 1:
        return None, ""
    varying = [field for field in zip(*(part[1::2] for part in parts), strict=True) if len(set(map(int, field))) > 1]
    if not varying:
        return None, ""
    if len(varying) > 1:
        return None, f"names differ in {len(varying)} numbers"
    numbers = [int(text) for text in varying[0]]
    if twice := next((b for a, b in pairwise(numbers) if b <= a), None):
        return None, f"number {twice} is there twice"
    if numbers[-1] >= LARGEST:
        return None, f"numbers in names go to {numbers[-1]}, as times and dates do"
    if numbers[-1] - numbers[0] > SPARSEST * len(names):
        return None, f"{len(names)} files are numbered {numbers[0]} to {numbers[-1]}, too sparse to count frames"
    return numbers, ""
