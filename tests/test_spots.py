"""Several places of a clip in one round of discovery: what is found is what is found one after the other."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from conftest import SPOTTER, Dictated, moving_spots, seeded, spotter, tiny_model
from sqair.bounds import Terms
from sqair.config import ModelConfig
from sqair.distributions import geometric_log_prob
from sqair.estimators.concrete import Relaxed
from sqair.estimators.enumeration import Scripted
from sqair.inference import Inference, Refined, Sampled
from sqair.model import SQAIR
from sqair.scene import Evidence, Proposal
from sqair.spots import Spots
from sqair.state import Step

pytestmark = pytest.mark.usefixtures("float64")

CROWD = replace(SPOTTER, height=220, width=260, slots=24, first_steps=24, later_steps=24)
SIZES = (20, 12)
"""Spots of two clips."""


@dataclass
class OneByOne(Refined):
    """Refined, and one after the other."""

    def together(self, limit: int) -> int:
        return 1


@dataclass
class Refused(Refined):
    """Nobody is there."""

    def presence(self, proposal: Proposal, evidence: Evidence, q_logit: Tensor) -> Tensor:
        return torch.zeros_like(q_logit)


def crowds(config: ModelConfig = CROWD, *, seed: int = 3) -> Tensor:
    """Frames ``[2, 1, H, W]`` of spots anywhere, of which some overlap."""
    images = []
    for number, count in enumerate(SIZES):
        place = 10 + torch.rand(count, 2, generator=seeded(seed + number)) * torch.tensor([240.0, 200.0])
        images.append(moving_spots([[(x, y)] for x, y in place.tolist()], config)[0, 0])
    return torch.stack(images)


def explained(model: SQAIR, frame: Tensor, inference: Inference) -> Step:
    with torch.no_grad():
        return model.step(frame, model.initial_state(len(frame), frame), inference)[0]


def places(step: Step) -> list[list[float]]:
    """Clip, x, y of all objects, sorted."""
    rows = torch.cat([step.objects.clip[:, None], step.objects.where[:, :2]], 1)
    return sorted(rows.round(decimals=9).tolist())


@pytest.mark.parametrize("objects", ["light", "opaque", "layered"])
@pytest.mark.parametrize("patience", [0, 3])
def test_what_is_found_and_its_bound_are_those_of_one_after_the_other(objects: str, patience: int) -> None:
    """In far fewer rounds; a price so low that the prior of one more tells how much room is left."""
    config = replace(CROWD, objects=objects, background="none" if objects == "light" else "plain", patience=patience)
    model = spotter(config)
    model.price = 0.5
    few, many = (explained(model, crowds(), inference) for inference in (Refined(), OneByOne()))
    assert len(few.objects) > 25
    assert places(few) == places(many)
    assert 2 * len(few.rows) < len(many.rows)
    for name in ("log_likelihood", "log_p_presence", "kl_z", "objects"):
        torch.testing.assert_close(getattr(Terms([few]), name), getattr(Terms([many]), name), rtol=1e-9, atol=1e-9)
    for name in ("elbo", "log_weight"):  # the order says which q(z_pres) goes with which p(z_pres)
        torch.testing.assert_close(getattr(Terms([few]), name), getattr(Terms([many]), name), rtol=1e-6, atol=1e-4)


def test_ids_are_in_the_order_in_which_places_are_salient() -> None:
    """Next to each other in a clip, and those of a round by how much there is to see."""
    config = replace(CROWD, width=400)
    frame = moving_spots([[(40.0 + 100 * i, 100.0)] for i in range(4)], config)[0]
    for order in ((3, 1, 0, 2), (2, 0, 3, 1)):
        light = torch.zeros(1, 1, 1, 400)
        for rank, number in enumerate(order):
            light[..., 100 * number : 100 * number + 100] = 1 - 0.1 * rank
        step = explained(spotter(config), frame * light, Refined())
        found = step.objects.where[step.objects.id.argsort(), 0].argsort().argsort()
        assert found.tolist() == list(order)
        assert sorted(step.objects.id.tolist()) == [0, 1, 2, 3]


def test_the_prior_of_how_many_are_found_is_geometric() -> None:
    """Whatever the number that is accepted, and whether rounds end in the middle of others that were proposed."""
    model = spotter(replace(CROWD, slots=26, first_steps=26))
    model.price = 0.5
    for n in (0, 1, 2, 5, 12, 19):
        step = explained(model, crowds()[:1], Dictated(script=[[1] * n]))
        log_p = Terms([step]).log_p_presence[0]
        torch.testing.assert_close(log_p, geometric_log_prob(0.5, 26)[n])
        assert int(Terms([step]).objects[0]) == n


@pytest.mark.parametrize("seed", range(4))
def test_rows_of_samples_are_ones_and_then_a_zero(seed: int) -> None:
    """What was proposed after one that is not there was never asked for; and no more than there is room for."""
    config = replace(CROWD, slots=16, first_steps=16, saliency_threshold=0.0)
    model = tiny_model(config, noise=0.05, seed=seed)
    step, most = explained(model, crowds(), Sampled(seeded(seed))), 0
    for clip in range(2):
        bits = torch.cat([rows.pres[rows.clip == clip] for rows in step.rows])
        assert bits[:-1].all() and 1 <= len(bits) <= 16
        mine = step.objects.id[step.objects.clip == clip]
        assert sorted(mine.tolist()) == list(range(int(bits.sum())))
    for rows in step.rows:
        assert (rows.clip.diff() >= 0).all()
        most = max(most, int(torch.bincount(rows.clip).max()))
        for parts in (rows.evidence.gain, rows.evidence.kl, rows.q_logit, rows.proposal.weight):
            assert len(parts) == len(rows.pres)
    assert most <= 2


def test_patience_ends_a_search_in_the_middle_of_a_round() -> None:
    config = replace(CROWD, patience=2)
    step = explained(spotter(config), crowds(), Refused())
    for clip in range(2):
        assert sum(int((rows.clip == clip).sum()) for rows in step.rows) == 3


def test_those_that_are_looked_at_together_do_not_see_each_other() -> None:
    """Nor is anything that is left of a map more salient than the last of them."""
    config, salience = CROWD, torch.rand(3, 110, 130, generator=seeded(0))
    most = torch.tensor([6, 1, 0])
    spots = Spots.find(salience, torch.arange(3), most, Inference(), config)
    assert torch.bincount(spots.row, minlength=3).tolist() == [6, 1, 0]
    assert (spots.value[:6].diff() <= 0).all() and spots.value[0] == salience[0].max()
    apart = (spots.centre[:6, None] - spots.centre[:6]).abs().amax(-1) + 1e9 * torch.eye(6)
    assert apart.min() >= (config.context + config.size_mean) / 2
    dim = 0.1 * salience
    for value, (x, y) in ((0.9, (20, 20)), (0.8, (100, 30)), (0.7, (60, 90)), (0.5, (30, 32)), (0.4, (100, 80))):
        dim[0, y, x] = value
    spots = Spots.find(dim, torch.arange(3), torch.tensor([5, 1, 1]), Inference(), config)
    wide = torch.cat([spots.centre, torch.full_like(spots.centre, 30.0)], 1)
    assert spots.value[:5].tolist() == [0.9, 0.8, 0.7, 0.5, 0.4]
    assert spots.alone(wide, config).tolist() == [True, True, True, False, False, True, True]


def test_where_few_are_looked_for_or_they_depend_on_each_other_it_is_one_at_a_time() -> None:
    for inference in (Inference(), Refined(), Sampled()):
        assert [inference.together(limit) for limit in (1, 3, 12, 15, 16, 60)] == [1, 1, 1, 1, 2, 7]
    assert Relaxed().together(60) == Scripted().together(60) == 1
