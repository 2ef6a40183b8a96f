"""Objects of a clip among themselves: their order, and who gets which of as many places."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
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


def linear_assignment(cost: Tensor) -> Tensor:
    """The columns ``[B, n]`` of the n rows of tables ``cost [B, n, m]``, m >= n, each another, of the least sum.

    Shortest augmenting paths (Jonker and Volgenant 1987), of all tables at a time, in rounds whose number does not
    depend on what is in them. Costs are finite.
    """
    clips, rows, columns = cost.shape
    cost = cost - cost.amin(2, keepdim=True)
    left = F.pad(cost, (1, 0, 1, 0), value=torch.inf)  # reduced costs, 0 or more; row 0 and column 0 are nobody's
    owner = torch.zeros(clips, columns + 1, dtype=torch.int64, device=cost.device)
    nothing, nobody = torch.zeros_like(left[:, 0]), torch.full_like(left[:, 0], torch.inf)
    for row in range(1, rows + 1):
        owner.select(1, 0).fill_(row)
        column, way, far = torch.zeros_like(owner[:, :1]), torch.zeros_like(owner), nobody.clone()
        far.select(1, 0).fill_(0)  # how far each column is, by the shortest way from the row
        at, passed = nothing[:, :1], nothing
        for _ in range(row):
            passed = passed.scatter(1, column, torch.inf)
            mine = owner.gather(1, column)[:, :, None].expand(-1, -1, columns + 1)
            on = left.gather(1, mine)[:, 0] + at + passed
            way, far = torch.where(on < far, column, way), torch.minimum(far, on)
            at, column = (far + passed).min(1, keepdim=True)
        by, column = torch.where(owner == 0, far, torch.inf).min(1, keepdim=True)
        nearer = (by - far).clamp_min(0)
        mine = torch.zeros_like(left[:, :, 0]).scatter_add(1, owner, nearer)
        left = left + nearer[:, None] - mine[:, :, None]
        for _ in range(row):
            before = way.gather(1, column)
            owner = owner.scatter(1, column, owner.gather(1, before))
            column = before
    found = torch.zeros(clips, rows + 1, dtype=torch.int64, device=cost.device)
    numbers = torch.arange(columns, device=cost.device).expand(clips, -1)
    return found.scatter(1, owner[:, 1:], numbers)[:, 1:]


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
