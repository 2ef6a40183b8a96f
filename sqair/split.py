"""Split: where an object explains two things, two objects take its place.

It happens where two touch: a box grows over both, and then neither the other object nor discovery have anything left to
explain. What is tried is told by the ink (lumps.py), and the frame has its say: two are drawn, and must explain it
nearly as well as the one did.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sqair.config import ModelConfig
from sqair.distributions import Gaussian
from sqair.geometry import box_to_where, where_to_box
from sqair.inference.identity import Absent
from sqair.lumps import Ink
from sqair.model import SQAIR
from sqair.objects import Objects, Posterior
from sqair.render import log_likelihood
from sqair.scene import Scene
from sqair.state import State, Step
from sqair.stretch import relaxed
from sqair.windows import Patches, read_from

WORSE = 0.5
"""Most that two may explain less than the one did, and least that each must explain of what is theirs, in prices."""
TURNS = 2
"""How often each is drawn, given the other."""
SURE = -2.5
"""Log standard deviation of z_where of what is told by ink."""


class Half(NamedTuple):
    """One of two objects that take the place of one."""

    posterior: Posterior
    glimpse: Tensor
    """``[1, P, G, G]``."""
    paint: Tensor
    """``[1, P, H, W]``."""


@dataclass(frozen=True)
class Split:
    """Splits objects of a frame.

    Attributes:
        model: which explained it.
        frame: ``[1, C, H, W]``, of one clip.
        before: what was carried on from the frame before.
        count: of individuals, if it is known, or else 0.
    """

    model: SQAIR
    frame: Tensor
    before: State
    count: int = 0

    def of(self, step: Step, state: State, typical: float) -> tuple[Step, State]:
        """How the frame was explained, and what is carried on, with two objects for each that explains two things.

        One of the two is who it was. The other may be somebody who was not seen: to be told by place and looks, as
        where discovery finds something. ``typical`` is the ink of one thing, pixels.
        """
        ink, most = Ink(step, self.frame, self.model.config), self.count or self.model.config.slots
        names = step.objects.id.tolist()
        for name in sorted(names, key=lambda name: -ink.area(name)):
            parts = ink.two([name], typical) if len(step.objects) < most else None
            if parts is not None:
                step, state = self._parted(step, state, name, parts)
        return step, state

    def _parted(
        self, step: Step, state: State, name: int, parts: tuple[np.ndarray, np.ndarray]
    ) -> tuple[Step, State]:
        """The same with two objects in the place of the one called ``name``, if they explain the frame.

        ``parts [N, 2]`` are the places (x, y) of the ink of each.
        """
        model, objects = self.model, step.objects
        assert step.behind is not None
        scene = model.scene(self.frame, step.behind)
        others = objects.id != name
        host, rest = objects.rows(~others), _painted(model, objects.rows(others))
        where = torch.cat([_around(part, model.config).to(self.frame) for part in parts])
        halves = _drawn(model, scene, rest, where[self._first(name, where, parts)])
        if not _explain(scene, rest, rest + _painted(model, host), halves, WORSE * model.price):
            return step, state
        gone = state.objects.rows(state.objects.unseen > 0)
        absent = Absent(gone, model.propagation.prior(gone)[1])
        new, _ = model.born(halves[1].posterior, host.clip, state.next_id)
        new = absent.recognise(new, state.next_id, self.count, scene.over_black, model.config)
        found = Objects.concat([objects.rows(others), _shrunk(host, halves[0]), new])
        next_id = state.next_id.clone().scatter_reduce_(0, new.clip, new.id + 1, "amax")
        state = replace(state, objects=Objects.concat([found, absent.objects]), next_id=next_id)
        confidence = torch.cat([step.confidence[others], step.confidence[~others].repeat(2)])
        return _shown(model, scene, replace(step, objects=found, confidence=confidence)), state

    def _first(self, name: int, where: Tensor, parts: tuple[np.ndarray, np.ndarray]) -> list[int]:
        """The order of two objects at ``where [2, 4]`` in which the first is the one called ``name``: it is nearer to
        where that was expected, or else larger."""
        old = self.before.objects
        known = old.rows(old.id == name)
        if len(known):
            away = (where[:, :2] - known.where[:, :2] - known.velocity).square().sum(1)
            return away.argsort().tolist()
        return [0, 1] if len(parts[0]) >= len(parts[1]) else [1, 0]


def _painted(model: SQAIR, objects: Objects) -> Tensor:
    """The paint ``[1, P, H, W]`` of objects of one clip."""
    return model.painted(objects.glimpse, objects.where, objects.clip).total(objects.weight, 1)


def _explain(scene: Scene, rest: Tensor, one: Tensor, halves: list[Half], price: float) -> bool:
    """Whether two objects explain the frame of a scene nearly as well as one did, and each of them its share.

    ``rest [1, P, H, W]`` is the paint of others, and ``one`` that with the one. Near is what costs less than a
    ``price``, and a share what is worth as much.
    """

    def worth(paint: Tensor) -> float:
        return float(log_likelihood(scene.frame, scene.render.canvas(paint, scene.behind), scene.std))

    first, second = (half.paint for half in halves)
    two = worth(rest + first + second)
    return worth(one) - two <= price and two - max(worth(rest + first), worth(rest + second)) >= price


def _around(place: np.ndarray, config: ModelConfig) -> Tensor:
    """z_where ``[1, 4]`` of the box around pixels whose middles are at ``place [N, 2]`` (x, y)."""
    low, high = place.min(0) - 0.5, place.max(0) + 0.5
    return box_to_where(torch.from_numpy(np.concatenate([(low + high) / 2, high - low]))[None], config)


def _drawn(model: SQAIR, scene: Scene, rest: Tensor, where: Tensor) -> list[Half]:
    """Two objects at ``where [2, 4]``, each before what the other explains, and the ``rest [1, P, H, W]``."""
    config, clip = model.config, torch.zeros(1, dtype=torch.int64, device=where.device)
    halves: dict[int, Half] = {}
    for mine in TURNS * (0, 1):
        at, other = where[mine : mine + 1], halves.get(1 - mine)
        explained = scene.render.cover(rest if other is None else rest + other.paint)
        box = where_to_box(at, config)
        glimpse = read_from(torch.cat([scene.sight, explained], 1), clip, box, config)
        encoding, q_what = model.discovery.appearance(glimpse)
        q_where, what = Gaussian(at, torch.full_like(at, SURE)), q_what.mean
        prior = Gaussian.standard(at), Gaussian.standard(what)
        posterior = Posterior(box, at, what, q_where, prior[0], q_what, prior[1], encoding)
        drawn, paint = model.draw(posterior, clip)
        halves[mine] = Half(posterior, drawn, paint.total(at.new_ones(1), 1))
    return [halves[0], halves[1]]


def _shrunk(host: Objects, half: Half) -> Objects:
    """An object ``host`` of this frame, of which only one half is there."""
    where = half.posterior.where
    return replace(
        host,
        what=half.posterior.what,
        where=where,
        velocity=host.velocity + (where - host.where)[:, :2],
        glimpse=half.glimpse,
        usual_size=torch.minimum(host.usual_size, where[:, 2:]),
    )


def _shown(model: SQAIR, scene: Scene, step: Step) -> Step:
    """A frame explained by other objects than before: as its scene looks with them."""
    assert step.behind is not None and scene.behind is not None
    objects = step.objects
    paint = model.painted(objects.glimpse, where_to_box(objects.where, model.config), objects.clip)
    canvas = scene.render.canvas(paint.total(objects.weight, 1), scene.behind)
    depth = scene.render.depth(paint.image)
    return replace(
        step,
        canvas=relaxed(canvas, step.behind.image, model.config),
        log_likelihood=log_likelihood(scene.frame, canvas, scene.std),
        patches=Patches(scene.render.alone(paint.image, paint.windows.cut(scene.behind)), paint.windows),
        depth=None if depth is None else Patches(depth, paint.windows),
    )
