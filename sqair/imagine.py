"""The model without a frame: samples from the prior, and what it expects to come after some observed frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from sqair.distributions import Gaussian, geometric_log_prob, sample_bernoulli
from sqair.geometry import where_to_box
from sqair.inference import Inference
from sqair.likeness import OWN, Likeness, Spread
from sqair.model import SQAIR
from sqair.objects import Objects, Posterior
from sqair.render import background
from sqair.state import State
from sqair.stretch import relaxed, stretched
from sqair.windows import Patches

PRICE = 0.7
"""Of an object, nats, in the count prior of what is imagined from nothing."""


class Imagined(NamedTuple):
    """Frames ``[T, B, C, H, W]`` that nobody saw, and the objects of each."""

    frames: Tensor
    objects: list[Objects]


@dataclass(frozen=True)
class Manner:
    """How the prior goes on.

    Attributes:
        price: of an object, nats, where presence is no temporal dependency.
        like: clips that it is to be like, in who stays, who is born, and how far motion strays; None leaves all of that
            to the model, which has nobody born in later frames.
        spread: shares of the model's own standard deviations from the second frame of an object on.
    """

    price: float
    like: Likeness | None = None
    spread: Spread = OWN


@torch.no_grad()
def sample(model: SQAIR, clips: int, length: int, generator: torch.Generator, *, price: float = PRICE) -> Tensor:
    """Clips from the prior: mean images ``[T, B, C, H, W]``.

    Args:
        price: of an object, nats, in the count prior of the first frame, and in whether it stays, where that is no
            temporal dependency; later frames bring no new object. Under the price of training, which is there to keep
            scenes sparse, nearly all scenes would be empty.
    """
    return dream(model, clips, length, generator, Manner(price)).frames


@torch.no_grad()
def dream(model: SQAIR, clips: int, length: int, generator: torch.Generator, manner: Manner) -> Imagined:
    """Clips from the prior, as ``sample``, or like others, with their objects; ids are those of each clip."""
    config, like = model.config, manner.like
    canvases = model.first_hidden.new_zeros(clips, config.channels, config.height, config.width)
    if like is None:
        chances = geometric_log_prob(manner.price, config.first_steps).exp()
    else:
        chances = like.counts
    counts = torch.multinomial(chances, clips, replacement=True, generator=generator).to(canvases.device)
    nobody = model.initial_state(clips, canvases)
    objects, paint, next_id = arrivals(model, counts, nobody.next_id, like, generator)
    frames, seen = [], []
    behind = None
    for number in range(length):
        behind = None if model.background is None else model.background.imagine(canvases, behind, generator)
        if number:
            objects, paint = evolve(
                model, objects, contrast(model, behind, canvases), manner.price, generator, manner.spread, manner.like
            )
            if like is not None and like.born:
                objects, paint, next_id = _joined(model, objects, paint, next_id, like, generator)
        frames.append(canvas(model, paint, clips, behind))
        seen.append(objects)
    return Imagined(torch.stack(frames), seen)


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
    return go_on(model, state, observed.shape[1], horizon, generator, Manner(model.price))


@torch.no_grad()
def go_on(
    model: SQAIR, state: State, clips: int, horizon: int, generator: torch.Generator | None, manner: Manner
) -> Imagined:
    """The prior alone after a ``state`` of ``clips`` clips: by its means or, with a generator, by samples.

    The background stays as it was last. Without a generator nobody is born.
    """
    objects, next_id, like = state.objects, state.next_id, manner.like
    canvases = objects.where.new_zeros(clips, model.config.channels, model.config.height, model.config.width)
    over = contrast(model, state.background, canvases)
    frames, seen = [], []
    for _ in range(horizon):
        objects, paint = evolve(model, objects, over, manner.price, generator, manner.spread, manner.like)
        if generator is not None and like is not None and like.born:
            objects, paint, next_id = _joined(model, objects, paint, next_id, like, generator)
        frames.append(canvas(model, paint, clips, state.background))
        seen.append(objects)
    return Imagined(torch.stack(frames), seen)


def futures(state: State, samples: int) -> State:
    """A ``state`` of B clips as one of ``B * samples``, clip ``b * samples + k`` the k-th of clip b, without who is not
    seen."""
    objects = state.objects.rows(state.objects.unseen == 0)
    rows = torch.arange(len(objects), device=objects.clip.device).repeat_interleave(samples)
    many = objects.rows(rows)
    turn = torch.arange(len(many), device=many.clip.device) % max(1, samples)
    many = replace(many, clip=many.clip * samples + turn)
    carried = None if state.background is None else state.background.repeat_interleave(samples, 0)
    return replace(state, objects=many, next_id=state.next_id.repeat_interleave(samples), background=carried)


def arrivals(
    model: SQAIR, counts: Tensor, next_id: Tensor, like: Likeness | None, generator: torch.Generator
) -> tuple[Objects, Patches, Tensor]:
    """New objects, ``counts [B]`` in each clip, their paint, and the next free ids ``[B]``: of (3), or like others."""
    config = model.config
    clip = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    rank = torch.arange(len(clip), device=counts.device) - (counts.cumsum(0) - counts)[clip]
    if like is None or like.new is None:
        what = Gaussian.standard(model.first_hidden.new_zeros(len(clip), config.z_what)).sample(generator)
        where = Gaussian.standard(what.new_zeros(len(clip), 4)).sample(generator)
    else:
        where, what = like.new.draw(len(clip), generator).to(model.first_hidden).tensor_split([4], -1)
    prior = Gaussian.standard(where), Gaussian.standard(what)
    drawn = Posterior(where_to_box(where, config), where, what, prior[0], prior[0], prior[1], prior[1], what)
    objects, paint = model.born(drawn, clip, next_id)
    return replace(objects, id=next_id[clip] + rank), paint, next_id + counts


def _joined(
    model: SQAIR, objects: Objects, paint: Patches, next_id: Tensor, like: Likeness, generator: torch.Generator
) -> tuple[Objects, Patches, Tensor]:
    """The objects of a frame and those who are born in it, where there is room, with the paint of all."""
    rates = torch.full(next_id.shape, like.born)
    there = torch.bincount(objects.clip, minlength=len(next_id))
    room = (model.config.slots - there).clamp_min(0)
    births = torch.minimum(torch.poisson(rates, generator).long().to(room.device), room)
    new, drawn, next_id = arrivals(model, births, next_id, like, generator)
    return Objects.concat([objects, new]), Patches.concat([paint, drawn]), next_id


def evolve(
    model: SQAIR, objects: Objects, over: Tensor, price: float, generator: torch.Generator | None,
    spread: Spread = OWN, like: Likeness | None = None,
) -> tuple[Objects, Patches]:  # fmt: skip
    """One frame of the prior: objects that stay ``[M]``, moved, and their paint ``[M, P, h, w]``.

    Args:
        over: ``[B]``, the ``contrast`` of each clip's background.
        price: of an object, nats.
        spread: shares of the standard deviations of the prior, as in ``Manner``.
        like: objects stay as often as in these clips.
    """
    moved, paint = advance(model, objects, generator, spread)
    logit = model.stay_logit(price * over[objects.clip]).expand_as(objects.age)
    if like is not None:
        logit = torch.full_like(logit, like.stay).logit()
    stays = sample_bernoulli(logit, generator).bool() & model.config.temporal.any()
    return moved.rows(stays), paint.rows(stays)


def advance(
    model: SQAIR, objects: Objects, generator: torch.Generator | None, spread: Spread = OWN
) -> tuple[Objects, Patches]:
    """One frame of the motion prior, of which everybody is there still; as ``evolve``."""
    p_where, p_what = model.propagation.prior(objects)
    if spread != OWN:
        known = objects.age[:, None] > 0  # the first step draws the speed
        share = p_where.log_std.new_tensor([spread.place, spread.place, spread.size, spread.size]).log()
        p_where = Gaussian(p_where.mean, p_where.log_std + torch.where(known, share, 0.0))
        fade = torch.where(known, p_what.log_std.new_tensor(spread.look).log(), 0.0)
        p_what = Gaussian(p_what.mean, p_what.log_std + fade)
    where, what = p_where.sample(generator), p_what.sample(generator)
    box = where_to_box(where, model.config)
    return model.moved(objects, Posterior(box, where, what, p_where, p_where, p_what, p_what, what))


def contrast(model: SQAIR, carried: Tensor | None, like: Tensor) -> Tensor:
    """Share ``[B]`` of what an object is worth that is left over what a background has ``carried``.

    ``like [B, ...]`` says how many clips there are.
    """
    if model.background is None or carried is None:
        return like.new_ones(len(like))
    image = model.background.draw(carried)
    return model.render.contrast(background(stretched(image, image, model.config)[1]))


def canvas(model: SQAIR, paint: Patches, clips: int, carried: Tensor | None) -> Tensor:
    """Mean images ``[B, C, H, W]`` of objects of ``paint [M, P, h, w]``, before what a background has ``carried``."""
    total = paint.total(torch.ones_like(paint.image[:, 0, 0, 0]), clips)
    if model.background is None or carried is None:
        return model.render.canvas(total, None)
    image = model.background.draw(carried)
    _, moved = stretched(image, image, model.config)
    return relaxed(model.render.canvas(total, background(moved)), image, model.config)
