"""Every learned correction does what it says: with its last bias set, and all else at 0, in closed form."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from conftest import TINY, seeded, spots, tiny_model
from sqair.config import ModelConfig
from sqair.distributions import Gaussian
from sqair.geometry import centre_to_where, drift_unit, where_unit
from sqair.inference import Inference, Sampled
from sqair.model import SQAIR
from sqair.objects import Objects
from sqair.salience import most_salient, saliency, to_retina
from sqair.scene import Scene

pytestmark = pytest.mark.usefixtures("float64")


def set_last(net: nn.Module, bias: Tensor) -> None:
    """Makes the output of a perceptron ``bias``, whatever its input."""
    last = list(net.children())[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(bias)


def bounded(shift: Tensor) -> Tensor:
    """What Gaussian.around makes of a network's output."""
    return 3 * torch.tanh(shift / 3)


def carried(model: SQAIR) -> tuple[Scene, Objects]:
    """A second frame, and the objects that were there in the first."""
    frames = spots(model.config, 2, 2)
    with torch.no_grad():
        _, state = model.step(frames[0], model.initial_state(2, frames), Sampled(seeded(1), boldness=1.0))
    assert len(state.objects) >= 2
    return Scene(frames[1], None, model.price, model.config), state.objects


def test_discovery_looks_at_the_most_salient_point_and_shifts_from_there() -> None:
    model, shift = tiny_model(), torch.tensor([0.4, -0.6, 0.2, 0.3])
    search = model.discovery.search
    set_last(search.where, torch.cat([shift, torch.tensor([0.1, 0.2, 0.3, 0.4])]))  # type: ignore[arg-type]
    retina = to_retina(spots(TINY, 1, 2)[0], TINY)
    nothing, clip = torch.zeros_like(retina), torch.arange(2)
    found = search(search.begin(retina, nothing), retina, nothing, clip, torch.ones_like(clip), Inference())
    assert found is not None and found.clip.tolist() == [0, 1]
    centre, _ = most_salient(saliency(retina), TINY)
    start = torch.cat([centre_to_where(centre, TINY), torch.zeros(2, 2)], -1)
    torch.testing.assert_close(found.where.mean, start + bounded(0.5 * shift) * where_unit(TINY, start))
    expected = Gaussian.around(start, 0 * start, torch.tensor([0.1, 0.2, 0.3, 0.4]).expand(2, 4), -2.5)
    unit = where_unit(TINY, start).log()
    torch.testing.assert_close(found.where.log_std, expected.log_std + unit)


def test_propagation_shifts_from_where_the_object_was_matched() -> None:
    model = tiny_model()
    scene, objects = carried(model)
    means = []
    for shift in (torch.zeros(4), torch.tensor([0.5, -0.3, 0.2, 0.1])):
        set_last(model.propagation.where, torch.cat([shift, torch.zeros(4)]))
        with torch.no_grad():
            means.append(model.propagation(scene, objects, None).q_where.mean)
    unit = drift_unit(TINY, means[0])
    torch.testing.assert_close(means[1] - means[0], (bounded(0.5 * shift) * unit).expand_as(means[0]))


@pytest.mark.parametrize(("bias", "share"), [(40.0, 1.0), (-40.0, 0.0), (1.0, 0.5)])
def test_the_gate_of_propagation_lets_in_what_is_seen_and_keeps_what_was(bias: float, share: float) -> None:
    model = tiny_model()
    scene, objects = carried(model)
    set_last(model.propagation.gate, torch.full((TINY.z_what,), bias))
    with torch.no_grad():
        latents = model.propagation(scene, objects, None)
        model.propagation.config = replace(TINY, temporal=replace(TINY.temporal, appearance=False))
        blob = model.propagation(scene, replace(objects, glimpse=objects.glimpse), None)
    assert blob.q_what.mean.shape == latents.q_what.mean.shape
    with torch.no_grad():  # what the glimpse alone says
        model.propagation.config = TINY
        set_last(model.propagation.gate, torch.full((TINY.z_what,), 40.0))
        seen = model.propagation(scene, objects, None).q_what.mean
    assert (seen - objects.what).abs().min() > 1e-6
    torch.testing.assert_close(latents.q_what.mean, share * seen + (1 - share) * objects.what)


def test_the_prior_of_motion_goes_on_with_its_gains_and_corrections() -> None:
    model = tiny_model()
    _, objects = carried(model)
    source = seeded(2)
    velocity, acceleration = (0.1 * torch.randn(len(objects), 2, generator=source) for _ in range(2))
    objects = replace(objects, velocity=velocity.double(), acceleration=acceleration.double())
    prior = model.propagation.prior
    with torch.no_grad():
        prior.gain.copy_(torch.tensor([0.8, 0.3]))
    shift = torch.tensor([0.6, -0.4])
    set_last(prior.net, torch.cat([shift, torch.zeros(4 + TINY.z_what)]))
    with torch.no_grad():
        where, what = prior(objects)
    ahead = objects.where[:, :2] + 0.8 * objects.velocity + 0.3 * objects.acceleration
    unit = drift_unit(TINY, ahead)
    torch.testing.assert_close(where.mean[:, :2], ahead + 0.2 * unit[:2] * shift)
    assert torch.equal(where.mean[:, 2:], objects.where[:, 2:]) and torch.equal(what.mean, objects.what)


@pytest.mark.parametrize("head", ["new_presence", "old_presence"])
def test_the_heads_of_presence_decide_with_their_bias(head: str) -> None:
    """Who is found and who is kept follows the head that is for it."""
    config: ModelConfig = TINY
    model = tiny_model(config)
    for name, sure in (("new_presence", 30.0), ("old_presence", 30.0)):
        set_last(getattr(model, name).net, torch.tensor([sure if name != head else -90.0]))
    frames = spots(config, 2, 2)
    with torch.no_grad():
        first, second = model(frames, Inference())
    if head == "new_presence":
        assert len(first.objects) == 0
    else:
        assert len(first.objects) >= 2 and all(age == 0 for age in second.objects.age.tolist())
