"""The page of ``sqair imagine``: pictures of samples, and whether they are like data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sqair.alike import look_ahead
from sqair.eval.chart import line_chart
from sqair.eval.report import Report
from sqair.eval.spread import spread
from sqair.imagine import Manner
from sqair.model import SQAIR
from sqair.scripts.imagine import Args
from sqair.scripts.imagine_alike import Compared, comparison
from sqair.scripts.imagine_checks import FUTURES, calibration, futures, lines, paths_of
from sqair.scripts.imagine_clips import Beginning
from sqair.scripts.pictures import encode_small, stack, strip
from sqair.scripts.pictures import spread as evenly
from sqair.tracks import Tracks
from sqair.words import count

STRIP = 10
"""Frames of a sample in the still picture, at most, and samples in it."""


@dataclass(frozen=True)
class Seen:
    """What was imagined: clips uint8 ``[K, T, H, W(, 3)]``, their tracks from frame 0 on, the video, and how."""

    clips: np.ndarray
    tracks: list[Tracks]
    film: bytes
    manner: Manner


def page_of(
    model: SQAIR, args: Args, seen: Seen, beginning: Beginning | None, compared: Compared | None
) -> Report:
    """The page."""
    what = f"{count(len(seen.clips), 'clip')} of {count(seen.clips.shape[1], 'frame')}"
    report = Report("Imagined")
    if beginning is None:
        report.lead(f"**{what}** that nobody filmed: samples of the prior of `{args.model}`.")
    else:
        observed = f"{count(beginning.observed, 'frame')} of {beginning.clip.name} in `{args.observe}`"
        which = "the mean of what" if args.mean else "samples of what"
        report.lead(f"**{what}** after {observed}: {which} `{args.model}` takes for likely then.")
    boxes = "" if args.box == "none" else " Boxes are those of z_where, a colour for each id."
    report.video(seen.film, f"An orange frame is around what is imagined.{boxes}")
    _strips(report, args, seen, beginning)
    _manner(report, args, seen.manner)
    if beginning is not None:
        _ahead_of_one(report, model, args, seen.manner, beginning)
    if compared is not None:
        comparison(report, model, args, compared)
        calibration(report, model, compared.explained)
        futures(report, model, seen.manner, compared.explained, args.seed)
    return report


def _strips(report: Report, args: Args, seen: Seen, beginning: Beginning | None) -> None:
    at = evenly(seen.clips.shape[1], STRIP)
    drawn = args.box != "none"
    rows = [strip([clip[t] for t in at], [tracks.at(t) for t in at] if drawn else None)
            for clip, tracks in zip(seen.clips[:STRIP], seen.tracks[:STRIP], strict=True)]  # fmt: skip
    what = "A row for each sample."
    if beginning is not None and len(beginning.images) == beginning.observed + seen.clips.shape[1]:
        came = [beginning.observed + t for t in at]
        found = [beginning.found.at(t) for t in came] if drawn else None
        rows.insert(0, strip([beginning.images[t] for t in came], found))
        what = "The first row is what came, the others are samples."
    first = 0 if beginning is None else args.start - 1 + beginning.observed
    report.figure(encode_small(stack(rows)), f"{what} Frames {', '.join(str(first + t + 1) for t in at)}.")


def _manner(report: Report, args: Args, manner: Manner) -> None:
    like = manner.like
    report.text("## Whose prior")
    if like is None:
        report.text(
            "All of it is the model's own: places, sizes and looks of new objects are drawn from N(0, I), "
            + (f"their number at a price of {manner.price:g} nats each, " if args.observe is None else "")
            + "and motion strays as it was learned. Nobody is born in later frames. With `--like CLIPS`, all of "
            "that is fitted to clips."
        )
        return
    numbers = " / ".join(f"{100 * share:.0f}" for share in like.counts.tolist())
    new, (place, size, look) = like.new, like.spread
    kernels = "none" if new is None else f"of {len(new.points)} objects, with kernels of {new.width:g} deviations"
    report.text(
        f"Fitted to {count(like.clips, 'clip')}, as the model sees them; the decoder and means of motion are its own."
    )
    report.table(
        [
            ("objects at the beginning", f"0 to {len(like.counts) - 1}: {numbers} % of clips"),
            ("born in a later frame", f"{like.born:.4f} a clip"),
            ("still there in the next frame", f"{100 * like.stay:.2f} %"),
            ("places, sizes and looks", kernels),
            ("spread of motion, of the model's own", f"places {place:g}, sizes {size:g}, looks {look:g}"),
        ],
        ["of", "fitted"],
    )  # fmt: skip


def _ahead_of_one(report: Report, model: SQAIR, args: Args, manner: Manner, beginning: Beginning) -> None:
    """How far the futures of a clip lie apart, and how far from what came."""
    part = beginning.explained
    if len(part.objects) == part.seen or not len(part.state.objects):
        return
    generator = torch.Generator().manual_seed(args.seed)
    ahead = look_ahead(model, part, FUTURES, generator, manner.spread)
    if not ahead.seen.any():
        return
    result = spread(*paths_of(model, ahead))
    report.text(
        f"## How far they lie apart\n\nOf {FUTURES} futures of every object that was there, in pixels of the model's "
        "canvas: how far they are from their mean, and how far what came is from that, from the best of them, and from "
        "where the object would be going straight on."
    )
    report.figure(line_chart(lines(result), "frames ahead", "pixels"))
