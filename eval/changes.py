"""What of the latents changes when one thing of a clip does: of the object that is changed, and of the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sqair.eval.accounts import Account


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


def presence(account: Account, which: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Share of frames ``[N]`` in which one object of each clip, ``objects [N]`` of the truth, is found."""
    found = which == objects[account.clip]
    return np.bincount(account.clip[found], minlength=len(objects)) / account.canvas.shape[1]


def change(
    before: Account, after: Account, which: np.ndarray, which_after: np.ndarray, objects: np.ndarray
) -> Change:
    """How one object of each clip, ``objects [N]`` of the truth, differs in the frames in which both have it.

    ``which`` and ``which_after`` say of the objects of each account who of the truth they are.
    """
    rows = {(before.clip[r], before.frame[r]): r for r in np.flatnonzero(which == objects[before.clip]).tolist()}
    both = [
        (rows[after.clip[r], after.frame[r]], r)
        for r in np.flatnonzero(which_after == objects[after.clip]).tolist()
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
