"""The card of a model, ``README.md`` beside its weights: what it is, how to use it, what it was made of, its limits.

It is Markdown with a head of YAML, as the Hugging Face hub shows it. All of it follows from ``config.json``: the same
weights have the same card.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

import sqair
from sqair.config import ModelConfig
from sqair.words import count

_HEAD = """\
---
library_name: sqair
pipeline_tag: object-detection
tags:
- sqair
- object-tracking
- video
- unsupervised
---

# A tracker of objects in video

Weights of `sqair` (Sequential Attend, Infer, Repeat): a generative model that finds the objects of a video and follows
each under its own id. It was trained without labels.

## Use

`org/name` is the repository that this page is of, or the folder that holds its files. They are data: nothing in them is
executed.

```sh
sqair track --model org/name --source clip.mp4 --output tracks --overlay
```

```python
from sqair import SQAIR, Tracker

tracker = Tracker(SQAIR.from_pretrained("org/name"))
for frame in frames:  # uint8 {axes}
    tracks = tracker.update(frame)  # tracks.id [M], tracks.box [M, 4]: x, y, w, h in pixels
```
"""
_OBJECTS = {
    "light": "things that are brighter than what is behind them, such as white digits, and add their light where they"
    " overlap",
    "opaque": "things that hide what is behind them",
    "layered": "things that hide what is behind them, and one another",
}
_BACKGROUNDS = {
    "none": "black, or nearly so",
    "plain": "one colour",
    "smooth": "smooth gradients",
    "upconv": "textures",
    "still": "the scene of a camera that stands still; one that trembles is put right, one that pans, turns or zooms is"
    " not",
}
_MEASURED = {
    "validation_count_accuracy": "share of frames of validation with the right number of objects, unrefined",
    "explained": "share of what moves in the validation clips that objects explain",
    "found": "objects in a frame of the validation clips, as found",
    "full": "share of these frames that have as many objects as there can be",
}
"""What ``sqair train`` measures, by its name in ``config.json``."""
_NAMED = 5
"""Most sources of footage that are named."""


def card_of(config: ModelConfig, info: Mapping[str, Any]) -> str:
    """The card of a model, and of what ``info`` of ``save_weights`` says of it; what it does not know is left out."""
    settings = _mapping(info.get("settings"))
    train = _mapping(settings.get("train", info.get("train")))
    known = _bullets([*_data(info, settings), *_training(info, settings, train)])
    sections = {
        "Trained on": known or "Nothing is noted of it.",
        "Scores": _scores(info),
        "Limits": _bullets(_limits(config)),
        "Again": _again(info, settings, train),
    }
    axes = "[H, W]" if config.channels == 1 else "[H, W, 3]"
    return _HEAD.replace("{axes}", axes) + "".join(f"\n## {name}\n\n{text}\n" for name, text in sections.items())


def _data(info: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    footage, video = settings.get("footage"), _mapping(settings.get("data"))
    if isinstance(footage, list) and footage:
        names = [f"`{PurePath(str(source)).name or source}`" for source in footage]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield f"footage without labels: {', '.join(names[:_NAMED])}{more}"
    elif video:
        size = f"{video.get('width')}x{video.get('height')} pixels"
        objects = f"{video.get('min_objects')} to {video.get('max_objects')} objects"
        length = f"clips of {video.get('length')} frames"
        yield f"generated video, `{settings.get('recipe')}`: {size}, {objects}, {length}"
    elif isinstance(data := info.get("data"), str):
        yield data
    shown = settings.get("range")
    if isinstance(shown, list) and len(shown) == 2:
        yield f"values from {shown[0]} to {shown[1]} as black to white"


def _training(info: Mapping[str, Any], settings: Mapping[str, Any], train: Mapping[str, Any]) -> Iterator[str]:
    if (start := settings.get("start", "none")) != "none":
        yield f"from the weights `{PurePath(str(start)).name}`"
    steps, total, seconds = (info.get(name) for name in ("steps", "total_steps", "cpu_seconds"))
    if steps is not None:
        of = "" if steps == total else f" of {total}: the training was not finished"
        spent = f", {seconds} CPU-seconds" if seconds is not None else ""
        yield f"{steps} steps{of}{spent}"
    if isinstance(stages := train.get("stages"), list | tuple):
        yield f"stages, frames x steps x clips: {', '.join(map(_stage, stages))}"
    if (estimator := train.get("estimator")) is not None:
        yield f"gradients through presence: `{estimator}`"


def _stage(stage: Any) -> str:
    known = _mapping(stage)
    return f"{known.get('length')}x{known.get('steps')}x{known.get('clips')}" if known else str(stage)


def _scores(info: Mapping[str, Any]) -> str:
    measured = {**info, **_mapping(info.get("validation"))}
    lines = [f"{what}: {_number(measured[name])}" for name, what in _MEASURED.items() if _known(measured.get(name))]
    lines += [f"{name}: {_number(score)}" for name, score in _mapping(info.get("scores")).items() if _known(score)]
    notes = info.get("notes")
    said = [_bullets(lines), notes.strip() if isinstance(notes, str) else ""]
    return "\n\n".join(filter(None, said)) or "None is noted. `sqair score` compares tracks with ground truth."


def _limits(config: ModelConfig) -> Iterator[str]:
    canvas = f"{config.width}x{config.height} pixels"
    yield f"frames of any size, scaled to {canvas}" if config.fit else f"frames of {canvas}, no others"
    yield "grey frames: colour is made grey" if config.channels == 1 else "frames in colour"
    yield f"at most {count(config.slots, 'object')} at a time"
    yield f"objects of about {config.size_mean:g} pixels of these, at most {config.max_size:g}"
    yield f"objects: {_OBJECTS[config.objects]}"
    yield f"behind them: {_BACKGROUNDS[config.background]}"
    yield "no classes: what an object is is not said, only where it is and which one"


def _again(info: Mapping[str, Any], settings: Mapping[str, Any], train: Mapping[str, Any]) -> str:
    command = info.get("command")
    how = "`config.json` has the settings." if settings else "`config.json` has the configuration of the model."
    if isinstance(command, str):
        how = f"`{command}`. {how}"
    seed = train.get("seed")
    same = f" Seed {seed} repeats it bit for bit on one machine." if seed is not None else ""
    return f"{how}{same} Written by sqair {sqair.__version__}."


def _bullets(lines: Any) -> str:
    return "\n".join(f"- {' '.join(str(line).split())}" for line in lines)


def _mapping(value: Any) -> Mapping[str, Any]:
    """What is no mapping says nothing."""
    return value if isinstance(value, Mapping) else {}


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and not math.isnan(value)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"
