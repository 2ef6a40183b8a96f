"""The tracker: frames in, tracks out.

tracker = Tracker.from_pretrained("moving-mnist")
for frame in video:
    tracks = tracker.update(frame)
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sqair.boxes import BoxKind, moved, step_tracks
from sqair.camera import Motion, Stabilise, steadied
from sqair.edges import Edges, Look, look_size
from sqair.errors import UserError
from sqair.frames import Fit, check_frames, to_frames
from sqair.inference import check_count, tracking
from sqair.lumps import Ink
from sqair.masks import outlines, segments
from sqair.model import SQAIR
from sqair.parts import Parts, put_together
from sqair.passes import mask_clips, track_clips
from sqair.process import threads as use_threads
from sqair.roster import EXACT, suited
from sqair.split import Split
from sqair.state import State, Step
from sqair.steady import Steady
from sqair.stepper import Stepper
from sqair.tracks import Tracks
from sqair.vacated import vacated

__all__ = ["Tracker", "mask_clips", "track_clips"]


class Tracker:
    """Follows the objects of one video, a frame at a time, in memory that does not grow with the video."""

    def __init__(
        self,
        model: SQAIR,
        *,
        box: BoxKind = "ink",
        refine: bool = True,
        memory: int = 30,
        count: int = 0,
        threads: int | None = 1,
        stabilise: Stabilise = "auto",
    ) -> None:
        """
        Args:
            model: a trained model.
            box: ``ink``, tight around what is seen of the object: of things before a still scene, in the pixels of the
                frame (edges.py) once ``watch`` has seen the scene, else as the model explains it; or ``patch``, the box
                of z_where.
            refine: decide presence by what each object gains (inference.Refined); otherwise by the amortised
                posterior.
            memory: frames for which an object that is not seen keeps its id; needs ``refine``.
            count: of individuals, if it is known and each is there from beginning to end: there are never more, ids are
                0 to ``count - 1``, and who is not seen is remembered for as long as it takes; needs ``refine``.
            threads: of one operation, while a frame is tracked: more are rather slower with tensors as small as these.
                What PyTorch and OpenCV are set to is as it was afterwards. None leaves it alone.
            stabilise: put frames where the scene is that ``watch`` has seen: ``auto``, if the camera trembles, ``on``,
                wherever that can be told, or ``off``. Boxes are in the pixels of frames as they came.

        Raises:
            UserError: ``count`` is more than the model has room for, or does not go with the other options.
        """
        check_count(count, refine, memory, model.config)
        self.threads = threads
        self.model = model.eval()
        self.box: BoxKind = box
        roster = EXACT if model.config.parts else suited(next(model.parameters()).device)
        self.inference = tracking(refine, memory, count, roster)
        self._step = Stepper(self.model, self.inference)
        self.count, self.memory = count, memory
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
        self.edges: Edges | None = None
        """What tells where things end in the pixels of frames, if boxes are of ink and the scene is still and known."""
        self._shift = np.zeros(2)
        self._size: Fit | None = None
        self._tight: tuple[Look, np.ndarray, np.ndarray] | None = None
        """A look at the last frame, where the scene is, ids ``[M]``, and boxes ``[M, 4]`` around what is seen there."""
        self._parts: Parts | None = Parts(self.memory) if self.model.config.parts else None
        """What is a part of what, and how large things are, if pieces are to be expected. Nothing is taken for a part
        where the number of individuals is known."""
        self._wholes: dict[int, int] = {}
        """Ids of the parts that are in the last frame, and those of what they are parts of."""

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
            if self.box == "ink" and self.model.config.render.hides:
                self.edges = Edges.learn(self._placed(frames))
        images = to_frames(canvases[None], next(self.model.parameters()).device)
        self._state = self.model.initial_state(1, images, self._scene(canvases, images))

    def _scene(self, canvases: np.ndarray, images: Tensor) -> Tensor | None:
        """The image of the scene ``[1, C, h, w]`` of ``canvases [T, h, w(, C)]``, which are ``images [T, 1, C, h, w]``.

        Things of footage that sat still in it are left out.
        """
        scene = self.model.still(images)
        if scene is None or not (self.model.config.fit and self.model.config.objects == "opaque"):
            return scene
        frames = canvases if canvases.ndim == 4 else canvases[..., None]
        behind = vacated(frames, 255 * scene[0].permute(1, 2, 0).cpu().numpy())
        return torch.from_numpy(behind / 255).to(scene).permute(2, 0, 1)[None]

    def _placed(self, frames: np.ndarray) -> np.ndarray:
        """Frames ``[T, H, W]`` or ``[T, H, W, C]`` where the scene is, at the size at which edges are looked for."""
        look = Fit(frames.shape[1:3], look_size(frames.shape[1:3]))
        return np.stack([look.frame(f if self.steady is None else self.steady.still(f)[0]) for f in frames])

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
        shift, still = np.zeros(2), frame
        if self.steady is not None:
            still, shift = self.steady.still(frame)
            canvas = fit.frame(still)
        self.canvas, self._shift, self._size = canvas, shift, fit
        image = to_frames(canvas[None, None], next(self.model.parameters()).device)[0]
        before = self._state or self.model.initial_state(1, image)
        step, self._state = self._step(image, before)
        self.last = step.living()
        if self._parts is not None and self._parts.typical is not None:
            split = Split(self.model, image, before, self.count)
            self.last, self._state = split.of(self.last, self._state, self._parts.typical)
        tracks = step_tracks(self.last, image, self.frame, self.model.config, self.box)[0]
        self.frame += 1
        boxes = fit.boxes(tracks.box)
        if self.edges is not None:
            tracks, boxes = self._on_edges(self.edges.look(still), image, tracks, boxes)
        return replace(tracks, box=moved(boxes, shift, fit.size))

    def _on_edges(self, look: Look, image: Tensor, tracks: Tracks, boxes: np.ndarray) -> tuple[Tracks, np.ndarray]:
        """Rows of a frame that are no parts of others, and tight boxes ``[M, 4]``, for loose ones ``[N, 4]``.

        ``image [1, C, h, w]`` is the frame on the canvas.
        """
        assert self.last is not None and self.edges is not None
        boxes, joined = self.edges.fit(look, outlines(self.last, 1)[0].cpu().numpy(), tracks.id, boxes)
        if self._parts is not None:
            ink = Ink(self.last, image, self.model.config)
            self._parts.learn(tracks.id, joined, ink)
            if not self.count:
                tracks, boxes = self._put_together(self._parts.wholes(tracks.id, joined, ink), tracks, boxes)
        self._tight = look, tracks.id, boxes
        return tracks, boxes

    def _put_together(self, wholes: np.ndarray, tracks: Tracks, boxes: np.ndarray) -> tuple[Tracks, np.ndarray]:
        """The same rows without those of the parts of others, by ids ``wholes [M]`` of what each is a part of."""
        boxes, kept = put_together(boxes, tracks.id, wholes), tracks.id == wholes
        self._wholes = dict(zip(tracks.id[~kept].tolist(), wholes[~kept].tolist(), strict=True))
        return tracks.where(kept), boxes[kept]

    def appearance(self) -> dict[int, np.ndarray]:
        """z_what ``[D]`` of the objects of the last frame, by their ids."""
        if self.last is None:
            return {}
        objects = self.last.objects
        what = zip(objects.id.tolist(), objects.what.cpu().numpy(), strict=True)
        return {name: one for name, one in what if name not in self._wholes}

    def portraits(self) -> dict[int, np.ndarray]:
        """What is seen of the objects of the last frame (reid/portraits.py), int8 ``[SIDE, SIDE, C]``, by their ids.

        Only of things before a still scene that is known, if boxes are of ink; and of too small ones there is none.
        """
        if self.edges is None or self._tight is None or self._size is None:
            return {}
        look, ids, boxes = self._tight
        seen = self.edges.portraits(look, boxes, self.model.config.size_mean / self._size.scale)
        return {int(name): image for name, image in zip(ids, seen, strict=True) if image is not None}

    def masks(self) -> np.ndarray:
        """Which object shows in each pixel of the last frame, int64 ``[H, W]`` in its pixels: 1 and its id, or 0."""
        if self.last is None or self._size is None:
            raise UserError("there are no masks before the first frame: update the tracker with one")
        shown = segments(self.last, 1)[0].cpu().numpy()
        for part, whole in self._wholes.items():
            shown[shown == part + 1] = whole + 1
        return self._size.labels(shown, self._shift)

    def _fit(self, frame: np.ndarray) -> Fit:
        config = self.model.config
        size = (frame.shape[0], frame.shape[1]) if frame.ndim > 1 else (0, 0)
        canvas = (config.height, config.width)
        return Fit(size, canvas if config.fit and frame.dtype == np.uint8 and min(size) else size)
