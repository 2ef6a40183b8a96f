"""Make clips of moving digits or sprites with their ground truth: MOTChallenge folders, an .npz, or both.

    sqair generate --recipe moving-mnist --split test --count 100 --output clips

writes the folder ``clips/moving-mnist-test`` with its seqmap, and ``clips/moving-mnist-test.npz``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from sqair.datasets.folders import mot_entries, write_mot_folder, write_npz
from sqair.datasets.generate import Clips, make_clips, make_segments
from sqair.datasets.recipes import BackgroundKind, Recipe, get_recipe
from sqair.datasets.staging import staged
from sqair.errors import UserError
from sqair.files.spare import files_in
from sqair.words import count

CHUNK = 32
"""Clips that are made at a time, or fewer where they have more than ``FRAMES`` frames in all."""
FRAMES = 10_000


@dataclass(frozen=True)
class Args:
    """Make clips of moving digits or sprites, with their ground truth."""

    output: Path
    """Folder to write to; it must be empty or not exist, unless --overwrite is given."""
    recipe: str = "moving-mnist"
    """moving-mnist, sqair-script, birth-death, parting or together; or a benchmark of the field: tba-mnist,
    tba-sprites, spmot, vmds-style, texvmds-style, silot or shapes-dense."""
    split: str = "test"
    """Whose digits to use: train, val or test."""
    count: int = 100
    """Number of clips."""
    seed: int = 0
    """Clips of another seed differ."""
    format: Literal["mot", "npz", "both"] = "both"
    """MOTChallenge folders, one .npz, or both."""
    masks: bool = False
    """Which object shows in each pixel as well, as the .npz's array `segments`."""
    overwrite: bool = False
    """Replace clips of the same recipe and split in the output folder; other files in it stay, and so does whatever is
    read."""
    height: int | None = None
    """Height of the canvas in pixels, instead of the recipe's."""
    width: int | None = None
    """Width of the canvas in pixels, instead of the recipe's."""
    length: int | None = None
    """Frames in a clip, instead of the recipe's."""
    min_objects: int | None = None
    """Fewest digits in a clip, instead of the recipe's."""
    max_objects: int | None = None
    """Most digits in a clip (at a time), instead of the recipe's."""
    max_digits: int | None = None
    """Most digits in the whole of a clip in which they come and go, instead of the recipe's."""
    digit_size: int | None = None
    """Side in pixels to which the 28x28 digits are scaled, instead of the recipe's."""
    speed: float | None = None
    """Greatest speed in pixels per frame and axis, instead of the recipe's."""
    background: BackgroundKind | None = None
    """What lies behind the digits: nothing, one grey level, a gradient, a texture that stays or slowly pans, or
    clutter, which is digits that never move."""
    contrast: float | None = None
    """Brightest value of a background, of 1."""
    pan_speed: float | None = None
    """Greatest speed of a panning texture, pixels per frame."""
    texture_path: str | None = None
    """Folder with images for textures; without it they are procedural, no two alike."""
    colour: bool | None = None
    """Digits and backgrounds of random colours."""
    idx_path: str | None = None
    """Folder with MNIST's IDX files, to use these digits instead of the 4000 that come with the package."""


def main(args: Args) -> None:
    """Writes the clips.

    Raises:
        UserError: a setting is wrong, the output folder is not empty, or it cannot be written.
    """
    if args.count < 1:
        raise UserError(f"--count is {args.count}: it must be at least 1")
    if args.masks and args.format == "mot":
        raise UserError("--masks are an array of the .npz, which --format mot does not write: choose npz or both")
    settings = {f.name for f in fields(Recipe)} & {f.name for f in fields(Args)} - {"recipe", "name"}
    given = {name: getattr(args, name) for name in settings if getattr(args, name) is not None}
    recipe = get_recipe(args.recipe, **given)
    name = f"{recipe.name}-{args.split}"
    source = {"recipe": asdict(recipe), "split": args.split, "seed": args.seed, "count": args.count}
    mot, npz = args.format in ("mot", "both"), args.format in ("npz", "both")
    entries = (mot_entries(name) if mot else []) + ([f"{name}.npz"] if npz else [])
    reads = [file for folder in (args.idx_path, args.texture_path) if folder for file in files_in(folder)]
    with staged(args.output, entries, overwrite=args.overwrite, reads=reads) as stage:
        chunks: Iterable[Clips] = _generate(recipe, args)
        if mot and npz:
            chunks = list(chunks)
        if mot:
            write_mot_folder(stage, name, chunks, source)
        if npz:
            masks = _masks(recipe, args) if args.masks else None
            write_npz(stage / f"{name}.npz", chunks, source, segments=masks)
    written = " and ".join(str(args.output / entry) for entry in entries if not entry.startswith("seqmaps"))
    clips = f"{count(args.count, 'clip')} of {count(recipe.length, 'frame')}"
    print(f"{clips}, {recipe.width}x{recipe.height}: {written}")


def _generate(recipe: Recipe, args: Args) -> Iterator[Clips]:
    """The clips, some at a time, with a progress bar."""
    with tqdm(total=args.count, unit="clip", disable=None) as bar:
        for start, n in _ranges(recipe, args):
            clips = make_clips(recipe, args.split, args.seed, start, n)
            yield clips
            bar.update(len(clips))


def _masks(recipe: Recipe, args: Args) -> Iterator[np.ndarray]:
    """Their segments ``[n, T, H, W]``, some at a time."""
    for start, n in _ranges(recipe, args):
        yield make_segments(recipe, args.split, args.seed, start, n)


def _ranges(recipe: Recipe, args: Args) -> Iterator[tuple[int, int]]:
    """First clip and number of clips of each chunk."""
    chunk = min(CHUNK, max(1, FRAMES // recipe.length))
    for start in range(0, args.count, chunk):
        yield start, min(chunk, args.count - start)


if __name__ == "__main__":
    from sqair.scripts.cli import run

    raise SystemExit(run("generate"))
