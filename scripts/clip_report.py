"""The pages of ``sqair report``: clips in, one HTML file for each out."""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice, tee
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from sqair.datasets.clip import ClipSource, TruncatedClip
from sqair.datasets.overlay import colour, overlay
from sqair.datasets.staging import claim, source_files, staged
from sqair.datasets.video import read_source
from sqair.datasets.video_out import write_video
from sqair.errors import UserError
from sqair.eval.mot import score
from sqair.eval.report import Picture, Report, line_chart
from sqair.eval.sampled import sampled
from sqair.eval.scores import COLUMNS
from sqair.eval.timeline import NARROW, WIDTH, timeline
from sqair.eval.words import MEANINGS
from sqair.memory import keep_freed_memory
from sqair.model import SQAIR
from sqair.mot_io import list_mot, read_mot
from sqair.pretrained import load_weights, weights_files
from sqair.scripts.report import Args
from sqair.scripts.tracking import check_sizes, open_clip
from sqair.scripts.witness import Moment, Witness, framed, scaled
from sqair.tracker import Tracker
from sqair.tracks import Tracks
from sqair.words import count

VIDEO_SIDE = 640
"""Longest side of the video, pixels, unless its frames are enlarged to be seen at all."""
VIDEO_BYTES = 1.5e6
"""The video of a page, at most, about: a page is small enough to be sent in a message."""
SHORT_LIVED = 10
"""Frames: an id that was seen in fewer may be a part of another's track."""
SHOWN_IDS = 60
"""Ids in the timeline and in the table, at most: those that were seen longest."""
POINTS = 1000
"""Points of the count over time, at most: each is a mean over as many frames as it takes."""


class Watched(NamedTuple):
    """A clip that was tracked: its rows, how many frames it has, what was kept of it, and its video."""

    clip: ClipSource
    tracks: Tracks
    length: int
    witness: Witness
    video: bytes


def write_pages(args: Args) -> None:
    """Runs ``sqair report``, see ``sqair.scripts.report.main``."""
    keep_freed_memory()
    torch.set_num_threads(1)
    clips = read_source(args.source)
    pages = [f"{clip.name}.html" for clip in clips]
    gt = list_mot(args.gt).values() if args.gt else ()
    reads = (*source_files(args.source), *weights_files(args.model), *gt)
    claim(args.output, pages, overwrite=args.overwrite, reads=reads)
    truth = _read_truth(args.gt, clips) if args.gt else {}
    model = load_weights(args.model, args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    check_sizes(clips, model.config)
    truncated = None
    with staged(args.output, pages, overwrite=args.overwrite) as stage:
        for clip, page in zip(clips, pages, strict=True):
            watched, error = _watch(model, clip, args.video_frames, stage)
            _page(watched, args, truth.get(clip.name)).save(stage / page)
            truncated = truncated or error
    print("\n".join(str(args.output / page) for page in pages))
    if truncated is not None:
        raise UserError(f"{truncated}; the page about these is in {args.output}") from truncated


def _read_truth(path: Path, clips: list[ClipSource]) -> dict[str, Tracks]:
    """The ground truth of every clip by its name; a single file goes with a single clip whatever their names."""
    files = list_mot(path)
    if len(clips) == 1 and len(files) == 1:
        files = {clips[0].name: next(iter(files.values()))}
    truth = {}
    for clip in clips:
        if clip.name not in files:
            raise UserError(f"{path} has no ground truth for clip {clip.name}")
        truth[clip.name] = tracks = read_mot(files[clip.name])
        if len(tracks) == 0:
            raise UserError(f"{files[clip.name]} has no rows, so there is nothing to score")
        if clip.length is not None and tracks.frame[-1] >= clip.length:
            has = f"{clip.path} has {count(clip.length, 'frame')}"
            raise UserError(f"{files[clip.name]} has a row in frame {tracks.frame[-1] + 1}, but {has}")
    return truth


def _watch(model: SQAIR, clip: ClipSource, most: int, stage: Path) -> tuple[Watched, TruncatedClip | None]:
    """Tracks a clip, and what cut it short; its video shows ``most`` frames."""
    tracker, witness, path = Tracker(model), Witness(), stage / f"{clip.name}.mp4"
    shrink = min(1.0, VIDEO_SIDE / max(clip.size))
    canvas = (max(1, round(shrink * clip.size[0])), max(1, round(shrink * clip.size[1])))
    truncated = None
    with tqdm(total=clip.length, desc=clip.name, unit="frame", disable=None) as bar:
        pairs = _follow(tracker, clip, witness, bar)
        frames, rows = tee(scaled(*pair, canvas) for pair in islice(pairs, most))
        try:
            shown = min(most, clip.length or most)
            pictures = overlay((frame for frame, _ in frames), (row for _, row in rows))
            write_video(path, pictures, clip.fps, rate=VIDEO_BYTES * clip.fps / shown)
            deque(pairs, maxlen=0)
        except TruncatedClip as error:
            if tracker.frame == 0:
                raise
            truncated = error
    video = path.read_bytes()
    path.unlink()
    return Watched(clip, witness.found.all(), tracker.frame, witness, video), truncated


def _follow(
    tracker: Tracker, clip: ClipSource, witness: Witness, bar: tqdm
) -> Iterator[tuple[np.ndarray, Tracks]]:
    """The frames of a clip with their tracks, as the witness sees them."""
    for frame in open_clip(tracker, clip):
        tracks = tracker.update(frame)
        assert tracker.last is not None
        witness.see(frame, tracks, tracker.last, tracker.frame - 1)
        bar.update()
        yield frame, tracks


def _page(watched: Watched, args: Args, truth: Tracks | None) -> Report:
    """The page of a clip, with scores where there is ground truth."""
    clip, tracks, length = watched.clip, watched.tracks, watched.length
    ids, most = len(np.unique(tracks.id)), args.video_frames
    scored = None if truth is None else _score(watched, truth)
    report = Report(clip.name)
    report.lead(headline(tracks, length, None if scored is None else scored[0]))
    report.text(
        f"This is what the model `{args.model}` finds in `{clip.path}`, {count(length, 'frame')} of "
        f"{clip.size[1]}x{clip.size[0]} pixels. Nobody told it what to look for: an object is what it has learned to "
        "explain as one. Each has a number, its id, which it should keep as long as it lives. Frames and ids count "
        "from 1."
    )
    whole = "All frames" if length <= most else f"The first {count(most, 'frame')} of {length}"
    report.video(watched.video, f"{whole}: a box for each object, its id, and the trail of where it was.")
    if truth is not None:
        _scores(report, watched, scored)
    chosen = longest_seen(tracks, SHOWN_IDS)
    _times(report, watched, chosen, ids)
    _moments(report, watched.witness.moments())
    _objects(report, watched, chosen)
    _next(report, watched, args)
    return report


def headline(tracks: Tracks, length: int, scores: Mapping[str, float] | None = None) -> str:
    """What was found in the ``length`` frames of a clip, and how good it is by its ``scores``."""
    if not len(tracks):
        found = f"**Nothing** was found in {count(length, 'frame')}."
    else:
        ids, each = len(np.unique(tracks.id)), len(tracks) / length
        were = "was" if ids == 1 else "were"
        through = f"{were} followed through {count(length, 'frame')}"
        found = f"**{count(ids, 'object')}** {through}, {each:.1f} in a frame on average."
    if scores is None:
        return found
    good = f" {scores['recall']:.0%} of the objects in the ground truth were found"
    if scores["precision"] == scores["precision"]:
        good += f", and {scores['precision']:.0%} of the boxes are right"
    return f"{found}{good}: MOTA {scores['mota']:.3f}, IDF1 {scores['idf1']:.3f}, where 1 is perfect."


def longest_seen(tracks: Tracks, most: int) -> list[int]:
    """The ids that were seen in most frames, ``most`` of them, in the order in which they first appear."""
    ids, first, times = np.unique(tracks.id, return_index=True, return_counts=True)
    chosen = np.argsort(-times, kind="stable")[:most]
    return ids[chosen[np.argsort(first[chosen], kind="stable")]].tolist()


def _times(report: Report, watched: Watched, chosen: list[int], ids: int) -> None:
    report.text("## When each was seen")
    if chosen:
        which = f"The {len(chosen)} of {ids} ids that were seen longest" if len(chosen) < ids else "A bar for each id"
        colours = {name: "#{:02x}{:02x}{:02x}".format(*colour(name)) for name in chosen}
        wide, narrow = (timeline(watched.tracks, watched.length, colours, width) for width in (WIDTH, NARROW))
        report.figure(wide, f"{which}, in its colour in the video. A gap is where it was not seen.", narrow)
    else:
        report.text("Nothing was found.")
    counts, each = count_over_time(watched.tracks, watched.length)
    report.text("## How many there were")
    places = 1 + np.arange(len(counts)) * each
    means = f", in the mean of {each} frames at a time" if each > 1 else ""
    report.figure(line_chart({"objects": (places, counts)}, "frame", "objects"), f"Objects in a frame{means}.")


def count_over_time(tracks: Tracks, length: int) -> tuple[np.ndarray, int]:
    """Objects in a frame, ``[P]`` of them over a clip of ``length``, each a mean over so many frames."""
    each = -(-length // POINTS)
    starts = np.arange(0, length, each)
    counts = np.bincount(tracks.frame, minlength=length)
    return np.add.reduceat(counts, starts) / np.diff(np.append(starts, length)), each


def _moments(report: Report, moments: list[Moment]) -> None:
    has_background = moments[0].background is not None
    report.text(
        "## What the model explains\n\n"
        "Some frames as the model takes them, with their tracks; the picture that it makes of them; "
        + ("what it takes for the background; " if has_background else "")
        + "and how far picture and frame differ, in the channel in which they do most: black is the same."
    )
    header = ["frame", "input", "model", *(["background"] if has_background else []), "difference"]
    rows = []
    for moment in moments:
        number, width, seen, *others = moment
        frame = str(number + 1)
        pictures = zip(header[2:], (picture for picture in others if picture is not None), strict=True)
        enlarged = (Picture(image, f"{what} {frame}", width) for what, image in pictures)
        rows.append([frame, Picture(seen, f"input {frame}"), *enlarged])
    report.table(rows, header)


def _objects(report: Report, watched: Watched, chosen: list[int]) -> None:
    if not chosen:
        return
    rows = []
    for name in chosen:
        mine = watched.tracks.where(watched.tracks.id == name)
        look = watched.witness.looks.get(name)
        picture = None if look is None else Picture(framed(look.image, name), f"id {name + 1}")
        first, last = 1 + int(mine.frame[0]), 1 + int(mine.frame[-1])
        rows.append((str(name + 1), picture, first, last, len(mine), mine.score.mean()))
    report.text("## The objects")
    report.table(
        rows,
        ["id", "looks like", "first frame", "last frame", "frames seen", "mean confidence"],
        caption="The picture is from the frame in which the model was surest of the object.",
    )


def _score(watched: Watched, truth: Tracks) -> tuple[Mapping[str, float], int] | None:
    """Scores, and the number of frames that they are of; None if no frame that was read has ground truth."""
    gt, found, frames = sampled(truth, watched.tracks, last=watched.length - 1)
    name = watched.clip.name
    return (score({name: gt}, {name: found}, {name: frames}).overall, frames) if frames else None


def _scores(report: Report, watched: Watched, scored: tuple[Mapping[str, float], int] | None) -> None:
    report.text("## How good it is")
    if scored is None:
        report.text("The ground truth has no rows in the frames that could be read.")
        return
    scores, frames = scored
    report.table(
        [(name, scores[key], MEANINGS.get(key, "")) for key, name in COLUMNS.items()],
        ["score", "value", "what it says"],
        caption=f"On the {frames} of {count(watched.length, 'frame')} that have rows in the ground truth. A box "
        "matches an object if the area that both share is at least half of what they cover together (IoU 0.5). Ground "
        "truth of confidence 0 is ignored, with the boxes that match it.",
    )


def _next(report: Report, watched: Watched, args: Args) -> None:
    """What to do with this, by what came of it."""
    source, model = shlex.quote(args.source), shlex.quote(args.model)
    _, times = np.unique(watched.tracks.id, return_counts=True)
    report.text("## What next")
    if not len(times):
        report.text("If there is something to be found, train a model on this very video; it takes no labels:")
        report.code(f"sqair train --data {source} --output runs/mine")
        return
    if 2 * (times < SHORT_LIVED).sum() > len(times) > 1:
        report.text(
            f"Most ids were seen in fewer than {SHORT_LIVED} frames. If these are no objects, train a model that asks "
            "more of an object, with `--train.tracking-price 0.2`; if they are objects that get new ids after they "
            "were hidden, track with a larger `--memory`."
        )
    report.text("The rows, for programs of your own, a video in full size, and a line of JSON for each frame:")
    report.code(f"sqair track --model {model} --source {source} --output tracks --overlay --json")
    if args.gt is None:
        report.text("How good it is, if there is ground truth, of some of the frames at least:")
        report.code(f"sqair report {source} --model {model} --gt gt.txt --output scored")
