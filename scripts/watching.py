"""A VRNN in training: how it does on clips of validation digits, always the same ones, and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sqair.baselines.learning import BaselineTrainer
from sqair.baselines.vrnn import VRNN
from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import Recipe
from sqair.frames import to_frames
from sqair.scripts.pictures import spread, stack, strip, to_image
from sqair.scripts.validation import COLUMNS, SEED

if TYPE_CHECKING:
    from sqair.scripts.train import Args
    from sqair.trainer import ClipSource

BANDS = 3


def baseline_trainer(args: Args, source: ClipSource) -> BaselineTrainer:
    """The training of a VRNN on the canvas of ``args.model``, which is the video's."""
    canvas = {side: getattr(args.model, side) for side in ("height", "width", "channels")}
    return BaselineTrainer(replace(args.vrnn, **canvas), args.train, source, args.device)


class Watch:
    """A fixed set of clips; looking at them leaves every random state as it was."""

    def __init__(self, recipe: Recipe, clips: int, device: str = "cpu") -> None:
        self.frames = to_frames(make_clips(recipe, "val", SEED, 0, clips).frames, device)

    @torch.no_grad()
    def measure(self, model: VRNN) -> tuple[dict[str, float], list[Tensor]]:
        """The bound of one particle and its parts, nats per frame; and canvases ``[B, C, H, W]`` of each frame, at the
        means of the posteriors."""
        told = model(self.frames, 1, torch.Generator(self.frames.device).manual_seed(SEED))
        parts = {"elbo": told.log_weight, "log_likelihood": told.log_likelihood, "kl_z": told.log_ratio}
        metrics = {name: float(value.mean()) / len(self.frames) for name, value in parts.items()}
        return metrics, list(model(self.frames, 1, None).canvas)

    def picture(self, model: VRNN, canvases: Sequence[Tensor]) -> np.ndarray:
        """The first clips, above the model's canvases of them. RGB ``[H, W, 3]``."""
        times = spread(len(canvases), COLUMNS)
        bands = []
        for clip in range(min(BANDS, self.frames.shape[1])):
            rows = (self.frames, canvases)
            bands.append(stack([strip(to_image(images[t][clip]) for t in times) for images in rows]))
        return stack(bands, gap=6)
