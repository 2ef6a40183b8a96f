"""Faults of training: what is not finite, and footage that is not what it should be."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sqair.datasets.images import write_png
from sqair.datasets.video_out import write_video
from sqair.files.checkpoint import load_checkpoint
from sqair.scripts.experiments.fault_commands import Run, run
from sqair.scripts.experiments.fault_kills import must_work, resume, same, train
from sqair.scripts.experiments.study import Line

WORKS, REFUSED = "works", "refused"
STEP = 7
"""The step, counted from 0, at which something is not finite."""
WEIGHT = "decoder.net.0.weight"
PLANTED: dict[str, tuple[tuple[str, str, str], str, tuple[str, ...]]] = {
    "NaN in a frame": (("frames", "nan", "-"), "a pixel of the frames", ()),
    "infinity in a frame": (("frames", "inf", "-"), "a pixel of the frames", ()),
    "NaN in a gradient": (("gradient", "nan", f"model.{WEIGHT}"), WEIGHT, ()),
    "infinity in a gradient": (("gradient", "inf", f"model.{WEIGHT}"), WEIGHT, ()),
    "NaN in the gradient of a baseline": (
        ("gradient", "nan", "estimator.net.0.weight"), "estimator.net.0.weight", ("--estimator", "nvil"),
    ),
    "NaN in a moment of Adam": (("moment", "nan", WEIGHT), WEIGHT, ()),
}  # fmt: skip
"""What is planted, which value and where (fault_plant.py), what the error has to name, and words of ``sqair train``."""


def plant(output: Path, name: str) -> Line:
    """Trains into it, then resumes without it and compares with a run that never had it."""
    (kind, value, where), named, more = PLANTED[name]
    folder = output / name.replace(" ", "-")
    whole, spoiled = folder / "whole", folder / "spoiled"
    stages = ("--train.stages", "1x16x8", *more)
    must_work(run(train(whole, *stages, "--overwrite")))
    ended = run(train(spoiled, *stages, "--overwrite"), [kind, str(STEP), value, where])
    state = load_checkpoint(spoiled / "checkpoint.pt")["trainer"]
    finite = all(tensor.isfinite().all() for tensor in state["model"].values() if tensor.is_floating_point())
    told = ended.outcome == REFUSED and re.search(rf"step ({STEP}|{STEP + 1}): .*{re.escape(named)}", ended.err)
    went_on = run(resume(spoiled)).status == 0 and same(whole, spoiled)
    good = bool(told) and finite and state["step"] == STEP and went_on
    return {"outcome": ended.outcome, "good": good, "said": ended.said(folder)}


def walk(length: int, size: tuple[int, int] = (60, 80), colour: bool = True) -> np.ndarray:
    """Two boxes that pass before a scene with noise, uint8 ``[T, H, W, 3]`` or ``[T, H, W]``."""
    y, x = np.mgrid[: size[0], : size[1]]
    frames = np.repeat((110 + 40 * np.sin(x / 9) + 20 * np.cos(y / 7))[None, ..., None], length, 0).repeat(3, -1)
    for t in range(length):
        for k, paint in enumerate(((230, 40, 30), (20, 20, 200))):
            left, top = (30 * k + 4 * t) % (size[1] - 14), 6 + size[0] // 2 * k
            frames[t, top : top + 20, left : left + 14] = paint
    noisy = frames + 2 * np.random.default_rng(0).standard_normal(frames.shape)
    frames = noisy.clip(0, 255).astype(np.uint8)
    return frames if colour else frames[..., 1]


def make_footage(folder: Path) -> dict[str, str]:
    """Puts footage of many kinds into ``folder``; how training on each is to end."""
    folder.mkdir(parents=True, exist_ok=True)
    video = folder / "sound.mp4"
    write_video(video, walk(30), 10)
    data = video.read_bytes()
    (folder / "ends-early.mp4").write_bytes(data[: int(len(data) * 0.7)])
    (folder / "words.mp4").write_text("these are words\n" * 99)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "empty-folder").mkdir()
    write_video(folder / "one-frame.mp4", walk(1), 10)
    write_video(folder / "four-frames.mp4", walk(4), 10)
    write_video(folder / "nothing-moves.mp4", np.repeat(walk(1), 20, 0), 10)
    write_video(folder / "all-black.mp4", np.zeros((20, 60, 80, 3), np.uint8), 10)
    write_video(folder / "one-flash.mp4", np.concatenate([walk(1).repeat(19, 0), 255 - walk(1)]), 10)
    write_video(folder / "all-noise.mp4", np.random.default_rng(0).integers(0, 255, (20, 60, 80, 3), np.uint8), 10)
    _images(folder / "grey", walk(20, colour=False))
    _images(folder / "mixed-sizes", [*walk(9), *walk(9, (50, 80))])
    _images(folder / "grey-among-colour", [*walk(9), walk(1, colour=False)[0]])
    _images(folder / "tiny", walk(20, (60, 80))[:, ::12, ::12])
    for name, frames in (("a", walk(20)), ("b", walk(20, (40, 90))), ("c", walk(20, colour=False))):
        _images(folder / "clips-of-other-kinds" / name / "img1", frames)
    _images(folder / "promises-more" / "img1", walk(20))
    (folder / "promises-more" / "seqinfo.ini").write_text("[Sequence]\nseqLength=99\n")
    _images(folder / "a-short-clip-among-them" / "a" / "img1", walk(20))
    _images(folder / "a-short-clip-among-them" / "b" / "img1", walk(3))
    _images(folder / "a-spoiled-image", walk(9))
    (folder / "a-spoiled-image" / "005.png").write_bytes(b"words")
    np.savez(folder / "archive.npz", frames=walk(20)[None])
    works = ("sound.mp4", "ends-early.mp4", "one-flash.mp4", "grey", "tiny", "clips-of-other-kinds", "promises-more")
    works = (*works, "grey-among-colour", "a-short-clip-among-them")
    names = [*(entry.name for entry in os.scandir(folder)), "missing.mp4"]
    return {name: WORKS if name in (*works, "archive.npz") else REFUSED for name in sorted(names)}


def _images(folder: Path, frames: Sequence[np.ndarray]) -> None:
    folder.mkdir(parents=True)
    for t, frame in enumerate(frames):
        write_png(folder / f"{t:03d}.png", frame)


SHORT = ("--train.stages", "1x2x2", "5x1x2", "--from", "none", "--model.hidden", "16", "--model.features", "16")
"""Words of a training that learns nothing."""


def learn(folder: Path, name: str, expected: str, run: Run) -> Line:
    """Trains a little on footage, and if that works, tracks it; what is refused has to leave no folder behind."""
    output, source = folder / "runs" / name, str(folder / name)
    ended = run(["train", "--output", str(output), "--data", source, *SHORT])
    good = ended.outcome == expected and output.exists() == (expected == WORKS)
    if good and expected == WORKS:
        found = folder / "tracks" / name
        followed = run(["track", "--source", source, "--model", str(output), "--output", str(found)])
        good = followed.outcome in (WORKS, REFUSED) and found.exists()
    return {"outcome": ended.outcome, "good": good, "said": ended.said(folder)}
