"""The objects of a batch of clips, and the priors and posteriors of their latents in one frame.

Objects of all clips lie in one list of M rows, each with the index of its clip: an empty slot is no row, and
never reaches a network, unless sizes have to be the same in every frame (roster.py).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from sqair.distributions import Gaussian, gaussian_kl


@dataclass
class Posterior:
    """Priors and posteriors of z_where ``[M, 4]`` and z_what ``[M, D]`` in one frame, and their samples.

    ``box [M, 4]`` is that of ``where`` (centre x, y, w, h in pixels), ``encoding [M, features]`` of the object's own
    glimpse.
    """

    box: Tensor
    where: Tensor
    what: Tensor
    q_where: Gaussian
    p_where: Gaussian
    q_what: Gaussian
    p_what: Gaussian
    encoding: Tensor

    def rows(self, index: Tensor) -> Posterior:
        """The rows that ``index`` (a mask or row numbers) picks."""

        def some(of: Gaussian) -> Gaussian:
            return Gaussian(of.mean[index], of.log_std[index])

        q, p = (some(self.q_where), some(self.q_what)), (some(self.p_where), some(self.p_what))
        samples = self.box[index], self.where[index], self.what[index]
        return Posterior(*samples, q[0], p[0], q[1], p[1], self.encoding[index])

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
        layer: ``[M]`` int64, which it is in, from back to front, if there are several (render.Layered).
        weight: ``[M]`` its z_pres, times that of all it depends on: 1 unless presence is relaxed; 0 of an empty seat.
        usual_size: ``[M, 2]`` the mean of its size (w, h) of late, in units of z_where, so that 0 is typical (life.py).
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
    layer: Tensor
    weight: Tensor
    usual_size: Tensor

    def __len__(self) -> int:
        return self.clip.shape[0]

    def rows(self, index: Tensor) -> Objects:
        """The rows that ``index`` (a mask or row numbers) picks."""
        return Objects(*(getattr(self, f.name)[index] for f in fields(self)))

    @property
    def there(self) -> Tensor:
        """Which are no empty seats (roster.Fixed), ``[M]``."""
        return self.weight.detach() != 0

    @staticmethod
    def none(like: Tensor, what: int, hidden: int, channels: int, glimpse: int) -> Objects:
        """No objects, whose tensors are like ``like``; D, the size of h, P and G."""
        none, row = like.new_zeros, torch.zeros(0, dtype=torch.int64, device=like.device)
        return Objects(
            row, row, none(0), none(0, what), none(0, 4), none(0, 2), none(0, 2),
            none(0, hidden), none(0, channels, glimpse, glimpse), row, row, none(0), none(0, 2),
        )  # fmt: skip

    @staticmethod
    def concat(parts: list[Objects]) -> Objects:
        parts = [p for p in parts if len(p)] or parts[:1]
        if len(parts) == 1:
            return parts[0]
        return Objects(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Objects)))
