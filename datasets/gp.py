"""Smooth random paths: a Gaussian process of the squared exponential kernel.

Its covariance at frames that are d apart is exp(-d^2 / (2 tau^2)). White noise at every frame, weighed by a Gaussian of
standard deviation tau / sqrt(2), has that covariance, and needs no matrix of T x T.
"""

from __future__ import annotations

import numpy as np

from sqair.datasets.draws import Draws

REACH = 4
"""Standard deviations of the Gaussian to either side; what lies beyond is 3e-4 of it."""


def paths(draws: Draws, purpose: str, n: int, length: int, tau: float) -> np.ndarray:
    """``[count, n, T]`` float64: n independent paths of each clip, of mean 0 and variance 1."""
    reach = int(np.ceil(REACH * tau / np.sqrt(2)))
    noise = draws.normal(purpose, n * (length + 2 * reach)).reshape(draws.count, n, length + 2 * reach)
    weight = np.exp(-((np.arange(-reach, reach + 1) / tau) ** 2))
    weight /= np.linalg.norm(weight)
    return np.lib.stride_tricks.sliding_window_view(noise, 2 * reach + 1, axis=-1) @ weight
