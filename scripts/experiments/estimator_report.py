"""The table and the plots of ``sqair experiments estimators``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from sqair.scripts.experiments.estimator_runs import SETTINGS
from sqair.scripts.experiments.running import markdown, spread

SUCCESS = 0.9
"""Count accuracy from which a run counts as a success."""
SURE = 5.0
"""A squared distance of means is a bias if it is this many times what noise gives on average; in one dimension noise
is that large in 2.5 % of cases."""
ACROSS = 4
"""Small plots beside one another."""
RATES = (0.1, 1 / math.sqrt(10), 1.0, math.sqrt(10))
"""Learning rates, times the default; the lowest for NVIL alone."""
Line = Mapping[str, Any]


class Results:
    """What was measured, by kind."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.by_key = {tuple(line["key"]): line for line in lines}
        costs = [key for key in self.by_key if key[0] == "cost"]
        self.names = list(dict.fromkeys(key[2] for key in costs))
        self.settings = [setting for setting in SETTINGS if any(key[1] == setting for key in costs)]

    def cost(self, setting: str, name: str) -> Line:
        return self.by_key[("cost", setting, name)]["milliseconds"]

    def runs(self, setting: str, name: str, rate: float = 1.0) -> list[Line]:
        """All seeds that were run at ``rate`` times the default learning rate."""
        wanted = ("run", setting, name)
        return [v for k, v in self.by_key.items() if k[:3] == wanted and abs(k[4] - rate) < 0.01]

    def noise(self, setting: str, name: str) -> list[Line]:
        """Of each point of the trajectory at which it was measured."""
        found = (self.by_key.get(("noise", setting, name, point), {}) for point in range(3))
        return [line for line in found if "variance" in line]


def write_report(lines: list[dict[str, Any]], output: Path) -> None:
    """Writes table.md and the plots into ``output``, and prints the table."""
    results = Results(lines)
    titles = [SETTINGS[setting].title.capitalize() for setting in results.settings]
    tables = [table(results, setting) for setting in results.settings]
    text = "\n\n".join(f"### {title}\n\n{rows}" for title, rows in zip(titles, tables, strict=True))
    (output / "table.md").write_text(text + "\n")
    print(text)
    for setting in results.settings:
        plot_curves(results, setting, output / f"estimators-{setting}.png")
    plot_noise(results, output / "estimators-noise.png")
    plot_rates(results, output / "estimators-rates.png")


def table(results: Results, setting: str) -> str:
    """One row for each estimator."""
    head = ["estimator", "ms / step", "steps", "count accuracy", "bound", "successes"]
    noisy = any(results.noise(setting, name) for name in results.names)
    head += ["noise", "bias"] if noisy else []
    head += ["count at 1/3 rate", "at 3 x rate"] if setting == "frames" else []
    rows = []
    for name in results.names:
        runs = results.runs(setting, name)
        done = [run for run in runs if "failed" not in run]
        cells = [f"`{name}`", " + ".join(f"{v:.0f}" for v in results.cost(setting, name).values()) or "-"]
        if done:
            cells += [" + ".join(map(str, done[0]["steps"])), spread([r["count_accuracy"] for r in done])]
            cells += [spread([r["elbo"] for r in done], 1)]
            cells += [f"{sum(r['count_accuracy'] >= SUCCESS for r in done)} of {len(runs)}"]
        else:
            cells += ["-", "-", "-", runs[0]["failed"] if runs else "not run"]
        cells += noise_cells(results.noise(setting, name)) if noisy else []
        if setting == "frames":
            cells += [spread(counts(results.runs(setting, name, rate))) for rate in (RATES[1], RATES[3])]
        rows.append(cells)
    return markdown(head, rows, rule="---")


def counts(runs: list[Line]) -> list[float]:
    return [run["count_accuracy"] for run in runs if "failed" not in run]


def noise_cells(noise: list[Line]) -> list[str]:
    """Standard deviation and length of the bias, over the length of the exact gradient; the middle of the points."""
    if not noise:
        return ["-", "-"]
    line = noise[len(noise) // 2]
    exact = exact_length(line)
    sure = line["squared_bias"] > (SURE - 1) * line["squared_noise"]
    bias = math.sqrt(line["squared_bias" if sure else "squared_noise"] * (1 if sure else SURE)) / exact
    return [f"{math.sqrt(line['variance']) / exact:.2g}", f"{bias:.2g}" if sure else f"< {bias:.2g}"]


def exact_length(line: Line) -> float:
    return math.sqrt(max(line["reference_squared_norm"], 1e-12))


def plot_curves(results: Results, setting: str, path: Path) -> None:
    """Count accuracy and bound on validation clips against CPU-seconds: a panel per estimator, a line per seed."""
    figure, axes = panels(results.names, f"{SETTINGS[setting].title}: count accuracy (blue), bound (orange)")
    figure.supxlabel("CPU-seconds")
    for name, axis in axes.items():
        other = axis.twinx()
        other.set_ylim(200, 600)
        for run in results.runs(setting, name):
            if run["curve"]:
                seconds, bound, count = zip(*run["curve"], strict=True)
                axis.plot(seconds, count, color="tab:blue", alpha=0.7, linewidth=1)
                other.plot(seconds, bound, color="tab:orange", alpha=0.7, linewidth=1)
            else:
                axis.text(0.5, 0.5, "cannot be run", transform=axis.transAxes, ha="center")
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def plot_rates(results: Results, path: Path) -> None:
    """Count accuracy on single frames over learning rates."""
    figure, axes = panels(results.names, f"{SETTINGS['frames'].title}: count accuracy")
    figure.supxlabel("learning rate, times the default")
    for name, axis in axes.items():
        for rate in RATES:
            found = counts(results.runs("frames", name, rate))
            axis.plot([rate] * len(found), found, "o", color="tab:blue", alpha=0.6)
        axis.set_xscale("log")
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def plot_noise(results: Results, path: Path) -> None:
    """Noise of the presence gradient at the points of the trajectory, over the length of the exact gradient."""
    settings = [s for s in results.settings if any(results.noise(s, name) for name in results.names)]
    if not settings:
        return
    figure = Figure(figsize=(12, 0.3 * len(results.names) + 1.5))
    axes = figure.subplots(1, len(settings), sharey=True, squeeze=False)
    for axis, setting in zip(axes[0], settings, strict=True):
        for row, name in enumerate(results.names):
            for line in results.noise(setting, name):
                colour = ("tab:orange", "tab:purple", "tab:red")[line["key"][-1]]
                axis.plot(math.sqrt(line["variance"]) / exact_length(line), row, "o", color=colour, alpha=0.8)
        axis.set_xscale("log")
        axis.set_title(SETTINGS[setting].title, fontsize=9)
        axis.set_xlabel("standard deviation / length of the exact gradient")
        axis.grid(axis="x", alpha=0.3)
        axis.set_yticks(range(len(results.names)), results.names)
    axes[0, 0].invert_yaxis()
    figure.suptitle("early (orange), middle (purple) and end (red) of one trajectory")
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def panels(names: list[str], title: str) -> tuple[Figure, dict[str, Any]]:
    """A grid of small plots of count accuracy, and the axes of each by its name."""
    down = -(-len(names) // ACROSS)
    figure = Figure(figsize=(12, 2.1 * down))
    figure.suptitle(title)
    axes = figure.subplots(down, ACROSS, sharex=True, sharey=True, squeeze=False).flat
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    named = dict(zip(names, axes, strict=False))
    for name, axis in named.items():
        axis.axhline(SUCCESS, color="grey", linewidth=0.6, linestyle=":")
        axis.set_title(name, fontsize=9)
        axis.set_ylim(0, 1)
    return figure, named
