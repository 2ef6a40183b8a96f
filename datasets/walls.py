"""Motion between walls. Axes as in motion.py."""

import numpy as np


def reflect(start: np.ndarray, velocity: np.ndarray, room: np.ndarray, elapsed: np.ndarray) -> np.ndarray:
    """Constant velocity between walls.

    Args:
        start: ``[n, K, 2]`` position at time 0.
        velocity: ``[n, K, 2]`` pixels per frame.
        room: ``[n, K, 2]``, positions stay in ``[0, room]``.
        elapsed: ``[n, T, K]`` frames since time 0 (or broadcastable to it).

    Returns:
        ``[n, T, K, 2]`` float64.
    """
    free = start[:, None] + velocity[:, None] * elapsed[..., None]
    room = room[:, None].astype(np.float64)
    lap = np.where(room > 0, 2 * room, 1.0)
    return np.where(room > 0, room - np.abs(np.mod(free, lap) - room), 0.0)
