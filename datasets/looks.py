"""What a survey sees of one clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sqair.camera import Motion
from sqair.datasets.clip import ClipSource


class Blob(NamedTuple):
    """A connected part of a frame that differs from its scene: width and height, and area, in pixels.

    ``energy`` is the sum of the squares of the differences of all pixels and channels, ``contrast`` the root of their
    mean.
    """

    sides: tuple[int, int]
    area: int
    energy: float
    contrast: float


class Extremes(NamedTuple):
    """What is measured of what differs from a scene, to say why there is nothing to learn.

    Attributes:
        peak: largest difference of 3x3 pixels from the scene, grey levels.
        widest: side of the square of the area of the largest blob, pixels.
        changing: share of the picture that differs from the scene by more than ``LEAST`` grey levels, median frame.
        white: whether neighbours differ without regard to each other, as noise does.
        shade: share of the differences that are broad, as those of light are.
    """

    peak: float
    widest: float
    changing: float
    white: bool
    shade: float


@dataclass(frozen=True)
class Look:
    """Some frames of a clip, as they are surveyed.

    Attributes:
        length: frames of the whole clip.
        motion: how its camera moved; pan: how far it went, pixels of the canvas, if it is far.
        colour: whether it is in colour.
        noise: standard deviation of what does not move, of 1; least: difference from which something is seen, of 1.
        scene: uint8 ``[h, w, C]``; plain: whether that is one colour, which most pixels of all frames have.
        smallest: pixels of the smallest blob that counts.
        blobs: of each frame those that count.
        extremes: what else was measured.
    """

    clip: ClipSource
    length: int
    motion: Motion
    pan: float
    colour: bool
    noise: float
    least: float
    scene: np.ndarray
    plain: bool
    smallest: float
    blobs: list[list[Blob]]
    extremes: Extremes
