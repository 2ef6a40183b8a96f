"""Clips for ``sqair imagine``: what it reads, on the model's canvas, and what it makes, in the pixels of the clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import cv2
import numpy as np
import torch
from torch import Tensor

from sqair.alike import Explained, explain_clips
from sqair.config import ModelConfig
from sqair.datasets.clip import ClipSource, TruncatedClip
from sqair.datasets.footage import thinned
from sqair.datasets.video import read_source
from sqair.errors import UserError
from sqair.frames import Fit, to_frames
from sqair.geometry import top_left_box, where_to_box
from sqair.imagine import Imagined
from sqair.model import SQAIR
from sqair.objects import Objects
from sqair.scripts.track_frames import WATCHED, check_sizes, fitted
from sqair.tracks import Tracks
from sqair.words import count

LEAST = 3
"""Frames of a clip that tells of motion."""


@dataclass(frozen=True)
class Beginning:
    """A clip that was looked at: its frames uint8 ``[T, H, W(, C)]``, of which the first ones were observed.

    The frames after these, as many as were to be imagined or as there are, are what came.
    """

    clip: ClipSource
    images: np.ndarray
    explained: Explained
    found: Tracks
    """Boxes of z_where in all of these frames, in their pixels."""

    @property
    def observed(self) -> int:
        return self.explained.seen


def choose(source: str, name: str | None) -> ClipSource:
    """The clip called ``name``, or the only one. Raises UserError if there is none such, or several."""
    clips = read_source(source)
    named = {clip.name: clip for clip in clips}
    if name is None and len(clips) > 1:
        raise UserError(f"{source} holds {len(clips)} clips: choose one, such as --clip {clips[0].name}")
    if name is not None and name not in named:
        raise UserError(f"{source} has no clip called {name}: they are {', '.join([*named][:4])}")
    return clips[0] if name is None else named[name]


def begin(model: SQAIR, clip: ClipSource, start: int, observed: int, frames: int) -> Beginning:
    """Looks at ``observed`` frames of a clip, from frame ``start`` (from 0) on, and at what comes after them.

    The scene of a still background is that of the whole clip.
    """
    fit = _fit(clip, model.config)
    images: list[np.ndarray] = []
    try:
        for frame in islice(fitted(clip, model.config), start, start + observed + frames):
            images.append(frame.image)
    except TruncatedClip:
        pass  # what is there will do
    if len(images) < observed:
        has = count(len(images), "frame")
        raise UserError(f"{clip.path} has {has} from frame {start + 1} on: --observed is {observed}")
    still = None
    if model.config.background == "still":
        seen, _ = thinned(clip, clip.size, model.config.channels, WATCHED)
        still = model.still(to_frames(np.stack([fit.frame(image) for image in seen])[None]))
    canvases = to_frames(np.stack([fit.frame(image) for image in images])[None])
    explained = explain_clips(model, canvases, observed, still=still)
    found = tracks_of(explained.objects, 1, model.config)[0]
    return Beginning(clip, np.stack(images), explained, replace(found, box=fit.boxes(found.box)))


def load(model: SQAIR, source: str, most: int, length: int) -> np.ndarray:
    """Clips of a source, long ones cut into pieces of ``length`` frames: ``most`` at most, as long as the shortest.

    uint8 ``[N, T, h, w(, 3)]``, on the model's canvas. What is left at the end of a clip is left out.
    """
    loaded: list[list[np.ndarray]] = []
    for clip in read_source(source):
        _check(model, clip)
        fit, pieces = _fit(clip, model.config), len(loaded)
        frames = (fit.frame(frame.image) for frame in fitted(clip, model.config))
        while len(loaded) < most and (piece := list(islice(frames, length))):
            if len(piece) == length or len(loaded) == pieces:
                loaded.append(piece)
        if len(loaded) == most:
            break
    shortest = min(map(len, loaded))
    if shortest < LEAST:
        raise UserError(f"{source} has a clip of {count(shortest, 'frame')}: motion is told by {LEAST} or more")
    return np.array([frames[:shortest] for frames in loaded])


def _check(model: SQAIR, clip: ClipSource) -> None:
    """Raises UserError if a clip is of another size than the model's, or has no end."""
    check_sizes([clip], model.config)
    check_ends(clip)


def check_ends(clip: ClipSource) -> None:
    """Raises UserError if a clip is of a camera or a stream."""
    if clip.length is None and isinstance(clip.path, str):
        raise UserError(f"{clip.path}: a camera or a stream has no end: record a clip of it")


def _fit(clip: ClipSource, config: ModelConfig) -> Fit:
    return Fit(clip.size, (config.height, config.width) if config.fit else clip.size)


def to_arrays(frames: Tensor) -> np.ndarray:
    """Frames ``[T, B, C, H, W]`` in [0, 1] as clips uint8 ``[B, T, H, W]``, or ``[B, T, H, W, 3]`` in colour."""
    images = (frames.clamp(0, 1) * 255).round().byte().permute(1, 0, 3, 4, 2).cpu().numpy()
    return images[..., 0] if images.shape[-1] == 1 else images


def in_pixels(model: SQAIR, imagined: Imagined, size: tuple[int, int] | None) -> tuple[np.ndarray, list[Tracks]]:
    """Clips uint8 ``[B, T, H, W(, 3)]``, and their tracks, in frames of a ``size`` (H, W), or on the canvas.

    Boxes are those of z_where, from frame 0 on; those that lie beyond the frame are left out.
    """
    config = model.config
    canvas = (config.height, config.width)
    fit = Fit(size or canvas, canvas)
    clips = to_arrays(imagined.frames)
    if fit.size != fit.canvas:
        height, width = fit.inner
        larger = [[cv2.resize(f[:height, :width], fit.size[::-1]) for f in clip] for clip in clips]
        clips = np.array(larger, np.uint8)
    tracks = tracks_of(imagined.objects, len(clips), config)
    return clips, [_inside(Tracks(t.frame, t.id, fit.boxes(t.box)), fit.size) for t in tracks]


def tracks_of(objects: Sequence[Objects], clips: int, config: ModelConfig) -> list[Tracks]:
    """The boxes of z_where of the objects of each frame, on the canvas: a Tracks for each clip."""
    frame = np.repeat(np.arange(len(objects)), [len(of) for of in objects])
    clip = torch.cat([of.clip for of in objects]).cpu().numpy()
    name = torch.cat([of.id for of in objects]).cpu().numpy()
    box = top_left_box(where_to_box(torch.cat([of.where for of in objects]), config)).cpu().numpy()
    return [Tracks(frame[clip == b], name[clip == b], box[clip == b]) for b in range(clips)]


def _inside(tracks: Tracks, size: tuple[int, int]) -> Tracks:
    low, high = tracks.box[:, :2], tracks.box[:, :2] + tracks.box[:, 2:]
    return tracks.where(((high > 0) & (low < size[::-1])).all(1))
