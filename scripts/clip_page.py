"""The page of a clip that was tracked: what was found in it, when, how good that is, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sqair.datasets.clip import ClipSource
from sqair.datasets.overlay import colour
from sqair.eval.benchmarks import TITLES
from sqair.eval.hints import hints
from sqair.eval.mot import score
from sqair.eval.report import Picture, Report, line_chart
from sqair.eval.scores import COLUMNS, Scores
from sqair.eval.timeline import NARROW, WIDTH, timeline
from sqair.eval.words import MEANINGS, percent
from sqair.files.mot_rows import Rows
from sqair.scripts.report import Args
from sqair.scripts.witness import Moment, Witness, framed
from sqair.tracks import Tracks
from sqair.words import count

SHORT_LIVED = 10
"""Frames: an id that was seen in fewer may be a part of another's track."""
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


def page_of(watched: Watched, args: Args, truth: Rows | None) -> Report:
    """The page of a clip, with scores where there is ground truth."""
    clip, tracks, length = watched.clip, watched.tracks, len(watched.numbers)
    ids, most = len(np.unique(tracks.id)), args.video_frames
    scored = None if truth is None else _score(watched, args, truth)
    report = Report(clip.name)
    report.lead(headline(tracks, length, None if scored is None else scored.scores.overall))
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
    good = f" {percent(scores['recall'])} of the objects in the ground truth were found"
    if scores["precision"] == scores["precision"]:
        good += f", and {percent(scores['precision'])} of the boxes are right"
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
    counts, each = count_over_time(watched.tracks, watched.numbers)
    report.text("## How many there were")
    places = 1 + watched.numbers[::each]
    means = f", in the mean of {each} frames at a time" if each > 1 else ""
    report.figure(line_chart({"objects": (places, counts)}, "frame", "objects"), f"Objects in a frame{means}.")


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


class Scored(NamedTuple):
    """Scores of a clip, the name of the rule that they follow, and hints at what may be wrong with its ground truth."""

    scores: Scores
    rule: str
    hints: list[str]


def _score(watched: Watched, args: Args, truth: Rows) -> Scored | None:
    """Scores of the frames that were read; None if none of them has ground truth."""
    truth, name = truth.where(np.isin(truth.frame - 1, watched.numbers)), watched.clip.name
    if not len(truth):
        return None
    gt, found, lengths = {name: truth}, {name: watched.tracks}, {name: watched.length}
    scores = score(gt, found, lengths, benchmark=args.benchmark, frames=args.frames)
    return Scored(scores, TITLES[scores.rules[name]], hints(gt, found, scores))


def _scores(report: Report, watched: Watched, scored: Scored | None) -> None:
    report.text("## How good it is")
    if scored is None:
        report.text("The ground truth has no rows in the frames that could be read.")
        return
    overall = scored.scores.overall
    which = f"all {count(int(overall['frames']), 'frame')}"
    if scored.scores.sampled:
        which = f"the {overall['frames']} of {count(len(watched.numbers), 'frame')} that have ground truth"
    report.table(
        [(name, overall[key], MEANINGS.get(key, "")) for key, name in COLUMNS.items()],
        ["score", "value", "what it says"],
        caption=f"On {which}, by the rule of {scored.rule}. A box matches an object if the area that both share "
        "is at least half of what they cover together (IoU 0.5).",
    )
    for line in scored.hints:
        report.text(line)


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
