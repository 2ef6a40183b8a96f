"""The tensors of a model, out of a file of safetensors and into it."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from sqair.errors import UserError


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, each under its first name only."""
    named: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            named[name] = tensor
            seen.add(id(tensor))
    return named


def fill(model: nn.Module, data: bytes, path: Path) -> None:
    """Copies the tensors of a file into ``model``, which must have the same ones, in the file's precision.

    Raises:
        UserError: ``data`` is no file of safetensors, or of another configuration; ``path`` is what to call it.
    """
    try:
        tensors = safetensors.torch.load(data)
    except Exception as error:  # a malformed header also makes it raise KeyError and more
        raise UserError(f"{path} is not a file of safetensors") from error
    model.to(next((t.dtype for t in tensors.values() if t.is_floating_point()), torch.float32))
    targets = tensors_of(model)
    other = f"{path} is of another configuration than config.json"
    for name, target in targets.items():
        if name not in tensors:
            raise UserError(f"{other}: it has no tensor {name}")
        tensor = tensors.pop(name)
        if tensor.shape != target.shape or tensor.dtype != target.dtype:
            has, wants = (f"{str(t.dtype)[6:]} {list(t.shape)}" for t in (tensor, target))
            raise UserError(f"{other}: its tensor {name} is {has}, the model's is {wants}")
        with torch.no_grad():
            target.copy_(tensor)
    if tensors:
        raise UserError(f"{other}: the model has no tensor {min(tensors)}")
