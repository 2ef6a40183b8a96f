"""The floor: what a tracker gets that looks for connected blobs and learns nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import ndimage, sparse
from scipy.optimize import linear_sum_assignment

from sqair.eval.boxes import iou
from sqair.tracks import Tracks

Likeness = Callable[[np.ndarray, np.ndarray], np.ndarray]
_TOUCHING = np.ones((3, 3), dtype=int)


def track_components(
    frames: np.ndarray, *, threshold: int = 10, min_pixels: int = 16, min_iou: float = 0.01, max_age: int = 2
) -> Tracks:
    """Connected components of every frame, linked by overlap with where constant speed would bring them.

    Args:
        frames: ``[T, H, W]`` or ``[T, H, W, C]`` uint8.
        threshold: what a pixel of an object exceeds, or by how much it differs from the background.
        min_pixels: smaller components are dropped.
        min_iou: overlap of a component with a track's predicted box from which they can be linked.
        max_age: frames that a track may miss before it ends.

    Returns:
        Boxes tight around the components, all with score 1; frames in which a track was not seen have no row.
    """
    found = [components(mask, min_pixels) for mask in foreground(frames, threshold)]
    return link(found, min_iou=min_iou, max_age=max_age)


def mask_components(
    frames: np.ndarray,
    *,
    by_colour: bool = False,
    threshold: int = 10,
    min_pixels: int = 6,
    min_iou: float = 0.01,
    max_age: int = 2,
) -> np.ndarray:
    """Masks of connected components, linked as those of ``track_components``, whose arguments these are.

    Objects are what differs from a plain background, in brightness or in colour, where the clip has one; otherwise
    what ``foreground`` says. ``by_colour`` takes apart what touches and differs by more than ``threshold``.

    Returns:
        ``[T, H, W]`` int64: 1 and the id of the component that a pixel is of, 0 where there is none.
    """
    plain = plain_background(frames)
    colours = frames if frames.ndim == 4 else frames[..., None]
    if plain is None:
        seen = foreground(frames, threshold)
    else:
        seen = np.any(np.abs(colours.astype(np.int16) - plain) > threshold, axis=-1)
    if by_colour:
        found = [coloured(frame, mask, threshold, min_pixels) for frame, mask in zip(colours, seen, strict=True)]
    else:
        found = [labelled(mask, min_pixels) for mask in seen]
    ids = follow([boxes for _, boxes in found], min_iou, max_age)
    names = [np.concatenate([[0], 1 + of]) for of in ids]
    return np.stack([of[label] for (label, _), of in zip(found, names, strict=True)])


def plain_background(frames: np.ndarray) -> np.ndarray | None:
    """The colour ``[C]`` that at least half of all pixels of ``frames`` ([T, H, W] or [T, H, W, C] uint8) have."""
    pixels = frames.reshape(-1, frames.shape[3] if frames.ndim == 4 else 1)
    middle = np.median(pixels, axis=0)
    return middle.astype(np.int16) if (pixels == middle).all(1).mean() >= 0.5 else None


def link(boxes: Sequence[np.ndarray], *, min_iou: float = 0.01, max_age: int = 2) -> Tracks:
    """Tracks of the boxes ``[M, 4]`` of each frame; the options are those of ``track_components``."""
    ids = follow(boxes, min_iou, max_age)
    if not sum(map(len, ids)):
        return Tracks.empty()
    frame = np.repeat(np.arange(len(ids)), [len(of) for of in ids])
    return Tracks(frame, np.concatenate(ids), np.concatenate(boxes))


def follow(
    boxes: Sequence[np.ndarray], least: float, max_age: int, *, likeness: Likeness = iou, keep: float = 0.0
) -> list[np.ndarray]:
    """The ids, from 0 on, of the boxes ``[M, 4]`` of each frame, ``[M]`` int64.

    A track and a box can be linked from a ``likeness`` of ``least`` on, of the boxes ``[U, 4]`` that tracks lead to and
    those of a frame, ``[U, M]``; the sum of it is the greatest there is. ``keep`` is the share of its speed that a
    track keeps as it is seen again.
    """
    tracks: list[_Track] = []
    ids: list[np.ndarray] = []
    born = 0
    for t, new in enumerate(boxes):
        tracks = [track for track in tracks if t - track.seen <= max_age + 1]
        alike = likeness(np.array([track.at(t) for track in tracks]).reshape(-1, 4), new)
        linked = alike >= least
        pairs = zip(*linear_sum_assignment(np.where(linked, alike, 0), maximize=True), strict=True)
        found = {int(j): tracks[i] for i, j in pairs if linked[i, j]}
        for j, box in enumerate(new):
            if j in found:
                found[j].see(t, box, keep)
            else:
                found[j] = _Track(born, t, box)
                tracks.append(found[j])
                born += 1
        ids.append(np.array([found[j].id for j in range(len(new))], dtype=np.int64))
    return ids


def foreground(frames: np.ndarray, threshold: int) -> np.ndarray:
    """``[T, H, W]`` bool: where the objects of ``frames`` ([T, H, W] or [T, H, W, C] uint8) are.

    Where most of the clip's median frame is black (at most ``threshold``), the objects are what is brighter
    than the threshold. Otherwise the median frame is the background, and they are what differs more from it.
    In colour, any channel will do.
    """
    frames = np.asarray(frames)
    if frames.ndim == 3:
        frames = frames[..., None]
    if len(frames) == 0:
        return np.zeros(frames.shape[:3], dtype=bool)
    median = np.median(frames, axis=0).astype(np.int16)
    if np.median(median.max(axis=-1)) <= threshold:
        median = np.zeros_like(median)
    return np.stack([(np.abs(frame - median) > threshold).any(axis=-1) for frame in frames])


def components(mask: np.ndarray, min_pixels: int) -> np.ndarray:
    """``[M, 4]``: boxes ``x, y, w, h`` of the components of ``mask`` ([H, W], bool); corners connect."""
    return labelled(mask, min_pixels)[1]


def labelled(mask: np.ndarray, min_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Which component of ``mask`` each pixel is of, int64 ``[H, W]``, 1 to M or 0, and what ``components`` says."""
    label = np.zeros(mask.shape, dtype=np.int32)
    ndimage.label(mask, structure=_TOUCHING, output=label)
    kept = np.bincount(label.ravel())[1:] >= min_pixels
    boxes = [
        (across.start, down.start, across.stop - across.start, down.stop - down.start)
        for (down, across), large in zip(ndimage.find_objects(label), kept, strict=True)
        if large
    ]
    place = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)])
    return place[label], np.array(boxes, dtype=np.float64).reshape(-1, 4)


def coloured(frame: np.ndarray, mask: np.ndarray, step: int, min_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """What ``labelled`` says of pieces of the ``mask [H, W]`` in which neighbours differ by at most ``step``.

    ``frame`` is uint8 ``[H, W, C]``. What is of no piece that is large enough goes to the nearest.
    """
    place = np.arange(mask.size).reshape(mask.shape)
    colours = frame.astype(np.int16)
    edges = []
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        alike = mask[one] & mask[other] & (np.abs(colours[one] - colours[other]).max(-1) <= step)
        edges.append(np.stack([place[one][alike], place[other][alike]]))
    row, column = np.concatenate(edges, 1)
    graph = sparse.coo_matrix((np.ones(len(row)), (row, column)), (mask.size, mask.size))
    _, label = sparse.csgraph.connected_components(graph, directed=False)
    large = mask & (np.bincount(label)[label].reshape(mask.shape) >= min_pixels)
    _, number = np.unique(np.append(-1, label[large.ravel()]), return_inverse=True)
    piece = np.zeros(mask.shape, dtype=np.int64)
    piece[large] = number[1:]
    if not piece.any():
        return piece, np.zeros((0, 4))
    nearest: Any = ndimage.distance_transform_edt(piece == 0, return_distances=False, return_indices=True)
    piece = np.where(mask, piece[tuple(nearest)], 0)
    places = filter(None, ndimage.find_objects(piece))
    boxes = [(x.start, y.start, x.stop - x.start, y.stop - y.start) for y, x in places]
    return piece, np.array(boxes, dtype=np.float64)


class _Track:
    """The last box of a track, and how its centre moved from the box before to that."""

    def __init__(self, name: int, frame: int, box: np.ndarray) -> None:
        self.id, self.seen, self.box = name, frame, box
        self.speed: np.ndarray | None = None

    def at(self, frame: int) -> np.ndarray:
        """The box ([4]) that constant speed leads to."""
        if self.speed is None:
            return self.box
        return np.concatenate([self.box[:2] + self.speed * (frame - self.seen), self.box[2:]])

    def see(self, frame: int, box: np.ndarray, keep: float) -> None:
        moved = ((box[:2] + box[2:] / 2) - (self.box[:2] + self.box[2:] / 2)) / (frame - self.seen)
        self.speed = moved if self.speed is None else keep * self.speed + (1 - keep) * moved
        self.seen, self.box = frame, box
