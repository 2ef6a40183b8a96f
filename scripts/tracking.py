"""The work of ``sqair track``: clips in, files of rows and overlay videos out."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice, takewhile
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from sqair.config import ModelConfig
from sqair.datasets.clip import ClipSource, Frame, TruncatedClip
from sqair.datasets.footage import thinned
from sqair.datasets.images import opencv, to_channels
from sqair.datasets.overlay import overlay
from sqair.datasets.staging import claim, source_files, staged
from sqair.datasets.video import read_source
from sqair.datasets.video_out import playable, write_gif, write_video
from sqair.errors import UserError
from sqair.files.mot_io import write_mot
from sqair.files.pretrained import is_unfinished, weights_files
from sqair.frames import Fit
from sqair.model import SQAIR
from sqair.process import keep_freed_memory, set_threads
from sqair.scripts.interrupts import Interrupts
from sqair.scripts.notes import Notes
from sqair.scripts.track import Args
from sqair.scripts.track_rows import RowFiles
from sqair.tracker import Tracker, track_clips
from sqair.tracks import Tracks
from sqair.words import count

BATCH_CLIPS, BATCH_PIXELS = 64, 2**25
"""Most clips of an archive, and most pixels of all their frames, that are tracked together."""
GIF_FRAMES, GIF_WIDTH = 100, 400
"""Frames of a GIF, and its width in pixels, at most."""
WATCHED = 50
"""Frames of a clip from which a model learns the scene, if its background is still: evenly spread over the clip, or the
first ones where its length is not known."""
COLOUR_SOUGHT = 100
"""First frames of a clip in which colour is looked for, if some frame has none."""
ESCAPE = 27


def track(args: Args) -> float:
    """Runs ``sqair track``, see ``sqair.scripts.track.main``; returns the frames tracked per second."""
    keep_freed_memory()
    set_threads(args.threads)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU here")
    if args.show and not _has_display():
        raise UserError("--show: there is no display here; --overlay writes videos instead")
    clips = read_source(args.source, fps=args.fps, shown=args.range)
    wanted = {".txt": True, ".mp4": args.overlay, ".gif": args.gif, ".jsonl": args.json}
    entries = [f"{clip.name}{kind}" for clip in clips for kind, on in wanted.items() if on]
    claim_output(args, entries)
    model = SQAIR.from_pretrained(args.model, args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    check_sizes(clips, model.config)
    say_unfinished(args.model, model)
    say_other_range(clips, model)
    lengths = [clip.length for clip in clips]
    total = None if None in lengths else sum(n or 0 for n in lengths)
    begun, done, truncated = 0, 0, None
    notes = Notes(model.config.slots)
    began = time.monotonic()
    with staged(args.output, entries, overwrite=args.overwrite) as stage, Interrupts() as interrupts:
        with tqdm(total=total, unit="frame", disable=None) as bar:
            if _fit_together(clips, args, model.config):
                begun, done = _track_archive(args, model, clips, stage, bar, interrupts, notes)
            else:
                for clip in clips:
                    frames, error = _track_stream(args, model, clip, stage, bar, interrupts, notes)
                    begun, done, truncated = begun + 1, done + frames, truncated or error
                    if interrupts.caught is not None:
                        break
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


def check_fps(fps: float | None) -> None:
    """Raises UserError unless ``fps``, what ``--fps`` says, is a rate."""
    if fps is not None and not 0 < fps <= 1e6:
        raise UserError(f"--fps is {fps:g}: it must be more than 0, and a million at most")


def say_unfinished(name: str, model: SQAIR) -> None:
    """Says how far the training of the ``model`` called ``name`` has got, if it has not come to its end."""
    if model.trained is not None and is_unfinished(model):
        print("{} is of a run that is not finished: step {} of {}".format(name, *model.trained), flush=True)


def say_other_range(clips: Sequence[ClipSource], model: SQAIR) -> None:
    """Says so where other values of a clip are black and white than of what the ``model`` was trained on."""
    other = next((clip for clip in clips if clip.shown not in ((0, 255), model.shown)), None)
    if other is not None and model.shown is not None:
        low, high = model.shown
        print(f"{other.path}: the model was trained on another range: --range {low:g} {high:g} takes that", flush=True)


def claim_output(args: Args, entries: Sequence[str]) -> None:
    """Raises UserError, before any work, if the files may not be written: see ``sqair.datasets.staging.claim``."""
    if (args.overlay or args.gif) and _is_within(args.output, args.source):
        what = "--overlay" if args.overlay else "--gif"
        raise UserError(f"{what}: it would lie among what is read from {args.source}: choose another --output")
    reads = (*source_files(args.source), *weights_files(args.model))
    claim(args.output, entries, overwrite=args.overwrite, reads=reads)


def _is_within(output: Path, source: str) -> bool:
    """Whether ``output`` is the folder ``source``."""
    return Path(source).is_dir() and output.exists() and output.samefile(source)


def check_sizes(clips: Sequence[ClipSource], config: ModelConfig) -> None:
    """Raises UserError, which names the sizes, if the frames of a clip are not of the model's size."""
    for clip in clips:
        if not config.fit and clip.size != (config.height, config.width):
            has, takes = f"{clip.size[1]}x{clip.size[0]}", f"{config.width}x{config.height}"
            raise UserError(
                f"{clip.path}: frames are {has} pixels, the model takes {takes}: train one on such frames, "
                f"sqair train --data {shlex.quote(str(clip.path))} --output runs/mine"
            )


def fitted(clip: ClipSource, config: ModelConfig) -> Iterator[Frame]:
    """The frames of ``clip`` as the model takes them: ``[H, W]`` for one channel, ``[H, W, 3]`` for three.

    Colour becomes grey for a grey model, and grey three channels for one that sees colour. Raises UserError where a
    model that is not of footage sees colour and no frame has any, and as ``ClipSource.frames`` does.
    """
    for frame in clip.stamped():
        if config.channels == 3 and frame.image.ndim == 2 and not config.fit and _is_grey(clip):
            raise UserError(f"{clip.path}: frames are grey, but the model was trained on colour")
        yield frame._replace(image=to_channels(frame.image, config.channels))


@lru_cache(8)
def _is_grey(clip: ClipSource) -> bool:
    """Whether a clip has no colour, as far as its beginning shows; images in a folder may be of both kinds."""
    return all(image.ndim == 2 for image in islice(clip.frames(), COLOUR_SOUGHT))


def thin(frames: Iterator[Frame], stride: int, most: int | None) -> Iterator[Frame]:
    """The first there is of every ``stride`` frames of the source, which end after ``most`` of them.

    They are counted from the first that there is: images may be numbered from any number on.
    """
    first, due = None, 0
    for frame in frames:
        first = frame.number if first is None else first
        place = frame.number - first
        if most is not None and place >= most:
            return
        if place >= due:
            due = (place // stride + 1) * stride
            yield frame
        if most is not None and max(due, place + 1) >= most:
            return


def _fit_together(clips: Sequence[ClipSource], args: Args, config: ModelConfig) -> bool:
    """Whether the clips are of archives, of one shape, of a length that allows for tracking many at a time, whole."""
    if args.show or args.json or args.gif or args.stride > 1 or args.max_frames is not None:
        return False
    archive = all(str(clip.path).lower().endswith((".npz", ".npy")) for clip in clips)
    archive = archive and len({(clip.size, clip.length) for clip in clips}) == 1
    return archive and not config.fit and _pixels(clips[0], config) <= BATCH_PIXELS


def _pixels(clip: ClipSource, config: ModelConfig) -> int:
    return (clip.length or 0) * clip.size[0] * clip.size[1] * config.channels


def _track_archive(
    args: Args, model: SQAIR, clips: Sequence[ClipSource], stage: Path, bar: tqdm, interrupts: Interrupts, notes: Notes
) -> tuple[int, int]:
    """Tracks clips of one length, many at a time; returns how many, and the number of their frames."""
    size = max(1, min(BATCH_CLIPS, BATCH_PIXELS // _pixels(clips[0], model.config)))
    begun = done = 0
    for start in range(0, len(clips), size):
        if interrupts.caught is not None:
            break
        batch = clips[start : start + size]
        read = [list(fitted(clip, model.config)) for clip in batch]
        frames = np.stack([np.stack([frame.image for frame in clip]) for clip in read])
        how = {"refine": args.refine, "memory": args.memory, "threads": args.threads}
        found = track_clips(model, frames, box=args.box, **how, batch=size)
        for clip, images, tracks, stamped in zip(batch, frames, found, read, strict=True):
            numbers = np.array([frame.number for frame in stamped])
            write_mot(stage / f"{clip.name}.txt", replace(tracks, frame=numbers[tracks.frame]))
            notes.count(np.bincount(tracks.frame, minlength=len(images)))
            if args.overlay:
                pictures = overlay(images, map(tracks.at, range(len(images))))
                write_video(stage / f"{clip.name}.mp4", pictures, playable(clip.fps))
            begun, done = begun + 1, done + len(images)
            bar.update(len(images))
    return begun, done


def open_clip(tracker: Tracker, clip: ClipSource) -> Iterator[Frame]:
    """The frames of ``clip`` for the tracker, which has first seen the scene if its model's background is still."""
    model = tracker.model
    frames = fitted(clip, model.config)
    if model.config.background == "still" and clip.length is not None:
        canvas = (model.config.height, model.config.width)
        watched, _ = thinned(clip, canvas, model.config.channels, WATCHED)
        if len(watched):
            height, width = Fit(clip.size, canvas).inner
            tracker.watch(watched[:, :height, :width])
    elif model.config.background == "still":
        frames = _watched(frames, tracker)
    return frames


def _track_stream(
    args: Args, model: SQAIR, clip: ClipSource, stage: Path, bar: tqdm, interrupts: Interrupts, notes: Notes
) -> tuple[int, TruncatedClip | None]:
    """Tracks one clip frame by frame; returns the number of frames, and what cut it short."""
    how = {"refine": args.refine, "memory": args.memory, "threads": args.threads, "stabilise": args.stabilise}
    tracker = Tracker(model, box=args.box, **how)
    truncated = None
    with RowFiles(stage, clip.name, lines=args.json) as rows:
        frames = thin(open_clip(tracker, clip), args.stride, args.max_frames)
        frames = takewhile(lambda _: interrupts.caught is None, frames)
        try:
            if args.overlay or args.show or args.gif:
                _picture(args, clip, _draw(frames, tracker, rows, bar, notes), stage)
            else:
                for frame in frames:
                    rows.add(frame, notes.counted(tracker.update(frame.image)), tracker)
                    bar.update()
        except TruncatedClip as error:
            truncated = error
    notes.camera(clip, tracker)
    return tracker.frame, truncated


def _picture(args: Args, clip: ClipSource, pictures: Iterator[np.ndarray], stage: Path) -> None:
    """Shows and writes the frames with their tracks, as they are tracked."""
    fps = playable(clip.fps / args.stride)
    first: list[np.ndarray] = []
    pictures = _show(pictures, clip.name) if args.show else pictures
    pictures = _keep(pictures, first) if args.gif else pictures
    try:
        if args.overlay:
            write_video(stage / f"{clip.name}.mp4", pictures, fps)
        else:
            deque(pictures, maxlen=0)
    finally:
        if first:
            write_gif(stage / f"{clip.name}.gif", first, fps)


def _keep(pictures: Iterator[np.ndarray], first: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Passes the pictures on; the first ones are kept in ``first``, small enough for a GIF."""
    for picture in pictures:
        if len(first) < GIF_FRAMES:
            height, width = picture.shape[:2]
            scale = min(1.0, GIF_WIDTH / width)
            first.append(Fit((height, width), (max(1, round(scale * height)), round(scale * width))).frame(picture))
        yield picture


def _watched(frames: Iterator[Frame], tracker: Tracker) -> Iterator[Frame]:
    """The frames, of which the tracker sees the first ones before they are tracked."""
    first: list[Frame] = []
    truncated = None
    try:
        for frame in islice(frames, WATCHED):
            first.append(frame)
    except TruncatedClip as error:
        truncated = error
    if first:
        tracker.watch(np.stack([frame.image for frame in first]))
    yield from first
    if truncated is not None:
        raise truncated
    yield from frames


def _draw(
    frames: Iterator[Frame], tracker: Tracker, rows: RowFiles, bar: tqdm, notes: Notes
) -> Iterator[np.ndarray]:
    """The frames with their tracks, as they are tracked. One frame is held at a time."""
    latest: deque[Frame] = deque(maxlen=1)

    def taken() -> Iterator[np.ndarray]:
        for frame in frames:
            latest.append(frame)
            yield frame.image

    def tracked() -> Iterator[Tracks]:
        while True:  # overlay takes a frame and then its tracks, until there are no more frames
            found = notes.counted(tracker.update(latest[0].image))
            rows.add(latest[0], found, tracker)
            bar.update()
            yield found

    return overlay(taken(), tracked())


def _show(pictures: Iterator[np.ndarray], name: str) -> Iterator[np.ndarray]:
    """Passes the pictures on, showing each in a window until Escape is pressed."""
    cv2 = opencv()
    is_open = True
    try:
        for picture in pictures:
            if is_open:
                cv2.imshow(name, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
                if cv2.waitKey(1) == ESCAPE:
                    cv2.destroyWindow(name)
                    is_open = False
            yield picture
    except cv2.error as error:
        raise UserError(f"--show: this OpenCV opens no windows ({error.err}): use --overlay") from error
    if is_open:
        cv2.destroyWindow(name)


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


def _has_display() -> bool:
    """Whether a window can be opened: OpenCV kills the process where there is no display."""
    return sys.platform in ("darwin", "win32") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
