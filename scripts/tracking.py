"""The work of ``sqair track``: clips in, files of rows and overlay videos out."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from sqair.config import ModelConfig
from sqair.datasets.clip import ClipSource, TruncatedClip
from sqair.datasets.footage import thinned
from sqair.datasets.images import opencv, to_channels
from sqair.datasets.overlay import overlay
from sqair.datasets.staging import staged
from sqair.datasets.video import read_source
from sqair.datasets.video_out import write_gif, write_video
from sqair.errors import UserError
from sqair.fit import Fit
from sqair.memory import keep_freed_memory
from sqair.model import SQAIR
from sqair.mot_io import write_mot
from sqair.pretrained import load_weights
from sqair.scripts.interrupts import Interrupts
from sqair.scripts.notes import Notes
from sqair.scripts.track import Args
from sqair.scripts.track_rows import RowFiles
from sqair.tracker import Tracker, track_clips
from sqair.tracks import Tracks

BATCH_CLIPS, BATCH_PIXELS = 64, 2**25
"""Most clips of an archive, and most pixels of all their frames, that are tracked together."""
GIF_FRAMES, GIF_WIDTH = 100, 400
"""Frames of a GIF, and its width in pixels, at most."""
WATCHED = 50
"""Frames of a clip from which a model learns the scene, if its background is still: evenly spread over the clip, or the
first ones where its length is not known."""
ESCAPE = 27


def track(args: Args) -> float:
    """Runs ``sqair track``, see ``sqair.scripts.track.main``; returns the frames tracked per second."""
    torch.set_num_threads(args.threads)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU here")
    if args.show and not _has_display():
        raise UserError("--show: there is no display here; --overlay writes videos instead")
    clips = read_source(args.source)
    model = load_weights(args.model, args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    check_sizes(clips, model.config)
    wanted = {".txt": True, ".mp4": args.overlay, ".gif": args.gif, ".jsonl": args.json}
    entries = [f"{clip.name}{kind}" for clip in clips for kind, on in wanted.items() if on]
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
    rate = done / (time.monotonic() - began)
    for line in notes.lines():
        print(line)
    print(f"{_count(begun, 'clip')}, {_count(done, 'frame')}, {rate:.0f} frames/s: {args.output}")
    if interrupts.caught is not None:
        print(f"stopped; the tracks up to there are in {args.output}")
        raise SystemExit(128 + interrupts.caught)
    if truncated is not None:
        raise UserError(f"{truncated}; the tracks up to there are in {args.output}") from truncated
    return rate


def check_sizes(clips: Sequence[ClipSource], config: ModelConfig) -> None:
    """Raises UserError, which names the sizes, if the frames of a clip are not of the model's size."""
    for clip in clips:
        if not config.fit and clip.size != (config.height, config.width):
            has, takes = f"{clip.size[1]}x{clip.size[0]}", f"{config.width}x{config.height}"
            raise UserError(
                f"{clip.path}: frames are {has} pixels, the model takes {takes}: scale the video, "
                "or train a model with --data.width and --data.height"
            )


def fitted(clip: ClipSource, config: ModelConfig) -> Iterator[np.ndarray]:
    """The frames of ``clip`` as the model takes them: ``[H, W]`` for one channel, ``[H, W, 3]`` for three.

    Colour becomes grey for a grey model, and grey three channels for one of footage. Raises UserError where another
    model sees colour and a frame has none, and as ``ClipSource.frames`` does.
    """
    for frame in clip.frames():
        if config.channels == 3 and frame.ndim == 2 and not config.fit:
            raise UserError(f"{clip.path}: frames are grey, but the model was trained on colour")
        yield to_channels(frame, config.channels)


def _fit_together(clips: Sequence[ClipSource], args: Args, config: ModelConfig) -> bool:
    """Whether the clips are those of one archive, of a length that allows for tracking many at a time, as a whole."""
    if args.show or args.json or args.gif or args.stride > 1 or args.max_frames is not None:
        return False
    archive = all(clip.path.suffix.lower() == ".npz" for clip in clips)
    return archive and not config.fit and _pixels(clips[0], config) <= BATCH_PIXELS


def _pixels(clip: ClipSource, config: ModelConfig) -> int:
    return (clip.length or 0) * clip.size[0] * clip.size[1] * config.channels


def _track_archive(
    args: Args, model: SQAIR, clips: Sequence[ClipSource], stage: Path, bar: tqdm, interrupts: Interrupts, notes: Notes
) -> tuple[int, int]:
    """Tracks clips of one length, many at a time; returns how many, and the number of their frames."""
    keep_freed_memory()
    size = max(1, min(BATCH_CLIPS, BATCH_PIXELS // _pixels(clips[0], model.config)))
    begun = done = 0
    for start in range(0, len(clips), size):
        if interrupts.caught is not None:
            break
        batch = clips[start : start + size]
        frames = np.stack([np.stack(list(fitted(clip, model.config))) for clip in batch])
        found = track_clips(model, frames, box=args.box, refine=args.refine, memory=args.memory, batch=size)
        for clip, images, tracks in zip(batch, frames, found, strict=True):
            write_mot(stage / f"{clip.name}.txt", tracks)
            notes.count(np.bincount(tracks.frame, minlength=len(images)))
            if args.overlay:
                pictures = overlay(images, map(tracks.at, range(len(images))))
                write_video(stage / f"{clip.name}.mp4", pictures, clip.fps)
            begun, done = begun + 1, done + len(images)
            bar.update(len(images))
    return begun, done


def open_clip(tracker: Tracker, clip: ClipSource) -> Iterator[np.ndarray]:
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
    tracker = Tracker(model, box=args.box, refine=args.refine, memory=args.memory, stabilise=args.stabilise)
    truncated = None
    with RowFiles(stage, clip.name, args.stride, clip.fps if args.json else None) as rows:
        frames = islice(open_clip(tracker, clip), 0, args.max_frames, args.stride)
        frames = takewhile(lambda _: interrupts.caught is None, frames)
        try:
            if args.overlay or args.show or args.gif:
                _picture(args, clip, _draw(frames, tracker, rows, bar, notes), stage)
            else:
                for frame in frames:
                    rows.add(notes.counted(tracker.update(frame)), tracker)
                    bar.update()
        except TruncatedClip as error:
            truncated = error
    notes.camera(clip, tracker)
    return tracker.frame, truncated


def _picture(args: Args, clip: ClipSource, pictures: Iterator[np.ndarray], stage: Path) -> None:
    """Shows and writes the frames with their tracks, as they are tracked."""
    fps = clip.fps / args.stride
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


def _watched(frames: Iterator[np.ndarray], tracker: Tracker) -> Iterator[np.ndarray]:
    """The frames, of which the tracker sees the first ones before they are tracked."""
    first: list[np.ndarray] = []
    truncated = None
    try:
        for frame in islice(frames, WATCHED):
            first.append(frame)
    except TruncatedClip as error:
        truncated = error
    if first:
        tracker.watch(np.stack(first))
    yield from first
    if truncated is not None:
        raise truncated
    yield from frames


def _draw(
    frames: Iterator[np.ndarray], tracker: Tracker, rows: RowFiles, bar: tqdm, notes: Notes
) -> Iterator[np.ndarray]:
    """The frames with their tracks, as they are tracked. One frame is held at a time."""
    latest: deque[np.ndarray] = deque(maxlen=1)

    def taken() -> Iterator[np.ndarray]:
        for frame in frames:
            latest.append(frame)
            yield frame

    def tracked() -> Iterator[Tracks]:
        while True:  # overlay takes a frame and then its tracks, until there are no more frames
            found = notes.counted(tracker.update(latest[0]))
            rows.add(found, tracker)
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


def _has_display() -> bool:
    """Whether a window can be opened: OpenCV kills the process where there is no display."""
    return sys.platform in ("darwin", "win32") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
