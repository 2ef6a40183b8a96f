"""``sqair.train`` and ``sqair.score``: what the commands do, without their files.

    model = sqair.train(None, "clip.mp4")
    model.save_pretrained("weights")
    tracker = sqair.Tracker(model)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sqair.camera import Stabilise
from sqair.config import ModelConfig, TrainConfig
from sqair.datasets.footage import Footage
from sqair.datasets.recipes import Recipe
from sqair.datasets.video import read_source
from sqair.errors import UserError
from sqair.eval import mot
from sqair.eval.scores import Scores
from sqair.model import SQAIR
from sqair.mot_io import read_mot
from sqair.scripts.tracking import check_sizes
from sqair.scripts.train import parse
from sqair.scripts.training import Generated
from sqair.tracks import Tracks
from sqair.trainer import ClipSource, Trainer


class Held:
    """Clips in memory, uint8 ``[N, T, H, W]`` or ``[N, T, H, W, C]``, again and again in their order."""

    def __init__(self, clips: np.ndarray) -> None:
        self.clips, self.length = clips, clips.shape[1]

    def __call__(self, start: int, count: int) -> np.ndarray:
        return self.clips[np.arange(start, start + count) % len(self.clips)]


def train(
    config: tuple[ModelConfig, TrainConfig] | None,
    data: str | Path | Recipe | np.ndarray,
    *,
    device: str = "cpu",
) -> SQAIR:
    """A model trained on ``data``, ready to track with; shows a progress bar.

    Args:
        config: the model and the schedule. None takes, for footage, what a survey of it suggests, as ``sqair train
            --data`` does, and otherwise the defaults, on the canvas of the data.
        data: a video, a folder of images, a MOTChallenge folder (footage of a camera that does not move); a recipe of
            generated video; or clips uint8 ``[N, T, H, W]`` or ``[N, T, H, W, C]``.
        device: where to compute.

    Raises:
        UserError: the data are no good, or not what the configuration asks for.
        TrainingError: a loss or a gradient is not finite.
    """
    if isinstance(data, np.ndarray):
        _check_array(data)
    model, schedule, stabilise = (*config, "auto") if config else _suggested(data)
    trainer = Trainer(model, schedule, _source(data, model, schedule, stabilise), device)
    with tqdm(total=trainer.total_steps, desc="training", unit="step") as bar:
        for metrics in trainer.run():
            bar.set_postfix_str(f"bound {metrics['elbo']:.1f}", refresh=False)
            bar.update()
    return trainer.model.eval()


def _suggested(data: str | Path | Recipe | np.ndarray) -> tuple[ModelConfig, TrainConfig, Stabilise]:
    """What ``train`` does where nothing is said."""
    if isinstance(data, str | Path):
        args = parse(["--output", "unused", "--data", str(data)])
        return args.model, args.train, args.stabilise
    height, width, channels = _canvas(data)
    return replace(ModelConfig(), height=height, width=width, channels=channels), TrainConfig(), "auto"


def _check_array(clips: np.ndarray) -> None:
    if clips.dtype != np.uint8 or clips.ndim not in (4, 5) or not clips.size:
        raise UserError(f"clips are uint8 [N, T, H, W] or [N, T, H, W, C], not {clips.dtype} {clips.shape}")


def _canvas(data: Recipe | np.ndarray) -> tuple[int, int, int]:
    """Height, width and channels."""
    if isinstance(data, Recipe):
        return data.height, data.width, 3 if data.colour else 1
    return data.shape[2], data.shape[3], data.shape[4] if data.ndim == 5 else 1


def _source(
    data: str | Path | Recipe | np.ndarray, model: ModelConfig, schedule: TrainConfig, stabilise: Stabilise
) -> ClipSource:
    if isinstance(data, str | Path):
        clips = read_source(data)
        check_sizes(clips, model)
        length = max(stage.length for stage in schedule.stages)
        return Footage(clips, (model.height, model.width), model.channels, length, schedule.seed, stabilise)
    has, takes = _canvas(data), (model.height, model.width, model.channels)
    if has != takes:
        raise UserError(f"the data have [H, W, C] {list(has)}, the model takes {list(takes)}: let them agree")
    if isinstance(data, Recipe):
        return Generated(data, schedule.seed)
    return Held(data)


def score(
    gt: Tracks | Mapping[str, Tracks] | str | Path, pred: Tracks | Mapping[str, Tracks] | str | Path, iou: float = 0.5
) -> Scores:
    """MOTA, IDF1, HOTA and more of tracks against ground truth; ``Scores.overall["mota"]``.

    Args:
        gt, pred: the tracks of a clip, or of several by their names, or a file of MOTChallenge rows each.
        iou: overlap from which a prediction can match.

    Frames after the last one in which either has a box do not count. Raises UserError as ``sqair.eval.mot.score`` does.
    """
    truth, found = _named(gt), _named(pred)
    lengths = {name: _length([tracks[name] for tracks in (truth, found) if name in tracks]) for name in truth}
    return mot.score(truth, found, lengths, iou=iou)


def _named(tracks: Tracks | Mapping[str, Tracks] | str | Path) -> Mapping[str, Tracks]:
    if isinstance(tracks, str | Path):
        tracks = read_mot(tracks)
    return {"clip": tracks} if isinstance(tracks, Tracks) else tracks


def _length(parts: Sequence[Tracks]) -> int:
    return max((int(part.frame[-1]) + 1 for part in parts if len(part)), default=0)
