"""Which frame of a video a picture is, and when it is shown.

The one rule, for every kind of file:

- ``seconds`` is the time stamp that the file gives the frame, from its beginning: what a player's clock shows. (That is
  where the first of its streams begins; sound may come before the first picture.)
- ``number`` counts from the first frame that the file has, whether or not that can be decoded. Where the rate is
  constant it is the frame's place on that grid: frames that were never recorded, or cannot be decoded, leave a gap, and
  those after it keep the numbers that ground truth has for them.
- Where the rate varies there is no grid, and numbers count frames, those that cannot be decoded included.
- Without time stamps, or with stamps too coarse to tell frames apart (milliseconds at 4000 frames a second), numbers
  count frames and the declared rate gives the time.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

REORDERED = 32
"""Frames by which the order of a file and that of its pictures may differ."""
SINGLE = 0.9
"""Share of steps from frame to frame that are a single period, from which a rate is constant."""
JITTER = 0.25
"""Share of a period by which a step may miss a multiple of it; a tick is always allowed, since stamps are rounded."""
COLLIDING = 0.05
"""Share of steps of 0 from which stamps are too coarse to tell frames apart."""
MOST_STEPS = 1000
"""Different steps that are told apart: more of them are no constant rate."""


class Timing(NamedTuple):
    """What the time stamps of a video mean.

    Attributes:
        tick: seconds of a unit of its time stamps.
        rate: frames per second as declared, on average where it varies.
        start: the stamp of the first frame in the file; None is that of the first one that is decoded.
        lead: seconds from the beginning of the file to there.
        period: ticks from a frame to the next where that is constant.
        coarse: whether several frames may have one stamp, so that stamps tell no times.
    """

    tick: Fraction
    rate: Fraction
    start: int | None = None
    lead: Fraction = Fraction(0)
    period: Fraction | None = None
    coarse: bool = False

    @property
    def fps(self) -> Fraction:
        """Frames per second: those of the grid if there is one, else as declared."""
        return 1 / (self.period * self.tick) if self.period else self.rate


def in_order(stamps: Iterable[int]) -> Iterator[int]:
    """Stamps in the order of a file as they are shown: ascending, but for those that come too late for it."""
    waiting: list[int] = []
    for stamp in stamps:
        heapq.heappush(waiting, stamp)
        if len(waiting) > REORDERED:
            yield heapq.heappop(waiting)
    while waiting:
        yield heapq.heappop(waiting)


class Steps:
    """The ticks from frame to frame of a video, whose stamps are ``add``-ed in the order of the file.

    Memory does not grow with their number.

    Attributes:
        first: the stamp of the first frame; None without any.
        mean: ticks of a step on average; 0 without any.
    """

    def __init__(self, stamps: Iterable[int]) -> None:
        self.first: int | None = None
        self._steps: Counter[int] = Counter()
        last = count = 0
        for stamp in in_order(stamps):
            if self.first is None:
                self.first = stamp
            elif len(self._steps) <= MOST_STEPS:
                self._steps[stamp - last] += 1
            last, count = stamp, count + 1
        self.mean = Fraction(last - (self.first or 0), max(1, count - 1))

    @property
    def coarse(self) -> bool:
        """Whether so many steps are 0 that stamps tell nothing."""
        return self._steps[0] > COLLIDING * self._steps.total()

    def period(self) -> Fraction | None:
        """Ticks of a step if the rate is constant, apart from missing frames, else None."""
        steps = self._steps
        usual = _median(steps)
        if usual <= 0 or min(steps) <= 0 or len(steps) > MOST_STEPS:
            return None
        periods = single = total = 0
        for step, count in steps.items():
            number = max(1, round(step / usual))
            if abs(step - number * usual) > max(1, JITTER * usual):
                return None
            periods += number * count
            single += count * (number == 1)
            total += step * count
        return Fraction(total, periods) if single >= SINGLE * steps.total() else None


def _median(steps: Counter[int]) -> int:
    """The middle of all steps; 0 of none."""
    seen = 0
    for step in sorted(steps):
        seen += steps[step]
        if 2 * seen >= steps.total():
            return step
    return 0


class Clock:
    """Numbers and times of the frames of a video in turn; both always increase, whatever the stamps do."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self._number, self._last = -1, timing.start
        self._ticks: int | Fraction = timing.lead / timing.tick
        self._single = timing.period or 1 / (timing.rate * timing.tick)
        self._period, self._coarse = float(self._single), timing.coarse

    def tell(self, stamp: int | None, missed: int = 0) -> tuple[int, float]:
        """The number and the seconds of the next frame, before which ``missed`` frames could not be decoded."""
        first = self._number < 0
        step: int | Fraction | None = None
        if stamp is not None and not self._coarse:
            step = stamp - self._last if self._last is not None else 0
            self._last = stamp
        if step is None or step < 0 or (step == 0 and not first):  # no stamp, or a clock that was set back
            step = self._single * (missed + (not first))
        if self.timing.period is None:
            self._number += 1 + missed
        elif first:
            self._number = round(step / self._period)
        else:
            self._number += max(1, round(step / self._period))
        self._ticks += step
        tick = self.timing.tick
        return self._number, float(self._ticks * tick.numerator / tick.denominator)


def seconds_of(text: str) -> Fraction | None:
    """The ``HH:MM:SS.fraction`` that Matroska has for the end of a stream; None if that is not what it is."""
    parts = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", text)
    return None if parts is None else 3600 * int(parts[1]) + 60 * int(parts[2]) + Fraction(parts[3])
