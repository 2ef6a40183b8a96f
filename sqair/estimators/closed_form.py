"""Local expectation of presence, the project's own route."""

from __future__ import annotations

import torch
from torch import Tensor

from sqair.bounds import Terms, local_presence_gain
from sqair.estimators.base import Estimator
from sqair.inference import Sampled


class ClosedForm(Estimator):
    """d ELBO / d q(z_pres) is the gain of the object, which is exact and cheap.

    After Titsias and Lazaro-Gredilla (2015). For each object the others stay as they were sampled and both values
    of its own presence are enumerated. Biased on clips: what an object's presence changes in later frames, and for
    objects discovered after it, is left out.
    """

    fixed = True

    def inference(self, sampled: Sampled, length: int) -> Sampled:
        return sampled  # its gradient in a bit does not depend on what the bit is

    def forward(self, total: Terms, frames: Tensor, particles: int) -> Tensor:
        loss = -(total.log_likelihood - total.kl_z).sum()
        loss = loss - (torch.sigmoid(total.each(lambda r: r.q_logit)) * total.each(local_presence_gain)).sum()
        return (loss + total.kl_presence.sum()) / len(total.log_likelihood)
