"""The background: in the bound, in inference, off, and in what is imagined."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from conftest import STATIC, TINY, Dictated, blend, gradient, outcomes, seeded, spots, tiny_model
from estimating import error, exact_elbo, exact_gradient, expected_gradient, terms_of
from sqair.background import Behind, Drawn, Smooth, Still, UpConvolved, lines
from sqair.bounds import Terms
from sqair.config import ModelConfig, Stage, TrainConfig
from sqair.datasets.clip import Frame, TruncatedClip, evenly
from sqair.datasets.images import encode_png
from sqair.datasets.regions import whole
from sqair.distributions import geometric_logits
from sqair.errors import UserError
from sqair.estimators import make_estimator
from sqair.files.mot_io import read_mot
from sqair.files.pretrained import save_weights
from sqair.imagine import predict, sample
from sqair.inference import Inference, Sampled
from sqair.model import SQAIR
from sqair.render import Light, background
from sqair.salience import object_nats
from sqair.scenery import exposure, still_image
from sqair.schedule import stage_of
from sqair.scripts import cli
from sqair.scripts.arenas import Arenas
from sqair.scripts.track_frames import _watched
from sqair.tracker import Tracker, track_clips
from sqair.tracks import Tracks
from sqair.trainer import Trainer

pytestmark = pytest.mark.usefixtures("float64")

SMOOTH = replace(TINY, background="smooth", background_cells=4)
UPCONV = replace(SMOOTH, background="upconv", background_cells=2)


def ramp(height: int, width: int) -> torch.Tensor:
    """A gradient ``[1, 1, H, W]`` from 0.1 to 0.5."""
    return (0.1 + 0.4 * torch.arange(width) / (width - 1)).expand(1, 1, height, width)


def test_the_canvas_is_the_objects_before_the_background() -> None:
    model = tiny_model(SMOOTH)
    frames = spots(SMOOTH, 2, 2)
    steps = model(frames, Dictated(seeded(0), script=[[1, 1, 1, 1], [1, 0, 1, 1]]))
    for step in steps:
        assert step.behind is not None
        g = step.images  # what each object adds to an empty canvas, 0.99 at most
        clear = blend(torch.log1p(-g), step.objects.clip, 2)
        expected = 1 - (1 - 0.99 * step.behind.image) * clear.exp()
        torch.testing.assert_close(step.canvas, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("config", [SMOOTH, UPCONV], ids=["smooth", "upconv"])
def test_its_kl_is_in_the_bound_and_its_density_in_the_weight(config: ModelConfig) -> None:
    """By the formulas, from its densities; the second frame's prior is around the first frame's sample."""
    model = tiny_model(config)
    terms = Terms(model(spots(SMOOTH, 2, 3), Sampled(seeded(1))))
    kl, ratio = torch.zeros(3), torch.zeros(3)
    before = None
    for step in terms.steps:
        behind = step.behind
        assert isinstance(behind, Drawn)
        p = torch.distributions.Normal(behind.p.mean, behind.p.log_std.exp())
        q = torch.distributions.Normal(behind.q.mean, behind.q.log_std.exp())
        kl = kl + torch.distributions.kl_divergence(q, p).sum(1)
        ratio = ratio + (q.log_prob(behind.z) - p.log_prob(behind.z)).sum(1)
        if before is not None:
            assert torch.equal(behind.p.mean, before)
        before = behind.z.detach()
    objects = torch.zeros(3).index_add(0, *concatenated(terms, "kl"))
    torch.testing.assert_close(terms.kl_z, kl + objects, rtol=1e-12, atol=0)
    plain = torch.zeros(3).index_add(0, *concatenated(terms, "ratio"))
    torch.testing.assert_close(terms.log_ratio_z, ratio + plain, rtol=1e-12, atol=0)


def concatenated(terms: Terms, what: str) -> tuple[torch.Tensor, torch.Tensor]:
    clip = torch.cat([rows.clip for rows in terms.rows])
    of = {"kl": lambda rows: rows.evidence.kl, "ratio": lambda rows: rows.proposal.posterior.log_ratio()}
    values = [rows.pres * of[what](rows) for rows in terms.rows]
    return clip, torch.cat(values)


@pytest.mark.parametrize("name", ["score_function", "closed_form_corrected", "nvil_unscaled"])
def test_estimators_stay_exact_before_a_background(name: str) -> None:
    config = replace(STATIC, first_steps=2, background="smooth", background_cells=3)
    model, frames = tiny_model(config, price=0.8), spots(config, 1, 1)
    found = expected_gradient(model, frames, make_estimator(name, config), 1)
    assert error(found, exact_gradient(model, frames, exact_elbo)) < 1e-10


def test_the_background_is_trained_by_the_bound() -> None:
    """Its derivative by finite differences, where nothing else reads it: with no object."""
    model = tiny_model(replace(SMOOTH, first_steps=1))
    frames = spots(SMOOTH, 1, 1)
    terms = terms_of(model, frames, [(0,)])
    assert model.background is not None
    parameter = model.get_parameter("background.look.7.bias")
    assert gradient(model, terms.elbo.sum()).isfinite().all()
    terms = terms_of(model, frames, [(0,)])
    slope = torch.autograd.grad(terms.log_likelihood.sum() - terms.kl_z.sum(), parameter)[0]
    for place in range(2):
        values = []
        for shift in (1e-5, -1e-5):
            with torch.no_grad():
                parameter[place] += shift
                moved = terms_of(model, frames, [(0,)])
                values.append(float(moved.log_likelihood - moved.kl_z))
                parameter[place] -= shift
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(float(slope[place]), rel=1e-5, abs=1e-6)


def test_a_gain_is_what_taking_the_object_out_costs_before_a_background() -> None:
    model = tiny_model(SMOOTH)
    frames = spots(SMOOTH, 1, 1)
    with_both, with_one = (terms_of(model, frames, [script]) for script in ((1, 1), (1, 0)))
    assert len(outcomes(model, frames)) == 3
    gained = with_both.log_likelihood - with_one.log_likelihood
    torch.testing.assert_close(with_both.rows[1].evidence.gain, gained.detach(), rtol=1e-9, atol=1e-9)


def test_ink_is_what_objects_are_before_black() -> None:
    """Exactly so before all but the brightest backgrounds, in [0, 1] everywhere, and none where white stays white."""
    ink, behind = torch.rand(2, 3, 1, 8, 8), 0.7 * torch.rand(3, 1, 8, 8)
    frames = 1 - (1 - 0.99 * behind) * (1 - ink)
    torch.testing.assert_close(Light().ink(frames, background(behind)), ink, rtol=0, atol=1e-12)
    wild = Light().ink(torch.rand(1000), torch.rand(1000))
    assert wild.min() == 0 and wild.max() <= 1
    white = torch.ones(1, 1, 4, 4)
    assert Light().ink(white, background(white)).max() < 0.05 and Light().ink(0 * white, background(white)).max() == 0


def test_an_object_is_worth_less_before_a_bright_background() -> None:
    """The gain of an object drawn as it is, over that before black, is ``Light.contrast``; and so is its price."""
    model = tiny_model(replace(TINY, background="still"), price=7.0)
    objects = spots(TINY, 1, 2)[0].clamp(0, 1)
    for level in (0.0, 0.3, 0.8):
        still = torch.full_like(objects, level)
        behind, paint = background(still), Light().paint(objects)
        gained, on_black = (
            Light().gain(Light().canvas(paint, b), paint, torch.zeros_like(paint), b, 0.3) for b in (behind, None)
        )
        torch.testing.assert_close(gained / on_black, Light().contrast(behind))
        frame = Light().canvas(paint, behind)
        (step,) = model(frame[None], Dictated(script=[[0], [0]]), still)
        (row,) = step.rows
        prior = geometric_logits(7.0 * float(Light().contrast(behind)[0]), TINY.first_steps)[0]
        torch.testing.assert_close(row.proposal.p_logit, prior.expand(2))


def test_off_it_is_not_there() -> None:
    model = tiny_model(TINY)
    assert model.background is None and not [name for name in model.state_dict() if "background" in name]
    (step,) = model(spots(TINY, 1, 2), Inference())
    assert step.behind is None


def test_g_draws_gradients_but_no_strokes() -> None:
    """The best that any latents can do, by gradient descent: a ramp is drawn, a line of one pixel is not."""
    config = replace(SMOOTH, background_cells=6, height=48, width=48)
    background = Smooth(config)
    line = torch.zeros(1, 1, 48, 48)
    line[..., 20:23] = 1
    left = []
    for target in (ramp(48, 48), line):
        z = torch.zeros(1, 36, requires_grad=True)
        optimiser = torch.optim.Adam([z], lr=0.1)
        for _ in range(300):
            optimiser.zero_grad()
            loss = (background.draw(z) - target).square().mean()
            loss.backward()
            optimiser.step()
        left.append(float(loss.detach() / (target - target.mean()).square().mean()))
    assert left[0] < 0.01 and left[1] > 0.5


def test_rough_backgrounds_do_without_objects() -> None:
    """What a block's median sees of a ramp behind a thin line; and the nats of an object are those on black."""
    config = replace(SMOOTH, background_cells=6, height=48, width=48)
    behind = ramp(48, 48)
    frame = behind.clone()
    frame[..., 10:30, 20:23] = 1
    found = Smooth(config).rough(frame[None])[0]
    assert (found - behind).abs().max() < 0.03
    worth = [object_nats(rest, config) for rest in (frame - found, frame - behind)]
    assert worth[0] == pytest.approx(worth[1], rel=0.1)


def test_lines_go_through_their_values_and_on() -> None:
    weights = lines(4, 24)
    torch.testing.assert_close(weights.sum(1), torch.ones(24), rtol=0, atol=1e-6)
    places = (torch.arange(4) + 0.5) * 6
    drawn = weights.double() @ (2 * places.double() + 1)
    torch.testing.assert_close(drawn, 2 * (torch.arange(24).double() + 0.5) + 1, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["smooth", "upconv", "still"])
def test_clips_and_streams_with_a_background_are_tracked_alike(kind: Literal["smooth", "upconv", "still"]) -> None:
    torch.set_default_dtype(torch.float32)
    model = tiny_model(replace(SMOOTH, background=kind))
    clips = (255 * spots(SMOOTH, 6, 2)[:, :, 0].transpose(0, 1)).to(torch.uint8).numpy()
    together = track_clips(model, clips)
    assert any(map(len, together))
    tracker = Tracker(model)
    for clip, expected in zip(clips, together, strict=True):
        tracker.watch(clip)
        found = Tracks.concat([tracker.update(frame) for frame in clip])
        for column in ("frame", "id", "box"):
            np.testing.assert_allclose(getattr(found, column), getattr(expected, column), rtol=0, atol=1e-3)


def test_a_still_scene_is_seen_by_those_who_watched(tmp_path: Path) -> None:
    """``sqair track`` of a video finds what ``track_clips`` finds in it as a clip."""
    torch.set_default_dtype(torch.float32)
    model = tiny_model(replace(TINY, background="still"))
    save_weights(tmp_path / "model", model, {})
    clip = (255 * (0.1 + 0.9 * spots(TINY, 7, 1)[:, 0, 0])).to(torch.uint8).numpy()
    expected = track_clips(SQAIR.from_pretrained(tmp_path / "model"), clip[None])[0]
    assert len(expected) and not len(track_clips(model, np.repeat(clip[None, :1], 7, 1))[0])
    (tmp_path / "frames").mkdir()
    for i, frame in enumerate(clip):
        (tmp_path / "frames" / f"{i}.png").write_bytes(encode_png(frame))
    words = ["--source", str(tmp_path / "frames"), "--model", str(tmp_path / "model")]
    assert cli.run("track", [*words, "--output", str(tmp_path / "whole")]) == 0
    found = read_mot(tmp_path / "whole" / "frames.txt")
    np.testing.assert_allclose(found.box, expected.box, atol=0.01)
    assert found.id.tolist() == expected.id.tolist()


def test_a_video_that_ends_too_early_is_watched_up_to_there() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 24), dtype=np.uint8)
    tracker = Arenas([whole((20, 24))], lambda: Tracker(tiny_model(replace(TINY, background="still"))), False)

    def cut() -> Iterator[Frame]:
        yield from evenly(frames, 10)
        raise TruncatedClip("clip.mp4: cut short", 3)

    watched = _watched(cut(), tracker)
    for t, image in enumerate(frames):
        frame = next(watched)
        assert np.array_equal(frame.image, image) and (frame.number, frame.seconds) == (t, t / 10)
    with pytest.raises(TruncatedClip):
        next(watched)
    assert len(list(_watched(evenly(np.repeat(frames, 30, 0), 10), tracker))) == 90
    assert list(_watched(iter([]), tracker)) == []


def test_an_up_convolution_adds_detail_of_a_bounded_size() -> None:
    """To the straight lines between the levels, from latents that are not levels too; it learns to."""
    config = replace(UPCONV, height=40, width=52, channels=3, objects="opaque")
    g = UpConvolved(config)
    z = torch.randn(3, g.latents)
    assert g.latents == (3 + 8) * 4 and g.draw(z).shape == (3, 3, 40, 52)
    assert (g.draw(z) - g.straight(z).clamp(0, 1)).abs().amax() <= 0.12 + 1e-12
    other = z.view(3, 11, 2, 2).clone()
    other[:, 3:] += 1
    other = other.flatten(1)
    assert torch.equal(g.straight(other), g.straight(z)) and not torch.equal(g.draw(other), g.draw(z))
    wave = 0.4 + 0.1 * torch.sin(torch.arange(52) / 3).expand(1, 3, 40, 52)
    optimizer = torch.optim.Adam(g.parameters(), lr=1e-2)
    with torch.no_grad():
        before = float((g.rough(wave[None])[0] - wave).square().mean())
    for _ in range(60):
        optimizer.zero_grad()
        loss = (g(wave, wave, None, None).image - wave).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2 * before


def test_what_is_imagined_has_a_background() -> None:
    model = tiny_model(SMOOTH)
    frames = sample(model, 3, 4, seeded(2))
    assert frames.shape == (4, 3, 1, 20, 24) and frames.amin() >= 0 and frames.mean() > 0.02
    observed = spots(SMOOTH, 2, 2)
    ahead, _ = predict(model, observed, 2)
    assert model.background is not None
    state = model.initial_state(2, observed)
    with torch.no_grad():
        for frame in observed:
            step, state = model.step(frame, state, Inference())
    assert step.behind is not None
    least = background(step.behind.image)
    assert (ahead >= least - 1e-9).all()


STILL = replace(TINY, background="still")


def moving(length: int, behind: torch.Tensor) -> torch.Tensor:
    """White bars that pass before ``behind [1, 1, H, W]``: a clip ``[T, 1, 1, H, W]``."""
    frames = behind.expand(length, 1, -1, -1, -1).clone()
    for t in range(length):
        frames[t, ..., 5:12, 3 * t : 3 * t + 3] = 1
    return frames


def test_the_image_of_a_scene_is_what_does_not_move() -> None:
    behind = torch.rand(1, 1, 20, 24, generator=seeded(3)) / 2
    assert torch.equal(still_image(moving(7, behind), TINY), behind)


def test_the_image_of_a_scene_with_opaque_objects_is_what_most_frames_show() -> None:
    """Also where passing objects are darker than it, or cover a pixel in just under half of the frames; and with noise
    it is a mean."""
    config = replace(TINY, objects="opaque", channels=3)
    behind = (0.3 + 0.5 * torch.rand(1, 3, 20, 24, generator=seeded(3))).expand(9, -1, -1, -1)[:, None]
    frames = behind.clone()
    frames[::4, ..., 2:6] = 0.0
    frames[1:5, ..., 8:12] = torch.linspace(0.1, 0.9, 4).view(4, 1, 1, 1, 1)
    frames[5:, ..., 14:18] = 1.0
    torch.testing.assert_close(still_image(frames, config), behind[0], rtol=0, atol=1e-12)
    noisy = still_image(frames + 0.005 * torch.randn(frames.shape, generator=seeded(4)), config)
    error = (noisy - behind[0])[..., 18:].square().mean().sqrt()
    assert 0.5 * 0.005 / 3 < error < 1.2 * 0.005 / 3


def test_a_still_background_is_carried_and_moves_to_what_is_seen() -> None:
    model = tiny_model(STILL)
    assert isinstance(model.background, Still)
    behind = torch.rand(1, 1, 20, 24, generator=seeded(3)) / 2
    frame = behind + 0.1
    state = model.initial_state(1, frame, behind)
    step, after = model.step(frame, state, Dictated(script=[[0]]))
    assert step.behind is not None and torch.equal(step.behind.image, behind)
    assert after.background is not None and step.behind.kl().tolist() == [0]
    torch.testing.assert_close(after.background, behind + 0.05 * 0.1, rtol=0, atol=1e-12)
    step, after = model.step(frame, state, Dictated(script=[[1, 1]]))
    assert after.background is not None
    hidden = step.images.amax(0)[0] > 0.5
    moved = (after.background - behind)[0, 0]
    assert (moved[hidden] < 0.5 * 0.05 * 0.1 + 1e-12).all()


def test_beside_an_object_the_image_of_a_scene_stays_as_it_is() -> None:
    model = tiny_model(replace(STILL, size_mean=7.0, background_margin=0.3))  # of two pixels
    assert isinstance(model.background, Still)
    behind, frame = torch.zeros(1, 1, 20, 24), torch.ones(1, 1, 20, 24)
    clear = torch.ones_like(frame)
    clear[..., 8:12, 10:14] = 0.25
    after = model.background.carry(Behind(behind), frame, clear)
    expected = torch.ones_like(frame)
    expected[..., 6:14, 8:16] = 0.25
    torch.testing.assert_close(after, 0.05 * expected)


def test_training_on_still_scenes_sees_the_scene_of_the_whole_clip() -> None:
    torch.set_default_dtype(torch.float32)
    behind = torch.rand(1, 1, 20, 24, generator=seeded(3)) / 2
    clip = (255 * moving(7, behind)[:, 0, 0]).round().to(torch.uint8).numpy()

    class Source:
        length = 7

        def __call__(self, start: int, count: int) -> np.ndarray:
            return np.stack([clip // (1 + n % 2) for n in range(start, start + count)])

    trainer = Trainer(STILL, TrainConfig(stages=(Stage(2, 1, 4),)), Source())
    frames, still = trainer.batch(stage_of(trainer.config, trainer.step))
    assert still is not None and still.shape == (4, 1, 20, 24) and frames.shape == (2, 4, 1, 20, 24)
    for b in range(4):
        whole = torch.from_numpy(clip // (1 + (b // 3) % 2)).float()[:, None, None] / 255
        torch.testing.assert_close(still[b], still_image(whole, TINY)[0])
    assert np.isfinite(trainer.train_step()["loss"])
    with pytest.raises(UserError, match="it needs 5 frames or more, and those .* have 3"):
        Source.length = 3
        Trainer(STILL, TrainConfig(stages=(Stage(2, 1, 4),)), Source())


@pytest.mark.parametrize("config", [SMOOTH, UPCONV, STILL], ids=["smooth", "upconv", "still"])
def test_a_background_survives_the_disk(config: ModelConfig, tmp_path: Path) -> None:
    torch.set_default_dtype(torch.float32)
    model = tiny_model(config)
    save_weights(tmp_path / "weights", model, {})
    again = SQAIR.from_pretrained(tmp_path)
    clips = (255 * spots(config, 5, 2)[:, :, 0].transpose(0, 1)).to(torch.uint8).numpy()
    for ours, theirs in zip(track_clips(model, clips), track_clips(again, clips), strict=True):
        np.testing.assert_array_equal(ours.box, theirs.box)


def test_a_scene_is_one_scene_in_any_light() -> None:
    """Of a clip that gets lighter, before which a bright square moves: the scene, and its light in each frame."""
    behind = 0.2 + 0.5 * torch.rand(3, 20, 24, generator=seeded(1))
    light = torch.linspace(0.8, 1.2, 9)
    frames = (light[:, None, None, None] * behind)[:, None]
    for t in range(9):
        frames[t, 0, :, 3:9, 2 * t : 2 * t + 6] = 0.95
    config = replace(TINY, height=20, width=24, channels=3, background="still", objects="opaque")
    found = still_image(frames, config)
    torch.testing.assert_close(found[0], behind, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(exposure(frames, found)[:, 0, :, 0, 0], light[:, None].expand(-1, 3), rtol=1e-6, atol=0)
    for t in (0, 8):
        shown = Still(config)(frames[t], frames[t], found, None).image
        torch.testing.assert_close(shown[0], light[t] * behind, rtol=1e-6, atol=1e-6)
    adding = replace(config, objects="light")
    assert Still(adding)(frames[0], frames[0], found, None).image is found
    dark = torch.zeros(1, 3, 20, 24)
    assert (exposure(frames[0], dark) == 1).all(), "black says nothing of the light"
