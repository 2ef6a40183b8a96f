"""What an object is from frame to frame: born when discovery finds it, moved by propagation, missed where unseen.

z_what and z_where go on without their gradients: what a frame makes of them is not blamed on later ones.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sqair.objects import Objects, Posterior
from sqair.render import MIDDLE

_OF_LATE = 100.0
"""Frames of which the usual size of an object is the mean, about; of a younger one all that there were."""


def born(posterior: Posterior, clip: Tensor, identity: Tensor, glimpse: Tensor, hidden: Tensor) -> Objects:
    """The objects of discovery in the clips ``clip [M]``, called ``identity [M]``, at rest.

    ``glimpse [M, P, G, G]`` is as the decoder draws them, ``hidden [M, hidden]`` the recurrent state before any frame.
    """
    where, what = posterior.where.detach(), posterior.what.detach()
    rest = torch.zeros_like(where[:, :2])
    age = torch.zeros_like(where[:, 0])
    return Objects(
        clip=clip,
        id=identity,
        age=age,
        what=what,
        where=where,
        velocity=rest,
        acceleration=rest,
        hidden=hidden,
        glimpse=glimpse.detach(),
        unseen=torch.zeros_like(clip),
        layer=torch.full_like(clip, MIDDLE),
        weight=torch.ones_like(age),
        usual_size=where[:, 2:],
    )


def moved(old: Objects, posterior: Posterior, glimpse: Tensor) -> Objects:
    """Objects of the last frame with the latents of this one; ``glimpse [M, P, G, G]`` is as the decoder draws them."""
    return _after(old, posterior.where.detach(), posterior.what.detach(), glimpse)


def missed(old: Objects, posterior: Posterior) -> Objects:
    """The objects of the last frame after they were not seen in this one: moved on as their prior expects."""
    expected = _after(old, posterior.p_where.mean.detach(), old.what, old.glimpse)
    return replace(expected, unseen=old.unseen + 1)


def _after(old: Objects, where: Tensor, what: Tensor, glimpse: Tensor) -> Objects:
    velocity = (where - old.where)[:, :2]
    seen = (old.age > 0).to(where.dtype)[:, None]
    new = 1 / (old.age + 2).clamp_max(_OF_LATE)[:, None]
    return replace(
        old,
        age=old.age + 1,
        what=what,
        where=where,
        velocity=velocity,
        acceleration=seen * (velocity - old.velocity),
        glimpse=glimpse.detach(),
        unseen=torch.zeros_like(old.unseen),
        usual_size=old.usual_size + new * (where[:, 2:] - old.usual_size),
    )


def turned(old: Objects) -> Objects:
    """The objects of a frame as they go back in time, the way that they came."""
    return replace(old, velocity=-old.velocity)
