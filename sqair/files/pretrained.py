"""Weights to publish and to track with: a folder of ``config.json`` and ``model.safetensors``, data only.

``config.json`` holds the format version, the ModelConfig, the price of an object, the SHA-256 of
``model.safetensors``, free information such as the command that trained it, and a checksum of all that.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from sqair.config import ModelConfig
from sqair.errors import UserError
from sqair.files.checkpoint import usable_device
from sqair.files.durable import standing, write_folder
from sqair.files.plain import config_from_dict
from sqair.files.unfinished import CHECKPOINT, model_of, shown_range, steps_of
from sqair.model import SQAIR

FORMAT = 1
CONFIG, TENSORS = "config.json", "model.safetensors"
BUILT_IN = Path(__file__).parent.parent / "weights"
_TRIES = 3
"""How often weights are read that a training may be replacing at the moment."""


@dataclass(frozen=True)
class _Card:
    """What ``config.json`` says, beside its own checksum."""

    format: int
    model: ModelConfig
    price: float
    sha256: str
    info: dict


def save_weights(folder: str | Path, model: SQAIR, info: dict[str, Any], *, price: float | None = None) -> None:
    """Writes ``model`` as a weights folder; a process killed meanwhile leaves the old weights or the new.

    Args:
        folder: made if need be; weights that it holds are replaced.
        model: on any device.
        info: what else to remember, made of JSON types: the training command, the seed, scores. ``steps`` and
            ``total_steps`` say how far training has got.
        price: of an object, for tracking; by default that of the model.

    Raises:
        TypeError: ``info`` holds what JSON cannot.
        UserError: the folder cannot be written, holds other files, which would be lost, or is that of a model which
            ships with the package.
    """
    if BUILT_IN.resolve() in Path(folder).resolve().parents:
        raise UserError(f"{folder} is the folder of a model that ships with sqair: choose another folder")
    tensors = {name: t.detach().cpu().contiguous() for name, t in _tensors(model).items()}
    data = safetensors.torch.save(tensors)
    price = model.price if price is None else price
    card = _Card(FORMAT, model.config, float(price), hashlib.sha256(data).hexdigest(), info)
    entries = json.loads(json.dumps(dataclasses.asdict(card)))
    text = json.dumps({**entries, "checksum": _checksum(entries)}, indent=2) + "\n"
    write_folder(folder, {TENSORS: data, CONFIG: text.encode()})


def load_weights(folder: str | Path, device: str | torch.device = "cpu") -> SQAIR:
    """The model that ``save_weights`` was given, bit for bit, ready to track with.

    ``folder`` is a weights folder, a run's folder, or, where there is no such folder, the name of built-in weights
    (``pretrained_names``). A run that was stopped, or is still training, has the model of its last checkpoint, or of
    its weights where these are newer; ``SQAIR.trained`` says how far it has got. Nothing in the folder is executed.

    Raises:
        UserError: there are no weights there, a file is missing, cut short or damaged, or the two files or
            this version of the model do not belong together.
    """
    device = usable_device(device)
    checkpoint = Path(folder) / CHECKPOINT
    if not checkpoint.exists():
        return _load(folder).to(device).eval()
    model = None if _weights_in(Path(folder)) is None else _load_replaced(folder)
    if model is None or is_unfinished(model):
        try:
            if model is None or steps_of(checkpoint) > (model.trained or (0, 0))[0]:
                model = model_of(checkpoint)
        except UserError:
            if model is None:
                raise
    return model.to(device).eval()


def is_unfinished(model: SQAIR) -> bool:
    """Whether ``model`` is of a training that has not come to its end."""
    return model.trained is not None and model.trained[0] < model.trained[1]


def is_finished(run: str | Path) -> bool:
    """Whether the run in the folder ``run`` has come to its end, so that its weights are its last."""
    folder = Path(run)
    return _weights_in(folder) is not None and not is_unfinished(_load_replaced(folder))


def weights_files(folder: str | Path) -> list[Path]:
    """The files that ``load_weights`` may read, whether they are there or not."""
    places = [standing(Path(folder) / "weights"), standing(Path(folder)), BUILT_IN / Path(folder).name]
    return [Path(folder) / "checkpoint.pt", *(place / name for place in places for name in (CONFIG, TENSORS))]


def pretrained(name: str) -> Path:
    """The folder of the built-in weights ``name``. Raises UserError, with the names there are, on another."""
    names = pretrained_names()
    if name not in names:
        raise UserError(f"no built-in weights {name!r}; there are: {', '.join(names) or 'none'}")
    return BUILT_IN / name


def pretrained_names() -> list[str]:
    """Names of the weights that ship with the package."""
    return sorted(path.parent.name for path in BUILT_IN.glob(f"*/{CONFIG}"))


def _locate(folder: str | Path) -> Path:
    """The folder that holds the two files."""
    path = Path(folder)
    if (found := _weights_in(path)) is not None:
        return found
    if (path / "config.yaml").is_file():
        raise UserError(f"{path} is a run that has saved no model yet: it does with its first checkpoint")
    if path.is_dir():
        raise UserError(f"{path} holds no weights ({CONFIG} and {TENSORS}), nor a folder weights that does")
    if path.exists():
        raise UserError(f"{path} is a file: give the folder that holds {CONFIG} and {TENSORS}")
    if path.name != str(folder):
        raise UserError(f"no such weights folder: {path}")
    return pretrained(path.name)


def _weights_in(path: Path) -> Path | None:
    """Where ``path``, a run or a folder of weights, has any of the two files."""
    for candidate in (path / "weights", path):
        found = standing(candidate)
        if any((found / name).exists() for name in (CONFIG, TENSORS)):
            return found
    return None


def _load_replaced(run: str | Path) -> SQAIR:
    """The model in a run's weights, which its training may replace while they are read."""
    for _ in range(_TRIES - 1):
        try:
            return _load(run)
        except UserError:
            time.sleep(0.02)
    return _load(run)


def _load(folder: str | Path) -> SQAIR:
    try:
        found = _locate(folder)
        with open(found / CONFIG, "rb") as config, open(found / TENSORS, "rb") as weights:
            text, data = config.read(), weights.read()
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
    card = _parse(text, found / CONFIG)
    if hashlib.sha256(data).hexdigest() != card.sha256:
        raise UserError(f"{found / TENSORS} is cut short, damaged, or not what {CONFIG} was saved with")
    model = _build_model(card, found / CONFIG)
    _fill(model, data, found / TENSORS)
    model.price = card.price
    steps, total = card.info.get("steps"), card.info.get("total_steps")
    model.trained = (steps, total) if type(steps) is int and type(total) is int else None
    settings = card.info.get("settings")
    model.shown = shown_range(settings.get("range") if isinstance(settings, dict) else None)
    return model


def _parse(text: bytes, path: Path) -> _Card:
    try:
        entries = json.loads(text)
        checksum = entries.pop("checksum", None) if isinstance(entries, dict) else None
        intact = checksum == _checksum(entries)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is cut short or damaged: it is not JSON") from error
    if not isinstance(entries, dict):
        raise UserError(f"{path} is not the configuration of a model")
    version = entries.get("format")
    if type(version) is int and version > FORMAT:
        raise UserError(f"{path} has format {version}, newer than {FORMAT} of this sqair: update sqair")
    card = config_from_dict(_Card, entries, str(path))
    if checksum is None:
        raise UserError(f"{path}: the key 'checksum' is missing")
    if card.format != FORMAT or not intact:
        raise UserError(f"{path} is damaged or was edited: its checksum does not match")
    return card


def _checksum(entries: Any) -> str:
    """SHA-256 of what the JSON says, however it is laid out."""
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _build_model(card: _Card, path: Path) -> SQAIR:
    """An untrained model; the state of torch's random generator stays as it was."""
    try:
        with torch.random.fork_rng(devices=[]):
            return SQAIR(card.model)
    except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} describes a model that cannot be built: {reason}") from error


def _fill(model: SQAIR, data: bytes, path: Path) -> None:
    """Copies the tensors of a file into ``model``, which must have the same ones, in the file's precision."""
    try:
        tensors = safetensors.torch.load(data)
    except Exception as error:  # a malformed header also makes it raise KeyError and more
        raise UserError(f"{path} is not a file of safetensors") from error
    model.to(next((t.dtype for t in tensors.values() if t.is_floating_point()), torch.float32))
    targets = _tensors(model)
    other = f"{path} is of another configuration than {CONFIG}"
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


def _tensors(model: SQAIR) -> dict[str, Tensor]:
    """Parameters and buffers by name, each under its first name only."""
    named: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            named[name] = tensor
            seen.add(id(tensor))
    return named
