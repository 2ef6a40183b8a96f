"""What is a part of what, told from who was ever seen apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conftest import TINY, tiny_model
from sqair.edges import Edges, Look
from sqair.lumps import Ink
from sqair.masks import segments
from sqair.parts import ALONE, Parts, put_together
from sqair.split import Split
from sqair.state import State, Step
from sqair.tracker import Tracker


def joined(ids: list[int], *pairs: tuple[int, int]) -> np.ndarray:
    """Which of ``ids`` hang together, of ``pairs`` of them."""
    matrix = np.zeros((len(ids), len(ids)), bool)
    for one, other in pairs:
        i, j = ids.index(one), ids.index(other)
        matrix[i, j] = matrix[j, i] = True
    return matrix


class Bars(Ink):
    """Ink of objects by their ids: upright bars of the height 4, so wide; each stands beside the one before it, so far
    from it."""

    def __init__(self, *bars: tuple[int, int, int]) -> None:
        """``bars``: the id of each, its width, and the gap before it."""
        parts = [np.zeros((4, 1), np.int64)]
        for name, width, gap in bars:
            parts += [np.zeros((4, gap), np.int64), np.full((4, width), name + 1)]
        self.shown = np.concatenate(parts, 1)
        self._area = np.bincount(self.shown.ravel())


def seen(
    parts: Parts, ids: list[int], *pairs: tuple[int, int], frames: int = 1, ink: Ink | None = None
) -> list[int]:
    """What ``ids`` are parts of in the last of so many ``frames``."""
    names, together, ink = np.array(ids, dtype=np.int64), joined(ids, *pairs), ink or Bars()
    for _ in range(frames):
        parts.learn(names, together, ink)
    return parts.wholes(names, together, ink).tolist()


def test_who_was_never_apart_is_a_part_of_the_first() -> None:
    parts = Parts(30)
    assert seen(parts, [4, 7, 9], (4, 7)) == [4, 4, 9]
    assert seen(parts, [4, 7, 9], (4, 7), (7, 9), frames=50) == [4, 4, 4]
    assert seen(Parts(30), [4, 7, 9], (7, 9)) == [4, 7, 7]


@pytest.mark.parametrize(("frames", "whole"), [(ALONE - 1, 2), (ALONE, 5)])
def test_who_was_alone_for_long_enough_is_an_individual(frames: int, whole: int) -> None:
    parts = Parts(30)
    seen(parts, [2, 5], frames=frames)
    assert seen(parts, [2, 5], (2, 5), frames=9) == [2, whole]


def test_frames_alone_are_counted_in_a_row() -> None:
    parts = Parts(30)
    for _ in range(9):
        seen(parts, [2, 5], frames=ALONE - 1)
        assert seen(parts, [2, 5], (2, 5)) == [2, 2]


def test_a_part_is_of_the_individual_that_it_touches() -> None:
    """Two individuals cross; what is found then on the tail of the second is of that."""
    parts = Parts(30)
    seen(parts, [2, 5], frames=ALONE)
    assert seen(parts, [2, 5, 8], (2, 5), (5, 8)) == [2, 5, 5]
    assert seen(parts, [2, 5, 8, 9], (2, 5), (5, 8), (8, 9)) == [2, 5, 5, 5]


def individuals(*widths: int) -> tuple[Parts, Bars]:
    """Parts that have seen individuals 0, 1, ... of such widths alone, and how they looked."""
    parts, ink = Parts(30), Bars(*((name, width, 9) for name, width in enumerate(widths)))
    seen(parts, list(range(len(widths))), frames=ALONE, ink=ink)
    return parts, ink


def test_how_large_a_thing_is_is_known_of_some_that_are_alike() -> None:
    assert individuals(6, 6, 6)[0].typical is None
    assert individuals(6, 6, 7, 5)[0].typical == pytest.approx(24)
    assert individuals(6, 6, 7, 40)[0].typical == pytest.approx(4 * 42**0.5)
    assert individuals(3, 6, 12, 24)[0].typical is None


def test_how_large_a_thing_is_is_a_running_mean() -> None:
    parts, _ = individuals(6, 6, 6, 6)
    for width, mean in ((9, 6.75), (9, 7.2), (9, 7.5)):
        seen(parts, [0, 1, 2, 3], ink=Bars(*((name, width, 9) for name in range(4))))
        assert parts.typical == pytest.approx(4 * mean)
    seen(parts, [0, 1, 2, 3], frames=300, ink=Bars(*((name, 12, 9) for name in range(4))))
    assert parts.typical == pytest.approx(48, rel=0.005)


def test_two_that_look_like_two_individuals_are_no_parts_of_each_other() -> None:
    """They come together into the film, and never part; a smaller one is a part, and so is one that leaves no gap."""
    names, pair = [0, 1, 2, 3, 7, 8], (7, 8)
    alone = [(name, 6, 9) for name in range(4)]
    for width, gap, wholes in ((6, 3, [7, 8]), (2, 3, [7, 7]), (6, 0, [7, 7])):
        parts, _ = individuals(6, 6, 6, 6)
        ink = Bars(*alone, (7, 6, 9), (8, width, gap))
        assert seen(parts, names, pair, frames=9, ink=ink) == [0, 1, 2, 3, *wholes]


def test_pieces_of_two_come_together_until_they_are_one_each() -> None:
    parts, _ = individuals(6, 6, 6, 6)
    ink = Bars(*((name, 6, 9) for name in range(4)), (5, 3, 9), (6, 3, 0), (7, 3, 5), (8, 3, 0))
    chain = ((5, 6), (6, 7), (7, 8))
    assert seen(parts, [0, 1, 2, 3, 5, 6, 7, 8], *chain, ink=ink) == [0, 1, 2, 3, 5, 5, 7, 7]


def test_who_is_away_for_longer_than_ids_are_kept_is_forgotten() -> None:
    for away, whole in ((30, 5), (31, 2)):
        parts = Parts(30)
        seen(parts, [2, 5], frames=ALONE)
        seen(parts, [2], frames=away)
        assert seen(parts, [2, 5], (2, 5)) == [2, whole]
        assert len(parts._known) == 2
    seen(parts, [], frames=40)
    assert not parts._known


def test_boxes_hold_their_parts() -> None:
    box = np.array([[10.0, 10, 5, 5], [13, 8, 10, 4], [50, 50, 3, 3]])
    found = put_together(box, np.array([1, 2, 3]), np.array([1, 1, 3]))
    assert found[[0, 2]].tolist() == [[10, 8, 13, 7], [50, 50, 3, 3]]
    assert put_together(box[:0], np.zeros(0), np.zeros(0)).shape == (0, 4)


class Joined(Edges):
    """Edges that find all objects to hang together."""

    def fit(self, look: Look, canvas: np.ndarray, ids: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return box, np.ones((len(box), len(box)), bool)


@pytest.mark.parametrize(("parts", "count"), [(True, 0), (True, 2), (False, 0)])
def test_the_tracker_tells_wholes(parts: bool, count: int) -> None:
    """In rows, masks, appearance and portraits alike, if the model asks for it and the number is not known."""
    config = replace(TINY, objects="opaque", background="still", fit=True, height=20, width=24, parts=parts)
    tracker = Tracker(tiny_model(config), count=count, box="ink")
    tracker.model.price = -1e6  # all that is looked at is an object
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 255, (8, 40, 48), dtype=np.uint8)
    tracker.watch(clip)
    assert tracker.edges is not None
    tracker.edges = Joined(tracker.edges.scene, tracker.edges.noise)
    rows = tracker.update(clip[0])
    assert tracker.last is not None and len(tracker.last.objects) == 2
    expected = [0] if parts and not count else [0, 1]
    assert rows.id.tolist() == sorted(tracker.appearance()) == sorted(tracker.portraits()) == expected
    shown = set(np.unique(segments(tracker.last, 1)).tolist())
    assert 2 in shown
    assert set(np.unique(tracker.masks()).tolist()) - {0} == {one + 1 for one in expected}


@pytest.mark.parametrize("count", [0, 2])
def test_the_tracker_splits_what_is_larger_than_one(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the frame on in which it is known how large one is, and also where nothing is taken for a part."""
    calls = []

    def of(self: Split, step: Step, state: State, typical: float) -> tuple[Step, State]:
        calls.append((self.count, typical))
        return step, state

    monkeypatch.setattr(Split, "of", of)
    config = replace(TINY, objects="opaque", background="still", fit=True, height=20, width=24, parts=True)
    tracker = Tracker(tiny_model(config), count=count)
    clip = np.random.default_rng(0).integers(0, 255, (8, 40, 48), dtype=np.uint8)
    tracker.watch(clip)
    tracker.update(clip[0])
    assert not calls
    monkeypatch.setattr(Parts, "typical", 7.0)
    tracker.update(clip[1])
    assert calls == [(count, 7.0)]
