"""The work of ``sqair imagine``: samples of a model's prior, their files, and what they are compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from sqair.alike import Explained, explain_many, fit
from sqair.datasets.clip import ClipSource
from sqair.datasets.staging import claim, source_files, staged
from sqair.datasets.video_out import playable, write_video
from sqair.errors import UserError
from sqair.files.durable import whole, write_text
from sqair.files.pretrained import weights_files
from sqair.imagine import PRICE, Manner, dream, futures, go_on
from sqair.likeness import Likeness, checksum, is_likeness
from sqair.model import SQAIR
from sqair.process import set_threads
from sqair.scripts.any_camera import ANY_CAMERA
from sqair.scripts.imagine import Args
from sqair.scripts.imagine_alike import Compared
from sqair.scripts.imagine_clips import Beginning, begin, check_ends, choose, in_pixels, load, to_arrays
from sqair.scripts.imagine_page import Seen, page_of
from sqair.scripts.imagine_pictures import Tile, grid
from sqair.scripts.looping import loop
from sqair.scripts.track_frames import model_for, model_name
from sqair.tracks import Tracks
from sqair.words import count

FPS = 8.0
"""Frames per second of pictures of clips that have no speed of their own."""
BATCH = 64
"""Clips that are imagined together, to be compared."""
LIKENESS = "likeness.npz"
HEADER = "sample,frame,id,x,y,w,h"


@dataclass(frozen=True)
class Made:
    """What was imagined: clips uint8 ``[K, T, H, W(, 3)]``, their tracks from frame 0, and how."""

    clips: np.ndarray
    tracks: list[Tracks]
    manner: Manner


def imagine(args: Args) -> None:
    """Runs ``sqair imagine``, see ``sqair.scripts.imagine.main``."""
    set_threads(1)
    files = ["imagined.mp4", "imagined.npz", "imagined.csv", "imagined.html"]
    fits = args.like is not None and not is_likeness(args.like)
    entries = [*files, *(["imagined.webp"] if args.webp else []), *([LIKENESS] if fits else [])]
    clip = None if args.observe is None else choose(args.observe, args.clip)
    args = replace(args, model=model_name([] if clip is None else [clip], args.model))
    reads = list(weights_files(args.model))
    for source in filter(None, (args.observe, args.like, args.against)):
        reads += source_files(source)
    claim(args.output, entries, overwrite=args.overwrite, reads=reads)
    model, beginning = _model(args, clip)
    like = None if args.like is None else _likeness(model, args, args.like)
    manner = Manner(model.price if args.observe else PRICE if args.price is None else args.price, like)
    if like is not None:
        manner = replace(manner, spread=like.spread)
    made = _futures(model, args, manner, beginning) if beginning else _clips(model, args, manner)
    compared = None if args.against is None else _compare(model, args, manner, args.against)
    with staged(args.output, entries, overwrite=args.overwrite, reads=reads) as stage:
        film = _write(args, stage, made, beginning)
        if fits and like is not None:
            like.save(stage / LIKENESS)
        page_of(model, args, Seen(made.clips, made.tracks, film, manner), beginning, compared).save(stage / files[-1])
    print(f"{_said(args, beginning)}: {', '.join(str(args.output / entry) for entry in entries)}")


def _said(args: Args, beginning: Beginning | None) -> str:
    what = f"{count(1 if args.mean else args.samples, 'clip')} of {count(args.frames, 'frame')}"
    return what if beginning is None else f"{what} after {count(beginning.observed, 'frame')} of {beginning.clip.path}"


def _model(args: Args, clip: ClipSource | None) -> tuple[SQAIR, Beginning | None]:
    """The model, and what it sees of the clip that is observed."""
    if clip is not None:
        check_ends(clip)
        model = model_for([clip], args.model, "cpu").eval()
        return model, begin(model, clip, args.start - 1, args.observed, args.frames)
    if args.model == ANY_CAMERA:
        raise UserError(f"--model {ANY_CAMERA} is fitted to a clip: give one, --observe CLIP")
    model = SQAIR.from_pretrained(args.model).eval()
    if model.config.background == "still":
        raise UserError(f"--model {args.model} imagines before a scene that it has seen: give one, --observe CLIP")
    return model, None


def _likeness(model: SQAIR, args: Args, source: str) -> Likeness:
    """What the clips of ``--like`` are like, or its file says."""
    if is_likeness(source):
        like = Likeness.load(source)
        if like.model != checksum(model):
            raise UserError(f"{source} was made with another --model: give the clips again, --like SOURCE")
        return like
    return fit(model, explain(model, load(model, source, args.clips, args.observed + args.frames), args), args.seed)


def explain(model: SQAIR, clips: np.ndarray, args: Args) -> list[Explained]:
    """Clips uint8 ``[N, T, H, W(, 3)]`` explained, with the state after ``--observed`` frames, or half of them."""
    length = clips.shape[1]
    return explain_many(model, clips, args.observed if args.observed < length else length // 2)


def _clips(model: SQAIR, args: Args, manner: Manner) -> Made:
    generator = torch.Generator().manual_seed(args.seed)
    imagined = dream(model, args.samples, args.frames, generator, manner)
    return Made(*in_pixels(model, imagined, None), manner)


def _futures(model: SQAIR, args: Args, manner: Manner, beginning: Beginning) -> Made:
    samples = 1 if args.mean else args.samples
    generator = None if args.mean else torch.Generator().manual_seed(args.seed)
    imagined = go_on(model, futures(beginning.explained.state, samples), samples, args.frames, generator, manner)
    return Made(*in_pixels(model, imagined, beginning.clip.size), manner)


def _compare(model: SQAIR, args: Args, manner: Manner, source: str) -> Compared:
    """The clips of ``--against``, and as many that are imagined in the same manner."""
    clips = load(model, source, args.clips, args.observed + args.frames)
    generator = torch.Generator().manual_seed(args.seed + 1)
    parts = []
    for first in range(0, len(clips), BATCH):
        some = min(BATCH, len(clips) - first)
        parts.append(to_arrays(dream(model, some, clips.shape[1], generator, manner).frames))
    return Compared(clips, np.concatenate(parts), explain(model, clips, args))


def _write(args: Args, stage: Path, made: Made, beginning: Beginning | None) -> bytes:
    """Writes the files, but for the page; returns the video."""
    tiles, length, fps = _tiles(args, made, beginning)
    pictures = list(grid(tiles, length))
    write_video(stage / "imagined.mp4", pictures, fps)
    if args.webp:
        loop(stage / "imagined.webp", pictures, fps)
    first = 1 if beginning is None else args.start + beginning.observed
    write_text(stage / "imagined.csv", rows(made.tracks, first))
    with whole(stage / "imagined.npz") as partial, partial.open("wb") as file:
        np.savez_compressed(file, frames=made.clips)
    return (stage / "imagined.mp4").read_bytes()


def rows(tracks: list[Tracks], first: int) -> str:
    """The table of what is imagined: samples and ids count from 1, frames from ``first``, pixels from 0."""
    lines = [HEADER]
    for number, found in enumerate(tracks, 1):
        for frame, name, box in zip(found.frame, found.id, found.box, strict=True):
            lines.append(f"{number},{frame + first},{name + 1},{','.join(f'{value:.3f}' for value in box)}")
    return "\n".join([*lines, ""])


def _tiles(args: Args, made: Made, beginning: Beginning | None) -> tuple[list[Tile], int, float]:
    """The clips of the picture, how many frames it has, and how many in a second."""
    drawn = args.box != "none"
    if beginning is None:
        tiles = [
            Tile(f"{k}", clip, tracks if drawn else None, 0)
            for k, (clip, tracks) in enumerate(zip(made.clips, made.tracks, strict=True), 1)
        ]
        return tiles, made.clips.shape[1], FPS
    seen, images = beginning.observed, beginning.images
    fps = playable(beginning.clip.fps)
    names = ["mean"] if args.mean else [f"{k}" for k in range(1, len(made.clips) + 1)]
    found = beginning.found
    tiles = [Tile("clip", images, found if drawn else None)]
    before = found.where(found.frame < seen)
    for name, clip, tracks in zip(names, made.clips, made.tracks, strict=True):
        later = replace(tracks, frame=tracks.frame + seen)
        own = Tracks.concat([before, later]) if drawn else None
        tiles.append(Tile(name, np.concatenate([images[:seen], clip]), own, seen))
    return tiles, seen + made.clips.shape[1], fps

