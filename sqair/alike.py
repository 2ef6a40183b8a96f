"""What clips are like to a model: they are explained, and a likeness is fitted to what was found in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sqair.frames import to_frames
from sqair.geometry import where_to_box
from sqair.imagine import advance, futures
from sqair.inference import tracking
from sqair.inference.restarts import explain
from sqair.likeness import OWN, Kernels, Likeness, Spread, checksum
from sqair.model import SQAIR
from sqair.objects import Objects
from sqair.state import State

SHARES = (0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4)
"""Of the model's own spread, of which the best is chosen."""
SAMPLES = 16
"""Futures of each clip by which it is chosen."""
LEAST_LIFE = 3
"""Frames for which an object is there at least, if its clip lasts, or it tells nothing of others."""
MOST = 2000
"""New objects whose latents are kept."""
_BATCH, _VALUES = 64, 2**25
"""Clips that are explained together, and values of their pixels, at most."""


@dataclass(frozen=True)
class Explained:
    """B clips of T frames, explained: the objects seen in each frame, and the state after ``seen`` frames."""

    objects: list[Objects]
    state: State
    seen: int

    @property
    def clips(self) -> int:
        return len(self.state.next_id)


def explain_clips(
    model: SQAIR, frames: Tensor, seen: int, *, still: Tensor | None = None, memory: int = 30
) -> Explained:
    """Explains ``frames [T, B, C, H, W]`` as a tracker does, in one pass, and keeps the state after ``seen`` of them.

    ``still [B, C, H, W]`` is the image of a still scene; without it that of these frames is taken.
    """
    state = model.initial_state(frames.shape[1], frames, model.still(frames) if still is None else still)
    kept, objects = state, []
    with torch.no_grad():
        for number, frame in enumerate(frames, 1):
            step, state = explain(model, frame, state, tracking(True, memory))
            objects.append(step.objects)
            if number == seen:
                kept = state
    return Explained(objects, kept, seen)


def explain_many(model: SQAIR, clips: np.ndarray, seen: int) -> list[Explained]:
    """The same of any number of clips uint8 ``[N, T, H, W(, 3)]``, some at a time."""
    some = max(1, min(_BATCH, _VALUES // clips[0].size))
    device = model.first_hidden.device
    return [
        explain_clips(model, to_frames(clips[first : first + some], device), seen)
        for first in range(0, len(clips), some)
    ]


def fit(model: SQAIR, clips: list[Explained], seed: int = 0) -> Likeness:
    """What clips are like that were explained by the model."""
    found = [_found(part) for part in clips]
    n = sum(part.clips for part in clips)
    starts = torch.cat([torch.bincount(p.objects[0].clip, minlength=p.clips) for p in clips])
    most = min(int(starts.max()), model.config.slots)
    counts = torch.bincount(starts.clamp_max(most), minlength=most + 1).double() / n
    latents = torch.cat([latents for latents, *_ in found]).double()[:MOST]
    born, left, stayed = (sum(column) for column in list(zip(*found, strict=True))[1:])
    later = n * (len(clips[0].objects) - 1)
    return Likeness(
        counts=counts,
        born=float(born / max(1, later)),
        stay=float((stayed + 1) / (stayed + left + 1)) if left else 1.0 - 1e-6,
        new=Kernels.fit(latents) if len(latents) > 1 else None,
        spread=fit_spread(model, clips, seed),
        clips=n,
        model=checksum(model),
    )


def _found(part: Explained) -> tuple[Tensor, int, int, int]:
    """Latents ``[K, 4 + D]`` of objects when they are new; how many came later, left, and stayed for a frame.

    Those that the clip shows for less than ``LEAST_LIFE`` frames, other than at its ends, do not count.
    """
    length = len(part.objects)
    names = [set(zip(o.clip.tolist(), o.id.tolist(), strict=True)) for o in part.objects]
    first: dict[tuple[int, int], int] = {}
    last: dict[tuple[int, int], int] = {}
    for t, there in enumerate(names):
        for name in there:
            first.setdefault(name, t)
            last[name] = t
    kept = {n for n in first if last[n] - first[n] + 1 >= LEAST_LIFE or last[n] == length - 1}
    rows = []
    for t, objects in enumerate(part.objects):
        new = [n in kept and first[n] == t for n in zip(objects.clip.tolist(), objects.id.tolist(), strict=True)]
        rows.append(torch.cat([objects.where, objects.what], -1)[torch.tensor(new, dtype=torch.bool)])
    born = sum(first[n] > 0 for n in kept)
    left = sum(last[n] < length - 1 for n in kept)
    return torch.cat(rows).cpu(), born, left, sum(last[n] - first[n] for n in kept)


@dataclass(frozen=True)
class Ahead:
    """M objects of some clips, ``h`` later frames: what came, and K futures of each.

    Attributes:
        came: ``[h, M, 4 + D]``, z_where and z_what where the object is seen; ``seen [h, M]`` says whether.
        futures: ``[K, h, M, 4 + D]``.
        now: the objects, as they were seen last.
    """

    came: Tensor
    seen: Tensor
    futures: Tensor
    now: Objects


def look_ahead(
    model: SQAIR, part: Explained, samples: int, generator: torch.Generator | None, spread: Spread = OWN
) -> Ahead:
    """Futures of the objects of the state of ``part``, as if nobody left, beside what came.

    Without a generator they are the means of the prior.
    """
    now = part.state.objects.rows(part.state.objects.unseen == 0)
    horizon = len(part.objects) - part.seen
    row = {name: i for i, name in enumerate(zip(now.clip.tolist(), now.id.tolist(), strict=True))}
    came = now.where.new_zeros(horizon, len(now), 4 + now.what.shape[1])
    seen = torch.zeros(horizon, len(now), dtype=torch.bool)
    for t, objects in enumerate(part.objects[part.seen :]):
        names = zip(objects.clip.tolist(), objects.id.tolist(), strict=True)
        pairs = [(i, row[name]) for i, name in enumerate(names) if name in row]
        if pairs:
            of, to = torch.tensor(pairs).T
            came[t, to] = torch.cat([objects.where, objects.what], -1)[of]
            seen[t, to] = True
    many = futures(part.state, samples).objects
    rolled = []
    with torch.no_grad():
        for _ in range(horizon):
            many, _ = advance(model, many, generator, spread)
            rolled.append(torch.cat([many.where, many.what], -1).view(len(now), samples, -1).transpose(0, 1))
    ahead = torch.stack(rolled, 1) if rolled else came.new_zeros(samples, 0, len(now), came.shape[-1])
    return Ahead(came, seen, ahead, now)


def fit_spread(model: SQAIR, clips: list[Explained], seed: int = 0) -> Spread:
    """The shares of the motion prior's spread under whose samples later frames score best.

    By the continuous ranked probability score of places, sizes and looks, each for itself (Gneiting and Raftery, 2007,
    equation 21), which is least in expectation where samples are as what comes.
    """
    groups = (slice(0, 2), slice(2, 4), slice(4, None))
    scores = np.zeros((len(SHARES), len(groups)))
    if len(clips[0].objects) == clips[0].seen or not sum(len(part.state.objects) for part in clips):
        return OWN
    for i, share in enumerate(SHARES):
        generator = torch.Generator(model.first_hidden.device).manual_seed(seed)
        for part in clips:
            ahead = look_ahead(model, part, SAMPLES, generator, Spread(share, share, share))
            error = crps(ahead.futures, ahead.came) * ahead.seen[..., None].to(ahead.came)
            scores[i] += [float(error[..., group].sum()) for group in groups]
    return Spread(*(SHARES[i] for i in scores.argmin(0)))


def crps(samples: Tensor, came: Tensor) -> Tensor:
    """The continuous ranked probability score of ``samples [K, ...]``, K > 1, when ``came [...]`` came."""
    k = len(samples)
    ordered = samples.sort(0).values
    rank = (2 * torch.arange(k, device=samples.device) - k + 1).to(samples).view(-1, *[1] * came.dim())
    return (samples - came).abs().mean(0) - (rank * ordered).sum(0) / (k * (k - 1))


def innovations(model: SQAIR, part: Explained) -> dict[str, np.ndarray]:
    """How far found objects are from the mean of the motion prior given the frame before, in its standard deviations.

    By what they are of: ``place``, ``size`` and ``look`` of objects in their third frame or later, ``speed`` of those
    in their second, where the prior draws it. Were it calibrated, and found latents exact, they would be N(0, 1).
    """
    found: dict[str, list[Tensor]] = {"speed": [], "place": [], "size": [], "look": []}
    for before, after in zip(part.objects, part.objects[1:], strict=False):
        row = {name: i for i, name in enumerate(zip(before.clip.tolist(), before.id.tolist(), strict=True))}
        names = zip(after.clip.tolist(), after.id.tolist(), strict=True)
        pairs = [(row[name], i) for i, name in enumerate(names) if name in row]
        if not pairs:
            continue
        old, new = torch.tensor(pairs).T
        with torch.no_grad():
            where, what = model.propagation.prior(before.rows(old))
        z = (after.where[new] - where.mean) * (-where.log_std).exp()
        known = before.age[old] > 0
        found["speed"].append(z[~known, :2])
        found["place"].append(z[known, :2])
        found["size"].append(z[known, 2:])
        found["look"].append(((after.what[new] - what.mean) * (-what.log_std).exp())[known])
    return {name: torch.cat([p.flatten() for p in parts]).cpu().numpy() for name, parts in found.items() if parts}


def centres(latents: Tensor, model: SQAIR) -> np.ndarray:
    """Centres ``[..., 2]`` in pixels of the canvas, of latents that begin with z_where, ``[..., 4 + D]``."""
    return where_to_box(latents[..., :4], model.config)[..., :2].cpu().numpy()

