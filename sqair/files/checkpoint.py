"""Checkpoints of a training run: written whole or not at all, refused when damaged, free of code.

A file is a header, then a payload of ``torch.save``. The header is, little-endian, 8 bytes that mark our
files, the format version (uint32), the bytes of the payload (uint64) and their SHA-256 (32 bytes).
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sqair.errors import UserError
from sqair.files.durable import write_file
from sqair.words import count

MAGIC = b"\x89SQAIR\r\n"
VERSION = 1
_HEADER = struct.Struct("<8sIQ32s")
_ADVICE = "put back a copy of it, or train anew"


def save_checkpoint(path: str | Path, payload: dict[str, Any]) -> None:
    """Saves ``payload`` as the file ``path``; a process killed meanwhile leaves the earlier file as it was.

    The payload is made of dicts (keys str or int), lists, tuples, tensors, str, int, float, bool and None. A
    parameter is saved as a plain tensor; tensors that share all their memory share it again when loaded.

    Raises:
        TypeError: the payload holds something else, such as a NumPy value, a path or a dataclass.
        UserError: the file cannot be written (disk full, no permission); the earlier file is intact.
    """
    if not isinstance(payload, dict):
        raise TypeError(f"a checkpoint is a dict, not a {type(payload).__qualname__}")
    buffer = io.BytesIO()
    torch.save(_plain(payload, "payload"), buffer)
    data = buffer.getbuffer()
    write_file(path, _HEADER.pack(MAGIC, VERSION, len(data), hashlib.sha256(data).digest()), data)


def load_checkpoint(path: str | Path, *, map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """What ``save_checkpoint`` was given, bit for bit, its tensors on ``map_location``.

    The states of random generators belong on the CPU, whatever they generate on: leave ``map_location`` when
    the payload has any.

    Raises:
        UserError: there is no such file, it is not a checkpoint, cut short, damaged or of a newer version, or
            ``map_location`` is no device of this machine.
    """
    path, device = Path(path), usable_device(map_location)
    try:
        data = _read_payload(path)
    except FileNotFoundError as error:
        raise UserError(f"no such checkpoint: {path}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        payload = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    except Exception as error:  # torch's reader raises whatever the bytes lead it to
        raise UserError(f"{path} holds what no checkpoint of sqair does, and was not loaded") from error
    if not isinstance(payload, dict):
        raise UserError(f"{path} holds what no checkpoint of sqair does, and was not loaded")
    return payload


def usable_device(device: str | torch.device) -> torch.device:
    """The device named, if tensors can be put there. Raises UserError when this machine has none."""
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"this machine has no device {str(device)!r}: try 'cpu'") from error


def _read_payload(path: Path) -> bytes:
    """The payload, once its length and checksum are those of the header."""
    with open(path, "rb") as file:
        head = file.read(_HEADER.size)
        size = os.fstat(file.fileno()).st_size - _HEADER.size
        if not head.startswith(MAGIC[: len(head)]):
            raise UserError(f"{path} is not a checkpoint of sqair")
        if size < 0:
            raise UserError(f"{path} is cut short: {count(len(head), 'byte')}; {_ADVICE}")
        _, version, length, digest = _HEADER.unpack(head)
        if version > VERSION:
            raise UserError(f"{path} has format {version}, newer than {VERSION} of this sqair: update sqair")
        if size < length:
            raise UserError(f"{path} is cut short: {size} of {length} bytes; {_ADVICE}")
        data = file.read(length) if size == length else b""
    if version < 1 or hashlib.sha256(data).digest() != digest:
        raise UserError(f"{path} is damaged, its checksum does not match; {_ADVICE}")
    return data


def _plain(value: Any, where: str) -> Any:
    """``value`` with plain containers and tensors only; TypeError that says where it holds anything else."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind in (dict, OrderedDict):
        for key in value:
            if type(key) not in (str, int):
                raise TypeError(f"{where} has the key {key!r}, a {_name(type(key))}; keys are str or int")
        return {key: _plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if kind in (list, tuple):
        return kind(_plain(item, f"{where}[{i}]") for i, item in enumerate(value))
    if kind in (Tensor, torch.nn.Parameter) and value.layout == torch.strided:
        tensor = value.detach()
        whole = tensor.untyped_storage().nbytes() <= tensor.nbytes
        return tensor if whole else tensor.clone()
    raise TypeError(
        f"{where} is of type {_name(kind)}; a checkpoint holds dense tensors, dicts, lists, tuples, "
        "str, int, float, bool and None"
    )


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
