"""The page of a clip that was tracked: what was found in it, when, how good that is, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from itertools import cycle
from typing import NamedTuple

import numpy as np

from sqair.datasets.clip import ClipSource
from sqair.datasets.overlay import colour
from sqair.datasets.regions import Choice
from sqair.eval.benchmarks import TITLES
from sqair.eval.chart import COLOURS
from sqair.eval.hints import hints
from sqair.eval.mot import score
from sqair.eval.report import Link, Picture, Report
from sqair.eval.scores import COLUMNS, Scores
from sqair.eval.timeline import address, lines, timeline
from sqair.eval.viewer import Film, Marks, script, style, viewer
from sqair.eval.words import MEANINGS, percent
from sqair.exports.measures import Scale
from sqair.exports.polygons import parse_zones
from sqair.exports.record import Record
from sqair.exports.zones import parse_lines
from sqair.files.mot_rows import Rows
from sqair.scripts.clip_places import count_over_time, where
from sqair.scripts.report import Args
from sqair.scripts.witness import Moment, Witness, framed
from sqair.tracks import Tracks
from sqair.words import count

SHORT_LIVED = 10
"""Frames: an id that was seen in fewer may be a part of another's track."""
SHOWN_IDS = 60
"""Ids in the timeline and in the table, at most: those that were seen longest."""


class Watched(NamedTuple):
    """A clip that was tracked: its rows, numbers and seconds of its frames, what was kept of it, and its video.

    Frames that the source has lost leave gaps in the numbers ``[T]``.
    """

    clip: ClipSource
    tracks: Tracks
    times: tuple[np.ndarray, np.ndarray]
    witness: Witness
    film: Film

    @property
    def numbers(self) -> np.ndarray:
        """Of the frames, ``[T]``, from 0."""
        return self.times[0]

    @property
    def record(self) -> Record:
        """The rows, as files tell of them."""
        return Record.of(self.clip.name, self.tracks, self.clip.size, self.clip.fps, clock=self.times)

    @property
    def length(self) -> int:
        """Frames of the source up to the last one that could be read."""
        return int(self.numbers[-1]) + 1 if len(self.numbers) else 0


def page_of(watched: Watched, args: Args, truth: Rows | None) -> Report:
    """The page of a clip, with scores where there is ground truth."""
    clip, tracks, length = watched.clip, watched.tracks, len(watched.numbers)
    ids = len(np.unique(tracks.id))
    scored = None if truth is None else _score(watched, args, truth)
    report = Report(clip.name)
    report.lead(headline(tracks, length, None if scored is None else scored.scores.overall))
    record, marks = watched.record, _marks(args)
    scale = None if args.scale is None else Scale(*args.scale)
    colours = {name: css(name) for name in np.unique(tracks.id).tolist()}
    look = viewer(record, watched.times, watched.film, colours, marks, scale)
    report.live(look, style(), script())
    report.text(
        f"This is what the model `{args.model}` finds in `{clip.path}`, {count(length, 'frame')} of "
        f"{clip.size[1]}x{clip.size[0]} pixels. Nobody told it what to look for: an object is what it has learned to "
        "explain as one. Each has a number, its id, which it should keep as long as it lives. Frames and ids count "
        "from 1."
    )
    if watched.film.shots < length:
        report.text(_shown(watched.film, length))
    chosen = longest_seen(tracks, SHOWN_IDS)
    _times(report, watched, chosen, ids)
    where(report, record, watched.numbers, marks)
    _objects(report, watched, chosen)
    if truth is not None:
        _scores(report, watched, scored)
    _moments(report, watched.witness.moments(tracks, watched.numbers), marks)
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


def css(name: int) -> str:
    """The colour of an id."""
    return "#{:02x}{:02x}{:02x}".format(*colour(name))


def _marks(args: Args) -> Marks:
    regions, _ = Choice(args.region, args.exclude).zones()
    zones = zip([*regions, *parse_zones(args.zone)], cycle(COLOURS), strict=False)
    return Marks(list(zones), parse_lines(args.line), regions)


def _shown(film: Film, length: int) -> str:
    """What of the frames the video shows, if that is not all."""
    which = f"one frame in {film.step}" if film.step > 1 else f"the first {count(film.shots, 'frame')}"
    return f"The video shows {which} of {length}; everything else is about all of them."


def _times(report: Report, watched: Watched, chosen: list[int], ids: int) -> None:
    report.text("## When each was seen")
    if chosen:
        which = f"The {len(chosen)} of {ids} ids that were seen longest" if len(chosen) < ids else "A bar for each id"
        bars = timeline(watched.tracks, watched.length, {name: css(name) for name in chosen})
        report.drawing(bars, f"{which}, in its colour in the video. A gap is where it was not seen.")
    else:
        report.text("Nothing was found.")
    counts, each = count_over_time(watched.tracks.frame, watched.numbers)
    report.text("## How many there were")
    means = f", in the mean of {each} frames at a time" if each > 1 else ""
    chart = lines({"objects": counts}, watched.numbers[::each], watched.length, COLOURS[:1])
    report.drawing(chart, f"Objects in a frame{means}.")


def _moments(report: Report, moments: list[Moment], marks: Marks) -> None:
    has_background = moments[0].background is not None
    report.text(
        "## What the model explains\n\n"
        + (f"Of {marks.regions[0].name}: some" if marks.regions else "Some")
        + " frames as the model takes them, with their tracks; the picture that it makes of them; "
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
    looks = watched.witness.looks(watched.tracks, watched.numbers)
    for name in chosen:
        mine = watched.tracks.where(watched.tracks.id == name)
        picture = Picture(framed(looks[name], name), f"id {name + 1}") if name in looks else None
        ends = [int(frame) for frame in (mine.frame[0], mine.frame[-1])]
        links = [Link(str(frame + 1), address(frame, name)) for frame in ends]
        rows.append((Link(str(name + 1), links[0].fragment), picture, *links, len(mine), mine.score.mean()))
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
