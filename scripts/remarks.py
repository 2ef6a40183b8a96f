"""What is worth saying after tracking or training: a camera that trembles, a model that is full."""

from __future__ import annotations

import numpy as np

from sqair.datasets.clip import ClipSource
from sqair.scripts.arenas import Arenas

FULL = 0.05
"""Share of frames with as many objects as a model can have from which that is said."""

MOST = 20
"""Clips of many of which something is said, each by itself."""


class Remarks:
    """Gathers what is to be said of the clips of a model that follows ``slots`` objects at most."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.frames = self.full = 0
        self._said: list[str] = []

    def count(self, objects: np.ndarray) -> None:
        """How many objects some frames have, ``[T]``."""
        self.frames += len(objects)
        self.full += int((objects >= self.slots).sum())

    def camera(self, clip: ClipSource, arenas: Arenas) -> None:
        """How the camera moved in a clip that was tracked, as its first region shows."""
        motion = arenas.trackers[0].motion
        if motion is None or not (motion.trembles or motion.pans):
            return
        pixel = arenas.regions[0].seen.shape[1] / motion.size[1]
        moves = f"the camera trembles by {pixel * motion.tremble:.2g} pixels (standard deviation): stabilised"
        if motion.pans:
            moves = f"warning: the camera pans by {pixel * motion.reach:.0f} pixels: it must stand still"
        self._said.append(f"{clip.path}: {moves}")

    def add(self, other: Remarks) -> None:
        """What is to be said of other clips, too."""
        self.frames += other.frames
        self.full += other.full
        self._said += other._said[: max(0, MOST - len(self._said))]

    def lines(self) -> list[str]:
        """What there is to say."""
        return [*self._said, *([full] if (full := full_model(self.full, self.frames, self.slots)) else [])]


def full_model(full: int, frames: int, slots: int) -> str:
    """A warning where so many of the frames had as many objects as the model can have, or nothing."""
    if full <= FULL * frames:
        return ""
    return (
        f"warning: {full} of {frames} frames have {slots} objects, as many as this model can follow: others are lost; "
        "a larger --max-objects has room for them, as has training with a larger --model.slots"
    )
