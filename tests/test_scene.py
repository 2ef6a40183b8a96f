"""What a frame that is being explained says of new objects: whether they touch others, and what they could gain."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from conftest import TINY, seeded, tiny_model
from sqair.distributions import Gaussian
from sqair.geometry import where_to_box
from sqair.inference import Inference, Sampled
from sqair.model import SQAIR
from sqair.objects import Posterior
from sqair.scene import Evidence, Proposal, Scene

pytestmark = pytest.mark.usefixtures("float64")


def proposed(model: SQAIR, where: Tensor, clip: Tensor) -> Proposal:
    """New objects at ``where [M, 4]`` in the clips ``clip [M]``, of the looks that are likeliest."""
    what, prior = torch.zeros(len(clip), TINY.z_what), Gaussian.standard(where)
    looks = Gaussian.standard(what)
    posterior = Posterior(where_to_box(where, model.config), where, what, prior, prior, looks, looks, what)
    objects, paint = model.born(posterior, clip, torch.zeros(int(clip.max()) + 1, dtype=torch.int64))
    none = torch.zeros(len(clip))
    return Proposal(objects, posterior, paint, none, none, none, 1 + none, round=1)


def discovered(model: SQAIR, clips: int) -> Scene:
    """Frames of noise in which all that is proposed was found."""
    frame = torch.rand(clips, 1, 20, 24, generator=seeded(0))
    scene = Scene(frame, None, 1.0, TINY)
    inference = Sampled(seeded(1), boldness=1.0, bold_all=True)
    model._discover(scene, model.initial_state(clips, frame), None, inference)
    return scene


@torch.no_grad()
def test_prospects_are_what_loops_over_pixels_and_boxes_say() -> None:
    model = tiny_model()
    scene = discovered(model, 3)
    frame = scene.frame
    assert len(scene.alive) == 2
    clip = torch.arange(3).repeat_interleave(20)
    where = torch.randn(60, 4, generator=seeded(2))
    box = where_to_box(where, TINY)
    evidence = Evidence(scene, proposed(model, where, clip))
    touches, most = evidence.touches(), evidence.most()
    missing = (frame - scene.canvas()).clamp_min(0).square().sum(1) / (2 * TINY.likelihood_std**2)
    hits = 0
    for m in range(60):
        x, y, w, h = box[m].tolist()
        met = False
        for found in scene.alive:
            for b, other in zip(found.clip.tolist(), where_to_box(found.where, TINY).tolist(), strict=True):
                apart = abs(x - other[0]) > (w + other[2]) / 2 or abs(y - other[1]) > (h + other[3]) / 2
                met = met or (b == clip[m] and not apart)
        assert bool(touches[m]) == met
        hits += met
        fuzzy = [max(1.0, side / TINY.glimpse) for side in (w, h)]  # how far the edge of what is drawn is soft
        bounds = []
        for grow in (-1, 1):
            rows = (torch.arange(20) + 0.5 - y).abs() < h / 2 + grow * fuzzy[1]
            columns = (torch.arange(24) + 0.5 - x).abs() < w / 2 + grow * fuzzy[0]
            bounds.append(float(missing[clip[m]][rows][:, columns].sum()))
        assert bounds[0] - 1e-9 <= float(most[m]) <= bounds[1] + 1e-9
    assert 5 < hits < 55


@torch.no_grad()
def test_overlap_is_the_share_of_ink_that_lies_on_others() -> None:
    """Of what is drawn, summed over pixels one by one; nobody lies on oneself."""
    model = tiny_model()
    scene = discovered(model, 2)
    where, clip = torch.randn(12, 4, generator=seeded(2)), torch.arange(2).repeat_interleave(6)
    proposal = proposed(model, where, clip)
    overlap = Evidence(scene, proposal).overlap()
    own, others = 1 - proposal.paint.full().exp(), 1 - scene.paint.exp()
    for m in range(12):
        shares = [float(own[m, 0, y, x] * others[clip[m], 0, y, x]) for y in range(20) for x in range(24)]
        assert float(overlap[m]) == pytest.approx(sum(shares) / float(own[m].sum()))
    assert 0 <= overlap.min() < 0.3 < overlap.max() <= 1
    alone = replace(proposed(model, where[:1], clip[:1]), on=torch.ones(1), round=0)
    scene.show(alone)
    assert float(Evidence(scene, alone).overlap()) == pytest.approx(0, abs=1e-9)


def test_nothing_touches_where_nothing_was_found() -> None:
    scene = Scene(torch.rand(1, 1, 20, 24), None, 1.0, TINY)
    proposal = proposed(tiny_model(), torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64))
    assert not Evidence(scene, proposal).touches().any()


def test_exploration_finds_what_the_posterior_would_not() -> None:
    """An untrained model whose posterior says no accepts what is there when it explores, and nothing otherwise."""
    model, frame = tiny_model(price=1.0), torch.rand(1, 4, 1, 20, 24, generator=seeded(3))
    assert model.new_presence is not None
    model.new_presence.bias = -1e3
    assert len(model(frame, Sampled(seeded(4), exploration=1.0))[0].objects)
    assert not len(model(frame, Sampled(seeded(4)))[0].objects) and not len(model(frame, Inference())[0].objects)


def test_what_a_step_holds_goes_with_it() -> None:
    """Without the garbage collector: a cycle would hold the graphs of many steps, gigabytes of them, until it runs."""
    model, frames = tiny_model(), torch.rand(2, 2, 1, 20, 24)
    gc.disable()
    try:
        steps = model(frames, Sampled(seeded(5), exploration=0.5, crowd_dropout=0.5, boldness=0.5))
        held = [weakref.ref(rows) for step in steps for rows in step.rows]
        del steps
        assert held and not any(rows() for rows in held)
    finally:
        gc.enable()
