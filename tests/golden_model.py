"""What the model makes of made-up clips, in numbers: of every kind of model, way of inference and estimator.

``python tests/golden_model.py`` writes golden/model.json, with which test_golden_model.py compares. To be written anew
only where behaviour is meant to change.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from conftest import SPOTTER, TINY, moving_spots, seeded, spots, spotter, straight, tiny_model
from sqair.bounds import Terms
from sqair.config import ModelConfig, TemporalConfig
from sqair.estimators import ESTIMATORS, make_estimator
from sqair.geometry import where_to_box
from sqair.inference import Explored, Inference, Refined, Sampled
from sqair.inference.restarts import explain
from sqair.model import SQAIR
from sqair.state import Step

STORED = Path(__file__).parent / "golden" / "model.json"
_NONE = TemporalConfig(hidden=False, position=False, appearance=False, presence=False)
_WIDE = replace(SPOTTER, height=64, width=90)
MODELS: dict[str, ModelConfig] = {
    "light": SPOTTER,
    "wide": replace(_WIDE, retina=3, later_steps=2),
    "still": replace(SPOTTER, background="still"),
    "smooth": replace(SPOTTER, background="smooth", height=40),
    "opaque": replace(SPOTTER, objects="opaque", channels=3, background="still", displacement="prices"),
    "opaque wide": replace(_WIDE, objects="opaque", channels=1, background="still", likelihood_std=0.15),
    "recurrent": replace(SPOTTER, discovery="recurrent", discovery_feedback=True),
    "forgetful": replace(SPOTTER, temporal=_NONE),
}
"""Models that draw a spot, more or less: noise is added to the weights that conftest.spotter has by hand."""
WAYS: dict[str, Callable[[], Inference]] = {
    "amortised": Inference,
    "remembering": lambda: Inference(memory=3),
    "sampled": lambda: Sampled(seeded(3), boldness=0.4, exploration=0.5, crowd_dropout=0.3, dropout=0.3, jitter=0.2),
    "explored": lambda: Explored(seeded(4), boldness=0.5, bold_all=True, exploration=0.5, crowd_dropout=0.3),
    "refined": lambda: Refined(memory=4, restarts=1),
    "restarted": lambda: Refined(memory=2, restarts=3),
}


def model_of(name: str) -> SQAIR:
    """A model that draws spots, of which no parameter is 0."""
    config = MODELS[name]
    model = spotter(config)
    random = seeded(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=random, dtype=parameter.dtype))
    return model


def clips_of(config: ModelConfig) -> Tensor:
    """Clips ``[T, B, C, H, W]``: spots that cross, one that hides, one that goes, and none."""
    x, y = config.width / 52, config.height / 44
    paths = [
        [straight(14 * x, 14 * y, 4, 1, 6), straight(38 * x, 18 * y, -4, 0, 6)],
        [straight(16 * x, 24 * y, 3, 1, 6, range(2, 4)), straight(40 * x, 12 * y, 0, 1, 6, range(3, 6))],
        [straight(12 * x, 12 * y, 1, 1, 6), straight(24 * x, 26 * y, 1, 0, 6), straight(40 * x, 14 * y, 0, 3, 6)],
        [[None] * 6],
    ]
    clips = torch.cat([moving_spots(p, config) for p in paths], 1)  # type: ignore[arg-type]
    ramp = torch.linspace(0.1, 0.3, config.width)
    behind = 0.0 if config.background == "none" else ramp
    return torch.maximum(clips * torch.linspace(1, 0.7, config.channels)[:, None, None], torch.as_tensor(behind))


def projected(value: Tensor, seed: int = 7) -> float:
    """A number that changes with any part of ``value``."""
    weight = torch.randn(value.shape, generator=seeded(seed), dtype=torch.float64)
    return float((value.detach().to(torch.float64) * weight).sum())


def frame_of(step: Step, model: SQAIR) -> dict[str, Any]:
    """What there is in a frame of each clip, ordered by clip and id."""
    objects = step.objects
    order = sorted(range(len(objects)), key=lambda i: (int(objects.clip[i]), int(objects.id[i])))
    box = where_to_box(objects.where, model.config)
    return {
        "clip": objects.clip[order].tolist(),
        "id": objects.id[order].tolist(),
        "age": objects.age[order].tolist(),
        "box": box[order].tolist(),
        "confidence": step.confidence[order].tolist(),
        "hidden": projected(objects.hidden[order]),
        "what": projected(objects.what[order]),
        "images": projected(step.images[order]),
        "canvas": projected(step.canvas),
        "log_likelihood": step.log_likelihood.tolist(),
    }


def bound_of(steps: list[Step]) -> dict[str, Any]:
    terms = Terms(steps)
    names = ("elbo", "log_weight", "kl_presence", "kl_z", "log_q_presence", "log_p_presence", "objects")
    return {name: getattr(terms, name).tolist() for name in names}


def gradients_of(model: torch.nn.Module, loss: Tensor) -> dict[str, float]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return {name: projected(gradient) for name, gradient in zip(names, found, strict=True)}


def passed(name: str, way: str) -> dict[str, Any]:
    """The clips of one kind of model, explained in one way; with the bound, and its gradient where it is sampled."""
    model = model_of(name)
    frames = clips_of(model.config)
    inference = WAYS[way]()
    if isinstance(inference, Refined):
        with torch.no_grad():
            state = model.initial_state(frames.shape[1], frames, model.still(frames))
            steps = []
            for frame in frames:
                step, state = explain(model, frame, state, inference)
                steps.append(step)
        bounds = bound_of([step for step in steps if step.rows])
        return {"frames": [frame_of(step, model) for step in steps], "bound": bounds}
    steps = model(frames, inference, model.still(frames))
    found = {"frames": [frame_of(step, model) for step in steps], "bound": bound_of(steps)}
    return {**found, "gradient": gradients_of(model, Terms(steps).elbo.sum() / 100)}


def estimated(name: str) -> dict[str, Any]:
    """The loss of an estimator on clips of two frames, and its gradients."""
    config = replace(TINY, slots=2, first_steps=2)
    model, estimator = tiny_model(config, price=0.8), make_estimator(name, config)
    clips = spots(config, 2, 3)
    particles = estimator.particles(3 if "vimco" in name or name == "wake_wake" else 1, 2)
    frames = clips.repeat(1, particles, 1, 1, 1)
    sampled = Sampled(seeded(6), boldness=0.3, exploration=0.5, crowd_dropout=0.3, jitter=0.1)
    terms = Terms(model(frames, estimator.inference(sampled, 2)))
    loss = estimator(terms, frames, particles)
    both = torch.nn.ModuleDict({"model": model, "estimator": estimator})
    return {"loss": float(loss.detach()), "bound": bound_of(terms.steps), "gradient": gradients_of(both, loss)}


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    **{f"{name}, {way}": (lambda n=name, w=way: passed(n, w)) for name in MODELS for way in WAYS},
    **{f"estimator {name}": (lambda n=name: estimated(n)) for name in ESTIMATORS},
}


def case_of(name: str) -> dict[str, Any]:
    """The numbers of a case, as they come out of a file."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return json.loads(json.dumps(CASES[name]()))
    finally:
        torch.set_default_dtype(before)


def main() -> None:
    """Writes what today's code says; with ``digest``, prints one of each case instead, to the last bit."""
    torch.set_num_threads(1)
    found = {name: case_of(name) for name in CASES}
    if "digest" in sys.argv:
        for name, case in found.items():
            print(name, hashlib.sha256(json.dumps(case).encode()).hexdigest()[:16], sep="\t")
        return
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(rounded(case))}" for name, case in found.items())
    STORED.write_text(f"{{\n{lines}\n}}\n")


def rounded(case: Any) -> Any:
    """Numbers to 12 digits: more differ between machines."""
    if isinstance(case, dict):
        return {name: rounded(value) for name, value in case.items()}
    if isinstance(case, list):
        return [rounded(value) for value in case]
    return float(f"{case:.12g}") if isinstance(case, float) else case


if __name__ == "__main__":
    main()
