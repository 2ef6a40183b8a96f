"""The clips of ``sqair evaluate``: of a recipe, of an archive of ``sqair generate``, or of any source."""

from __future__ import annotations

import glob
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sqair.config import ModelConfig
from sqair.datasets.folders import read_npz
from sqair.datasets.generate import Clips, make_clips, make_segments
from sqair.datasets.recipes import BENCHMARKS, RECIPES, Recipe, get_recipe
from sqair.errors import UserError
from sqair.frames import Fit, check_frames
from sqair.scripts.ground_truth import has_truth

if TYPE_CHECKING:
    from sqair.scripts.evaluate import Args


@dataclass
class Data:
    """Clips, and what is known of them.

    Attributes:
        frames: uint8 ``[N, T, H, W]`` or ``[N, T, H, W, 3]``, of the model's size.
        clips: the same with the truth, if there is any.
        segments: which object shows in each pixel ``[N, T, H, W]``, 0 for none, if that is known.
        recipe, split: how they were made, if that is known.
    """

    frames: np.ndarray
    clips: Clips | None = None
    segments: np.ndarray | None = None
    recipe: Recipe | None = None
    split: str = ""

    @property
    def count(self) -> np.ndarray | None:
        """``[2, N, T]``, the fewest and the most objects that a frame may be said to have: one of which less than a
        quarter is visible may be counted or not."""
        if self.clips is None:
            return None
        count = np.zeros((2, *self.frames.shape[:2]), np.int64)
        for n, truth in enumerate(self.clips.truth):
            np.add.at(count[0, n], truth.frame[truth.score > 0], 1)
            np.add.at(count[1, n], truth.frame, 1)
        return count


def is_recipe(data: str) -> bool:
    """Whether ``--data`` is the name of a recipe: a file or folder of that name goes first."""
    return data in RECIPES | BENCHMARKS and not Path(data).exists()


def read_data(args: Args, config: ModelConfig) -> Data:
    """The clips of ``--data``, as many as are asked for.

    Raises:
        UserError: they cannot be read or made, are of several sizes or lengths, or not of the model's kind.
    """
    if is_recipe(args.data):
        recipe = get_recipe(args.data)
        clips = make_clips(recipe, args.split, args.seed, 0, args.clips)
        segments = make_segments(recipe, args.split, args.seed, 0, args.clips)
        data = Data(clips.frames, clips, segments, recipe, args.split)
    elif has_truth(Path(args.data)):
        data = _archive(Path(args.data), args.clips)
    else:
        data = Data(_frames(args, config))
    if not len(data.frames):
        raise UserError(f"{args.data}: there are no clips in it")
    if config.fit and data.frames.shape[2:4] != (config.height, config.width):
        fit = Fit(data.frames.shape[2:4], (config.height, config.width))
        data = Data(fit.clips(data.frames))  # whose truth is in other pixels
    check_frames(data.frames, config)
    return data


def _archive(path: Path, most: int) -> Data:
    clips = read_npz(path)
    with path.open("rb") as file, np.load(file) as archive:
        segments = archive["segments"][:most] if "segments" in archive else None
        source = json.loads(str(archive["source"])) if "source" in archive else {}
    recipe = Recipe(**source["recipe"]) if "recipe" in source else None
    if recipe is not None and segments is None:
        segments = make_segments(recipe, source["split"], source["seed"], 0, min(most, len(clips)))
    arrays = (clips.frames, clips.count, clips.presence, clips.labels, clips.truth, clips.full, clips.clutter)
    kept = Clips(*(array[:most] for array in arrays))
    return Data(kept.frames, kept, segments, recipe, source.get("split", ""))


def _frames(args: Args, config: ModelConfig) -> np.ndarray:
    """The frames of the first clips of any source."""
    from sqair.datasets.video import read_source

    if not Path(args.data).exists() and not glob.has_magic(args.data):
        recipes = ", ".join(RECIPES | BENCHMARKS)
        raise UserError(f"{args.data} is no file, and no recipe either: --data is a file, a folder or one of {recipes}")
    sources = list(read_source(args.data, channels=config.channels))[: args.clips]
    clips = [np.stack(list(source.frames())) for source in sources]
    if len({clip.shape for clip in clips}) > 1:
        raise UserError(f"{args.data}: clips are of several lengths or sizes: give those of one kind at a time")
    return np.stack(clips) if clips else np.zeros((0, 1, config.height, config.width), np.uint8)
