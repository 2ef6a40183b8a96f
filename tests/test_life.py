"""What an object is from frame to frame, in closed form: born at rest, moved by differences, missed as expected."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from conftest import TINY, seeded, tiny_model
from sqair.distributions import Gaussian
from sqair.life import born, missed, moved
from sqair.objects import Objects, Posterior
from sqair.scene import Scene

pytestmark = pytest.mark.usefixtures("float64")


def posterior(where: Tensor, seed: int = 0) -> Posterior:
    """Objects at ``where [M, 4]``, of looks by chance, of which the priors expect something else."""
    source = seeded(seed)
    what = torch.randn(len(where), TINY.z_what, generator=source, dtype=torch.float64)
    q_where, q_what = Gaussian.standard(where), Gaussian.standard(what)
    p_where = Gaussian(where + 0.7, torch.zeros_like(where))
    return Posterior(where, where, what, q_where, p_where, q_what, q_what, what)


def newborn() -> Objects:
    where = torch.tensor([[0.1, -0.2, 0.3, 0.4], [0.5, 0.0, -0.1, 0.2]])
    glimpse, hidden = torch.rand(2, 1, 6, 6), torch.rand(2, TINY.hidden)
    return born(posterior(where), torch.tensor([3, 1]), torch.tensor([7, 9]), glimpse, hidden)


def test_a_newborn_is_at_rest_under_its_name() -> None:
    objects = newborn()
    assert objects.clip.tolist() == [3, 1] and objects.id.tolist() == [7, 9] and objects.age.tolist() == [0, 0]
    assert not objects.velocity.any() and not objects.acceleration.any() and not objects.unseen.any()
    assert objects.weight.tolist() == [1, 1]


def test_what_moves_has_the_differences_of_its_places() -> None:
    """A newborn has no velocity to differ from: its first move is not an acceleration."""
    first = newborn()
    step, turn = torch.tensor([0.2, -0.1, 0.0, 0.05]), torch.tensor([-0.3, 0.4, 0.1, 0.0])
    glimpse = torch.rand(2, 1, 6, 6)
    second = moved(first, posterior(first.where + step, 1), glimpse)
    assert second.age.tolist() == [1, 1] and torch.equal(second.glimpse, glimpse)
    torch.testing.assert_close(second.velocity, step[:2].expand(2, 2))
    assert not second.acceleration.any()
    third = moved(second, posterior(second.where + turn, 2), glimpse)
    torch.testing.assert_close(third.velocity, turn[:2].expand(2, 2))
    torch.testing.assert_close(third.acceleration, (turn - step)[:2].expand(2, 2))
    assert torch.equal(third.id, first.id) and torch.equal(third.clip, first.clip)


def test_what_is_missed_goes_where_its_prior_expects_it_and_looks_as_it_did() -> None:
    old = replace(newborn(), unseen=torch.tensor([0, 4]))
    latents = posterior(old.where + 0.3, 3)
    gone = missed(old, latents)
    assert torch.equal(gone.where, latents.p_where.mean) and torch.equal(gone.what, old.what)
    assert torch.equal(gone.glimpse, old.glimpse) and gone.unseen.tolist() == [1, 5]
    seen = moved(gone, latents, old.glimpse)
    assert seen.unseen.tolist() == [0, 0]


def test_its_usual_size_is_the_mean_of_those_it_has_had() -> None:
    objects, sizes = newborn(), [newborn().where[:, 2:]]
    for _ in range(5):
        where = torch.rand(2, 4)
        objects = moved(objects, posterior(where), torch.rand(2, 1, 6, 6))
        sizes.append(where[:, 2:])
    torch.testing.assert_close(objects.usual_size, torch.stack(sizes).mean(0))
    old = replace(objects, age=torch.full_like(objects.age, 400))
    after = moved(old, posterior(torch.rand(2, 4)), torch.rand(2, 1, 6, 6))
    torch.testing.assert_close(after.usual_size, 0.99 * old.usual_size + 0.01 * after.where[:, 2:])


def test_it_grows_no_further_than_it_may() -> None:
    """Its longer side may be the other one next: things turn."""
    usual = torch.tensor([[0.5, 1.0], [-2.0, -3.0]])
    model, frame = tiny_model(replace(TINY, growth=0.2)), torch.rand(4, 1, TINY.height, TINY.width)
    with torch.no_grad():
        last = model.propagation.where[-1]
        assert isinstance(last, nn.Linear)
        last.bias[2:4] += 3.0  # grows without end
        objects, scene = replace(newborn(), usual_size=usual), Scene(frame, None, 1.0, model.config)
        free = tiny_model().propagation
        free.load_state_dict(model.propagation.state_dict())
        found, wanted = (net(scene, objects, None).where for net in (model.propagation, free))
    assert (wanted[:, 2:] > found[:, 2:]).any()
    expected = torch.minimum(wanted[:, 2:], torch.tensor([[1.0], [0.0]]) + 0.2 / TINY.size_std)
    torch.testing.assert_close(found[:, 2:], expected)
    torch.testing.assert_close(found[:, :2], wanted[:, :2])


def test_latents_go_on_without_their_gradients() -> None:
    where = torch.zeros(2, 4, requires_grad=True)
    objects = moved(newborn(), posterior(where), torch.rand(2, 1, 6, 6, requires_grad=True))
    assert not any(t.requires_grad for t in (objects.where, objects.what, objects.velocity, objects.glimpse))


def test_the_recurrent_state_hears_of_looks_place_and_speed() -> None:
    model, objects = tiny_model(), newborn()
    with torch.no_grad():
        before = model.recur(objects, objects.hidden).hidden
        for name in ("what", "where", "velocity"):
            value = getattr(objects, name)
            other = model.recur(replace(objects, **{name: value + 0.5}), objects.hidden).hidden
            assert not torch.allclose(before, other), name
        assert not torch.allclose(before, model.recur(objects, objects.hidden + 0.5).hidden)
