"""Why there is nothing to learn from footage: the cause that was measured, with its number and what is needed."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sqair.datasets.looks import Blob, Extremes, Look
from sqair.errors import UserError

CHANGED = 20
"""Grey levels by which a pixel differs that has changed."""
WHITE = 0.4
"""Correlation of the differences of neighbours below which they are noise."""
BROAD = 0.6
"""Share of the differences that are broad from which they are light."""


def measure(away: np.ndarray, found: Sequence[Sequence[Blob]]) -> Extremes:
    """Of what is ``away [T, h, w, C]`` from the scene, of 1, and the blobs ``found`` there in each frame."""
    size = np.abs(away).max(-1)
    peak = max(float(cv2.blur(image, (3, 3)).max()) for image in size)
    widest = max((float(np.sqrt(blob.area)) for blobs in found for blob in blobs), default=0.0)
    changing = float(np.median((size > CHANGED / 255).mean((1, 2))))
    grey = away.mean(-1)
    grey = grey - grey.mean((1, 2), keepdims=True)
    power = max(float((grey**2).mean()), 1e-12)
    beside = float((grey[:, :, 1:] * grey[:, :, :-1]).mean()) / power
    side = max(3, min(grey.shape[1:]) // 6)
    broad = float(np.mean([(cv2.blur(image, (side, side)) ** 2).mean() for image in grey])) / power
    return Extremes(255 * peak, widest, changing, beside < WHITE, broad)


def pans(look: Look, scale: float) -> UserError:
    """A camera that moves; ``scale`` is how many pixels of a frame one of these is."""
    return UserError(
        f"{look.clip.path}: the camera pans by {scale * look.pan:.0f} pixels: it must stand still; cut out a part in "
        "which it does"
    )


def too_much(look: Look, noisiest: float) -> UserError:
    """A clip in which most of the picture changes."""
    seen, path = look.extremes, look.clip.path
    levels = f"{255 * look.noise:.0f} grey levels; {255 * noisiest:.0f} are allowed"
    share = f"most of the picture changes: {100 * seen.changing:.0f} % of it in a frame"
    if seen.white:
        return UserError(f"{path}: {share}, by noise of {levels}: more light")
    if seen.shade > BROAD:
        return UserError(f"{path}: {share}, by light that changes unevenly, {levels}")
    return UserError(
        f"{path}: {share}, by {levels}: no scene stays in it; the camera must not move, and a clip must not be cut "
        "together from others"
    )


def too_large(looks: Sequence[Look], share: float, most: float) -> UserError:
    """Things that cover such a share of the picture."""
    return UserError(
        f"{looks[0].clip.path}: what moves covers {100 * share:.0f} % of the picture in one piece; {100 * most:.0f} % "
        "is the most: film from farther away, and keep the camera and the light still"
    )


def too_little(looks: Sequence[Look], scale: float) -> UserError:
    """Clips in which nothing moves that counts; ``scale`` is how many pixels of a frame one of these is."""
    look = max(looks, key=lambda look: look.extremes.widest)
    path = looks[0].clip.path
    needed = np.ceil(scale * np.sqrt(look.smallest))
    if look.extremes.widest * scale >= 1.5:
        wide = min(scale * look.extremes.widest, needed - 1)
        return UserError(
            f"{path}: what moves is {wide:.0f} pixels wide; {needed:.0f} are needed: film from nearer, or crop it"
        )
    look = max(looks, key=lambda look: look.extremes.peak)
    noise = f" in noise of {255 * look.noise:.0f}" if 6 * 255 * look.noise > CHANGED else ""
    return UserError(
        f"{path}: nothing moves in it that differs from the scene by more than {look.extremes.peak:.0f} grey levels; "
        f"{255 * look.least:.0f} are needed{noise}"
    )
