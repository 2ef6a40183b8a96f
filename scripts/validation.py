"""How a model does on clips of validation digits, always the same ones: the bound, the count, a picture."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sqair.bounds import Terms
from sqair.datasets.generate import make_clips
from sqair.datasets.overlay import draw_tracks
from sqair.datasets.recipes import Recipe
from sqair.model import SQAIR, Step
from sqair.presence import Inference, Sampled
from sqair.tracker import step_tracks
from sqair.train import to_frames

SEED = 0
SHOWN, COLUMNS, SCALE, GAP = 3, 10, 3, 6


class Validation:
    """A fixed set of clips; looking at them leaves every random state as it was."""

    def __init__(self, recipe: Recipe, clips: int, device: torch.device) -> None:
        made = make_clips(recipe, "val", SEED, 0, clips)
        self.frames = to_frames(made.frames, device)
        self.pixels = made.frames
        count = np.zeros((2, clips, recipe.length), dtype=np.int64)
        for i, truth in enumerate(made.truth):
            np.add.at(count[0, i], truth.frame[truth.score > 0], 1)
            np.add.at(count[1, i], truth.frame, 1)
        self.fewest, self.most = count

    @torch.no_grad()
    def measure(self, model: SQAIR) -> tuple[dict[str, float], list[Step]]:
        """Scores of the amortised posteriors, and the steps of their modes.

        The bound ``elbo`` is a single-sample estimate, nats per frame. ``count_accuracy`` is the share of
        frames with the right number of objects at the modes, with no refinement; objects of which less than
        a quarter is visible may be counted or not. ``count_accuracy_first`` is that of the first frames.
        """
        training = model.training
        model.eval()
        generator = torch.Generator(self.frames.device).manual_seed(SEED)
        summary = Terms(model(self.frames, Sampled(generator))).summary()
        steps = model(self.frames, Inference())
        model.train(training)
        clips = self.frames.shape[1]
        found = np.stack([step.objects.clip.bincount(minlength=clips).cpu().numpy() for step in steps], 1)
        right = (self.fewest <= found) & (found <= self.most)
        accuracy = {"count_accuracy": float(right.mean()), "count_accuracy_first": float(right[:, 0].mean())}
        return {**summary, **accuracy}, steps

    def picture(self, model: SQAIR, steps: list[Step]) -> np.ndarray:
        """Some clips: frames with boxes, over the model's canvases. RGB ``[H, W, 3]``."""
        length = len(steps)
        columns = np.unique(np.linspace(0, length - 1, min(length, COLUMNS)).round().astype(int))
        clips = self._shown(len(columns))
        boxes = {t: step_tracks(steps[t], self.frames[t], int(t), model.config, "ink") for t in columns}
        rows = []
        for group in clips:
            cells = [(clip, t) for clip in group for t in columns]
            above = [draw_tracks(self.pixels[clip, t], boxes[t][clip], scale=SCALE) for clip, t in cells]
            below = [enlarged(steps[t].canvas[clip]) for clip, t in cells]
            rows.append(_stack([_stack(above, 1, 2), _stack(below, 1, 2)], 0, 2))
        return _stack(rows, 0, GAP)

    def _shown(self, columns: int) -> list[list[int]]:
        """Clips to show, those with most objects first: one to a row, or more where clips are short."""
        busiest = np.argsort(-self.most.max(1), kind="stable").tolist()
        across = max(1, min(COLUMNS // columns, len(busiest)))
        rows = min(SHOWN, len(busiest) // across)
        return [busiest[row * across : (row + 1) * across] for row in range(rows)]


def to_image(canvas: Tensor) -> np.ndarray:
    """A canvas ``[C, H, W]`` in [0, 1] as uint8 ``[H, W]`` or ``[H, W, 3]``."""
    image = (canvas.clamp(0, 1) * 255).round().byte().cpu().numpy()
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)


def enlarged(canvas: Tensor) -> np.ndarray:
    image = to_image(canvas)
    image = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    return image.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def _stack(images: list[np.ndarray], axis: int, gap: int) -> np.ndarray:
    """Images in a row (axis 1) or a column (axis 0), apart by ``gap`` grey pixels."""
    shape = list(images[0].shape)
    shape[axis] = gap
    between = np.full(shape, 64, dtype=np.uint8)
    parts = [part for image in images for part in (image, between)]
    return np.concatenate(parts[:-1], axis=axis)
