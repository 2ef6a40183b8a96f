"""What a model imagines: clips from nothing, clips like others, futures; and whether it is as the prior has it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from conftest import SPOTTER, TINY, Dictated, moving_spots, seeded, spots, spotter, straight, tiny_model
from sqair.alike import centres, crps, explain_clips, explain_many, fit, fit_spread, innovations, look_ahead
from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import get_recipe
from sqair.errors import UserError
from sqair.frames import to_frames
from sqair.geometry import where_to_box
from sqair.imagine import Manner, advance, canvas, dream, futures, go_on, predict, sample
from sqair.likeness import Kernels, Likeness, Spread, checksum, is_likeness
from sqair.model import SQAIR
from sqair.scripts import imagine
from sqair.scripts.imagine import Args
from sqair.scripts.imagine_clips import load

FALSE_ALARM = 1e-6


def clips_of(frames: torch.Tensor) -> np.ndarray:
    """Frames ``[T, B, 1, H, W]`` as uint8 ``[B, T, H, W]``."""
    return (255 * frames[:, :, 0]).round().byte().transpose(0, 1).numpy()


@pytest.fixture(scope="module")
def digits() -> tuple[SQAIR, np.ndarray]:
    return SQAIR.from_pretrained("moving-mnist").eval(), make_clips(get_recipe("moving-mnist"), "val", 0, 0, 40).frames


@pytest.fixture(scope="module")
def like(digits: tuple[SQAIR, np.ndarray]) -> Likeness:
    return fit(digits[0], explain_many(digits[0], digits[1], 5))


def observed() -> tuple[SQAIR, torch.Tensor]:
    """A model that follows two spots, and a clip of them."""
    return spotter(), moving_spots([straight(10, 12, 2, 1, 9), straight(40, 30, -1, 0, 9)])


def test_the_first_step_of_many_futures_is_distributed_as_the_prior() -> None:
    """Kolmogorov and Smirnov's test of each latent of one object, at FALSE_ALARM in all."""
    model = tiny_model()
    part = explain_clips(model, spots(TINY, 3, 1), 3)
    one = replace(part.state, objects=part.state.objects.rows(torch.tensor([0])))
    many = futures(one, 4000).objects
    with torch.no_grad():
        where, what = model.propagation.prior(one.objects)
    for spread in (Spread(), Spread(0.5, 0.2, 2.0)):
        moved, _ = advance(model, many, seeded(3), spread)
        shares = [spread.place] * 2 + [spread.size] * 2 + [spread.look] * TINY.z_what
        found = torch.cat([moved.where, moved.what], 1).numpy()
        mean = torch.cat([where.mean, what.mean], 1)[0].numpy()
        std = torch.cat([where.log_std, what.log_std], 1)[0].exp().numpy() * shares
        for value, m, s in zip(found.T, mean, std, strict=True):
            assert stats.kstest(value, "norm", (m, s)).pvalue > FALSE_ALARM / 20


def test_who_is_new_draws_its_speed_as_the_model_has_it() -> None:
    model = tiny_model()
    part = explain_clips(model, spots(TINY, 1, 1), 1)
    assert len(part.state.objects) and (part.state.objects.age == 0).all()
    own, _ = advance(model, part.state.objects, seeded(1))
    narrow, _ = advance(model, part.state.objects, seeded(1), Spread(0, 0, 0))
    assert torch.equal(own.where, narrow.where) and torch.equal(own.what, narrow.what)


def test_futures_without_spread_are_the_mean_and_all_alike() -> None:
    model, frames = observed()
    part = explain_clips(model, frames[:5], 5)
    manner = Manner(model.price, spread=Spread(0, 0, 0), like=None)
    mean = go_on(model, futures(part.state, 1), 1, 3, None, Manner(model.price))
    drawn = go_on(replace_stay(model), futures(part.state, 3), 3, 3, seeded(0), manner)
    for k in range(3):
        torch.testing.assert_close(drawn.frames[:, k], mean.frames[:, 0])


def replace_stay(model: SQAIR) -> SQAIR:
    """The same model, of which nobody leaves."""
    model.config = replace(model.config, stay_logit=100.0)
    return model


def test_futures_are_of_the_clips_in_their_order_and_repeat() -> None:
    model = tiny_model()
    part = explain_clips(model, spots(TINY, 3, 2), 3)
    many = futures(part.state, 4)
    for clip in range(2):
        mine = part.state.objects.rows(part.state.objects.clip == clip)
        for k in range(4):
            same = many.objects.rows(many.objects.clip == 4 * clip + k)
            assert torch.equal(same.where, mine.where) and torch.equal(same.id, mine.id)
    manner = Manner(model.price)
    once, again, other = (go_on(model, many, 8, 4, seeded(s), manner).frames for s in (1, 1, 2))
    assert torch.equal(once, again) and not torch.equal(once, other)


def test_futures_leave_out_who_is_not_seen() -> None:
    model, frames = observed()
    part = explain_clips(model, torch.cat([frames[:4], torch.zeros_like(frames[:2])]), 6)
    assert (part.state.objects.unseen > 0).sum() == 2
    assert len(futures(part.state, 3).objects) == 0


def test_samples_have_names_of_their_own_clip() -> None:
    imagined = dream(tiny_model(), 20, 3, seeded(0), Manner(-1.0))
    first = imagined.objects[0]
    for clip in range(20):
        mine = first.id[first.clip == clip].tolist()
        assert mine == list(range(len(mine)))
    assert torch.equal(imagined.frames, sample(tiny_model(), 20, 3, seeded(0), price=-1.0))


def test_kernels_keep_mean_and_covariance_and_find_clusters() -> None:
    torch.manual_seed(0)
    points = torch.randn(400, 3, dtype=torch.float64) @ torch.tensor([[1, 0.5, 0], [0, 1, 0], [0, 0, 2.0]]).double()
    assert Kernels.fit(points).width >= 0.5
    apart = points * 0.05 + torch.randint(0, 2, (400, 1)) * 10.0
    kernels = Kernels.fit(apart)
    assert kernels.width < 0.3
    drawn = kernels.draw(20000, seeded(1))
    middle = ((drawn[:, 0] - apart[:, 0].min() > 3) & (apart[:, 0].max() - drawn[:, 0] > 3)).float().mean()
    assert middle < 0.05
    torch.testing.assert_close(drawn.mean(0), apart.mean(0), atol=0.2, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), apart.T.cov(), atol=0, rtol=0.1)


def test_the_score_of_an_ensemble_is_that_of_its_definition_and_least_for_the_truth() -> None:
    samples, came = torch.randn(7, 5, generator=seeded(0)), torch.randn(5, generator=seeded(1))
    pairs = (samples[:, None] - samples[None]).abs().sum((0, 1)) / (7 * 6)
    torch.testing.assert_close(crps(samples, came), (samples - came).abs().mean(0) - pairs / 2)
    came = torch.randn(4000, generator=seeded(2))
    scores = [float(crps(s * torch.randn(16, 4000, generator=seeded(3)), came).mean()) for s in (0.3, 1.0, 3.0)]
    assert min(scores) == scores[1]


def test_clips_that_go_straight_on_need_no_spread() -> None:
    """The means of the prior of the spotter are right, and its spread is far too wide."""
    model, frames = observed()
    part = explain_clips(model, frames, 5)
    assert fit_spread(model, [part]).place <= 0.2
    ahead = look_ahead(model, part, 1, None)
    assert ahead.seen.all() and ahead.futures.shape[:3] == (1, 4, 2)
    assert np.abs(centres(ahead.futures, model)[0] - centres(ahead.came, model)).max() < 1.0


def test_innovations_of_samples_are_standard_normal() -> None:
    """Of a clip whose objects move as the prior samples them; each of the moments at FALSE_ALARM."""
    model = tiny_model()
    part = explain_clips(model, spots(TINY, 3, 1), 3)
    objects, rolled = futures(part.state, 400).objects, []
    for _ in range(3):
        rolled.append(objects)
        objects, _ = advance(model, objects, seeded(len(rolled)))
    found = innovations(model, replace(part, objects=rolled))
    assert set(found) == {"speed", "place", "size", "look"}
    for name in ("place", "size", "look"):
        z, n = found[name], len(found[name])
        assert n > 1000
        assert abs(z.mean()) < stats.norm.isf(FALSE_ALARM) / n**0.5
        assert stats.chi2.sf((z**2).sum(), n) > FALSE_ALARM < stats.chi2.cdf((z**2).sum(), n)


def test_a_likeness_is_what_was_seen(digits: tuple[SQAIR, np.ndarray], like: Likeness) -> None:
    model, clips = digits
    truth = make_clips(get_recipe("moving-mnist"), "val", 0, 0, 40).count[:, 0]
    assert np.abs(like.counts.numpy() - np.bincount(truth, minlength=3) / 40).max() < 0.06
    assert like.stay > 0.99 and like.born < 0.02 and like.spread.place <= 1 and like.clips == len(clips)
    assert like.new is not None and like.new.points.shape[1] == 4 + model.config.z_what


def test_clips_that_are_like_others_have_objects_of_their_number_and_size(
    digits: tuple[SQAIR, np.ndarray], like: Likeness
) -> None:
    model, _ = digits
    imagined = dream(model, 400, 3, seeded(1), Manner(0.7, like, like.spread))
    counts = np.bincount(torch.bincount(imagined.objects[0].clip, minlength=400), minlength=3)
    assert stats.chisquare(counts, 400 * like.counts.numpy()).pvalue > FALSE_ALARM
    assert like.new is not None
    heights, wanted = imagined.objects[0].where[:, 3], float(like.new.points[:, 3].mean())
    assert abs(float(heights.mean()) - wanted) < 0.1 < wanted - 1  # the model's own prior has 0


def test_objects_are_born_where_they_are_in_the_data(digits: tuple[SQAIR, np.ndarray], like: Likeness) -> None:
    model, _ = digits
    many = replace(like, counts=torch.tensor([1.0]), born=0.5, stay=0.9)
    objects = dream(model, 50, 12, seeded(0), Manner(0.7, many)).objects
    assert not len(objects[0])
    for frame in objects:
        assert (torch.bincount(frame.clip, minlength=50) <= model.config.slots).all()
        names = list(zip(frame.clip.tolist(), frame.id.tolist(), strict=True))
        assert len(set(names)) == len(names)
    assert len(objects[1]) and stats.poisson.sf(len(objects[1]) - 1, 25) > FALSE_ALARM < stats.poisson.cdf(
        len(objects[1]), 25
    )


def test_a_likeness_is_saved_and_read_again(tmp_path: Path, like: Likeness) -> None:
    like.save(tmp_path / "likeness.npz")
    assert is_likeness(tmp_path / "likeness.npz")
    again = Likeness.load(tmp_path / "likeness.npz")
    assert (again.spread, again.stay, again.born, again.model) == (like.spread, like.stay, like.born, like.model)
    assert again.new is not None and like.new is not None
    assert torch.equal(again.new.draw(5, seeded(0)), like.new.draw(5, seeded(0)))
    whole = (tmp_path / "likeness.npz").read_bytes()
    for damaged in (whole[:100], whole[:-200], b"", whole[:300] + b"\0" * 60 + whole[360:]):
        (tmp_path / "bad.npz").write_bytes(damaged)
        with pytest.raises(UserError, match="likeness"):
            Likeness.load(tmp_path / "bad.npz")


def test_nothing_at_all_is_like_nothing() -> None:
    model = spotter()
    like = fit(model, explain_many(model, np.zeros((3, 4, 44, 52), np.uint8), 2))
    assert like.counts.tolist() == [1.0] and like.new is None and like.spread == Spread()
    frames = dream(model, 2, 3, seeded(0), Manner(0.7, like)).frames
    assert torch.equal(frames, torch.zeros_like(frames))


@pytest.mark.parametrize(("stretch", "objects"), [(1.0, "light"), (1.0, "opaque"), (2.5, "opaque")])
def test_what_is_imagined_is_drawn_as_what_is_seen(stretch: float, objects: str) -> None:
    config = replace(TINY, background="still", stretch=stretch, objects=objects)  # type: ignore[arg-type]
    model = tiny_model(config)
    still = 0.2 + 0.5 * torch.rand(2, 1, 20, 24)
    frame = (still + 0.3 * spots(config, 1, 2)[0]).clamp(0, 1)
    with torch.no_grad():
        step, _ = model.step(frame, model.initial_state(2, frame, still), Dictated(script=[[1] * 9] * 2))
    assert len(step.objects) and step.behind is not None
    box = where_to_box(step.objects.where, model.config)
    paint = model.painted(step.objects.glimpse, box, step.objects.clip)
    torch.testing.assert_close(canvas(model, paint, 2, step.behind.image), step.canvas)


def test_predict_is_of_the_prior_alone() -> None:
    model, frames = observed()
    expected, objects = predict(model, frames[:5], 4)
    assert expected.shape == (4, 1, 1, 44, 52) and [len(of) for of in objects] == [2] * 4


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a run and clips for it."""
    spotter().save_pretrained(tmp_path / "run")
    _, frames = observed()
    several = [moving_spots([straight(10, 12 + 9 * k, 3 - 2 * k, 1 - k, 9)]) for k in range(3)]
    np.savez(tmp_path / "clips.npz", frames=clips_of(torch.cat(several, 1)))
    np.savez(tmp_path / "one.npz", frames=clips_of(frames)[0])
    return tmp_path


def call(place: Path, **more: object) -> Path:
    """The output folder of a small call."""
    given = {"output": place / "out", "model": str(place / "run"), "samples": 2, "frames": 3, "observed": 4, **more}
    imagine.main(Args(**given))  # type: ignore[arg-type]
    return given["output"]  # type: ignore[return-value]


def test_clips_from_nothing_repeat_by_their_seed(place: Path) -> None:
    folders = [call(place, output=place / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    first, again, other = (np.load(folder / "imagined.npz")["frames"] for folder in folders)
    assert first.shape == (2, 3, 44, 52) and np.array_equal(first, again) and not np.array_equal(first, other)
    written = {path.name for path in folders[0].iterdir()}
    assert written == {f"imagined.{kind}" for kind in ("mp4", "npz", "csv", "html")}


def test_futures_go_on_from_the_frames_that_were_observed(place: Path) -> None:
    out = call(place, observe=str(place / "one.npz"), start=2, mean=True, webp=True)
    with (out / "imagined.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["frame"] for row in rows} == {"6", "7", "8"} and {row["sample"] for row in rows} == {"1"}
    for row in rows:
        x = float(row["x"]) + float(row["w"]) / 2
        frame = int(row["frame"]) - 1
        assert min(abs(x - (10 + 2 * frame)), abs(x - (40 - frame))) < 1.5
    assert (out / "imagined.webp").stat().st_size < 300_000
    assert "The first row is what came, the others are samples. Frames 6, 7, 8." in (out / "imagined.html").read_text()


def test_the_page_tells_whether_they_are_alike(place: Path) -> None:
    clips = str(place / "clips.npz")
    out = call(place, like=clips, against=clips, observed=5, frames=4)
    page = (out / "imagined.html").read_text()
    for said in ("Fitted to 3 clips", "Are they alike?", "speed, pixels a frame", "calibrated?", "straight on"):
        assert said in page
    again = call(place, output=place / "again", like=str(out / "likeness.npz"), observed=5, frames=4)
    one, other = (np.load(folder / "imagined.npz")["frames"] for folder in (out, again))
    assert np.array_equal(one, other)


def test_long_clips_are_cut_into_pieces(place: Path) -> None:
    model = spotter()
    assert load(model, str(place / "one.npz"), 200, 4).shape == (2, 4, 44, 52)
    assert load(model, str(place / "clips.npz"), 4, 4).shape == (4, 4, 44, 52)
    assert load(model, str(place / "clips.npz"), 200, 100).shape == (3, 9, 44, 52)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"samples": 0}, "--samples is 0: it must be at least 1"),
        ({"price": float("nan")}, "--price is nan"),
        ({"mean": True}, "--mean needs --observe"),
        ({"clip": "a"}, "--clip is one of --observe"),
        ({"price": 1.0, "like": "{clips}"}, "leave --price out"),
        ({"against": "{clips}", "observe": "{clips}"}, "leave --observe out"),
        ({"observe": "{clips}"}, "holds 3 clips: choose one, such as --clip 000000"),
        ({"observe": "{clips}", "clip": "7"}, "no clip called 7"),
        ({"observe": "{one}", "start": 8}, "has 2 frames from frame 8 on: --observed is 4"),
        ({"like": "{run}"}, "run"),
        ({"like": "{other}"}, "made with another --model"),
        ({"like": "{clips}", "frames": 1, "observed": 1}, "has a clip of 2 frames: motion is told by 3"),
        ({"model": "any-camera"}, "give one, --observe CLIP"),
        ({"model": "nothing"}, "nothing"),
        ({"against": "{small}"}, "frames are 8x8 pixels, the model takes 52x44"),
    ],
)
def test_what_does_not_go_together_is_said_and_nothing_written(
    place: Path, more: dict[str, object], said: str, like: Likeness
) -> None:
    like.save(place / "other.npz")
    np.savez(place / "small.npz", frames=np.zeros((2, 5, 8, 8), np.uint8))
    names = {name: str(place / f"{name}.npz") for name in ("clips", "one", "other", "small")}
    names["run"] = str(place / "run")
    given = {key: value.format(**names) if isinstance(value, str) else value for key, value in more.items()}
    with pytest.raises(UserError) as error:
        call(place, **given)
    assert said in str(error.value)
    assert not (place / "out").exists()


def test_what_is_read_and_what_is_there_stays(place: Path) -> None:
    before = (place / "one.npz").read_bytes()
    (place / "imagined.npz").write_bytes(before)
    with pytest.raises(UserError):
        call(place, output=place, observe=str(place / "imagined.npz"), overwrite=True)
    assert (place / "imagined.npz").read_bytes() == before
    call(place)
    with pytest.raises(UserError, match="is not empty"):
        call(place)
    call(place, overwrite=True)


def test_a_checksum_is_of_the_weights() -> None:
    assert checksum(spotter()) == checksum(spotter()) != checksum(spotter(replace(SPOTTER, z_what=3)))


def test_numbers_of_frames_do_not_depend_on_batches(digits: tuple[SQAIR, np.ndarray]) -> None:
    """Clips that are explained together are explained as if alone."""
    model, clips = digits
    together = explain_clips(model, to_frames(clips[:3]), 5)
    alone = explain_clips(model, to_frames(clips[1:2]), 5)
    mine = together.objects[7].rows(together.objects[7].clip == 1)
    torch.testing.assert_close(mine.where, alone.objects[7].where, atol=1e-4, rtol=1e-4)
