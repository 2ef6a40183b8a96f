"""What ``sqair evaluate`` measures, part by part, and why a part is left out."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from sqair.config import ModelConfig
from sqair.datasets.changes import unsuited, variations
from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import BENCHMARKS
from sqair.eval.accounts import CLIPS, Account, accounts, joined, matched
from sqair.eval.changes import apart, change, presence
from sqair.eval.intervals import Figure, wilson
from sqair.eval.prediction import predictions
from sqair.eval.readouts import HIDDEN, Looks, ReadOut, looks, pairs, random_pairs, sums_by_class
from sqair.frames import to_frames
from sqair.likelihood import conditions, importance, particle_filter
from sqair.model import SQAIR
from sqair.render import log_likelihood
from sqair.scripts.evaluation_data import Data
from sqair.scripts.evaluation_parts import Found, Gauge, LeftOut, measure, prediction_errors, reconstruction, to_predict

if TYPE_CHECKING:
    from sqair.scripts.evaluate import Args

AT_ONCE = 16
"""Clips whose likelihood is estimated at a time."""
CHANGED = 100
"""Clips that are changed, at most."""
SUMS = {"tba-mnist", "silot"}
"""Benchmarks whose objects are digits."""


class Meter(Gauge):
    """Explains clips."""

    def __init__(self, model: SQAIR, args: Args, bar: tqdm) -> None:
        super().__init__(args, bar)
        self.model = model

    def account(self, frames: np.ndarray, what: str) -> Account:
        self.bar.set_description_str(what)
        parts = []
        for part in accounts(self.model, frames, self.args.device):
            parts.append(part)
            self.bar.update(len(part.canvas))
        return joined(parts)


def evaluate(model: SQAIR, data: Data, args: Args) -> Found:
    """Measures all that the data allow."""
    began, cpu = time.monotonic(), time.process_time()
    with tqdm(total=_work(model.config, data, args), unit="clip", disable=None) as bar:
        meter = Meter(model, args, bar)
        found = Found(_about(model, data, args), data, meter.account(data.frames, "what is there"))
        parts: dict[str, Callable[[Meter, Found], dict[str, Any]]] = {
            "likelihood": _likelihood, "reconstruction": reconstruction, "prediction": _prediction,
            "counting": _counting, "readouts": _readouts, "changes": _changes,
        }  # fmt: skip
        measure(found, {name: partial(part, meter, found) for name, part in parts.items()})
    found.about["seconds"] = {"wall": time.monotonic() - began, "cpu": time.process_time() - cpu}
    return found


def _about(model: SQAIR, data: Data, args: Args) -> dict[str, Any]:
    clips, length = data.frames.shape[:2]
    return {
        "model": str(args.model), "data": args.data, "split": data.split, "clips": clips, "frames": length,
        "particles": args.particles, "seed": args.seed, "price": model.price,
        "likelihood_std": model.config.likelihood_std, "conditional_on": conditions(model.config),
    }  # fmt: skip


def _work(config: ModelConfig, data: Data, args: Args) -> int:
    """Clips that are explained in all, each by so many particles, about."""
    clips = len(data.frames)
    sampled = clips * args.particles * (2 if args.filter else 1)
    trained = args.readout_clips if no_readouts(data, args) is None else 0
    changed = 7 * min(clips, CHANGED) if _no_changes(data) is None else 0
    return clips + sampled + trained + changed


def _likelihood(meter: Meter, found: Found) -> dict[str, Any]:
    """Nats per clip: log p(x), the bound and its parts."""
    model, args = meter.model, meter.args
    values: dict[str, list[torch.Tensor]] = {}
    clips = found.data.frames
    for start in range(0, len(clips), AT_ONCE):
        frames = to_frames(clips[start : start + AT_ONCE], args.device)
        still = model.still(frames)
        meter.bar.set_description_str("log p(x)")
        told = importance(model, frames, args.particles, meter.generator, still)
        meter.bar.update(args.particles * frames.shape[1])
        here = {"log_p": told.log_p, "bound": told.bound, **told.parts, "effective": told.effective}
        if args.filter:
            here["log_p_filter"] = particle_filter(model, frames, args.particles, meter.generator, still)
            meter.bar.update(args.particles * frames.shape[1])
        if not {"the deviation of each pixel", "the contrast"} & set(conditions(model.config)):
            here["most"] = len(frames) * log_likelihood(frames[0], frames[0], model.config.likelihood_std)
        for name, value in here.items():
            values.setdefault(name, []).append(value.cpu())
    return {name: meter.over(torch.cat(value).double().numpy()) for name, value in values.items()}


def _prediction(meter: Meter, found: Found) -> dict[str, Any]:
    """Errors of the frames that come, by each way, and as a share of constant velocity's."""
    args, clips = meter.args, to_predict(meter, found)
    account = found.account
    if meter.model.config.background == "still":  # that of whole clips knows their scene from what is to come
        account = meter.account(clips[:, : args.observed], "what is seen")
    found.ahead = predictions(meter.model, clips, account, args.observed)
    return prediction_errors(meter, found, clips)


def _counting(meter: Meter, found: Found) -> dict[str, Any]:
    """Shares of frames, and of clips in all of their frames, with the right number of objects."""
    from sqair.tracker import track_clips

    count = found.data.count
    if count is None:
        raise LeftOut("nothing says how many objects there are")
    refined = np.zeros(count.shape[1:], np.int64)
    for n, tracks in enumerate(track_clips(meter.model, found.data.frames)):
        np.add.at(refined[n], tracks.frame, 1)
    told = {"amortised": found.account.count, "as tracked": refined}
    right = {name: (count[0] <= value) & (value <= count[1]) for name, value in told.items()}
    return {
        name: {"frames": meter.over(value.mean(1)), "clips": wilson(int(value.all(1).sum()), len(value))}
        for name, value in right.items()
    }


def no_readouts(data: Data, args: Args) -> str | None:
    """Why nothing is read out; None if it is."""
    if not args.readout_clips:
        return "--readout-clips is 0"
    if data.clips is None or data.recipe is None:
        return "nothing says of which class objects are, or how to make others to learn from"
    return "they are of training digits, which read-outs learn from" if data.split == "train" else None


def _readouts(meter: Meter, found: Found) -> dict[str, Any]:
    """Shares that are right of the objects that were found, of unseen digits: classes, and sums of two."""
    data, args = found.data, meter.args
    if reason := no_readouts(data, args):
        raise LeftOut(reason)
    assert data.clips is not None and data.recipe is not None
    here = looks(found.account, matched(found.account, data.clips.truth), data.clips.labels)
    parts = []
    for start in range(0, args.readout_clips, 8 * CLIPS):
        clips = make_clips(data.recipe, "train", args.seed, start, min(8 * CLIPS, args.readout_clips - start))
        account = meter.account(clips.frames, "training digits")
        parts.append(looks(account, matched(account, clips.truth), clips.labels))
    learned = Looks(
        np.concatenate([part.what for part in parts]),
        np.concatenate([part.clip + 8 * CLIPS * i for i, part in enumerate(parts)]),
        np.concatenate([part.label for part in parts]),
    )
    classes = int(learned.label.max(initial=0)) + 1
    if len(learned.clip) < 10 * classes or not len(here.clip):
        raise LeftOut(f"{len(learned.clip)} objects were found to learn from, and {len(here.clip)} to try it on")
    linear, network = (ReadOut(learned, classes, hidden, args.seed) for hidden in (0, HIDDEN))
    right = {"class, linear": _right(linear, here), "class, network": _right(network, here)}
    two = pairs(here)
    if len(two.clip) and (data.recipe.name not in BENCHMARKS or data.recipe.name in SUMS):
        direct = ReadOut(random_pairs(learned, args.seed), 2 * classes - 1, HIDDEN, args.seed)
        right["sum of two, linear by classes"] = sums_by_class(linear, two) == two.label
        right["sum of two, network by classes"] = sums_by_class(network, two) == two.label
        right["sum of two, network"] = _right(direct, two)
    shares = {name: _by_clip(meter, of, two.clip if "sum" in name else here.clip) for name, of in right.items()}
    return {"objects": len(here.clip), "learned_from": len(learned.clip), "pairs": len(two.clip), "right": shares}


def _right(readout: ReadOut, objects: Looks) -> np.ndarray:
    return readout.probabilities(objects.what).argmax(1) == objects.label


def _by_clip(meter: Meter, right: np.ndarray, clip: np.ndarray) -> Figure:
    """The share that is right, with an interval over clips."""
    return meter.over(np.bincount(clip, right), np.bincount(clip))


def _no_changes(data: Data) -> str | None:
    """Why no clips are changed; None if they are."""
    return "nothing says how to make such clips" if data.recipe is None else unsuited(data.recipe)


def _changes(meter: Meter, found: Found) -> dict[str, Any]:
    """What of the latents changes with one thing of a clip, of the object that is changed and of the other."""
    data, args = found.data, meter.args
    if reason := _no_changes(data):
        raise LeftOut(reason)
    assert data.recipe is not None
    clips = variations(data.recipe, data.split, args.seed, min(len(data.frames), CHANGED))
    found.changed = {name: (kind, meter.account(kind.frames, "changes")) for name, kind in clips.items()}
    which = {name: matched(account, kind.truth) for name, (kind, account) in found.changed.items()}
    alone = {name: apart(kind.truth, data.frames.shape[1]) for name, (kind, _) in found.changed.items()}
    first, *others = found.changed
    table = {}
    for name in others:
        accounts_of = found.changed[first][1], found.changed[name][1]
        frames = alone[first] & alone[name]
        table[name] = {
            who: _differences(meter, *accounts_of, which[first] == k, which[name] == k, frames)
            for k, who in enumerate(("changed", "other"))
        }
    return table


def _differences(
    meter: Meter, before: Account, after: Account, which: np.ndarray, which_after: np.ndarray, frames: np.ndarray
) -> dict[str, Figure]:
    """Of one object; but for its presence in those ``frames [N, T]`` in which it is alone."""
    found = change(before, after, which, which_after, frames)
    number = np.bincount(found.clip, minlength=len(frames))
    rows = {"presence": meter.over(presence(after, which_after))}
    if number.any():
        for name in ("what", "where", "right", "down", "wider"):
            rows[name] = meter.over(np.bincount(found.clip, getattr(found, name), len(frames)), number)
    return rows
