"""The objects of a batch of clips, and what one step of inference says about each of them.

Objects of all clips lie in one list of M rows, each with the index of its clip: an empty slot is no row, and
never reaches a network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sqair.distributions import Gaussian, gaussian_kl

if TYPE_CHECKING:
    from sqair.scene import Prospect


@dataclass
class Posterior:
    """Priors and posteriors of z_where ``[M, 4]`` and z_what ``[M, D]`` in one frame, and their samples.

    ``encoding [M, features]`` is of the object's own glimpse.
    """

    where: Tensor
    what: Tensor
    q_where: Gaussian
    p_where: Gaussian
    q_what: Gaussian
    p_what: Gaussian
    encoding: Tensor

    def kl(self) -> Tensor:
        """KL of both to their priors, ``[M]``."""
        return gaussian_kl(self.q_where, self.p_where) + gaussian_kl(self.q_what, self.p_what)

    def log_ratio(self) -> Tensor:
        """log q - log p of the samples, ``[M]``."""
        where = self.q_where.log_prob(self.where) - self.p_where.log_prob(self.where)
        return where + self.q_what.log_prob(self.what) - self.p_what.log_prob(self.what)


@dataclass
class Objects:
    """Objects alive after a frame.

    Attributes:
        clip: ``[M]`` int64, the clip that the object is in.
        id: ``[M]`` int64, its identity within the clip.
        age: ``[M]`` float, frames since its discovery.
        what: ``[M, D]`` z_what.
        where: ``[M, 4]`` z_where, in units of its prior (geometry.py).
        velocity, acceleration: ``[M, 2]`` first and second differences of the position in z_where.
        hidden: ``[M, hidden]`` recurrent state h.
        glimpse: ``[M, P, G, G]`` what it looked like when last drawn, as the decoder draws.
        unseen: ``[M]`` int64, frames since it was last there; 0 for an object that is there.
        weight: ``[M]`` its z_pres, times that of all it depends on: 1 unless presence is relaxed.
    """

    clip: Tensor
    id: Tensor
    age: Tensor
    what: Tensor
    where: Tensor
    velocity: Tensor
    acceleration: Tensor
    hidden: Tensor
    glimpse: Tensor
    unseen: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return self.clip.shape[0]

    def rows(self, index: Tensor) -> Objects:
        """The rows that ``index`` (a mask or row numbers) picks."""
        return Objects(*(getattr(self, f.name)[index] for f in fields(self)))

    @staticmethod
    def concat(parts: list[Objects]) -> Objects:
        parts = [p for p in parts if len(p)] or parts[:1]
        if len(parts) == 1:
            return parts[0]
        return Objects(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Objects)))


@dataclass
class Rows:
    """What the bound needs to know of each object that was inferred in one frame, present or not.

    Attributes:
        clip: ``[M]`` int64.
        reach: ``[M]`` 1 where the object is part of the scene unless z_pres says otherwise.
        weight: ``[M]`` presence of what has to be there for z_pres to be asked for: 1 unless presence is relaxed.
        q_logit, p_logit: ``[M]`` posterior and prior log-odds of z_pres.
        pres: ``[M]`` the sampled z_pres, times ``weight``.
        kl: ``[M]`` KL of z_what and z_where to their prior, closed form.
        posterior: of z_what and z_where, with their samples.
        gain: ``[M]`` log-likelihood with the object minus without it, the others as they are; no gradient.
        gain_at: the gain ``[M]`` at presences ``[M]`` between 0 and 1.
        gains_given: the gains ``[M]`` with presences ``[M]`` of all of them.
        prospect: whether each would touch another object, and the most that it could gain.
        price: of an object over black, nats.
        contrast: ``[M]`` share of what an object is worth on black that is left before its background.
        new: True for rows of discovery, False for propagation.
        first: True for the first discovery step of a frame.
    """

    clip: Tensor
    reach: Tensor
    weight: Tensor
    q_logit: Tensor
    p_logit: Tensor
    pres: Tensor
    kl: Tensor
    posterior: Posterior
    gain: Tensor
    gain_at: Callable[[Tensor], Tensor]
    gains_given: Callable[[Tensor], Tensor]
    prospect: Prospect
    price: float
    contrast: Tensor
    new: bool
    first: bool
