"""Train a model on generated video, on footage of a camera that does not move, or on a set of clips.

sqair train --output runs/mine                               the default: moving-mnist, about two CPU-minutes
sqair train --output runs/fast --preset quick --train.seed 3
sqair train --output runs/wide --data.width 70 --data.max-objects 3
sqair train --output runs/vimco --estimator vimco --particles 3
sqair train --output runs/street --data street.mp4           no labels, no other settings
sqair train --output runs/street --data street.mp4 --from none     from scratch, ten to twenty minutes
sqair train --output runs/street --data monday.mp4 'more/*.avi' folder
sqair train --output runs/dishes --data dishes.mp4 --region 0,0,300,300 310,0,300,300
sqair train --output runs/mine --data clips.npz              an array of clips [N, T, H, W] or [N, T, H, W, C]
sqair train --output runs/vrnn --preset vrnn-mlp             a model without objects, to compare with
sqair train --output runs/mine --resume                      goes on where the run was stopped
sqair train --output runs/again --config runs/mine/config.yaml
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sqair.baselines.sizes import VRNNConfig
from sqair.config import ModelConfig, Stage, TrainConfig
from sqair.datasets.recipes import Recipe
from sqair.datasets.staging import source_files
from sqair.errors import UserError
from sqair.files.spare import files_in
from sqair.scripts.export_flags import ExcludeFlag, RegionFlag
from sqair.scripts.presets import with_presets
from sqair.scripts.processes import hush, is_helper
from sqair.scripts.stabilise import StabiliseFlag
from sqair.scripts.yaml_flags import changed, stage_words


def _read_stages(words: list[str]) -> tuple[Stage, ...]:
    try:
        stages = tuple(Stage(*map(int, word.split("x"))) for word in words)
    except (TypeError, ValueError) as error:
        raise ValueError("a stage is LENGTHxSTEPSxCLIPS, such as 10x250x32") from error
    if not stages or min(min(stage.length, stage.steps, stage.clips) for stage in stages) < 1:
        raise ValueError("a stage has at least one frame, one step and one clip")
    return stages


_STAGES = tyro.constructors.PrimitiveConstructorSpec(
    nargs="*",
    metavar="LENGTHxSTEPSxCLIPS ...",
    instance_from_str=_read_stages,
    is_instance=lambda value: isinstance(value, tuple) and all(isinstance(v, Stage) for v in value),
    str_from_instance=stage_words,
)


@dataclass(frozen=True)
class Training(TrainConfig):
    """The schedule, the optimiser and the estimator."""

    stages: Annotated[tuple[Stage, ...], _STAGES] = TrainConfig.stages
    """The curriculum: frames of a clip, steps of the optimiser and clips per step of each stage."""
    estimator: Annotated[str, tyro.conf.arg(aliases=["--estimator"])] = TrainConfig.estimator
    """How gradients get through z_pres: a name of docs/estimators.md, such as closed_form, nvil or vimco."""
    particles: Annotated[int, tyro.conf.arg(aliases=["--particles"])] = TrainConfig.particles
    """Particles K per clip; vimco needs at least 2."""


@dataclass(frozen=True)
class Data(Recipe):
    """The video to train on; --recipe sets what differs from moving-mnist."""

    name: tyro.conf.Suppress[str] = "moving-mnist"


@dataclass(frozen=True)
class Args:
    """Train a model on generated video or on footage, from scratch or from a checkpoint."""

    output: Path
    """Folder of the run: config.yaml, metrics.jsonl, pictures/, checkpoint.pt and weights/, which are those of the last
    look at the validation clips until the end."""
    preset: str = "moving-mnist"
    """Settings to start from: moving-mnist, quick, sqair-script, birth-death, static-air or tiny; or to compare with:
    sqair-conv, air, air-conv, vrnn-mlp or vrnn-conv (docs/baselines.md)."""
    recipe: str = "moving-mnist"
    """The kind of video: moving-mnist, sqair-script, birth-death, parting or together; or a benchmark of the field:
    tba-mnist, tba-sprites, spmot, vmds-style, texvmds-style, silot or shapes-dense."""
    footage: Annotated[tuple[str, ...] | None, tyro.conf.arg(aliases=["--data"], metavar="SOURCE ...")] = None
    """Train on this instead of generated video: footage of a camera that does not move, or a set of many short clips,
    in one or more sources. A source is an array (.npz, .npy, .h5, .zarr), a video, a folder of videos or of images, a
    stack (TIFF) or animation, a glob, a MOTChallenge folder or a folder of them. A survey tells what is behind things,
    how large they are and how many, and sets the model and the schedule; it says so, and any flag overrides it."""
    start: Annotated[str, tyro.conf.arg(aliases=["--from"], metavar="WEIGHTS")] = "none"
    """Weights to start from: a run, a folder of weights, a name that ships or org/name of the hub; none, from scratch.
    With --data, unless you say otherwise, any-camera for footage, which a minute or two then make its own, and none
    for sets of clips."""
    range: tuple[float, float] | None = None
    """Values of the footage that are black and white, such as 0 4095. By default 8 bits are taken as they are, and for
    others a range is told from each clip, which is printed."""
    region: RegionFlag = ()
    exclude: ExcludeFlag = ()
    stabilise: StabiliseFlag = "auto"
    """Footage: put every frame where the scene is. By default where a survey finds that the camera trembles; `on`, or
    nothing after it, wherever the scene has the detail to tell; `off` never."""
    config: Path | None = None
    """YAML file of settings, such as the config.yaml of another run; what is typed wins over it."""
    resume: bool = False
    """Go on from the checkpoint in the output folder, bit for bit as if the run had not been stopped."""
    overwrite: bool = False
    """Replace the run in the output folder; other files in it stay, and so does whatever is read."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to compute; a GPU pays with hundreds of clips at a time: see docs/performance.md."""
    processes: int = 1
    """Processes that train together, such as one for each core: each has as many clips of its own as --train.stages
    says, and there are so many fewer steps, as a step of 2 processes counts as 2. torchrun does the same on several
    machines: torchrun --nproc-per-node 4 -m sqair train ..."""
    threads: int = 1
    """Threads of one operation; with tensors as small as these more are not faster."""
    validate_every: int = 150
    """Steps between two looks at the validation clips, with a picture each; 0 only at the end."""
    validation_clips: int = 50
    """Clips of validation digits, always the same ones."""
    log_every: int = 10
    """Steps between two lines of metrics.jsonl."""
    save_seconds: float = 30.0
    """Seconds between two checkpoints."""
    data: Data = field(default_factory=Data)
    """The video."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The model; its canvas is the video's."""
    baseline: Literal["none", "vrnn"] = "none"
    """Train a model without objects instead, to compare with: a VRNN. Of generated video alone; `sqair evaluate`
    measures it. Of --train it takes seed, stages, particles, clip-norm and the rates."""
    vrnn: VRNNConfig = field(default_factory=VRNNConfig)
    """The VRNN; its canvas is the video's."""
    train: Training = field(default_factory=Training)
    """The training."""


def expand(words: Sequence[str]) -> list[str]:
    """The words of the recipe, a survey of the footage, the preset and the YAML file, and then those typed.

    What the survey saw and what is chosen in the end is printed.
    """
    if is_helper():
        hush()
    words, seen = with_presets(words, Args)
    if seen is not None:
        from sqair.datasets.survey import describe

        args = tyro.cli(Args, prog="sqair train", args=words)
        print(describe(seen, args.model), flush=True)
    return words


def parse(words: Sequence[str]) -> Args:
    """The arguments that ``sqair train WORDS`` runs with. Raises UserError as ``main`` does."""
    return tyro.cli(Args, prog="sqair train", args=expand(words))


def main(args: Args) -> None:
    """Trains; afterwards ``args.output`` holds the run.

    Raises:
        UserError: a setting is wrong, the folder is taken or cannot be written, the checkpoint is damaged or
            of another configuration, or a loss or gradient is not finite (the last checkpoint stays).
        SystemExit: SIGTERM (status 143) or Ctrl-C (130) ended the training; the checkpoint was saved.
    """
    from sqair.scripts.training import train

    if args.resume and args.overwrite:
        raise UserError("--resume goes on with the run that --overwrite removes: give one of them")
    for name in ("threads", "processes", "validation_clips", "log_every"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} is {getattr(args, name)}: it must be at least 1")
    positive = {
        "--train.learning-rate": args.train.learning_rate,
        "--train.clip-norm": args.train.clip_norm,
        "--train.price-steps": args.train.price_steps,
        "--model.likelihood-std": args.model.likelihood_std,
        "--model.stretch": args.model.stretch,
    }
    for flag, value in positive.items():
        if not value > 0:
            raise UserError(f"{flag} is {value}: it must be more than 0")
    for name in ("discovery_dropout", "exploration", "crowd_dropout"):
        if not 0 <= (share := getattr(args.train, name)) <= 1:
            raise UserError(f"--train.{name.replace('_', '-')} is {share}: it is a share, from 0 to 1")
    if args.baseline != "none":
        check_baseline(args)
    train(replace(args, model=_fit_model(args)))


def check_baseline(args: Args) -> None:
    """Raises UserError if something is set that a model without objects has no use for, or cannot do."""
    from sqair.baselines.learning import USED

    if args.footage is not None:
        raise UserError(f"--baseline {args.baseline} is trained on generated video: give --recipe, not --data")
    objects = {f"--model.{name}" for name in changed(args.model).keys() - {"height", "width", "channels"}}
    objects |= {f"--train.{name}" for name in changed(args.train) if name not in USED}
    if objects:
        flags = ", ".join(sorted(flag.replace("_", "-") for flag in objects))
        raise UserError(f"--baseline {args.baseline} has no objects: leave out {flags}")
    if args.start != "none":
        raise UserError(f"--baseline {args.baseline} is trained from scratch: leave out --from")
    if args.processes > 1:
        raise UserError(f"--baseline {args.baseline} is trained by one process: leave out --processes")
    if not args.vrnn.likelihood_std > 0:
        raise UserError(f"--vrnn.likelihood-std is {args.vrnn.likelihood_std}: it must be more than 0")
    if args.vrnn.z < 1:
        raise UserError(f"--vrnn.z is {args.vrnn.z}: it must be at least 1")


def recipe_of(args: Args) -> Recipe:
    """What video the model is trained on."""
    return Recipe(**{**asdict(args.data), "name": args.recipe})


def inputs(args: Args) -> list[Path]:
    """The files that training reads."""
    folders = [folder for folder in (args.data.idx_path, args.data.texture_path) if folder is not None]
    files = [file for folder in folders for file in files_in(folder)]
    footage = [] if args.footage is None else source_files(args.footage)
    return [*files, *footage, *([] if args.config is None else [args.config])]


def settings(args: Args) -> dict:
    """All that a run depends on, as plain values nested as in a YAML file, to be repeated by --config."""
    nested = asdict(args)
    for key in ("output", "config", "resume", "overwrite", "device", "processes"):
        del nested[key]
    del nested["data"]["name"]
    if args.range is None:
        del nested["range"]
    else:
        nested["range"] = list(args.range)
    for key in ("region", "exclude"):
        words = list(nested.pop(key))
        nested.update({key: words} if words else {})
    if args.baseline == "none":
        del nested["baseline"], nested["vrnn"]
    nested["footage"] = None if args.footage is None else list(args.footage)
    nested["train"]["stages"] = stage_words(args.train.stages)
    nested["train"]["price"] = list(args.train.price)
    return nested


def _fit_model(args: Args) -> ModelConfig:
    """The model with the canvas and the channels of the video, unless it was given another one on purpose."""
    model, default = args.model, ModelConfig()
    if args.footage is not None:
        return model
    video = {"height": args.data.height, "width": args.data.width, "channels": 3 if args.data.colour else 1}
    for side, wanted in video.items():
        given = getattr(model, side)
        if given not in (wanted, getattr(default, side)):
            raise UserError(f"--model.{side} is {given}, but the video's is {wanted}: leave it out")
        model = replace(model, **{side: wanted})
    return model


if __name__ == "__main__":
    from sqair.scripts.cli import run

    raise SystemExit(run("train"))
