"""The pages of ``sqair report``: clips in, one HTML file for each out."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from itertools import islice, tee
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from sqair.datasets.clip import ClipSource, TruncatedClip
from sqair.datasets.overlay import colour, overlay
from sqair.datasets.staging import staged
from sqair.datasets.video import read_source
from sqair.datasets.video_out import playable, write_video
from sqair.errors import UserError
from sqair.eval.benchmarks import TITLES, roles, rule_of
from sqair.eval.hints import hints
from sqair.eval.mot import score
from sqair.eval.report import Picture, Report, line_chart
from sqair.eval.scores import COLUMNS
from sqair.eval.timeline import timeline
from sqair.memory import keep_freed_memory
from sqair.model import SQAIR
from sqair.mot_rows import Rows
from sqair.pretrained import load_weights
from sqair.scripts.ground_truth import has_truth, read_truth
from sqair.scripts.report import Args
from sqair.scripts.track_rows import numbered
from sqair.scripts.tracking import check_sizes, open_clip, say_other_range, say_unfinished
from sqair.scripts.witness import Moment, Witness, framed, scaled
from sqair.threads import set_threads
from sqair.tracker import Tracker
from sqair.tracks import Tracks

VIDEO_SIDE = 960
"""Longest side of the video, pixels, unless its frames are enlarged to be seen at all."""
SHOWN_IDS = 60
"""Ids in the timeline and in the table, at most: those that were seen longest."""
POINTS = 1000
"""Points of the count over time, at most: each is a mean over as many frames as it takes."""


class Watched(NamedTuple):
    """A clip that was tracked: its rows, the numbers of its frames, what was kept of it, and its video.

    Frames that the source has lost leave gaps in ``numbers [T]``.
    """

    clip: ClipSource
    tracks: Tracks
    numbers: np.ndarray
    witness: Witness
    video: bytes

    @property
    def length(self) -> int:
        """Frames of the source up to the last one that could be read."""
        return int(self.numbers[-1]) + 1 if len(self.numbers) else 0


def write_pages(args: Args) -> None:
    """Runs ``sqair report``, see ``sqair.scripts.report.main``."""
    keep_freed_memory()
    set_threads(1)
    clips = read_source(args.source, fps=args.fps, shown=args.range)
    truth = _read_truth(args, clips)
    model = load_weights(args.model, args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    check_sizes(clips, model.config)
    say_unfinished(args.model, model)
    say_other_range(clips, model)
    pages = [f"{clip.name}.html" for clip in clips]
    truncated = None
    with staged(args.output, pages, overwrite=args.overwrite) as stage:
        for clip, page in zip(clips, pages, strict=True):
            watched, error = _watch(model, clip, args.video_frames, stage)
            _page(watched, args, truth.get(clip.name)).save(stage / page)
            truncated = truncated or error
    print("\n".join(str(args.output / page) for page in pages))
    if truncated is not None:
        raise UserError(f"{truncated}; the page about these is in {args.output}") from truncated


def _read_truth(args: Args, clips: list[ClipSource]) -> dict[str, Rows]:
    """The ground truth of every clip by its name; that of a single clip goes with a single clip whatever their names.

    Without ``--gt`` it is that of an ``.npz`` which has its own, or there is none.
    """
    if args.gt is None and not has_truth(Path(args.source)):
        return {}
    path = args.gt or Path(args.source)
    truths = read_truth(path)
    if len(clips) == 1 and len(truths) == 1:
        truths = {clips[0].name: next(iter(truths.values()))}
    rows = {}
    for clip in clips:
        if clip.name not in truths:
            raise UserError(f"{path} has no ground truth for clip {clip.name}")
        file, rows[clip.name] = truths[clip.name].path, truths[clip.name].rows
        if len(rows[clip.name]) == 0 and args.gt:
            raise UserError(f"{file} has no rows, so there is nothing to score")
        roles(rows[clip.name], rule_of(args.benchmark, clip.name, rows[clip.name]))
        last = rows[clip.name].frame.max(initial=0)
        if clip.length is not None and last > clip.length:
            raise UserError(f"{file} has a row in frame {last}, but {clip.path} has {clip.length} frames")
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
        frames, rows = tee(scaled(*pair, canvas) for pair in islice(pairs, most))
        try:
            write_video(path, overlay((frame for frame, _ in frames), (row for _, row in rows)), playable(clip.fps))
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
        assert tracker.last is not None
        witness.see(frame.image, tracks, tracker.last, frame.number)
        numbers.append(frame.number)
        bar.update()
        yield frame.image, tracks


def _page(watched: Watched, args: Args, truth: Rows | None) -> Report:
    """The page of a clip, with scores if there is ``truth``."""
    clip, tracks, length, most = watched.clip, watched.tracks, len(watched.numbers), args.video_frames
    ids = len(np.unique(tracks.id))
    report = Report(clip.name)
    report.text(
        f"What the model `{args.model}` finds in `{clip.path}`: "
        f"{length} frames of {clip.size[1]}x{clip.size[0]} pixels. "
        f"It followed **{ids} object{'s' * (ids != 1)}**, {len(tracks) / length:.1f} in a frame on average.\n\n"
        "Frames and ids count from 1, as in MOTChallenge files."
    )
    whole = "All frames" if length <= most else f"The first {most} of {length} frames"
    report.video(watched.video, f"{whole}, with ids and trails.")
    if truth is not None:
        _scores(report, watched, args, truth)
    chosen = longest_seen(tracks, SHOWN_IDS)
    _times(report, watched, chosen, ids)
    _moments(report, watched.witness.moments())
    _objects(report, watched, chosen)
    return report


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
        report.figure(timeline(watched.tracks, watched.length, colours), f"{which}, in its colour in the video.")
    else:
        report.text("Nothing was found.")
    counts, each = count_over_time(watched.tracks, watched.numbers)
    report.text("## How many there were")
    places = 1 + watched.numbers[::each]
    report.figure(
        line_chart({"objects": (places, counts)}, "frame", "objects"),
        f"Means over {each} frames" if each > 1 else "",
    )


def count_over_time(tracks: Tracks, numbers: np.ndarray) -> tuple[np.ndarray, int]:
    """Objects in a frame, ``[P]``, each a mean over so many of the frames ``numbers [T]`` that there are."""
    length = len(numbers)
    each = -(-length // POINTS)
    starts = np.arange(0, length, each)
    counts = np.bincount(np.searchsorted(numbers, tracks.frame), minlength=length)
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
        pictures = zip(header[1:], (picture for picture in moment[1:] if picture is not None), strict=True)
        number = moment.frame + 1
        rows.append([str(number), *(Picture(image, f"{what} {number}") for what, image in pictures)])
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


def _scores(report: Report, watched: Watched, args: Args, truth: Rows) -> None:
    truth, name = truth.where(np.isin(truth.frame - 1, watched.numbers)), watched.clip.name
    report.text("## Scores")
    if not len(truth):
        report.text("The ground truth has no rows in the frames that could be read.")
        return
    gt, found, lengths = {name: truth}, {name: watched.tracks}, {name: watched.length}
    scores = score(gt, found, lengths, benchmark=args.benchmark, frames=args.frames)
    count = scores.overall["frames"]
    which = f"all {count} frames"
    if scores.sampled:
        which = f"the {count} of {watched.length} frames that have ground truth"
    report.table(
        [(name, *(scores.overall[key] for key in COLUMNS))],
        ["", *COLUMNS.values()],
        caption=f"On {which}, by the rule of {TITLES[scores.rules[name]]}. A box matches from IoU 0.5. FN are misses, "
        "FP false positives, IDs identity switches.",
    )
    for line in hints(gt, found, scores):
        report.text(line)
