"""Weights to publish and to track with: a folder of ``config.json``, ``model.safetensors`` and a card, data only.

``config.json`` holds the format version, the ModelConfig, the price of an object, the SHA-256 of
``model.safetensors``, free information such as the command that trained it, and a checksum of all that. The card,
``README.md``, tells that to people (card.py); it is never read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import safetensors.torch
import torch
from torch import nn

from sqair.config import ModelConfig
from sqair.errors import UserError
from sqair.files.card import card_of
from sqair.files.checkpoint import usable_device
from sqair.files.durable import standing, write_folder
from sqair.files.hub import CARD, cached, fetched, is_repository
from sqair.files.plain import checksum_of, config_from_dict
from sqair.files.tensors import fill, tensors_of
from sqair.files.unfinished import CHECKPOINT, Training, shown_range, training_of

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

    @property
    def trained(self) -> tuple[int, int] | None:
        """Steps of training behind it, and steps that there were to be."""
        steps, total = self.info.get("steps"), self.info.get("total_steps")
        return (steps, total) if type(steps) is int and type(total) is int else None


class _Saved(NamedTuple):
    """A folder of weights, as it was read."""

    folder: Path
    card: _Card
    data: bytes


class Pretrained(nn.Module):
    """A model that can be written as a folder of weights, and made of one."""

    config: ModelConfig
    price: float
    """Price of an object over black, nats; over a background it is as much less as objects are worth less."""
    trained: tuple[int, int] | None = None
    """Steps of training behind it and steps that there were to be, where it was loaded and they are known."""
    shown: tuple[float, float] | None = None
    """Values that were black and white in the footage that it was trained on, where they are known."""
    info: Mapping[str, Any] = MappingProxyType({})
    """What its weights say of its training, where it was loaded from some; see ``save_weights``."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu") -> Self:
        """The model that ``save_pretrained`` wrote, bit for bit, ready to track with.

        ``folder`` is a weights folder, a run's folder, or, where there is no such folder, the name of built-in weights
        (``pretrained_names``) or of a repository on the Hugging Face hub, ``org/name`` or ``org/name@revision``, whose
        files are fetched into the hub's cache. A run that was stopped, or is still training, has the model of its last
        checkpoint, or of its weights where these are newer; ``trained`` says how far it has got. Nothing in the folder
        is executed.

        Raises:
            UserError: there are no weights there, a file is missing, cut short or damaged, or the two files or
                this version of the model do not belong together; or a repository cannot be fetched.
        """
        device = usable_device(device)
        if is_repository(folder):
            return cls._of(_read(fetched(folder))).to(device).eval()
        path, checkpoint = Path(folder), Path(folder) / CHECKPOINT
        if not checkpoint.exists():
            return cls._of(_read(folder)).to(device).eval()
        saved = None if _weights_in(path) is None else _read_replaced(path)
        going = None
        if saved is None or is_unfinished(saved.card.trained):
            try:
                going = training_of(checkpoint)
            except UserError:
                if saved is None:
                    raise
        if saved is not None and (going is None or going.steps <= (saved.card.trained or (0, 0))[0]):
            return cls._of(saved).to(device).eval()
        assert going is not None
        return cls._of_training(going).to(device).eval()

    def save_pretrained(self, folder: str | Path, scores: Mapping[str, float] | None = None, notes: str = "") -> None:
        """Writes ``config.json`` and ``model.safetensors``, from which ``from_pretrained`` makes the same model.

        ``README.md`` beside them is its card, as the Hugging Face hub shows it, with ``scores`` by name, such as
        ``{"MOTA": 0.93}``, and ``notes``, in Markdown, on what they are of. Raises UserError as ``save_weights`` does.
        """
        steps = dict(zip(("steps", "total_steps"), self.trained or (), strict=False))
        known = self.info.get("settings")
        known = known if isinstance(known, dict) else {}
        settings = {} if self.shown is None else {"settings": {**known, "range": list(self.shown)}}
        told = {**({"scores": dict(scores)} if scores else {}), **({"notes": notes} if notes else {})}
        save_weights(folder, self, {**self.info, **steps, **settings, **told})

    def refitted(self, config: ModelConfig, price: float) -> Self:
        """A model of the same weights and another ``config``, on the same device, ready to track with.

        Raises:
            UserError: the weights are not of that configuration.
        """
        model = self._new(config, "the weights are those of another model")
        try:
            model.load_state_dict(self.state_dict())
        except RuntimeError as error:
            raise UserError("the weights are those of another model: canvas, sizes and counts may differ") from error
        model.price, model.trained, model.shown, model.info = price, self.trained, self.shown, self.info
        return model.to(next(self.parameters()).device).eval()

    @classmethod
    def _of(cls, saved: _Saved) -> Self:
        model = cls._new(saved.card.model, f"{saved.folder / CONFIG} describes a model that cannot be built")
        fill(model, saved.data, saved.folder / TENSORS)
        model.price, model.trained, model.info = saved.card.price, saved.card.trained, saved.card.info
        settings = saved.card.info.get("settings")
        model.shown = shown_range(settings.get("range") if isinstance(settings, dict) else None)
        return model

    @classmethod
    def _of_training(cls, going: Training) -> Self:
        other = f"{going.path} is of another sqair, whose model this one cannot build"
        model = cls._new(going.config, other)
        try:
            model.load_state_dict(going.tensors)
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise UserError(other) from error
        model.price, model.trained, model.shown = going.price, (going.steps, going.total_steps), going.shown
        return model

    @classmethod
    def _new(cls, config: ModelConfig, fault: str) -> Self:
        """An untrained model; the state of torch's random generator stays as it was."""
        try:
            with torch.random.fork_rng(devices=[]):
                return cls(config)
        except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"{fault}: {reason}") from error


def save_weights(folder: str | Path, model: Pretrained, info: dict[str, Any], *, price: float | None = None) -> None:
    """Writes ``model`` as a weights folder; a process killed meanwhile leaves the old weights or the new.

    Args:
        folder: made if need be; weights that it holds are replaced.
        model: on any device.
        info: what else to remember, made of JSON types, and to tell on the card: the training command, ``settings``,
            ``scores`` by name, ``notes``. ``steps`` and ``total_steps`` say how far training has got.
        price: of an object, for tracking; by default that of the model.

    Raises:
        TypeError: ``info`` holds what JSON cannot.
        UserError: the folder cannot be written, holds other files, which would be lost, or is that of a model which
            ships with the package.
    """
    if BUILT_IN.resolve() in Path(folder).resolve().parents:
        raise UserError(f"{folder} is the folder of a model that ships with sqair: choose another folder")
    if (Path(folder) / CARD).exists() and not (standing(Path(folder)) / CONFIG).exists():
        raise UserError(f"{folder} holds a {CARD} of something else, which saving would remove: choose another folder")
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors_of(model).items()}
    data = safetensors.torch.save(tensors)
    price = model.price if price is None else price
    card = _Card(FORMAT, model.config, float(price), hashlib.sha256(data).hexdigest(), info)
    entries = json.loads(json.dumps(dataclasses.asdict(card)))
    text = json.dumps({**entries, "checksum": checksum_of(entries)}, indent=2) + "\n"
    write_folder(folder, {TENSORS: data, CONFIG: text.encode(), CARD: card_of(model.config, entries["info"]).encode()})


def is_unfinished(trained: tuple[int, int] | None) -> bool:
    """Whether a training has not come to its end, of ``Pretrained.trained``."""
    return trained is not None and trained[0] < trained[1]


def is_finished(run: str | Path) -> bool:
    """Whether the run in the folder ``run`` has come to its end, so that its weights are its last."""
    folder = Path(run)
    return _weights_in(folder) is not None and not is_unfinished(_read_replaced(folder).card.trained)


def weights_files(folder: str | Path) -> list[Path]:
    """The files that ``from_pretrained`` may read, whether they are there or not."""
    places = [standing(Path(folder) / "weights"), standing(Path(folder)), BUILT_IN / Path(folder).name]
    if is_repository(folder) and (fetched := cached(folder)) is not None:
        places.append(fetched)
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


def _read_replaced(run: Path) -> _Saved:
    """The weights of a run, which its training may replace while they are read."""
    for _ in range(_TRIES - 1):
        try:
            return _read(run)
        except UserError:
            time.sleep(0.02)
    return _read(run)


def _read(folder: str | Path) -> _Saved:
    try:
        found = _locate(folder)
        with open(found / CONFIG, "rb") as config, open(found / TENSORS, "rb") as weights:
            text, data = config.read(), weights.read()
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
    card = _parse(text, found / CONFIG)
    if hashlib.sha256(data).hexdigest() != card.sha256:
        raise UserError(f"{found / TENSORS} is cut short, damaged, or not what {CONFIG} was saved with")
    return _Saved(found, card, data)


def _parse(text: bytes, path: Path) -> _Card:
    try:
        entries = json.loads(text)
        checksum = entries.pop("checksum", None) if isinstance(entries, dict) else None
        intact = checksum == checksum_of(entries)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is cut short or damaged: it is not JSON") from error
    if not isinstance(entries, dict):
        raise UserError(f"{path} is not the configuration of a model")
    if "baseline" in entries:
        raise UserError(f"{path} is of a model to compare with, which finds no objects: sqair evaluate measures it")
    version = entries.get("format")
    if type(version) is int and version > FORMAT:
        raise UserError(f"{path} has format {version}, newer than {FORMAT} of this sqair: update sqair")
    card = config_from_dict(_Card, entries, str(path))
    if checksum is None:
        raise UserError(f"{path}: the key 'checksum' is missing")
    if card.format != FORMAT or not intact:
        raise UserError(f"{path} is damaged or was edited: its checksum does not match")
    return card
