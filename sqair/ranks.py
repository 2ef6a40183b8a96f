"""Several processes that train one model: each has clips of its own, and all go down the mean of their gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others, which may be looking at validation clips."""
T = TypeVar("T")


class LostProcess(RuntimeError):
    """A process of the training has ended, so that the others cannot go on."""


class Ranks(NamedTuple):
    """The place of this process among ``size`` that train together; the one of rank 0 writes files."""

    rank: int = 0
    size: int = 1

    def seed(self, seed: int, step: int) -> int:
        """A seed of this process and a step, from that of the training."""
        return int(np.random.SeedSequence([seed, step, self.rank]).generate_state(1)[0])

    def mean(self, tensors: Sequence[Tensor]) -> None:
        """Puts the mean over all processes into each of the ``tensors``, which are of one type on one device.

        Raises:
            LostProcess: one of them is gone.
        """
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self._together(lambda: dist.all_reduce(flat))
        parts = flat.div_(self.size).split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def gradients(self, parameters: Sequence[Tensor]) -> None:
        """Makes the gradients the means of those of all processes; that of a parameter is None if it is in all."""
        if self.size == 1:
            return
        used = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        self.mean([*(parameter.grad for parameter in parameters if parameter.grad is not None), used])
        for parameter, share in zip(parameters, used.tolist(), strict=True):
            parameter.grad = parameter.grad if share else None

    def metrics(self, metrics: Mapping[str, float], device: torch.device) -> dict[str, float]:
        """The mean of each over all processes."""
        if self.size == 1:
            return dict(metrics)
        values = torch.tensor(list(metrics.values()), dtype=torch.float64, device=device)
        self.mean([values])
        return dict(zip(metrics, values.tolist(), strict=True))

    def any(self, here: bool) -> bool:
        """Whether it holds in any process."""
        return self.metrics({"there": float(here)}, _device())["there"] > 0

    def of_first(self, value: T) -> T:
        """What the process of rank 0 has."""
        if self.size == 1:
            return value
        box: list[Any] = [value]
        self._together(lambda: dist.broadcast_object_list(box, src=0, device=_device()))
        return box[0]

    @staticmethod
    def _together(do: Callable[[], Any]) -> None:
        try:
            do()
        except RuntimeError as error:
            raise LostProcess("a process of the training has ended, killed or out of memory") from error


ALONE = Ranks()


@contextmanager
def joined(rank: int, size: int, address: str = "env://", device: str = "cpu") -> Iterator[Ranks]:
    """This process among those that meet at an ``address`` of torch.distributed: by default that of torchrun."""
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=address, rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield Ranks(rank, size)
    finally:
        dist.destroy_process_group()


def _device() -> torch.device:
    return torch.device("cuda" if dist.is_initialized() and dist.get_backend() == "nccl" else "cpu")
