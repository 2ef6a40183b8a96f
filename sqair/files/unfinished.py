"""What the checkpoint of a run that is not finished says of its model: data only, as weights are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqair.config import ModelConfig
from sqair.errors import UserError
from sqair.files.checkpoint import load_checkpoint
from sqair.files.plain import config_from_dict

CHECKPOINT = "checkpoint.pt"
"""The file of a run's folder that its training goes on from."""


@dataclass(frozen=True)
class Training:
    """What a checkpoint says of the model that would be left if training ended there, at the price for tracking."""

    path: Path
    config: ModelConfig
    tensors: Mapping[str, Any]
    price: float
    steps: int
    total_steps: int
    shown: tuple[float, float] | None


def training_of(path: Path) -> Training:
    """What the checkpoint of a run says.

    Raises:
        UserError: the file is missing, cut short, damaged or not of a run, or no step was made yet.
    """
    settings, state = _training(path)
    if state["tracking_price"] is None:
        raise UserError(f"{path} is of a run that has not made a step yet: let it train first")
    config = config_from_dict(ModelConfig, _nested(settings, "model"), f"{path}: model")
    price, shown = state["tracking_price"], shown_range(settings.get("range"))
    return Training(path, config, state["model"], price, state["step"], state["total_steps"], shown)


def shown_range(setting: Any) -> tuple[float, float] | None:
    """The values that were black and white in training, as its settings have them; None where they say nothing."""
    if not isinstance(setting, list) or len(setting) != 2 or not all(isinstance(v, float | int) for v in setting):
        return None
    return float(setting[0]), float(setting[1])


def _training(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The settings of a run by dotted name, and the state of its trainer."""
    saved = load_checkpoint(path)
    settings, state = saved.get("settings"), saved.get("trainer")
    if not isinstance(settings, dict) or not isinstance(state, dict):
        raise UserError(f"{path} is not the checkpoint of a run of sqair train")
    if "baseline" in settings:
        raise UserError(f"{path} is of a model to compare with, which has no weights yet: let it train on")
    kinds = {"step": int, "total_steps": int, "tracking_price": (float, int, type(None)), "model": dict}
    if not all(isinstance(state.get(name, ...), kind) for name, kind in kinds.items()):
        raise UserError(f"{path} is of an earlier sqair: finish the run with that one, or train anew")
    return settings, state


def _nested(settings: Mapping[str, Any], group: str) -> dict[str, Any]:
    """The settings of a group, of which dotted names are nested."""
    nested: dict[str, Any] = {}
    for name, value in settings.items():
        if not name.startswith(f"{group}."):
            continue
        *groups, last = name.split(".")[1:]
        inside = nested
        for part in groups:
            inside = inside.setdefault(part, {})
        inside[last] = value
    return nested
