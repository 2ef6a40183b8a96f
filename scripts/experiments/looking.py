"""What a model makes of clips, whole: tracks, canvases and backgrounds; and what the experiments measure of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sqair.tracks import Tracks

if TYPE_CHECKING:
    from sqair.datasets.generate import Clips
    from sqair.model import SQAIR

GATE = 0.5
"""Overlap from which a box is that of an object."""
BATCH = 50


@dataclass(frozen=True)
class Look:
    """Of N clips: their tracks, and the canvases and backgrounds ``[N, T, H, W, C]`` in [0, 1]."""

    tracks: list[Tracks]
    canvas: np.ndarray
    behind: np.ndarray


def look(model: SQAIR, clips: np.ndarray, *, refine: bool = True, memory: int = 30) -> Look:
    """Explains clips uint8 ``[N, T, H, W(, C)]`` as ``sqair track`` does.

    A model that was trained on single frames sees single frames; its boxes are linked by their overlap.
    """
    import torch

    from sqair.tracker import explain, inference, step_tracks
    from sqair.train import to_frames

    tracks: list[Tracks] = []
    pictures: list[list[np.ndarray]] = [[], []]
    with torch.inference_mode():
        for start in range(0, len(clips), BATCH):
            frames = to_frames(clips[start : start + BATCH])
            state, parts = model.initial_state(frames.shape[1], frames, model.still(frames)), []
            shown = [], []
            for number, frame in enumerate(frames):
                if not model.config.temporal.any():
                    state.first = True
                step, state = explain(model, frame, state, inference(refine, memory))
                parts.append(step_tracks(step, frame, number, model.config, "ink"))
                behind = torch.zeros_like(frame) if step.behind is None else step.behind.image
                for images, image in zip(shown, (step.canvas, behind), strict=True):
                    images.append(image.permute(0, 2, 3, 1).numpy())
            tracks += [Tracks.concat([part[b] for part in parts]) for b in range(frames.shape[1])]
            for images, new in zip(pictures, shown, strict=True):
                images.append(np.stack(new, 1))
    if not model.config.temporal.any():
        tracks = [linked(t, clips.shape[1]) for t in tracks]
    return Look(tracks, np.concatenate(pictures[0]), np.concatenate(pictures[1]))


def linked(tracks: Tracks, length: int) -> Tracks:
    """The boxes of ``tracks`` under new ids, which follow their overlap from frame to frame."""
    from sqair.eval.floor import link

    return link([tracks.at(t).box for t in range(length)])


def scores(clips: Clips, tracks: Sequence[Tracks]) -> dict[str, float]:
    """The scores of all clips together, by name."""
    from sqair.eval.mot import score

    names = [str(i) for i in range(len(tracks))]
    lengths = dict.fromkeys(names, clips.frames.shape[1])
    truth, found = (dict(zip(names, rows, strict=True)) for rows in (clips.truth, tracks))
    return dict(score(truth, found, lengths).overall)


def clutter_frames(clips: Clips, tracks: Sequence[Tracks]) -> float:
    """Share of frames in which a box that is no object's has its centre in a piece of clutter."""
    from sqair.eval.boxes import iou

    bad = 0
    for found, truth, clutter in zip(tracks, clips.truth, clips.clutter, strict=True):
        pieces = clutter[clutter[:, 2] > 0]
        for t in range(clips.frames.shape[1]):
            boxes, true = found.at(t).box, truth.at(t).box
            wrong = boxes[(iou(boxes, true) < GATE).all(1)] if len(true) else boxes
            centre = (wrong[:, :2] + wrong[:, 2:] / 2)[:, None]
            inside = (pieces[:, :2] <= centre) & (centre < pieces[:, :2] + pieces[:, 2:])
            bad += bool(inside.all(-1).any())
    return bad / (len(tracks) * clips.frames.shape[1])


def errors(clips: Clips, ink: np.ndarray, canvas: np.ndarray) -> tuple[float, float]:
    """Mean squared error of canvases ``[N, T, H, W, C]`` where objects have ``ink [N, T, H, W]``, and elsewhere."""
    frames = clips.frames if clips.frames.ndim == 5 else clips.frames[..., None]
    square = ((frames / 255 - canvas) ** 2).mean(-1)
    return float(square[ink > 0].mean()), float(square[ink == 0].mean())
