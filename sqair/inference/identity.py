"""Who is who: objects that are not seen in a frame keep their ids, and discovery may find them again.

Propagation looks for such an object where its appearance explains most, and misses it where others cover it or where
a neighbour explains as much; discovery then finds what is left. Who that is follows from what was expected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sqair.assign import rank_in_clip
from sqair.config import ModelConfig
from sqair.distributions import Gaussian
from sqair.geometry import constant, where_to_box
from sqair.objects import Objects
from sqair.roster import EXACT, Exact
from sqair.scene import Rows

_CUT = 0.15
"""Share of a side beyond the edge from which on an object that is not seen has left."""
_LOOSE = 0.5
"""How far from where it is expected an object is that was not seen, in its sides: what it costs to be further away
grows with the logarithm, since things also dart off. It is the same however long it was gone: memory ends, and ids of
those that left would be handed over to those that come."""
_STRANGER = {"density": 0.5, "prices": 1.5}
"""What it costs to be nobody known, in prices of an object, by how displacements are judged: many enter and leave the
clips of a set, and most of what is found anew in footage was only lost."""


@dataclass
class Absent:
    """Objects ``[U]`` that are not seen in a frame, where and as they are expected, and the prior of their looks."""

    objects: Objects
    what: Gaussian
    """p(z_what) in this frame, ``[U, D]``."""
    roster: Exact = EXACT
    """Who is on their list."""

    def keep(self, mask: Tensor) -> Absent:
        """Those of which a mask is true."""
        row, kept = self.roster.pick(mask), self.roster.keep(self.objects, mask)
        return Absent(kept, Gaussian(self.what.mean[row], self.what.log_std[row]), self.roster)

    def recognise(
        self, new: Objects, next_id: Tensor, count: int, price: float | Tensor, config: ModelConfig
    ) -> Objects:
        """The objects ``new [R]`` of a frame under the ids of those that they are, which are then no more absent.

        Who is who is decided for all of a clip together, at the least cost, ``_STRANGER`` prices for each that is
        nobody known: they get the next free ids of their clip, from ``next_id [B]`` on. Where there are ``count``
        individuals, if it is not 0, no more than that are born. ``price`` is that of an object over black.
        """
        most = _STRANGER[config.displacement] * price
        free = count - next_id if count else torch.full_like(next_id, len(new))
        which = self.roster.match(new, self.objects, self._cost(new, price, config), most, free)  # [R]
        known = which >= 0
        old = self.objects.rows(which.clamp_min(0)) if len(self.objects) else new
        returned = which.new_zeros(1 + len(self.objects)).index_fill(0, which + 1, 1)[1:] > 0
        rest = self.keep(~returned)
        self.objects, self.what = rest.objects, rest.what
        unknown = self.roster.only(new.there, -known.to(new.weight), -1)
        number = next_id[new.clip] + rank_in_clip(new.clip, unknown)
        return replace(
            new,
            id=torch.where(known, old.id, number),
            age=torch.where(known, old.age, new.age),
            velocity=torch.where(known[:, None], old.velocity, new.velocity),
            usual_size=torch.where(known[:, None], old.usual_size, new.usual_size),
        )

    def _cost(self, new: Objects, price: float | Tensor, config: ModelConfig) -> Tensor:
        """Nats ``[R, U]`` by which new objects differ from those absent; infinite in other clips."""
        box, expected = where_to_box(new.where, config), where_to_box(self.objects.where, config)
        away = (box[:, None, :2] - expected[:, :2]).square().sum(-1) / (_LOOSE**2 * expected[:, 2:].prod(-1))  # [R, U]
        changed = (new.what[:, None] - self.what.mean) * (-self.what.log_std).exp()  # [R, U, D]
        cost = 0.5 * price * away.log1p() + 0.5 * changed.square().sum(-1)
        return cost.masked_fill(new.clip[:, None] != self.objects.clip, torch.inf)


def has_left(objects: Objects, config: ModelConfig) -> Tensor:
    """Which objects are expected where the edge of the canvas cuts ``_CUT`` of a side of theirs or more, ``[M]``."""
    centre, size = where_to_box(objects.where, config).split(2, -1)
    canvas = constant((config.width, config.height), size.dtype, size.device)
    reach = (0.5 - _CUT) * size
    return ((centre < reach) | (centre > canvas - reach)).any(-1)


def seated(rows: Rows, slots: int) -> Rows:
    """The rows of propagation of which those are there that find one of the ``slots`` of their clip.

    Those that were there all the time come first, then by what they gain: with those that return there may be too many.
    """
    first = 2 * rows.pres + rows.proposal.on
    order = rank_in_clip(rows.clip, first * 1e6 + rows.evidence.gain)
    return replace(rows, pres=rows.pres * (order < slots).to(rows.pres))
