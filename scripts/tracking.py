"""The work of ``sqair track``: clips in, files of rows and overlay videos out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from glob import has_magic
from pathlib import Path

import torch
from tqdm import tqdm

from sqair.datasets.clip import ClipSource
from sqair.datasets.listing import Part, list_parts
from sqair.datasets.regions import Choice, arenas
from sqair.datasets.staging import staged
from sqair.datasets.video import read_source
from sqair.errors import UserError
from sqair.process import keep_freed_memory, set_threads
from sqair.scripts.adapt import FOLDER, adapt, check_adapt
from sqair.scripts.exporting import wanted_of
from sqair.scripts.following import follow
from sqair.scripts.interrupts import Interrupts
from sqair.scripts.job import Job
from sqair.scripts.outcome import claim_output, found_in
from sqair.scripts.remarks import Remarks
from sqair.scripts.track import Args
from sqair.scripts.track_files import track_files
from sqair.scripts.track_frames import model_for, model_name, with_room
from sqair.scripts.track_part import count_objects, entries_of
from sqair.scripts.track_pictures import has_display


def track(args: Args) -> float:
    """Runs ``sqair track``, see ``sqair.scripts.track.main``; returns the frames tracked per second."""
    keep_freed_memory()
    set_threads(args.threads)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU here")
    if args.show and not has_display():
        raise UserError("--show: there is no display here; --overlay writes videos instead")
    if parts := _many(args):
        return track_files(args, parts)
    clips = read_source(args.sources, fps=args.fps, shown=args.range)
    look = Choice(args.region, args.exclude)
    args = replace(args, model=model_name(arenas(clips, look), args.model))
    wanted = wanted_of(args)
    check_adapt(args)
    entries = entries_of(clips, args, wanted)
    claim_output(args, [*entries, *([FOLDER] if args.adapt else [])])
    if args.adapt:
        args = replace(args, model=str(adapt(args)), overwrite=True)
    model = model_for(arenas(clips, look), args.model, args.device, args.stabilise)
    model = with_room(model, args.max_objects, args.count)
    notes = Remarks(sys.maxsize if args.max_objects else model.config.slots)
    began = time.monotonic()
    with staged(args.output, entries, overwrite=args.overwrite) as stage, Interrupts() as interrupts:
        with tqdm(total=frames_of(clips), unit="frame", disable=None) as bar:
            begun, done, truncated = follow(Job(args, wanted, model, stage, bar, interrupts, notes), clips)
        del entries[begun * len(entries) // len(clips) :]  # clips not begun are not published
        objects = sum(map(count_objects, stage.glob("*.txt")))
    rate = done / (time.monotonic() - began)
    for line in notes.lines():
        print(line)
    print(_summary(args.output, entries, begun, objects, done, rate))
    if interrupts.caught is not None:
        print(f"stopped; the tracks up to there are in {args.output}")
        raise SystemExit(128 + interrupts.caught)
    if truncated is not None:
        raise UserError(f"{truncated}; the tracks of these are in {args.output}") from truncated
    return rate


def frames_of(clips: Sequence[ClipSource]) -> int | None:
    """How many frames clips have together; None where that is not known."""
    lengths = [clip.length for clip in clips]
    return None if None in lengths else sum(n or 0 for n in lengths)


def check_fps(fps: float | None) -> None:
    """Raises UserError unless ``fps``, what ``--fps`` says, is a rate."""
    if fps is not None and not 0 < fps <= 1e6:
        raise UserError(f"--fps is {fps:g}: it must be more than 0, and a million at most")


def _many(args: Args) -> list[Part]:
    """The files of the source, if each of them is to be tracked by itself; else nothing.

    Raises UserError where what is wanted of many files is wanted of a camera.
    """
    patterns = (one for one in args.sources if Path(one).is_dir() or (has_magic(one) and not Path(one).exists()))
    asked = "--resume" if args.resume else "--shard" if args.shard else ""
    if not (asked or len(args.sources) > 1 or any(patterns)):
        return []
    parts = list_parts(args.sources, args.range)
    endless = next((part.path for part in parts if part.endless), None)
    if endless is not None and (asked or len(parts) > 1):
        raise UserError(f"{endless}: is seen once, and goes by itself: leave out {asked or 'other sources'}")
    return parts if asked or len(parts) > 1 else []


def _summary(output: Path, entries: Sequence[str], clips: int, objects: int, frames: int, rate: float) -> str:
    """What was found in how many clips, how fast, and where it is."""
    files = [str(output / entry) for entry in entries] if clips == 1 else [str(output)]
    return f"{found_in(objects, frames, clips, rate)}: {', '.join(files)}"
