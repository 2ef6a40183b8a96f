"""The plots of ``sqair experiments pairs``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sqair.scripts.experiments.pairs import MODELS, TESTED_ON, TRAINED_ON
from sqair.scripts.experiments.study import Line

TIMES = (0, 2, 4, 6, 9)
"""Frames of an example."""


def plot_verdicts(lines: list[Line], path: Path) -> None:
    """Share of pairs explained by one glimpse and by one each, frame by frame; a line per seed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 5.4), sharex=True, sharey=True)
    for row, tested in zip(axes, TESTED_ON, strict=True):
        for axis, (verdict, title) in zip(row, (("one", "one glimpse for both"), ("two", "one each")), strict=True):
            for line in (line for line in lines if line["key"][3] == tested):
                recipe, name, seed = line["key"][:3]
                style = {"color": f"C{TRAINED_ON.index(recipe)}", "linestyle": "-" if name == "sequential" else ":"}
                label = f"{name}, trained on {recipe}" if seed == 0 else None
                axis.plot(range(len(line["share"][verdict])), line["share"][verdict], **style, alpha=0.8, label=label)
            axis.set_title(f"pairs {'that part' if tested == 'parting' else 'that stay together'}: {title}", fontsize=9)
            axis.set_ylim(-0.03, 1.03)
    axes[0, 0].legend(fontsize=7)
    figure.supxlabel("frame")
    figure.supylabel("share of clips")
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def plot_examples(output: Path, path: Path) -> None:
    """Two clips of pairs that part, as each model of seed 0 segments them: a colour per object."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    kept = {(name, recipe): output / f"{recipe}-{name}-0" / "parting.npz" for name in MODELS for recipe in TRAINED_ON}
    kept = {of: file for of, file in kept.items() if file.exists()}
    if not kept:
        return
    colours = np.array([[0, 0, 0], *(plt.get_cmap("tab10")(i)[:3] for i in range(10))])
    figure, axes = plt.subplots(1 + len(kept), 2, figsize=(11, 1.1 * len(kept) + 1.4), squeeze=False)
    for row, (of, file) in zip(axes[1:], kept.items(), strict=True):
        with np.load(file) as example:
            frames, segments = example["frames"], example["segments"].astype(int)
        for clip, axis in enumerate(row):
            label = np.where(segments[clip] > 0, 1 + (segments[clip] - 1) % 10, 0)
            shown = colours[label] * (0.25 + 0.75 * frames[clip][..., None] / 255)
            axis.imshow(np.concatenate(shown[list(TIMES)], 1))
            axes[0, clip].imshow(np.concatenate(frames[clip][list(TIMES)], 1), cmap="gray")
        row[0].set_ylabel(f"{of[0]}\n{of[1]}", fontsize=7)
    axes[0, 0].set_ylabel("frames", fontsize=7)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=80)
    plt.close(figure)
