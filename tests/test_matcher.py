"""Where to look: the matcher against brute force over all shifts, saliency against loops."""

import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import sqair.matcher
from conftest import TINY, bump, seeded, tiny_model
from sqair.assign import rank_in_clip
from sqair.config import ModelConfig
from sqair.distributions import Gaussian
from sqair.geometry import centre_to_where, where_to_box, write
from sqair.inference import Inference
from sqair.matcher import Matcher
from sqair.render import RENDERERS, Light, Opaque, log_likelihood
from sqair.salience import most_salient, object_nats, saliency, to_retina

pytestmark = pytest.mark.usefixtures("float64")

CONFIG = replace(TINY, channels=2)
PRICE = 8 / 3


def retinas(clips: int, config: ModelConfig = CONFIG) -> Tensor:
    return to_retina(torch.rand(clips, config.channels, config.height, config.width), config)


def priors(m: int) -> Gaussian:
    return Gaussian(0.8 * torch.randn(m, 4), 0.5 * torch.randn(m, 4) - 1)


def score_map(matcher: Matcher, row: Tensor, others: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """The map ``[R, *span]`` of which ``fixate`` takes the peak."""
    seen = []
    monkeypatch.setattr(sqair.matcher, "_peak", lambda score: seen.append(score) or (score[:, 0, :2], score[:, 0, 0]))
    matcher.fixate(row, matcher.gains(row, others))
    monkeypatch.undo()
    return seen[0]


def gained_behind(frame: Tensor, behind: Tensor | None, others: Tensor, drawn: Tensor, std: float) -> float:
    """What an object ``drawn [1, P, h, w]`` gains that is seen where others of that paint leave it free."""
    if behind is None:
        return float(Light().gain(frame, (-drawn).log1p(), others, None, std))
    clear, below = 1 - Opaque().cover(others), Opaque().canvas(others, behind)
    canvas = below + clear * (drawn[:, 1:] - drawn[:, :1] * behind)
    return float(log_likelihood(frame, canvas, std) - log_likelihood(frame, below, std))


@pytest.mark.parametrize("retina", [1, 2, 3])
@pytest.mark.parametrize("displacement", ["density", "prices"])
@pytest.mark.parametrize("objects", ["light", "opaque"])
def test_the_score_of_every_shift_is_its_gain_plus_the_log_prior(
    objects: Literal["light", "opaque"],
    displacement: Literal["density", "prices"],
    retina: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The object as it looked last, drawn at every shift, also where it sticks out of the canvas."""
    config = replace(CONFIG, retina=retina, max_size=9.0, objects=objects, displacement=displacement)
    frame, glimpse, prior = retinas(2, config), torch.rand(3, config.drawn, 6, 6), priors(3)
    clip = torch.tensor([0, 1, 1])
    behind = retinas(2, config) if objects == "opaque" else None
    seen = frame if behind is None else torch.cat([frame[:, :1], frame - behind, frame], 1)
    matcher = Matcher(seen, clip, glimpse, prior, config, PRICE)
    row, (h, w) = torch.tensor([2, 0]), frame.shape[-2:]
    others = RENDERERS[objects].paint(torch.rand(2, config.drawn, h, w))
    scores = score_map(matcher, row, others, monkeypatch)

    cells = math.ceil(config.max_size / retina)
    assert scores.shape == (2, h + cells - 1, w + cells - 1)
    box = where_to_box(prior.mean, config)
    std, unit, most = prior.log_std[:, :2].exp() * config.position_std * torch.tensor([12.0, 10.0]), 1.0, 3.0
    if displacement == "prices":
        side = box[:, 2:].prod(-1, keepdim=True).sqrt()
        std, unit, most = (torch.minimum(std, side / 4) ** 2 + (0.18 * side) ** 2).sqrt(), PRICE, 20.0
    std = std.clamp_min(0.5) if displacement == "density" else std
    for r, m in enumerate(row.tolist()):
        middle = torch.full((1, 2), cells * retina / 2)
        patch = write(glimpse[m, None], torch.cat([middle, box[m, None, 2:]], -1), cells, cells, retina)
        for top in range(1 - cells, h):
            for left in range(1 - cells, w):
                drawn = torch.zeros(1, config.drawn, h + 2 * cells, w + 2 * cells)
                drawn[:, :, top + cells : top + 2 * cells, left + cells : left + 2 * cells] = patch
                drawn = drawn[:, :, cells:-cells, cells:-cells]
                below = None if behind is None else behind[clip[m], None]
                gained = gained_behind(frame[clip[m], None], below, others[r, None], drawn, config.likelihood_std)
                centre = torch.tensor([left + cells / 2, top + cells / 2]) * retina
                log_prior = float(matcher.log_prior[m, top + cells - 1, left + cells - 1])
                expected = gained * retina**2 + log_prior
                assert float(scores[r, top + cells - 1, left + cells - 1]) == pytest.approx(expected, abs=1e-8)
                cost = float(0.5 * (((centre - box[m, :2]) / std[m]) ** 2).sum())
                least = -min(unit * cost, most * PRICE)  # a jump is not impossible
                assert log_prior == pytest.approx(least, abs=1e-9)


def test_the_fixation_is_at_the_peak_to_a_fraction_of_a_cell() -> None:
    """Objects moved by known amounts are found again, also between cells and half off the canvas."""
    config = replace(TINY, height=40, width=44, position_std=0.6)
    glimpse = bump(torch.tensor([7.0, 7.0]), replace(TINY, height=14, width=14)).expand(4, 1, 14, 14)
    before = torch.tensor([[20.0, 20.0], [12.0, 30.0], [30.0, 12.0], [40.0, 20.0]])
    after = before + torch.tensor([[0.0, 0.0], [3.3, -4.2], [-5.5, 2.7], [3.0, 0.0]])
    where = torch.cat([centre_to_where(before, config), torch.full((4, 2), math.log(2) / config.size_std)], -1)
    assert where_to_box(where, config)[0].tolist() == pytest.approx([20, 20, 14, 14])
    prior = Gaussian(where, torch.full_like(where, -0.5))
    retina = to_retina(bump(after, config)[:, None], config)
    matcher = Matcher(retina, torch.arange(4), glimpse, prior, config, PRICE)
    nobody, every = torch.zeros_like(matcher.seen), torch.arange(4)
    centre, score = matcher.fixate(every, matcher.gains(every, nobody))
    assert (centre - after).abs().max() < 0.4
    empty = Matcher(0 * retina, every, glimpse, prior, config, PRICE)
    _, nothing = empty.fixate(every, empty.gains(every, nobody))
    assert (score > 20).all() and (nothing <= 0).all()


def test_rounding_does_not_choose_where_an_object_that_matches_nothing_is_looked_for() -> None:
    """Among places that are all equally bad the nearest one is taken, not one at random."""
    glimpse, prior = torch.rand(3, 2, 6, 6), Gaussian(0.4 * torch.randn(3, 4), torch.full((3, 4), -1.5))
    black = torch.zeros(3, 2, CONFIG.height // 2, CONFIG.width // 2)
    centre, _ = Matcher(black, torch.arange(3), glimpse, prior, CONFIG, PRICE).run()
    for seed in range(5):
        rounding = 1e-9 * torch.randn(black.shape, generator=seeded(seed))
        again, _ = Matcher(black + rounding, torch.arange(3), glimpse, prior, CONFIG, PRICE).run()
        assert (again - centre).abs().max() < 1e-2


@pytest.mark.parametrize(("objects", "gone"), [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)])
def test_an_object_that_has_gone_leaves_its_neighbours_their_places(objects: int, gone: int) -> None:
    """Of equal objects, one of which has gone, the others are found where they are, whatever their order."""
    config = replace(TINY, height=40, width=44)
    glimpse = bump(torch.tensor([7.0, 7.0]), replace(TINY, height=14, width=14)).expand(objects, 1, 14, 14)
    places = torch.tensor([[10.0, 10.0], [32.0, 10.0], [20.0, 30.0]])[:objects]
    size = torch.full((objects, 2), math.log(2) / config.size_std)
    prior = Gaussian(torch.cat([centre_to_where(places, config), size], -1), torch.full((objects, 4), -1.5))
    stayed = torch.arange(objects) != gone
    retina = to_retina(bump(places[stayed], config).amax(0)[None, None], config)
    centre, _ = Matcher(retina, torch.zeros(objects, dtype=torch.int64), glimpse, prior, config, PRICE).run()
    assert (centre - places)[stayed].abs().max() < 1
    assert ((centre[gone] - places[stayed]).abs().amax(1) > 4).all()


def test_objects_of_one_clip_do_not_match_the_same_ink() -> None:
    """Two equal objects, one place each: the second goes where the first leaves something to explain."""
    config = replace(TINY, height=40, width=44)
    glimpse = bump(torch.tensor([7.0, 7.0]), replace(TINY, height=14, width=14)).expand(2, 1, 14, 14)
    places = torch.tensor([[15.0, 15.0], [27.0, 21.0]])
    between = centre_to_where(torch.tensor([[16.0, 16.0], [16.0, 16.0]]), config)
    prior = Gaussian(torch.cat([between, torch.full((2, 2), math.log(2) / config.size_std)], -1), torch.zeros(2, 4))
    retina = to_retina(bump(places, config).amax(0)[None, None], config)
    matcher = Matcher(retina, torch.zeros(2, dtype=torch.int64), glimpse, prior, config, PRICE)
    centre, others = matcher.run()
    assert (centre - places).abs().max() < 1
    seen = torch.zeros(2, dtype=torch.int64)
    boxes = torch.cat([centre, torch.full((2, 2), 14.0)], -1)
    own = Light().cover(Light().paint(write(glimpse, boxes, 20, 22, config.retina)))
    region = replace(matcher.region, clip=torch.arange(2))
    torch.testing.assert_close(others, region.cut(own[[1, 0]]), rtol=0, atol=1e-9)
    alone, nobody = Matcher(retina, seen[:1], glimpse[:1], Gaussian(*(v[:1] for v in prior)), config, PRICE).run()
    torch.testing.assert_close(alone, centre[:1], rtol=0, atol=1e-9)
    assert nobody.abs().max() < 1e-9


@pytest.mark.parametrize("brighter", [0, 1])
@pytest.mark.parametrize("moved", [0.0, 2.0])
def test_neighbours_that_look_alike_do_not_trade_places(brighter: int, moved: float) -> None:
    """The one that shows most is placed first, and would gain most where its neighbour is."""
    config = replace(TINY, height=40, width=60, search_margin=8.0)
    shape = bump(torch.tensor([7.0, 7.0]), replace(TINY, height=14, width=14))
    glimpse = torch.stack([shape * (1.1 if m == brighter else 0.9) for m in range(2)])[:, None]
    places = torch.tensor([[18.0, 20.0], [34.0, 20.0]])
    shown = torch.tensor([1.2, 0.8]) if brighter == 1 else torch.tensor([0.8, 1.2])  # the other way round now
    frame = (shown[:, None, None] * bump(places + moved, config)).amax(0)
    size = torch.full((2, 2), math.log(2) / config.size_std)
    prior = Gaussian(torch.cat([centre_to_where(places, config), size], -1), torch.full((2, 4), 0.5))
    clip = torch.zeros(2, dtype=torch.int64)
    matcher = Matcher(to_retina(frame[None, None], config), clip, glimpse, prior, config, PRICE)
    centre, _ = matcher.run()
    assert (centre - places - moved).abs().max() < 1.5
    greedy, _ = matcher.fixate(torch.tensor([brighter]), matcher.gains(torch.tensor([brighter]), 0 * matcher.seen[:1]))
    assert (greedy - places[1 - brighter] - moved).abs().max() < 1.5  # where it would go if it were alone


def test_objects_that_look_different_may_trade_places() -> None:
    """What they look like is evidence of who is who, if it differs by more than displacements cost."""
    config = replace(TINY, height=40, width=60, search_margin=8.0)
    glimpse = torch.zeros(2, 1, 6, 6)
    glimpse[0, :, :, 2:4], glimpse[1, :, 2:4] = 1, 1  # upright and level
    places = torch.tensor([[20.0, 20.0], [34.0, 20.0]])
    boxes = torch.cat([places.flip(0), torch.full((2, 2), 14.0)], -1)
    frame = write(glimpse, boxes, 40, 60).amax(0)[None]
    size = torch.full((2, 2), math.log(2) / config.size_std)
    prior = Gaussian(torch.cat([centre_to_where(places, config), size], -1), torch.full((2, 4), 0.5))
    clip = torch.zeros(2, dtype=torch.int64)
    centre, _ = Matcher(to_retina(frame, config), clip, glimpse, prior, config, PRICE).run()
    assert (centre - places.flip(0)).abs().max() < 1.5


def test_matches_in_one_clip_do_not_depend_on_the_others() -> None:
    retina, glimpse, prior = retinas(3), torch.rand(4, 2, 6, 6), priors(4)
    clip = torch.tensor([2, 0, 2, 1])
    centre, others = Matcher(retina, clip, glimpse, prior, CONFIG, PRICE).run()
    for c in range(3):
        mine = (clip == c).nonzero()[:, 0]
        alone = Gaussian(prior.mean[mine], prior.log_std[mine])
        one = retina[c, None]
        expected = Matcher(one, torch.zeros_like(mine), glimpse[mine], alone, CONFIG, PRICE).run()
        torch.testing.assert_close((centre[mine], others[mine]), expected, rtol=0, atol=1e-9)


def test_the_peak_is_refined_by_a_parabola() -> None:
    y, x = torch.arange(9.0), torch.arange(11.0)
    top = torch.tensor([[3.3, 4.8], [6.49, 2.0], [1.0, 7.0]])  # x, y
    score = -((y - top[:, 1, None]) ** 2)[:, :, None] - 2 * ((x - top[:, 0, None]) ** 2)[:, None, :]
    peak, _ = sqair.matcher._peak(score)
    torch.testing.assert_close(peak, top, rtol=0, atol=1e-9)
    corner = torch.zeros(1, 9, 11)
    corner[0, 0, 0] = 1
    assert sqair.matcher._peak(corner)[0].abs().max() <= 1.0 and sqair.matcher._peak(corner)[0].isfinite().all()


def test_the_retina_averages_blocks_also_the_partial_ones() -> None:
    image = torch.rand(2, 3, 7, 9)
    small = to_retina(image, replace(TINY, retina=2))
    assert small.shape == (2, 3, 4, 5)
    for i in range(4):
        for j in range(5):
            block = image[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            torch.testing.assert_close(small[:, :, i, j], block.mean((2, 3)), rtol=0, atol=1e-12)


def test_saliency_is_the_blurred_brightest_unexplained_ink() -> None:
    residual, colour = torch.randn(2, 3, 6, 8), replace(TINY, channels=3)
    ink = F.pad(residual.clamp_min(0).amax(1), (1, 1, 1, 1))
    kernel = [0.25, 0.5, 0.25]
    expected = torch.zeros(2, 6, 8)
    for i, a in enumerate(kernel):
        for j, b in enumerate(kernel):
            expected += a * b * ink[:, i : i + 6, j : j + 8]
    found = saliency(colour.render.unexplained(residual, 0 * residual))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_most_salient_points_at_the_spot_in_pixels() -> None:
    centre = torch.tensor([[5.0, 13.0], [17.0, 3.0], [23.0, 19.0]])
    residual = to_retina(bump(centre, TINY)[:, None], TINY)
    point, value = most_salient(saliency(residual), TINY)
    torch.testing.assert_close(point, centre, rtol=0, atol=1e-9)
    assert torch.equal(value, saliency(residual).flatten(1).amax(1))
    _, nothing = most_salient(saliency(TINY.render.unexplained(0 * residual, residual)), TINY)
    assert nothing.tolist() == [0, 0, 0]  # explained too much is not unexplained


def test_rank_counts_within_each_clip_from_the_largest_value() -> None:
    clip, value = torch.tensor([4, 0, 4, 1, 0, 4]), torch.tensor([2.0, 5.0, 7.0, 1.0, 6.0, 3.0])
    assert rank_in_clip(clip, value).tolist() == [2, 1, 0, 0, 0, 1]
    assert rank_in_clip(clip, torch.ones(6)).tolist() == [0, 0, 1, 0, 1, 2]  # equal ones in their order


def test_object_nats_is_the_median_energy_of_the_brightest_window() -> None:
    config = replace(TINY, context=8.0)
    spot = bump(torch.tensor([10.0, 10.0]), config)[None, None]
    energy = float((spot[..., 6:14, 6:14] ** 2).sum()) / (2 * config.likelihood_std**2)
    frames = torch.cat([0 * spot, spot, spot, spot])
    assert object_nats(frames, config) == pytest.approx(energy, rel=1e-9)
    assert object_nats(0 * frames, config) == 0


def test_the_recurrent_search_looks_at_one_of_two_equal_objects_then_at_the_other() -> None:
    config = replace(ModelConfig(), discovery="recurrent")
    model = tiny_model(config, noise=0.0)
    centres = torch.tensor([[12.0, 25.0], [38.0, 25.0]])
    frame = bump(centres, config, 3.0).amax(0)[None, None]
    retina = to_retina(frame, config)
    search = model.discovery.search
    with torch.no_grad():
        memory = search.begin(retina, torch.zeros_like(retina))
        looked = []
        for _ in range(2):
            clip = torch.zeros(1, dtype=torch.int64)
            found = search(memory, retina, torch.zeros_like(retina), clip, torch.ones_like(clip), Inference())
            assert found is not None
            looked.append(float(where_to_box(found.where.mean, config)[0, 0]))
    assert sorted(looked) == pytest.approx([12, 38], abs=4)


def pairs_of_clips(self: Matcher) -> tuple[torch.Tensor, torch.Tensor]:
    """Objects of a clip are taken to see each other wherever they are: one after the other is settled."""
    i, k = (self.clip[:, None] == self.clip).fill_diagonal_(False).nonzero().T
    return i, k


def test_only_what_changed_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Centres and what others cover are the same as if all that wait were looked at after each placement."""
    config = replace(CONFIG, height=90, width=120, max_size=12.0, search_margin=3.0)
    clip = torch.arange(12) % 2
    glimpse, prior, retina = torch.rand(12, 2, 6, 6), priors(12), retinas(2, config)
    gains, asked = Matcher.gains, []

    def counted(self: Matcher, row: Tensor, others: Tensor) -> Tensor:
        asked.append(len(row))
        return gains(self, row, others)

    monkeypatch.setattr(Matcher, "gains", counted)
    centre, others = Matcher(retina, clip, glimpse, prior, config, PRICE).run()
    few = sum(asked)
    monkeypatch.setattr(Matcher, "_near", lambda self, row, box: torch.ones_like(row, dtype=torch.bool))
    monkeypatch.setattr(Matcher, "_pairs", pairs_of_clips)
    every = Matcher(retina, clip, glimpse, prior, config, PRICE).run()
    assert few < sum(asked) - few == 2 * (6 + 5 + 4 + 3 + 2 + 1)
    torch.testing.assert_close(centre, every[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(others, every[1], rtol=0, atol=1e-9)


def crowded(config: ModelConfig, clip: Tensor, glimpse: Tensor, prior: Gaussian) -> Tensor:
    """The retina of two clips with noise that shows objects ``glimpse [M, P, G, G]`` up to a few pixels off."""
    box, render = where_to_box(prior.mean, config), config.render
    box[:, :2] += 4 * torch.rand(len(box), 2) - 2
    size = (config.height, config.width)
    paint = torch.zeros(2, config.painted, *size).index_add(0, clip, render.paint(write(glimpse, box, *size)))
    behind = torch.rand(2, config.channels, 1, 1).expand(-1, -1, *size)
    frame = render.canvas(paint, behind) + 0.1 * torch.randn(2, config.channels, *size)
    return to_retina(render.see(frame, behind), config)


@pytest.mark.parametrize("objects", ["light", "opaque"])
@pytest.mark.parametrize("crowd", [12, 40])
def test_those_that_do_not_meet_are_settled_together_as_one_after_the_other(
    crowd: int, objects: Literal["light", "opaque"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is in the frame, a little off and half of it under others; and in few rounds."""
    config = replace(CONFIG, height=120, width=150, max_size=12.0, search_margin=3.0, objects=objects)
    clip, prior = torch.arange(2 * crowd) % 2, priors(2 * crowd)
    prior = prior._replace(mean=torch.cat([1.5 * torch.rand(2 * crowd, 2) - 0.75, prior.mean[:, 2:]], 1))
    glimpse = torch.rand(2 * crowd, config.drawn, 6, 6)
    if objects == "opaque":
        glimpse[:, 1:] *= glimpse[:, :1]
    retina = crowded(config, clip, glimpse, prior)
    draw, rounds = Matcher._draw, []

    def counted(self: Matcher, row: Tensor, centre: Tensor, there: Tensor) -> Tensor:
        rounds.append(len(row))
        return draw(self, row, centre, there)

    monkeypatch.setattr(Matcher, "_draw", counted)
    centre, others = Matcher(retina, clip, glimpse, prior, config, PRICE).run()
    few = len(rounds)
    monkeypatch.setattr(Matcher, "_pairs", pairs_of_clips)
    one_by_one = Matcher(retina, clip, glimpse, prior, config, PRICE).run()
    assert few < 0.7 * (len(rounds) - few)
    torch.testing.assert_close(centre, one_by_one[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(others, one_by_one[1], rtol=0, atol=1e-9)
