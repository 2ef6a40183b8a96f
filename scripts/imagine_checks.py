"""Whether what is imagined is like data: counts, speeds, sizes and looks, the motion prior, and futures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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
from sqair.words import count

FUTURES = 32
"""Samples by which futures are judged."""


@dataclass(frozen=True)
class Compared:
    """Clips uint8 ``[N, T, h, w(, 3)]`` of data and of imagination, and the data explained."""

    data: np.ndarray
    imagined: np.ndarray
    explained: list[Explained]


def comparison(report: Report, model: SQAIR, args: Args, compared: Compared) -> None:
    """Whether both sets of clips are alike."""
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


def calibration(report: Report, model: SQAIR, explained: list[Explained]) -> None:
    """Whether what was found in the data is as far from the mean of the motion prior as that has it."""
    found: dict[str, list[np.ndarray]] = {}
    for part in explained:
        for name, values in innovations(model, part).items():
            found.setdefault(name, []).append(values)
    values = {name: np.concatenate(parts) for name, parts in found.items()}
    rows = [(name, len(z), float(z.mean()), float(z.std()), 100 * float((np.abs(z) > 2).mean()))
            for name, z in values.items() if len(z)]  # fmt: skip
    report.text(
        "## Is the motion prior calibrated?\n\nHow far what was found in the data is from the mean of the prior given "
        "the frame before, in the prior's standard deviations. It should have mean 0, standard deviation 1, and 5 % "
        "beyond 2; less says that the prior strays more than the data do. Speed is of the second frame of an object."
    )
    report.table(rows, ["of", "values", "mean", "standard deviation", "beyond 2, %"])


def _parts(model: SQAIR, part: Explained, ahead: Ahead) -> tuple[np.ndarray, ...]:
    """Futures ``[K, h, M, 2]``, what came, whether it was seen; last places, and steps to these, ``[M, 2]``, pixels."""
    unit = where_to_box(torch.ones(4), model.config)[:2] - where_to_box(torch.zeros(4), model.config)[:2]
    step = ahead.now.velocity.cpu().numpy() * unit.numpy()
    last = where_to_box(ahead.now.where, model.config)[:, :2].cpu().numpy()
    return centres(ahead.futures, model), centres(ahead.came, model), ahead.seen.numpy(), last, step


def futures(report: Report, model: SQAIR, args: Args, manner: Manner, compared: Compared) -> None:
    """Whether futures of the data lie where these go, by what lies before an object."""
    explained = [part for part in compared.explained if len(part.objects) > part.seen]
    if not sum(len(part.state.objects) for part in explained):
        return
    paths, kinds = _gathered(model, explained, manner, args.seed)
    report.text(
        f"## Do futures lie where the data go?\n\nAfter {count(explained[0].seen, 'frame')} of each of these clips, "
        f"{FUTURES} futures of every object that was there. Apart: how far they are from their mean; error: how far "
        "what came is from it; where the model is calibrated they are the same. Then the mean distance of what came "
        "from the mean of the futures, from the best of them, and from where the object would be going straight on, or "
        "resting. `free` objects have nothing before them, `wall` leave the canvas if they go on, `meeting` another."
    )
    results = {name: spread(*paths.of(kind)) for name, kind in kinds.items() if kind.any()}
    rows = [
        _row(f"{name}, {h + 1}", result, h)
        for name, result in results.items()
        for h in sorted({0, len(result.apart) // 2, len(result.apart) - 1})
    ]
    report.table(rows, ["objects, frames ahead", "objects", "apart", "error", "mean", "best", "straight on", "resting"])
    report.figure(line_chart(lines(results["all"]), "frames ahead", "pixels"), "Of all objects.")


class Paths(NamedTuple):
    """Futures ``[K, h, M, 2]``, what came, whether it was seen; last places, and steps to these, ``[M, 2]``, pixels."""

    futures: np.ndarray
    came: np.ndarray
    seen: np.ndarray
    last: np.ndarray
    step: np.ndarray

    def of(self, mask: np.ndarray) -> Paths:
        """Those of some of the objects."""
        return Paths(self.futures[:, :, mask], self.came[:, mask], self.seen[:, mask], self.last[mask], self.step[mask])


def paths_of(model: SQAIR, ahead: Ahead) -> Paths:
    """The centres of futures, in pixels of the canvas."""
    unit = where_to_box(torch.ones(4), model.config)[:2] - where_to_box(torch.zeros(4), model.config)[:2]
    step = ahead.now.velocity.cpu().numpy() * unit.numpy()
    last = where_to_box(ahead.now.where, model.config)[:, :2].cpu().numpy()
    return Paths(centres(ahead.futures, model), centres(ahead.came, model), ahead.seen.numpy(), last, step)


def _gathered(
    model: SQAIR, explained: list[Explained], manner: Manner, seed: int
) -> tuple[Paths, dict[str, np.ndarray]]:
    """The paths of all objects, and which of them are in what situation, bool ``[M]``."""
    generator = torch.Generator().manual_seed(seed)
    found: list[Paths] = []
    kinds: list[dict[str, np.ndarray]] = []
    for part in explained:
        ahead = look_ahead(model, part, FUTURES, generator, manner.spread)
        paths = paths_of(model, ahead)
        size = where_to_box(ahead.now.where, model.config)[:, 2:].cpu().numpy()
        clip, canvas = ahead.now.clip.cpu().numpy(), (model.config.height, model.config.width)
        kinds.append(situations(paths.last, paths.step, size, clip, canvas, len(paths.came)))
        found.append(paths)
    columns = zip(zip(*found, strict=True), (2, 1, 1, 0, 0), strict=True)
    paths = Paths(*(np.concatenate(parts, axis) for parts, axis in columns))
    joined = {name: np.concatenate([kind[name] for kind in kinds]) for name in kinds[0]}
    return paths, {"all": np.ones(len(paths.last), bool)} | joined


def _row(name: str, result: Spread, h: int) -> tuple[str | float, ...]:
    values = (result.apart, result.error, result.mean, result.best, result.straight, result.resting)
    return (name, result.objects, *(float(value[h]) for value in values))


def lines(result: Spread) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What is drawn of a spread, by how far ahead it is."""
    ahead = np.arange(1, len(result.apart) + 1)
    return {name: (ahead, getattr(result, name)) for name in ("apart", "error", "best", "straight")}
