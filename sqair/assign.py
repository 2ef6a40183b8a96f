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


def rank_in_clip(clip: Tensor, value: Tensor) -> Tensor:
    """0 for the row of the largest ``value [M]`` in each clip, 1 for the next, and so on: ``[M]``."""
    order = torch.argsort(value, descending=True, stable=True)
    order = order[torch.argsort(clip[order], stable=True)]
    ordered = clip[order]
    start = torch.searchsorted(ordered, ordered)
    rank = torch.empty_like(clip)
    rank[order] = torch.arange(len(clip), device=clip.device) - start
    return rank
