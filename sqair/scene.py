"""A frame being explained: what inference sees of it, what has been found so far, and what each object gains."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from sqair.background import Behind
from sqair.config import ModelConfig
from sqair.fixate import to_retina
from sqair.geometry import where_to_box, write
from sqair.objects import Objects, Rows
from sqair.recognise import Memory
from sqair.render import RENDERERS, background
from sqair.windows import Patches, Windows


class Scene:
    """A frame being explained: what has been found so far, of which ``paint [B, P, H, W]`` is the paint."""

    def __init__(self, frame: Tensor, behind: Behind | None, config: ModelConfig) -> None:
        self.frame = frame
        self.render = RENDERERS[config.objects]
        self.behind = None if behind is None else background(behind.image)
        self.paint = frame.new_zeros(len(frame), config.drawn, *frame.shape[2:])
        with torch.no_grad():
            self.sight = see(frame, self.behind, config)
            """The frame as inference sees it, ``[B, S, H, W]``."""
            self.retina = to_retina(self.sight, config)
        self.contrast = frame.new_ones(len(frame)) if self.behind is None else self.render.contrast(self.behind)
        self.rows: list[Rows] = []
        self.alive: list[Objects] = []
        self.patches: list[Patches] = []
        self.confidence: list[Tensor] = []
        self.memory: Memory | None = None
        self.log_p_nothing = frame.new_zeros(len(frame))

    def add(self, rows: Rows, objects: Objects, paint: Patches) -> None:
        """Adds those of the inferred ``objects [M]`` that are there, of ``paint [M, P, h, w]``."""
        kept = rows.pres.detach().bool()
        self.rows.append(rows)
        self.alive.append(replace(objects, weight=rows.pres).rows(kept))
        with torch.no_grad():
            paint = paint.rows(kept)
            behind = None if self.behind is None else paint.windows.cut(self.behind)
            self.patches.append(Patches(self.render.alone(paint.image, behind), paint.windows))
        self.confidence.append(torch.sigmoid(rows.q_logit[kept].detach()))

    def explained(self) -> Tensor:
        """What the objects so far cover of the frame ``[B, E, H, W]``; no gradient."""
        return self.render.cover(self.paint.detach())

    def canvas(self) -> Tensor:
        """The canvas so far, ``[B, C, H, W]``."""
        return self.render.canvas(self.paint, self.behind)

    def taken(self) -> Tensor:
        """Objects of each clip so far, ``[B]``."""
        clip = torch.cat([o.clip for o in self.alive]) if self.alive else self.frame.new_zeros(0, dtype=torch.int64)
        return torch.bincount(clip, minlength=len(self.frame))


class Prospect:
    """What may come of new objects at ``where [M, 4]`` in ``windows``, given what a scene holds; no gradient."""

    def __init__(self, scene: Scene, where: Tensor, windows: Windows, config: ModelConfig) -> None:
        self.where, self.windows, self.config = where.detach(), windows, config
        self.found = [(found.clip, found.where) for found in scene.alive]
        self.render, self.frame, self.paint, self.behind = scene.render, scene.frame, scene.paint, scene.behind

    def touches(self) -> Tensor:
        """Whether the box of each meets that of an object found so far ``[M]``."""
        box = where_to_box(self.where, self.config)
        touches = torch.zeros_like(self.windows.clip, dtype=torch.bool)
        for clip, where in self.found:
            other = where_to_box(where, self.config)
            apart = (box[:, None, :2] - other[:, :2]).abs() - (box[:, None, 2:] + other[:, 2:]) / 2
            touches |= ((apart < 0).all(-1) & (self.windows.clip[:, None] == clip)).any(1)
        return touches

    @torch.no_grad()
    def most(self) -> Tensor:
        """The most that each could gain, what is missing in its box, nats ``[M]``."""
        box, glimpse = where_to_box(self.where, self.config), self.config.glimpse
        inside = write(box.new_ones(len(box), 1, glimpse, glimpse), self.windows.local(box), *self.windows.size)
        missing = self.render.missing(self.frame, self.render.canvas(self.paint, self.behind))
        missing = self.windows.cut(missing.square().sum(1, keepdim=True))
        return (missing * inside).flatten(1).sum(1) / (2 * self.config.likelihood_std**2)


class Gains:
    """What objects ``[M]`` of a scene gain, of which ``on [M]`` are part of its paint; no gradient."""

    def __init__(self, scene: Scene, paint: Patches, on: Tensor, std: float) -> None:
        self.paint = Patches(paint.image.detach(), paint.windows)
        self.on, self.total = on, scene.paint.detach()
        cut = paint.windows.cut
        behind = None if scene.behind is None else cut(scene.behind.detach())
        self.gain = partial(scene.render.gain, cut(scene.frame), behind=behind, std=std)

    def at(self, pres: Tensor) -> Tensor:
        """Each at a presence ``pres [M]`` between 0 and 1, the others as they are in the scene."""
        return self.gain(self._times(pres), self.paint.windows.cut(self.total) - self._times(self.on))

    def given(self, there: Tensor) -> Tensor:
        """Each, if those are there of which ``there [M]`` is 1."""
        total = self.total + self.paint.total(there - self.on, len(self.total))
        return self.gain(self.paint.image, self.paint.windows.cut(total) - self._times(there))

    def _times(self, pres: Tensor) -> Tensor:
        return pres[:, None, None, None] * self.paint.image


def see(frame: Tensor, behind: Tensor | None, config: ModelConfig) -> Tensor:
    """Frames ``[..., C, H, W]`` as inference sees them, ``[..., S, H, W]``.

    The ink of light; of opaque objects how much ink there is in any channel, the ink, and the frame itself.
    """
    ink = frame if behind is None else RENDERERS[config.objects].ink(frame, behind)
    return torch.cat([ink.abs().amax(-3, keepdim=True), ink, frame], -3) if config.objects == "opaque" else ink
