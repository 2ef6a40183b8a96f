"""What ``sqair experiments restarts`` says of all trainings of a model together."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np

from sqair.scripts.experiments.restarts import SUCCESS, folder_of
from sqair.scripts.experiments.segmentation import adjusted_rand
from sqair.scripts.experiments.study import Line

MOST_FRAMES = 100
"""Frames, of those with two digits, on which two restarts are compared."""


def summary(output: Path, lines: list[Line], name: str, budget: str) -> Line:
    """Successes with their interval (Clopper and Pearson), the scores of all, the agreement of each pair."""
    from scipy.stats import binomtest

    mine = [line for line in lines if line["key"][:2] == [name, budget]]
    total: Line = {"name": name, "budget": budget, "restarts": len(mine)}
    if not mine:
        return total
    total["successes"] = sum(line["count_accuracy"] >= SUCCESS for line in mine)
    total["interval"] = tuple(binomtest(total["successes"], len(mine)).proportion_ci(0.95))
    total["cpu_seconds"] = max(line["cpu_seconds"] for line in mine)
    for key in ("count_accuracy", "objects", "explained_once", "rand_with_truth"):
        total[key] = [line[key] for line in mine]
    folders = [folder_of(output, *line["key"]) for line in mine]
    total["rand_of_restarts"] = agreements([f / "segments.npz" for f in folders if (f / "segments.npz").exists()])
    return total


def agreements(files: list[Path]) -> list[float]:
    """Mean adjusted Rand index of each pair of restarts, over frames with two digits, on the digits' pixels."""
    from sqair.datasets.generate import make_segments
    from sqair.datasets.recipes import get_recipe

    if len(files) < 2:
        return []
    found = [np.load(file)["segments"] for file in files]
    truth = make_segments(get_recipe("moving-mnist"), "test", 0, 0, len(found[0]))
    places = [(n, t) for n, t in np.argwhere(truth.max((2, 3)) > 1).tolist()]
    places = places[:: max(1, len(places) // MOST_FRAMES)]
    masks = [truth[place] > 0 for place in places]
    pixels = [[segments[place][mask] for place, mask in zip(places, masks, strict=True)] for segments in found]
    return [
        float(np.mean([adjusted_rand(p, q) for p, q in zip(a, b, strict=True)])) for a, b in combinations(pixels, 2)
    ]


def plot(lines: list[Line], names: list[str], budgets: list[str], path: Path) -> None:
    """Count accuracy and share of digits explained once of every restart."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 3.4), sharey=True)
    titles = ("count accuracy", "digits explained by exactly one object")
    for axis, key, title in zip(axes, ("count_accuracy", "explained_once"), titles, strict=True):
        for b, budget in enumerate(budgets):
            for i, name in enumerate(names):
                values = sorted(line[key] for line in lines if line["key"][:2] == [name, budget])
                place = i + 0.2 * (b - 0.5) + np.linspace(-0.06, 0.06, len(values))
                label = f"{budget} budget" if i == 0 else None
                axis.plot(place, values, "o", color=f"C{b}", alpha=0.6, markersize=4, label=label)
        axis.axhline(SUCCESS, color="grey", linewidth=0.6, linestyle=":")
        axis.set_xticks(range(len(names)), names)
        axis.set_title(title)
        axis.set_ylim(-0.03, 1.03)
    axes[0].legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)
