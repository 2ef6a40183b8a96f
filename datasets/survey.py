"""A survey of footage: what moves before a camera that does not, and the settings of a model that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from tqdm import tqdm

from sqair.datasets.clip import ClipSource
from sqair.datasets.footage import relit, scene_image, thinned
from sqair.errors import UserError

SURVEYED = 60
"""Frames of all clips that a survey looks at."""
LONG_SIDE = 320
"""Pixels of the longer side of a frame as it is surveyed."""
OBJECT = 15.0
"""Side of a typical object on the canvas that a survey chooses, pixels."""
LARGEST = 240
"""Longest side of that canvas, pixels."""
LEAST = 20
"""Grey levels by which what moves differs from the scene in some channel, at least."""
COLOURED = 10
"""Grey levels by which channels of a picture differ that is not grey."""
NOISIEST = 0.1
"""Noise from which no scene can be told, of 1."""
SPECK = 3e-4
"""Smallest blob that counts, as a share of the frame."""
ALONE = (20, 65)
"""Percentiles of the areas of blobs between which they are taken for one object each: others are parts or groups."""


@dataclass(frozen=True)
class Survey:
    """What moves in some footage. Sides are in pixels of frames of ``size`` (H, W).

    Attributes:
        colour: whether frames are in colour.
        noise: standard deviation of what does not move, of 1.
        contrast: how much blobs differ from the scene, root mean square of a channel, of 1.
        most: blobs in a frame, 95th percentile; mean: their mean number.
        height, width: medians of blobs that are neither specks nor groups.
        energy: sum of squares by which such a blob differs from the scene, of all its pixels and channels; median.
        large: 95th percentile of the longer sides of all.
        spread: standard deviation of the log of the side of the square of a blob's area.
        length: frames of the shortest clip.
    """

    size: tuple[int, int]
    colour: bool
    noise: float
    contrast: float
    most: float
    mean: float
    height: float
    width: float
    energy: float
    large: float
    spread: float
    length: int


def survey(clips: Sequence[ClipSource]) -> Survey:
    """Looks at some frames of all clips, at what differs there from the scenes of the clips.

    Raises:
        UserError: a clip cannot be read, has fewer than 5 frames, or nothing in it moves, or everything.
    """
    height, width = clips[0].size
    scale = min(1.0, LONG_SIDE / max(height, width))
    small = (max(1, round(scale * height)), max(1, round(scale * width)))
    blobs, counts, noise, power, lengths = [], [], [], [], []
    colour = False
    for clip in tqdm(clips, desc="looking at the footage", unit="clip", disable=None):
        chosen, length = thinned(clip, small, None, max(5, SURVEYED // len(clips)))
        if length < 5:
            raise UserError(f"{clip.path} has {length} frames: 5 are needed to tell what moves from what does not")
        lengths.append(length)
        chosen = chosen if chosen.ndim == 4 else chosen[..., None]
        colour = colour or (chosen.shape[-1] == 3 and bool((np.ptp(chosen, axis=-1) > COLOURED).any()))
        away = (chosen.astype(np.float32) - relit(scene_image(chosen), chosen)) / 255
        sigma = 1.4826 * float(np.median(np.abs(away)))
        noise.append(sigma)
        for image in away:
            found, differs = find_blobs(image, max(6 * sigma, LEAST / 255))
            blobs += found
            power += differs
            counts.append(len(found))
    moves = UserError(f"{clips[0].path}: most of the picture changes; the camera must not move")
    if np.median(noise) > NOISIEST:
        raise moves
    if not blobs:
        raise UserError(f"{clips[0].path}: nothing moves in it, or too little to learn from")
    sides = np.array(blobs, dtype=np.float64) / scale
    area = sides.prod(1)
    low, high = np.percentile(area, ALONE)
    alone = (low <= area) & (area <= high)
    single = sides[alone]
    energy, contrast = (np.array(v) for v in zip(*power, strict=True))
    if np.median(area) > 0.25 * height * width:
        raise moves
    return Survey(
        (height, width), colour, float(np.median(noise)), float(np.median(contrast)), float(np.percentile(counts, 95)),
        float(np.mean(counts)), float(np.median(single[:, 1])), float(np.median(single[:, 0])),
        float(np.median(energy[alone])) / scale**2, float(np.percentile(sides.max(1), 95)),
        float(np.log(area).std() / 2), min(lengths),
    )  # fmt: skip


def find_blobs(away: np.ndarray, least: float) -> tuple[list[tuple[int, int]], list[tuple[float, float]]]:
    """Connected parts of ``away [H, W, C]``, what differs from the scene, where some channel does by ``least`` or more.

    Returns:
        The width and height of each in pixels; and the sum of its squares over pixels and channels, and the root of
        their mean.
    """
    mask = (np.abs(away).max(-1) >= least).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    number, label, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found, power = [], []
    for i in range(1, number):
        x, y, w, h, area = stats[i].tolist()
        if area >= max(6, SPECK * mask.size):
            squares = away[y : y + h, x : x + w][label[y : y + h, x : x + w] == i] ** 2
            found.append((w, h))
            power.append((float(squares.sum()), float(np.sqrt(squares.mean()))))
    return found, power


def suggest(seen: Survey) -> dict[str, dict]:
    """Settings of ``sqair train`` for footage like this, nested as in a YAML file."""
    side = float(np.sqrt(seen.height * seen.width))
    scale = min(1.0, OBJECT / side, LARGEST / max(seen.size))
    scale = min(1.0, max(scale, 48 / min(seen.size)))
    size = scale * side
    std = float(np.clip(0.3 * seen.contrast / 0.8, max(2 * seen.noise, 0.02), 0.3))
    slots = int(np.clip(np.ceil(1.5 * seen.most) + 1, 3, 16))
    worth = seen.energy * scale**2 / (2 * std**2)
    most = scale * max(1.3 * seen.large, 2 * side)
    length = min(10, seen.length)
    clips = int(np.clip(round(40 / max(seen.mean, 0.5)), 4, 32))
    stages = [f"1x1200x{2 * clips}", f"3x300x{clips}", f"5x300x{clips}", f"{length}x500x{max(2, clips // 2)}"]
    return {
        "model": {
            "height": round(scale * seen.size[0]), "width": round(scale * seen.size[1]),
            "channels": 3 if seen.colour else 1, "fit": True, "objects": "opaque", "background": "still",
            "background_change": 0.01, "slots": slots, "first_steps": slots, "likelihood_std": round(std, 4),
            "size_mean": round(size, 2), "aspect": round(seen.height / seen.width, 3),
            "size_std": round(float(np.clip(seen.spread, 0.2, 0.5)), 3), "context": round(2.7 * size, 1),
            "search_margin": round(0.45 * size, 1), "max_size": round(most, 1),
            "saliency_threshold": round(0.27 * std, 4),
        },
        "train": {
            "stages": stages, "object_nats": round(worth, 1), "price": [0.25, 0.06], "price_steps": 1200,
            "tracking_price": 0.1, "exploration": 0.2, "crowd_dropout": 0.5,
        },
    }  # fmt: skip


def describe(seen: Survey, settings: dict[str, dict]) -> str:
    """What a survey saw, and the settings of the model that is trained, its own or others, for people."""
    model = settings["model"]
    kind = "colour" if seen.colour else "grey"
    return (
        f"footage: {seen.size[1]}x{seen.size[0]} pixels, {kind}, {seen.length} frames or more a clip; "
        f"{seen.mean:.1f} things move at a time, of about {seen.width:.0f}x{seen.height:.0f} pixels\n"
        f"chosen: canvas {model['width']}x{model['height']}, at most {model['slots']} objects, "
        f"standard deviation of pixels {model['likelihood_std']}, size {model['size_mean']} "
        f"(canvas pixels), aspect {model['aspect']}, background {model['background']}"
    )
