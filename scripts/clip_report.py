"""The pages of ``sqair report``: clips in, one HTML file for each out."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sqair.datasets.clip import ClipSource, TruncatedClip
from sqair.datasets.overlay import auto_scale
from sqair.datasets.regions import Choice, arenas, whole
from sqair.datasets.staging import claim, source_files, staged
from sqair.datasets.video import read_source
from sqair.datasets.video_out import playable, write_video
from sqair.errors import UserError
from sqair.eval.benchmarks import roles, rule_of
from sqair.eval.viewer import Film
from sqair.files.mot_rows import Rows
from sqair.files.pretrained import weights_files
from sqair.model import SQAIR
from sqair.process import keep_freed_memory, set_threads
from sqair.scripts import track
from sqair.scripts.arenas import Arenas
from sqair.scripts.clip_page import Watched, page_of
from sqair.scripts.exporting import Wanted, check_wanted
from sqair.scripts.following import follow
from sqair.scripts.ground_truth import Truth, has_truth, read_truth
from sqair.scripts.interrupts import Interrupts
from sqair.scripts.job import Job
from sqair.scripts.remarks import Remarks
from sqair.scripts.report import Args
from sqair.scripts.track_frames import model_for, model_name, open_clip, with_room
from sqair.scripts.tracking import frames_of
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
    check_wanted(Wanted(("csv",), units=args.scale, zones=args.zone, lines=args.line))
    clips = read_source(args.source, fps=args.fps, shown=args.range)
    looked_at = arenas(clips, Choice(args.region, args.exclude))
    args = replace(args, model=model_name(looked_at, args.model))
    pages = [f"{clip.name}.html" for clip in clips]
    truths = _truths(args, clips)
    reads = (*source_files(args.source), *weights_files(args.model), *(truth.path for truth in truths.values()))
    claim(args.output, pages, overwrite=args.overwrite, reads=reads)
    truth = _check_truth(args, clips, truths)
    model = with_room(model_for(looked_at, args.model, args.device), None, args.count)
    how = track.Args(
        args.source, args.output, args.model, count=args.count, device=args.device, region=args.region,
        exclude=args.exclude,
    )  # fmt: skip
    notes = Remarks(model.config.slots)
    with staged(args.output, pages, overwrite=args.overwrite) as stage, Interrupts() as interrupts:
        with tqdm(total=frames_of(clips), unit="frame", disable=None) as bar:
            job = Job(how, Wanted(()), model, stage, bar, interrupts, notes, _Pages(args, model, truth, stage))
            begun, _, truncated = follow(job, clips)
        del pages[begun:]
    print("\n".join([*notes.lines(), *(str(args.output / page) for page in pages)]))
    if interrupts.caught is not None:
        print(f"stopped; the page about the frames up to there is in {args.output}")
        raise SystemExit(128 + interrupts.caught)
    if truncated is not None:
        raise UserError(f"{truncated}; the page about these is in {args.output}") from truncated


class _Pages:
    """Looks on while clips are tracked, and writes a page of each."""

    def __init__(self, args: Args, model: SQAIR, truth: Mapping[str, Rows], stage: Path) -> None:
        self._args, self._model, self._truth, self._stage = args, model, truth, stage
        self._seen: tuple[Witness, Film] | None = None

    def watch(self, clip: ClipSource, pairs: Iterator[tuple[np.ndarray, Tracks]], arenas: Arenas) -> None:
        """Keeps what the page shows of a clip, and its video."""
        witness, path = Witness(), self._stage / f"{clip.name}.mp4"
        shrink = min(1.0, VIDEO_SIDE / max(clip.size))
        canvas = (max(1, round(shrink * clip.size[0])), max(1, round(shrink * clip.size[1])))
        most, step, larger = self._args.video_frames, 1, auto_scale(*canvas)
        if clip.length is not None:
            step = -(-clip.length // most)
        fps, shots = playable(clip.fps / step), min(most, -(-(clip.length or most) // step))
        pixels = array("d")

        def shown() -> Iterator[np.ndarray]:
            for place, (image, tracks) in enumerate(pairs):
                witness.see(image, tracks, arenas)
                if place % step == 0 and len(pixels) < most:
                    picture, pixel = scaled(image, canvas)
                    pixels.append(larger * pixel)
                    yield picture

        pictures = shown()
        try:
            write_video(path, islice(pictures, shots), fps, scale=larger, rate=VIDEO_BYTES * fps / shots)
            deque(pictures, maxlen=0)
        except TruncatedClip as error:
            if not pixels:
                raise UserError(str(error)) from error
            raise
        finally:
            if pixels:
                self._seen = witness, Film(path.read_bytes(), fps, len(pixels), step, pixels[0])
                path.unlink()

    def tell(self, clip: ClipSource, tracks: Tracks, times: tuple[np.ndarray, np.ndarray]) -> None:
        """Writes the page."""
        if self._seen is None:
            tracker = Arenas([whole(clip.size)], partial(Tracker, self._model, count=self._args.count), gallery=False)
            self.watch(clip, _explained(clip, tracks, tracker), tracker)
        assert self._seen is not None
        (witness, film), self._seen = self._seen, None
        watched = Watched(clip, tracks, times, witness, film)
        page_of(watched, self._args, self._truth.get(clip.name)).save(self._stage / f"{clip.name}.html")


def _explained(clip: ClipSource, tracks: Tracks, tracker: Arenas) -> Iterator[tuple[np.ndarray, Tracks]]:
    """The frames of a clip with the rows that it has, as the tracker explains them."""
    for frame in open_clip(tracker, clip):
        tracker.update(frame.image)
        yield frame.image, tracks.at(frame.number)


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
