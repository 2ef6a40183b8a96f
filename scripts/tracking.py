"""The work of ``sqair track``: clips in, files of rows and overlay videos out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from sqair.datasets.clip import ClipSource, TruncatedClip
from sqair.datasets.regions import Choice, arenas
from sqair.datasets.staging import claim, source_files, staged
from sqair.datasets.video import read_source
from sqair.errors import UserError
from sqair.files.masks import ENDING, IMAGES
from sqair.files.pretrained import weights_files
from sqair.process import keep_freed_memory, set_threads
from sqair.scripts.adapt import FOLDER, adapt, check_adapt
from sqair.scripts.exporting import wanted_of
from sqair.scripts.interrupts import Interrupts
from sqair.scripts.job import Job
from sqair.scripts.remarks import Remarks
from sqair.scripts.track import Args
from sqair.scripts.track_archive import fit_together, track_archive
from sqair.scripts.track_frames import model_for, model_name, with_room
from sqair.scripts.track_pictures import has_display
from sqair.scripts.track_stream import track_stream
from sqair.words import count


def track(args: Args) -> float:
    """Runs ``sqair track``, see ``sqair.scripts.track.main``; returns the frames tracked per second."""
    keep_freed_memory()
    set_threads(args.threads)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU here")
    if args.show and not has_display():
        raise UserError("--show: there is no display here; --overlay writes videos instead")
    clips = read_source(args.source, fps=args.fps, shown=args.range)
    look = Choice(args.region, args.exclude)
    args = replace(args, model=model_name(arenas(clips, look), args.model))
    wanted = wanted_of(args)
    kinds = {".txt": True, ".mp4": args.overlay, ".gif": args.gif, ".jsonl": args.json}
    kinds.update({ENDING: args.masks, IMAGES: args.mask_images})
    kinds.update(dict.fromkeys(wanted.endings, True))
    check_adapt(args)
    entries = [f"{clip.name}{kind}" for clip in clips for kind, on in kinds.items() if on]
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
        objects = sum(map(_objects, stage.glob("*.txt")))
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


def follow(job: Job, clips: Sequence[ClipSource]) -> tuple[int, int, TruncatedClip | None]:
    """Tracks clips until there is an interrupt: how many were begun, their frames, and what cut one short."""
    if fit_together(clips, job.args, job.model.config):
        return *track_archive(job, clips), None
    begun, done, truncated = 0, 0, None
    for clip in clips:
        frames, error = track_stream(job, clip)
        begun, done, truncated = begun + 1, done + frames, truncated or error
        if job.interrupts.caught is not None:
            break
    return begun, done, truncated


def check_fps(fps: float | None) -> None:
    """Raises UserError unless ``fps``, what ``--fps`` says, is a rate."""
    if fps is not None and not 0 < fps <= 1e6:
        raise UserError(f"--fps is {fps:g}: it must be more than 0, and a million at most")


def claim_output(args: Args, entries: Sequence[str]) -> None:
    """Raises UserError, before any work, if the files may not be written: see ``sqair.datasets.staging.claim``."""
    kinds = {"overlay": args.overlay, "gif": args.gif, "masks": args.masks, "mask-images": args.mask_images}
    read_later = [f"--{kind}" for kind, on in kinds.items() if on]
    if read_later and Path(args.source).is_dir() and args.output.exists() and args.output.samefile(args.source):
        what = read_later[0]
        raise UserError(f"{what}: it would lie among what is read from {args.source}: choose another --output")
    reads = (*source_files(args.source), *weights_files(args.model))
    claim(args.output, entries, overwrite=args.overwrite, reads=reads)


def _objects(rows: Path) -> int:
    """How many ids there are in a file of MOTChallenge rows."""
    with rows.open() as lines:
        return len({line.split(",", 2)[1] for line in lines})


def _summary(output: Path, entries: Sequence[str], clips: int, objects: int, frames: int, rate: float) -> str:
    """What was found in how many clips, how fast, and where it is."""
    found = f"{count(objects, 'object')} in" if objects else "nothing in"
    of = f" of {count(clips, 'clip')}" if clips > 1 else ""
    speed = f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
    files = [str(output / entry) for entry in entries] if clips == 1 else [str(output)]
    return f"found {found} {count(frames, 'frame')}{of}, {speed} frames a second: {', '.join(files)}"
