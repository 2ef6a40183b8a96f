"""The recurrence: shapes, clips apart, ids, slots, switches, gradients, sampling and prediction."""

import itertools
from dataclasses import replace

import pytest
import torch
from scipy import stats
from torch import Tensor

from conftest import (
    SPOTTER,
    TINY,
    Dictated,
    blend,
    bump,
    follow,
    gradient,
    moving_spots,
    seeded,
    spots,
    spotter,
    straight,
    tiny_model,
)
from sqair.bounds import Terms
from sqair.config import ModelConfig, TemporalConfig
from sqair.distributions import geometric_log_prob
from sqair.estimators import ESTIMATORS, make_estimator
from sqair.imagine import contrast, evolve, predict, sample
from sqair.inference import Inference, Refined, Sampled
from sqair.model import SQAIR, State, Step
from sqair.objects import Objects
from sqair.propagate import Propagation
from sqair.scene import Scene

pytestmark = pytest.mark.usefixtures("float64")

RECURRENT = replace(TINY, discovery="recurrent")
FEEDBACK = replace(RECURRENT, discovery_feedback=True)
OPAQUE = replace(TINY, objects="opaque", channels=3)
RECURRENT_OPAQUE = replace(RECURRENT, objects="opaque")
CONFIGS = {
    "residual": TINY,
    "recurrent": RECURRENT,
    "feedback": FEEDBACK,
    "opaque": OPAQUE,
    "recurrent opaque": RECURRENT_OPAQUE,
}
PER_FRAME = TemporalConfig(hidden=False, position=False, appearance=False, presence=False)
FALSE_ALARM = 1e-6


def run(model: SQAIR, frames: Tensor, inference: Inference | None = None) -> list[Step]:
    with torch.no_grad():
        return model(frames, inference or Inference())


# what a step says


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_step_says_what_it_explains(config: ModelConfig) -> None:
    frames = spots(config, 3, 4)
    steps = run(tiny_model(config), frames, Sampled(seeded(0)))
    assert len(steps) == 3
    for step in steps:
        m = len(step.objects)
        assert step.canvas.shape == frames[0].shape and step.log_likelihood.shape == (4,)
        assert step.images.shape == (m, *frames[0].shape[1:]) and step.confidence.shape == (m,)
        assert ((step.confidence > 0) & (step.confidence < 1)).all() and (step.objects.unseen == 0).all()
        clip = step.objects.clip
        only = torch.bincount(clip, minlength=4)[clip] == 1
        torch.testing.assert_close(step.canvas[clip[only]], step.images[only], rtol=0, atol=1e-12)
        if config.objects == "light":
            canvas = 1 - torch.exp(blend(torch.log(1 - step.images), clip, 4))
            torch.testing.assert_close(step.canvas, canvas, rtol=0, atol=1e-12)
        assert m == sum(int(rows.pres.sum()) for rows in step.rows)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("length", [1, 7])
@pytest.mark.parametrize("scene", ["black", "white", "spots", "spots that vanish"])
def test_clips_of_any_content_and_length_run(config: ModelConfig, length: int, scene: str) -> None:
    frames = {
        "black": torch.zeros(length, 2, config.channels, 20, 24),
        "white": torch.ones(length, 2, config.channels, 20, 24),
        "spots": spots(config, length, 2),
        "spots that vanish": spots(config, length, 2) * (torch.arange(length) % 4 < 2).view(-1, 1, 1, 1, 1),
    }[scene]
    model = tiny_model(config)
    for inference in (Inference(), Sampled(seeded(0), dropout=0.5, boldness=0.5), Refined(memory=3)):
        terms = Terms(run(model, frames, inference))
        assert terms.elbo.isfinite().all() and terms.log_weight.isfinite().all()
        assert all(step.canvas.min() >= 0 and step.canvas.max() < 1 for step in terms.steps)
    nobody = Terms(run(model, frames, Dictated()))
    assert all(len(step.objects) == 0 and step.canvas.abs().max() == 0 for step in nobody.steps)
    assert nobody.kl_z.abs().max() == 0


# clips apart


def assert_same_rows(together: Objects, alone: Objects, clip: int) -> None:
    mine = together.rows(together.clip == clip)
    mine, alone = (o.rows(o.id.argsort()) for o in (mine, alone))
    for name in ("id", "age", "what", "where", "velocity", "hidden", "glimpse", "unseen"):
        torch.testing.assert_close(getattr(mine, name), getattr(alone, name), rtol=0, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_batch_is_its_clips_one_by_one(config: ModelConfig) -> None:
    frames = torch.cat([spots(config, 6, 1, seed=s, count=s % 4) for s in range(6)], 1)
    assert_clips_are_apart(tiny_model(config, seed=8, noise=0.3), frames, Inference())


@pytest.mark.parametrize("inference", [Inference(), Refined(memory=3)])
def test_a_batch_is_its_clips_one_by_one_where_objects_come_and_go(inference: Inference) -> None:
    clips = []
    for b in range(5):
        paths = [straight(12, 10 + b, 2, 0.5, 8, hidden=range(2, 2 + b)), straight(40, 36, -1, -b / 5, 8)]
        clips.append(moving_spots(paths[: b % 3] or [[None] * 8]))
    assert_clips_are_apart(spotter(), torch.cat(clips, 1), inference)


def assert_clips_are_apart(model: SQAIR, frames: Tensor, inference: Inference) -> None:
    together = run(model, frames, inference)
    totals, clips = Terms(together), range(frames.shape[1])
    for b in clips:
        alone = run(model, frames[:, b : b + 1], inference)
        for step, single in zip(together, alone, strict=True):
            assert_same_rows(step.objects, single.objects, b)
            torch.testing.assert_close(step.canvas[b], single.canvas[0], rtol=0, atol=1e-5)
        terms = Terms(alone)
        for name in ("elbo", "log_weight", "kl_presence", "kl_z"):
            torch.testing.assert_close(getattr(totals, name)[b], getattr(terms, name)[0], rtol=1e-5, atol=1e-5)
    counts = {int((step.objects.clip == b).sum()) for step in together for b in clips}
    assert len(counts) > 1


def test_no_gradient_leaks_between_clips() -> None:
    for config in CONFIGS.values():
        model = tiny_model(config)
        frames = spots(config, 3, 3).requires_grad_()
        terms = Terms(model(frames, Inference()))
        assert len(torch.cat([rows.clip for rows in terms.rows]).unique()) == 3
        (leak,) = torch.autograd.grad(terms.elbo[1], frames)
        assert leak[:, 1].abs().max() > 0 and leak[:, [0, 2]].abs().max() == 0


# ids and slots


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_ids_are_unique_within_a_clip_and_never_used_again(config: ModelConfig) -> None:
    config = replace(config, slots=3, first_steps=2, later_steps=2)
    model, frames = tiny_model(config), spots(config, 12, 5)
    coins = torch.randint(2, (5, 200), generator=seeded(1)).tolist()
    old_gone = 0
    known: list[set[int]] = [set() for _ in range(5)]
    last: list[set[int]] = [set() for _ in range(5)]
    for step in run(model, frames, Dictated(script=coins)):
        for b in range(5):
            ids = step.objects.id[step.objects.clip == b].tolist()
            assert len(ids) == len(set(ids)) <= config.slots
            new = set(ids) - last[b]
            assert not new & known[b]
            assert new == set(range(len(known[b]), len(known[b]) + len(new)))
            old_gone += len(last[b] - set(ids))
            known[b] |= new
            last[b] = set(ids)
    assert old_gone > 5 and all(len(k) > config.slots for k in known)


def test_age_counts_the_frames_since_discovery() -> None:
    steps = run(tiny_model(), spots(TINY, 5, 1), Dictated(script=[[1, 0, *[1, 0] * 4]]))
    assert [step.objects.age.tolist() for step in steps] == [[0], [1], [2], [3], [4]]


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_no_more_objects_than_slots(slots: int) -> None:
    """Everything that is asked for is there: discovery stops where the slots are full."""
    config = replace(TINY, slots=slots, first_steps=3, later_steps=2, discovery="recurrent")
    steps = run(tiny_model(config), spots(config, 4, 2), Dictated(script=[[1] * 99, [0, 1, *[1] * 99]]))
    counts = [[int((step.objects.clip == b).sum()) for b in (0, 1)] for step in steps]
    assert counts[0] == [min(slots, 3), 0] and counts[-1] == [slots, slots]
    assert all(n <= slots for count in counts for n in count)


# sizes


@pytest.mark.parametrize("size", [(40, 64), (41, 27), (33, 50)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CONFIGS)
def test_any_canvas_and_channels_forward_and_backward(name: str, channels: int, size: tuple[int, int]) -> None:
    config = replace(CONFIGS[name], channels=channels, height=size[0], width=size[1])
    model, frames = tiny_model(config), spots(config, 3, 2)
    terms = Terms(model(frames, Sampled(seeded(1))))
    found = gradient(model, make_estimator("closed_form", config)(terms, frames, 1))
    assert terms.elbo.isfinite().all() and found.isfinite().all() and found.abs().max() > 0


@pytest.mark.parametrize("channels", [1, 3])
def test_objects_are_found_on_canvases_that_are_not_square(channels: int) -> None:
    """Width and height, x and y, rows and columns are not mixed up anywhere."""
    for height, width in ((40, 70), (70, 40)):
        config = replace(SPOTTER, height=height, width=width, channels=channels)
        paths = [straight(width - 14, 12, -2, 1, 6), straight(12, height - 14, 1, -1, 6)]
        found = follow(spotter(config), moving_spots(paths, config), Inference())
        for objects, *places in zip(found, *paths, strict=True):
            assert len(objects) == 2
            for place in places:
                assert min(max(abs(x - place[0]), abs(y - place[1])) for _, x, y in objects) < 1.5


# gradients


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("estimator", [name for name in ESTIMATORS if name not in ("enumeration", "concrete")])
def test_every_parameter_gets_a_gradient(config: ModelConfig, estimator: str) -> None:
    """On clips of three frames in which objects are found early and late, stay and go."""
    model = tiny_model(config)
    frames = spots(config, 3, 4).repeat(1, 2, 1, 1, 1)
    scripts = [[1, 1, 1, 0, 1], [1, 0, 1, 1, 1, 1], [0, 1, 1], [1, 1, 0, 1, 1]] * 2
    terms = Terms(model(frames, Dictated(seeded(0), script=scripts)))
    make_estimator(estimator, config)(terms, frames, 2).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    assert not without


# the four temporal dependencies


def switched(**switches: bool) -> ModelConfig:
    return replace(TINY, temporal=TemporalConfig(**switches))


def carried(model: SQAIR, inference: Inference | None = None) -> tuple[Tensor, State]:
    """A frame, and the state that three frames before it have left."""
    frames = spots(model.config, 4, 2)
    state = model.initial_state(2, frames)
    script = [[1, 1, *[1] * 20], [1, 0, *[1] * 20]]
    with torch.no_grad():
        for frame in frames[:3]:
            _, state = model.step(frame, state, inference or Dictated(script=script))
    return frames[3], state


def propagated(model: SQAIR, frame: Tensor, objects: Objects) -> list[Tensor]:
    propagation: Propagation = model.propagation
    with torch.no_grad():
        latents = propagation(Scene(frame, None, model.price, model.config), objects, None)
    return [*latents.q_where, *latents.p_where, *latents.q_what, *latents.p_what, latents.encoding]


def differs(a: list[Tensor], b: list[Tensor]) -> bool:
    return any(not torch.equal(x, y) for x, y in zip(a, b, strict=True))


MEMORIES = {"hidden": ("hidden",), "position": ("where", "velocity", "acceleration"), "appearance": ("what", "glimpse")}


@pytest.mark.parametrize("name", ["position", "appearance"])
@pytest.mark.parametrize("on", [True, False])
def test_propagation_depends_on_the_past_as_switched(name: str, on: bool) -> None:
    model = tiny_model(switched(**{name: on}))
    frame, state = carried(model)
    before = propagated(model, frame, state.objects)
    for field in MEMORIES[name]:
        value = getattr(state.objects, field)
        past = replace(state.objects, **{field: value + 0.3 * torch.rand_like(value)})
        assert differs(before, propagated(model, frame, past)) == on, field


def test_the_hidden_state_is_carried_as_switched() -> None:
    for on in (True, False):
        model = tiny_model(switched(hidden=on))
        _, state = carried(model)
        first = model.first_hidden.detach().expand_as(state.objects.hidden)
        assert torch.equal(state.objects.hidden, first) != on
        frames = spots(TINY, 3, 2)
        script = [[1] * 20] * 2
        before = Terms(run(model, frames, Dictated(script=script))).elbo
        with torch.no_grad():
            for parameter in model.recurrent.parameters():
                parameter.add_(0.3)
        assert torch.equal(before, Terms(run(model, frames, Dictated(script=script))).elbo) != on


def test_switched_off_priors_are_those_of_new_objects() -> None:
    for on in (True, False):
        model = tiny_model(switched(position=on, appearance=on, presence=on))
        frame, state = carried(model)
        with torch.no_grad():
            step, _ = model.step(frame, state, Inference())
        old = next(rows for rows in step.rows if not rows.proposal.round)
        stay = TINY.stay_logit if on else -model.price
        assert old.proposal.p_logit.unique().tolist() == pytest.approx([stay])
        for prior in (old.proposal.posterior.p_where, old.proposal.posterior.p_what):
            standard = bool((prior.mean == 0).all() and (prior.log_std == 0).all())
            assert standard != on


@pytest.mark.parametrize("switches", list(itertools.product([False, True], repeat=4)))
def test_all_sixteen_combinations_run_forward_and_backward(switches: tuple[bool, ...]) -> None:
    config = replace(TINY, temporal=TemporalConfig(*switches))
    model = tiny_model(config)
    frames = spots(config, 3, 2)
    terms = Terms(model(frames, Sampled(seeded(2))))
    assert gradient(model, make_estimator("closed_form", config)(terms, frames, 1)).isfinite().all()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_all_off_is_static_air_on_every_frame(config: ModelConfig) -> None:
    """Sampled with one generator, a clip is its frames one after another, in every term of the bound."""
    config = replace(config, temporal=PER_FRAME)
    model, frames = tiny_model(config), spots(config, 4, 3)
    together = Terms(run(model, frames, Sampled(seeded(6), dropout=0.9)))
    one_generator = Sampled(seeded(6))
    apart = [Terms(run(model, frame[None], one_generator)) for frame in frames]
    for name in ("elbo", "log_weight", "log_likelihood", "kl_z", "kl_presence", "log_q_presence"):
        expected = torch.stack([getattr(terms, name) for terms in apart]).sum(0)
        torch.testing.assert_close(getattr(together, name), expected, rtol=0, atol=1e-9)
    for step, single in zip(together.steps, (terms.steps[0] for terms in apart), strict=True):
        assert torch.equal(step.canvas, single.canvas)
        assert torch.equal(step.objects.where, single.objects.where)
        assert len(step.objects) == len(step.images) == len(step.confidence)
    # and, not to be trusted to the test above alone, another frame before it changes nothing
    changed = frames.clone()
    changed[0] = spots(config, 1, 3, seed=8)[0]
    assert torch.equal(run(model, changed)[-1].canvas, run(model, frames)[-1].canvas)


def test_all_off_forgets_objects_of_frames_before_an_empty_one() -> None:
    config = replace(TINY, temporal=PER_FRAME)
    frames = spots(config, 2, 1) * torch.tensor([1.0, 0.0]).view(2, 1, 1, 1, 1)
    first, second = run(tiny_model(config), frames, Dictated(script=[[1]]))
    assert len(first.objects) == 1
    assert len(second.objects) == len(second.images) == len(second.confidence) == 0


# determinism


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_same_generator_gives_the_same_run_and_ambient_randomness_is_left_alone(config: ModelConfig) -> None:
    model, frames = tiny_model(config), spots(config, 4, 3)
    ambient = torch.get_rng_state()

    def bounds(seed: int) -> Tensor:
        inference = Sampled(seeded(seed), dropout=0.3, boldness=0.3)
        return Terms(run(model, frames, inference)).log_weight

    first = bounds(3)
    torch.rand(7)
    assert torch.equal(first, bounds(3)) and not torch.equal(first, bounds(4))
    torch.set_rng_state(ambient)
    bounds(3)
    assert torch.equal(torch.get_rng_state(), ambient)


def test_modes_and_samples_of_equal_weights_differ_by_seed_of_the_model_only() -> None:
    frames = spots(TINY, 2, 2)
    a, b, other = (Terms(run(tiny_model(seed=s), frames)).elbo for s in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, other)


# the model without a frame


def test_samples_of_the_prior_have_its_counts_and_positions() -> None:
    """With spots of known mass, the ink of a frame counts the objects: by noisy-or, a little less."""
    model = spotter(replace(SPOTTER, position_std=0.0, size_std=1e-9))
    clips = sample(model, 4000, 1, seeded(5), price=0.7)
    assert clips.shape == (1, 4000, 1, 44, 52)
    middle = clips[0, :, 0, 22, 26]
    one = 0.99 * float(bump(torch.tensor([26.0, 22.0]), SPOTTER, 3.0)[22, 26].clamp(max=1 - 1e-4))
    counts = (torch.log1p(-middle) / torch.log1p(torch.tensor(-one))).round().long()
    observed = torch.bincount(counts, minlength=4).numpy()
    expected = (geometric_log_prob(0.7, 3).exp() * 4000).numpy()
    assert stats.chisquare(observed, expected).pvalue > FALSE_ALARM
    assert torch.equal(clips, sample(model, 4000, 1, seeded(5), price=0.7))


def test_samples_of_clips_move_on() -> None:
    clips = sample(tiny_model(), 5, 4, seeded(0))
    assert clips.shape == (4, 5, 1, 20, 24) and clips.isfinite().all()
    assert clips.min() >= 0 and clips.max() <= 1


def test_prediction_goes_on_as_the_objects_went() -> None:
    paths = [straight(12, 12, 2, 1, 9), straight(40, 34, -1, -0.5, 9)]
    frames = moving_spots(paths)
    model = spotter()
    images, objects = predict(model, frames[:5], 4)
    assert images.shape == (4, 1, 1, 44, 52) and len(objects) == 4
    for image, frame, still in zip(images, frames[5:], [frames[4]] * 4, strict=True):
        assert (image - frame).square().sum() < 0.3 * (still - frame).square().sum()
    assert all(o.id.tolist() == [0, 1] for o in objects)
    again, _ = predict(model, frames[:5], 4, seeded(1))
    assert torch.equal(again, predict(model, frames[:5], 4, seeded(1))[0])


@pytest.mark.parametrize("background", ["none", "smooth", "still"])
@pytest.mark.parametrize("on", [True, False])
def test_objects_stay_in_what_is_imagined_as_often_as_the_model_has_it(background: str, on: bool) -> None:
    """Of 20000 samples of each object, as many as the prior that the model itself weighs z_pres with; FALSE_ALARM."""
    config = switched(presence=on)
    behind = {"background": background, "background_cells": 4, "background_change": 0.0}
    model = tiny_model(replace(config, stay_logit=1.2, **behind), price=1.1)
    frames = 0.3 + 0.7 * spots(config, 2, 3)
    still = 0.3 * torch.rand(3, 1, 20, 24) if background == "still" else None
    with torch.no_grad():
        _, state = model.step(frames[0], model.initial_state(3, frames, still), Dictated(script=[[1] * 9] * 3))
        step, after = model.step(frames[0], state, Dictated(script=[[1] * 9] * 3))
    rows = next(rows for rows in step.rows if not rows.proposal.round)
    over = contrast(model, after.background, frames[0])
    copies = 20000
    many = state.objects.rows(torch.arange(len(state.objects)).repeat_interleave(copies))
    chances = torch.sigmoid(rows.proposal.p_logit)
    assert len(chances.unique()) == (1 if on or background == "none" else 3)
    generator = seeded(4)
    for i, chance in enumerate(chances.tolist()):
        part = many.rows(torch.arange(i * copies, (i + 1) * copies))
        with torch.no_grad():
            left, _ = evolve(model, part, over, model.price, generator)
        assert stats.binomtest(len(left), copies, chance).pvalue > FALSE_ALARM


def test_means_of_a_prior_without_presence_or_any_dependency_hold_no_object() -> None:
    """At a price, an object is less likely than none; per-frame AIR carries none, whatever ``stay_logit`` says."""
    frames = spots(TINY, 3, 2)
    for config, left in ((TINY, True), (switched(presence=False), False), (replace(TINY, temporal=PER_FRAME), False)):
        model = tiny_model(config)
        observed = model.initial_state(2, frames)
        with torch.no_grad():
            for frame in frames:
                _, observed = model.step(frame, observed, Dictated(script=[[1] * 9] * 2))
            objects, _ = evolve(model, observed.objects, torch.ones(2), model.price, None)
            sampled, _ = evolve(model, observed.objects, torch.ones(2), -50.0, seeded(0))
        assert bool(len(objects)) == left
        assert bool(len(sampled)) == config.temporal.any()
