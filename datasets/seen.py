"""What a survey has seen of some footage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scenes = Literal["one", "own", "black", "plain", "gradual"]

SHORTEST = 5
"""Frames from which a clip is looked at."""
SHORT = 40
"""Frames of a clip that is short."""


@dataclass(frozen=True)
class Survey:
    """What moves in some footage. Sides are in pixels of frames of ``size`` (H, W).

    Attributes:
        colour: whether frames are in colour.
        noise: standard deviation of what does not move, of 1.
        contrast: how much blobs differ from the scene, root mean square of a channel, of 1.
        most: blobs in a frame, 95th percentile; mean: their mean number.
        height, width: medians of blobs that are neither specks nor groups.
        energy: sum of squares by which such a blob differs from the scene, of all its pixels and channels; median.
        large: 95th percentile of the longer sides of all.
        spread: standard deviation of the log of the side of the square of a blob's area.
        length: frames of the shortest clip, but for a tenth of the clips.
        clips: how many clips there are.
        left_out: clips that are too short to tell what moves in them.
        trembling: clips of which the camera trembles; tremble: by how much, the standard deviation, median of these.
        turning: clips of which it turns or zooms; turn: by how much at the corners, median of these.
        panning: clips of which it pans.
        steadied: whether these clips are put where their scene is, so that all of the above is about what is left.
        scenes: whether the clips show one scene, each its own, or things on black, on plain colours or gradual ones.
    """

    size: tuple[int, int]
    colour: bool
    noise: float
    contrast: float
    most: float
    mean: float
    height: float
    width: float
    energy: float
    large: float
    spread: float
    length: int
    clips: int = 1
    left_out: int = 0
    trembling: int = 0
    tremble: float = 0.0
    turning: int = 0
    turn: float = 0.0
    panning: int = 0
    steadied: bool = False
    scenes: Scenes = "one"

    @property
    def is_set(self) -> bool:
        """Whether these are short clips that have no scene in common, rather than footage."""
        return self.scenes not in ("one", "own") or (self.scenes == "own" and self.length < SHORT and self.clips > 1)

    @property
    def is_light(self) -> bool:
        """Whether things only add light: grey ones on black."""
        return self.scenes == "black" and not self.colour
