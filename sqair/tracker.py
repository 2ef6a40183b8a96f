"""The tracker: frames in, tracks out.

tracker = Tracker.from_pretrained("moving-mnist")
for frame in video:
    tracks = tracker.update(frame)
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sqair.camera import Motion, Stabilise, steadied
from sqair.config import ModelConfig
from sqair.errors import UserError
from sqair.frames import Fit, check_frames, to_frames
from sqair.geometry import top_left_box, where_to_box
from sqair.inference import Inference, Refined
from sqair.inference.restarts import explain
from sqair.masks import segments
from sqair.model import SQAIR
from sqair.process import threads as use_threads
from sqair.state import State, Step
from sqair.steady import Steady
from sqair.tracks import Tracks

BoxKind = Literal["ink", "patch"]

_BATCH = 64
"""Clips that go through the model together."""
_EXPLAINED, _CLEAR, _INK = 0.1, 0.5, 0.02
"""A pixel is visible ink of an object that changes it by more than the first, or by more than the second in standard
deviations of the likelihood, where the frame has more than the third of ink."""


def ink_boxes(images: Tensor, ink: Tensor, std: float) -> tuple[Tensor, Tensor]:
    """Boxes tight around the visible ink that each object explains.

    Args:
        images: ``[M, C, h, w]``, what each object does to an otherwise empty canvas.
        ink: ``[M, C, h, w]``, how much the frame it is in differs from the background.
        std: standard deviation of the likelihood.

    Returns:
        Boxes ``[M, 4]`` (x, y, w, h; whole pixels), and whether there is any such ink ``[M]``.
    """
    mask = (images.amax(1) > min(_EXPLAINED, _CLEAR * std)) & (ink.amax(1) > _INK)
    rows, columns = mask.any(2), mask.any(1)

    def span(line: Tensor) -> tuple[Tensor, Tensor]:
        first = line.to(torch.uint8).argmax(1)
        return first, line.shape[1] - line.flip(1).to(torch.uint8).argmax(1) - first

    (y, h), (x, w) = span(rows), span(columns)
    return torch.stack([x, y, w, h], -1).float(), rows.any(1)


def step_tracks(step: Step, frame: Tensor, number: int, config: ModelConfig, box: BoxKind) -> list[Tracks]:
    """Tracks of one explained ``frame [B, C, H, W]``, the clip's ``number``-th, one for each of the B clips."""
    objects = step.objects
    boxes = top_left_box(where_to_box(objects.where, config))
    if box == "ink":
        ink = config.render.visible(frame, None if step.behind is None else step.behind.image)
        windows = step.patches.windows
        std = math.hypot(config.likelihood_std, config.ink_std)
        tight, any_ink = ink_boxes(step.patches.image, windows.cut(ink), std)
        tight = tight + F.pad(windows.corner, (0, 2))
        boxes = torch.where(any_ink[:, None], tight, boxes)
    clip, ids, boxes, score = (v.cpu().numpy() for v in (objects.clip, objects.id, boxes, step.confidence))
    tracks = []
    for b in range(len(frame)):
        mine = clip == b
        tracks.append(Tracks(np.full(mine.sum(), number), ids[mine], boxes[mine], score[mine]))
    return tracks


def moved(box: np.ndarray, shift: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes ``[M, 4]`` (x, y, w, h) moved by a ``shift [2]`` (x, y).

    Those that were within a frame of ``size`` (H, W) are cut where they leave it, but for a pixel.
    """
    if not np.any(shift):
        return box
    edge = np.array([size[1], size[0]], dtype=np.float64)
    first, last = box[:, :2] + shift, box[:, :2] + box[:, 2:] + shift
    within = (box[:, :2] >= 0) & (box[:, :2] + box[:, 2:] <= edge)
    first = np.where(within, first.clip(0, edge - 1), first)
    last = np.where(within, np.maximum(last.clip(0, edge), first + 1e-3), last)
    return np.concatenate([first, last - first], 1)


def inference(refine: bool, memory: int) -> Inference:
    """How the tracker chooses latents: refined presence with a memory, or the amortised posteriors alone."""
    return Refined(memory=memory) if refine else Inference()


class Tracker:
    """Follows the objects of one video, a frame at a time, in memory that does not grow with the video."""

    def __init__(
        self,
        model: SQAIR,
        *,
        box: BoxKind = "ink",
        refine: bool = True,
        memory: int = 30,
        threads: int | None = 1,
        stabilise: Stabilise = "auto",
    ) -> None:
        """
        Args:
            model: a trained model.
            box: ``ink``, tight around the object's visible ink as the model explains it, or ``patch``, the box of
                z_where.
            refine: decide presence by what each object gains (inference.Refined); otherwise by the amortised
                posterior.
            memory: frames for which an object that is not seen keeps its id; needs ``refine``.
            threads: of one operation, while a frame is tracked: more are rather slower with tensors as small as these.
                What PyTorch and OpenCV are set to is as it was afterwards. None leaves it alone.
            stabilise: put frames where the scene is that ``watch`` has seen: ``auto``, if the camera trembles, ``on``,
                wherever that can be told, or ``off``. Boxes are in the pixels of frames as they came.
        """
        self.threads = threads
        self.model = model.eval()
        self.box: BoxKind = box
        self.inference = inference(refine, memory)
        self.stabilise: Stabilise = stabilise
        self.reset()

    @staticmethod
    def from_pretrained(folder: str | Path, **options) -> Tracker:
        """A tracker from a run, a weights folder, or the name of a model that ships with the package."""
        return Tracker(SQAIR.from_pretrained(folder), **options)

    def reset(self) -> None:
        """Forgets everything: the next frame is the first of another video."""
        self.frame = 0
        self.last: Step | None = None
        self.canvas: np.ndarray | None = None
        """The last frame as the model saw it, uint8 ``[h, w]`` or ``[h, w, C]``: on its canvas, where the scene is."""
        self._state: State | None = None
        self.motion: Motion | None = None
        """How the camera moved over the frames of ``watch``, in their pixels on the canvas; None without a look."""
        self.steady: Steady | None = None
        """What puts frames where the scene is, if they are stabilised."""
        self._shift = np.zeros(2)
        self._size: Fit | None = None

    @torch.inference_mode()
    def watch(self, frames: np.ndarray) -> None:
        """Learns what the scene looks like from frames uint8 ``[T, H, W]`` or ``[T, H, W, C]``, before tracking.

        A model with a still background otherwise takes the first frame for the scene, and sees only what changes.
        Other models have no use for it. What was tracked before is forgotten.

        Raises:
            UserError: as ``update`` does.
        """
        with use_threads(self.threads):
            self._watch(frames)

    def _watch(self, frames: np.ndarray) -> None:
        fit = self._fit(frames[0])
        canvases = np.stack([fit.frame(frame) for frame in frames])
        check_frames(canvases[None], self.model.config)
        self.reset()
        if self.model.config.background == "still":
            inside = canvases[:, : fit.inner[0], : fit.inner[1]]
            self.steady, still, self.motion = steadied(inside, self.stabilise)
            canvases = np.stack([Fit(fit.inner, fit.canvas).frame(image) for image in still])
        images = to_frames(canvases[None], next(self.model.parameters()).device)
        self._state = self.model.initial_state(1, images, self.model.still(images))

    @torch.inference_mode()
    def update(self, frame: np.ndarray) -> Tracks:
        """Tracks of the next frame, uint8 ``[H, W]`` or ``[H, W, C]``; ``Tracks.frame`` counts from 0.

        Boxes are in the pixels of the frame, which a model of footage scales to its canvas.

        Raises:
            UserError: the frame is not uint8, or not of the size of a model that scales none.
        """
        with use_threads(self.threads):
            return self._update(frame)

    def _update(self, frame: np.ndarray) -> Tracks:
        fit = self._fit(frame)
        canvas = fit.frame(frame)
        check_frames(canvas[None, None], self.model.config)
        shift = np.zeros(2)
        if self.steady is not None:
            still, shift = self.steady.still(frame)
            canvas = fit.frame(still)
        self.canvas, self._shift, self._size = canvas, shift, fit
        image = to_frames(canvas[None, None], next(self.model.parameters()).device)[0]
        if self._state is None:
            self._state = self.model.initial_state(1, image)
        self.last, self._state = explain(self.model, image, self._state, self.inference)
        tracks = step_tracks(self.last, image, self.frame, self.model.config, self.box)[0]
        self.frame += 1
        return replace(tracks, box=moved(fit.boxes(tracks.box), shift, fit.size))

    def appearance(self) -> dict[int, np.ndarray]:
        """z_what ``[D]`` of the objects of the last frame, by their ids."""
        if self.last is None:
            return {}
        objects = self.last.objects
        return dict(zip(objects.id.tolist(), objects.what.cpu().numpy(), strict=True))

    def masks(self) -> np.ndarray:
        """Which object shows in each pixel of the last frame, int64 ``[H, W]`` in its pixels: 1 and its id, or 0."""
        if self.last is None or self._size is None:
            raise UserError("there are no masks before the first frame: update the tracker with one")
        return self._size.labels(segments(self.last, 1)[0].cpu().numpy(), self._shift)

    def _fit(self, frame: np.ndarray) -> Fit:
        config = self.model.config
        size = (frame.shape[0], frame.shape[1]) if frame.ndim > 1 else (0, 0)
        canvas = (config.height, config.width)
        return Fit(size, canvas if config.fit and frame.dtype == np.uint8 and min(size) else size)


def track_clips(
    model: SQAIR,
    clips: np.ndarray,
    *,
    box: BoxKind = "ink",
    refine: bool = True,
    memory: int = 30,
    threads: int | None = 1,
) -> list[Tracks]:
    """Tracks clips uint8 ``[N, T, H, W]`` or ``[N, T, H, W, C]``, many at a time: one Tracks for each.

    The options are those of ``Tracker``, and so is what becomes of frames of another size. Each clip's scene is taken
    from all of it, of a model with a still background; cameras are taken to be steady.
    """
    with use_threads(threads):
        return _track(model, clips, box, inference(refine, memory))[0]


def mask_clips(
    model: SQAIR,
    clips: np.ndarray,
    *,
    box: BoxKind = "ink",
    refine: bool = True,
    memory: int = 30,
    threads: int | None = 1,
) -> tuple[list[Tracks], np.ndarray]:
    """What ``track_clips`` gives of the same arguments, and the masks of all frames.

    Returns:
        The tracks, and int64 ``[N, T, H, W]``: 1 and the id of the object that shows in a pixel, 0 where none does.
    """
    with use_threads(threads):
        return _track(model, clips, box, inference(refine, memory), masks=True)


@torch.inference_mode()
def _track(
    model: SQAIR, clips: np.ndarray, box: BoxKind, how: Inference, masks: bool = False
) -> tuple[list[Tracks], np.ndarray]:
    """The tracks of clips, and their masks ``[N, T, H, W]`` if they are wanted."""
    config, device = model.config, next(model.parameters()).device
    size = (clips.shape[2], clips.shape[3]) if clips.ndim > 3 else (0, 0)
    fit = Fit(size, (config.height, config.width) if config.fit and clips.dtype == np.uint8 and min(size) else size)
    model.eval()
    found: list[Tracks] = []
    labels = np.zeros(clips.shape[:4] if masks else 0, dtype=np.int64)
    for start in range(0, len(clips), _BATCH):
        canvases = fit.clips(clips[start : start + _BATCH])
        check_frames(canvases, config)
        count = len(canvases)
        scenes = model.still(to_frames(canvases, device)) if config.background == "still" else None
        state = model.initial_state(count, to_frames(canvases[:, :1], device), scenes)
        parts = []
        for number in range(canvases.shape[1]):
            frame = to_frames(canvases[:, number, None], device)[0]
            step, state = explain(model, frame, state, how)
            tracks = step_tracks(step, frame, number, config, box)
            parts.append([replace(t, box=fit.boxes(t.box)) for t in tracks])
            if masks:
                for b, label in enumerate(segments(step, count).cpu().numpy()):
                    labels[start + b, number] = fit.labels(label)
        found += [Tracks.concat([part[b] for part in parts]) for b in range(count)]
    return found, labels
