"""What of a frame is in front of its scene, in blobs: what differs from the scene, up to the edges of each thing."""

from __future__ import annotations

import cv2
import numpy as np

from sqair.edges import within


def foreground(away: np.ndarray, level: float) -> np.ndarray:
    """What is of things, uint8 ``[h, w]`` in {0, 1}, of what is ``away [h, w]`` from the scene by ``level`` or more.

    What hangs together there is within its own edges (``edges.within``). Holes of a pixel are filled.
    """
    _, label = cv2.connectedComponents((away >= level).astype(np.uint8), connectivity=8)
    there = label > 0
    name, value = label[there], away[there]
    typical = np.bincount(name, value**2) / np.maximum(np.bincount(name, value), np.finfo(np.float32).tiny)
    contrast = np.zeros_like(away)
    contrast[there] = typical[name]  # type: ignore[index]
    mask = (there & within(away, contrast)).astype(np.uint8)
    return cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
