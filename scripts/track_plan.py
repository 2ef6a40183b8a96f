"""Which of many files are to be tracked, and by what model, before any of them is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqair
from sqair.config import ModelConfig
from sqair.datasets.clip import ClipSource
from sqair.datasets.depth import spread
from sqair.datasets.listing import Part
from sqair.datasets.regions import Choice, arenas
from sqair.errors import UserError
from sqair.files.plain import config_from_dict
from sqair.files.pretrained import CONFIG
from sqair.model import SQAIR
from sqair.scripts.any_camera import ANY_CAMERA
from sqair.scripts.exporting import Wanted
from sqair.scripts.track import Args
from sqair.scripts.track_frames import model_for, model_name, say_range, with_room
from sqair.scripts.track_part import entries_of
from sqair.scripts.track_record import Record, Records, different

SAMPLED = 32
"""Clips that a survey looks at: evenly spread over all of the source, so that parts of a run have the same model."""
_FREE = ("source", "output", "model", "overwrite", "resume", "shard", "processes", "show", "csv", "format")
"""Arguments on which the files of a clip do not depend, or which are told in another way."""


def share_of(parts: Sequence[Part], shard: str | None) -> list[Part]:
    """The parts that are those of a ``shard``: every n-th, from the i-th on, of ``i/n``. Raises UserError if that is
    no good."""
    if shard is None:
        return list(parts)
    i, slash, n = shard.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n)):
        raise UserError(f"--shard {shard}: give a number and how many there are, such as 3/16, from 1/16 to 16/16")
    return list(parts[int(i) - 1 :: int(n)])


def settings_of(args: Args, wanted: Wanted) -> dict[str, Any]:
    """What the files of a clip depend on, beside the clip and the model, as JSON has it."""
    told = {name: value for name, value in asdict(args).items() if name not in _FREE}
    for name in ("region", "exclude", "zone"):
        told[name] = [_with_contents(word) for word in told[name]]
    return json.loads(json.dumps({**told, "format": sorted(wanted.formats), "sqair": sqair.__version__}))


def _with_contents(word: str) -> str:
    """A word, and if it names a file which file that is."""
    path = Path(word)
    return f"{word} ({hashlib.sha256(path.read_bytes()).hexdigest()[:12]})" if path.is_file() else word


def earlier(records: Records, parts: Sequence[Part], settings: dict[str, Any], *, overwrite: bool) -> dict | None:
    """How the parts of a run that is resumed were tracked, if any was. Raises UserError if settings were others."""
    for part in parts:
        if (record := records.record(part.name)) is None:
            continue
        how = records.run(record.run)
        if how.get("settings") == settings:
            return how
        if not overwrite:
            difference = different(how.get("settings", {}), settings)
            raise UserError(
                f"{records.root} is of a run of other settings: {difference}: give the same, or choose another --output"
            )
    return None


def model_of(args: Args, parts: Sequence[Part], before: dict[str, Any] | None) -> tuple[str, SQAIR]:
    """The model for all ``parts``, and its name; it is fitted to clips as it was ``before``, in a run that is resumed.

    What there is to say of it is printed. Raises UserError as ``model_for`` does, or if no clip can be opened.
    """
    name = args.model
    if before is not None and name == "auto":
        name = before["called"]
    if before is not None and name == ANY_CAMERA:
        trained = SQAIR.from_pretrained(name, args.device)
        return name, trained.refitted(config_from_dict(ModelConfig, before["model"]), before["price"])
    fits = name in ("auto", ANY_CAMERA)
    clips, broken = _sample(parts, args, SAMPLED if fits else 1)
    if fits and broken is not None and not clips:
        raise broken
    name = model_name(clips, name)
    model = model_for(clips if name == ANY_CAMERA else [], name, args.device, args.stabilise)
    say_range(clips, model)
    return name, with_room(model, args.max_objects, args.count)


def _sample(parts: Sequence[Part], args: Args, most: int) -> tuple[list[ClipSource], UserError | None]:
    """The arenas of some clips of all parts, and what is wrong with the first that cannot be opened."""
    found, first = list[ClipSource](), None
    for place in spread(len(parts), most):
        try:
            clips = parts[place].open(args.fps)
            clips = [clips[k] for k in spread(len(clips), max(1, most // len(parts)))]
            found += arenas(clips, Choice(args.region, args.exclude))
        except UserError as error:
            first = first or error
    return found, first


def save_plan(name: str, model: SQAIR, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Writes the model to ``folder``, from where processes take it; returns what a run is known by."""
    model.save_pretrained(folder)
    card = json.loads((folder / CONFIG).read_bytes())
    return {
        "called": name, "settings": settings,
        "weights": card["sha256"], "model": card["model"], "price": card["price"],
    }  # fmt: skip


def left_of(
    records: Records, parts: Sequence[Part], run: str, args: Args, wanted: Wanted
) -> tuple[list[Part], list[Record]]:
    """The parts that are still to be tracked, and the records of those that are done, of a run that is resumed.

    Raises UserError if what is there is of another run, source or hand, and may not be replaced.
    """
    left, done = list[Part](), list[Record]()
    for part in parts:
        record = records.done(part.name, part.path, run, overwrite=args.overwrite)
        if record is not None:
            done.append(record)
            continue
        left.append(part)
        if not args.overwrite and records.record(part.name) is None:
            records.refuse(set(entries_of([part], args, wanted)))
    return left, done
