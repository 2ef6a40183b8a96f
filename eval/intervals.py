"""Figures with 95 % intervals: over clips, which are drawn apart, not over their frames, which are not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sqair.errors import UserError

RESAMPLES = 2000
_NORMAL = 1.959964
"""Quantile of the standard normal distribution for 95 %."""


class Figure(NamedTuple):
    """A figure, the ends of its 95 % interval, and how many it is of."""

    value: float
    low: float
    high: float
    number: int


def over_clips(values: np.ndarray, weights: np.ndarray | None = None, *, seed: int = 0) -> Figure:
    """The sum of ``values [N]`` over that of ``weights [N]`` (by default their mean), with a bootstrap over clips.

    The interval is that of percentiles, of ``RESAMPLES`` draws. Clips of weight 0 count for nothing.

    Raises:
        UserError: there is nothing to divide by.
    """
    values = np.asarray(values, np.float64)
    weights = np.ones_like(values) if weights is None else np.asarray(weights, np.float64)
    if not weights.sum() > 0:
        raise UserError("there is nothing to take a mean of")
    picks = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    below = weights[picks].sum(1)
    means = values[picks].sum(1)[below > 0] / below[below > 0]
    low, high = np.quantile(means, [0.025, 0.975])
    return Figure(float(values.sum() / weights.sum()), float(low), float(high), int((weights > 0).sum()))


def wilson(right: int, number: int) -> Figure:
    """A share of ``number`` cases that are independent, with Wilson's interval: also of none and of all."""
    if number < 1:
        raise UserError("there is nothing to take a share of")
    share, z2 = right / number, _NORMAL**2
    middle = (share + z2 / (2 * number)) / (1 + z2 / number)
    half = _NORMAL / (1 + z2 / number) * np.sqrt(share * (1 - share) / number + z2 / (4 * number**2))
    return Figure(share, max(0.0, float(middle - half)), min(1.0, float(middle + half)), number)
