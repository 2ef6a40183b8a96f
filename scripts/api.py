"""``sqair.train`` and ``sqair.score``: what the commands do, without their files.

model = sqair.train(None, "clip.mp4")
model.save_pretrained("weights")
tracker = sqair.Tracker(model)
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sqair.camera import Stabilise
from sqair.config import ModelConfig, TrainConfig
from sqair.datasets.footage import Footage
from sqair.datasets.recipes import Recipe
from sqair.datasets.survey import describe, survey
from sqair.errors import UserError
from sqair.eval import mot
from sqair.eval.scores import Scores
from sqair.files.checkpoint import load_checkpoint, save_checkpoint
from sqair.files.mot_rows import Rows, read_rows
from sqair.model import SQAIR
from sqair.process import keep_freed_memory
from sqair.process import threads as use_threads
from sqair.scripts.footage import SCRATCH, contents, plan, stabilised, start_from, training_clips
from sqair.scripts.score import last_frame
from sqair.scripts.track_frames import check_sizes
from sqair.scripts.training import Generated
from sqair.scripts.yaml_flags import flatten
from sqair.tracks import Tracks
from sqair.trainer import ClipSource, Trainer

Data = str | Path | Sequence[str | Path] | Recipe | np.ndarray
SAVE_SECONDS = 30.0
"""Seconds between two checkpoints."""


class Held:
    """Clips in memory, uint8 ``[N, T, H, W]`` or ``[N, T, H, W, C]``, again and again in their order."""

    def __init__(self, clips: np.ndarray) -> None:
        self.clips, self.length = clips, clips.shape[1]

    def __call__(self, start: int, count: int) -> np.ndarray:
        return self.clips[np.arange(start, start + count) % len(self.clips)]


def train(
    config: tuple[ModelConfig, TrainConfig] | None,
    data: Data,
    *,
    device: str = "cpu",
    threads: int | None = 1,
    checkpoint: str | Path | None = None,
    each_step: Callable[[dict[str, float]], object] | None = None,
) -> SQAIR:
    """A model trained on ``data``, ready to track with; shows a progress bar.

    It takes as long as the command does: while it runs, one operation uses ``threads`` threads, and for good the
    process keeps memory that it frees for what comes next (``sqair.process``).

    Args:
        config: the model and the schedule. None takes, for footage, what a survey of it suggests, as ``sqair train
            --data`` does, and otherwise the defaults, on the canvas of the data.
        data: footage of a camera that does not move, which is whatever ``sqair train --data`` takes, one source or
            several; a recipe of generated video; or clips uint8 ``[N, T, H, W]`` or ``[N, T, H, W, C]``.
        device: where to compute.
        threads: of one operation; with tensors as small as these more are rather slower. What PyTorch and OpenCV are
            set to is as it was afterwards. None leaves it alone.
        checkpoint: a file to which the training is saved every half a minute and at the end. If it is there, training
            goes on from it, bit for bit as if it had not been stopped.
        each_step: is called with the metrics of every step.

    Raises:
        UserError: the data are no good, or not what the configuration asks for; or the checkpoint is damaged, or of
            other data or another configuration.
        TrainingError: a loss or a gradient is not finite; the checkpoint is of an earlier step.
    """
    if isinstance(data, np.ndarray) and (data.dtype != np.uint8 or data.ndim not in (4, 5) or not data.size):
        raise UserError(f"clips are uint8 [N, T, H, W] or [N, T, H, W, C], not {data.dtype} {data.shape}")
    keep_freed_memory()
    with use_threads(threads):
        start, model, schedule, stabilise = (SCRATCH, *config, "auto") if config else _suggested(data)
        source, described = _source(data, model, schedule, stabilise)
        trainer = Trainer(model, schedule, source, device)
        if start != SCRATCH:
            start_from(trainer, start)
        saved = None if checkpoint is None else Saved(Path(checkpoint), model, schedule, described)
        if saved is not None:
            saved.restore(trainer)
        with tqdm(total=trainer.total_steps, initial=trainer.step, desc="training", unit="step") as bar:
            for metrics in trainer.run():
                bar.set_postfix_str(f"bound {metrics['elbo']:.1f}", refresh=False)
                bar.update()
                if saved is not None:
                    saved.keep(trainer)
                if each_step is not None:
                    each_step(metrics)
    trainer.model.trained = (trainer.step, trainer.total_steps)
    trainer.model.info = {"data": described, "train": asdict(schedule)}
    return trainer.model.eval()


class Saved:
    """The checkpoint of a training from Python: the state of the trainer, and what it is a training of."""

    def __init__(self, path: Path, model: ModelConfig, schedule: TrainConfig, data: str) -> None:
        self.path, self.saved = path, time.monotonic()
        self.of = {"model": asdict(model), "train": asdict(schedule), "data": data}

    def restore(self, trainer: Trainer) -> None:
        """Puts the trainer where the file says, if there is one. Raises UserError if it is of another training."""
        if not self.path.exists():
            return
        state = load_checkpoint(self.path)
        found, wanted = state.get("training"), flatten(self.of)
        if not isinstance(found, dict) or "trainer" not in state:
            raise UserError(f"{self.path} is not a checkpoint of sqair.train: go on with sqair train --resume")
        found = flatten(found)
        for key in sorted(found.keys() | wanted.keys()):
            if (has := found.get(key)) != (wants := wanted.get(key)):
                raise UserError(f"{self.path} is of another training: its {key} is {has}, not {wants}")
        trainer.load_state_dict(state["trainer"])

    def keep(self, trainer: Trainer) -> None:
        """Saves the trainer at the end, and if the last time was a while ago."""
        now = time.monotonic()
        if trainer.step == trainer.total_steps or now - self.saved > SAVE_SECONDS:
            save_checkpoint(self.path, {"training": self.of, "trainer": trainer.state_dict()})
            self.saved = now


def _suggested(data: Data) -> tuple[str, ModelConfig, TrainConfig, Stabilise]:
    """What ``train`` does where nothing is said."""
    if not isinstance(data, Recipe | np.ndarray):
        seen = survey(training_clips(_paths(data)))
        start, model, schedule = plan(seen)
        print(describe(seen, model), flush=True)
        return start, model, schedule, stabilised(seen)
    height, width, channels = _canvas(data)
    return SCRATCH, replace(ModelConfig(), height=height, width=width, channels=channels), TrainConfig(), "auto"


def _paths(data: str | Path | Sequence[str | Path]) -> list[str]:
    return [str(data)] if isinstance(data, str | Path) else [str(path) for path in data]


def _canvas(data: Recipe | np.ndarray) -> tuple[int, int, int]:
    """Height, width and channels."""
    if isinstance(data, Recipe):
        return data.height, data.width, 3 if data.colour else 1
    return data.shape[2], data.shape[3], data.shape[4] if data.ndim == 5 else 1


def _source(data: Data, model: ModelConfig, schedule: TrainConfig, stabilise: Stabilise) -> tuple[ClipSource, str]:
    """The clips, and in words what they are, by which a training that goes on knows them again."""
    if not isinstance(data, Recipe | np.ndarray):
        clips = training_clips(_paths(data))
        check_sizes(clips, model)
        length = max(stage.length for stage in schedule.stages)
        footage = Footage(clips, (model.height, model.width), model.channels, length, schedule.seed, stabilise)
        return footage, contents(footage)
    has, takes = _canvas(data), (model.height, model.width, model.channels)
    if has != takes:
        raise UserError(f"the data have [H, W, C] {list(has)}, the model takes {list(takes)}: let them agree")
    if isinstance(data, Recipe):
        return Generated(data, schedule.seed), str(data)
    return Held(data), f"clips {list(data.shape)} of checksum {zlib.crc32(np.ascontiguousarray(data)):08x}"


Clips = Tracks | Mapping[str, Tracks] | str | Path


def score(
    gt: Clips, pred: Clips, iou: float = 0.5, *, benchmark: mot.Benchmark = "auto", frames: mot.Frames = "auto"
) -> Scores:
    """MOTA, IDF1, HOTA and more of tracks against ground truth; ``Scores.overall["mota"]``.

    Args:
        gt, pred: the tracks of a clip, or of several by their names, or a file of MOTChallenge rows each.
        iou: overlap from which a prediction can match.
        benchmark, frames: which ground truth is scored, and which frames count; see ``sqair.eval.mot.score``.

    Frames after the last one in which either has a box do not count. Raises UserError as ``sqair.eval.mot.score`` does.
    """
    truth, found = _rows(gt, truth=True), _rows(pred)
    lengths = {name: last_frame(*(tracks[name] for tracks in (truth, found) if name in tracks)) for name in truth}
    return mot.score(truth, found, lengths, iou=iou, benchmark=benchmark, frames=frames)


def _rows(tracks: Clips, *, truth: bool = False) -> dict[str, Rows]:
    if isinstance(tracks, str | Path):
        return {"clip": read_rows(tracks)}
    named = {"clip": tracks} if isinstance(tracks, Tracks) else tracks
    return {name: mot.as_rows(of, truth=truth) for name, of in named.items()}
