"""Objects of a clip among themselves: their order, and who gets which of as many places."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def deal(clip: Tensor, value: Tensor) -> Tensor:
    """For each of the objects ``[R]``, in the clips ``clip [R]``, the row of the one whose place it gets ``[R]``.

    ``value [V]`` is what each is worth at the place of each of its clip, in the order of
    ``torch.nonzero(clip[:, None] == clip)``. The sum over all objects is the greatest there is.
    """
    order = np.arange(len(clip))
    count = torch.bincount(clip)[clip].cpu().numpy()
    if (count < 2).all():
        return torch.arange(len(clip), device=clip.device)
    start = np.concatenate([[0], count.cumsum()])
    clips, values = clip.cpu().numpy(), value.double().cpu().numpy()
    for c in np.unique(clips[count > 1]):
        mine = np.nonzero(clips == c)[0]
        table = np.stack([values[start[i] : start[i] + len(mine)] for i in mine])
        order[mine] = mine[linear_sum_assignment(table, maximize=True)[1]]
    return torch.from_numpy(order).to(clip.device)


def match(new: Tensor, old: Tensor, cost: Tensor, most: float, free: Tensor) -> Tensor:
    """For each of the objects in the clips ``new [R]``, which of those in the clips ``old [U]`` it is ``[R]``, or -1.

    To be one of them costs ``cost [R, U]``, and to be none ``most``; the sum is the least there is. At most
    ``free [B]`` of a clip are none, unless there are more of them than old ones.
    """
    which = np.full(len(new), -1)
    values, news, olds = (v.cpu().numpy() for v in (cost.detach().double(), new, old))
    for c in np.unique(news):
        row, column = np.nonzero(news == c)[0], np.nonzero(olds == c)[0]
        others = max(min(len(row), int(free[c])), len(row) - len(column))
        table = np.concatenate([values[np.ix_(row, column)], np.full((len(row), others), most)], 1)
        i, j = linear_sum_assignment(table)
        known = j < len(column)
        which[row[i[known]]] = column[j[known]]
    return torch.from_numpy(which).to(new.device)


def before_in_clip(clip: Tensor, which: Tensor) -> Tensor:
    """How many rows before each are in its clip of those ``which [M]`` picks: ``[M]``, of ``clip [M]`` in ascending
    order."""
    count = which.long()
    before = count.cumsum(0) - count
    return before - before[torch.searchsorted(clip, clip)]


def rank_in_clip(clip: Tensor, value: Tensor) -> Tensor:
    """0 for the row of the largest ``value [M]`` in each clip, 1 for the next, and so on: ``[M]``."""
    order = torch.argsort(value, descending=True, stable=True)
    order = order[torch.argsort(clip[order], stable=True)]
    ordered = clip[order]
    start = torch.searchsorted(ordered, ordered)
    rank = torch.empty_like(clip)
    rank[order] = torch.arange(len(clip), device=clip.device) - start
    return rank
