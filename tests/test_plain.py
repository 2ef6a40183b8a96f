"""Plain backgrounds: one colour, told from the frame, and sets of clips that have one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from conftest import TINY, seeded, tiny_model
from shaking import clip_of
from sqair.bounds import Terms
from sqair.config import Stage
from sqair.datasets.survey import describe, suggest, survey
from sqair.frames import to_frames
from sqair.inference import Inference, Refined, Sampled
from sqair.plain import Plain, most_common

PLAIN = replace(TINY, background="plain", objects="opaque", channels=3)


def discs(count: int, length: int = 10, seed: int = 0, behind: tuple[int, int, int] | None = None) -> np.ndarray:
    """A clip of slow discs before a colour, with noise, uint8 ``[T, 64, 64, 3]``."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    colour = random.integers(30, 220, 3) if behind is None else np.array(behind)
    frames = np.broadcast_to(colour, (length, 64, 64, 3)).astype(np.float64).copy()
    for _ in range(count):
        centre, speed, radius = random.uniform(10, 54, 2), random.uniform(-1, 1, 2), random.uniform(5, 12)
        paint = (colour + random.integers(60, 190, 3)) % 256
        for t in range(length):
            inside = (y - centre[0] - t * speed[0]) ** 2 + (x - centre[1] - t * speed[1]) ** 2 < radius**2
            frames[t][inside] = paint
    return (frames + random.normal(0, 2, frames.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_single_colour_is_found_whatever_it_is(channels: int) -> None:
    greys = torch.linspace(0, 1, 256)[:, None].expand(-1, channels)
    colours = torch.cat([torch.rand(200, channels, generator=seeded(3)), greys])
    images = colours[:, :, None, None].expand(-1, -1, 6, 7)
    assert torch.allclose(most_common(images), colours, atol=1e-6)


@pytest.mark.parametrize(("channels", "mostly"), [(1, 0.75), (3, 0.95)])
def test_the_most_common_colour_is_found_to_a_grey_level(channels: int, mostly: float) -> None:
    random = seeded(0)
    colour = torch.rand(40, channels, generator=random)
    images = colour[:, :, None, None].expand(-1, -1, 30, 40).clone()
    for _ in range(3):  # things in the way, which cover up to half, each in another colour
        x, y = torch.randint(0, 20, (2,), generator=random).tolist()
        images[:, :, y : y + 10, x : x + 20] = torch.rand(40, channels, 1, 1, generator=random)
    images = images + 0.01 * torch.randn(images.shape, generator=random)
    assert ((most_common(images) - colour).abs().amax(1) < 1.5 / 255).float().mean() >= mostly, "another may be near"


def test_a_colour_goes_on_while_enough_of_it_is_seen() -> None:
    plain = Plain(PLAIN)
    frame = torch.full((2, 3, 20, 24), 0.2)
    frame[0, :, :, :20] = 0.8  # of the first clip a sixth is left
    frame[1] = 0.8
    before = torch.full((2, 3), 0.21)
    behind = plain(frame, frame, before, None)
    assert torch.allclose(behind.image[:, :, 0, 0], torch.tensor([[0.2], [0.8]]).expand(-1, 3))
    assert torch.equal(plain.carry(behind, frame, frame), behind.image[:, :, 0, 0])
    assert behind.kl().abs().sum() == 0


def test_imagined_colours_are_uniform_and_stay() -> None:
    plain, like = Plain(PLAIN), torch.zeros(4000, 3, 20, 24)
    first = plain.imagine(like, None, seeded(1))
    assert abs(float(first.mean()) - 0.5) < 5 * 12**-0.5 / 12000**0.5  # fails once in 1.7 million
    assert plain.imagine(like, first, seeded(2)) is first
    assert plain.draw(first).shape == (4000, 3, 20, 24)


def test_the_model_has_a_bound_and_gradients_and_tracks() -> None:
    model = tiny_model(PLAIN)
    clips = to_frames(np.stack([discs(2, 3)[:, :20, :24], discs(1, 3, 1)[:, :20, :24]]))
    terms = Terms(model(clips, Sampled(seeded(0))))
    terms.elbo.sum().backward()
    assert terms.elbo.isfinite().all()
    for way in (Inference(), Refined(memory=2)):
        for step in model(clips, way):
            assert step.behind is not None
            assert torch.allclose(step.behind.image[:, :, 0, 0], most_common(clips[0]), atol=0.02)


def test_sets_of_clips_are_told_by_what_is_behind() -> None:
    def seen(clips: list[np.ndarray]) -> tuple[str, str, str, str]:
        found = survey([clip_of(clip) for clip in clips])
        chosen = suggest(found)
        return found.scenes, chosen[0].background, chosen[0].objects, describe(found, chosen[0])

    scenes, background, objects, said = seen([discs(3, seed=s) for s in range(8)])
    assert (scenes, background, objects) == ("plain", "plain", "layered")
    assert "things on plain colours, not footage of a scene" in said and "warning" not in said
    assert seen([discs(2, seed=s, behind=(0, 0, 0)) for s in range(8)])[:3] == ("black", "plain", "layered")
    across = np.linspace(-60, 60, 64)[:, None]
    slopes = [discs(2, seed=s, behind=(120, 100, 130)) + across[..., None] * (-1) ** s for s in range(8)]
    scenes, background, objects, said = seen([clip.clip(0, 255).astype(np.uint8) for clip in slopes])
    assert (scenes, background) == ("gradual", "smooth") and "gradual colours" in said
    one = survey([clip_of(discs(3, length=60))])
    assert one.scenes == "one" and suggest(one)[0].background == "still"


@pytest.mark.parametrize(("side", "size", "canvas"), [(10, 64, 64), (17, 64, 64), (21, 128, 64), (40, 144, 48)])
def test_frames_of_a_set_are_scaled_by_one_over_a_whole_number(side: int, size: int, canvas: int) -> None:
    """As far as things of ``side`` pixels stay large enough, and the canvas too."""
    found = replace(survey([clip_of(discs(2, seed=s)) for s in range(6)]), width=side, height=side, size=(size, size))
    model, _ = suggest(found)
    assert (model.height, model.width) == (canvas, canvas)
    assert model.size_mean == pytest.approx(side * canvas / size, rel=0.01)


def test_sets_train_with_muon_and_longer_where_there_are_crowds() -> None:
    found = survey([clip_of(discs(2, seed=s)) for s in range(6)])
    few, many = (suggest(replace(found, mean=mean))[1] for mean in (1.8, 4.5))
    assert few.muon_rate == many.muon_rate == 0.02
    assert few.stages == (Stage(1, 700, 44), Stage(3, 400, 22), Stage(5, 250, 22), Stage(10, 150, 11))
    assert many.stages == (Stage(1, 1260, 32), Stage(3, 720, 16), Stage(5, 450, 16), Stage(10, 270, 8))
    light = suggest(replace(found, mean=2.0, scenes="black", colour=False))[1]
    assert light.stages == (Stage(1, 1400, 40), Stage(3, 800, 20), Stage(5, 500, 20), Stage(10, 300, 10)), "is cheaper"
    assert suggest(replace(found, scenes="one"))[1].muon_rate == 0


def test_in_sets_what_lies_on_another_costs_more_unless_things_are_light() -> None:
    found = survey([clip_of(discs(2, seed=s)) for s in range(6)])
    light = replace(found, scenes="black", colour=False)
    for seen, crowding, price in ((found, 4.0, 0.03), (light, 0.0, 0.03), (replace(found, scenes="one"), 0.0, 0.1)):
        model, train = suggest(seen)
        assert (model.crowding, train.tracking_price) == (crowding, price)


def test_slow_things_are_seen_before_a_plain_colour() -> None:
    """What most frames show of a pixel would be the thing itself."""
    clips = [discs(2, seed=s) for s in range(10)]
    found = survey([clip_of(clip) for clip in clips])
    assert 1.5 < found.mean < 2.5 and 10 < found.width < 25
