"""NVIL (Mnih and Gregor, 2014): the score function with a baseline that is learned from the frames."""

from __future__ import annotations

import torch
from torch import Tensor

from sqair.bounds import Terms
from sqair.config import ModelConfig
from sqair.estimators.base import Estimator, by_frame, to_go
from sqair.networks import mlp
from sqair.salience import to_retina


class NVIL(Estimator):
    """Input-dependent baseline and centring, both of which leave the expectation as it is.

    The signal of frame t is the bound still to come minus c (T - t) minus the sum over the frames still to come of
    C(x), where c is a running mean and C a network that is trained on what is left.
    """

    decay = 0.9
    normalise = False
    centre: Tensor
    """Running mean of the bound of a frame."""
    spread: Tensor
    """Running standard deviation of the bound still to come around its mean: the unit in which the network speaks."""
    deviation: Tensor
    """Running standard deviation of the signal."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        height, width = (-(-side // config.retina) for side in (config.height, config.width))
        self.net = mlp(config.channels * height * width, 128, 64, 1, last_gain=0.1)
        self.register_buffer("centre", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("deviation", torch.ones(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def parts(self, total: Terms) -> tuple[Tensor, Tensor, Tensor]:
        """Of each frame ``[T, B]``: what is differentiated as it stands, the reward of its bits, and their log q."""
        bound, log_q = by_frame(total)
        return bound, bound.detach(), log_q

    def forward(self, total: Terms, frames: Tensor, particles: int) -> Tensor:
        bound, reward, log_q = self.parts(total)
        coming = to_go(reward)
        learned = to_go(self.net(to_retina(frames.flatten(0, 1), self.config).flatten(1)).view(frames.shape[:2]))
        signal = self._left(coming, learned.detach())
        scale = self.deviation.clamp_min(1) if self.normalise else 1
        score = (signal / scale * log_q).sum(0)
        self._take(coming, learned.detach())
        missed = self._left(coming, learned) / self.spread
        return -(bound.sum(0) + score).mean() + missed.square().mean()

    def _left(self, coming: Tensor, learned: Tensor) -> Tensor:
        """What neither baseline foresees of ``coming [T, B]``."""
        ahead = torch.arange(len(coming), 0, -1, device=coming.device)[:, None]
        return coming - self.centre * ahead - self.spread * learned

    def _take(self, coming: Tensor, learned: Tensor) -> None:
        """Takes a batch into the running means."""
        keep = 0.0 if self.batches == 0 else self.decay
        self.batches += 1
        self.centre = keep * self.centre + (1 - keep) * coming[0].mean() / len(coming)
        spread, deviation = (self._left(coming, c).square().mean() for c in (torch.zeros_like(learned), learned))
        self.spread = (keep * self.spread**2 + (1 - keep) * spread).sqrt().clamp_min(1)
        self.deviation = (keep * self.deviation**2 + (1 - keep) * deviation).sqrt()


class NormalisedNVIL(NVIL):
    """NVIL with variance normalisation, as in the notes: the signal over its standard deviation.

    Its expectation is no gradient of the bound: what presences are worth is scaled down, by as much as the signal
    varies, and what they cost, KL(n), is not, since that is differentiated exactly; nor is the continuous part.
    """

    normalise = True


class PaperNVIL(NormalisedNVIL):
    """NVIL with the KL of presence in the signal, as in the paper: all that is discrete is scaled down alike."""

    def parts(self, total: Terms) -> tuple[Tensor, Tensor, Tensor]:
        each = [Terms([step]) for step in total.steps]
        fixed = torch.stack([t.log_likelihood - t.kl_z for t in each])
        log_p, log_q = (torch.stack([getattr(t, name) for t in each]) for name in ("log_p_presence", "log_q_presence"))
        return fixed, (fixed + log_p - log_q).detach(), log_q
