"""Who covers whom: the layer of each object, by what each order would explain of the frame, exactly."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sqair.geometry import where_to_box
from sqair.render import Layered
from sqair.scene import Proposal, Scene
from sqair.windows import Patches

_SWEEPS = 2
"""Most changes of mind about the layers of a clip's objects in one frame."""
_LEAST = 1.0
"""Nats that another layer has to explain more: where nothing overlaps, all explain the same."""
_TOUCHING = 1.0
"""Pixels that objects cover together, from which on it is asked."""
_EVERY = 2
"""Of so many rows and columns one is looked at: what covers what is told by fewer pixels than what is where."""


def layered(scene: Scene, proposal: Proposal) -> Proposal:
    """The proposal, of which each object that overlaps with others is in the layer in which it explains most.

    Objects of the last frame start in the layer in which they were, and of each clip that changes which gains most by
    it, at most ``_SWEEPS`` times. A new one is put between, before or behind what is there.
    """
    if not isinstance(scene.render, Layered):
        return proposal
    for _ in range(1 if proposal.round else _SWEEPS):
        layer = better(scene, proposal, scene.render)
        if scene.roster.same(layer, proposal.objects.layer):
            break
        image = scene.render.placed(proposal.paint.image, layer)
        objects = replace(proposal.objects, layer=layer)
        proposal = replace(proposal, objects=objects, paint=Patches(image, proposal.paint.windows))
        if not proposal.round:
            scene.show(proposal)
    return proposal


@torch.no_grad()
def better(scene: Scene, proposal: Proposal, render: Layered) -> Tensor:
    """The layers ``[M]`` of the objects, where in each clip one at most of the last frame is in another than before."""
    objects, on = proposal.objects, proposal.on[:, None, None, None]
    paint = scene.roster.tight(proposal.paint, where_to_box(objects.where, scene.config))
    windows = paint.windows
    own, total = _some(paint.image), _some(windows.cut(scene.paint))
    without = total - on * own
    touching = _EVERY**2 * (render.cover(own) * render.cover(without)).flatten(1).sum(1) > _TOUCHING
    roster = scene.roster
    touching = roster.only(proposal.asked, touching, False)
    if roster.none(touching):
        return objects.layer
    row = roster.pick(touching)
    windows, own, without = windows.rows(row), own[row], without[row]
    behind = None if scene.behind is None else _some(windows.cut(scene.behind))
    frame, layer = _some(windows.cut(scene.frame)), objects.layer[row]
    std = _some(windows.cut(scene.std)) if isinstance(scene.std, Tensor) else scene.std

    def gain(to: int) -> Tensor:
        placed = render.placed(own, torch.full_like(layer, to))
        return _EVERY**2 * render.gain(frame, placed, without, behind, std)

    gains = torch.stack([gain(to) for to in range(render.layers)])  # [layers, R]
    most, best = gains.max(0)
    by = most - gains.gather(0, layer[None])[0]
    by = roster.only(touching, torch.where(by > _LEAST, by, 0), 0)
    greatest = by.new_zeros(len(scene.frame)).scatter_reduce(0, windows.clip, by, "amax")
    changes = (by > 0) & (by == greatest[windows.clip]) if not proposal.round else by > 0
    changed = objects.layer.clone()
    changed[row] = torch.where(changes, best, layer)
    return changed


def _some(images: Tensor) -> Tensor:
    """Some of the pixels of images ``[.., h, w]``."""
    return images[..., ::_EVERY, ::_EVERY]
