"""The training loop of ``sqair train``: steps, validation, pictures, metrics and checkpoints."""

from __future__ import annotations

import importlib.util
import math
import shlex
import time
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from sqair.baselines.kept import save_baseline
from sqair.baselines.learning import BaselineTrainer
from sqair.datasets.footage import Footage
from sqair.datasets.generate import make_clips
from sqair.datasets.images import write_png
from sqair.datasets.recipes import Recipe
from sqair.datasets.regions import Choice
from sqair.errors import UserError
from sqair.files.pretrained import save_weights
from sqair.process import keep_freed_memory, set_threads
from sqair.ranks import LostProcess, Ranks
from sqair.scripts.footage import SCRATCH, contents, start_from, training_clips
from sqair.scripts.interrupts import Interrupts
from sqair.scripts.processes import together
from sqair.scripts.progress import Display, crowded, looks, step_costs
from sqair.scripts.run_folder import RunFolder
from sqair.scripts.train import Args, inputs, recipe_of, settings
from sqair.scripts.validation import Validation
from sqair.scripts.watching import Watch, baseline_trainer
from sqair.trainer import Trainer, TrainingError


class Generated:
    """Training clips of a recipe, made as they are asked for."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe, self.seed, self.length = recipe, seed, recipe.length

    def __call__(self, start: int, count: int) -> np.ndarray:
        return make_clips(self.recipe, "train", self.seed, start, count, truth=False).frames


def open_data(args: Args) -> tuple[Generated | Footage, str]:
    """Clips to train on, and what footage they are of."""
    if args.footage is None:
        return Generated(recipe_of(args), args.train.seed), "none"
    config = args.model
    length = max(stage.length for stage in args.train.stages)
    clips = training_clips(args.footage, args.range, Choice(args.region, args.exclude))
    canvas = (config.height, config.width)
    short = config.objects == "layered"
    footage = Footage(clips, canvas, config.channels, length, args.train.seed, args.stabilise, short=short)
    if footage.left_out:
        print(f"left out: {footage.left_out} of {len(clips)} clips, which have fewer than {length} frames")
    return footage, contents(footage)


class Looks(Protocol):
    """Clips to validate with."""

    def measure(self, model: Any) -> tuple[dict[str, float], Any]:
        """Scores of a model, and what it makes of the clips."""
        ...

    def picture(self, model: Any, made: Any) -> np.ndarray:
        """A picture of what it makes of some. RGB ``[H, W, 3]``."""
        ...


def validation_of(args: Args, source: Generated | Footage) -> Looks:
    """Clips to validate with."""
    if isinstance(source, Generated):
        if args.baseline != "none":
            return Watch(source.recipe, args.validation_clips, args.device)
        return Validation.generated(source.recipe, args.validation_clips, args.device)
    return Validation(*source.held_out(args.validation_clips), device=args.device)


def trainer_of(args: Args, source: Generated | Footage, ranks: Ranks) -> Trainer | BaselineTrainer:
    """What is trained."""
    if args.baseline != "none":
        return baseline_trainer(args, source)
    return Trainer(args.model, args.train, source, args.device, ranks)


class Session:
    """A run in progress. ``cpu`` is the process time of training, without validation, pictures and saving."""

    def __init__(self, args: Args, ranks: Ranks) -> None:
        self.args, self.ranks = args, ranks
        self.run = RunFolder(args.output, settings(args))
        source, self.footage = open_data(args)
        self.validation = validation_of(args, source)
        self.trainer = trainer_of(args, source, ranks)
        if isinstance(self.trainer, Trainer) and args.start != SCRATCH and not args.resume:
            start_from(self.trainer, args.start)
        self.cpu = 0.0
        self.bound = self.count = float("nan")
        self.seen: dict[str, float] = {}
        """What the last look at validation clips found: explained, found, full."""
        self.costs = step_costs(args.train, args.model)

    def begin(self) -> None:
        """Makes the run's folder, or goes back to its checkpoint."""
        if not self.args.resume:
            self.run.create(self.args.overwrite, inputs(self.args))
            return
        state = self.run.load(inputs(self.args))
        if (of := state.get("footage", self.footage)) != self.footage:
            raise UserError(f"{self.run.checkpoint} is of other footage: {of}; there is now: {self.footage}")
        self.trainer.load_state_dict(state["trainer"])
        self.cpu, self.bound, self.count = state["cpu_seconds"], state["bound"], state["count"]
        self.seen = state.get("seen", {})
        self.run.rewind(self.trainer.step)

    def save(self) -> None:
        state = {"trainer": self.trainer.state_dict(), "cpu_seconds": self.cpu}
        self.run.save({**state, "bound": self.bound, "count": self.count, "seen": self.seen, "footage": self.footage})

    def step(self) -> dict[str, float]:
        """One step of training, its metrics with the CPU-seconds so far."""
        began = time.process_time()
        metrics = self.trainer.train_step()
        self.cpu += self.ranks.size * (time.process_time() - began)
        first = math.isnan(self.bound)
        self.bound = metrics["elbo"] if first else 0.95 * self.bound + 0.05 * metrics["elbo"]
        return {**metrics, "cpu_seconds": round(self.cpu, 3)}

    def validate(self) -> dict[str, float]:
        """Scores on the validation clips, with a picture of some."""
        step = self.trainer.step
        metrics, steps = self.validation.measure(self.trainer.model)
        self.count = metrics.get("count_accuracy", math.nan)
        self.seen = {name: metrics[name] for name in ("explained", "found", "full") if name in metrics}
        write_png(self.run.pictures / f"{step:06d}.png", self.validation.picture(self.trainer.model, steps))
        self.publish()
        return {"step": step, **metrics, "cpu_seconds": round(self.cpu, 3)}

    def publish(self) -> None:
        """Writes the weights, of a model that is ready to track with. Raises TrainingError if one is not finite."""
        self.trainer.check_finite()
        info = {
            "settings": settings(self.args),
            "cpu_seconds": round(self.cpu, 1),
            "steps": self.trainer.step,
            "total_steps": self.trainer.total_steps,
        }
        if self.args.baseline == "none":
            info |= {"validation_count_accuracy": self.count, "validation": self.seen}
        if isinstance(self.trainer, BaselineTrainer):
            save_baseline(self.run.weights, self.trainer.model, info)
        else:
            save_weights(self.run.weights, self.trainer.model, info, price=self.trainer.tracking_price())

    def due(self, every: int) -> bool:
        """Whether something done ``every`` so many steps, and at the end, is to be done after this one."""
        step = self.trainer.step
        return step == self.trainer.total_steps or (every > 0 and step % every < self.ranks.size)

    def status(self) -> str:
        """How far it is, and how well it does as far as that is known."""
        trainer = self.trainer
        at = f"step {trainer.step}/{trainer.total_steps}"
        if self.args.footage is not None:
            return "  ".join(filter(None, (at, looks(self.seen))))
        count = "" if math.isnan(self.count) else f"  count {self.count:.3f}"
        return f"{at}  bound {self.bound:.1f}{count}"


def train(args: Args) -> None:
    """Runs ``sqair train``; see ``sqair.scripts.train.main``."""
    keep_freed_memory()
    set_threads(args.threads)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU here")
    with together(args.processes, partial(help_along, args), args.device) as ranks:
        if ranks.size > 1 and args.baseline != "none":
            raise UserError(f"--baseline {args.baseline} is trained by one process")
        if ranks.rank:
            return help_along(args, ranks)
        session = Session(args, ranks)
        session.begin()
        if ranks.size > 1:
            ranks.of_first(session.trainer.state_dict())
        with Interrupts() as interrupts:
            try:
                _loop(session, interrupts)
                session.save()
            except (TrainingError, LostProcess) as error:
                kept = f"the checkpoint of an earlier step is {session.run.checkpoint}"
                where = kept if session.run.checkpoint.exists() else "there is no checkpoint yet"
                again = f": go on with {_resume(args)}" if isinstance(error, LostProcess) else ""
                raise UserError(f"{error}; {where}{again}") from error
    if interrupts.caught is not None:
        works = f", with which sqair track --model {shlex.quote(str(args.output))} works"
        saved = f"saved {session.run.checkpoint}{works if args.baseline == 'none' else ''}"
        print(f"stopped after step {session.trainer.step}; {saved}; go on with: {_resume(args)}")
        raise SystemExit(128 + interrupts.caught)
    _finish(session)


def _resume(args: Args) -> str:
    """The command that goes on with a run."""
    processes = f" --processes {args.processes}" if args.processes > 1 else ""
    return f"sqair train --resume --output {shlex.quote(str(args.output))}{processes}"


def help_along(args: Args, ranks: Ranks) -> None:
    """Trains with the process of rank 0, which writes the files, until it or a signal says that this is the end."""
    keep_freed_memory()
    set_threads(args.threads)
    trainer = Trainer(args.model, args.train, open_data(args)[0], args.device, ranks)
    trainer.load_state_dict(ranks.of_first(trainer.state_dict()))
    with Interrupts() as interrupts:
        while trainer.step < trainer.total_steps and not ranks.any(interrupts.caught is not None):
            trainer.train_step()


def _loop(session: Session, interrupts: Interrupts) -> None:
    """Trains to the end or until a signal."""
    args, trainer = session.args, session.trainer
    board = _tensorboard(session.run, trainer.step)
    saved = time.monotonic()
    with Display(session.costs, trainer.step) as display:
        while trainer.step < trainer.total_steps and not session.ranks.any(interrupts.caught is not None):
            display.begin()
            metrics = session.step()
            if session.due(args.log_every):
                _log(session.run, board, "train", metrics)
            display.made(trainer.step, session.status())
            if session.due(args.validate_every):
                _log(session.run, board, "validation", session.validate())
                display.say(session.status(), f"{session.cpu:.0f} CPU-seconds")
                if trainer.step < trainer.total_steps:  # _finish says it of the end
                    display.warn(crowded(session.seen, args.model))
            if time.monotonic() - saved > args.save_seconds:
                session.save()
                saved = time.monotonic()
    if board is not None:
        board.close()


def _finish(session: Session) -> None:
    """Writes the weights and says how it went."""
    args = session.args
    session.publish()
    counted = f", count accuracy {session.count:.3f} on {args.validation_clips} validation clips (not refined)"
    result = f"bound {session.bound:.1f} nats a frame{'' if math.isnan(session.count) else counted}"
    if args.footage is not None:
        result = looks(session.seen) + " in what was kept for validation"
    print(f"trained {session.trainer.step} steps in {session.cpu:.0f} CPU-seconds: {result}")
    if warning := crowded(session.seen, args.model):
        print(warning)
    use = "track with it: sqair track" if args.baseline == "none" else "measure it: sqair evaluate"
    print(f"{args.output} holds weights/, pictures/ and metrics.jsonl; {use} --model {args.output}")


def _tensorboard(run: RunFolder, step: int) -> Any:
    """A writer of TensorBoard's event files, where TensorBoard is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(run.folder / "tensorboard"), purge_step=step or None)


def _log(run: RunFolder, board: Any, kind: str, metrics: dict[str, float]) -> None:
    run.log(kind, metrics)
    if board is not None:
        for name, value in metrics.items():
            board.add_scalar(f"{kind}/{name}", value, int(metrics["step"]))
