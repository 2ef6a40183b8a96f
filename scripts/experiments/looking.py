"""What a model makes of clips, whole: tracks, segments, canvases and backgrounds; and how that scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sqair.boxes import step_tracks
from sqair.datasets.generate import Clips
from sqair.eval.boxes import iou
from sqair.eval.linking import linked
from sqair.eval.mot import score
from sqair.frames import to_frames
from sqair.inference import tracking
from sqair.inference.restarts import explain
from sqair.masks import segments
from sqair.model import SQAIR
from sqair.tracks import Tracks

GATE = 0.5
"""Overlap from which a box is that of an object."""
BATCH = 50


@dataclass(frozen=True)
class Look:
    """What a model makes of N clips."""

    tracks: list[Tracks]
    segments: np.ndarray
    """``[N, T, H, W]`` int64, as ``sqair.masks.segments``."""
    canvas: np.ndarray
    """``[N, T, H, W, C]`` in [0, 1]."""
    behind: np.ndarray
    """The background, as ``canvas``."""


@torch.inference_mode()
def look(model: SQAIR, clips: np.ndarray, *, refine: bool = True) -> Look:
    """Explains clips uint8 ``[N, T, H, W(, C)]`` as ``sqair track`` does.

    Static AIR sees each frame as a clip of its own; its boxes are linked by their overlap.
    """
    carries, length = model.config.temporal.any(), clips.shape[1]
    tracks, masks, canvas, behind = [], [], [], []
    for start in range(0, len(clips), BATCH):
        frames = to_frames(clips[start : start + BATCH])
        state = model.initial_state(frames.shape[1], frames, model.still(frames))
        parts, of_frames = [], []
        for number, frame in enumerate(frames):
            if not carries:
                state = model.initial_state(len(frame), frame)
            step, state = explain(model, frame, state, tracking(refine, memory=30))
            parts.append(step_tracks(step, frame, number, model.config, "ink"))
            empty = torch.zeros_like(frame) if step.behind is None else step.behind.image
            of_frames.append([segments(step, len(frame)), step.canvas.movedim(1, -1), empty.movedim(1, -1)])
        tracks += [Tracks.concat([part[b] for part in parts]) for b in range(frames.shape[1])]
        for kept, images in zip((masks, canvas, behind), zip(*of_frames, strict=True), strict=True):
            kept.append(torch.stack(images, 1).numpy())
    if not carries:
        tracks = [linked(t, length) for t in tracks]
    return Look(tracks, *map(np.concatenate, (masks, canvas, behind)))


def scores(clips: Clips, tracks: Sequence[Tracks], *, ignore: bool = True) -> dict[str, float]:
    """The scores of all clips together, by name; with ``ignore`` those boxes of the truth left out that may be."""
    names = [str(i) for i in range(len(tracks))]
    lengths = dict.fromkeys(names, clips.frames.shape[1])
    truth, found = (dict(zip(names, rows, strict=True)) for rows in (clips.truth, tracks))
    return dict(score(truth, found, lengths, ignore=ignore).overall)


def clutter_frames(clips: Clips, tracks: Sequence[Tracks]) -> float:
    """Share of frames in which a box that is no object's has its centre in a piece of clutter."""
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
