"""Who is on the list: rows of those that are there and no others, or a row of every seat, taken or not.

Objects of all clips lie in one list. ``Exact`` picks rows by what is true of them, so that an empty seat never reaches
a network: the least there is to compute, and sizes that are known when all before has been computed. ``Fixed`` keeps
all rows and gives those that are not there weight 0, so that neither sizes nor what is done depend on a number in a
tensor: a GPU never waits for the processor, nor it for the GPU, and a step can be recorded once and replayed
(graphs.py). What both find is the same, to rounding.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sqair.assign import deal, linear_assignment, match
from sqair.objects import Objects
from sqair.windows import Patches

if TYPE_CHECKING:
    from sqair.render import Light

_NEVER = 1e9
"""Nats that it costs to be who is not there."""


class Exact:
    """Rows of those that are there. A mask is bool ``[M]``, one of M rows."""

    fixed = False

    def none(self, mask: Tensor) -> bool:
        """Whether a mask is known to be true nowhere, so that what is to be done for it can be left out."""
        return not mask.any()

    def known(self, decided: Tensor) -> bool | Tensor:
        """What was decided, bool ``[]``, where it can be told at once."""
        return bool(decided)

    def same(self, one: Tensor, other: Tensor) -> bool:
        """Whether two tensors are known to be equal."""
        return torch.equal(one, other)

    def rounds(self, most: int) -> Iterable[int]:
        """Numbers of the rounds of a loop, which ends when nothing is left to do, after ``most`` at the latest."""
        return itertools.count()

    def pick(self, mask: Tensor) -> Tensor | slice:
        """An index of the rows to go on with: at least those of which a mask is true."""
        return mask.nonzero()[:, 0]

    def row_numbers(self, mask: Tensor) -> Tensor:
        """The same as numbers, ``[R]``."""
        return mask.nonzero()[:, 0]

    def only(self, mask: Tensor, value: Tensor, other: Tensor | float) -> Tensor:
        """The ``value`` of each row that ``pick`` picked, and the ``other [M]`` of those that its mask did not mean."""
        return value

    def keep(self, objects: Objects, mask: Tensor) -> Objects:
        """Those of the objects of which a mask is true."""
        return objects.rows(mask)

    def shown(self, paint: Patches, mask: Tensor) -> Patches:
        """The paint of those alone."""
        return paint.rows(mask)

    def seats(self, objects: Objects, clips: int, most: int) -> Objects:
        """The objects of ``clips`` B clips as the next frame gets them, where each clip has ``most`` seats."""
        return objects

    def pairs(self, clip: Tensor, clips: int) -> tuple[Tensor, Tensor]:
        """The rows of all pairs of objects of a clip, of ``clip [M]``, ``[E]`` each, each with itself as well."""
        first, second = (clip[:, None] == clip).nonzero().T
        return first, second

    def deal(self, clip: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """Who gets whose place (assign.deal) of the rows that were picked, in the clips ``clip [R]``; ``value [E]`` is
        that of their ``pairs``."""
        return deal(clip, value)

    def match(self, new: Objects, old: Objects, cost: Tensor, most: Tensor | float, free: Tensor) -> Tensor:
        """Who of the ``old [U]`` objects each of the ``new [R]`` is, or -1 (assign.match)."""
        return match(new.clip, old.clip, cost, float(most), free)

    def tight(self, paint: Patches, box: Tensor) -> Patches:
        """The paint of objects in windows that are no larger than need be (windows.Patches.tight)."""
        return paint.tight(box)

    def render(self, render: Light) -> Light:
        """How objects become a picture."""
        return render


class Fixed(Exact):
    """A row of every seat: of each clip as many as of any other, clip after clip, when a frame begins.

    Of a mask all rows are picked, and those that are not there have weight 0. Where a clip has more objects than seats,
    those are forgotten that are not seen for longest.
    """

    fixed = True

    def none(self, mask: Tensor) -> bool:
        return False

    def known(self, decided: Tensor) -> bool | Tensor:
        return decided

    def same(self, one: Tensor, other: Tensor) -> bool:
        return False

    def rounds(self, most: int) -> Iterable[int]:
        return range(most)

    def pick(self, mask: Tensor) -> Tensor | slice:
        return slice(None)

    def row_numbers(self, mask: Tensor) -> Tensor:
        return torch.arange(len(mask), device=mask.device)

    def only(self, mask: Tensor, value: Tensor, other: Tensor | float) -> Tensor:
        return torch.where(mask.view(-1, *[1] * (value.ndim - 1)), value, other)

    def keep(self, objects: Objects, mask: Tensor) -> Objects:
        return replace(objects, weight=objects.weight * mask)

    def shown(self, paint: Patches, mask: Tensor) -> Patches:
        return Patches(paint.image * mask[:, None, None, None], paint.windows)

    def seats(self, objects: Objects, clips: int, most: int) -> Objects:
        there = objects.there
        order = torch.argsort(torch.where(there, objects.clip, clips), stable=True)
        number = there.new_zeros(clips, dtype=torch.int64).index_add(0, objects.clip, there.long())  # [B]
        seat = torch.arange(most, device=number.device)
        place = ((number.cumsum(0) - number)[:, None] + seat).clamp_max(len(objects) - 1)  # [B, most]
        row, taken = order[place.flatten()], (seat < number[:, None]).flatten()
        seated = Objects(*(self.only(taken, getattr(objects, f.name).index_select(0, row), 0) for f in fields(Objects)))
        clip = torch.arange(clips, device=row.device)[:, None].expand(-1, most)
        return replace(seated, clip=clip.flatten())

    def pairs(self, clip: Tensor, clips: int) -> tuple[Tensor, Tensor]:
        seats = len(clip) // clips
        row = torch.arange(len(clip), device=clip.device)
        other = (seats * clip)[:, None] + torch.arange(seats, device=clip.device)
        return row[:, None].expand_as(other).flatten(), other.flatten()

    def deal(self, clip: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        rows = len(clip)
        seats = len(value) // rows
        there = mask.view(-1, seats)  # [B, N]
        both, either = there[:, :, None] & there[:, None], there[:, :, None] | there[:, None]
        cost = torch.where(both, -value.view(-1, seats, seats).double(), either * _NEVER)
        first = torch.arange(0, rows, seats, device=clip.device)
        return (first[:, None] + linear_assignment(cost)).flatten()

    def match(self, new: Objects, old: Objects, cost: Tensor, most: Tensor | float, free: Tensor) -> Tensor:
        clips = len(free)
        seats, rounds = len(old) // clips, len(new) // clips  # rows of old ones go by clip, of new ones by round
        own = (seats * new.clip)[:, None] + torch.arange(seats, device=new.clip.device)  # [R, N]
        known = torch.where(old.there[own], cost.gather(1, own).double(), _NEVER)
        table = torch.cat([known, torch.zeros_like(known[:, :1]).expand(-1, rounds) + most], 1)
        old_one = torch.arange(seats + rounds, device=own.device) < seats
        table = torch.where(new.there[:, None], table, old_one * _NEVER)
        column = linear_assignment(table.view(rounds, clips, -1).transpose(0, 1)).T.flatten()  # [R]
        row = own.gather(1, column.clamp_max(seats - 1)[:, None])[:, 0]
        return torch.where((column < seats) & new.there, row, -1)

    def tight(self, paint: Patches, box: Tensor) -> Patches:
        return paint

    def render(self, render: Light) -> Light:
        return render.whole()


EXACT = Exact()
FIXED = Fixed()


def suited(device: torch.device) -> Exact:
    """What suits a device: the exact list on any, until steps of fixed sizes have been seen to work on a GPU, which
    ``sqair experiments gpu --only fixed replays`` tells."""
    return EXACT
