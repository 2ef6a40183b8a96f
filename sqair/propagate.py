"""Propagation: the objects of the last frame, found again in this one.

Prior and posterior of z_where, z_what and z_pres given the object's past; the four temporal dependencies of
section 7 of the seed each have their switch here.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from sqair.config import ModelConfig
from sqair.distributions import Gaussian
from sqair.encoder import Appearance, GlimpseEncoder
from sqair.geometry import centre_to_where, drift_unit, read, where_to_box
from sqair.matcher import Matcher
from sqair.networks import mlp
from sqair.objects import Objects, Posterior
from sqair.scene import Scene
from sqair.windows import read_from


class MotionPrior(nn.Module):
    """p(z_where_t, z_what_t | past): constant velocity with learned gains and corrections; size and appearance stay."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.net = mlp(4 + 2 * 3 + 1 + config.hidden, 128, 2 + 4 + config.z_what, last_gain=0.1)
        self.gain = nn.Parameter(torch.tensor([0.9, 0.0]))

    def forward(self, objects: Objects) -> tuple[Gaussian, Gaussian]:
        """Priors of z_where ``[M, 4]`` and z_what ``[M, D]``."""
        on = self.config.temporal
        if not on.position:
            still = torch.zeros_like(objects.velocity)
            objects = replace(objects, where=torch.zeros_like(objects.where), velocity=still, acceleration=still)
        step = self.gain[0] * objects.velocity + self.gain[1] * objects.acceleration
        place, size = objects.where.chunk(2, -1)
        ahead = place + step
        young = torch.exp(-objects.age)[:, None]
        unit = drift_unit(self.config, ahead)
        speed, change = objects.velocity / unit[:2], objects.acceleration / unit[:2]
        past = torch.cat([objects.where, speed, change, ahead, young, objects.hidden], -1)
        shift, spread, fade = self.net(past).split([2, 4, self.config.z_what], -1)
        moved = torch.cat([ahead + 0.2 * unit[:2] * shift, size], -1)
        where = Gaussian.around(moved, torch.zeros_like(moved), spread, -1.5, unit=unit)
        what = Gaussian.around(objects.what, torch.zeros_like(fade), fade, -1.5)
        if not on.position:
            where = Gaussian.standard(objects.where)
        if not on.appearance:
            what = Gaussian.standard(objects.what)
        return where, what


class Propagation(nn.Module):
    """q(z_where_t, z_what_t | frame, past) for all objects at once."""

    def __init__(self, config: ModelConfig, appearance: Appearance) -> None:
        super().__init__()
        self.config = config
        self.appearance = appearance
        self.prior = MotionPrior(config)
        self.search = GlimpseEncoder(config)
        self.where = mlp(config.features + config.hidden + 8, 128, 8, last_gain=0.1)
        self.gate = mlp(config.features + config.hidden, 64, config.z_what, last_gain=0.1)

    def forward(self, scene: Scene, objects: Objects, generator: torch.Generator | None) -> Posterior:
        """The latents in this frame of ``objects``, which are as the last one left them."""
        config, clip = self.config, objects.clip
        p_where, p_what = self.prior(objects)
        with torch.no_grad():
            looks, price, there = self._template(objects), scene.over_black, objects.there
            match = Matcher(scene.retina, clip, looks, p_where, config, price, there, scene.roster)
            if (trust := scene.trust()) is not None:
                match.trust = match.region.cut(trust)
            centre, explained = match.run()  # [M, 2], [M, E, h', w']
            predicted = where_to_box(p_where.mean, config)
            window = torch.cat([centre, predicted[:, 2:] + 2 * config.search_margin], -1)
            seen = torch.cat([match.seen, explained], 1)
            glimpse = read(seen, match.region.local(window), config.glimpse, config.retina)  # [M, S + E, G, G]
            start = torch.cat([centre_to_where(centre, config), p_where.mean[:, 2:]], -1)  # [M, 4]
            unit = drift_unit(config, start)
            surprise = torch.cat([(start - p_where.mean) / unit, p_where.log_std - unit.log()], -1)  # [M, 8]
        q_where = self._where(self.search(glimpse), objects.hidden, start, surprise)
        if config.growth:
            q_where = _within(q_where, objects.usual_size.amax(-1, keepdim=True), config)
        where = q_where.sample(generator)
        box = where_to_box(where, config)
        with torch.no_grad():
            own = read_from(scene.sight, clip, box, config)
            others = read(explained, match.region.local(box), config.glimpse, config.retina)
            glimpse = torch.cat([own, others], 1)  # [M, S + E, G, G]
        encoding, q_what = self.appearance(glimpse)
        if config.temporal.appearance:
            gate = torch.sigmoid(self.gate(torch.cat([encoding, objects.hidden], -1)) - 1)
            q_what = Gaussian(gate * q_what.mean + (1 - gate) * objects.what, q_what.log_std)
        return Posterior(box, where, q_what.sample(generator), q_where, p_where, q_what, p_what, encoding)

    def _template(self, objects: Objects) -> Tensor:
        """What to look for ``[M, P, G, G]``: the objects as they were, or a blob where appearance is not carried."""
        if self.config.temporal.appearance:
            return objects.glimpse
        ramp = torch.linspace(-2, 2, self.config.glimpse, device=objects.glimpse.device).to(objects.glimpse)
        blob = torch.exp(-(ramp[:, None] ** 2 + ramp**2) / 2)
        return blob.expand_as(objects.glimpse)

    def _where(self, seen: Tensor, hidden: Tensor, start: Tensor, surprise: Tensor) -> Gaussian:
        shift, spread = self.where(torch.cat([seen, hidden, surprise], -1)).chunk(2, -1)
        return Gaussian.around(start, 0.5 * shift, spread, -2.5, unit=drift_unit(self.config, start))


def _within(q_where: Gaussian, longest: Tensor, config: ModelConfig) -> Gaussian:
    """q(z_where) ``[M, 4]`` of objects of no more than their ``growth`` beyond their ``longest`` side ``[M, 1]``, or a
    typical one, which is 0."""
    place, size = q_where.mean.split(2, -1)
    most = longest.clamp_min(0) + config.growth / config.size_std
    return Gaussian(torch.cat([place, torch.minimum(size, most)], -1), q_where.log_std)
