"""Clips of archives, short and of one shape, tracked many at a time and whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sqair.config import ModelConfig
from sqair.datasets.arrays import is_array
from sqair.datasets.clip import ClipSource
from sqair.datasets.overlay import overlay
from sqair.datasets.video_out import playable, write_video
from sqair.eval.linking import linked, relabelled
from sqair.exports.record import lasting
from sqair.files.masks import ENDING, IMAGES, MaskWriter, write_masks
from sqair.files.mot_io import write_mot
from sqair.passes import Options
from sqair.scripts.exporting import with_zones, write_exports
from sqair.scripts.job import Job
from sqair.scripts.track import Args
from sqair.scripts.track_frames import fitted
from sqair.tracker import mask_clips, track_clips
from sqair.tracks import Tracks

BATCH_CLIPS, BATCH_PIXELS = 64, 2**25
"""Most clips of an archive, and most pixels of all their frames, that are tracked together."""


def fit_together(clips: Sequence[ClipSource], args: Args, config: ModelConfig) -> bool:
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


def track_archive(job: Job, clips: Sequence[ClipSource]) -> tuple[int, int]:
    """Tracks clips of one length, many at a time; returns how many, and the number of their frames.

    Of a model that explains each frame by itself, ids are by overlap.
    """
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
        wanted = args.masks or args.mask_images
        found, masks = mask_clips(job.model, frames, **how) if wanted else (track_clips(job.model, frames, **how), None)
        if not config.temporal.any():
            masks = None if masks is None else np.stack(list(map(relabelled, masks, found)))
            found = [linked(tracks, frames.shape[1]) for tracks in found]
        if masks is not None:
            for clip, tracks, labels in zip(batch, found, masks, strict=True):
                _write_masks(job, clip, tracks, labels)
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


def _write_masks(job: Job, clip: ClipSource, tracks: Tracks, labels: np.ndarray) -> None:
    """The masks ``labels [T, H, W]`` of a clip, of ids that last."""
    labels = np.where(np.isin(labels, tracks.id[lasting(tracks, job.args.min_life)] + 1), labels, 0)
    if job.args.masks:
        write_masks(job.stage / f"{clip.name}{ENDING}", labels)
    if job.args.mask_images:
        MaskWriter.of(labels).write_images(job.stage / f"{clip.name}{IMAGES}")
