"""Named presets: a few settings each, over the one configuration of ``sqair train``.

A setting is decided by the last of these that says anything: the defaults, the recipe, a survey of the footage, the
preset, the YAML file of ``--config``, the words that were typed. So a survey sets the model, the objects and the
schedule, and a preset that says another schedule keeps it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqair.config import ModelConfig
from sqair.datasets.recipes import get_recipe
from sqair.errors import UserError
from sqair.scripts.yaml_flags import changed, flag_words, leaves_of, read_flags

if TYPE_CHECKING:
    from sqair.datasets.survey import Survey

ADAM = {"muon_rate": 0.0, "snug": 0.0}
"""As they learned before there was Muon: with it, and half the steps, sqair-script was worse in the small training of
checks.md (MOTA .902, .939 without). static-air stayed at one object a frame, which some seeds do without it too."""
ALONE = {"temporal": dict.fromkeys(("hidden", "position", "appearance", "presence"), False)}
"""Each frame is explained by itself: AIR on the frames of clips. Who is who is told by overlap (eval/linking.py)."""
AIR = {
    "model": {"discovery": "recurrent", **ALONE},
    "train": {"stages": ["1x3000x64"], "price": [0.02, 0.12], "price_steps": 1000, "bold_all": True, **ADAM},
}
VRNN = {"learning_rate": 1e-3, "clip_norm": 1e6}
"""Of Muon's rates as well as ours; what else was tried is in docs/baselines.md."""
PRESETS: dict[str, dict[str, Any]] = {
    "moving-mnist": {},
    "quick": {"train": {"stages": ["1x550x64", "3x65x106", "5x65x64", "10x65x32"], "price_steps": 600}},
    "sqair-script": {
        "recipe": "sqair-script",
        "train": {"stages": ["1x2500x64", "3x400x106", "5x400x64", "10x500x32"], "price_steps": 3500, **ADAM},
    },
    "birth-death": {"recipe": "birth-death", "model": {"stay_logit": -6.0}},
    "static-air": {
        "data": {"length": 1},
        "model": {"discovery": "recurrent"},
        "train": {"stages": ["1x3000x64"], "price": [0.02, 0.12], "price_steps": 1000, "bold_all": True, **ADAM},
    },
    "sqair-conv": {"model": {"glimpse_net": "conv"}},
    "air": AIR,
    "air-conv": {**AIR, "model": {**AIR["model"], "glimpse_net": "conv"}},
    "vrnn-mlp": {"baseline": "vrnn", "vrnn": {"net": "mlp"}, "train": {"stages": ["10x2500x32"], **VRNN}},
    "vrnn-conv": {
        "baseline": "vrnn",
        "vrnn": {"net": "conv", "size": "small"},
        "train": {"stages": ["10x1000x32"], **VRNN},
    },
    "tiny": {
        "start": "none",
        "data": {"min_objects": 1},
        "model": {"hidden": 16, "features": 16, "z_what": 8},
        "train": {"stages": ["1x4x8", "3x4x4"]},
        "validate_every": 4,
        "validation_clips": 3,
    },
}
"""Settings by preset, nested as in a YAML file. ``tiny`` is for tests: it learns nothing."""


def with_presets(words: Sequence[str], args_type: type) -> tuple[list[str], Survey | None]:
    """``words`` with those of the recipe, the footage, the preset and the YAML file put first, all of which they name.

    With ``--resume`` and none of ``--config``, ``--preset`` and ``--recipe``, the YAML file is the run's own. What a
    survey saw of the footage is returned too. There is none where the YAML file sets all of the model, nor for
    ``--help``.

    Raises:
        UserError: no such recipe, preset, footage, file or run, or a key or value in the file is wrong.
    """
    config = _value(words, "--config")
    if config is None and "--resume" in words and not any(_value(words, f) for f in ("--preset", "--recipe")):
        config = _run_config(_value(words, "--output"))
    written = read_flags(config, args_type) if config else []
    words = [*written, *words]
    if preset := _value(words, "--preset"):
        words = [*flag_words(get_preset(preset), args_type, f"preset {preset}"), *words]
    seen = None
    footage = _values(words, "--footage", "--data")
    if footage is not None and not {"-h", "--help"} & set(words) and not _whole_model(written):
        from sqair.datasets.regions import Choice
        from sqair.scripts.footage import look_at
        from sqair.scripts.stabilise import read_stabilise

        threads, stabilise = _value(words, "--threads") or "", _values(words, "--stabilise")
        stabilise = "auto" if stabilise is None else read_stabilise(stabilise)
        start = _value(words, "--start") or _value(words, "--from")
        many = int(threads) if threads.isdecimal() else 1
        choice = Choice(*(tuple(_values(words, flag) or ()) for flag in ("--region", "--exclude")))
        seen, settings = look_at(footage, many, _range(words), stabilise, start, choice)
        words = [*flag_words(settings, args_type, "footage"), *words]
    if recipe := _value(words, "--recipe"):
        words = [*flag_words({"data": changed(get_recipe(recipe))}, args_type, f"recipe {recipe}"), *words]
    return words, seen


def get_preset(name: str) -> Mapping[str, Any]:
    """The settings of a preset. Raises UserError, with the names there are, on another."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise UserError(f"unknown preset {name!r}{meant}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def _value(words: Sequence[str], flag: str) -> str | None:
    """What the last ``flag VALUE`` or ``flag=VALUE`` says."""
    return next(iter(_values(words, flag) or ()), None)


def _values(words: Sequence[str], *flags: str) -> list[str] | None:
    """The values of the last of the ``flags`` that is there, as ``FLAG A B ...`` or ``FLAG=A``; None without any."""
    values = None
    for i, word in enumerate(words):
        if word in flags:
            values = list(takewhile(lambda value: not value.startswith("--"), words[i + 1 :]))
        elif word.startswith(tuple(f"{flag}=" for flag in flags)):
            values = [word.partition("=")[2]]
    return None if values == ["None"] else values


def _range(words: Sequence[str]) -> tuple[float, float] | None:
    """What ``--range LOW HIGH`` says; None where it says nothing, or nothing that can be read."""
    try:
        low, high = map(float, (_values(words, "--range") or [])[:2])
    except ValueError:
        return None
    return low, high


def _whole_model(words: Sequence[str]) -> bool:
    """Whether ``words`` set all of the model, as those of a run's ``config.yaml`` do."""
    return sum(word.startswith("--model.") for word in words) >= len(list(leaves_of(ModelConfig)))


def _run_config(output: str | None) -> Path | None:
    """``config.yaml`` of the run in the folder ``output``."""
    if output is None:
        return None
    path = Path(output) / "config.yaml"
    if not path.is_file():
        raise UserError(f"there is no run to resume in {output}: it has no config.yaml")
    return path
