"""The standard deviation of p(x | z): one number, or more of it where there is more to draw.

Errors of a drawing grow with what is drawn: the edge of something bright is off by more than that of something faint,
and its pixels err together. A deviation that grows with ink makes both worth about the same, by how much of it there
is, so that what is left of something bright is no object and something faint is one.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from sqair.config import ModelConfig

_AROUND = 2
"""Pixels around ink in which errors are as large as in it: what is drawn may be as much too large as too small."""

Deviation = float | Tensor
"""``[.., 1, H, W]`` if it is not the same everywhere."""


def deviation(ink: Tensor, config: ModelConfig) -> Deviation:
    """That of frames whose ``ink [B, C, H, W]`` is how they differ from their backgrounds; no gradient.

    With ``ink_std`` it is the root of ``likelihood_std`` squared plus ``ink_std`` squared times the ink squared, the
    mean of all channels and the most of the pixels near. That depends on the frame, so that bounds of frames of
    different ink are not in the same unit; of one frame they are.
    """
    if not config.ink_std:
        return config.likelihood_std
    amount = ink.detach().square().mean(-3, keepdim=True)
    near = F.max_pool2d(amount, 2 * _AROUND + 1, 1, _AROUND)
    return (config.likelihood_std**2 + config.ink_std**2 * near).sqrt()
