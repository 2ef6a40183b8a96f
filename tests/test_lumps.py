"""Lumps of ink: one thing or two."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sqair.lumps import FEWEST, LUMPED, PIXEL, Ink, lumps


def places(mask: np.ndarray) -> np.ndarray:
    """The middles ``[N, 2]`` (x, y) of the pixels of a mask ``[h, w]``."""
    return np.argwhere(mask)[:, ::-1] + 0.5


def ellipse(x: float, y: float, width: float, height: float, turn: float = 0.0) -> np.ndarray:
    """The mask ``[60, 60]`` of an ellipse about (x, y), turned by so many radians."""
    down, right = np.mgrid[:60, :60] + 0.5
    along = np.cos(turn) * (right - x) + np.sin(turn) * (down - y)
    across = np.cos(turn) * (down - y) - np.sin(turn) * (right - x)
    return (2 * along / width) ** 2 + (2 * across / height) ** 2 <= 1


@pytest.mark.parametrize("turn", [0.0, 0.5, 1.2])
@pytest.mark.parametrize("sides", [(20, 20), (30, 8), (24, 12)])
def test_an_ellipse_is_one_thing(sides: tuple[int, int], turn: float) -> None:
    found = lumps(places(ellipse(30, 30, *sides, turn)))
    assert found is not None and found.gain < LUMPED / 2


def test_two_gaussians_fit_no_worse_than_one_and_the_gain_is_that_of_densities() -> None:
    """The gain of two far apart, of equal shares, is that of a mixture of two whose shares are told."""
    one = places(ellipse(8, 30, 8, 8))
    found = lumps(np.concatenate([one, one + [40, 0]]))
    each = np.var(one, axis=0)
    whole = each + [20**2, 0]

    def log_density(variance: np.ndarray) -> float:
        """Its mean, of Gaussians that are wider than what they fit by a pixel's variance."""
        return -0.5 * float((variance / (variance + PIXEL) + np.log(variance + PIXEL)).sum())

    assert found is not None
    assert found.gain == pytest.approx(np.log(0.5) + log_density(each) - log_density(whole), abs=1e-6)


@pytest.mark.parametrize(
    "second", [(30, 40, 24, 8, 0.0), (56, 30, 24, 8, 0.0), (40, 38, 24, 8, 0.8)], ids=["beside", "behind", "aslant"]
)
def test_two_that_touch_are_told_apart(second: tuple[float, ...]) -> None:
    """Whichever way they lie: each is cut out whole, but for where they cross."""
    masks = ellipse(30, 30, 24, 8), ellipse(*second)
    place = places(masks[0] | masks[1])
    found = lumps(place)
    assert found is not None and found.gain > LUMPED
    told = [place[found.first], place[~found.first]]
    alone = [set(map(tuple, places(one & ~other))) for one, other in (masks, masks[::-1])]
    shares = [[len(set(map(tuple, part)) & mine) / len(mine) for mine in alone] for part in told]
    assert max(np.trace(shares), np.trace(shares[::-1])) > 1.9


def test_few_pixels_are_in_no_lumps() -> None:
    line = np.arange(2.0 * FEWEST)
    assert lumps(np.stack([line, 0 * line], 1)[1:]) is None
    found = lumps(np.stack([line, 0 * line], 1))
    assert found is not None and np.isfinite(found.gain)


class Drawn(Ink):
    """Ink of a label image ``[h, w]``."""

    def __init__(self, shown: np.ndarray) -> None:
        self.shown = shown
        self._area = np.bincount(shown.ravel())


def test_ink_is_two_things_by_shape_and_by_size() -> None:
    first, second = ellipse(20, 20, 24, 8), ellipse(20, 30, 24, 8)
    ink = Drawn(1 * first + 5 * second)
    typical = float(first.sum())
    assert ink.area(0) == typical and ink.area(0, 4) == 2 * typical and ink.area(7) == 0
    parts = ink.two([0, 4], typical)
    assert parts is not None and sorted(map(len, parts)) == [typical, typical]
    assert ink.two([0], typical) is None
    assert ink.two([0, 4], 1.6 * typical) is None  # no more than of one
    assert ink.two([0, 4], 0.1 * typical) is not None
    big = Drawn(1 * ellipse(30, 30, 50, 17))
    assert ink.area(0) * 3 < big.area(0) and big.two([0], typical) is None  # large, and one


def test_ink_is_what_differs_from_the_scene_by_about_what_the_object_does(monkeypatch: pytest.MonkeyPatch) -> None:
    import sqair.lumps as module
    from conftest import TINY
    from sqair.background import Behind
    from sqair.state import Step

    labels = torch.zeros(1, 6, 8, dtype=torch.int64)
    labels[0, 1:4, 1:5] = 3
    frame, scene = torch.full((1, 1, 6, 8), 0.5), torch.full((1, 1, 6, 8), 0.5)
    frame[0, 0, 1:4, 1:4] = 0.1
    frame[0, 0, 1, 4] = 0.55
    monkeypatch.setattr(module, "outlines", lambda step, count: labels)
    step = Step(frame, frame, frame, [], None, None, None, behind=Behind(scene))  # type: ignore[arg-type]
    ink = Ink(step, frame, TINY)
    assert ink.area(2) == 9 and (ink.shown[1:4, 1:4] == 3).all()
