"""A survey of footage: what moves before a camera that does not, told from some of its frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import cv2
import numpy as np
import torch
from tqdm import tqdm

from sqair.background import block_levels, lines
from sqair.camera import Motion, Stabilise, panned, steadied
from sqair.datasets import refused
from sqair.datasets.clip import ClipSource
from sqair.datasets.footage import relit, scene_image, thinned
from sqair.datasets.images import to_channels
from sqair.datasets.looks import Look
from sqair.datasets.seen import SHORT, SHORTEST, Scenes, Survey
from sqair.datasets.suggest import describe, suggest
from sqair.datasets.things import find_blobs, whole_things
from sqair.errors import UserError
from sqair.plain import most_common
from sqair.process import threads
from sqair.steady import FAR

__all__ = ["Survey", "describe", "suggest", "survey"]

SURVEYED, SHORTEST_LOOK = 60, 8
"""Frames of all clips that a survey looks at, and of each of many clips."""
LOST = 0.3
"""Share of frames without a common scene from which it is asked whether the camera pans."""
LONG_SIDE = 320
"""Pixels of the longer side of a frame as it is surveyed."""
LEAST = 20
"""Grey levels by which what moves differs from the scene in some channel, at least."""
COLOURED = 10
"""Grey levels by which channels of a picture differ that is not grey."""
NOISIEST = 0.1
"""Noise from which no scene can be told, of 1."""
SPECK = 3e-4
"""Smallest blob that counts, as a share of the frame."""
LARGEST_SHARE = 0.25
"""Share of the picture that things cover at most."""
MANY = 5
"""Clips that are many."""
ALIKE = 0.7
"""Share of the picture in which clips of one scene look alike."""
BLACK = 16
"""Grey levels of what is black."""
PLAIN, GRADUAL = 0.4, 0.6
"""Share of the pixels of a short clip that one colour has behind things, and of a scene that straight lines explain."""
ALONE = (20, 65)
"""Percentiles of the areas of blobs between which they are taken for one object each: others are parts or groups."""
TYPICAL, UNLIKE = 0.4, 2.5
"""Share of the blobs of sets, those of most alike areas, that are: in crowds most are groups, which are all unlike.
Where even those are more unlike than that, largest to smallest, things are of many sizes, and it is as in footage."""


def survey(clips: Sequence[ClipSource], stabilise: Stabilise = "auto") -> Survey:
    """Looks at some frames of all clips, at what differs there from the scenes of the clips.

    Raises:
        UserError: a clip cannot be read or pans, all have fewer than 5 frames, or nothing in them moves, or too much;
            the message has what was measured and what is needed.
    """
    height, width = clips[0].size
    scale = min(1.0, LONG_SIDE / max(height, width))
    with threads(1):
        looks = list(_looks(clips, (max(1, round(scale * height)), max(1, round(scale * width))), stabilise))
    panning = [look for look in looks if look.pan]
    if 2 * len(panning) >= len(looks):
        raise refused.pans(panning[0], 1 / scale)
    noise = float(np.median([look.noise for look in looks]))
    found = [blob for look in looks for blobs in look.blobs for blob in blobs]
    if noise > NOISIEST:
        raise refused.too_much(max(looks, key=lambda look: look.noise), NOISIEST)
    if not found:
        raise refused.too_little(looks, 1 / scale)
    sides = np.array([blob.sides for blob in found], dtype=np.float64) / scale
    area = sides.prod(1)
    scenes = compare_scenes(looks)
    typical = most_alike(area)
    crowds = scenes in ("black", "plain", "gradual") and typical[1] <= UNLIKE * typical[0]
    low, high = typical if crowds else np.percentile(area, ALONE)
    alone = (low <= area) & (area <= high)
    single = sides[alone]
    if np.median(area) > LARGEST_SHARE * height * width:
        raise refused.too_large(looks, float(np.median(area)) / (height * width), LARGEST_SHARE)
    counts = np.array([len(blobs) for look in looks for blobs in look.blobs], dtype=np.float64)
    if crowds:  # a blob is as many things as its pixels make
        pixels = float(np.median(np.array([blob.area for blob in found])[alone]))
        counts = np.maximum(counts, [sum(b.area for b in blobs) / pixels for look in looks for blobs in look.blobs])
    energy = np.array([blob.energy for blob in found])[alone] / scale**2
    shaking = [look.motion for look in looks if look.motion.trembles]
    turning = [look.motion for look in looks if look.motion.turns]
    return Survey(
        (height, width), any(look.colour for look in looks), noise,
        float(np.median([blob.contrast for blob in found])), float(np.percentile(counts, 95)), float(np.mean(counts)),
        float(np.median(single[:, 1])), float(np.median(single[:, 0])), float(np.median(energy)),
        float(np.percentile((single if crowds else sides).max(1), 95)),
        float(np.log(area[alone] if crowds else area).std() / 2),
        int(np.percentile([look.length for look in looks], 10, method="lower")), len(clips), len(clips) - len(looks),
        len(shaking), float(np.median([m.tremble for m in shaking])) / scale if shaking else 0.0,
        len(turning), float(np.median([m.turn for m in turning])) / scale if turning else 0.0, len(panning),
        stabilise != "off",
        scenes,
    )  # fmt: skip


def most_alike(area: np.ndarray) -> tuple[float, float]:
    """Between what ``TYPICAL`` of the ``area [P]`` are that are most alike, with some room for the others."""
    ordered = np.sort(area)
    count = max(1, int(TYPICAL * len(ordered)))
    ratio = ordered[count - 1 :] / ordered[: len(ordered) - count + 1]
    low = int(ratio.argmin())
    room = ratio[low] ** 0.25
    return ordered[low] / room, ordered[low + count - 1] * room


def _looks(clips: Sequence[ClipSource], size: tuple[int, int], stabilise: Stabilise) -> Iterator[Look]:
    """What is seen of each clip on canvases of ``size`` (h, w). Raises UserError as ``survey`` does."""
    each = max(SHORTEST_LOOK, SURVEYED // len(clips))
    bar = tqdm(clips, desc="looking at the footage", unit="clip", disable=None)
    found = [(clip, *thinned(clip, size, None, each)) for clip in bar]
    longest = max(length for _, _, length in found)
    if longest < SHORTEST:
        has = f"{clips[0].path} has {longest} frames" if len(clips) == 1 else f"no clip has more than {longest} frames"
        raise UserError(f"{has}: {SHORTEST} are needed to tell what moves from what does not")
    found = [(clip, frames, length) for clip, frames, length in found if length >= SHORTEST]
    short = len(found) >= MANY and np.median([length for _, _, length in found]) < SHORT
    plain = short and np.median([plain_scene(frames)[1] for _, frames, _ in found]) >= PLAIN
    for clip, frames, length in found:
        yield look(clip, frames, length, "plain" if plain else stabilise, short=short)


def look(
    clip: ClipSource, frames: np.ndarray, length: int, stabilise: Stabilise | Literal["plain"], *, short: bool = False
) -> Look:
    """What is seen in some frames ``[T, h, w(, C)]`` of a clip, such as a ``short`` one, of which there are many.

    Before a plain colour nothing but things moves. That something moves at all is told by a fixed level, which refuses
    footage of noise; in footage that is not refused things are looked for once more, whole (things.py).
    """
    pan, motion = 0.0, Motion((frames.shape[1], frames.shape[2]), told=False)
    if stabilise != "plain":
        _, seen, motion = steadied(frames, "on" if stabilise == "on" else "auto")
        pan = motion.reach if motion.pans else panned(frames) if motion.lost > LOST else 0.0
        pan = pan if pan > FAR * max(frames.shape[1:3]) else 0.0
        frames = frames if stabilise == "off" else seen
    frames = frames if frames.ndim == 4 else frames[..., None]
    colour = frames.shape[-1] == 3 and bool((np.ptp(frames, axis=-1) > COLOURED).any())
    plain = stabilise == "plain"
    scene = plain_scene(frames)[0] if plain else scene_image(frames, short=short)
    away = (frames.astype(np.float32) - (scene if plain else relit(scene, frames))) / 255
    noise = 1.4826 * float(np.median(np.abs(away)))
    least = max(6 * noise, LEAST / 255)
    found = [find_blobs(image, _differing(image, least)) for image in away]
    smallest = max(6.0, SPECK * away[0, ..., 0].size)
    blobs = [[blob for blob in some if blob.area >= smallest] for some in found]
    if any(blobs) and not (plain or short):
        blobs = whole_things(away, noise)
    extremes = refused.measure(away, found)
    return Look(clip, length, motion, pan, colour, noise, least, scene, plain, smallest, blobs, extremes)


def _differing(away: np.ndarray, least: float) -> np.ndarray:
    """Where some channel of what is ``away [h, w, C]`` from the scene is so by ``least`` or more, uint8 ``[h, w]``."""
    mask = (np.abs(away).max(-1) >= least).astype(np.uint8)
    return cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))


def plain_scene(frames: np.ndarray) -> tuple[np.ndarray, float]:
    """An image ``[H, W, C]`` of the colour of most pixels of ``frames [T, H, W(, C)]``, and the share that has it.

    What most frames show of a pixel is not the scene where things hardly move in a short clip.
    """
    frames = frames if frames.ndim == 4 else frames[..., None]
    images = torch.from_numpy(frames).movedim(-1, 1).float() / 255
    colour = most_common(images.movedim(1, 0).flatten(1, 2)[None])[0]
    share = float(((images - colour[:, None, None]).abs().amax(1) < LEAST / 255).float().mean())
    return np.broadcast_to((255 * colour).round().byte().numpy(), frames.shape[1:]).copy(), share


def compare_scenes(looks: Sequence[Look]) -> Scenes:
    """Whether the scenes of clips are black, one, or different ones, and of these whether they are plain or gradual."""
    resized = [cv2.resize(look.scene, (32, 32), interpolation=cv2.INTER_AREA) for look in looks]
    small = np.stack([to_channels(scene, 3).astype(np.float32) for scene in resized])
    if len(looks) >= MANY and np.median(np.percentile(small, 90, axis=(1, 2, 3))) <= BLACK:
        return "black"
    if looks[0].plain:
        return "plain"
    common = np.median(small, 0)
    same = (np.abs(small - common).max(-1) <= LEAST).mean((1, 2))
    if np.median(same) >= ALIKE:
        return "one"
    return "gradual" if len(looks) >= MANY and _gradual(small) > 0.5 else "own"


def _gradual(scenes: np.ndarray) -> float:
    """Share of the ``scenes [N, h, w, C]`` of which straight lines between the levels of their corners explain most."""
    images = torch.from_numpy(scenes).movedim(-1, 1)
    across = lines(2, images.shape[-1])
    away = (images - across @ block_levels(images, 2, 0.5) @ across.T).abs().amax(1)
    return float(((away <= LEAST).float().mean((1, 2)) >= GRADUAL).float().mean())
