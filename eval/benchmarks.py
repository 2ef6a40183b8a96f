"""Which rows of a ground truth are scored, by the rules of MOTChallenge's benchmarks as TrackEval applies them.

==========  ==========================  =====================================  =================================
benchmark   scored                      takes predictions along                neither: predictions on it are
                                                                               false positives
==========  ==========================  =====================================  =================================
mot15       conf not 0                                                         conf 0
mot17       class 1 and conf not 0      classes 2, 7, 8, 12, whatever conf     other classes; class 1 of conf 0
mot20       class 1 and conf not 0      the same and 6                         other classes; class 1 of conf 0
==========  ==========================  =====================================  =================================

The classes: 1 pedestrian, 2 person on a vehicle, 3 car, 4 bicycle, 5 motorbike, 6 other vehicle, 7 static person,
8 distractor, 9 to 11 occluders, 12 reflection, 13 crowd. ``mot17`` is also MOT16's rule. ``conf`` is cut to a whole
number first, so that 0.9 counts as 0 and -1 as not 0.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, get_args

import numpy as np

from sqair.errors import UserError
from sqair.files.mot_rows import Rows

Benchmark = Literal["auto", "mot15", "mot17", "mot20"]
TAKING_ALONG = {"mot15": (), "mot17": (2, 7, 8, 12), "mot20": (2, 6, 7, 8, 12)}
TITLES = {"mot15": "MOT15", "mot17": "MOT16/17", "mot20": "MOT20"}
CLASSES = range(1, 14)


class Role(IntEnum):
    """What becomes of a row of ground truth."""

    SCORED = 0
    TAKES_ALONG = 1
    """Left out, with the predictions that are matched to it."""
    LEFT_OUT = 2


def rule_of(benchmark: Benchmark, clip: str, truth: Rows) -> str:
    """``benchmark``, or for "auto" the one whose rule the ground truth of a clip follows.

    That is ``mot15`` where the file has no classes, or one that MOT16 to MOT20 do not know; else ``mot20`` where the
    name of the clip, or of the folder of its ``gt/gt.txt``, begins with MOT20, and ``mot17`` for all others.

    Raises:
        UserError: there is no such benchmark.
    """
    if benchmark not in get_args(Benchmark):
        raise UserError(f"benchmark {benchmark!r} is none of {', '.join(get_args(Benchmark))}")
    if benchmark != "auto":
        return benchmark
    if not np.isin(truth.kind, CLASSES).all():
        return "mot15"
    names = [clip, *([] if truth.path is None else [truth.path.absolute().parent.parent.name])]
    return "mot20" if any(name.upper().startswith("MOT20") for name in names) else "mot17"


def roles(truth: Rows, rule: str) -> np.ndarray:
    """``[M]``, the :class:`Role` of every row.

    Raises:
        UserError: the rule looks at classes, and a row has none of those that it knows.
    """
    role = np.where(np.trunc(truth.conf) == 0, Role.LEFT_OUT, Role.SCORED)
    if rule == "mot15":
        return role
    (unknown,) = np.nonzero(~np.isin(truth.kind, CLASSES))
    if len(unknown):
        at = unknown[0]
        raise UserError(
            f"{truth.place(at)}: class {truth.kind[at]} is none of {rule}'s, 1 to 13: "
            "--benchmark mot15 does not look at classes"
        )
    role[truth.kind != 1] = Role.LEFT_OUT
    role[np.isin(truth.kind, TAKING_ALONG[rule])] = Role.TAKES_ALONG
    return role


def check_predictions(found: Rows, rule: str) -> None:
    """Raises UserError if predictions are of another class than the one that is scored, as TrackEval does."""
    (other,) = np.nonzero(found.kind > 1)
    if rule != "mot15" and len(other):
        at = other[0]
        raise UserError(
            f"{found.place(at)}: a prediction of class {found.kind[at]}, where only pedestrians (1) are scored: leave "
            "such rows out, or add --benchmark mot15, which does not look at classes"
        )
