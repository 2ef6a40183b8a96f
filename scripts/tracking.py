"""The work of ``sqair track``: clips in, files of rows and overlay videos out."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from sqair.config import ModelConfig
from sqair.datasets.arrays import is_array
from sqair.datasets.clip import ClipSource, Frame, TruncatedClip
from sqair.datasets.overlay import overlay
from sqair.datasets.regions import Choice, arenas
from sqair.datasets.staging import claim, source_files, staged
from sqair.datasets.video import read_source
from sqair.datasets.video_out import playable, write_video
from sqair.errors import UserError
from sqair.exports.record import lasting
from sqair.files.masks import ENDING, IMAGES, MaskWriter, write_masks
from sqair.files.mot_io import write_mot
from sqair.files.pretrained import weights_files
from sqair.model import SQAIR
from sqair.passes import Options
from sqair.process import keep_freed_memory, set_threads
from sqair.reid.gallery import Identified
from sqair.scripts.adapt import FOLDER, adapt, check_adapt
from sqair.scripts.arenas import Arenas
from sqair.scripts.exporting import Wanted, wanted_of, with_zones, write_exports
from sqair.scripts.interrupts import Interrupts
from sqair.scripts.onlooker import Onlooker
from sqair.scripts.remarks import Remarks
from sqair.scripts.track import Args
from sqair.scripts.track_frames import fitted, model_for, model_name, open_clip, thin, with_room
from sqair.scripts.track_pictures import has_display, write_pictures
from sqair.scripts.track_rows import RowFiles
from sqair.tracker import Tracker, mask_clips, track_clips
from sqair.tracks import Tracks
from sqair.words import count

BATCH_CLIPS, BATCH_PIXELS = 64, 2**25
"""Most clips of an archive, and most pixels of all their frames, that are tracked together."""


class Job(NamedTuple):
    """Clips being tracked: how, by what, where to, and what is told of it, to whom."""

    args: Args
    wanted: Wanted
    model: SQAIR
    stage: Path
    bar: tqdm
    interrupts: Interrupts
    notes: Remarks
    onlooker: Onlooker | None = None


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
    if _fit_together(clips, job.args, job.model.config):
        return *_track_archive(job, clips), None
    begun, done, truncated = 0, 0, None
    for clip in clips:
        frames, error = _track_stream(job, clip)
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


def _fit_together(clips: Sequence[ClipSource], args: Args, config: ModelConfig) -> bool:
    """Whether the clips are of archives, of one shape, of a length that allows for tracking many at a time, whole."""
    if args.region or args.exclude or args.show or args.json or args.gif:
        return False
    if args.stride > 1 or args.max_frames is not None:
        return False
    archive = all(is_array(Path(clip.path)) for clip in clips)
    archive = archive and len({(clip.size, clip.length) for clip in clips}) == 1
    short = config.objects == "layered" and args.stabilise != "on"  # clips of a set are: their cameras are steady
    steady = short or not config.fit or config.background != "still"  # or else it is looked at how cameras move
    return archive and steady and _pixels(clips[0], config) <= BATCH_PIXELS


def _pixels(clip: ClipSource, config: ModelConfig) -> int:
    return (clip.length or 0) * clip.size[0] * clip.size[1] * config.channels


def _track_archive(job: Job, clips: Sequence[ClipSource]) -> tuple[int, int]:
    """Tracks clips of one length, many at a time; returns how many, and the number of their frames."""
    args, config = job.args, job.model.config
    size = max(1, min(BATCH_CLIPS, BATCH_PIXELS // _pixels(clips[0], config)))
    how = Options(
        box=args.box, refine=args.refine, memory=args.memory, count=args.count,
        passes=args.passes, tries=args.tries, threads=args.threads,
    )  # fmt: skip
    begun = done = 0
    for start in range(0, len(clips), size):
        if job.interrupts.caught is not None:
            break
        batch = clips[start : start + size]
        read = [list(fitted(clip, config)) for clip in batch]
        frames = np.stack([np.stack([frame.image for frame in clip]) for clip in read])
        if args.masks or args.mask_images:
            found, masks = mask_clips(job.model, frames, **how)
            for clip, tracks, labels in zip(batch, found, masks, strict=True):
                labels = np.where(np.isin(labels, tracks.id[lasting(tracks, args.min_life)] + 1), labels, 0)
                if args.masks:
                    write_masks(job.stage / f"{clip.name}{ENDING}", labels)
                if args.mask_images:
                    MaskWriter.of(labels).write_images(job.stage / f"{clip.name}{IMAGES}")
        else:
            found = track_clips(job.model, frames, **how)
        for clip, images, tracks, stamped in zip(batch, frames, found, read, strict=True):
            tracks = tracks.where(lasting(tracks, args.min_life))
            numbers = np.array([frame.number for frame in stamped])
            named = replace(tracks, frame=numbers[tracks.frame])
            write_mot(job.stage / f"{clip.name}.txt", named)
            seconds = np.array([frame.seconds for frame in stamped])
            write_exports(job.wanted, job.stage, clip, named, (numbers, seconds))
            job.notes.count(np.bincount(tracks.frame, minlength=len(images)))
            if args.overlay:
                pictures = overlay((image, tracks.at(t)) for t, image in enumerate(images))
                pictures = with_zones(job.wanted, clip, pictures)
                write_video(job.stage / f"{clip.name}.mp4", pictures, playable(clip.fps))
            if job.onlooker is not None:
                job.onlooker.tell(clip, named, (numbers, seconds))
            begun, done = begun + 1, done + len(images)
            job.bar.update(len(images))
    return begun, done


def _track_stream(job: Job, clip: ClipSource) -> tuple[int, TruncatedClip | None]:
    """Tracks one clip frame by frame; returns the number of frames, and what cut it short."""
    args = job.args
    make = partial(
        Tracker, job.model, box=args.box, refine=args.refine, memory=args.memory, count=args.count,
        threads=args.threads, stabilise=args.stabilise,
    )  # fmt: skip
    truncated = None
    identifies = _identifies(args, clip, job.model.config)
    tracker = Arenas(Choice(args.region, args.exclude).regions(clip), make, identifies)
    now = replace(args, overlay=False, gif=False) if identifies else args
    with RowFiles(job.stage, clip.name, lines=args.json, masks=args.masks, images=args.mask_images) as rows:
        frames = thin(open_clip(tracker, clip, args.live), args.stride, args.max_frames)
        frames = takewhile(lambda _: job.interrupts.caught is None, frames)
        try:
            pairs = _follow(job, frames, tracker, rows)
            if job.onlooker is not None:
                job.onlooker.watch(clip, pairs, tracker)
            else:
                _draw(job, now, clip, pairs)
        except TruncatedClip as error:
            truncated = error
        who = None
        if identifies:
            job.bar.set_postfix_str("who is who")
            who = tracker.identify(args.count)
            rows.rename(who)
        if args.min_life > 1:
            rows.leave_out(args.min_life)
        if who is not None:
            _draw(job, replace(args, show=False), clip, _again(args, clip, who, job.model.config))
        if job.wanted.endings:
            write_exports(job.wanted, job.stage, clip, rows.written(), rows.times())
        if job.onlooker is not None:
            job.onlooker.tell(clip, rows.written(), rows.times())
    job.notes.camera(clip, tracker)
    return tracker.frame, truncated


def _identifies(args: Args, clip: ClipSource, config: ModelConfig) -> bool:
    """Whether it is decided once more who is who: of things in files, if there are portraits (Tracker.portraits)."""
    portraits = config.background == "still" and config.render.hides and args.box == "ink"
    return args.reid and not args.live and portraits and isinstance(clip.path, Path)


def _draw(job: Job, args: Args, clip: ClipSource, pairs: Iterator[tuple[np.ndarray, Tracks]]) -> None:
    """Goes through frames with their tracks, and makes what pictures of them ``args`` asks for."""
    if args.overlay or args.show or args.gif:
        write_pictures(args, clip, with_zones(job.wanted, clip, overlay(pairs)), job.stage)
    else:
        deque(pairs, maxlen=0)


def _again(
    args: Args, clip: ClipSource, who: Identified, config: ModelConfig
) -> Iterator[tuple[np.ndarray, Tracks]]:
    """The frames that were tracked with the rows of individuals, if pictures of them are wanted."""
    if not (args.overlay or args.gif):
        return
    tracks = who.renamed()
    tracks = tracks.where(lasting(tracks, args.min_life))
    with suppress(TruncatedClip):
        frames = thin(fitted(clip, config), args.stride, args.max_frames)
        for t, frame in enumerate(islice(frames, who.frames)):
            yield frame.image, tracks.at(t)


def _follow(
    job: Job, frames: Iterator[Frame], tracker: Arenas, rows: RowFiles
) -> Iterator[tuple[np.ndarray, Tracks]]:
    """The frames with their tracks, as they are tracked and written down. One frame is held at a time."""
    for frame in frames:
        found = tracker.update(frame.image)
        job.notes.count(tracker.counts(found))
        rows.add(frame, found, tracker)
        job.bar.update()
        yield frame.image, found


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
