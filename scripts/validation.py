"""How a model does on clips of validation digits, always the same ones: the bound, the count, a picture."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sqair.bounds import Terms
from sqair.boxes import step_tracks
from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import Recipe
from sqair.frames import to_frames
from sqair.inference import Inference, Sampled
from sqair.model import SQAIR, Step
from sqair.render import background
from sqair.scripts.pictures import spread, stack, strip, to_image

SEED = 0
BANDS, COLUMNS = 3, 10
_DEVIATION = 1.4826
"""Standard deviation of what is normally distributed, over the median of its absolute value."""


def explained(frames: Tensor, steps: list[Step]) -> float | None:
    """Share of what differs between frames ``[T, B, C, H, W]`` and their backgrounds that is gone with the objects.

    What differs is the sum of squares, less that of noise, which is told by the median; None where that is nothing.
    Less than 0 where objects do harm.
    """
    apart, left, pixels = 0.0, 0.0, 0.0
    away = []
    for frame, step in zip(frames, steps, strict=True):
        behind = torch.zeros_like(frame) if step.behind is None else background(step.behind.image)
        away.append((frame - behind).abs().flatten())
        apart += float((frame - behind).square().sum())
        left += float((frame - step.canvas).square().sum())
        pixels += frame.numel()
    noise = pixels * (_DEVIATION * float(torch.cat(away).median())) ** 2
    return None if apart <= 1.05 * noise else min(1.0, 1 - (left - noise) / (apart - noise))


class Validation:
    """A fixed set of clips; looking at them leaves every random state as it was."""

    def __init__(
        self,
        clips: np.ndarray,
        scenes: np.ndarray | None = None,
        count: np.ndarray | None = None,
        device: str = "cpu",
    ) -> None:
        """Clips ``[N, T, H, W(, 3)]`` uint8, and what is known of them.

        Args:
            scenes: uint8 ``[N, H, W(, 3)]``, the images of their scenes.
            count: ``[2, N, T]``, the fewest and the most objects that a frame may be said to have.
        """
        self.pixels, self.count = clips, count
        self.frames = to_frames(clips, device)
        self.still = None if scenes is None else to_frames(scenes[:, None], device)[0]

    @classmethod
    def generated(cls, recipe: Recipe, clips: int, device: str = "cpu") -> Validation:
        """Clips of validation digits; objects of which less than a quarter is visible may be counted or not."""
        made = make_clips(recipe, "val", SEED, 0, clips)
        count = np.zeros((2, clips, recipe.length), dtype=np.int64)
        for i, truth in enumerate(made.truth):
            np.add.at(count[0, i], truth.frame[truth.score > 0], 1)
            np.add.at(count[1, i], truth.frame, 1)
        return cls(made.frames, count=count, device=device)

    @torch.no_grad()
    def measure(self, model: SQAIR) -> tuple[dict[str, float], list[Step]]:
        """Scores of the amortised posteriors, and the steps of their modes.

        The bound ``elbo`` is a single-sample estimate, nats per frame. ``count_accuracy`` is the share of
        frames with the right number of objects at the modes, with no refinement, where the truth is known;
        ``count_accuracy_first`` is that of the first frames. ``explained`` is the share of what moves that objects
        explain, see ``explained``; ``found`` is the number of objects in a frame, ``full`` the share of frames that
        have the most that there can be.
        """
        training = model.training
        model.eval()
        generator = torch.Generator(self.frames.device).manual_seed(SEED)
        still = model.still(self.frames) if self.still is None else self.still
        summary = Terms(model(self.frames, Sampled(generator), still)).summary()
        steps = model(self.frames, Inference(), still)
        model.train(training)
        found = self._counts(steps)
        seen = {"found": float(found.mean()), "full": float((found >= model.config.slots).mean())}
        share = explained(self.frames, steps)
        summary = {**summary, **seen, **({} if share is None else {"explained": share})}
        if self.count is None:
            return summary, steps
        right = (self.count[0] <= found) & (found <= self.count[1])
        accuracy = {"count_accuracy": float(right.mean()), "count_accuracy_first": float(right[:, 0].mean())}
        return {**summary, **accuracy}, steps

    def _counts(self, steps: list[Step]) -> np.ndarray:
        """How many objects the model finds in each frame, ``[N, T]``."""
        clips = self.frames.shape[1]
        return np.stack([step.objects.clip.bincount(minlength=clips).cpu().numpy() for step in steps], 1)

    def picture(self, model: SQAIR, steps: list[Step]) -> np.ndarray:
        """Clips with most objects: frames with boxes, over the model's canvases. RGB ``[H, W, 3]``."""
        times = spread(len(steps), COLUMNS)
        boxes = {t: step_tracks(steps[t], self.frames[t], t, model.config, "ink") for t in times}
        count = self._counts(steps) if self.count is None else self.count[1]
        busiest = np.argsort(-count.max(1), kind="stable").tolist()
        across = min(COLUMNS // len(times), len(busiest))
        bands = []
        for row in range(min(BANDS, len(busiest) // across)):
            cells = [(clip, t) for clip in busiest[row * across : (row + 1) * across] for t in times]
            frames = strip([self.pixels[cell] for cell in cells], [boxes[t][clip] for clip, t in cells])
            canvases = strip([to_image(steps[t].canvas[clip]) for clip, t in cells])
            bands.append(stack([frames, canvases]))
        return stack(bands, gap=6)
