"""Footage of great variety, from which a model learns to track before any still camera.

Each clip has a scene of its own and things of one kind or of several, of one size or of many, dark, light or coloured,
rigid, turning or deforming, which head somewhere, wander, rest, come and go; with noise, light that swells and fades,
and compression. Sides are in pixels of a canvas on which a typical thing is some 15 pixels large, as it is on that of
any model of footage.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sqair.datasets.bodies import SHAPES, Body, Pose, coat
from sqair.datasets.layers import Layers, paint

TYPICAL = (8.0, 19.0)
"""Sides of typical things of clips, pixels: of the square of their area."""
SIZES = (0.05, 0.45)
"""Standard deviation of the log of sizes in a clip."""
CONTRAST = (0.07, 0.75)
"""By how much things differ from what is behind them, of 1."""
SPEED = (0.01, 0.5)
"""Sides a frame."""
OFTEN, ALIKE = (0.25, 0.25, 0.3, 0.2), 0.4
"""How often things are of each shape; and share of clips in which all look the same but for their size."""
GREY = 0.4
"""Share of the clips that are grey."""
ROOM = 90.0
"""Grey levels from the middle from which on things are not still lighter, or darker, than what is behind them."""


@dataclass(frozen=True)
class Varied:
    """Clips of variety: frames ``[T, H, W, 3]`` uint8, ``scene [H, W, 3]`` uint8 behind them, and what moves."""

    frames: np.ndarray
    scene: np.ndarray
    layers: Layers


def varied(rng: np.random.Generator, length: int, height: int, width: int, most: int) -> Varied:
    """One clip."""
    grey = rng.random() < GREY
    scene = _scene(rng, height, width)
    scene = scene.mean(-1, keepdims=True).repeat(3, -1) if grey else scene
    layers = _things(rng, scene, length, most, grey)
    behind = np.rint(scene).astype(np.uint8)
    frames = paint(layers, behind[None], length)
    return Varied(_disturbed(rng, frames, grey), behind, layers)


def _scene(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A scene ``[H, W, 3]`` float in [0, 255]: a level, slow light, natural roughness, things that stay."""
    level = np.clip(rng.uniform(20, 235) + rng.normal(0, 15, 3), 5, 250)
    image = np.broadcast_to(level, (height, width, 3)).copy()
    y, x = np.mgrid[:height, :width] / max(height, width)
    angle = rng.uniform(0, 2 * np.pi)
    image *= 1 + rng.uniform(0, 0.5) * (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5))[..., None]
    if rng.random() < 0.7:
        rough = _rough(rng, height, width, rng.uniform(0.6, 2.0))[..., None]
        image += rng.uniform(2, 35) * rough * rng.uniform(0.6, 1.0, 3)
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 15)):
            _stay(rng, image)
    if rng.random() < 0.2:  # a dish
        away = np.hypot(x - 0.5 * width / max(height, width), y - 0.5 * height / max(height, width))
        image[away > rng.uniform(0.42, 0.6)] *= rng.uniform(0.2, 0.8)
    return np.clip(image, 0, 255)


def _rough(rng: np.random.Generator, height: int, width: int, power: float) -> np.ndarray:
    """Noise ``[H, W]`` of standard deviation 1 whose amplitude falls with the power of the frequency."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.normal(size=(height, width))) / frequency**power
    image = np.fft.irfft2(spectrum, s=(height, width))
    return image / image.std()


def _stay(rng: np.random.Generator, image: np.ndarray) -> None:
    """Draws a rectangle or an ellipse that stays into an ``image [H, W, 3]``."""
    height, width = image.shape[:2]
    size = np.exp(rng.uniform(np.log(4), np.log(0.5 * width), 2))
    corner = rng.uniform(-0.1, 1, 2) * [width, height]
    colour = np.clip(image.mean((0, 1)) + rng.normal(0, 40) + rng.normal(0, 15, 3), 0, 255)
    y, x = np.mgrid[:height, :width]
    away = np.abs((np.stack([x, y], -1) - corner - size / 2) / (size / 2))
    inside = away.max(-1) < 1 if rng.random() < 0.6 else np.hypot(*away.transpose(2, 0, 1)) < 1
    image[inside] += rng.uniform(0.3, 1) * (colour - image[inside])


@dataclass(frozen=True)
class _Kind:
    """What the things of a clip have in common: ``side`` and ``spread`` of the log of sides, colours that differ from
    ``level [3]`` by ``contrast`` of 255 in the direction ``sign``, 0 for both, and whether they are ``grey``."""

    shapes: list[str]
    side: float
    spread: float
    level: np.ndarray
    contrast: float
    sign: int
    grey: bool


def _things(rng: np.random.Generator, scene: np.ndarray, length: int, most: int, grey: bool) -> Layers:
    """What moves before a ``scene [H, W, 3]``: 1 to ``most`` things."""
    number = int(rng.integers(1, most + 1))
    kind = _Kind(
        rng.choice(list(SHAPES), 1 + (rng.random() < 0.3), p=list(OFTEN)).tolist(),
        rng.uniform(*TYPICAL),
        rng.uniform(*SIZES),
        np.median(scene, axis=(0, 1)),
        255 * np.exp(rng.uniform(*np.log(CONTRAST))),
        int(rng.choice([-1, 1, 0])),
        grey,
    )
    alike, look = rng.random() < ALIKE, int(rng.integers(2**32))
    bodies = [_body(rng, np.random.default_rng(look) if alike else rng, kind) for _ in range(number)]
    poses = paths(rng, number, length, kind.side, scene.shape[:2])
    drawn = [body.draw(pose) for now in poses for body, pose in zip(bodies, now, strict=True)]
    patches, corners = zip(*drawn, strict=True)
    frame, ids = np.divmod(np.arange(length * number), number)
    return Layers(np.zeros(number, np.int64), frame, ids, np.array(corners), np.arange(len(frame)), list(patches))


def _body(rng: np.random.Generator, look: np.random.Generator, kind: _Kind) -> Body:
    """One of a ``kind``, as ``look`` has it look, of a size of its own."""
    name = str(look.choice(kind.shapes))
    shape, aspects = SHAPES[name]
    aspect, side = look.uniform(*aspects), kind.side * np.exp(kind.spread * rng.normal())
    sign = kind.sign or int(look.choice([-1, 1]))
    if sign * (127.5 - kind.level.mean()) < -ROOM:
        sign = -sign
    inks = []
    for least, most in ((0.8, 1.2), (0.4, 1.6)):
        ink = kind.level + sign * kind.contrast * look.uniform(least, most)
        inks.append(np.clip(ink if kind.grey else ink + look.normal(0, 25, 3), 0, 255))
    soft = float(rng.choice([1.0, 1.5, 3.0]))
    size = side * np.sqrt(aspect), side / np.sqrt(aspect)
    return Body(*size, shape, coat(look, *inks), soft, name == "walker", look.uniform(size=(3, 2)))


def paths(
    rng: np.random.Generator, number: int, length: int, side: float, size: tuple[int, int]
) -> list[list[Pose]]:
    """Poses of each frame: things head on, turn slowly, rest for a while, and turn round beyond the edge or at it.

    ``side`` is that of a typical one, ``size`` (H, W) that of the canvas, pixels.
    """
    speed = side * np.exp(rng.uniform(*np.log(SPEED)))
    margin = side * rng.choice([-0.5, 1.0, 2.0])
    low, high = np.full(2, -margin), np.array(size[::-1]) + margin
    place = low + rng.uniform(size=(number, 2)) * (high - low)
    heading = rng.uniform(0, 2 * np.pi, number)
    turn, wander = np.zeros(number), rng.uniform(0.0, 0.12)
    own = speed * np.exp(0.3 * rng.normal(size=number))
    rests, resting = rng.choice([0.0, 0.02, 0.08]), rng.random(number) < rng.choice([0.0, 0.3])
    phase = rng.uniform(0, 2 * np.pi, number)
    found = []
    for _ in range(length):
        found.append([Pose(place[k].copy(), heading[k], turn[k], phase[k]) for k in range(number)])
        turn = 0.9 * turn + wander * rng.normal(size=number)
        resting = np.where(rng.random(number) < rests, ~resting, resting)
        moving = own * ~resting
        heading = heading + turn * ~resting
        step = moving[:, None] * np.stack([np.cos(heading), np.sin(heading)], -1)
        out = ((place + step < low) & (step < 0)) | ((place + step > high) & (step > 0))
        step = np.where(out, -step, step)
        heading = np.where(out.any(1), np.arctan2(step[:, 1], step[:, 0]), heading)
        place = place + step
        phase = phase + 0.2 + 4 * moving / side
    return found


def _disturbed(rng: np.random.Generator, frames: np.ndarray, grey: bool) -> np.ndarray:
    """The frames with light that changes, noise and compression."""
    length = len(frames)
    phase = np.arange(length) / rng.uniform(30, 200) + rng.random()
    swell = rng.choice([0.0, 0.05, 0.15]) * np.sin(2 * np.pi * phase)
    noise = rng.choice([0.0, 1.5, 4.0])
    quality = int(rng.choice([0, 0, 40, 75]))
    out = frames * (1 + swell)[:, None, None, None]
    if noise:
        out = out + rng.normal(0, noise, (*frames.shape[:3], 1 if grey else 3))
    out = np.clip(np.rint(out), 0, 255).astype(np.uint8)
    if quality:
        how = [cv2.IMWRITE_JPEG_QUALITY, quality]
        out = np.stack([cv2.imdecode(cv2.imencode(".jpg", image, how)[1], cv2.IMREAD_COLOR) for image in out])
    return out
