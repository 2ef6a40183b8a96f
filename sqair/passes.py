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
from torch import Tensor

from sqair.bounds import Terms
from sqair.boxes import BoxKind, step_tracks
from sqair.errors import UserError
from sqair.frames import Fit, check_frames, to_frames
from sqair.inference import check_count, tracking
from sqair.inference.restarts import Scattered
from sqair.life import turned
from sqair.masks import segments
from sqair.model import SQAIR, State
from sqair.process import threads as use_threads
from sqair.roster import suited
from sqair.state import Step
from sqair.stepper import Stepper
from sqair.tracks import Tracks

_BATCH = 64
"""Clips, times the ways in which each is explained, that go through the model together."""


class Options(TypedDict, total=False):
    """How clips are tracked; ``box``, ``refine``, ``memory``, ``count`` and ``threads`` are those of ``Tracker``."""

    box: BoxKind
    refine: bool
    memory: int
    count: int
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
    count: int = 0
    passes: int = 1
    tries: int = 1
    threads: int | None = 1


def track_clips(model: SQAIR, clips: np.ndarray, **options: Unpack[Options]) -> list[Tracks]:
    """Tracks clips uint8 ``[N, T, H, W]`` or ``[N, T, H, W, C]``, many at a time: one Tracks for each.

    Frames of another size are scaled as ``Tracker`` does. Each clip's scene is taken from all of it, of a model with a
    still background; cameras are taken to be steady. By default ``box`` is ink, ``memory`` 30 frames, and ``refine`` is
    on; ``count`` is not known; there is one pass and one try, on one thread.

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
    check_count(how.count, how.refine, how.memory, config)
    size = (clips.shape[2], clips.shape[3]) if clips.ndim > 3 else (0, 0)
    fit = Fit(size, (config.height, config.width) if config.fit and clips.dtype == np.uint8 and min(size) else size)
    model.eval()
    found: list[Tracks] = []
    labels = np.zeros(clips.shape[:4] if masks else 0, dtype=np.int64)
    ways = how.tries if how.refine else 1
    count = max(1, _BATCH // ways)
    roster = suited(next(model.parameters()).device)
    stepper = Stepper(model, tracking(how.refine, how.memory, how.count, roster))
    with use_threads(how.threads):
        for start in range(0, len(clips), count):
            canvases = fit.clips(clips[start : start + count])
            check_frames(canvases, config)
            tracks, drawn = _explain(stepper, canvases, how, ways, masks)
            found += [replace(mine, box=fit.boxes(mine.box)) for mine in tracks]
            for b, label in enumerate(drawn):
                labels[start + b] = [fit.labels(image) for image in label]
    return found, labels


def _explain(
    stepper: Stepper, canvases: np.ndarray, how: _Settings, ways: int, masks: bool
) -> tuple[list[Tracks], np.ndarray]:
    """The best of the ways in which clips ``canvases [B, T, H, W(, 3)]`` are explained; row b * ways + k is one.

    Best is what has the highest bound, as the last pass explains all frames, where each object pays in every frame what
    a new one does: what is drawn wrong of one stays wrong, so that parts would pay for themselves in a few frames.

    Returns:
        The B tracks, on the canvas, and their masks ``[B, T, H, W]``, if they are wanted.
    """
    model = stepper.model
    device = next(model.parameters()).device
    count, length = len(canvases) * ways, canvases.shape[1]

    def frames(which: slice) -> Tensor:
        return to_frames(canvases[:, which], device).repeat_interleave(ways, 1)  # [t, B * ways, C, H, W]

    scenes = model.still(to_frames(canvases, device)) if model.config.background == "still" else None
    scenes = None if scenes is None else scenes.repeat_interleave(ways, 0)
    state = model.initial_state(count, frames(slice(0, 1)), scenes)
    parts: list[list[Tracks]] = [[] for _ in range(length)]
    labels = np.zeros((count, *canvases.shape[1:4]) if masks else 0, dtype=np.int32)
    worth = np.zeros((length, count))
    for turn in range(how.passes):
        for number in _order(turn, length):
            frame = frames(slice(number, number + 1))[0]
            step, state = _step(stepper, frame, state, ways, turn * length + number)
            shown = step.living()
            parts[number] = step_tracks(shown, frame, number, model.config, how.box)
            worth[number] = _worth(model, step)
            if masks:
                labels[:, number] = segments(shown, count).cpu().numpy()
        state = replace(state, objects=turned(state.objects))
    tracks = [Tracks.concat([part[row] for part in parts]) for row in range(count)]
    best = worth.sum(0).reshape(-1, ways).argmax(1) + ways * np.arange(len(canvases))
    return [tracks[row] for row in best], labels[best] if masks else labels


def _step(stepper: Stepper, frame: Tensor, state: State, ways: int, number: int) -> tuple[Step, State]:
    """One step of the rows ``frame [B * ways, C, H, W]``, the ``number``-th of all passes.

    Chance is that of the frame, so that it does not matter which clips go together.
    """
    if ways == 1:
        return stepper(frame, state)
    chance, how = torch.Generator().manual_seed(number), stepper.inference
    scattered = Scattered(memory=how.memory, count=how.count, roster=how.roster, restarts=ways, chance=chance)
    return stepper.model.step(frame, state, scattered)


def _worth(model: SQAIR, step: Step) -> np.ndarray:
    """The bound of a frame of each clip, with the price of new objects for all of its objects, nats ``[B]``."""
    terms, crowding = Terms([step]), model.config.crowding
    prices = terms.clip_sum(terms.each(lambda r: r.pres * (1 + crowding * r.evidence.overlap())))
    return (terms.log_likelihood - terms.kl_z - model.price * prices).cpu().numpy()


def _order(turn: int, length: int) -> range:
    """The frames of a pass: all at first, and then all but that at which the one before it ended."""
    if turn == 0:
        return range(length)
    return range(length - 2, -1, -1) if turn % 2 else range(1, length)
