"""The model without a frame: samples from the prior, and what it expects to come after some observed frames."""

from __future__ import annotations

import torch
from torch import Tensor

from sqair.distributions import Gaussian, geometric_log_prob, sample_bernoulli
from sqair.geometry import where_to_box
from sqair.inference import Inference
from sqair.model import SQAIR
from sqair.objects import Objects, Posterior
from sqair.render import background
from sqair.windows import Patches


@torch.no_grad()
def sample(model: SQAIR, clips: int, length: int, generator: torch.Generator, *, price: float = 0.7) -> Tensor:
    """Clips from the prior: mean images ``[T, B, C, H, W]``.

    Args:
        price: of an object, nats, in the count prior of the first frame, and in whether it stays, where that is no
            temporal dependency; later frames bring no new object. Under the price of training, which is there to keep
            scenes sparse, nearly all scenes would be empty.
    """
    config = model.config
    like = model.first_hidden.new_zeros(clips, config.channels, config.height, config.width)
    counts = torch.multinomial(
        geometric_log_prob(price, config.first_steps).exp(), clips, replacement=True, generator=generator
    ).to(like.device)
    clip = torch.repeat_interleave(torch.arange(clips, device=like.device), counts)
    what = Gaussian.standard(like.new_zeros(len(clip), config.z_what)).sample(generator)
    where = Gaussian.standard(like.new_zeros(len(clip), 4)).sample(generator)
    prior = Gaussian.standard(where), Gaussian.standard(what)
    drawn = Posterior(where_to_box(where, config), where, what, prior[0], prior[0], prior[1], prior[1], what)
    objects, paint = model.born(drawn, clip, torch.zeros_like(counts))
    behind = None if model.background is None else model.background.imagine(like, None, generator)
    frames = [canvas(model, paint, clips, behind)]
    for _ in range(length - 1):
        behind = None if model.background is None else model.background.imagine(like, behind, generator)
        objects, paint = evolve(model, objects, contrast(model, behind, like), price, generator)
        frames.append(canvas(model, paint, clips, behind))
    return torch.stack(frames)


@torch.no_grad()
def predict(
    model: SQAIR, observed: Tensor, horizon: int, generator: torch.Generator | None = None
) -> tuple[Tensor, list[Objects]]:
    """What comes after ``observed [T, B, C, H, W]``: mean images ``[horizon, B, C, H, W]`` and objects of each frame.

    Observed frames are explained with the modes of the posteriors; then the prior goes on alone, by its means or,
    with a generator, by samples. The background stays as it was last. Objects stay as likely as the model has it:
    without the temporal dependency of presence their means are that all are gone.
    """
    state = model.initial_state(observed.shape[1], observed, model.still(observed))
    for frame in observed:
        _, state = model.step(frame, state, Inference())
    frames, objects, expected = [], state.objects, []
    over = contrast(model, state.background, observed[0])
    for _ in range(horizon):
        objects, paint = evolve(model, objects, over, model.price, generator)
        frames.append(canvas(model, paint, observed.shape[1], state.background))
        expected.append(objects)
    return torch.stack(frames), expected


def evolve(
    model: SQAIR, objects: Objects, over: Tensor, price: float, generator: torch.Generator | None
) -> tuple[Objects, Patches]:
    """One frame of the prior: objects that stay ``[M]``, moved, and their paint ``[M, P, h, w]``.

    Args:
        over: ``[B]``, the ``contrast`` of each clip's background.
        price: of an object, nats.
    """
    p_where, p_what = model.propagation.prior(objects)
    where, what = p_where.sample(generator), p_what.sample(generator)
    logit = model.stay_logit(price * over[objects.clip]).expand_as(objects.age)
    stays = sample_bernoulli(logit, generator).bool() & model.config.temporal.any()
    drawn = Posterior(where_to_box(where, model.config), where, what, p_where, p_where, p_what, p_what, what)
    moved, paint = model.moved(objects, drawn)
    return moved.rows(stays), paint.rows(stays)


def contrast(model: SQAIR, carried: Tensor | None, like: Tensor) -> Tensor:
    """Share ``[B]`` of what an object is worth that is left over what a background has ``carried``.

    ``like [B, ...]`` says how many clips there are.
    """
    if model.background is None or carried is None:
        return like.new_ones(len(like))
    return model.render.contrast(background(model.background.draw(carried)))


def canvas(model: SQAIR, paint: Patches, clips: int, carried: Tensor | None) -> Tensor:
    """Mean images ``[B, C, H, W]`` of objects of ``paint [M, P, h, w]``, before what a background has ``carried``."""
    behind = None
    if model.background is not None and carried is not None:
        behind = background(model.background.draw(carried))
    return model.render.canvas(paint.total(torch.ones_like(paint.image[:, 0, 0, 0]), clips), behind)
