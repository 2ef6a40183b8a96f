"""What others link of the boxes of blobs."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sqair.errors import UserError
from sqair.eval import others
from sqair.scripts.experiments import footage

LENGTH, MISSED = 20, 10


def crossing() -> list[np.ndarray]:
    """Boxes of two that pass each other, in no order; the second is not seen in frame ``MISSED``."""
    boxes = [np.array([[3.0 * t, 10, 12, 8], [80 - 3.0 * t, 40, 12, 8]]) for t in range(LENGTH)]
    boxes[MISSED] = boxes[MISSED][:1]
    return [box[:: 1 if t % 2 else -1] for t, box in enumerate(boxes)]


def test_each_of_the_others_follows_two_boxes() -> None:
    for name in others.PACKAGES:
        pytest.importorskip(name)
    found = others.track_others(crossing())
    assert list(found) == ["SORT", "ByteTrack", "trackpy"]
    for way, tracks in found.items():
        assert len(np.unique(tracks.id)) == 2 and len(tracks) >= 2 * LENGTH - 6, way
        for name in np.unique(tracks.id):
            mine = tracks.where(tracks.id == name)
            assert len(np.unique(mine.box[:, 1])) == 1, way
            start, speed = (0, 3) if mine.box[0, 1] == 10 else (80, -3)
            assert mine.box[:, 0].tolist() == (start + speed * mine.frame).tolist(), way
    assert len(found["trackpy"]) == 2 * LENGTH - 1
    assert set(others.installed()) == set(others.PACKAGES)


def test_frames_without_boxes_are_no_trouble_for_the_others() -> None:
    for name in others.PACKAGES:
        pytest.importorskip(name)
    nothing = np.zeros((0, 4))
    assert all(len(tracks) == 0 for tracks in others.track_others([nothing, nothing]).values())
    late = others.track_others([nothing, nothing, *crossing()])
    assert all(tracks.frame.max() == LENGTH + 1 for tracks in late.values())


def test_trackpy_links_centres() -> None:
    """One that is held for larger once does not move by that."""
    pytest.importorskip("trackpy")
    boxes = [np.array([[46.0, 46, 8, 8]])] * LENGTH
    boxes[MISSED] = np.array([[20.0, 20, 60, 60]])
    found = others.linked_by_trackpy(boxes)
    assert len(found) == LENGTH and len(np.unique(found.id)) == 1


def test_boxes_are_told_by_their_numbers_whatever_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A linker may change the order of what it gets, and say of some that they are of no track."""

    class Detections(SimpleNamespace):
        def __init__(self, xyxy: np.ndarray, **more: object) -> None:
            super().__init__(xyxy=xyxy, **more)

    class Linker:
        def update(self, given: Detections) -> SimpleNamespace:
            assert (given.confidence == 1).all()
            order = np.arange(len(given.xyxy))[::-1]
            upper = given.xyxy[order, 3] == 18
            return SimpleNamespace(data={"which": given.data["which"][order]}, tracker_id=np.where(upper, 7, -1))

    monkeypatch.setitem(sys.modules, "trackers", SimpleNamespace(SORTTracker=Linker))
    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=Detections))
    found = others.linked_by("SORTTracker", crossing())
    assert set(found.id.tolist()) == {7} and found.frame.tolist() == list(range(LENGTH))
    assert found.box.tolist() == [[3.0 * t, 10, 12, 8] for t in range(LENGTH)]


def test_what_is_not_installed_is_named_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trackers", None)
    with pytest.raises(UserError, match=r'need the package trackers: pip install "sqair\[compare\]"'):
        footage.main(footage.Args(tmp_path / "out", shapes=1, others=True))
    assert not (tmp_path / "out").exists()
