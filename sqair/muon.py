"""Muon: momentum whose update of a matrix is made orthogonal (Jordan et al. 2024), for the layers of perceptrons.

Adam scales each weight by itself; what a layer does to its input is a matter of all of them together. The update here
is the orthogonal factor U V' of the momentum's singular value decomposition U S V', so that rare directions of the
input count as much as common ones; of large matrices it is that of each of some blocks, for the cost goes with the cube
of the smaller side. What it costs is in docs/performance.md, what it is worth in docs/sets.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_QUINTICS = (
    (8.38367, -24.76591, 18.35708),
    (4.04348, -3.01147, 0.56953),
    (3.50555, -2.62634, 0.52559),
    (2.49025, -1.83426, 0.43677),
)
"""Of polynomials s -> a s + b s^3 + c s^5, each the nearest to 1 on what the one before it makes of [0.003, 1]: in all
they take singular values from there to within 0.8 and 1.2."""
SMALLEST = 20
"""Least rows and columns of a matrix whose update is made orthogonal."""
LARGEST = 64
"""Most rows of a block that is made orthogonal by itself, of a wide matrix, or columns of a tall one."""


class Muon(torch.optim.Optimizer):
    """Of matrices alone; a step changes none of their singular values by more than about the learning rate ``lr``,
    or, of tall ones ``[m, n]``, by that times the root of m / n."""

    def __init__(self, params: Iterable[Any], lr: float = 0.02, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """One step down the gradients; none where ``found_inf``, a tensor that may be set as Adam's is, is 1."""
        stuck = getattr(self, "found_inf", None)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                grad = p.grad if stuck is None else torch.where(stuck > 0, state["momentum"], p.grad)
                momentum = state["momentum"].lerp_(grad, 1 - group["momentum"])
                update = blockwise(grad.lerp(momentum, group["momentum"]))
                rate = max(1.0, p.shape[0] / p.shape[1]) ** 0.5
                if isinstance(group["lr"], Tensor):
                    p.sub_(update * (group["lr"] * rate * (1 if stuck is None else 1 - stuck)))
                else:
                    p.add_(update, alpha=-group["lr"] * rate)


def blockwise(matrix: Tensor) -> Tensor:
    """The orthogonal factors ``[m, n]`` of a matrix's blocks, which are as few and as alike as can be."""
    axis = int(matrix.shape[0] > matrix.shape[1])
    blocks = matrix.tensor_split(-(-matrix.shape[axis] // LARGEST), axis)
    return torch.cat([orthogonal(block) for block in blocks], axis)


def orthogonal(matrix: Tensor) -> Tensor:
    """About U V' of the singular value decomposition U S V' of a ``matrix [m, n]``, by polynomials of it.

    All powers of the matrix that they need are powers of the smaller of X X' and X'X, so that most products are of
    small matrices.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix / matrix.norm().clamp_min(1e-7)
    gram = x @ x.T if wide else x.T @ x
    product = None
    for i, (a, b, c) in enumerate(_QUINTICS):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor if product is None else factor @ product
        if i < len(_QUINTICS) - 1:
            gram = factor @ gram @ factor
    assert product is not None
    return product @ x if wide else x @ product


def matrices(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of a module that Muon is for."""
    return [p for p in module.parameters() if p.ndim == 2 and min(p.shape) >= SMALLEST]
