"""Settings of all tests, and what the tests of the model share: tiny models, frames, dictated presences."""

from __future__ import annotations

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # sqair experiments gpu is the test of GPUs; they differ in rounding
os.environ["HF_HUB_OFFLINE"] = "1"  # a name that is nothing here is not looked for in the network
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait leave the cores to those that work

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor, nn

from sqair.config import ModelConfig
from sqair.geometry import where_to_box
from sqair.inference import Inference
from sqair.model import SQAIR
from sqair.scene import Evidence, Proposal

torch.set_num_threads(1)

TINY = ModelConfig(
    height=20, width=24, slots=3, first_steps=2, glimpse=6, z_what=4, hidden=8, features=8, size_mean=7.0,
    context=12.0, max_size=14.0, search_margin=3.0, saliency_threshold=0.02,
)  # fmt: skip
STATIC = replace(TINY, discovery="recurrent", first_steps=3)
"""Static AIR in its recurrent form: on one frame, presence depends on the frame alone."""


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Torch's own random state is the same at the start of every test."""
    torch.manual_seed(0)


@pytest.fixture
def float64() -> Iterator[None]:
    """New tensors and modules are float64 within the test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiny_model(config: ModelConfig = TINY, *, seed: int = 0, noise: float = 0.15, price: float = 1.3) -> SQAIR:
    """An untrained model of which no parameter is 0, so that no term of the bound is trivial."""
    torch.manual_seed(seed)
    model = SQAIR(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(noise * torch.randn_like(parameter))
    model.price = price
    return model


def bump(centre: Tensor, config: ModelConfig, width: float = 2.0) -> Tensor:
    """A bright spot at ``centre [..., 2]`` (x, y in pixels) of an image ``[..., H, W]``."""
    x = torch.arange(config.width) + 0.5 - centre[..., 0, None]
    y = torch.arange(config.height) + 0.5 - centre[..., 1, None]
    return torch.exp(-(y[..., :, None] ** 2 + x[..., None, :] ** 2) / (2 * width**2))


def spots(config: ModelConfig, length: int, clips: int, *, seed: int = 1, count: int = 2) -> Tensor:
    """Frames ``[T, B, C, H, W]`` of ``count`` moving spots each."""
    generator = seeded(seed)
    size = torch.tensor([config.width, config.height])
    start = (0.2 + 0.6 * torch.rand(count, clips, 2, generator=generator, dtype=torch.float64)) * size
    speed = torch.randn(count, clips, 2, generator=generator, dtype=torch.float64)
    time = torch.arange(length)[:, None, None, None]
    dark = torch.zeros(length, 1, clips, config.height, config.width)
    image = torch.cat([dark, bump(start + time * speed, config)], 1).amax(1)  # [T, B, H, W]
    colour = torch.linspace(1, 0.4, config.channels)[:, None, None]
    return (image[:, :, None] * colour).to(torch.get_default_dtype())


def blend(paint: Tensor, clip: Tensor, clips: int) -> Tensor:
    """The sum ``[B, ...]`` of the paint ``[M, ...]`` of the objects of each clip."""
    return torch.stack([paint[clip == b].sum(0) for b in range(clips)])


@dataclass
class Dictated(Inference):
    """Presence as written: the decisions of each clip, in order; 0 when they run out, or without any script."""

    script: Sequence[Sequence[int]] = ()
    asked: list[int] = field(default_factory=list)
    """Decisions that each clip has asked for."""

    def presence(self, proposal: Proposal, evidence: Evidence, q_logit: Tensor) -> Tensor:
        self.asked = self.asked or [0] * evidence.clips
        pres = torch.zeros_like(evidence.gain)
        for i, clip in enumerate(proposal.objects.clip.tolist()):
            turn = self.asked[clip]
            if self.script and turn < len(self.script[clip]):
                pres[i] = self.script[clip][turn]
            self.asked[clip] += 1
        return pres


def outcomes(model: SQAIR, clip: Tensor) -> list[tuple[int, ...]]:
    """Every script of presences that a clip ``[T, 1, C, H, W]`` can have, at the posterior means of the rest."""
    open_scripts: list[tuple[int, ...]] = [()]
    found = []
    while open_scripts:
        dictated = Dictated(script=open_scripts)
        with torch.no_grad():
            model(clip.expand(-1, len(open_scripts), -1, -1, -1), dictated)
        asked = dictated.asked or [0] * len(open_scripts)
        found += [s for s, n in zip(open_scripts, asked, strict=True) if n == len(s)]
        open_scripts = [(*s, bit) for s, n in zip(open_scripts, asked, strict=True) if n > len(s) for bit in (0, 1)]
    return found


def gradient(model: nn.Module, value: Tensor) -> Tensor:
    """The gradient of ``value []`` in all parameters, in one vector."""
    parts = torch.autograd.grad(value, list(model.parameters()), allow_unused=True, materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


SPOTTER = ModelConfig(
    height=44, width=52, slots=3, first_steps=3, glimpse=18, z_what=2, hidden=4, features=4, size_mean=18.0,
    context=24.0, max_size=24.0,
)  # fmt: skip


def spotter(config: ModelConfig = SPOTTER) -> SQAIR:
    """A model made by hand that tracks spots of ``moving_spots``: it draws one, and takes its fixations as they are.

    q(z_where) is where it fixates, the prior of z_where is constant velocity, and q(z_pres) follows the log-odds
    that it is given.
    """
    model = SQAIR(config)
    spot = bump(torch.full((2,), config.glimpse / 2), replace(config, height=config.glimpse, width=config.glimpse), 3.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        picture = spot.clamp(1e-4, 1 - 1e-4).logit().repeat(config.drawn, 1, 1)
        if config.objects != "light":
            picture[1:] = 2.0
        model.decoder.net[-1].bias.copy_(picture.flatten())  # type: ignore[union-attr]
        model.propagation.prior.gain[0].fill_(1.0)
        for head in (model.new_presence, model.old_presence):
            for unit, sign in ((0, 1.0), (1, -1.0)) if head is not None else ():
                head.net[0].weight[unit, config.features] = sign  # type: ignore[union-attr, index]
                head.net[-1].weight[0, unit] = 5 * sign  # type: ignore[union-attr, index]
    model.price = 40.0
    return model.eval()


def moving_spots(paths: list[list[tuple[float, float] | None]], config: ModelConfig = SPOTTER) -> Tensor:
    """A clip ``[T, 1, C, H, W]`` of spots; each path says where (x, y) its spot is in each frame, or None."""
    frames = torch.zeros(len(paths[0]), 1, config.channels, config.height, config.width)
    for path in paths:
        for t, place in enumerate(path):
            if place is not None:
                frames[t] = torch.maximum(frames[t], bump(torch.tensor(place), config, 3.0))
    return frames


def straight(x: float, y: float, dx: float, dy: float, length: int, hidden: range = range(0)) -> list:
    """The path of a spot of constant velocity, out of sight in the frames ``hidden``."""
    return [None if t in hidden else (x + t * dx, y + t * dy) for t in range(length)]


def follow(model: SQAIR, frames: Tensor, inference: Inference) -> list[list[tuple[int, float, float]]]:
    """Of every frame of a single clip: (id, centre x, centre y) of its objects, ordered by id."""
    with torch.no_grad():
        steps = model(frames, inference)
    found = []
    for step in steps:
        centre = where_to_box(step.objects.where, model.config)[:, :2].tolist()
        found.append(sorted((i, x, y) for i, (x, y) in zip(step.objects.id.tolist(), centre, strict=True)))
    return found
