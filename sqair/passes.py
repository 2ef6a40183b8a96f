"""Many clips tracked at a time, forth and back, in several ways.

Going on, a tracker knows nothing of later frames: of two objects that overlap when a clip begins it may find one alone,
until they part. Once it has come to the end it knows them, and can go back through the clip with all of them at hand,
and forth once more.

What it finds in a crowd depends on where it looks first. Of several ways to explain a clip, in which chance weighs
where it looks, the one of the best bound is kept: they are particles of the clip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypedDict, Unpack

import numpy as np
import torch

from sqair.bounds import Terms
from sqair.boxes import BoxKind, step_tracks
from sqair.errors import UserError
from sqair.frames import Fit, check_frames, to_frames
from sqair.inference import tracking
from sqair.inference.restarts import Elsewhere, explain
from sqair.life import turned
from sqair.masks import segments
from sqair.model import SQAIR
from sqair.process import threads as use_threads
from sqair.state import Step
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
    tries: int
    """In how many ways to explain each clip, of which the best is kept; only the first of them without ``refine``."""
    threads: int | None


@dataclass(frozen=True)
class _Settings:
    """Options, with what holds by default."""

    box: BoxKind = "ink"
    refine: bool = True
    memory: int = 30
    passes: int = 1
    tries: int = 1
    threads: int | None = 1


def track_clips(model: SQAIR, clips: np.ndarray, **options: Unpack[Options]) -> list[Tracks]:
    """Tracks clips uint8 ``[N, T, H, W]`` or ``[N, T, H, W, C]``, many at a time: one Tracks for each.

    Frames of another size are scaled as ``Tracker`` does. Each clip's scene is taken from all of it, of a model with a
    still background; cameras are taken to be steady. By default ``box`` is ink, ``memory`` 30 frames, and ``refine`` is
    on; there is one pass and one try, on one thread.

    Raises:
        UserError: the frames are not uint8, or not of the size of a model that scales none; less than one pass or try.
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
    for name in ("passes", "tries"):
        if getattr(how, name) < 1:
            raise UserError(f"{name} is {getattr(how, name)}: it must be at least 1")
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
            best = _best(model, canvases, how, masks)
            found += [replace(tracks, box=fit.boxes(tracks.box)) for tracks in best.tracks]
            for b, label in enumerate(best.labels):
                labels[start + b] = [fit.labels(image) for image in label]
    return found, labels


@dataclass
class _Found:
    """What was found in some clips."""

    tracks: list[Tracks]
    labels: list[np.ndarray]
    """Masks ``[T, H, W]`` of each, if they are wanted."""
    bound: np.ndarray
    """``[B]``, of each, nats: as the last pass explains its frames, less the price of each object."""


def _best(model: SQAIR, canvases: np.ndarray, how: _Settings, masks: bool) -> _Found:
    """The best of the ways in which the clips ``canvases [B, T, H, W(, 3)]`` are explained."""
    best = _explain(model, canvases, how, masks, attempt=0)
    for attempt in range(1, how.tries if how.refine else 1):
        other = _explain(model, canvases, how, masks, attempt)
        for b in np.flatnonzero(other.bound > best.bound):
            best.tracks[b], best.bound[b] = other.tracks[b], other.bound[b]
            if masks:
                best.labels[b] = other.labels[b]
    return best


def _explain(model: SQAIR, canvases: np.ndarray, how: _Settings, masks: bool, attempt: int) -> _Found:
    """What is found in one of the ways, on the canvas."""
    device = next(model.parameters()).device
    count, length = canvases.shape[:2]
    scenes = model.still(to_frames(canvases, device)) if model.config.background == "still" else None
    state = model.initial_state(count, to_frames(canvases[:, :1], device), scenes)
    parts: list[list[Tracks]] = [[] for _ in range(length)]
    labels = np.zeros((count, *canvases.shape[1:4]) if masks else 0, dtype=np.int64)
    bound = np.zeros((length, count))
    for turn in range(how.passes):
        for number in _order(turn, length):
            inference = tracking(how.refine, how.memory)
            if attempt:
                seed = (attempt * how.passes + turn) * length + number  # of a frame: batches do not matter
                inference = Elsewhere(memory=how.memory, chance=torch.Generator().manual_seed(seed))
            frame = to_frames(canvases[:, number, None], device)[0]
            step, state = explain(model, frame, state, inference)
            parts[number] = step_tracks(step, frame, number, model.config, how.box)
            bound[number] = _explained(step, model.price * model.config.crowding / length)
            if masks:
                labels[:, number] = segments(step, count).cpu().numpy()
        state = replace(state, objects=turned(state.objects))
    tracks = [Tracks.concat([part[b] for part in parts]) for b in range(count)]
    price = model.price * np.array([len(np.unique(found.id)) for found in tracks])
    return _Found(tracks, list(labels), bound.sum(0) - price)


def _explained(step: Step, crowding: float) -> np.ndarray:
    """What a frame adds to the bound of its clips ``[B]`` beside the price of objects, which each pays once a clip.

    ``crowding`` is what an object costs in a frame that lies wholly on others, nats.
    """
    terms = Terms([step])
    bound = terms.log_likelihood - terms.kl_z
    if crowding:
        bound = bound - crowding * terms.clip_sum([rows.pres * rows.evidence.overlap() for rows in terms.rows])
    return bound.cpu().numpy()


def _order(turn: int, length: int) -> range:
    """The frames of a pass: all at first, and then all but that at which the one before it ended."""
    if turn == 0:
        return range(length)
    return range(length - 2, -1, -1) if turn % 2 else range(1, length)
