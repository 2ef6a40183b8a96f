"""What all evaluations share: what was found, means with intervals, errors of pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from sqair.datasets.changes import Variation
from sqair.eval.accounts import Account
from sqair.eval.intervals import Figure, over_clips
from sqair.frames import to_frames
from sqair.scripts.evaluation_data import Data

if TYPE_CHECKING:
    from sqair.scripts.evaluate import Args


@dataclass
class Found:
    """All that was measured: parts by their names, each figure with its interval; what was left out, and why.

    ``account`` is what the model makes of the clips, ``ahead`` what comes next by each way of prediction,
    ``changed`` are the clips with one thing changed and their accounts, ``dreamt`` clips from the prior
    ``[N, T, C, H, W]``, of a model without objects: for pictures.
    """

    about: dict[str, Any]
    data: Data
    account: Account
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    ahead: dict[str, np.ndarray] = field(default_factory=dict)
    changed: dict[str, tuple[Variation, Account]] = field(default_factory=dict)
    dreamt: np.ndarray | None = None


class LeftOut(Exception):
    """A part cannot be measured; the message says why."""


class Gauge:
    """Takes means over clips, and shows how far the work is."""

    def __init__(self, args: Args, bar: tqdm) -> None:
        self.args, self.bar = args, bar
        self.generator = torch.Generator(args.device).manual_seed(args.seed)

    def over(self, values: np.ndarray, weights: np.ndarray | None = None) -> Figure:
        return over_clips(values, weights, seed=self.args.seed)


def measure(found: Found, parts: Mapping[str, Callable[[], dict[str, Any]]]) -> None:
    """Puts into ``found`` what the parts are, and why some are left out."""
    for name, part in parts.items():
        try:
            found.parts[name] = part()
        except LeftOut as reason:
            found.left_out[name] = str(reason)


def reconstruction(meter: Gauge, found: Found) -> dict[str, Any]:
    """Mean squared errors of pixels in [0, 1], on ink and elsewhere where that is known, and over all."""
    wrong = np.square(found.account.canvas - images(found.data.frames)).mean(2)  # [N, T, H, W]
    every = np.ones(wrong.shape)
    masks = {"all": every}
    if found.data.segments is not None:
        ink = found.data.segments > 0
        masks |= {"ink": ink, "elsewhere": ~ink}
    sums = {name: ((wrong * mask).sum((1, 2, 3)), mask.sum((1, 2, 3))) for name, mask in masks.items()}
    return {name: meter.over(*both) for name, both in sums.items() if both[1].sum()}


def to_predict(meter: Gauge, found: Found) -> np.ndarray:
    """The clips as far as they are predicted. Raises LeftOut where they are too short."""
    args, clips = meter.args, found.data.frames
    horizon = min(args.horizon, clips.shape[1] - args.observed)
    if horizon < 1:
        raise LeftOut(f"clips have {clips.shape[1]} frames: none comes after the {args.observed} that are observed")
    return clips[:, : args.observed + horizon]


def prediction_errors(meter: Gauge, found: Found, clips: np.ndarray) -> dict[str, Any]:
    """Mean squared errors of pixels of ``found.ahead``, by its ways, and of the first as a share of the others."""
    coming = images(clips[:, meter.args.observed :])
    wrong = {name: np.square(ahead - coming).mean((2, 3, 4)) for name, ahead in found.ahead.items()}  # [N, horizon]
    first, *others = wrong
    ratio = {name: meter.over(wrong[first].mean(1), wrong[name].mean(1)) for name in others if wrong[name].any()}
    return {
        "observed": meter.args.observed,
        "by_frame": {name: [meter.over(column) for column in value.T] for name, value in wrong.items()},
        "mean": {name: meter.over(value.mean(1)) for name, value in wrong.items()},
        "model_over": ratio,
    }


def images(frames: np.ndarray) -> np.ndarray:
    """uint8 ``[N, T, H, W(, C)]`` as float32 ``[N, T, C, H, W]`` in [0, 1]."""
    return to_frames(frames).transpose(0, 1).numpy()
