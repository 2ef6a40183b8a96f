"""Frames tracked one after the other: each a step of the model, which a GPU replays once it has begun (graphs.py)."""

from __future__ import annotations

from dataclasses import fields

from torch import Tensor

from sqair.graphs import Recorded
from sqair.inference import Inference
from sqair.inference.restarts import explain
from sqair.model import SQAIR
from sqair.objects import Objects
from sqair.state import State, Step


class Stepper:
    """Explains frames by one way of inference; what a step gives holds until the next one."""

    def __init__(self, model: SQAIR, inference: Inference) -> None:
        self.model, self.inference = model, inference
        self._recorded = Recorded(self._run)

    def __call__(self, frame: Tensor, state: State) -> tuple[Step, State]:
        """One step on ``frame [B, C, H, W]``; the first one of a clip may look at it in several ways (restarts.py)."""
        if not (state.begun and self.inference.roster.fixed):
            return explain(self.model, frame, state, self.inference)
        objects = [getattr(state.objects, field.name) for field in fields(Objects)]
        return self._recorded(frame, state.next_id, state.background, *objects)

    def _run(self, frame: Tensor, next_id: Tensor, background: Tensor | None, *objects: Tensor) -> tuple[Step, State]:
        return self.model.step(frame, State(Objects(*objects), next_id, True, background), self.inference)
