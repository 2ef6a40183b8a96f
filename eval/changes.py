"""What of the latents changes when one thing of a clip does: of the object that is changed, and of the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sqair.eval.accounts import Account
from sqair.eval.boxes import iou
from sqair.tracks import Tracks


class Change(NamedTuple):
    """Differences of the objects in both of two sets of clips, ``[S]`` each, one for each object and frame.

    ``what`` and ``where`` are root mean squares over the components, in standard deviations of the posteriors;
    ``right`` and ``down`` are of the middle of the box, pixels; ``wider`` of the log of its sides' geometric mean.
    ``clip`` says whose they are.
    """

    clip: np.ndarray
    what: np.ndarray
    where: np.ndarray
    right: np.ndarray
    down: np.ndarray
    wider: np.ndarray


def presence(account: Account, which: np.ndarray) -> np.ndarray:
    """Share of the frames of each clip ``[N]`` that have an object, of which ``which [R]``, bool, is true."""
    clips, length = account.canvas.shape[:2]
    return np.bincount(account.clip[which], minlength=clips) / length


def apart(truth: Sequence[Tracks], length: int) -> np.ndarray:
    """In which frames ``[N, T]`` no two boxes of a clip touch."""
    frames = np.ones((len(truth), length), bool)
    for n, tracks in enumerate(truth):
        for t in range(length):
            box = tracks.at(t).box
            frames[n, t] = not (iou(box, box) > 0)[~np.eye(len(box), dtype=bool)].any()
    return frames


def change(before: Account, after: Account, which: np.ndarray, which_after: np.ndarray, frames: np.ndarray) -> Change:
    """How an object differs in those ``frames [N, T]``, bool, in which both accounts have it.

    ``which`` and ``which_after`` say of the objects of each account whether they are it, bool ``[R]``.
    """
    which = which & frames[before.clip, before.frame]
    rows = {(before.clip[r], before.frame[r]): r for r in np.flatnonzero(which).tolist()}
    both = [
        (rows[after.clip[r], after.frame[r]], r)
        for r in np.flatnonzero(which_after).tolist()
        if (after.clip[r], after.frame[r]) in rows
    ]
    old, new = np.array(both, np.int64).reshape(-1, 2).T
    shift = after.centre[new] - before.centre[old]
    sides = np.log(after.side[new]).mean(1) - np.log(before.side[old]).mean(1)
    return Change(
        before.clip[old],
        _apart(before.what[old], after.what[new], before.what_std[old]),
        _apart(before.where[old], after.where[new], before.where_std[old]),
        shift[:, 0],
        shift[:, 1],
        sides,
    )


def _apart(old: np.ndarray, new: np.ndarray, std: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square((new - old) / std).mean(1))
