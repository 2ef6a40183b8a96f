"""Windows: cut and added by loops, and a model that works in them against one that works on whole canvases."""

from dataclasses import replace
from typing import Literal

import pytest
import torch

import sqair.matcher
import sqair.windows
from conftest import TINY, gradient, seeded, spots, tiny_model
from sqair.bounds import Terms
from sqair.boxes import step_tracks
from sqair.geometry import read, write
from sqair.inference import Inference, Sampled
from sqair.windows import Patches, Windows, read_from

pytestmark = pytest.mark.usefixtures("float64")

CANVAS = (23, 31)


def test_windows_lie_on_the_canvas_around_their_centres() -> None:
    centre = torch.tensor([[15.0, 11.0], [0.0, 0.0], [31.0, 23.0], [-40.0, 90.0]])
    windows = Windows.around(centre, torch.zeros(4, dtype=torch.int64), 8.2, CANVAS)
    assert windows.size == (9, 9) and not windows.everything
    assert windows.corner.tolist() == [[10, 6], [0, 0], [22, 14], [0, 14]]
    boxes = torch.cat([centre, torch.ones(4, 2)], 1)
    assert windows.local(boxes)[0].tolist() == [5, 5, 1, 1]
    coarse = Windows.around(centre, torch.zeros(4, dtype=torch.int64), 8.0, CANVAS, stride=2)
    assert coarse.size == (4, 4) and coarse.corner[0].tolist() == [6, 4]
    assert coarse.local(boxes)[0].tolist() == [3, 3, 1, 1]


@pytest.mark.parametrize("side", [7.0, 20.0, 60.0])
def test_what_is_cut_and_added_is_what_loops_say(side: float) -> None:
    """Of a side of 20, windows are as high as the canvas and narrower; of 60, the canvas."""
    clip = torch.tensor([1, 0, 1, 3])
    windows = Windows.around(31 * torch.rand(4, 2), clip, side, CANVAS)
    images = torch.rand(4, 2, *CANVAS)
    cut, total = windows.cut(images), torch.zeros(4, 2, *CANVAS)
    values, weight = torch.rand(4, 2, *windows.size), torch.rand(4)
    for m, (x, y) in enumerate(windows.corner.tolist()):
        part = (slice(None), slice(y, y + windows.size[0]), slice(x, x + windows.size[1]))
        assert torch.equal(cut[m], images[clip[m]][part])
        total[clip[m]][part] += weight[m] * values[m]
    patches = Patches(values, windows)
    torch.testing.assert_close(patches.total(weight, 4), total, rtol=0, atol=1e-14)
    torch.testing.assert_close(patches.full()[[0, 2]].mul(weight[[0, 2], None, None, None]).sum(0), total[1])
    both = Patches.concat([patches.rows(torch.tensor([2, 0])), patches.rows(torch.tensor([False, True, False, True]))])
    torch.testing.assert_close(both.total(weight[[2, 0, 1, 3]], 4), total, rtol=0, atol=1e-14)
    assert Patches.concat([patches.rows(clip == 9)]).full().shape == (0, 2, *CANVAS)


@pytest.mark.parametrize("side", [20.0, 60.0])
def test_tight_windows_lose_nothing_of_what_is_drawn(side: float) -> None:
    """Of objects anywhere, of any size up to a third of the canvas, and beyond its edges."""
    box = torch.cat([40 * torch.rand(200, 2) - 5, 1 + 6 * torch.rand(200, 2)], 1)
    windows = Windows.around(box[:, :2], torch.arange(200), side, CANVAS)
    patches = Patches(write(torch.rand(200, 2, 5, 5), windows.local(box), *windows.size), windows)
    tight = patches.tight(box)
    assert tight.windows.size == (10, 10) and torch.equal(tight.full(), patches.full())
    large = box + torch.tensor([0.0, 0.0, 12.0, 12.0])
    assert patches.tight(large) is patches, "hardly smaller"
    none = patches.rows(torch.zeros(200, dtype=torch.bool))
    assert none.tight(box[:0]).full().shape == (0, 2, *CANVAS)


def test_a_glimpse_from_a_window_is_that_from_the_canvas() -> None:
    config = replace(TINY, max_size=14.0)
    images, clip = torch.rand(3, 2, 60, 80), torch.tensor([2, 0, 2, 1])
    box = torch.cat([torch.rand(4, 2) * torch.tensor([80.0, 60.0]), 4 + 8 * torch.rand(4, 2)], 1)
    assert not Windows.around(box[:, :2], clip, config.window, (60, 80)).everything
    expected = read(images[clip], box, config.glimpse)
    torch.testing.assert_close(read_from(images, clip, box, config), expected, rtol=0, atol=1e-12)
    wide = 2 * box
    expected = read(images[clip], wide, config.glimpse, 2)
    torch.testing.assert_close(read_from(images, clip, wide, replace(config, max_size=40), 2), expected)


@pytest.mark.parametrize("objects", ["light", "opaque"])
@pytest.mark.parametrize("inference", [Inference(), None])
def test_a_model_that_works_in_windows_says_the_same(
    objects: Literal["light", "opaque"], inference: Inference | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a canvas of more than three times their size: bound, gradient, tracks, gains.

    No object is larger than a window, and none gains so much that it jumps out of the region where it is looked for.
    """
    config = replace(TINY, height=80, width=90, objects=objects, slots=4, first_steps=3, max_size=18.0)
    config = replace(config, likelihood_std=3.0)
    monkeypatch.setitem(sqair.matcher._JUMP, "density", 1e9)
    for name, value in (("_LOOSE", 0.003), ("_LOOSEST", 0.003)):
        monkeypatch.setattr(sqair.matcher, name, value)
    model, frames = tiny_model(config, price=0.01), spots(config, 3, 3, count=3)
    model.old_presence.bias = 9.0
    assert model.new_presence is not None
    model.new_presence.bias = 9.0
    found = []
    for nearly in (1.25, 100.0):
        monkeypatch.setattr(sqair.windows, "_NEARLY", nearly)
        steps = model(frames, inference or Sampled(seeded(3)))
        assert steps[0].patches.windows.everything == (nearly > 2) and len(steps[-1].objects) > 4
        tracks = [step_tracks(s, f, i, config, "ink") for i, (s, f) in enumerate(zip(steps, frames, strict=True))]
        boxes = torch.tensor([row.tolist() for step in tracks for clip in step for row in clip.box])
        images = torch.cat([step.images for step in steps])
        told = [rows.evidence for step in steps for rows in step.rows]
        gains = [v for e in told for v in (e.gain, e.given((e.gain > 0).to(e.gain)))]
        found.append([Terms(steps).elbo, gradient(model, Terms(steps).elbo.sum()), images, boxes, torch.cat(gains)])
    for windows, whole in zip(*found, strict=True):
        torch.testing.assert_close(windows, whole, rtol=1e-9, atol=1e-9)
