"""How far a training is: the time that is left, and what a look at the validation clips means to people."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from tqdm import tqdm

from sqair.config import ModelConfig, TrainConfig

_FIRST = 0.3
"""What the first frame of a clip, in which most is discovered, costs more than another, in frames."""
_FIXED = 150_000
"""Values of pixels whose arithmetic costs as much as the fixed part of a frame, however many clips there are."""
_MUON = 190_000
"""Likewise of what Muon adds to a step."""
_MEMORY = 0.05
"""Share of the whole training over which the pace is averaged."""
_FEWEST = 10
"""Steps before which nothing is said of the time."""
_CROWDED = 0.05
"""Share of frames in which every object is in use from which that is worth a warning."""


def step_costs(config: TrainConfig, model: ModelConfig) -> list[float]:
    """What each step of the curriculum costs, in clips' frames.

    Measured on moving MNIST (50x50, grey, with Muon) and on footage (179x134, colour, without): it explains the times
    of their stages within a tenth.
    """
    values = model.height * model.width * model.channels
    fixed, muon = _FIXED / values, _MUON / values if config.muon_rate else 0.0
    costs = [(s.length + _FIRST) * (s.clips * config.particles + fixed) + muon for s in config.stages]
    return [cost for cost, stage in zip(costs, config.stages, strict=True) for _ in range(stage.steps)]


class TimeLeft:
    """The time that a training has left, from the pace that it lately had, and what came between its steps so far."""

    def __init__(self, costs: Sequence[float], step: int, clock: Callable[[], float] = time.monotonic) -> None:
        """``costs`` are those of all steps, of which ``step`` are done."""
        self.done = [0.0, *accumulate(costs)]
        self.first = self.step = step
        self.clock = clock
        self.began = self.ended = clock()
        self.seconds = self.work = self.between = 0.0

    def begin(self) -> None:
        """Notes that a step begins: a look at validation clips since the last one is no part of it."""
        self.began = self.clock()
        self.between += self.began - self.ended

    def made(self, step: int) -> None:
        """Notes that the step has ended with which ``step`` are done."""
        self.ended = self.clock()
        work = self.done[step] - self.done[self.step]
        if self.step > self.first:  # the first one also makes things ready
            kept = math.exp(-work / (_MEMORY * self.done[-1]))
            self.seconds = kept * self.seconds + self.ended - self.began
            self.work = kept * self.work + work
        self.step = step

    def left(self) -> float | None:
        """Seconds, or None if it is too early to tell."""
        if self.step - self.first < _FEWEST or not self.work:
            return None
        over = max(self.done[self.step] - self.done[self.first], _MEMORY * self.done[-1])
        return (self.seconds / self.work + self.between / over) * (self.done[-1] - self.done[self.step])


class Display:
    """What is shown of a training: a bar where there is a terminal, a line now and then where there is none."""

    def __init__(self, costs: Sequence[float], step: int) -> None:
        """``costs`` are those of all steps, of which ``step`` are done."""
        self.costs, self.step, self.time_left, self.warned = costs, step, TimeLeft(costs, step), False
        form = "{desc}  {percentage:.0f}%|{bar}|{postfix}"
        self.bar = tqdm(total=sum(costs), initial=sum(costs[:step]), bar_format=form, disable=None)

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def begin(self) -> None:
        """Notes that a step begins."""
        self.time_left.begin()

    def made(self, step: int, status: str) -> None:
        """Shows the ``status`` after so many steps."""
        self.time_left.made(step)
        self.bar.set_description_str(status, refresh=False)
        self.bar.set_postfix_str(self._left(), refresh=False)
        self.bar.update(sum(self.costs[self.step : step]))
        self.step = step

    def say(self, *parts: str) -> None:
        """A line of these and the time that is left, where there is no bar."""
        if self.bar.disable:
            print("  ".join(filter(None, (*parts, self._left()))), flush=True)

    def warn(self, warning: str | None) -> None:
        """Says the first warning there is."""
        if warning is not None and not self.warned:
            self.bar.write(warning)
            self.warned = True

    def _left(self) -> str:
        left = self.time_left.left()
        return f"{in_words(left)} left" if left else ""


def in_words(seconds: float) -> str:
    """A length of time: ``40 s``, ``12 min``, ``1 h 50 min``."""
    if seconds < 55:
        return f"{max(5 * math.ceil(seconds / 5), 5)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def looks(metrics: Mapping[str, float]) -> str:
    """What a look at validation clips found, of which nothing is known: nothing before the first."""
    parts = []
    if "explained" in metrics:
        parts.append(f"explains {100 * max(metrics['explained'], 0):.0f} % of what moves")
    if "found" in metrics:
        parts.append(f"{metrics['found']:.1f} objects a frame")
    return ", ".join(parts)


def crowded(metrics: Mapping[str, float], model: ModelConfig) -> str | None:
    """A warning where the most objects that a model may have are often all in use; None where they are not."""
    if metrics.get("full", 0.0) <= _CROWDED:
        return None
    more = math.ceil(1.5 * model.slots)
    flags = f"--model.slots {more}" + (f" --model.first-steps {more}" if model.first_steps >= model.slots else "")
    share = f"{100 * metrics['full']:.0f} % of the validation frames"
    return f"warning: all {model.slots} objects are in use in {share}; if there are more of them, train with {flags}"
