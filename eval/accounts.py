"""What a model makes of clips at the modes of its amortised posteriors, as arrays; and who of it is who is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sqair.boxes import step_tracks
from sqair.eval.boxes import iou
from sqair.eval.linking import by_overlap
from sqair.frames import to_frames
from sqair.geometry import where_to_box
from sqair.inference import Inference
from sqair.model import SQAIR, Step
from sqair.tracks import Tracks

CLIPS = 64
"""Clips that are explained at a time."""
GATE = 0.5
"""Overlap of boxes from which an object is one that is there."""


@dataclass
class Account:
    """N clips of T frames as a model has them, with R objects in all frames of all clips, by clip and then by frame.

    Attributes:
        canvas: ``[N, T, C, H, W]`` float32, the mean of p(x | z).
        clip, frame, id: ``[R]`` int64; of a model that explains each frame by itself ids are by overlap (linking.py).
        what, what_std: ``[R, D]``, mean and standard deviation of q(z_what).
        where, where_std: ``[R, 4]``, of q(z_where), in units of its prior.
        centre: ``[R, 2]``, x and y of the middle of the box of z_where, and ``side [R, 2]``, its w and h, pixels.
        box: ``[R, 4]``, x, y, w, h around the ink that the object explains, pixels.
    """

    canvas: np.ndarray
    clip: np.ndarray
    frame: np.ndarray
    id: np.ndarray
    what: np.ndarray
    what_std: np.ndarray
    where: np.ndarray
    where_std: np.ndarray
    centre: np.ndarray
    side: np.ndarray
    box: np.ndarray

    @property
    def count(self) -> np.ndarray:
        """Objects in each frame, ``[N, T]``."""
        count = np.zeros(self.canvas.shape[:2], np.int64)
        np.add.at(count, (self.clip, self.frame), 1)
        return count


def accounts(model: SQAIR, clips: np.ndarray, device: str = "cpu") -> Iterator[Account]:
    """The account of ``clips``, uint8 ``[N, T, H, W(, C)]``, ``CLIPS`` of them at a time."""
    for start in range(0, len(clips), CLIPS):
        yield _account(model, to_frames(clips[start : start + CLIPS], device))


def joined(parts: Sequence[Account]) -> Account:
    """Accounts of parts of a set of clips as that of all of it."""
    first = np.cumsum([0, *(len(part.canvas) for part in parts)])
    arrays = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Account)}
    arrays["clip"] = np.concatenate([part.clip + at for part, at in zip(parts, first, strict=False)])
    return Account(**arrays)


def _account(model: SQAIR, frames: Tensor) -> Account:
    with torch.no_grad():
        steps = model(frames, Inference(), model.still(frames))
        rows = [_rows(model, step, frame, t) for t, (step, frame) in enumerate(zip(steps, frames, strict=True))]
    arrays = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    if not model.config.temporal.any():
        arrays["id"] = _linked(arrays, len(frames))
    order = np.lexsort((arrays["id"], arrays["frame"], arrays["clip"]))
    canvas = torch.stack([step.canvas for step in steps], 1).cpu().numpy()
    return Account(canvas, **{name: array[order] for name, array in arrays.items()})


def _linked(rows: Mapping[str, np.ndarray], length: int) -> np.ndarray:
    """Ids ``[R]`` of objects that were found in each frame by itself, by the overlap of their boxes."""
    ids = rows["id"].copy()
    for clip in np.unique(rows["clip"]).tolist():
        mine = np.flatnonzero(rows["clip"] == clip)
        mine = mine[np.argsort(rows["frame"][mine], kind="stable")]
        ids[mine] = by_overlap([rows["box"][mine[rows["frame"][mine] == t]] for t in range(length)])
    return ids


def _rows(model: SQAIR, step: Step, frame: Tensor, t: int) -> dict[str, np.ndarray]:
    """The objects of a frame, in no order that means anything."""
    objects = step.objects
    there = [(rows.proposal.posterior, rows.there) for rows in step.rows]

    def of(pick: str) -> Tensor:
        spread = [getattr(posterior, f"q_{pick}").log_std[on].exp() for posterior, on in there]
        return torch.cat([getattr(objects, pick)[:0], *spread])

    box = where_to_box(objects.where, model.config)
    ink = step_tracks(step, frame, t, model.config, "ink")
    by_id = {(b, int(i)): box for b, tracks in enumerate(ink) for i, box in zip(tracks.id, tracks.box, strict=True)}
    names = zip(objects.clip.tolist(), objects.id.tolist(), strict=True)
    values = {
        "clip": objects.clip, "id": objects.id, "what": objects.what, "what_std": of("what"),
        "where": objects.where, "where_std": of("where"), "centre": box[:, :2], "side": box[:, 2:],
    }  # fmt: skip
    rows = {name: value.cpu().numpy() for name, value in values.items()}
    tight = np.array([by_id[name] for name in names], np.float64).reshape(-1, 4)
    return {**rows, "frame": np.full(len(tight), t), "box": tight}


def matched(account: Account, truth: Sequence[Tracks]) -> np.ndarray:
    """Which object of the truth each is, by its id, ``[R]``, or -1: in every frame by the largest overlap in all."""
    which = np.full(len(account.clip), -1)
    for clip, tracks in enumerate(truth):
        mine = np.flatnonzero(account.clip == clip)
        for t in np.unique(account.frame[mine]).tolist():
            rows, there = mine[account.frame[mine] == t], tracks.at(t)
            overlap = iou(account.box[rows], there.box)
            for i, j in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
                if overlap[i, j] >= GATE:
                    which[rows[i]] = there.id[j]
    return which
