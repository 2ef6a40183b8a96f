"""Whether imagined clips are like data: counts, speeds, sizes and looks of what the model tracks in both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from sqair.alike import Explained
from sqair.eval.chart import line_chart
from sqair.eval.report import Report
from sqair.eval.twosample import Comparison, Feature, compare, compare_looks, counts, histogram, looks, sizes, speeds
from sqair.frames import to_frames
from sqair.inference import tracking
from sqair.model import SQAIR
from sqair.passes import track_clips
from sqair.scripts.imagine import Args
from sqair.scripts.imagine_clips import to_arrays
from sqair.words import count

MEMORY, TOGETHER = 30, 16
"""Frames for which who is not seen is remembered, as by default, and clips that are redrawn together."""


@dataclass(frozen=True)
class Compared:
    """Clips uint8 ``[N, T, h, w(, 3)]`` of data and of imagination, and the data explained."""

    data: np.ndarray
    imagined: np.ndarray
    explained: list[Explained]


class Measured(NamedTuple):
    """What is compared of clips: numbers by their names, and patches of each clip's objects."""

    numbers: dict[str, Feature]
    patches: list[np.ndarray]

    @staticmethod
    def of(model: SQAIR, clips: np.ndarray) -> Measured:
        """Tracks the clips."""
        tracks = track_clips(model, clips)
        numbers = {
            "objects in a frame": counts(tracks, clips.shape[1]),
            "speed, pixels a frame": speeds(tracks),
            "width, pixels": sizes(tracks, 0),
            "height, pixels": sizes(tracks, 1),
        }
        return Measured(numbers, looks(clips, tracks))

    def beside(self, other: Measured, seed: int) -> list[Comparison]:
        """The tests of this and another."""
        tests = [compare(name, mine, other.numbers[name], seed) for name, mine in self.numbers.items()]
        return [*tests, compare_looks(self.patches, other.patches, seed)]


def comparison(report: Report, model: SQAIR, args: Args, compared: Compared) -> None:
    """Whether both sets of clips are alike, beside what comes of the decoder alone."""
    data, imagined = (Measured.of(model, clips) for clips in (compared.data, compared.imagined))
    results, by_drawing = data.beside(imagined, args.seed), [np.nan] * (len(data.numbers) + 1)
    if len(compared.data) > 1:
        halves = compared.data[::2], redrawn(model, compared.data[1::2])
        half, drawn = (Measured.of(model, clips) for clips in halves)
        by_drawing = [result.effect for result in half.beside(drawn, args.seed)]
    length = count(compared.data.shape[1], "frame")
    report.text(
        f"## Are they alike?\n\n{count(len(compared.data), 'clip')} of `{args.against}` and as many imagined ones, "
        f"{length} each, all tracked by the model in the same way."
    )
    report.table(
        [(r.name, *r.means, r.effect, r.p, drawn) for r, drawn in zip(results, by_drawing, strict=True)],
        ["", "mean of the data", "mean imagined", "difference", "p", "of redrawn data"],
        caption="Difference: the largest between the shares of data and of imagination below any value, from 0, alike, "
        "to 1. Of looks: the share of objects whose nearest neighbour in other clips is of their own kind, 0.5 if "
        "alike. p: the share of ways to deal the clips out anew that differ as much; 0.001 is the least. Of redrawn "
        "data: the difference of half of the data from what the model draws of the other half when it sees it.",
    )
    for name, feature in data.numbers.items():
        middle, (first, second) = histogram([feature, imagined.numbers[name]])
        report.figure(line_chart({"data": (middle, first), "imagined": (middle, second)}, name, "share"))


@torch.no_grad()
def redrawn(model: SQAIR, clips: np.ndarray) -> np.ndarray:
    """What the model draws of clips uint8 ``[N, T, H, W(, 3)]`` when it has explained them, in the same shape."""
    drawn: list[np.ndarray] = []
    for first in range(0, len(clips), TOGETHER):
        frames = to_frames(clips[first : first + TOGETHER], model.first_hidden.device)
        steps = model(frames, tracking(True, MEMORY), model.still(frames))
        drawn.append(to_arrays(torch.stack([step.canvas for step in steps])))
    return np.concatenate(drawn)
