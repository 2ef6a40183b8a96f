"""Recognition: who a new object is, of those remembered."""

import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor

from conftest import SPOTTER, TINY, moving_spots, spotter, straight, tiny_model
from sqair.config import ModelConfig
from sqair.distributions import Gaussian
from sqair.geometry import centre_to_where, where_to_box
from sqair.inference import Refined
from sqair.inference.identity import Absent, has_left
from sqair.objects import Objects

PRICE = 50.0


def objects(clip: list[int], ids: list[int], where: Tensor, what: Tensor, unseen: int = 0) -> Objects:
    """Objects at rest, of size z_wh = 0."""
    nothing = tiny_model().initial_state(1, torch.zeros(1)).objects
    count = len(clip)
    blank = {name: getattr(nothing, name).new_zeros(count, *getattr(nothing, name).shape[1:]) for name in vars(nothing)}
    known = {"clip": torch.tensor(clip), "id": torch.tensor(ids), "what": what}
    return replace(Objects(**blank), **known, where=torch.cat([where, 0 * where], 1), unseen=blank["unseen"] + unseen)


def shifted(sides: float) -> float:
    """What to add to z_x to move an object of size z_wh = 0 by so many of its sides."""
    box = where_to_box(torch.tensor([[0.0, 0, 0, 0], [1.0, 0, 0, 0]]), TINY)
    return sides * float(box[0, 2:].prod().sqrt() / (box[1, 0] - box[0, 0]))


def memory(clip: list[int], ids: list[int], where: Tensor, what: Tensor, unseen: int = 1) -> Absent:
    """Whose looks have a prior of standard deviation 1/2."""
    return Absent(objects(clip, ids, where, what, unseen), Gaussian(what, torch.full_like(what, math.log(0.5))))


def recognised(
    known: Absent, new: Objects, count: int = 0, price: float = PRICE, config: ModelConfig = TINY
) -> Objects:
    return known.recognise(new, torch.full((3,), 12), count, price, config)


def test_a_new_object_is_the_remembered_one_that_differs_least() -> None:
    looks = torch.randn(3, TINY.z_what)
    known = memory([0, 0, 1], [4, 5, 6], torch.tensor([[0.0, 0], [shifted(0.3), 0], [0, 0]]), looks)
    velocity = torch.randn(3, 2)
    sizes = torch.randn(3, 2)
    known.objects = replace(known.objects, velocity=velocity, usual_size=sizes, age=torch.tensor([7.0, 8, 9]))
    new = objects([0], [12], torch.tensor([[shifted(0.2), 0.0]]), looks[1:2])
    named = recognised(known, new)
    assert named.id.tolist() == [5] and named.age.tolist() == [8] and (named.velocity == velocity[1]).all()
    assert (named.usual_size == sizes[1]).all()
    assert (named.where == new.where).all() and known.objects.id.tolist() == [4, 6]
    assert (known.what.mean == looks[[0, 2]]).all()


def test_who_is_who_is_decided_together() -> None:
    """The second is nearer to each of two new ones, but there is only one of it."""
    looks = torch.zeros(2, TINY.z_what)
    known = memory([0, 0], [4, 5], torch.tensor([[0.0, 0], [shifted(1.0), 0]]), looks)
    new = objects([0, 0], [12, 13], torch.tensor([[shifted(1.1), 0], [shifted(0.6), 0]]), looks)
    assert recognised(known, new).id.tolist() == [5, 4]


@pytest.mark.parametrize("displacement", ["density", "prices"])
@pytest.mark.parametrize("unseen", [1, 20])
def test_how_far_it_may_be_goes_by_its_size_alone(displacement: Literal["density", "prices"], unseen: int) -> None:
    """With looks as expected: where the logarithm of 1 and its square, in half sides, is what a stranger costs."""
    config = replace(TINY, displacement=displacement)
    reach = 0.5 * math.sqrt(math.exp(2 * {"density": 0.5, "prices": 1.5}[displacement]) - 1)
    looks = torch.zeros(1, TINY.z_what)
    for sides, name in ((0.99 * reach, 4), (1.01 * reach, 12)):
        new = objects([0], [30], torch.tensor([[shifted(sides), 0.0]]), looks)
        known = memory([0], [4], torch.zeros(1, 2), looks, unseen)
        assert recognised(known, new, config=config).id.tolist() == [name]
        assert len(known.objects) == (name == 12)


def test_looks_cost_what_their_density_falls_by() -> None:
    looks, place = torch.zeros(1, TINY.z_what), torch.zeros(1, 2)
    other = looks.clone()
    other[0, 0] = 3.0
    cost = 0.5 * (3.0 / 0.5) ** 2
    for price, name in ((2 * cost + 0.01, 4), (2 * cost - 0.01, 12)):
        new = objects([0], [30], place, other)
        assert recognised(memory([0], [4], place, looks), new, price=price).id.tolist() == [name]


def test_who_is_nobody_known_gets_the_next_free_id_and_other_clips_do_not_matter() -> None:
    looks = torch.zeros(4, TINY.z_what)
    known = memory([0, 2], [4, 5], torch.zeros(2, 2), looks[:2])
    far = torch.tensor([[0.0, 0], [0, 0], [shifted(9.0), 0], [shifted(-9.0), 0]])
    new = objects([1, 0, 0, 0], [30, 31, 32, 33], far, looks)
    assert sorted(recognised(known, new).id.tolist()) == [4, 12, 12, 13]
    assert known.objects.id.tolist() == [5]


def test_no_more_are_born_than_there_are_individuals() -> None:
    looks = torch.zeros(3, TINY.z_what)
    far = torch.tensor([[shifted(50.0), 0.0], [shifted(9.0), 0], [shifted(-70.0), 0]])
    known = memory([0, 0], [4, 5], torch.zeros(2, 2), looks[:2])
    named = recognised(known, objects([0, 0, 0], [30, 31, 32], far, looks), count=13)
    assert sorted(named.id.tolist()) == [4, 5, 12] and not len(known.objects)


def test_what_propagation_does_not_find_again_is_discovered_under_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spot is remembered six pixels from where it is, without its looks: nothing like it can be looked for."""

    def names() -> list[list[int]]:
        model, inference, found = spotter(), Refined(memory=10), []
        state = model.initial_state(1, torch.zeros(1))
        with torch.no_grad():
            for t, frame in enumerate(moving_spots([straight(14, 14, 0, 0, 6), straight(40, 34, 0, 0, 6)])):
                if t == 3:
                    left = where_to_box(state.objects.where, SPOTTER)[:, 0] < 26
                    state.objects.glimpse[left] = 0
                    state.objects.unseen[left] = 1
                    state.objects.where[left, 0] += 6 / (SPOTTER.width / 2 * SPOTTER.position_std)
                step, state = model.step(frame, state, inference)
                found.append(sorted(step.objects.id.tolist()))
        return found

    assert names() == [[0, 1]] * 6
    monkeypatch.setattr(Absent, "recognise", lambda self, new, *others: new)
    assert names()[3] != [0, 1]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("far", [False, True])
def test_an_object_has_left_of_which_the_edge_cuts_three_twentieths(axis: int, far: bool) -> None:
    side = where_to_box(torch.zeros(1, 4), SPOTTER)[0, 2 + axis]
    for cut, left in ((0.14, False), (0.16, True)):
        centre = torch.tensor([26.0, 22.0])
        reach = (0.5 - cut) * float(side)
        centre[axis] = (52 - 8 * axis) - reach if far else reach
        found = objects([0], [0], centre_to_where(centre[None], SPOTTER), torch.zeros(1, 2))
        assert has_left(found, SPOTTER).tolist() == [left]
