"""Who is where: the assignment of the objects of each clip to as many places that is best for all of them together."""

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
