"""The README's picture: clips of test digits, what the shipped model renders of them, and the tracks.

sqair experiments picture --output docs/pictures/demo.gif
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sqair.datasets.generate import make_clips
from sqair.datasets.images import enlarge, to_channels
from sqair.datasets.overlay import overlay
from sqair.datasets.recipes import get_recipe
from sqair.datasets.video_out import write_gif
from sqair.scripts.demo_report import explain
from sqair.tracker import Tracker

CLIPS = (({"min_objects": 2}, 5), ({"min_objects": 3, "max_objects": 3}, 7), ({"min_objects": 2}, 11))
"""Recipe overrides and clip numbers."""
SCALE = 4


@dataclass(frozen=True)
class Args:
    """Draw the README's picture."""

    output: Path
    """The GIF to write."""
    model: str = "moving-mnist"
    """A run, a weights folder, or a model that ships with the package."""
    length: int = 40
    """Frames."""


def main(args: Args) -> None:
    """Tracks the clips and writes the GIF. Raises UserError as ``sqair track`` does."""
    columns = [_column(args, overrides, number) for overrides, number in CLIPS]
    write_gif(args.output, [np.hstack(pictures) for pictures in zip(*columns, strict=True)], 8)


def _column(args: Args, overrides: dict[str, int], number: int) -> list[np.ndarray]:
    """Pictures of one clip: input, rendering and tracks on top of one another."""
    frames = make_clips(get_recipe("moving-mnist", length=args.length, **overrides), "test", 1, number, 1).frames[0]
    clip = explain(Tracker.from_pretrained(args.model), "clip", frames)
    drawn = overlay(zip(frames, clip.tracks, strict=True), scale=SCALE)
    gap = np.full((SCALE, frames.shape[2] * SCALE, 3), 60, np.uint8)
    pictures = []
    for frame, render, picture in zip(frames, clip.canvases, drawn, strict=True):
        images = [enlarge(to_channels(image, 3), SCALE) for image in (frame, render)]
        stack = np.vstack([images[0], gap, images[1], gap, picture])
        pictures.append(np.pad(stack, ((0, 0), (0, SCALE), (0, 0)), constant_values=60))
    return pictures
