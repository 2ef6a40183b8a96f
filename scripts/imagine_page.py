"""The page of ``sqair imagine``: pictures of samples, and whether they are like data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sqair.alike import Ahead, Explained, centres, innovations, look_ahead
from sqair.eval.chart import line_chart
from sqair.eval.report import Report
from sqair.eval.spread import Spread, situations, spread
from sqair.eval.twosample import Feature, compare, compare_looks, counts, histogram, looks, sizes, speeds
from sqair.geometry import where_to_box
from sqair.imagine import Manner
from sqair.model import SQAIR
from sqair.passes import track_clips
from sqair.scripts.imagine import Args
from sqair.scripts.imagine_clips import Beginning
from sqair.scripts.pictures import encode_small, spread as evenly, stack, strip
from sqair.tracks import Tracks
from sqair.words import count

STRIP = 10
"""Frames of a sample in the still picture, at most, and samples in it."""
FUTURES = 32
"""Samples by which futures of the clips of --against are judged."""


@dataclass(frozen=True)
class Seen:
    """What was imagined: clips uint8 ``[K, T, H, W(, 3)]``, their tracks from frame 0 on, the video, and how."""

    clips: np.ndarray
    tracks: list[Tracks]
    film: bytes
    manner: Manner


@dataclass(frozen=True)
class Compared:
    """Clips uint8 ``[N, T, h, w(, 3)]`` of data and of imagination, and the data explained."""

    data: np.ndarray
    imagined: np.ndarray
    explained: list[Explained]


def page_of(
    model: SQAIR, args: Args, seen: Seen, beginning: Beginning | None, compared: Compared | None
) -> Report:
    """The page."""
    what = f"{count(len(seen.clips), 'clip')} of {count(seen.clips.shape[1], 'frame')}"
    report = Report("Imagined")
    if beginning is None:
        report.lead(f"**{what}** that nobody filmed: samples of the prior of `{args.model}`.")
    else:
        observed = f"{count(beginning.observed, 'frame')} of `{beginning.clip.path}`"
        which = "the mean of what" if args.mean else "samples of what"
        report.lead(f"**{what}** after {observed}: {which} `{args.model}` takes for likely then.")
    report.video(seen.film, "An orange frame is around what is imagined. Boxes are those of z_where, a colour for each id.")
    _strips(report, seen, beginning)
    _manner(report, args, seen.manner)
    if beginning is not None:
        _ahead_of_one(report, model, args, seen.manner, beginning)
    if compared is not None:
        _comparison(report, model, args, compared)
        _calibration(report, model, compared.explained)
        _futures(report, model, args, seen.manner, compared)
    return report


def _strips(report: Report, seen: Seen, beginning: Beginning | None) -> None:
    at = evenly(seen.clips.shape[1], STRIP)
    rows = [strip([clip[t] for t in at], [tracks.at(t) for t in at])
            for clip, tracks in zip(seen.clips[:STRIP], seen.tracks[:STRIP], strict=True)]  # fmt: skip
    what = "A row for each sample."
    if beginning is not None and len(beginning.images) == beginning.observed + seen.clips.shape[1]:
        came = [beginning.observed + t for t in at]
        rows.insert(0, strip([beginning.images[t] for t in came], [beginning.found.at(t) for t in came]))
        what = "The first row is what came, the others are samples."
    first = 0 if beginning is None else beginning.observed
    report.figure(encode_small(stack(rows)), f"{what} Frames {', '.join(str(first + t + 1) for t in at)}.")


def _manner(report: Report, args: Args, manner: Manner) -> None:
    like = manner.like
    report.text("## Whose prior")
    if like is None:
        report.text(
            "All of it is the model's own: places, sizes and looks of new objects are drawn from N(0, I), "
            + (f"their number at a price of {manner.price:g} nats each, " if args.observe is None else "")
            + "and motion strays as it was learned. Nobody is born in later frames. With `--like CLIPS`, all of that is "
            "fitted to clips."
        )
        return
    numbers = " / ".join(f"{100 * share:.0f}" for share in like.counts.tolist())
    kinds = 0 if like.new is None else len(like.new.points)
    report.text(
        f"Fitted to {count(like.clips, 'clip')}, as the model sees them; the decoder and the means of motion are its own."
    )
    report.table(
        [
            ("objects at the beginning", f"0 to {len(like.counts) - 1}: {numbers} % of clips"),
            ("born in a later frame", f"{like.born:.4f} a clip"),
            ("still there in the next frame", f"{100 * like.stay:.2f} %"),
            ("places, sizes and looks", f"those of {kinds} objects, with kernels of {like.new.width if like.new else 0:g} of "
             "their standard deviation"),
            ("motion strays by", f"{like.spread.place:g} of the model's own spread of places, {like.spread.size:g} of that "
             f"of sizes and {like.spread.look:g} of that of looks"),
        ],
        ["of", "fitted"],
    )  # fmt: skip


def _comparison(report: Report, model: SQAIR, args: Args, compared: Compared) -> None:
    sets = compared.data, compared.imagined
    tracks = [track_clips(model, clips) for clips in sets]
    length = compared.data.shape[1]
    parts: dict[str, list[Feature]] = {
        "objects in a frame": [counts(of, length) for of in tracks],
        "speed, pixels a frame": [speeds(of) for of in tracks],
        "width, pixels": [sizes(of, 0) for of in tracks],
        "height, pixels": [sizes(of, 1) for of in tracks],
    }
    results = [compare(name, *of, args.seed) for name, of in parts.items()]
    results.append(compare_looks(*(looks(*pair) for pair in zip(sets, tracks, strict=True)), args.seed))
    report.text(
        f"## Are they alike?\n\n{count(len(compared.data), 'clip')} of `{args.against}` and as many imagined ones, "
        f"{count(length, 'frame')} each, all tracked by the model in the same way."
    )
    report.table(
        [(r.name, *r.means, r.effect, r.p) for r in results],
        ["", "mean of the data", "mean imagined", "difference", "p"],
        caption="Difference: the largest between the shares of data and of imagination below any value, from 0, alike, "
        "to 1. Of looks: the share of objects whose nearest neighbour in other clips is of their own kind, 0.5 if "
        "alike. p: the share of ways to deal the clips out anew that differ as much; 0.001 is the least.",
    )
    for name, of in parts.items():
        middle, (data, imagined) = histogram(of)
        report.figure(line_chart({"data": (middle, data), "imagined": (middle, imagined)}, name, "share"))


def _calibration(report: Report, model: SQAIR, explained: list[Explained]) -> None:
    found: dict[str, list[np.ndarray]] = {}
    for part in explained:
        for name, values in innovations(model, part).items():
            found.setdefault(name, []).append(values)
    values = {name: np.concatenate(parts) for name, parts in found.items()}
    rows = [(name, len(z), float(z.mean()), float(z.std()), 100 * float((np.abs(z) > 2).mean()))
            for name, z in values.items() if len(z)]  # fmt: skip
    report.text(
        "## Is the motion prior calibrated?\n\nHow far what was found in the data is from the mean of the prior given the "
        "frame before, in the prior's own standard deviations. It should have mean 0, standard deviation 1, and 5 % "
        "beyond 2; less says that the prior strays more than the data do. Speed is of the second frame of an object."
    )
    report.table(rows, ["of", "values", "mean", "standard deviation", "beyond 2, %"])


def _parts(model: SQAIR, part: Explained, ahead: Ahead) -> tuple[np.ndarray, ...]:
    """Futures ``[K, h, M, 2]``, what came, whether it was seen; last places, and steps to these, ``[M, 2]``, pixels."""
    unit = where_to_box(torch.ones(4), model.config)[:2] - where_to_box(torch.zeros(4), model.config)[:2]
    step = ahead.now.velocity.cpu().numpy() * unit.numpy()
    last = where_to_box(ahead.now.where, model.config)[:, :2].cpu().numpy()
    return centres(ahead.futures, model), centres(ahead.came, model), ahead.seen.numpy(), last, step


def _futures(report: Report, model: SQAIR, args: Args, manner: Manner, compared: Compared) -> None:
    explained = [part for part in compared.explained if len(part.objects) > part.seen]
    if not explained or not sum(len(part.state.objects) for part in explained):
        return
    generator = torch.Generator().manual_seed(args.seed)
    gathered, kinds = [], []
    first = 0
    for part in explained:
        ahead = look_ahead(model, part, FUTURES, generator, manner.spread)
        of = _parts(model, part, ahead)
        size = where_to_box(ahead.now.where, model.config)[:, 2:].cpu().numpy()
        clip = ahead.now.clip.cpu().numpy() + first
        kinds.append(situations(*of[3:], size, clip, (model.config.height, model.config.width), len(of[1])))
        gathered.append(of)
        first += part.clips
    joined = [np.concatenate(column, axis) for column, axis in zip(zip(*gathered, strict=True), (2, 1, 1, 0, 0), strict=True)]
    masks = {"all": np.ones(len(joined[3]), bool)}
    masks |= {name: np.concatenate([kind[name] for kind in kinds]) for name in kinds[0]}
    report.text(
        f"## Do futures lie where the data go?\n\nAfter {count(explained[0].seen, 'frame')} of each of these clips, "
        f"{FUTURES} futures of every object that was there. Apart: how far they are from their mean; error: how far what "
        "came is from it; where the model is calibrated they are the same. Then the mean distance of what came from the "
        "mean of the futures, from the best of them, and from where the object would be going straight on, or resting. "
        "`free` objects have nothing before them, `wall` leave the canvas if they go on, `meeting` meet another."
    )
    rows, lines = [], {}
    for name, mask in masks.items():
        if mask.any():
            result = spread(joined[0][:, :, mask], joined[1][:, mask], joined[2][:, mask], joined[3][mask], joined[4][mask])
            rows += [_row(f"{name}, {h + 1}", result, h) for h in sorted({0, len(result.apart) // 2, len(result.apart) - 1})]
            if name == "all":
                lines = _lines(result)
    report.table(rows, ["objects, frames ahead", "objects", "apart", "error", "mean", "best", "straight on", "resting"])
    report.figure(line_chart(lines, "frames ahead", "pixels"), "Of all objects.")


def _row(name: str, result: Spread, h: int) -> tuple[str | float, ...]:
    values = (result.apart, result.error, result.mean, result.best, result.straight, result.resting)
    return (name, result.objects, *(float(value[h]) for value in values))


def _lines(result: Spread) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    ahead = np.arange(1, len(result.apart) + 1)
    return {name: (ahead, getattr(result, name)) for name in ("apart", "error", "best", "straight")}


def _ahead_of_one(report: Report, model: SQAIR, args: Args, manner: Manner, beginning: Beginning) -> None:
    """How far the futures of a clip lie apart, and how far from what came."""
    part = beginning.explained
    if len(part.objects) == part.seen or not len(part.state.objects):
        return
    generator = torch.Generator().manual_seed(args.seed)
    ahead = look_ahead(model, part, FUTURES, generator, manner.spread)
    if not ahead.seen.any():
        return
    result = spread(*_parts(model, part, ahead))
    report.text(
        f"## How far they lie apart\n\nOf {FUTURES} futures of every object that was there, in pixels of the model's canvas: how far they "
        "are from their mean, and how far what came is from that, from the best of them, and from where the object "
        "would be going straight on."
    )
    report.figure(line_chart(_lines(result), "frames ahead", "pixels"))
