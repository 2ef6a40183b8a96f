"""Portraits: what is seen of a thing before its scene, turned along its longer axis."""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 32
"""Pixels of a side of a portrait."""
VIEW = 2.6
"""What a portrait shows, in sides of a typical thing."""
BORDER = 0.1
"""How far beyond its box a thing is shown, in sides of the box."""
FAINT = 0.3
"""Share of the greatest contrast from which on pixels tell how a thing lies."""
SMALLEST = 3
"""Pixels of a box's sides of which a portrait is made, at least."""


def portrait(
    frame: np.ndarray, scene: np.ndarray, light: np.ndarray, box: np.ndarray, side: float
) -> np.ndarray | None:
    """What a thing looks like, int8 ``[SIDE, SIDE, C]``: half of what differs from the scene, 0 beyond the thing.

    It lies along x, with its heavier end always on the same side, at the same scale for all things of a clip.

    Args:
        frame: uint8 or float ``[h, w, C]``.
        scene: what is behind things, float ``[h, w, C]`` of 255; the frame is lighter by ``light [C]``.
        box: ``[4]`` (x, y, w, h) around the thing, pixels.
        side: of a typical thing, pixels.

    Returns:
        None for a box of which too little lies in the frame.
    """
    height, width = scene.shape[:2]
    low = np.floor(box[:2] - BORDER * box[2:]).astype(int).clip(0, [width, height])
    high = np.ceil(box[:2] + (1 + BORDER) * box[2:]).astype(int).clip(0, [width, height])
    if (high - low < SMALLEST).any():
        return None
    here = np.s_[low[1] : high[1], low[0] : high[0]]
    away = np.asarray(frame[here], np.float32) - scene[here] - light
    centre, angle = _lie(np.abs(away).max(-1))
    scale = SIDE / (VIEW * side)
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    place = np.concatenate([turn, (SIDE / 2 - turn @ centre)[:, None]], 1)
    seen = cv2.warpAffine(away, place, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    return np.rint(seen.reshape(SIDE, SIDE, -1) / 2).clip(-127, 127).astype(np.int8)


def _lie(contrast: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre of mass (x, y) of what differs, ``contrast [h, w]``, and the angle of its longer axis, radians: towards
    the end that reaches further."""
    found = cv2.moments(np.where(contrast > FAINT * contrast.max(), contrast, 0))
    centre = np.array([found["m10"], found["m01"]]) / max(found["m00"], 1e-9)
    angle = 0.5 * np.arctan2(2 * found["mu11"], found["mu20"] - found["mu02"])
    x, y = np.cos(angle), np.sin(angle)
    third = x**3 * found["mu30"] + 3 * x * y * (x * found["mu21"] + y * found["mu12"]) + y**3 * found["mu03"]
    return centre, float(angle if third >= 0 else angle + np.pi)
