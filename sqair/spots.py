"""Places of a clip at which discovery looks in one step, as it would look at them one after the other.

One after the other, what is found at a place is drawn, and the next place is the most salient of what is left. The same
places are known before anything is drawn as far as none is seen from a later one, and nothing that may be left beside
the first of them is more salient than the last. Which they are follows from where objects are expected, never from a
sample: what is sampled has the density that it is said to have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sqair.config import ModelConfig
from sqair.inference import Inference
from sqair.salience import most_salient
from sqair.windows import BEYOND


@dataclass
class Spots:
    """M places in the salience maps of R clips, up to K in each.

    Attributes:
        maps: K of ``[R, h, w]``: salience as discovery sees it when it looks for the first place, the second, ...
        row: ``[M]``, the map that each is in, ascending, and turn: ``[M]``, the how manieth of its clip it is.
        centre: ``[M, 2]`` (x, y in pixels).
        value: ``[M]``, how salient it is, and clear: bool ``[M]``, whether that is enough, as of all it is unless sizes
            are fixed (roster.py).
    """

    maps: list[Tensor]
    row: Tensor
    turn: Tensor
    centre: Tensor
    value: Tensor
    clear: Tensor

    @staticmethod
    def find(salience: Tensor, clip: Tensor, most: Tensor, inference: Inference, config: ModelConfig) -> Spots:
        """Of maps ``[R, h, w]`` of the clips ``clip [R]`` up to ``most [R]`` places each.

        Each is the most salient but near those before it: within half of the context and half of a typical object.
        """
        reach = math.ceil((config.context + config.size_mean) / (2 * config.retina)) * config.retina
        maps, places, values = [], [], []
        near = torch.zeros_like(salience, dtype=torch.bool)
        for turn in range(1 if inference.roster.fixed else int(most.max())):
            maps.append(left := inference.attend(salience, clip))
            if turn:
                near |= _inside(salience, places[-1], salience.new_tensor(reach), config)
                left = left.masked_fill(near, 0)
            centre, value = most_salient(left, config)
            places.append(centre)
            values.append(value)
        centre, value = torch.stack(places, 1), torch.stack(values, 1)  # [R, K, 2], [R, K]
        turn = torch.arange(len(maps), device=clip.device)
        clear = (value > config.saliency_threshold) & (turn < most[:, None])
        if inference.roster.fixed:
            row = torch.arange(len(clear), device=clip.device)
            return Spots(maps, row, torch.zeros_like(row), centre[:, 0], value[:, 0], clear[:, 0])
        row, turn = clear.nonzero().T
        return Spots(maps, row, turn, centre[row, turn], value[row, turn], torch.ones_like(row, dtype=torch.bool))

    def alone(self, box: Tensor, config: ModelConfig) -> Tensor:
        """Which of them are looked at one after the other whatever is drawn of those before, of which something is
        expected in ``box [M, 4]``: ``[M]``."""
        sees, kept = self._sees(box, config), self.turn == 0
        left = torch.ones_like(self.maps[0])
        for turn, salience in enumerate(self.maps):
            mine = (self.turn == turn).nonzero()[:, 0]
            if turn:
                most = (salience * left).flatten(1).amax(1)[self.row[mine]]
                kept[mine] = (self.value[mine] >= most) & ~(sees[mine] & kept).any(1)
            mine = mine[kept[mine]]
            row, drawn = self.row[mine], box[mine]
            inside = _inside(left[row], drawn[:, :2], drawn[:, 2:] / 2 + config.retina, config)
            left[row] = left[row].masked_fill(inside, 0)
        return kept

    def _sees(self, box: Tensor, config: ModelConfig) -> Tensor:
        """Whether at each of the places what is expected in the ``box [M, 4]`` of one before it may be seen ``[M, M]``,
        by the network that looks for it, or by what is expected of it."""
        before = (self.row[:, None] == self.row) & (self.turn[:, None] > self.turn)
        drawn = (1 + BEYOND) * box[:, 2:] + 2 * config.retina
        context = (self.centre[:, None] - box[:, :2]).abs() < (config.context + drawn) / 2
        own = (box[:, None, :2] - box[:, :2]).abs() < (drawn[:, None] + drawn) / 2
        return before & (context.all(-1) | own.all(-1))


def _inside(like: Tensor, centre: Tensor, half: Tensor, config: ModelConfig) -> Tensor:
    """Which cells of maps ``[R, h, w]`` are within ``half [R, 2]`` or ``[]`` of ``centre [R, 2]`` (x, y), pixels."""
    y, x = (config.retina * (torch.arange(n, device=like.device) + 0.5) for n in like.shape[1:])
    half = half.expand_as(centre)
    inside_y = (y - centre[:, 1, None]).abs() < half[:, 1, None]
    return inside_y[:, :, None] & ((x - centre[:, 0, None]).abs() < half[:, 0, None])[:, None]
