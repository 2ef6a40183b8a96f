"""Many clips tracked at a time, forth and back.

Going on, a tracker knows nothing of later frames: of two objects that overlap when a clip begins it may find one alone,
until they part. Once it has come to the end it knows them, and can go back through the clip with all of them at hand,
and forth once more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypedDict, Unpack

import numpy as np
import torch

from sqair.boxes import BoxKind, step_tracks
from sqair.errors import UserError
from sqair.frames import Fit, check_frames, to_frames
from sqair.inference import tracking
from sqair.inference.restarts import explain
from sqair.life import turned
from sqair.masks import segments
from sqair.model import SQAIR
from sqair.process import threads as use_threads
from sqair.tracks import Tracks

_BATCH = 64
"""Clips that go through the model together."""


class Options(TypedDict, total=False):
    """How clips are tracked; ``box``, ``refine``, ``memory`` and ``threads`` are those of ``Tracker``."""

    box: BoxKind
    refine: bool
    memory: int
    passes: int
    """How often to go through each clip: 1, forth, as a tracker has to where frames come one by one; 2, back again with
    what is known then; 3, forth once more. Its tracks are those of the last pass."""
    threads: int | None


@dataclass(frozen=True)
class _Settings:
    """Options, with what holds by default."""

    box: BoxKind = "ink"
    refine: bool = True
    memory: int = 30
    passes: int = 1
    threads: int | None = 1


def track_clips(model: SQAIR, clips: np.ndarray, **options: Unpack[Options]) -> list[Tracks]:
    """Tracks clips uint8 ``[N, T, H, W]`` or ``[N, T, H, W, C]``, many at a time: one Tracks for each.

    Frames of another size are scaled as ``Tracker`` does. Each clip's scene is taken from all of it, of a model with a
    still background; cameras are taken to be steady. By default ``box`` is ink, ``memory`` 30 frames, and ``refine`` is
    on; there is one pass, on one thread.

    Raises:
        UserError: the frames are not uint8, or not of the size of a model that scales none; less than one pass.
    """
    return _track(model, clips, _Settings(**options), masks=False)[0]


def mask_clips(model: SQAIR, clips: np.ndarray, **options: Unpack[Options]) -> tuple[list[Tracks], np.ndarray]:
    """What ``track_clips`` gives of the same arguments, and the masks of all frames.

    Returns:
        The tracks, and int64 ``[N, T, H, W]``: 1 and the id of the object that shows in a pixel, 0 where none does.
    """
    return _track(model, clips, _Settings(**options), masks=True)


@torch.inference_mode()
def _track(model: SQAIR, clips: np.ndarray, how: _Settings, *, masks: bool) -> tuple[list[Tracks], np.ndarray]:
    """The tracks of clips, and their masks ``[N, T, H, W]`` if they are wanted."""
    if how.passes < 1:
        raise UserError(f"passes is {how.passes}: clips are gone through at least once")
    config = model.config
    size = (clips.shape[2], clips.shape[3]) if clips.ndim > 3 else (0, 0)
    fit = Fit(size, (config.height, config.width) if config.fit and clips.dtype == np.uint8 and min(size) else size)
    model.eval()
    found: list[Tracks] = []
    labels = np.zeros(clips.shape[:4] if masks else 0, dtype=np.int64)
    with use_threads(how.threads):
        for start in range(0, len(clips), _BATCH):
            canvases = fit.clips(clips[start : start + _BATCH])
            check_frames(canvases, config)
            found += _track_batch(model, canvases, how, fit, labels[start : start + _BATCH] if masks else None)
    return found, labels


def _track_batch(
    model: SQAIR, canvases: np.ndarray, how: _Settings, fit: Fit, labels: np.ndarray | None
) -> list[Tracks]:
    """The tracks of clips that go through the model together; writes their masks to ``labels``."""
    device = next(model.parameters()).device
    (count, length), inference = canvases.shape[:2], tracking(how.refine, how.memory)
    scenes = model.still(to_frames(canvases, device)) if model.config.background == "still" else None
    state = model.initial_state(count, to_frames(canvases[:, :1], device), scenes)
    parts: list[list[Tracks]] = [[] for _ in range(length)]
    for turn in range(how.passes):
        for number in _order(turn, length):
            frame = to_frames(canvases[:, number, None], device)[0]
            step, state = explain(model, frame, state, inference)
            tracks = step_tracks(step, frame, number, model.config, how.box)
            parts[number] = [replace(t, box=fit.boxes(t.box)) for t in tracks]
            if labels is not None:
                for b, label in enumerate(segments(step, count).cpu().numpy()):
                    labels[b, number] = fit.labels(label)
        state = replace(state, objects=turned(state.objects))
    return [Tracks.concat([part[b] for part in parts]) for b in range(count)]


def _order(turn: int, length: int) -> range:
    """The frames of a pass: all at first, and then all but that at which the one before it ended."""
    if turn == 0:
        return range(length)
    return range(length - 2, -1, -1) if turn % 2 else range(1, length)
