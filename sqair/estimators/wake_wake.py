"""Reweighted wake-sleep (Bornschein and Bengio, 2015) without its sleep phase: Le et al. (2019) call it wake-wake."""

from __future__ import annotations

from torch import Tensor

from sqair.bounds import Terms, iwae
from sqair.estimators.vimco import Vimco


class WakeWake(Vimco):
    """q(z_pres) learns to be the posterior: sum_k w_k / sum_j w_j d log q_k descends on KL(p(z | x) || q(z_pres)).

    All else is trained on the K-particle bound. The normalised weights are biased for the posterior, the less the
    more particles there are; no signal of a bit's effect is needed, so that there is nothing to centre.
    """

    def forward(self, total: Terms, frames: Tensor, particles: int) -> Tensor:
        log_weight, log_q = (v.view(self.particles(particles), -1) for v in (total.log_weight, total.log_q_presence))
        bound = iwae(log_weight + log_q - log_q.detach())  # in which q(z_pres) is a constant
        return -(bound + (log_weight.detach().softmax(0) * log_q).sum(0)).mean()
