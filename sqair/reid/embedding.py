"""What tells individuals apart, learned from a clip: those that are there at the same time are different.

A batch is a moment of the clip: some portraits of each tracklet that is there at that moment. InfoNCE (van den Oord et
al., 2018) with -d^2 of the embeddings as its critic: at its optimum that is log p(x, y) / (p(x) p(y)) up to a constant,
the odds that portraits x and y are of one individual.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sqair.reid.portraits import SIDE

SIZE = 16
"""Of an embedding."""
EACH, MOST = 8, 12
"""Portraits of a tracklet in a batch, and tracklets at most."""
RATE = 2e-3
LIGHTER = 0.1
"""Standard deviation of the log of contrast by which portraits are varied."""
SOLVED, OVER = 0.02, 50
"""Mean loss over so many steps, nats, at which nothing is left to learn."""


class Embedding(nn.Module):
    """Portraits ``[R, C, SIDE, SIDE]`` to embeddings ``[R, SIZE]``."""

    def __init__(self, portraits: Tensor) -> None:
        """A network for ``portraits [R, C, SIDE, SIDE]``, of which embeddings have a variance of 1 at first.

        Gradients of a contrast vanish with distances: of embeddings that all lie in one place nothing is learned.
        """
        super().__init__()
        channels = portraits.shape[1]
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 16, 5, 2, 2), nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(32, 32, 3, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * (SIDE // 8) ** 2, 64), nn.ReLU(), nn.Linear(64, SIZE),
        )  # fmt: skip
        with torch.no_grad():
            some = self.layers[:-1](portraits[:: max(1, len(portraits) // 256)])
            last = self.layers[-1]
            last.weight /= (some @ last.weight.T).var(0).sum().sqrt().clamp_min(1e-6)

    def forward(self, portraits: Tensor) -> Tensor:
        return self.layers(portraits)


def learn(
    embedding: Embedding,
    portraits: Tensor,
    rows: list[np.ndarray],
    there: np.ndarray,
    group: np.ndarray,
    steps: int,
    rng: np.random.Generator,
) -> float:
    """Trains ``embedding``; returns the loss at the end, nats.

    Args:
        portraits: ``[R, C, SIDE, SIDE]``.
        rows: of each of the n tracklets, which of them are its own.
        there: bool ``[n, n]``, which tracklets are there at the same time; n of itself.
        group: int ``[n]``, tracklets of one group are of one individual.
    """
    optimiser = torch.optim.Adam(embedding.parameters(), RATE)
    weight = np.array([len(r) for r in rows], float) * (there.sum(1) > 1)
    pool = {g: np.concatenate([rows[k] for k in np.flatnonzero(group == g)]) for g in np.unique(group)}
    losses: list[float] = []
    for step in range(steps):
        for parameters in optimiser.param_groups:
            parameters["lr"] = RATE * (1 - step / steps)
        first = rng.choice(len(rows), p=weight / weight.sum())
        others = _together(first, there, rng)
        picked = [
            np.concatenate([rng.choice(rows[k], EACH // 2), rng.choice(pool[group[k]], EACH - EACH // 2)])
            for k in others
        ]
        batch = _varied(portraits[np.concatenate(picked)], rng)
        loss = contrast(embedding(batch), len(picked))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        if len(losses) >= OVER and np.mean(losses[-OVER:]) < SOLVED:
            break
    return float(np.mean(losses[-OVER:]))


def contrast(embedded: Tensor, individuals: int) -> Tensor:
    """InfoNCE of ``individuals`` times as many embeddings of each, ``[R, SIZE]``, less its least value: nats."""
    each = len(embedded) // individuals
    name = torch.arange(individuals).repeat_interleave(each)
    itself = torch.eye(len(embedded), dtype=torch.bool)
    same = (name[:, None] == name) & ~itself
    log_p = (-distance(embedded, embedded)).masked_fill(itself, -torch.inf).log_softmax(1)
    return -log_p[same].mean() - np.log(each - 1)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Squares of the distances of ``a [R, SIZE]`` and ``b [S, SIZE]``, ``[R, S]``."""
    return (a[:, None] - b).square().sum(-1)


def _together(first: int, there: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A tracklet and others, all of which are there at one time, ``MOST`` at most."""
    chosen = [first]
    for k in rng.permutation(np.flatnonzero(there[first])):
        if k != first and there[k, chosen].all() and len(chosen) < MOST:
            chosen.append(int(k))
    return np.array(chosen)


def _varied(batch: Tensor, rng: np.random.Generator) -> Tensor:
    """Portraits ``[R, C, SIDE, SIDE]``, some of them mirrored, and of more or less contrast."""
    mirrored = torch.from_numpy(rng.random(len(batch)) < 0.5)[:, None, None, None]
    lighter = torch.from_numpy(np.exp(LIGHTER * rng.standard_normal((len(batch), 1, 1, 1)))).float()
    return lighter * torch.where(mirrored, batch.flip(2), batch)
