"""Who decides whether an object is there: samples, modes, refinement by gain, and the memory of hidden objects."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from conftest import SPOTTER, blend, follow, moving_spots, seeded, spotter, straight
from sqair.config import ModelConfig
from sqair.discover import Discovery
from sqair.distributions import Gaussian
from sqair.inference import Explored, Inference, Refined, Sampled
from sqair.inference.forced import embolden
from sqair.life import born
from sqair.objects import Posterior
from sqair.render import Light, log_likelihood
from sqair.scene import Evidence, Proposal, Scene

pytestmark = pytest.mark.usefixtures("float64")

STD = 0.3
FALSE_ALARM = 1e-6


@dataclass
class Told:
    """Evidence as a test has it."""

    gain: Tensor
    kl: Tensor
    given: Callable[[Tensor], Tensor]
    price: Tensor
    touching: Tensor
    reach: Tensor
    over_black: float = 1.0
    clips: int = 1
    crowding: float = 0.0
    share: Tensor | None = None

    def overlap(self) -> Tensor:
        assert self.share is not None
        return self.share

    def touches(self) -> Tensor:
        return self.touching

    def most(self) -> Tensor:
        return self.reach


def told(q_logit: Tensor, clip: Tensor | None = None, **changes) -> tuple[Proposal, Evidence, Tensor]:
    """What ``Inference.settle`` gets of objects of which all is so that nothing happens, but for ``changes``."""
    m = len(q_logit)
    nothing, one = Gaussian.standard(torch.zeros(m, 1)), torch.ones(m)
    latents = Posterior(nothing.mean, nothing.mean, nothing.mean, nothing, nothing, nothing, nothing, nothing.mean)
    clip = torch.zeros(m, dtype=torch.int64) if clip is None else clip
    objects = born(latents, clip, clip, nothing.mean, nothing.mean)
    known = {f.name for f in fields(Proposal)}
    plan = {"p_logit": 0 * one, "q_logit": None, "on": one, "weight": one, "round": 0}
    plan |= {name: value for name, value in changes.items() if name in known}
    said = {"gain": 100 * one, "kl": 0 * one, "given": lambda on: 100 * one, "price": one, "touching": one < 0}
    said |= {"reach": 100 * one, **{name: value for name, value in changes.items() if name not in known}}
    proposal = Proposal(objects, latents, paint=None, **plan)  # type: ignore[arg-type]
    return proposal, Told(**said), q_logit  # type: ignore[return-value]


def test_modes_and_samples_of_the_posterior() -> None:
    logit = torch.tensor([-2.0, -0.1, 0.1, 2.0])
    assert Inference().settle(*told(logit)).pres.tolist() == [0, 0, 1, 1]
    draws = 20_000
    pres = Inference(seeded(1)).settle(*told(logit.repeat(draws))).pres.view(draws, 4)
    for hits, probability in zip(pres.sum(0).tolist(), torch.sigmoid(logit).tolist(), strict=True):
        assert stats.binomtest(int(hits), draws, probability).pvalue > FALSE_ALARM
    again = Inference(seeded(1)).settle(*told(logit.repeat(draws))).pres.view(draws, 4)
    assert torch.equal(pres, again)


def test_boldness_is_for_first_discoveries_only() -> None:
    logit = torch.full((20_000,), -40.0)
    bold = Sampled(seeded(2), boldness=0.3)
    assert bold.settle(*told(logit, round=2)).pres.sum() == 0
    hits = bold.settle(*told(logit, round=1)).pres.sum()
    assert stats.binomtest(int(hits), len(logit), 0.3).pvalue > FALSE_ALARM
    assert Sampled(seeded(2)).settle(*told(logit)).pres.sum() == 0
    sure = Sampled(seeded(2), boldness=0.3).settle(*told(-logit)).pres
    assert sure.all()  # boldness never takes an object away


def test_explored_boldness_is_a_part_of_the_posterior() -> None:
    logit = torch.tensor([-900.0, -3.0, 0.5, 40.0], requires_grad=True)
    for boldness in (0.2, 0.99):
        expected = boldness + (1 - boldness) * torch.sigmoid(logit)
        bold = embolden(logit, torch.full_like(logit, boldness))
        torch.testing.assert_close(torch.sigmoid(bold), expected, rtol=1e-12, atol=1e-12)
        slope, expected_slope = (torch.autograd.grad(v.sum(), logit)[0] for v in (bold, logit))
        assert slope.isfinite().all() and (slope <= expected_slope + 1e-12).all()
    many = torch.full((20_000,), -1.0)
    for turn, share in ((1, 0.3), (2, 0.0), (0, 0.0)):
        row = Explored(seeded(2), boldness=0.3).settle(*told(many, round=turn))
        hits = row.pres.sum()
        q = share + (1 - share) / (1 + math.e)
        torch.testing.assert_close(torch.sigmoid(row.q_logit), torch.full_like(many, q), rtol=1e-12, atol=0)
        assert stats.binomtest(int(hits), len(many), q).pvalue > FALSE_ALARM


def prospects(price: float, contrast: float) -> dict:
    """Four objects many times: alone or not, with just enough to gain at that price to be explored, or too little."""
    touches = torch.tensor([False, False, True, True]).repeat(20_000)
    worth = 1.2 * price * contrast * torch.tensor([1.01, 0.99, 1.01, 0.99]).repeat(20_000)
    some = torch.full((80_000,), contrast)
    return {"touching": touches, "reach": worth, "price": price * some, "round": 2}


def test_exploration_accepts_what_is_alone_and_could_pay() -> None:
    never = torch.full((80_000,), -40.0)
    hits = Sampled(seeded(4), exploration=0.3).settle(*told(never, **prospects(50.0, 0.8))).pres.view(-1, 4).sum(0)
    assert stats.binomtest(int(hits[0]), 20_000, 0.3).pvalue > FALSE_ALARM and hits[1:].sum() == 0
    carried = {**prospects(50.0, 0.8), "round": 0}
    assert Sampled(seeded(4), exploration=0.3).settle(*told(never, **carried)).pres.sum() == 0


def test_crowd_dropout_rejects_what_touches_another() -> None:
    always = torch.full((80_000,), 40.0)
    hits = Sampled(seeded(5), crowd_dropout=0.4).settle(*told(always, **prospects(50.0, 0.8))).pres.view(-1, 4).sum(0)
    assert (hits[:2] == 20_000).all()
    for count in hits[2:].tolist():
        assert stats.binomtest(int(count), 20_000, 0.6).pvalue > FALSE_ALARM
    carried = {**prospects(50.0, 0.8), "round": 0}
    assert Sampled(seeded(5), crowd_dropout=0.4).settle(*told(always, **carried)).pres.all()


def test_what_is_explored_and_rejected_is_a_part_of_the_posterior() -> None:
    row = told(torch.full((80_000,), -1.0), **{**prospects(50.0, 1.0), "round": 1})
    inference = Explored(seeded(6), boldness=0.1, exploration=0.3, crowd_dropout=0.4)
    row = inference.settle(*row)
    hits = row.pres.view(-1, 4).sum(0)
    q = 1 / (1 + math.e)
    for count, logit, accepted, rejected in zip(
        hits.tolist(), row.q_logit[:4].tolist(), (0.3, 0.1, 0.1, 0.1), (0, 0, 0.4, 0.4), strict=True
    ):
        expected = (1 - rejected) * (accepted + (1 - accepted) * q)
        assert 1 / (1 + math.exp(-logit)) == pytest.approx(expected, rel=1e-12)
        assert stats.binomtest(int(count), 20_000, expected).pvalue > FALSE_ALARM


def test_a_posterior_of_which_all_is_rejected_stays_finite() -> None:
    logit = torch.full((80_000,), 3.0, requires_grad=True)
    row = Explored(seeded(7), exploration=1.0, crowd_dropout=1.0).settle(*told(logit, **prospects(50.0, 1.0)))
    assert row.q_logit.isfinite().all() and (row.q_logit[2:4] < -4).all() and row.q_logit[0] > 4
    (slope,) = torch.autograd.grad(row.q_logit.sum(), logit)
    assert slope.isfinite().all()


def test_dropout_skips_its_share_of_discoveries() -> None:
    inference = Sampled(seeded(3), dropout=0.25)
    skipped = sum(inference.skips_discovery() for _ in range(5000))
    assert stats.binomtest(skipped, 5000, 0.25).pvalue > FALSE_ALARM
    assert not Sampled(seeded(3)).skips_discovery() and not Inference().skips_discovery()


# refinement by coordinate ascent


def scene(objects: int, seed: int, clips: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Frames, and log(1 - g) and clip of objects of which about half explain their frame."""
    generator = seeded(seed)
    size = (1, 8, 9)
    clip = torch.randint(clips, (objects,), generator=generator)
    image = Light().paint(torch.rand(objects, *size, generator=generator) ** 3)
    true = (torch.rand(objects, generator=generator) < 0.5).double()
    frame = -torch.expm1(blend(true[:, None, None, None] * image, clip, clips))
    return (frame + 0.1 * torch.randn(clips, *size, generator=generator)).clamp(0, 1), image, clip


def gains(on: Tensor, frame: Tensor, image: Tensor, clip: Tensor) -> Tensor:
    """What each object gains given the others that are on, as a difference of log-likelihoods."""
    found = []
    for m in range(len(on)):
        values = []
        for state in (1.0, 0.0):
            present = on.clone()
            present[m] = state
            canvas = -torch.expm1(blend(present[:, None, None, None] * image, clip, len(frame)))
            values.append(log_likelihood(frame, canvas, STD)[clip[m]])
        found.append(values[0] - values[1])
    return torch.stack(found)


def test_refinement_ends_where_no_single_change_helps() -> None:
    changed = 0
    for seed in range(20):
        frame, image, clip = scene(7, seed)
        refined = Refined(keep=2.0, back=4.0)
        reach = (torch.rand(7) < 0.7).double()
        before = gains(reach, frame, image, clip)
        given = partial(gains, frame=frame, image=image, clip=clip)
        on = refined.settle(*told(torch.zeros(7), clip, on=reach, gain=before, given=given, clips=len(frame))).pres
        final = gains(on, frame, image, clip)
        assert (final[on > 0] >= refined.keep).all() and (final[on == 0] <= refined.back).all()
        changed += int((on != reach).sum())
    assert changed > 20


def test_of_two_that_explain_the_same_one_stays() -> None:
    """Neither gains anything beside the other; dropping both at once would lose the object."""
    _, image, _ = scene(1, 0)
    image = image.expand(2, -1, -1, -1) + torch.tensor([0.0, -1e-3]).view(2, 1, 1, 1)
    frame = -torch.expm1(image[:1])
    on, clip = torch.ones(2), torch.zeros(2, dtype=torch.int64)
    together = gains(on, frame, image, clip)
    assert (together < 1).all()
    given = partial(gains, frame=frame, image=image, clip=clip)
    kept = Refined(keep=5.0).settle(*told(torch.zeros(2), gain=together, given=given)).pres
    assert kept.sum() == 1


def test_refined_discovery_accepts_what_the_bound_gains_from() -> None:
    """Gain minus KL minus price, whatever q(z_pres) says."""
    gained, kl = torch.tensor([20.1, 19.9, 30.1, 19.9]), torch.tensor([10.0, 10.0, 20.0, 9.8])
    new = told(torch.tensor([-9.0, 9.0, 0.0, 0.0]), round=2, gain=gained, kl=kl, p_logit=torch.full((4,), -10.0))
    assert Refined().settle(*new).pres.tolist() == [1, 0, 1, 1]


def test_a_remembered_object_needs_more_to_return_than_to_stay() -> None:
    frame, image, _ = scene(1, 4, clips=1)
    frame = -torch.expm1(0.4 * image)
    gained = Light().gain(frame, image, torch.zeros_like(image), None, STD)
    refined = Refined(keep=float(gained) - 1, back=float(gained) + 1)
    for reach in (0.0, 1.0):
        row = told(torch.zeros(1), on=torch.tensor([reach]), gain=gained)
        assert refined.settle(*row).pres.tolist() == [reach]


def test_a_remembered_object_returns_only_where_and_as_it_was_expected() -> None:
    """What keeps an object that is there does not bring one back: its KL must be small too."""
    frame, image, _ = scene(1, 4, clips=1)
    frame = -torch.expm1(image)
    gained = Light().gain(frame, image, torch.zeros_like(image), None, STD)
    for kl, reach, expected in ((1.9, 0.0, 1), (2.1, 0.0, 0), (2.1, 1.0, 1)):
        row = told(torch.zeros(1), on=torch.tensor([reach]), gain=gained, kl=torch.tensor([kl]))
        assert Refined(back=float(gained) - 1, familiar=2.0).settle(*row).pres.tolist() == [expected]


def test_clips_are_refined_apart() -> None:
    for seed in range(5):
        frame, image, clip = scene(8, seed, clips=3)
        reach = torch.ones(8)
        before = gains(reach, frame, image, clip)
        refined = Refined(keep=2.0, back=4.0)
        given = partial(gains, frame=frame, image=image, clip=clip)
        together = refined.settle(*told(torch.zeros(8), clip, on=reach, gain=before, given=given, clips=3)).pres
        for c in range(3):
            mine = clip == c
            given = partial(gains, frame=frame[c, None], image=image[mine], clip=torch.zeros_like(clip[mine]))
            row = told(torch.zeros(int(mine.sum())), on=reach[mine], gain=before[mine], given=given)
            assert torch.equal(together[mine], refined.settle(*row).pres)


# objects over time, in scenes with a model made by hand


def test_the_handmade_model_follows_its_spots() -> None:
    """What the tests below rest on: positions to two pixels, one id each, with and without refinement."""
    paths = [straight(12, 10, 2, 0.5, 10), straight(40, 36, -1, -0.2, 10)]
    for inference in (Inference(), Refined(), Refined(memory=10)):
        found = follow(spotter(), moving_spots(paths), inference)
        for t, objects in enumerate(found):
            assert [i for i, _, _ in objects] == [0, 1]
            for (_, x, y), path in zip(objects, paths, strict=True):
                assert math.hypot(x - path[t][0], y - path[t][1]) < 2


@pytest.mark.parametrize("hidden", [0, 1])
@pytest.mark.parametrize(("memory", "returns"), [(10, True), (3, True), (2, False), (0, False)])
def test_an_object_hidden_for_three_frames_returns_under_its_id(hidden: int, memory: int, returns: bool) -> None:
    """Blanked in frames 3 to 5 while another object goes on; a memory of fewer frames forgets it."""
    paths = [straight(12, 10, 2, 0.5, 10), straight(40, 36, -1, -0.2, 10)]
    end = paths[hidden][-1]
    for t in (3, 4, 5):
        paths[hidden][t] = None
    found = follow(spotter(), moving_spots(paths), Refined(memory=memory))
    ids = [[i for i, _, _ in objects] for objects in found]
    other = 1 - hidden
    assert ids[:3] == [[0, 1]] * 3
    assert ids[3:6] == [[other]] * 3  # and it has not taken the other's place
    assert ids[6:] == [[0, 1] if returns else [other, 2]] * 4
    x, y = next(place for i, *place in found[-1] if i == (hidden if returns else 2))
    assert math.hypot(x - end[0], y - end[1]) < 2


def test_two_hidden_objects_return_each_under_its_own_id() -> None:
    """All frames between are black; they are told apart by where they were going."""
    paths = [straight(10, 12, 2, 0, 12, hidden=range(4, 8)), straight(10, 32, 2, 0, 12, hidden=range(4, 8))]
    found = follow(spotter(), moving_spots(paths), Refined(memory=10))
    assert [len(objects) for objects in found] == [2] * 4 + [0] * 4 + [2] * 4
    for before, after in zip(found[3], found[-1], strict=True):
        assert before[0] == after[0] and abs(before[2] - after[2]) < 2


def test_returning_objects_respect_the_slots() -> None:
    """With one slot: an object hides, another is found, and when the first is seen again there is no room for it."""
    model = spotter(replace(SPOTTER, slots=1))
    first = straight(12, 12, 0, 0, 6, hidden=range(2, 4))
    second = straight(38, 32, 0, 0, 6, hidden=range(2))
    inference = Refined(memory=10)
    state, counts = model.initial_state(1, torch.zeros(1)), []
    with torch.no_grad():
        for t, frame in enumerate(moving_spots([first, second])):
            if t == 2:  # it does not look like the other one, or it would take its place
                blank = torch.zeros_like(state.objects.glimpse)
                state.objects, looks = replace(state.objects, glimpse=blank), state.objects.glimpse
            if t == 4:
                state.objects = replace(state.objects, glimpse=looks.expand_as(state.objects.glimpse))
            step, state = model.step(frame, state, inference)
            counts.append(len(step.objects))
    assert counts[:4] == [1, 1, 1, 1] and int(state.next_id) == 2
    assert counts[4:] == [1, 1]


@dataclass
class Undeterred(Refined):
    """Looks for objects that could not be accepted, too."""

    def promising(self, scene: Scene, p_logit: Tensor) -> Tensor:
        return torch.ones_like(p_logit, dtype=torch.bool)


def test_not_looking_where_nothing_could_be_accepted_changes_nothing() -> None:
    """Spots that come late are found all the same; the search is shorter, since frames are nearly explained."""
    model = spotter(replace(SPOTTER, saliency_threshold=1e-6))
    first, second = straight(10, 10, 2, 1, 8), straight(40, 32, -1, -1, 8, hidden=range(3))
    frames = (0.97 * moving_spots([first, second])).to(torch.get_default_dtype())
    searches = {}
    found = {}
    for kind in (Refined, Undeterred):
        searches[kind] = 0
        with pytest.MonkeyPatch.context() as patch:

            def counted(*args, kind: type = kind, **kwargs):
                searches[kind] += 1
                return Discovery.forward(model.discovery, *args, **kwargs)

            patch.setattr(model.discovery, "forward", counted)
            found[kind] = follow(model, frames, kind(restarts=1))
    assert found[Refined] == found[Undeterred]
    assert {i for objects in found[Refined] for i, _, _ in objects} == {0, 1}
    assert 2 <= searches[Refined] < searches[Undeterred]


def test_what_a_frame_misses_bounds_what_any_object_gains() -> None:
    frame, image, clip = scene(12, 3, clips=4)
    clear = blend(0.3 * image, clip, 4)
    gained = Light().gain(frame[clip], image, clear[clip], None, STD)
    config = ModelConfig(height=8, width=9, likelihood_std=STD)
    scenes = [Scene(f, None, 1.0, config) for f in (frame, torch.zeros_like(frame))]
    for one in scenes:
        one.paint = clear
    for c in range(4):
        price = float(gained[clip == c].max())
        assert Refined().promising(scenes[0], torch.full((4,), -price + 1e-9))[c]
    assert not Refined().promising(scenes[1], torch.full((4,), -0.1)).any()


def test_the_thresholds_of_refinement_are_these_shares_of_the_price() -> None:
    """Kept from half a price on, back from a whole one, if what was expected of it is off by less than half of one."""
    price = 40.0
    for on, gain, kl, expected in (
        (1.0, 0.51, 0.0, 1), (1.0, 0.49, 0.0, 0), (1.0, 0.51, 0.9, 1),
        (0.0, 1.01, 0.49, 1), (0.0, 0.99, 0.49, 0), (0.0, 1.01, 0.51, 0),
    ):  # fmt: skip
        one = torch.ones(1)
        gained = gain * price * one

        def given(there: Tensor, gained: Tensor = gained) -> Tensor:
            return gained

        row = told(torch.zeros(1), on=on * one, gain=gained, given=given, kl=kl * price * one, price=price * one,
                   over_black=price)  # fmt: skip
        assert Refined().settle(*row).pres.tolist() == [expected], (on, gain, kl)


def test_refinement_drops_all_that_are_not_seen() -> None:
    """One after the other, however many: those of a school that darts off are all gone from where they were."""
    worth = -1.0 - torch.arange(9)
    asked: list[Tensor] = []

    def given(there: Tensor) -> Tensor:
        asked.append(there)
        return worth

    pres = Refined().settle(*told(torch.zeros(9), gain=worth, given=given)).pres
    assert len(asked) == 9 and not pres.any()

# candidates that are rejected


def speckled(paths: list, *specks: tuple[int, int]) -> Tensor:
    """A clip of spots dimmed to .7, and at each of ``specks`` (x, y) a bright square that no spot explains."""
    frames = 0.7 * moving_spots(paths)
    for x, y in specks:
        frames[..., y - 2 : y + 2, x - 2 : x + 2] = 1.0
    return frames


@pytest.mark.parametrize(("specks", "patience", "finds"), [(1, 0, False), (1, 1, True), (2, 1, False), (2, 2, True)])
def test_discovery_looks_on_where_candidates_were_rejected(specks: int, patience: int, finds: bool) -> None:
    """Where it looks first, at the brightest, is nobody: in the first frame, and in later ones, of one step each."""
    model = spotter(replace(SPOTTER, patience=patience))
    places = [(44, 36), (8, 38)][:specks]
    for path in (straight(14, 12, 1, 0, 4), straight(14, 12, 1, 0, 4, hidden=range(2))):
        found = follow(model, speckled([path], *places), Refined(restarts=1))
        for t, objects in enumerate(found):
            assert len(objects) == (finds and path[t] is not None)
    if finds:
        amortised = follow(model, speckled([straight(14, 12, 1, 0, 4)], *places), Inference())
        assert amortised[0] == [], "amortised inference does not"


def test_patience_is_that_of_each_clip() -> None:
    """One clip has a speck, the next none, the last nothing at all: each finds what it finds alone."""
    model = spotter(replace(SPOTTER, patience=1))
    clips = [speckled([straight(14, 12, 1, 0, 3)], (44, 36)), speckled([straight(30, 30, 0, 1, 3)])]
    clips.append(torch.zeros(3, 1, 1, 44, 52))
    together = [sorted(step.objects.clip.tolist()) for step in model(torch.cat(clips, 1), Refined(restarts=1))]
    assert together == [[0, 1]] * 3


@pytest.mark.parametrize("returns", [True, False])
def test_who_leaves_is_forgotten_where_nobody_returns(returns: bool) -> None:
    """One spot leaves on the right, and one that is blanked in the middle is still remembered."""
    model = spotter(replace(SPOTTER, returns=returns))
    leaving = [(38.0 + 3 * t, 12.0) if t < 5 else None for t in range(12)]
    back = [(66.0 - 2 * t, 12.0) if t >= 8 else None for t in range(12)]
    blanked = straight(14, 30, 1, 0, 12, hidden=range(5, 8))
    found = follow(model, moving_spots([leaving, back, blanked]), Refined(memory=20))
    assert [i for i, _, _ in found[3]] == [0, 1] or [i for i, _, _ in found[3]] == [1, 0]
    middle = next(i for i, _, y in found[3] if y > 20)
    assert middle in [i for i, _, _ in found[9]], "what was hidden is back"
    last = {i for i, _, y in found[-1] if y < 20}
    assert len(last) == 1 and (last == {1 - middle}) == returns


def test_a_new_object_costs_more_the_more_of_it_lies_on_others() -> None:
    """Of gains of 2.5 prices, less a KL of half a one, one is left beyond the price of those that nothing covers."""
    share = torch.tensor([0.0, 0.3, 0.7, 1.0])
    changes: dict[str, Any] = {"gain": torch.full((4,), 10.0), "kl": torch.full((4,), 2.0)}
    changes |= {"price": torch.full((4,), 4.0)}
    changes |= {"p_logit": torch.full((4,), -4.0), "round": 1, "share": share}
    for crowding, there in ((0.0, [1, 1, 1, 1]), (2.0, [1, 1, 0, 0]), (0.9, [1, 1, 1, 1]), (4.0, [1, 0, 0, 0])):
        rows = Refined().settle(*told(torch.zeros(4), crowding=crowding, **changes))
        assert rows.pres.tolist() == there
