"""A VRNN as a folder of weights: ``config.json`` and ``model.safetensors``, data only, beside each other."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from sqair.baselines.sizes import VRNNConfig
from sqair.baselines.vrnn import VRNN
from sqair.errors import UserError
from sqair.files.checkpoint import usable_device
from sqair.files.durable import standing, write_folder
from sqair.files.plain import checksum_of, config_from_dict
from sqair.files.pretrained import CONFIG, FORMAT, TENSORS
from sqair.files.tensors import fill, tensors_of


@dataclass(frozen=True)
class _Card:
    """What ``config.json`` says, beside its own checksum."""

    format: int
    baseline: str
    model: VRNNConfig
    sha256: str
    info: dict


def save_baseline(folder: str | Path, model: VRNN, info: dict[str, Any]) -> None:
    """Writes ``model`` as a folder; a process killed meanwhile leaves the old weights or the new.

    ``info`` is what else to remember, of JSON types. Raises UserError if the folder cannot be written, or holds others.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors_of(model).items()}
    data = safetensors.torch.save(tensors)
    card = _Card(FORMAT, "vrnn", model.config, hashlib.sha256(data).hexdigest(), info)
    entries = json.loads(json.dumps(dataclasses.asdict(card)))
    text = json.dumps({**entries, "checksum": checksum_of(entries)}, indent=2) + "\n"
    write_folder(folder, {TENSORS: data, CONFIG: text.encode()})


def is_baseline(folder: str | Path) -> bool:
    """Whether there are weights of a VRNN in a folder, or a run's; what cannot be read is none."""
    found = _standing(folder)
    try:
        entries = json.loads((found / CONFIG).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(entries, dict) and "baseline" in entries


def load_baseline(folder: str | Path, device: str | torch.device = "cpu") -> VRNN:
    """The model that ``save_baseline`` wrote, bit for bit; ``folder`` is that or a run's.

    Raises:
        UserError: a file is missing, cut short or damaged, or they do not belong together.
    """
    device, found = usable_device(device), _standing(folder)
    try:
        entries = json.loads((found / CONFIG).read_bytes())
        data = (found / TENSORS).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{found / CONFIG} is cut short or damaged: it is not JSON") from error
    checksum = entries.pop("checksum", None) if isinstance(entries, dict) else None
    card = config_from_dict(_Card, entries, str(found / CONFIG))
    if card.format != FORMAT or checksum != checksum_of(entries):
        raise UserError(f"{found / CONFIG} is damaged, was edited, or is of another version of sqair")
    if hashlib.sha256(data).hexdigest() != card.sha256:
        raise UserError(f"{found / TENSORS} is cut short, damaged, or not what {CONFIG} was saved with")
    with torch.random.fork_rng(devices=[]):
        model = VRNN(card.model)
    fill(model, data, found / TENSORS)
    steps, total = card.info.get("steps"), card.info.get("total_steps")
    model.trained = (steps, total) if type(steps) is int and type(total) is int else None
    return model.to(device).eval()


def _standing(folder: str | Path) -> Path:
    """Where the two files are, of a run or a folder of weights."""
    run = standing(Path(folder) / "weights")
    return run if (run / CONFIG).exists() else standing(Path(folder))
