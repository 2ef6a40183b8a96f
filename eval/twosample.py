"""Whether two sets of clips are alike: counts, speeds, sizes and looks of what was tracked in them.

Frames of a clip are not independent, clips are: p is the share of ways to deal the clips out anew into two sets of the
same sizes in which they differ as much (a permutation test: Phipson and Smyth, 2010, with the dealt sets counted one
more). Both sets are to be tracked by the same model in the same way, so that what it gets wrong is in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.distance import cdist

from sqair.tracks import Tracks

ROUNDS = 999
"""Ways in which clips are dealt out."""
SIDE = 12
"""Of patches by which looks are compared, pixels."""


@dataclass(frozen=True)
class Feature:
    """Numbers ``value [M]``, each of a clip ``clip [M]`` (from 0), of ``clips`` clips in all; clips may have none."""

    clip: np.ndarray
    value: np.ndarray
    clips: int


@dataclass(frozen=True)
class Comparison:
    """How a feature differs between two sets, a and b.

    Attributes:
        name: of the feature, with its unit.
        means: of a and of b.
        effect: the largest difference of cumulative shares (Kolmogorov-Smirnov), 0 to 1; of looks, the share of
            objects whose nearest neighbour in other clips is of their own set, by which 0.5 is alike.
        p: see the head of this module.
    """

    name: str
    means: tuple[float, float]
    effect: float
    p: float


def counts(clips: Sequence[Tracks], length: int) -> Feature:
    """How many objects are in each of the ``length`` frames of each clip."""
    value = [np.bincount(tracks.frame, minlength=length)[:length] for tracks in clips]
    return Feature(np.repeat(np.arange(len(clips)), length), np.concatenate(value).astype(float), len(clips))


def speeds(clips: Sequence[Tracks]) -> Feature:
    """How far the centre of each object goes from a frame to the next, pixels."""
    return _of_objects(clips, _speed)


def sizes(clips: Sequence[Tracks], axis: int) -> Feature:
    """Width (``axis`` 0) or height (1) of each box, pixels."""
    return _of_objects(clips, lambda tracks: tracks.box[:, 2 + axis])


def _speed(tracks: Tracks) -> np.ndarray:
    order = np.lexsort((tracks.frame, tracks.id))
    centre = (tracks.box[:, :2] + tracks.box[:, 2:] / 2)[order]
    follows = (np.diff(tracks.id[order]) == 0) & (np.diff(tracks.frame[order]) == 1)
    return np.linalg.norm(np.diff(centre, axis=0), axis=1)[follows]


def _of_objects(clips: Sequence[Tracks], measure: Callable[[Tracks], np.ndarray]) -> Feature:
    values = [measure(tracks) for tracks in clips]
    clip = np.repeat(np.arange(len(clips)), [len(value) for value in values])
    return Feature(clip, np.concatenate([np.zeros(0), *values]), len(clips))


def compare(name: str, a: Feature, b: Feature, seed: int = 0) -> Comparison:
    """Kolmogorov and Smirnov's test of two sets of clips, with p by permutation of clips; NaN where one is empty."""
    value, clip = np.concatenate([a.value, b.value]), np.concatenate([a.clip, b.clip + a.clips])
    means = tuple(float(f.value.mean()) if len(f.value) else np.nan for f in (a, b))
    if not (len(a.value) and len(b.value)):
        return Comparison(name, means, np.nan, np.nan)  # type: ignore[arg-type]
    order = np.argsort(value, kind="stable")
    clip, ends = clip[order], np.append(np.diff(value[order]) > 0, True)

    def distance(first: np.ndarray) -> float:
        of_a = first[clip].astype(float)
        total = of_a.sum()
        if total in (0, len(of_a)):
            return 1.0
        return float(np.abs(np.cumsum(of_a) / total - np.cumsum(1 - of_a) / (len(of_a) - total))[ends].max())

    effect, p = _permuted(distance, a.clips, b.clips, seed)
    return Comparison(name, means, effect, p)  # type: ignore[arg-type]


def compare_looks(a: Sequence[np.ndarray], b: Sequence[np.ndarray], seed: int = 0) -> Comparison:
    """Whether what objects look like tells two sets of clips apart: the nearest-neighbour test (Schilling, 1986).

    Args:
        a, b: of each clip the patches ``[M, D]`` of its objects, one of each. Neighbours are looked for in other clips;
            sets may be of different sizes, and each counts for a half.
    """
    patches = [np.asarray(part, float) for part in (*a, *b)]
    clip = np.repeat(np.arange(len(patches)), [len(part) for part in patches])
    nan = (np.nan, np.nan)
    if not (sum(map(len, a)) and sum(map(len, b))) or len(np.unique(clip)) < 2:
        return Comparison("looks", nan, np.nan, np.nan)
    every = np.concatenate([part for part in patches if len(part)])
    far = cdist(every, every)
    far[clip[:, None] == clip] = np.inf
    nearest = far.argmin(1)

    def told(first: np.ndarray) -> float:
        of_a = first[clip]
        own = of_a == of_a[nearest]
        return float(np.mean([own[of_a == side].mean() if (of_a == side).any() else 0.5 for side in (True, False)]))

    effect, p = _permuted(told, len(a), len(b), seed)
    return Comparison("looks", nan, effect, p)


def _permuted(statistic: Callable[[np.ndarray], float], a: int, b: int, seed: int) -> tuple[float, float]:
    """A statistic of which clips are of the first set, bool ``[a + b]``, and how likely one as large is by chance."""
    first = np.arange(a + b) < a
    found, rng = statistic(first), np.random.default_rng(seed)
    dealt = [statistic(rng.permutation(first)) for _ in range(ROUNDS)]
    return found, (1 + sum(value >= found - 1e-12 for value in dealt)) / (1 + ROUNDS)


def looks(clips: np.ndarray, tracks: Sequence[Tracks]) -> list[np.ndarray]:
    """A patch of each object of clips uint8 ``[N, T, H, W(, C)]``, float ``[M, D]`` for each clip, in [0, 1].

    It is what lies in its box half-way through its life, if all of that lies inside the frame.
    """
    return [_patches(frames, found) for frames, found in zip(clips, tracks, strict=True)]


def _patches(frames: np.ndarray, tracks: Tracks) -> np.ndarray:
    patches = []
    height, width = frames.shape[1:3]
    for name in np.unique(tracks.id):
        mine = tracks.where(tracks.id == name)
        row = len(mine) // 2
        (x, y, w, h), frame = mine.box[row], frames[mine.frame[row]]
        left, top, right, bottom = round(x), round(y), round(x + w), round(y + h)
        if 0 <= left < right <= width and 0 <= top < bottom <= height:
            patch = cv2.resize(frame[top:bottom, left:right], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            patches.append(patch.astype(float).ravel() / 255)
    return np.array(patches) if patches else np.zeros((0, frames[0].size // (height * width) * SIDE**2))


def histogram(parts: Sequence[Feature], bins: int = 24) -> tuple[np.ndarray, list[np.ndarray]]:
    """Middles of bins, and the share of each feature's values in them; a bin for each whole number, if they are few."""
    every = np.concatenate([part.value for part in parts])
    if not len(every):
        return np.zeros(0), [np.zeros(0) for _ in parts]
    top = float(np.quantile(every, 0.995))
    if (every == every.round()).all() and every.max() < bins:
        edges = np.arange(-0.5, every.max() + 1)
    else:
        edges = np.linspace(min(0.0, every.min()), max(top, 1e-9), bins + 1)
    shares = [np.histogram(p.value.clip(edges[0], edges[-1]), edges)[0] / max(1, len(p.value)) for p in parts]
    return (edges[:-1] + edges[1:]) / 2, shares
