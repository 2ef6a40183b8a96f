"""Refinement at test time: presence by coordinate ascent on what each object gains."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sqair.config import ModelConfig
from sqair.inference.amortised import Inference
from sqair.scene import Evidence, Proposal, Scene


@dataclass
class Refined(Inference):
    """Coordinate ascent on presence, from what each object gains given the others, which is exact (render.Light.gain).

    A new object is accepted where the bound says so: gain - KL - price > 0. With ``crowding`` the price is higher the
    more of it lies on others: what is left to explain of those is rather their error than another object. One that was
    there stays while taking it out would cost the frame enough likelihood. It is a refinement at test time; the
    amortised posteriors are ``Inference``. Thresholds are shares of the price of a new object.
    """

    keep: float = 0.5
    """What an object must gain to be kept. Less than a new one has to: it was there a frame ago, and one that is half
    hidden gains half."""
    back: float = 1.0
    """What a remembered object must gain to return: as much as if it were new."""
    familiar: float = 0.5
    """Most nats by which the place and looks of one that returns may differ from what was expected of it, as a share of
    the price of a new one over black."""
    restarts: int = 8
    """Ways in which the first frame of a clip is explained; the one of the best bound is kept (restarts.py)."""

    def patience(self, config: ModelConfig) -> int:
        return config.patience

    def promising(self, scene: Scene, p_logit: Tensor) -> Tensor:
        """Where an object could be accepted: it gains at most what is missing."""
        return scene.most_missing() + p_logit > 0

    def presence(self, proposal: Proposal, evidence: Evidence, q_logit: Tensor) -> Tensor:
        gain, kl = evidence.gain, evidence.kl
        if proposal.round:
            worth = gain - kl + proposal.p_logit
            if evidence.crowding:
                worth = worth - evidence.crowding * evidence.price * evidence.overlap()
            return (worth > 0).to(gain)
        on, clip, roster = proposal.on.clone(), proposal.objects.clip, self.roster
        known = (kl < self.familiar * evidence.over_black) & proposal.asked
        for _ in roster.rounds(len(on) // evidence.clips):
            drop = _extreme((on > 0) & (gain < self.keep * evidence.price), -gain, clip, evidence.clips)
            back = (on == 0) & (gain > self.back * evidence.price) & known
            add = _extreme(back, gain, clip, evidence.clips)
            if roster.none(drop | add):
                break
            on = torch.where(drop, 0.0, torch.where(add, 1.0, on))
            gain = evidence.given(on)
        return on


def _extreme(candidate: Tensor, value: Tensor, clip: Tensor, clips: int) -> Tensor:
    """The candidate of the largest value in each clip, as a mask ``[M]``."""
    score = torch.where(candidate, value, -torch.inf)
    best = torch.full((clips,), -torch.inf, dtype=value.dtype, device=value.device)
    best = best.scatter_reduce(0, clip, score, "amax")
    return candidate & (score == best[clip])
