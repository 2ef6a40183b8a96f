"""A clip tracked frame by frame, in memory that does not grow with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice, takewhile
from pathlib import Path

import numpy as np

from sqair.config import ModelConfig
from sqair.datasets.clip import ClipSource, Frame, TruncatedClip
from sqair.datasets.overlay import overlay
from sqair.datasets.regions import Choice
from sqair.exports.record import lasting
from sqair.reid.gallery import Identified
from sqair.scripts.arenas import Arenas
from sqair.scripts.exporting import with_zones, write_exports
from sqair.scripts.job import Job
from sqair.scripts.track import Args
from sqair.scripts.track_frames import fitted, open_clip, thin
from sqair.scripts.track_pictures import write_pictures
from sqair.scripts.track_rows import RowFiles
from sqair.tracker import Tracker
from sqair.tracks import Tracks


def track_stream(job: Job, clip: ClipSource) -> tuple[int, TruncatedClip | None]:
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
        if not job.model.config.temporal.any():
            rows.link()
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
