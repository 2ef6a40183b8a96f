"""The plots of ``sqair experiments backgrounds``."""

from __future__ import annotations

from pathlib import Path

from sqair.scripts.experiments.backgrounds import DATA, MODELS, slug
from sqair.scripts.experiments.study import Line

TIMES = (0, 3, 6, 9)
"""Frames of an example."""


def plot_scores(lines: list[Line], path: Path) -> None:
    """MOTA and count accuracy of every seed, by background and model, beside the floor."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(13, 3.6), sharey=True)
    for axis, key, title in zip(axes, ("mota", "count_accuracy"), ("MOTA", "count accuracy"), strict=True):
        for i, name in enumerate(MODELS):
            mine = [line for line in lines if line["key"][1] == name]
            place = [DATA.index(line["key"][0]) + 0.12 * (i - 3) for line in mine]
            axis.plot(place, [max(0.0, line[key]) for line in mine], "o", label=name, alpha=0.7, markersize=5)
        floor = {line["key"][0]: max(0.0, line["floor"][key]) for line in lines}
        axis.hlines(
            list(floor.values()), [DATA.index(d) - 0.4 for d in floor], [DATA.index(d) + 0.4 for d in floor],
            color="grey", linewidth=0.8, label="floor: blobs",
        )  # fmt: skip
        axis.set_xticks(range(len(DATA)), DATA)
        axis.set_title(title)
        axis.set_ylim(-0.03, 1.03)
    axes[1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def plot_examples(output: Path, data: str, path: Path) -> None:
    """One test clip as each model of seed 0 explains it: frames with boxes, canvases, backgrounds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    from sqair.datasets.overlay import draw_tracks
    from sqair.tracks import Tracks

    kept = {name: output / slug(data, name, 0) / "example.npz" for name in MODELS}
    kept = {name: file for name, file in kept.items() if file.exists()}
    if not kept:
        return
    figure, axes = plt.subplots(len(kept), 3, figsize=(12, 1.15 * len(kept) + 0.3), squeeze=False)
    for row, (name, file) in zip(axes, kept.items(), strict=True):
        with np.load(file) as example:
            tracks = Tracks(example["frame"], example["id"], example["box"])
            frames = [draw_tracks(example["frames"][t], tracks.at(t), scale=3) for t in TIMES]
            canvas, behind = (np.concatenate(example[key][list(TIMES)], 1).clip(0, 1) for key in ("canvas", "behind"))
        for axis, image in zip(row, (np.concatenate(frames, 1), canvas, behind), strict=True):
            axis.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255 if image.dtype == np.uint8 else 1)
            axis.set_xticks([])
            axis.set_yticks([])
        row[0].set_ylabel(name.replace(", ", "\n"), fontsize=8)
    for axis, title in zip(axes[0], ("frames and tracks", "what the model draws", "its background"), strict=True):
        axis.set_title(title, fontsize=9)
    figure.tight_layout(pad=0.4)
    figure.savefig(path, dpi=80)
    plt.close(figure)
