"""Restarts: the first frame of a clip explained in several ways, or all of it (passes.py), of which the best is kept.

Discovery is greedy, so that where it looks first matters. The ways are particles of the clip: they differ in where
chance lets them look.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sqair.bounds import Terms
from sqair.inference.amortised import Inference
from sqair.inference.refined import Refined
from sqair.model import SQAIR, State, Step
from sqair.windows import Patches


@dataclass
class Scattered(Refined):
    """Looks at way k of each clip, clip b * restarts + k, through weights that are chance's, for k > 0.

    They are others in every round.
    """

    chance: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def attend(self, salience: Tensor, clip: Tensor) -> Tensor:
        weight = _weights(self.restarts, salience, self.chance)
        weight[0] = 1
        return salience * weight[clip % self.restarts]


def _weights(count: int, like: Tensor, chance: torch.Generator) -> Tensor:
    """Smooth random images ``[count, h, w]`` in [0, 1], of the size of ``like [.., h, w]``."""
    noise = torch.rand(count, 1, 4, 4, generator=chance).to(like)
    return F.interpolate(noise, like.shape[-2:], mode="bilinear")[:, 0]


def explain(model: SQAIR, frame: Tensor, state: State, inference: Inference) -> tuple[Step, State]:
    """One step of the model; the first frame of refined clips is explained several times, and the best one kept.

    ``frame`` is ``[B, C, H, W]``. The best is that of the highest bound, with q(z_pres) at what was decided.
    """
    if state.begun or not isinstance(inference, Refined) or inference.restarts == 1:
        return model.step(frame, state, inference)
    tries = inference.restarts
    many = frame.repeat_interleave(tries, 0)  # [B * restarts, C, H, W]
    still = None if state.background is None else state.background.repeat_interleave(tries, 0)
    step, after = model.step(many, model.initial_state(len(many), many, still), Scattered(**vars(inference)))
    terms = Terms([step])
    bound = terms.log_likelihood + terms.log_p_presence - terms.kl_z
    best = bound.view(-1, tries).argmax(1) + tries * torch.arange(len(frame), device=frame.device)  # [B]
    return _pick(step, after, best)


def _pick(step: Step, state: State, clips: Tensor) -> tuple[Step, State]:
    """The step and state of some of the clips, ``clips [B]``."""
    place = torch.full_like(state.next_id, -1)
    place[clips] = torch.arange(len(clips), device=clips.device)
    kept, roster = place[step.objects.clip] >= 0, step.roster
    objects, row = roster.keep(step.objects, kept), roster.pick(kept)
    objects = replace(objects, clip=place[objects.clip].clamp_min(0))

    def of_kept(patches: Patches) -> Patches:
        patches = roster.shown(patches, kept)
        return replace(patches, windows=replace(patches.windows, clip=objects.clip))

    picked = Step(
        canvas=step.canvas[clips],
        log_likelihood=step.log_likelihood[clips],
        log_p_nothing=step.log_p_nothing[clips],
        rows=[],
        objects=objects,
        patches=of_kept(step.patches),
        confidence=step.confidence[row],
        behind=None if step.behind is None else step.behind.rows(clips),
        depth=None if step.depth is None else of_kept(step.depth),
        roster=roster,
    )
    last = None if state.background is None else state.background[clips]
    seated = roster.seats(objects, len(clips), len(state.objects) // len(state.next_id))
    return picked, State(seated, state.next_id[clips], begun=True, background=last)
