"""Footage: clips of a camera that does not move, without labels, as a source of training clips."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from tqdm import tqdm

from sqair.camera import Stabilise, steadied
from sqair.datasets.clip import ClipSource, TruncatedClip
from sqair.datasets.images import to_channels
from sqair.errors import UserError
from sqair.frames import Fit
from sqair.scenery import exposure, most_shown, uncovered
from sqair.steady import Steady

HELD_OUT = 0.05
"""Share of the footage that is kept for validation, or more where a window is more."""
SCENE = 40
"""Frames of a clip from which the image of its scene is taken, evenly spread over it."""
WORKERS = 4
"""Clips that are decoded at a time."""


def scene_image(frames: np.ndarray, *, short: bool = False) -> np.ndarray:
    """What most frames ``[T, H, W, C]`` show, uint8 ``[H, W, C]``, or what those of a ``short`` clip uncover."""
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float().div_(255)
    shown = uncovered(images) if short else most_shown(images[:, None])[0]
    return (255 * shown).round_().byte().permute(1, 2, 0).numpy()


def relit(scene: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """The ``scene [H, W, C]`` in the light of each of the ``frames [T, H, W, C]``, float ``[T, H, W, C]`` of 255."""
    light = exposure(*(torch.from_numpy(v).movedim(-1, -3).float() / 255 for v in (frames, scene)))
    return (scene * light.movedim(-3, -1).numpy()).clip(0, 255)


def scaled(
    clip: ClipSource, size: tuple[int, int], channels: int | None, steady: Steady | None = None
) -> Iterator[np.ndarray]:
    """The frames of a clip on canvases of ``size`` (h, w); those that are there, of a clip that ends early.

    They are put where the scene is if ``steady`` says where that is. Raises UserError as ``ClipSource.frames`` does.
    """
    fit = Fit(clip.size, size)
    for frame in _whole(clip):
        still = frame if steady is None else steady.still(frame)[0]
        yield fit.frame(to_channels(still, channels))


def _whole(clip: ClipSource) -> Iterator[np.ndarray]:
    """The frames of a clip that are there."""
    try:
        yield from clip.frames()
    except TruncatedClip:
        return


def thinned(
    clip: ClipSource, size: tuple[int, int], channels: int | None, most: int
) -> tuple[np.ndarray, int]:
    """At most so many frames, evenly spread over a clip, ``[T, h, w]`` or ``[T, h, w, C]``, and how many it has.

    They are on canvases of ``size`` (h, w), in colour if any of them is. The clip is read once, and memory does not
    grow with its length. Raises UserError as ``ClipSource.frames`` does.
    """
    kept: list[np.ndarray] = []
    fit, step, length = Fit(clip.size, size), 1, 0
    for frame in _whole(clip):
        if length % step == 0:
            kept.append(fit.frame(to_channels(frame, channels)))
        length += 1
        if len(kept) == 2 * most:
            kept, step = kept[::2], 2 * step
    if len({frame.ndim for frame in kept}) > 1:
        kept = [to_channels(frame, 3) for frame in kept]
    chosen = np.unique(np.linspace(0, len(kept) - 1, most).astype(int)) if kept else []
    return np.array([kept[i] for i in chosen], np.uint8), length


def held_out_from(lengths: Sequence[int], window: int) -> list[int]:
    """From which frame on each clip of so many frames is held out, so that training sees only what is before that.

    The ends of long clips are, of short ones a few as a whole, whichever leaves more to train on. What is left of a
    single clip that has no two windows is held out even if it is less than one, or nothing.
    """
    ends = [n - max(window, round(HELD_OUT * n)) if n >= 2 * window else n for n in lengths]
    whole = max(1, round(HELD_OUT * len(lengths)))
    held = sum(lengths) - sum(ends)
    if len(lengths) == 1 or 0 < held <= sum(lengths) * whole / len(lengths):
        return ends if held else [window]
    chosen = set(np.linspace(0, len(lengths) - 1, whole + 2).round().astype(int)[1:-1].tolist())
    return [0 if i in chosen else n for i, n in enumerate(lengths)]


class Footage:
    """Clips of a camera as a source of training clips: windows of ``length`` frames, drawn at random in time.

    All frames are decoded once, some clips at a time, and kept as they are on the canvas, in temporary files without a
    name (in ``TMPDIR``) which the system removes when the process ends. Before that some frames of each clip are looked
    at to tell where its scene is, unless nothing is to be stabilised.

    Attributes:
        clips: those that have a window.
        frames: of each of them, uint8 ``[T, h, w]`` or ``[T, h, w, C]``.
        ends: frames of each that training sees, its first ones; the others are held out.
        left_out: how many clips have none.
    """

    def __init__(
        self,
        clips: Sequence[ClipSource],
        size: tuple[int, int],
        channels: int,
        length: int,
        seed: int,
        stabilise: Stabilise = "auto",
        *,
        short: bool = False,
    ) -> None:
        """Reads all of it, onto canvases of ``size`` (h, w), and takes the scenes of ``short`` clips as such.

        Raises:
            UserError: it is unreadable, or all too short.
        """
        self.length, self.seed = length, seed
        total = None if any(c.length is None for c in clips) else sum(c.length or 0 for c in clips)
        store = partial(_stored, size=size, channels=channels, stabilise=stabilise)
        with tqdm(desc="reading", total=total, unit="frame", disable=None) as bar, ThreadPoolExecutor(WORKERS) as pool:
            stored = list(pool.map(partial(store, bar=bar), clips))
        self.clips = [clip for clip, frames in zip(clips, stored, strict=True) if len(frames) >= length]
        self.frames = [frames for frames in stored if len(frames) >= length]
        self.left_out = len(stored) - len(self.frames)
        if not self.frames:
            longest = int(np.argmax([len(frames) for frames in stored]))
            has = f"{clips[longest].path} has {len(stored[longest])} frames"
            raise UserError(f"{has}, the curriculum asks for clips of {length}")
        self.ends = held_out_from([len(frames) for frames in self.frames], length)
        self.starts = np.maximum(np.array(self.ends) - length + 1, 0)
        self.images = []
        for frames in self.frames:
            some = frames[np.unique(np.linspace(0, len(frames) - 1, SCENE).astype(int))]
            image = scene_image(some if some.ndim == 4 else some[..., None], short=short)
            self.images.append(image if frames.ndim == 4 else image[..., 0])

    def _draw(self, start: int, count: int) -> list[tuple[int, int]]:
        """Which clip and which first frame the windows ``start`` to ``start + count`` are."""
        ends = np.cumsum(self.starts)
        places = [int(np.random.default_rng([self.seed, i]).integers(ends[-1])) for i in range(start, start + count)]
        which = np.searchsorted(ends, places, "right")
        return [(int(c), int(p - (ends[c - 1] if c else 0))) for c, p in zip(which, places, strict=True)]

    def __call__(self, start: int, count: int) -> np.ndarray:
        return np.stack([self.frames[c][t : t + self.length] for c, t in self._draw(start, count)])

    def scenes(self, start: int, count: int) -> np.ndarray:
        """The images of the scenes of these windows, uint8 ``[N, H, W]`` or ``[N, H, W, C]``."""
        return np.stack([self.images[c] for c, _ in self._draw(start, count)])

    def held_out(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """At most ``count`` windows that training does not see, and their scenes.

        They are shorter than ``length`` where a single clip has less to spare; where it has nothing to spare, it is the
        window that training sees.
        """
        spare = max(len(frames) - end for frames, end in zip(self.frames, self.ends, strict=True))
        length = min(self.length, spare) or self.length
        places = []
        for c, (frames, end) in enumerate(zip(self.frames, self.ends, strict=True)):
            places += [(c, t) for t in range(end if spare else 0, len(frames) - length + 1, length)]
        places = [places[i] for i in np.unique(np.linspace(0, len(places) - 1, count).astype(int))]
        windows = np.stack([self.frames[c][t : t + length] for c, t in places])
        return windows, np.stack([self.images[c] for c, _ in places])


def steady_of(clip: ClipSource, size: tuple[int, int], channels: int, stabilise: Stabilise) -> Steady | None:
    """What aligns the frames of a clip for canvases of ``size`` (h, w), by a look at some of them; None for nothing."""
    if stabilise == "off":
        return None
    inner = Fit(clip.size, size).inner
    some, _ = thinned(clip, size, channels, SCENE)
    return steadied(some[:, : inner[0], : inner[1]], stabilise)[0] if len(some) else None


def _stored(
    clip: ClipSource, size: tuple[int, int], channels: int, stabilise: Stabilise, bar: tqdm
) -> np.ndarray:
    """The frames of a clip, uint8 ``[T, h, w]`` or ``[T, h, w, C]``, in a temporary file."""
    shape = size if channels == 1 else (*size, channels)
    steady = steady_of(clip, size, channels, stabilise)
    length = 0
    with tempfile.TemporaryFile() as file:
        try:
            for frame in scaled(clip, size, channels, steady):
                file.write(np.ascontiguousarray(frame).data)
                length += 1
                bar.update()
            file.flush()
        except OSError as error:
            where = tempfile.gettempdir()
            raise UserError(f"{clip.path}: its frames do not fit into {where} ({error}): set TMPDIR") from error
        return np.memmap(file, np.uint8, "r", shape=(length, *shape)) if length else np.empty((0, *shape), np.uint8)
