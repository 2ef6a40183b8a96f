"""What ``sqair evaluate`` prints and writes: tables, JSON, and a page with pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sqair.datasets.images import encode_png
from sqair.eval.chart import line_chart
from sqair.eval.intervals import Figure
from sqair.eval.report import Report
from sqair.eval.scores import aligned
from sqair.scripts.evaluation_parts import Found
from sqair.scripts.pictures import spread, stack, strip
from sqair.words import count

SHOWN = 3
"""Clips of which there are pictures."""
_FRAMES = 10
_LIKELIHOOD = {
    "log_p": "log p(x), {} particles",
    "log_p_filter": "log p(x), filter of {} particles",
    "bound": "the bound, one particle",
    "log_likelihood": "log p(x | z)",
    "kl_presence": "KL of z_pres",
    "kl_where": "KL of z_where",
    "kl_what": "KL of z_what",
    "kl_background": "KL of the background",
    "kl_z": "KL of z",
    "most": "log p(x | z) if nothing was wrong",
}
_CHANGES = {
    "presence": "found",
    "right": "right, px",
    "down": "down, px",
    "wider": "log size",
    "where": "z_where",
    "what": "z_what",
}
_WAYS = {
    "model": "the mode of the prior",
    "samples": "the mean of what many samples of it show",
    "constant velocity": "the last picture of each object, moved on as it moved last",
    "stays": "the last frame as it is",
}
_WHERE = {"all": "all pixels", "ink": "on ink", "elsewhere": "elsewhere"}


class Table(NamedTuple):
    """A table: its heading, what is to be said of it, its columns, and rows of text that begin with their names."""

    title: str
    said: str
    header: Sequence[str]
    rows: list[tuple[str, ...]]


def tables(found: Found) -> Iterator[tuple[str, Table]]:
    """The tables of what was measured, by the names of its parts."""
    makers = {
        "likelihood": _likelihood, "reconstruction": _reconstruction, "prediction": _prediction,
        "counting": _counting, "readouts": _readouts, "changes": _changes,
    }  # fmt: skip
    for name, part in found.parts.items():
        yield name, makers[name](found, part)


def _likelihood(found: Found, part: Mapping[str, Figure]) -> Table:
    length = found.about["frames"]
    rows = [
        (title.format(found.about["particles"]), _figure(part[name], 1), f"{part[name].value / length:.1f}")
        for name, title in _LIKELIHOOD.items()
        if name in part and (name != "kl_background" or part[name].value)
    ]
    said = (
        f"Nats, of the density of all pixels in [0, 1]. Of the particles {part['effective'].value:.0%} count: of a few "
        f"that do, log p(x) is the looser a bound. Pixels are off by {found.about['likelihood_std']:g}."
    )
    if "price" in found.about:
        said += f" An object costs {found.about['price']:.1f} nats in the prior."
    if given := found.about["conditional_on"]:
        said += f" The model takes {', '.join(given)} from the frames: these are densities given that, no others."
    return Table("How likely the clips are", said, ("", "per clip", "per frame"), rows)


def _reconstruction(found: Found, part: Mapping[str, Figure]) -> Table:
    rows = [(title, _figure(part[name], 5)) for name, title in _WHERE.items() if name in part]
    said = "Mean squared errors of pixels in [0, 1], at the modes of the posteriors."
    return Table("What is left unexplained", said, ("", "squared error"), rows)


def _prediction(found: Found, part: Mapping[str, Any]) -> Table:
    frames = len(part["by_frame"]["model"])
    rows = [
        (name, *(f"{figure.value:.4f}" for figure in part["by_frame"][name]), _figure(part["mean"][name], 4))
        for name in part["by_frame"]
    ]
    over = ", ".join(f"{_figure(figure, 2)} of that of {name}" for name, figure in part["model_over"].items())
    ways = "; ".join(f"{name}, {_WAYS[name]}" for name in part["by_frame"])
    said = f"Mean squared errors of pixels, frame by frame after the {part['observed']} that were seen: {ways}."
    if over:
        said += f" The model's error is {over}."
    return Table("What comes next", said, ("", *(f"+{t + 1}" for t in range(frames)), "mean"), rows)


def _counting(found: Found, part: Mapping[str, Mapping[str, Figure]]) -> Table:
    rows = [(name, _figure(row["frames"], 3), _figure(row["clips"], 3)) for name, row in part.items()]
    said = (
        "Shares with the right number of objects: of frames, and of clips in all of their frames. Amortised: what the "
        "network says at first glance; as tracked: what `sqair track` finds."
    )
    return Table("How many there are", said, ("", "frames", "clips"), rows)


def _readouts(found: Found, part: Mapping[str, Any]) -> Table:
    rows = [(name, _figure(figure, 3), str(figure.number)) for name, figure in part["right"].items()]
    if "objects" not in part:
        said = (
            f"Shares that are right of {part['pairs']} clips of two digits, told from z, its mean over frames. "
            f"Read-outs learned from {part['learned_from']} such clips of training digits."
        )
        return Table("What z holds", said, ("", "right", "clips"), rows)
    said = (
        f"Shares that are right of {part['objects']} objects that were found, and of the {part['pairs']} clips in "
        f"which two were, told from z_what, its mean over frames. Read-outs learned from {part['learned_from']} "
        "objects of training digits. Intervals are over clips."
    )
    return Table("What z_what holds", said, ("", "right", "clips"), rows)


def _changes(found: Found, part: Mapping[str, Mapping[str, Mapping[str, Figure]]]) -> Table:
    named: dict[str, Mapping[str, Figure]] = {}
    for name, both in part.items():
        named |= {name: both["changed"], f"{name}: the other": both["other"]}
    rows = [(name, *(_spread(of[key]) if key in of else "-" for key in _CHANGES)) for name, of in named.items()]
    said = (
        "Clips of two digits, of which one is changed: how it differs from what it was, and how the other does, which "
        "is as it was, in frames in which their boxes are apart. z_where and z_what are in standard deviations of the "
        "posterior, root mean squares over their components; found is the share of all frames."
    )
    return Table("What changes with one thing", said, ("", *_CHANGES.values()), rows)


def _figure(figure: Figure, digits: int) -> str:
    value, low, high = (f"{x:.{digits}f}" for x in figure[:3])
    return f"{value} ({low} to {high})"


def _spread(figure: Figure) -> str:
    return f"{figure.value:.2f} \u00b1 {(figure.high - figure.low) / 2:.2f}"


def printed(found: Found) -> str:
    """The tables as text."""
    parts = [_about(found)]
    for _, table in tables(found):
        parts.append(f"{table.title}\n{aligned([table.header, *table.rows])}")
    if given := found.about["conditional_on"]:
        parts.append(f"The model takes {', '.join(given)} from the frames: nats are of densities given that.")
    parts.extend(f"Left out: {name}: {reason}" for name, reason in found.left_out.items())
    return "\n\n".join(parts)


def _about(found: Found) -> str:
    about = found.about
    whose = f", {about['split']} digits" if about["split"] else ""
    clips = f"{count(about['clips'], 'clip')} of {count(about['frames'], 'frame')}"
    seconds = about["seconds"]["cpu"]
    return f"{about['model']} on {about['data']}{whose}: {clips}; 95 % intervals over clips; {seconds:.0f} CPU-seconds"


def to_json(found: Found) -> str:
    """All figures with their intervals."""
    figures = {**found.about, **_plain(found.parts), "left_out": found.left_out}
    return json.dumps(figures, indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Figure):
        return value._asdict()
    if isinstance(value, Mapping):
        return {key: _plain(of) for key, of in value.items()}
    return [_plain(of) for of in value] if isinstance(value, list) else value


def page(found: Found) -> Report:
    """The page, with pictures of the first clips that have most objects."""
    report = Report("What the model knows")
    report.lead(f"{_about(found)}.")
    for name, table in tables(found):
        report.text(f"## {table.title}\n\n{table.said}")
        report.table(table.rows, table.header)
        _PICTURES.get(name, lambda *_: None)(report, found)
    if found.left_out:
        report.text("## Left out\n\n" + "\n".join(f"- {name}: {reason}" for name, reason in found.left_out.items()))
    return report


def _reconstructed(report: Report, found: Found) -> None:
    for n in _busiest(found):
        times = spread(found.about["frames"], _FRAMES)
        canvases = [_image(found.account.canvas[n, t]) for t in times]
        rows = [strip(found.data.frames[n, t] for t in times), strip(canvases)]
        report.text(f"Clip {n}: its frames, above the model's pictures of them.").figure(encode_png(stack(rows)))


def _predicted(report: Report, found: Found) -> None:
    part = found.parts["prediction"]
    ahead = range(1, 1 + len(part["by_frame"]["model"]))
    series = {name: (list(ahead), [f.value for f in of]) for name, of in part["by_frame"].items()}
    report.figure(line_chart(series, "frames ahead", "squared error"))
    observed = part["observed"]
    for n in _busiest(found):
        rows = [strip(found.data.frames[n, observed + t - 1] for t in ahead)]
        rows += [strip(map(_image, found.ahead[name][n])) for name in found.ahead]
        ways = ", ".join(found.ahead)
        report.text(f"Clip {n}: the frames that come, above those predicted by {ways}.").figure(encode_png(stack(rows)))


def _changed(report: Report, found: Found) -> None:
    report.text(f"First frames, above the model's pictures of them: {', '.join(found.changed)}.")
    for n in range(min(SHOWN, len(next(iter(found.changed.values()))[0].frames))):
        rows = [
            strip(kind.frames[n, 0] for kind, _ in found.changed.values()),
            strip(_image(account.canvas[n, 0]) for _, account in found.changed.values()),
        ]
        report.figure(encode_png(stack(rows)))


def _dreamt(report: Report, found: Found) -> None:
    if found.dreamt is not None:
        times = spread(found.about["frames"], _FRAMES)
        rows = [strip(_image(clip[t]) for t in times) for clip in found.dreamt]
        report.text("Clips that the model makes up.").figure(encode_png(stack(rows)))


_PICTURES = {"likelihood": _dreamt, "reconstruction": _reconstructed, "prediction": _predicted, "changes": _changed}


def _busiest(found: Found) -> list[int]:
    """The first clips of those in which most objects are found; or are, where the model finds none in any."""
    count = found.account.count
    if not count.any() and found.data.count is not None:
        count = found.data.count[1]
    return np.argsort(-count.max(1), kind="stable")[:SHOWN].tolist()


def _image(canvas: np.ndarray) -> np.ndarray:
    """A canvas ``[C, H, W]`` in [0, 1] as uint8 ``[H, W]`` or RGB ``[H, W, 3]``."""
    image = np.rint(canvas.clip(0, 1) * 255).astype(np.uint8)
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)
