"""A file among many, tracked: its results are published by themselves, whole or not at all."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqair.datasets.clip import ClipSource
from sqair.datasets.listing import Part
from sqair.datasets.regions import Choice, arenas
from sqair.errors import UserError
from sqair.files.masks import ENDING, IMAGES
from sqair.model import SQAIR
from sqair.process import keep_freed_memory, set_threads
from sqair.scripts.exporting import Wanted
from sqair.scripts.following import follow
from sqair.scripts.interrupts import Interrupts
from sqair.scripts.job import Job
from sqair.scripts.remarks import Remarks
from sqair.scripts.track import Args
from sqair.scripts.track_frames import check_sizes
from sqair.scripts.track_record import Record, Records, state_of

Tell = Callable[[int], None]
"""Is told how many more frames were tracked; what it raises ends the tracking."""


@dataclass(frozen=True)
class Tracked:
    """What was found in a part, and what is to be said of it."""

    record: Record
    notes: Remarks


@dataclass(frozen=True)
class Failed:
    """Why a part was not tracked; ``full`` if no other will be either, for the disk is full."""

    message: str
    full: bool = False


@dataclass(frozen=True)
class Plan:
    """How each of many parts is tracked; other processes are sent it. ``run`` is the hash of it, ``weights`` a folder
    with the model, and ``slots`` the objects of a frame from which a model is full."""

    args: Args
    wanted: Wanted
    run: str
    weights: Path
    slots: int

    def tracker(self) -> Callable[[Part, Tell], Tracked | Failed]:
        """What tracks a part in this process."""
        keep_freed_memory()
        set_threads(self.args.threads)
        model = SQAIR.from_pretrained(self.weights, self.args.device)

        def attempt(part: Part, tell: Tell) -> Tracked | Failed:
            try:
                return track_part(self, model, part, tell)
            except Exception as error:
                return Failed(_reason(part, error), _is_full(error))

        return attempt


def endings(args: Args, wanted: Wanted) -> list[str]:
    """Of the files that are written of each clip."""
    kinds = {".txt": True, ".mp4": args.overlay, ".gif": args.gif, ".jsonl": args.json}
    kinds.update({ENDING: args.masks, IMAGES: args.mask_images})
    return [*(kind for kind, on in kinds.items() if on), *wanted.endings]


def track_part(plan: Plan, model: SQAIR, part: Part, tell: Tell) -> Tracked:
    """Tracks the clips of a part and publishes what was found. Raises UserError where the part is no good."""
    args, records = plan.args, Records(plan.args.output)
    with records.work(part.name) as stage:
        if args.resume:  # another run may have done it since this one looked
            done = records.done(part.name, part.path, plan.run, overwrite=args.overwrite)
            if done is not None:
                return Tracked(done, Remarks(plan.slots))
        source = state_of(part.path)
        clips = part.open(args.fps)
        check_sizes(arenas(clips, Choice(args.region, args.exclude)), model.config)
        notes = Remarks(plan.slots)
        job = Job(args, plan.wanted, model, stage, _Told(tell), Interrupts(), notes)
        _, frames, cut = follow(job, clips)
        objects = sum(map(count_objects, stage.glob("*.txt")))
        record = Record(plan.run, source, {}, False, frames, objects, str(cut or ""))
        records.publish(part.name, entries_of(clips, args, plan.wanted), record, overwrite=args.overwrite)
    return Tracked(record, notes)


def entries_of(clips: Sequence[ClipSource | Part], args: Args, wanted: Wanted) -> list[str]:
    """The files that are written of clips, in the output folder."""
    return [f"{clip.name}{kind}" for clip in clips for kind in endings(args, wanted)]


def count_objects(rows: Path) -> int:
    """How many ids there are in a file of MOTChallenge rows."""
    with rows.open() as lines:
        return len({line.split(",", 2)[1] for line in lines})


class _Told:
    """A bar that tells of frames alone."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def update(self, n: float | None = 1) -> None:
        self._tell(int(n or 0))

    def set_postfix_str(self, s: str = "") -> None:
        self._tell(0)


def _reason(part: Part, error: Exception) -> str:
    """What went wrong with a part, in a line that names it."""
    message = str(error)
    if not isinstance(error, UserError):
        at = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{type(error).__name__}: {message} ({Path(at.filename).name}, line {at.lineno})"
    message = " ".join(message.split())
    return message if str(part.path) in message else f"{part.path}: {message}"


def _is_full(error: Any) -> bool:
    """Whether it comes of a disk that is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False
