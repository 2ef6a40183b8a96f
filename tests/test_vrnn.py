"""VRNN: its bound by hand, its p(x) against quadrature, and its training.

A mean is compared with what it estimates within ``SIGMAS`` standard errors: a right one fails with probability 6e-7
over the choice of the seed.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from conftest import seeded
from sqair.baselines.kept import is_baseline, load_baseline, save_baseline
from sqair.baselines.learning import BaselineTrainer
from sqair.baselines.sizes import SIZES, VRNNConfig
from sqair.baselines.vrnn import VRNN
from sqair.baselines.weighing import Cloud, ahead_of, dreams, importance_of, particle_filter_of
from sqair.bounds import iwae
from sqair.config import Stage, TrainConfig
from sqair.errors import UserError
from sqair.model import SQAIR
from sqair.particles import importance_weights
from sqair.trainer import TrainingError

SIGMAS = 5.0
SMALL = VRNNConfig(size="small", z=3, height=6, width=7)
NETS = ("mlp", "conv")


def model_of(config: VRNNConfig, seed: int = 0) -> VRNN:
    """An untrained model that no bias of is 0."""
    torch.manual_seed(seed)
    model = VRNN(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def clips_of(config: VRNNConfig, length: int, clips: int) -> Tensor:
    return torch.rand(length, clips, config.channels, config.height, config.width, generator=seeded(3))


def normal(raw: Tensor) -> Normal:
    mean, spread = raw.chunk(2, -1)
    return Normal(mean, torch.log1p(torch.exp(spread + math.log(math.e - 1))) + 1e-3)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("net", NETS)
@torch.no_grad()
def test_the_bound_is_that_of_each_particle_by_hand(net: str) -> None:
    config = replace(SMALL, net=net, likelihood_std=0.4)
    model, frames = model_of(config), clips_of(config, 3, 2)
    told = model(frames, 2, seeded(1))
    generator, noise = seeded(1), []
    for _ in frames:
        noise.append(torch.randn(4, config.z, generator=generator))
    for k, b in itertools.product(range(2), range(2)):
        hidden = cell = torch.zeros(1, 128)
        last, log_w = torch.zeros(1, 256), 0.0
        for t in range(3):
            frame = frames[t, b : b + 1]
            hidden, cell = model.lstm(last, (hidden, cell))
            p = normal(model.prior(hidden))
            q = normal(model.posterior(torch.cat([hidden, model.look(frame)], 1)))
            z = q.mean + q.stddev * noise[t][k * 2 + b]
            mean = torch.sigmoid(model.paint(torch.cat([model.say(z), hidden], 1)))
            log_w += (p.log_prob(z) - q.log_prob(z)).sum() + Normal(mean, 0.4).log_prob(frame).sum()
            last = torch.cat([model.look(frame), model.say(z)], 1)
        assert told.log_weight[k, b] == pytest.approx(float(log_w), rel=1e-10)
    cloud = Cloud(model, frames, 2, seeded(1))
    torch.testing.assert_close(importance_weights(cloud, 3), told.log_weight)
    torch.testing.assert_close(importance_of(model, frames, 2, seeded(1)).log_p, iwae(told.log_weight))


@torch.no_grad()
def quadrature(model: VRNN, frames: Tensor, nodes: int = 60) -> float:
    """log p(x) of a clip ``[2, 1, C, H, W]`` under a model of one latent: sums over z_1 and z_2."""
    x, w = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(nodes))
    w = (w / w.sum()).log()
    std, nothing = model.config.likelihood_std, torch.zeros(1, 128)

    def seen(frame: Tensor, z: Tensor, hidden: Tensor) -> Tensor:
        mean = torch.sigmoid(model.paint(torch.cat([model.say(z), hidden], 1)))
        return Normal(mean, std).log_prob(frame).flatten(1).sum(1)

    hidden, cell = model.lstm(torch.zeros(1, 256), (nothing, nothing))
    p = normal(model.prior(hidden))
    hidden, cell = hidden.expand(nodes, -1), cell.expand(nodes, -1)
    z = p.mean + p.stddev * x[:, None]
    first = w + seen(frames[0], z, hidden)
    last = torch.cat([model.look(frames[0]).expand(nodes, -1), model.say(z)], 1)
    hidden, _ = model.lstm(last, (hidden, cell))
    p = normal(model.prior(hidden))
    second = [
        (w + seen(frames[1], p.mean[i] + p.stddev[i] * x[:, None], hidden[i].expand(nodes, -1))).logsumexp(0)
        for i in range(nodes)
    ]
    return float((first + torch.stack(second)).logsumexp(0))


@pytest.mark.usefixtures("float64")
def test_estimates_are_those_of_quadrature() -> None:
    config = VRNNConfig(size="small", z=1, height=3, width=4, likelihood_std=0.5)
    model, frames = model_of(config), clips_of(config, 2, 1)
    with torch.no_grad():
        for net in (model.say, model.paint):
            for parameter in net.parameters():
                parameter.mul_(1.3)
        for parameter in model.posterior.parameters():
            parameter.mul_(0.7)
    exact = quadrature(model, frames)
    assert quadrature(model, frames, 40) == pytest.approx(exact, abs=1e-4), "ELU has a kink"
    weights = importance_weights(Cloud(model, frames, 8000, seeded(0)), 2)
    ratio = (weights[:, 0] - exact).exp()
    assert abs(ratio.mean() - 1) < SIGMAS * ratio.std() / math.sqrt(len(ratio)) < 0.1
    again = frames.expand(-1, 600, -1, -1, -1)
    ratio = (particle_filter_of(model, again, 8, seeded(1)) - exact).exp()
    assert abs(ratio.mean() - 1) < SIGMAS * ratio.std() / math.sqrt(len(ratio)) < 0.1
    assert importance_of(model, again, 8, seeded(2)).log_p.mean() < exact


@pytest.mark.parametrize("net", NETS)
def test_what_comes_and_what_is_dreamt_of(net: str) -> None:
    config = replace(SMALL, net=net)
    model, frames = model_of(config), clips_of(config, 3, 2)
    means = ahead_of(model, frames, 4, 0, seeded(0))
    assert means.shape == (4, 2, 1, 6, 7) and torch.equal(means, ahead_of(model, frames, 4, 0, seeded(1)))
    alone = ahead_of(model, frames[:, 1:], 4, 0, seeded(0))
    torch.testing.assert_close(alone[:, 0], means[:, 1])
    some, many = (ahead_of(model, frames, 4, samples, seeded(2)) for samples in (1, 300))
    assert (many - means).abs().mean() < (some - means).abs().mean()
    assert dreams(model, 5, 2, seeded(0)).shape == (2, 5, 1, 6, 7)


@pytest.mark.parametrize("size", SIZES)
def test_convolutions_give_back_images_of_any_size(size: str) -> None:
    config = replace(SMALL, net="conv", size=size, height=9, width=13, channels=3)
    assert VRNN(config)(clips_of(config, 2, 1), 1, seeded(0)).canvas.shape == (2, 1, 3, 9, 13)


class Source:
    """Clips of a bright column that moves on."""

    length = 4

    def __call__(self, start: int, count: int) -> np.ndarray:
        clips = np.zeros((count, 4, 6, 7), np.uint8)
        for n, t in itertools.product(range(count), range(4)):
            clips[n, t, :, (start + n + t) % 7] = 255
        return clips


def trainer_of(**settings) -> BaselineTrainer:
    stages = (Stage(2, 20, 8), Stage(4, 20, 8))
    config = TrainConfig(**{"stages": stages, "learning_rate": 2e-3, "particles": 2, **settings})
    return BaselineTrainer(SMALL, config, Source())


def test_training_learns_and_goes_on_bit_for_bit() -> None:
    whole = trainer_of()
    told = [whole.train_step() for _ in range(40)]
    assert told[-1]["elbo"] > told[0]["elbo"] + 5 and told[19]["length"] == 2 and told[20]["length"] == 4
    assert told[-1]["loss"] < -told[-1]["elbo"], "of two particles the bound is tighter"
    assert told[5]["elbo"] == pytest.approx(told[5]["log_likelihood"] - told[5]["kl_z"], rel=1e-4)
    first, second = trainer_of(), trainer_of()
    for _ in range(7):
        first.train_step()
    second.load_state_dict(first.state_dict())
    assert [second.train_step() for _ in range(5)] == told[7:12]


def test_training_refuses_what_it_cannot_do() -> None:
    with pytest.raises(UserError, match="clips of 5 frames, the data has 4"):
        trainer_of(stages=(Stage(5, 1, 1),))
    with pytest.raises(UserError, match="--particles is 0"):
        trainer_of(particles=0)
    with pytest.raises(UserError, match="fits another model"):
        trainer_of().load_state_dict({**trainer_of().state_dict(), "model": {}})
    broken = trainer_of()
    with torch.no_grad():
        broken.model.lstm.weight_ih[0, 0] = torch.nan
    with pytest.raises(TrainingError, match="step 0: the loss"):
        broken.train_step()
    with pytest.raises(TrainingError, match="lstm.weight_ih is not finite"):
        broken.state_dict()


def test_weights_are_kept_bit_for_bit_and_refused_when_damaged(tmp_path: Path) -> None:
    model = model_of(replace(SMALL, net="conv"))
    save_baseline(tmp_path / "run" / "weights", model, {"steps": 3, "total_steps": 5})
    assert is_baseline(tmp_path / "run") and is_baseline(tmp_path / "run" / "weights") and not is_baseline(tmp_path)
    again = load_baseline(tmp_path / "run")
    assert again.config == model.config and again.trained == (3, 5)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    with pytest.raises(UserError, match="finds no objects: sqair evaluate measures it"):
        SQAIR.from_pretrained(tmp_path / "run")
    tensors, config = (tmp_path / "run" / "weights" / name for name in ("model.safetensors", "config.json"))
    data, text = tensors.read_bytes(), config.read_text()
    tensors.write_bytes(data[:-1])
    with pytest.raises(UserError, match="cut short, damaged"):
        load_baseline(tmp_path / "run")
    tensors.write_bytes(data)
    config.write_text(text.replace('"z": 3', '"z": 4'))
    with pytest.raises(UserError, match="was edited"):
        load_baseline(tmp_path / "run")
    config.write_text(text[:-9])
    assert not is_baseline(tmp_path / "run")
    with pytest.raises(UserError, match="not JSON"):
        load_baseline(tmp_path / "run")
