"""Whether the motion prior is calibrated, and futures lie where the data go."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from sqair.alike import Ahead, Explained, centres, innovations, look_ahead
from sqair.eval.chart import line_chart
from sqair.eval.report import Report
from sqair.eval.spread import Spread, situations, spread
from sqair.geometry import where_to_box
from sqair.imagine import Manner
from sqair.model import SQAIR
from sqair.words import count

FUTURES = 32
"""Samples by which futures are judged."""


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


def futures(report: Report, model: SQAIR, manner: Manner, explained: list[Explained], seed: int) -> None:
    """Whether futures of the data lie where these go, by what lies before an object."""
    explained = [part for part in explained if len(part.objects) > part.seen]
    if not sum(len(part.state.objects) for part in explained):
        return
    paths, kinds = _gathered(model, explained, manner, seed)
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
