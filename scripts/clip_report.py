"""The pages of ``sqair report``: clips in, one HTML file for each out."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sqair.datasets.clip import ClipSource, TruncatedClip
from sqair.datasets.overlay import overlay
from sqair.datasets.staging import claim, source_files, staged
from sqair.datasets.video import read_source
from sqair.datasets.video_out import playable, write_video
from sqair.errors import UserError
from sqair.eval.benchmarks import roles, rule_of
from sqair.files.mot_rows import Rows
from sqair.files.pretrained import weights_files
from sqair.model import SQAIR
from sqair.process import keep_freed_memory, set_threads
from sqair.scripts.clip_page import Watched, page_of
from sqair.scripts.ground_truth import Truth, has_truth, read_truth
from sqair.scripts.report import Args
from sqair.scripts.track_frames import model_for, model_name, open_clip
from sqair.scripts.track_rows import numbered
from sqair.scripts.witness import Witness, scaled
from sqair.tracker import Tracker
from sqair.tracks import Tracks
from sqair.words import count

VIDEO_SIDE = 640
"""Longest side of the video, pixels, unless its frames are enlarged to be seen at all."""
VIDEO_BYTES = 1.5e6
"""The video of a page, at most, about: a page is small enough to be sent in a message."""


def write_pages(args: Args) -> None:
    """Runs ``sqair report``, see ``sqair.scripts.report.main``."""
    keep_freed_memory()
    set_threads(1)
    clips = read_source(args.source, fps=args.fps, shown=args.range)
    args = replace(args, model=model_name(clips, args.model))
    pages = [f"{clip.name}.html" for clip in clips]
    truths = _truths(args, clips)
    reads = (*source_files(args.source), *weights_files(args.model), *(truth.path for truth in truths.values()))
    claim(args.output, pages, overwrite=args.overwrite, reads=reads)
    truth = _check_truth(args, clips, truths)
    model = model_for(clips, args.model, args.device)
    truncated = None
    with staged(args.output, pages, overwrite=args.overwrite) as stage:
        for clip, page in zip(clips, pages, strict=True):
            watched, error = _watch(model, clip, args.video_frames, stage)
            page_of(watched, args, truth.get(clip.name)).save(stage / page)
            truncated = truncated or error
    print("\n".join(str(args.output / page) for page in pages))
    if truncated is not None:
        raise UserError(f"{truncated}; the page about these is in {args.output}") from truncated


def _truths(args: Args, clips: list[ClipSource]) -> dict[str, Truth]:
    """The ground truth by name; that of a single clip goes with a single clip whatever their names.

    Without ``--gt`` it is that of an ``.npz`` which has its own, or there is none.
    """
    if args.gt is None and not has_truth(Path(args.source)):
        return {}
    truths = read_truth(args.gt or Path(args.source))
    if len(clips) == 1 and len(truths) == 1:
        return {clips[0].name: next(iter(truths.values()))}
    return truths


def _check_truth(args: Args, clips: list[ClipSource], truths: Mapping[str, Truth]) -> dict[str, Rows]:
    """The rows of every clip; none without ground truth. Raises UserError if they do not go with the clips."""
    rows: dict[str, Rows] = {}
    if not truths:
        return rows
    for clip in clips:
        if clip.name not in truths:
            raise UserError(f"{args.gt or args.source} has no ground truth for clip {clip.name}")
        file, rows[clip.name] = truths[clip.name].path, truths[clip.name].rows
        if len(rows[clip.name]) == 0 and args.gt:
            raise UserError(f"{file} has no rows, so there is nothing to score")
        roles(rows[clip.name], rule_of(args.benchmark, clip.name, rows[clip.name]))
        last = rows[clip.name].frame.max(initial=0)
        if clip.length is not None and last > clip.length:
            raise UserError(f"{file} has a row in frame {last}, but {clip.path} has {count(clip.length, 'frame')}")
    return rows


def _watch(model: SQAIR, clip: ClipSource, most: int, stage: Path) -> tuple[Watched, TruncatedClip | None]:
    """Tracks a clip, and what cut it short; its video shows ``most`` frames."""
    tracker, witness, path = Tracker(model), Witness(), stage / f"{clip.name}.mp4"
    shrink = min(1.0, VIDEO_SIDE / max(clip.size))
    canvas = (max(1, round(shrink * clip.size[0])), max(1, round(shrink * clip.size[1])))
    truncated = None
    numbers = array("q")
    with tqdm(total=clip.length, desc=clip.name, unit="frame", disable=None) as bar:
        pairs = _follow(tracker, clip, witness, numbers, bar)
        try:
            shown, fps = min(most, clip.length or most), playable(clip.fps)
            pictures = overlay(scaled(*pair, canvas) for pair in islice(pairs, most))
            write_video(path, pictures, fps, rate=VIDEO_BYTES * fps / shown)
            deque(pairs, maxlen=0)
        except TruncatedClip as error:
            if tracker.frame == 0:
                raise
            truncated = error
    video = path.read_bytes()
    path.unlink()
    return Watched(clip, witness.found.all(), np.array(numbers), witness, video), truncated


def _follow(
    tracker: Tracker, clip: ClipSource, witness: Witness, numbers: array, bar: tqdm
) -> Iterator[tuple[np.ndarray, Tracks]]:
    """The frames of a clip with their tracks, as the witness sees them; ``numbers`` gets those of the frames."""
    for frame in open_clip(tracker, clip):
        tracks = numbered(tracker.update(frame.image), frame)
        witness.see(frame.image, tracks, tracker, frame.number)
        numbers.append(frame.number)
        bar.update()
        yield frame.image, tracks
