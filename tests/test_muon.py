"""Muon: the orthogonal factor of an update, its length, and what it is for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import TINY
from sqair.config import Stage, TrainConfig
from sqair.muon import _QUINTICS, LARGEST, SMALLEST, Muon, blockwise, matrices, orthogonal
from sqair.trainer import Trainer


def factors(rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Singular vectors and values of a matrix."""
    generator = torch.Generator().manual_seed(0)
    rank = min(rows, columns)
    u, v = (torch.linalg.qr(torch.randn(n, rank, generator=generator, dtype=torch.float64))[0] for n in (rows, columns))
    return u, torch.logspace(0, -1.5, rank, dtype=torch.float64), v


@pytest.mark.parametrize("shape", [(32, 96), (96, 32), (40, 40)])
def test_an_update_has_the_singular_vectors_of_its_matrix_and_values_of_about_one(shape: tuple[int, int]) -> None:
    u, values, v = factors(*shape)
    update = orthogonal(u * values @ v.T)
    inner = u.T @ update @ v
    assert inner.diagonal().min() > 0.79 and inner.diagonal().max() < 1.21  # between what the quintics take them to
    torch.testing.assert_close(inner, inner.diagonal().diag())
    torch.testing.assert_close(u @ inner @ v.T, update)


def test_it_is_the_polynomials_of_the_matrix_over_its_norm() -> None:
    """X -> a X + b X X' X + c X X' X X' X, by one set of coefficients after the other."""
    u, values, v = factors(24, 60)
    x = u * values @ v.T
    update, x = orthogonal(x), x / x.norm()
    for a, b, c in _QUINTICS:
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    torch.testing.assert_close(update, x)


def test_each_polynomial_is_the_nearest_to_one_that_there_is() -> None:
    """Of three coefficients, its error has four extremes of one size and of signs in turn: Chebyshev's criterion."""
    values = np.geomspace(0.003, 1, 20_000)
    for a, b, c in _QUINTICS:
        values = np.sort(values)
        values = np.linspace(values[0], values[-1], 200_000)
        error = a * values + b * values**3 + c * values**5 - 1
        turns = np.flatnonzero(np.diff(np.sign(np.diff(error)))) + 1
        extremes = error[[0, *turns, -1]]
        assert len(extremes) == 4 and (extremes[1:] * extremes[:-1] < 0).all()
        np.testing.assert_allclose(np.abs(extremes), np.abs(extremes).max(), rtol=5e-3)  # they are rounded
        values = 1 + error
    assert values.min() > 0.8 and values.max() < 1.2


@pytest.mark.parametrize("shape", [(LARGEST, 200), (2 * LARGEST, 200), (300, LARGEST + 1), (LARGEST + 6, LARGEST + 6)])
def test_large_matrices_are_made_orthogonal_by_blocks_of_the_smaller_side(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    update = blockwise(matrix)
    axis, side = int(shape[0] > shape[1]), min(shape)
    count = 1 if side <= LARGEST else 2
    blocks = zip(update.tensor_split(count, axis), matrix.tensor_split(count, axis), strict=True)
    assert all(torch.equal(block, orthogonal(before)) for block, before in blocks)


@pytest.mark.parametrize(("shape", "scale"), [((32, 96), 1.0), ((96, 24), 2.0)])
def test_two_steps_by_hand(shape: tuple[int, int], scale: float) -> None:
    """Momentum is a running mean, the update looks ahead by it, and tall matrices take longer steps."""
    generator = torch.Generator().manual_seed(1)
    start, first, second = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    weight = torch.nn.Parameter(start.clone())
    optimizer = Muon([weight], lr=0.1, momentum=0.9)
    momentum = torch.zeros_like(start)
    for gradient in (first, second):
        weight.grad = gradient.clone()
        optimizer.step()
        momentum = 0.9 * momentum + 0.1 * gradient
        start = start - 0.1 * scale * orthogonal(0.1 * gradient + 0.9 * momentum)
    torch.testing.assert_close(weight.detach(), start)


def test_a_matrix_without_gradient_stays() -> None:
    weight = torch.nn.Parameter(torch.ones(30, 30))
    Muon([weight]).step()
    assert weight.eq(1).all()
    weight.grad = torch.zeros(30, 30)
    Muon([weight]).step()
    assert weight.eq(1).all()


class Noise:
    """Clips of nothing but noise."""

    length = 3

    def __call__(self, start: int, count: int) -> np.ndarray:
        size = (count, self.length, TINY.height, TINY.width)
        return np.random.default_rng(start).integers(0, 255, size, dtype=np.uint8)


CONFIG = replace(TINY, hidden=SMALLEST, features=SMALLEST)


def make_trainer(rate: float) -> Trainer:
    return Trainer(CONFIG, TrainConfig(stages=(Stage(3, 4, 2),), muon_rate=rate), Noise())


def test_the_trainer_gives_it_the_matrices_of_the_networks_and_adam_the_rest() -> None:
    trainer = make_trainer(0.05)
    adam, muon = ([p for g in o.param_groups for p in g["params"]] for o in trainer.optimizers)
    assert all(p.ndim == 2 and min(p.shape) >= SMALLEST for p in muon) and muon == matrices(trainer.model)
    assert len(muon) > 4 and {*adam, *muon} == set(trainer.model.parameters()) and not set(adam) & set(muon)
    assert len(make_trainer(0.0).optimizers) == 1
    before = [p.detach().clone() for p in muon]
    trainer.train_step()
    assert all(not torch.equal(a, b) for a, b in zip(before, muon, strict=True) if b.grad is not None)
    trainer.train_step()
    assert trainer.optimizers[1].param_groups[0]["lr"] == pytest.approx(0.05 * 0.75**1.5)


def test_a_run_with_it_goes_on_bit_for_bit() -> None:
    whole, first, second = make_trainer(0.05), make_trainer(0.05), make_trainer(0.05)
    for _ in range(4):
        whole.train_step()
    first.train_step()
    first.train_step()
    second.load_state_dict(first.state_dict())
    second.train_step()
    second.train_step()
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)
