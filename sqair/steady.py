"""How far a camera has moved, frame by frame: each frame is aligned with the scene, and can be put back to it.

A camera on a mast trembles in the wind, and everything in its picture moves. That is measured here to a few hundredths
of a pixel, whatever else moves: a search says about where a frame lies, and least squares over points of the scene that
have detail, with little weight for those that do not agree, says exactly where. Shifts only: turns and zooms are
measured and left as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

SIDE = 320
"""Pixels of the longer side of a frame as it is aligned, at most."""
FAR = 0.1
"""Share of the longer side by which a frame may be shifted."""
POINTS = 4096
"""Points of the scene that are compared with a frame, about."""
_BLOCK = 16
"""Points are the best of blocks of so many pixels each way."""
MARGIN = 4
"""Pixels at the border that are not compared."""
_UNSURE = 0.05
"""Standard error, in pixels, from which the shift along a direction cannot be told."""
_CORRELATED = 12.0
"""Pixels that share their noise after smoothing."""
_AGREE = 0.35
"""Share of points that have to agree with the scene, or else it is not known where a frame lies."""
LEAST = 0.3
"""Grey levels of noise that there are at least."""
_PLAIN = 0.75
"""Share of points that agree from which no other guesses are made."""
_USUAL = 1.3
"""By what factor a frame may differ more from the scene than most before other guesses are made."""
_BETTER = 0.9
"""Share of the difference from the scene that another guess has to leave at most."""
_OTHER = 30.0
"""Grey levels by which a point differs from the scene, at most, as it is counted."""
_CELLS, _COVERED = 8, 0.2
"""Parts of a picture each way, and the share of them that have to show detail."""
_DOUBT = 16.0
"""Times by which the square of a slope has to exceed what noise makes of it."""
_FLAT = 0.02
"""Share of the detail along one direction that there has to be along the other, or else shifts there are not sought."""
_CLOSE = 0.004
"""Pixels by which a step of least squares moves a frame, at least, for another one to be worth it."""
_FINE = 32
"""Steps of a pixel in which OpenCV interpolates."""


class Placed(NamedTuple):
    """Where a frame lies: by how much it is shifted against the scene, ``[2]`` (x, y) in pixels of the scene.

    ``away`` is how much points differ from the scene, grey levels; ``agree`` the share of those that do not differ by
    more than noise; ``turn [2]`` how much farther the frame has moved at the ends of its half diagonal by turning and
    by zooming, pixels.
    """

    shift: np.ndarray
    away: float
    agree: float
    turn: np.ndarray

    @property
    def sure(self) -> bool:
        return self.agree >= _AGREE


@dataclass
class Steady:
    """Frames of one size ``[H, W]`` or ``[H, W, C]``, uint8, put where their scene is.

    Attributes:
        scene: the detail of the scene, float ``[h, w]``, of the size of frames as they are aligned.
        noise: by how much points that show the scene differ from it, grey levels.
        frames: of how many frames it is the median.
        usual: by how much the points of most frames differ from it, those of which something else hides it too.
        last: the last shift that was sure; frames that cannot be aligned are taken to lie there.
        before: the last frame that was put back.
    """

    scene: np.ndarray
    noise: float
    frames: int
    usual: float = 0.0
    last: np.ndarray = field(default_factory=lambda: np.zeros(2))
    before: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.size = (self.scene.shape[0], self.scene.shape[1])
        self.points, self.slopes = _points(self.scene)
        self.level = self.scene[self.points[1], self.points[0]]
        slope = (self.slopes**2).sum(0)
        self.worth = (1 - _DOUBT * self.noise**2 / (self.frames * np.maximum(slope, 1e-9))).clip(0)
        """What each point tells ``[P]``: nothing where its slope may be noise."""
        level = float(np.sqrt(self.worth @ self.level**2 / max(self.worth.sum(), 1e-9)))
        self.strong = np.flatnonzero(np.abs(self.level) > max(level / 2, 1e-6))
        self.tolerance = np.clip(3 * self.noise, level / 4, level / 2)
        """By how much a point that shows the scene differs from it at most, grey levels."""
        energy, directions = np.linalg.eigh(self.worth * self.slopes @ self.slopes.T)
        error = self.noise * np.sqrt(_CORRELATED / np.maximum(energy, 1e-9))
        kept = directions[:, (error < _UNSURE) & self._spread_out()]
        self.axes = kept @ kept.T
        """Projects onto the directions in which the standard error of a shift is small, ``[2, 2]``."""

    def _spread_out(self) -> bool:
        """Whether there is detail all over the scene: what is in few places may be a thing that moves."""
        height, width = self.size
        cell = _CELLS * (_CELLS * self.points[1] // height) + _CELLS * self.points[0] // width
        return len(np.unique(cell[self.worth > 0.5])) >= _COVERED * _CELLS**2

    @property
    def told(self) -> bool:
        """Whether there is any such direction."""
        return bool(self.axes.any())

    def locate(self, frame: np.ndarray) -> np.ndarray:
        """By how much a frame is shifted against the scene, ``[2]`` (x, y) in the frame's pixels."""
        scale = np.array([frame.shape[1] / self.size[1], frame.shape[0] / self.size[0]])
        if self.told:
            placed = self.place(detail(frame, self.size), self.last)
            shift = self.axes @ placed.shift
            if placed.sure and np.abs(shift).max() <= FAR * max(self.size):
                self.last = shift
        return self.last * scale

    def still(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A frame where its scene is, and the shift ``[2]`` (x, y) in its pixels that it came with."""
        shift = self.locate(frame)
        shrinks = frame.shape[1] >= 2 * self.size[1]
        self.before = put_back(frame, shift, self.before, cv2.INTER_LINEAR if shrinks else cv2.INTER_CUBIC)
        return self.before, shift

    def place(self, seen: np.ndarray, start: np.ndarray) -> Placed:
        """Where a frame of which the detail ``[h, w]`` is seen lies, beginning with a guess ``start [2]``."""
        best = self._descend(seen, start)
        for guess in (lambda _: np.zeros(2), self._search):
            if best.agree >= _PLAIN and best.away <= _USUAL * (self.usual or best.away):
                break
            other = self._descend(seen, guess(seen))
            best = other if other.away < _BETTER * best.away else best
        return best

    def _search(self, seen: np.ndarray) -> np.ndarray:
        """The shift by trying all up to ``FAR``, to about two pixels."""
        size = (self.size[1] // 4, self.size[0] // 4)
        scene, seen = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (self.scene, seen))
        most = min(int(FAR * max(size)), min(size) // 3)
        x, y = cv2.minMaxLoc(
            cv2.matchTemplate(seen, scene[most : size[1] - most, most : size[0] - most], cv2.TM_CCOEFF_NORMED)
        )[3]
        return 4.0 * np.array([x - most, y - most])

    def _descend(self, seen: np.ndarray, start: np.ndarray, steps: int = 12) -> Placed:
        """Least squares from ``start`` on, with weights that fall with the differences."""
        shift = start
        for _ in range(steps):
            at = np.round(shift * _FINE) / _FINE
            weight, error = self.differ(seen, at)
            jacobian = self.slopes * weight
            change = np.linalg.pinv(jacobian @ self.slopes.T, _FLAT, hermitian=True) @ (jacobian @ error)
            before, shift = shift, at - np.clip(change, -2, 2)
            if np.abs(shift - before).max() < _CLOSE:
                break
        return Placed(shift, *self.compare(error), self._turn(weight, error))

    def compare(self, error: np.ndarray) -> tuple[float, float]:
        """By how much points differ from the scene, grey levels, and the share of them that differ by noise only."""
        total = max(float(self.worth.sum()), 1e-9)
        away = float(self.worth @ np.abs(error).clip(max=_OTHER)) / total
        return away, float(self.worth @ (np.abs(error) < self.tolerance)) / total

    def differ(self, seen: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights and differences ``[P]`` of the points of a frame so shifted, in the scene's light."""
        x, y = self.points[0] + np.float32(shift[0]), self.points[1] + np.float32(shift[1])
        found = cv2.remap(seen, x.astype(np.float32)[None], y.astype(np.float32)[None], cv2.INTER_CUBIC)[0]
        inside = (x >= 1) & (y >= 1) & (x <= self.size[1] - 2) & (y <= self.size[0] - 2)
        gain = float(np.median(found[self.strong] / self.level[self.strong])) if self.strong.size else 1.0
        error = np.where(inside, found - min(max(gain, 0.5), 2.0) * self.level, _OTHER)
        scale = max(float(np.median(np.abs(error))), self.noise)
        return self.worth * inside / (1 + (error / (3 * scale)) ** 2) ** 2, error

    def _turn(self, weight: np.ndarray, error: np.ndarray) -> np.ndarray:
        """What turning and zooming add at the ends of half a diagonal, by what is left of the differences, ``[2]``."""
        half = np.hypot(*self.size) / 2
        x, y = (self.points[0] - self.size[1] / 2) / half, (self.points[1] - self.size[0] / 2) / half
        slopes = np.stack([self.slopes[1] * x - self.slopes[0] * y, self.slopes[0] * x + self.slopes[1] * y])
        return -np.linalg.pinv((slopes * weight) @ slopes.T, _FLAT, hermitian=True) @ ((slopes * weight) @ error)


def detail(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """What of a frame, uint8 ``[H, W]`` or ``[H, W, C]``, is neither noise nor slow shade, float ``[h, w]``."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if frame.ndim == 3 and frame.shape[2] == 3 else frame
    small = cv2.resize(grey, (size[1], size[0]), interpolation=cv2.INTER_AREA).astype(np.float32)
    smooth = cv2.GaussianBlur(small, (7, 7), 1.0)
    return smooth - cv2.blur(smooth, (25, 25))


def put_back(
    frame: np.ndarray, shift: np.ndarray, before: np.ndarray | None = None, how: int = cv2.INTER_CUBIC
) -> np.ndarray:
    """A frame without its ``shift [2]`` (x, y) in pixels, interpolated as OpenCV's constant says: ``how``.

    What it does not show at its border is as in a frame ``before``, put back as well, or goes on as the frame ends.
    """
    if not np.any(shift):
        return frame
    height, width = frame.shape[:2]
    matrix = np.array([[1, 0, -shift[0]], [0, 1, -shift[1]]], np.float64)
    still = cv2.warpAffine(frame, matrix, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
    if before is not None and before.shape == frame.shape:
        for axis, side in ((1, shift[0]), (0, shift[1])):
            strip = int(np.ceil(abs(side)))
            gone = slice(-strip, None) if side > 0 else slice(0, strip)
            if strip:
                where = (slice(None), gone) if axis else (gone, slice(None))
                still[where] = before[where]
    return still


def _points(scene: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a scene has most detail, block by block: ``[2, P]`` (x, y), and its slopes there, ``[2, P]``."""
    dx, dy = (cv2.Sobel(scene, cv2.CV_32F, i, 1 - i, ksize=3, scale=1 / 8) for i in (1, 0))
    strength = dx**2 + dy**2
    strength[:MARGIN] = strength[-MARGIN:] = strength[:, :MARGIN] = strength[:, -MARGIN:] = -1
    height, width = scene.shape
    each = max(1, round(POINTS * _BLOCK**2 / scene.size))
    x, y = [], []
    for top in range(0, height, _BLOCK):
        for left in range(0, width, _BLOCK):
            block = strength[top : top + _BLOCK, left : left + _BLOCK]
            best = np.argsort(block, axis=None)[-each:]
            best = best[block.flat[best] >= 0]
            y.append(top + best // block.shape[1])
            x.append(left + best % block.shape[1])
    points = np.stack([np.concatenate(x), np.concatenate(y)])
    return points, np.stack([dx, dy])[:, points[1], points[0]]
