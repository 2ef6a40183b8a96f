"""Re-identification: portraits, tracklets, what tells individuals apart, and who gets which id."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pandas
import pytest
import torch

from sqair.datasets.video_out import write_video
from sqair.files.mot_io import read_mot
from sqair.reid import gallery as galleries
from sqair.reid import tracklets as parts
from sqair.reid.embedding import Embedding, contrast
from sqair.reid.gallery import Gallery, Identified
from sqair.reid.linking import MOST_LOOKS, Linking, Looks
from sqair.reid.portraits import SIDE, portrait
from sqair.reid.renaming import rename
from sqair.reid.tracklets import cut, follows
from sqair.scripts import cli
from sqair.tracks import Tracks

SIZE = (120, 160)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the steps of training."""
    monkeypatch.setattr(galleries, "ROUNDS", tuple((steps // 3, least) for steps, least in galleries.ROUNDS))


def fish(x: float, y: float, degrees: float, *, dark: int = 60) -> np.ndarray:
    """A frame ``[H, W, 1]`` of a wedge, heavy at its front, on grey."""
    image = np.full(SIZE, 128, np.uint8)
    points = np.array([[-12, -6], [-12, 6], [14, 0]], float)
    turn = np.deg2rad(degrees)
    points = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + [x, y]
    cv2.fillPoly(image, [np.rint(8 * points).astype(np.int32)], dark, cv2.LINE_AA, 3)
    return image[..., None]


def around(image: np.ndarray) -> np.ndarray:
    y, x = np.nonzero(image[..., 0] != 128)
    return np.array([x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1], float)


def seen(image: np.ndarray) -> np.ndarray:
    found = portrait(image, np.full((*SIZE, 1), 128.0), np.zeros(1), around(image), 20.0)
    assert found is not None
    return found.astype(float)[..., 0]


@pytest.mark.parametrize("degrees", [30, 90, 145, 180, 265])
def test_portraits_do_not_depend_on_where_a_thing_is_and_how_it_is_turned(degrees: float) -> None:
    straight, turned = seen(fish(60, 50, 0)), seen(fish(90.4, 61.7, degrees))
    assert np.abs(straight - turned).mean() < 0.12 * np.abs(straight).mean()
    mirrored = np.abs(straight[:, ::-1] - turned).mean()
    assert mirrored > 0.5 * np.abs(straight).mean(), "the heavier end is always on the same side"


def test_a_portrait_tells_light_and_dark_apart_but_not_the_light_of_a_frame() -> None:
    image, flat = fish(60, 50, 20), np.full((*SIZE, 1), 128.0)
    box = around(image)
    brighter = portrait(image + 10, flat, np.full(1, 10.0), box, 20.0)
    assert brighter is not None and (seen(image) == brighter[..., 0]).all()
    assert seen(image).min() == pytest.approx((60 - 128) / 2, abs=1) and seen(fish(60, 50, 20, dark=200)).max() > 30


def test_there_is_no_portrait_of_what_lies_outside() -> None:
    flat = np.full((*SIZE, 1), 128.0)
    assert portrait(fish(60, 50, 0), flat, np.zeros(1), np.array([-30.0, 40, 20, 20]), 20.0) is None


def walk(*rows: tuple[int, int, float, float]) -> Tracks:
    """Rows (frame, id, x, y) of boxes of 10 x 10 pixels."""
    frame, name, x, y = np.array(rows).T
    return Tracks(frame, name, np.stack([x, y, np.full_like(x, 10), np.full_like(x, 10)], 1))


def test_tracks_are_cut_where_things_touch_and_where_they_were_lost() -> None:
    first = [(t, 0, 10.0 * t, 0.0) for t in range(12) if t != 8]
    second = [(t, 1, 40.0, 6.0 if t in (3, 4, 5) else 60.0) for t in range(12)]
    tracks = walk(*first, *second)
    tracklets = cut(tracks)
    spans = np.stack([track_of(tracklets, tracks), tracklets.start, tracklets.end], 1)
    assert spans.tolist() == [[0, 0, 2], [1, 0, 2], [0, 6, 7], [1, 6, 11], [0, 9, 11]]
    together = tracklets.together()
    assert together[0, 1] and not together[0, 2] and together[3, 4] and together.diagonal().all()


def test_what_follows_is_a_ratio_of_densities() -> None:
    rng = np.random.default_rng(0)
    elsewhere = [(0, 9 + i, *rng.uniform(200, 900, 2)) for i in range(200)]
    one = [(t, 0, 300 + 4.0 * t, 300.0) for t in range(6)]
    on, off = ([(t, 1, 300 + 4.0 * t, y) for t in range(7, 12)] for y in (300.0, 420.0))
    for rows, distance in ((on, 0.0), (off, 120.0)):
        tracks = walk(*one, *rows, *elsewhere)
        tracklets = cut(tracks)
        k, other = (int(np.flatnonzero(track_of(tracklets, tracks) == name)[0]) for name in (0, 1))
        centre = tracks.box[:, :2] + 5
        area = np.prod(np.percentile(centre, 98, axis=0) - np.percentile(centre, 2, axis=0))
        scale = (10 * (parts.LOOSE + 2 * parts.LOOSER)) ** 2
        density = (1 + distance**2 / scale) ** -1.5 / (2 * np.pi * scale)
        known = (1 - parts.UNFORESEEN) * np.exp(-2 / parts.FORGETS)
        evidence = follows(tracklets, tracks, (1000, 1000))
        assert evidence[k, other] == pytest.approx(np.log(known * density * area + 1 - known))
        assert evidence[other, k] == 0, "time does not go back"


def test_a_two_dimensional_cauchy_is_a_density() -> None:
    r = np.linspace(0, 1e4, 2_000_001)
    for scale in (1.0, 25.0):
        density = (1 + r**2 / scale) ** -1.5 / (2 * np.pi * scale)
        assert np.trapezoid(2 * np.pi * r * density, r) == pytest.approx(1, abs=1e-3)


def test_who_leaves_hardly_goes_on_as_somebody_else() -> None:
    rows = [(t, t // 6, 300 + 4.0 * t, 300.0) for t in range(12)]
    inside = walk(*rows)
    both = follows(cut(inside), inside, (1000, 1000))[0, 1]
    cut_off = follows(cut(inside), inside, (311, 1000))[0, 1]
    assert cut_off == pytest.approx(both + 2 * parts.GONE)


def test_contrast_is_what_enumeration_gives() -> None:
    embedded = torch.randn(12, 3, dtype=torch.float64)
    name = np.repeat(range(3), 4)
    total = 0.0
    for i in range(12):
        odds = {k: float((-(embedded[i] - embedded[k]).square().sum()).exp()) for k in range(12) if k != i}
        for k in np.flatnonzero(name == name[i]).tolist():
            if k != i:
                total -= np.log(odds[k] / sum(odds.values())) / 3
    assert float(contrast(embedded, 3)) == pytest.approx(total / 12 - np.log(3))
    apart = 100 * torch.eye(3, dtype=torch.float64).repeat_interleave(4, 0)
    assert float(contrast(apart, 3)) == pytest.approx(0, abs=1e-9), "the least there is"


def test_where_looks_say_nothing_is_told_from_those_that_are_different() -> None:
    embedded = torch.tensor([[0.0], [0.0], [2.0], [2.0]])
    rows = [np.array([0, 1]), np.array([2, 3])]
    there = np.ones((2, 2), bool)
    assert galleries._same(embedded, rows, there, np.random.default_rng(0)) == pytest.approx(4.0 - galleries.UNTRAINED)


def track_of(tracklets: parts.Tracklets, tracks: Tracks) -> np.ndarray:
    return tracks.id[parts.ends(tracklets.rows)[0]]


def linking_of(tracklets: parts.Tracklets, moves: np.ndarray, mean: np.ndarray, same: float, closed: bool) -> Linking:
    """With looks of 8 portraits each, which are all like their mean."""
    n = len(tracklets)
    looks = Looks(mean, np.zeros(n), np.full(n, 8.0), np.full(n, 0.5))
    return Linking(tracklets.start, tracklets.together(), moves, looks, same, closed=closed)


def straight(*spans: tuple[int, int, int, float]) -> Tracks:
    """Rows of tracks (id, first frame, last, y) that go along x, 3 pixels a frame."""
    return walk(*[(t, name, 3.0 * t, y) for name, a, b, y in spans for t in range(a, b + 1)])


def test_the_likeliest_pair_is_joined_first_and_nobody_is_twice_in_a_frame() -> None:
    tracklets = cut(straight((0, 0, 9, 100), (1, 0, 9, 300), (2, 12, 20, 100), (3, 12, 20, 300)))
    looks = np.array([[0.0], [5], [0.5], [0.2]])
    linking = linking_of(tracklets, np.zeros((4, 4)), looks, 2.0, closed=True)
    linking.join(0.5)
    assert linking.groups().tolist() == [0, 1, 2, 0], "0 is nearer to 3 than to 2, and then is not free"
    linking = linking_of(tracklets, np.zeros((4, 4)), looks, 2.0, closed=True)
    linking.join(0.5, 2)
    assert linking.groups().tolist() == [0, 1, 1, 0], "of two individuals, the others are the other"


def test_what_tracking_says_stands_where_nothing_is_likelier() -> None:
    tracks = straight((0, 0, 9, 100), (1, 0, 9, 300), (0, 12, 20, 100), (1, 12, 20, 300))
    tracklets = cut(tracks)
    pairs = np.stack(parts.following(tracklets, tracks), 1)
    assert pairs.tolist() == [[0, 2], [1, 3]]
    for looks, groups in (([0, 9, 5, 20], [0, 1, 0, 1]), ([0, 9, 8.9, 0.1], [0, 1, 1, 0])):
        linking = linking_of(tracklets, np.zeros((4, 4)), np.array(looks, float)[:, None], 2.0, closed=True)
        linking.join(0.5)
        linking.keep(pairs)
        assert linking.groups().tolist() == groups


def test_the_evidence_of_a_group_is_that_of_its_looks_and_of_its_chain() -> None:
    tracklets = cut(straight((0, 0, 9, 100), (1, 12, 20, 100), (2, 23, 31, 100)))
    moves = np.arange(9.0).reshape(3, 3)
    linking = linking_of(tracklets, moves, np.zeros((3, 1)), 1.5, closed=True)
    most = min(1.5, MOST_LOOKS[1])
    assert linking.score[0, 2] == pytest.approx(moves[0, 2] + most / 2)
    linking._join(0, 2)
    chain = moves[0, 1] + moves[1, 2] - moves[0, 2]
    assert linking.score[0, 1] == pytest.approx(chain + most / 2), "a link that is broken no longer counts"


def test_rows_between_tracklets_change_names_half_way_and_names_are_of_one_row_a_frame() -> None:
    meet = range(10, 20)
    tracks = walk(
        *[(t, 0, 3.0 * t, 100.0) for t in range(30)],
        *[(t, 1, 3.0 * t, 105.0 if t in meet else 130.0) for t in range(30)],
    )
    tracklets = cut(tracks)
    assert track_of(tracklets, tracks).tolist() == [0, 1, 0, 1]
    ids = rename(tracks, tracklets, np.array([0, 1, 1, 0]), 0)
    for t in range(30):
        assert sorted(ids[tracks.frame == t]) == [0, 1]
    mine = ids[tracks.id == 0]
    assert mine.tolist() == [0] * 15 + [1] * 15


@pytest.mark.parametrize("closed", [True, False])
def test_where_nobody_comes_or_leaves_looks_count_as_often_as_they_were_seen(closed: bool) -> None:
    spans = [(i, 20 * i, 20 * i + 9, 100.0) for i in range(4)] + [(9, 0, 75, 300.0)]
    tracks = straight(*spans)
    tracklets = cut(tracks)
    looks = np.array([[0.0]] * 5)
    linking = linking_of(tracklets, np.zeros((5, 5)), looks, 2.0, closed=closed)
    once = linking.score[0, 2]
    alone = [k for k in range(5) if track_of(tracklets, tracks)[k] != 9]
    linking._join(alone[0], alone[1])
    linking._join(alone[2], alone[3])
    assert linking.score[alone[0], alone[2]] == pytest.approx(2 * once)
    tracks = straight(*[(i, 20 * i, 20 * i + 9, 100.0) for i in range(8)])
    linking = linking_of(cut(tracks), np.zeros((8, 8)), np.zeros((8, 1)), 2.0, closed=closed)
    for k in (0, 4):
        for other in range(k + 1, k + 4):
            linking._join(k, other)
    assert linking.score[0, 4] == pytest.approx(4 * once if closed else 2 * once)


def test_a_long_clip_is_linked_by_chapters(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery, truth = crossing(True)
    monkeypatch.setattr(galleries, "CHAPTER", 5)
    assert (gallery.identify().ids == truth).mean() > 0.97


def test_looks_of_a_group_are_those_of_all_its_portraits() -> None:
    embedded = np.random.default_rng(0).normal(size=(9, 3))
    rows = [np.arange(4), np.arange(4, 9), np.arange(0)]
    looks = Looks.of(embedded, rows).merged(np.array([0, 0, 1]))
    assert looks.mean == pytest.approx(np.stack([embedded.mean(0)] * 2)), "and of one without, anybody's"
    assert looks.worth == pytest.approx([4 / 12 + 5 / 13, 0])


def test_it_is_seen_whether_anybody_comes_or_leaves() -> None:
    inside = straight((0, 5, 20, 60), (1, 5, 12, 90), (2, 13, 20, 90))
    assert parts.is_closed(inside, (200, 200))
    assert not parts.is_closed(inside, (200, 47)), "1 ends at the edge, and 2 begins there"


def test_of_a_known_number_rows_get_who_is_free_and_no_more() -> None:
    tracks = straight((0, 0, 20, 0), (1, 0, 10, 100), (2, 12, 14, 200), (3, 0, 3, 300))
    ids = rename(tracks, cut(tracks), np.arange(4), 2)
    assert set(ids[tracks.id == 2]) == {1}, "who was 1 is nowhere else by then"
    assert set(ids[tracks.id == 3]) == {-1}, "both are elsewhere"
    assert set(rename(tracks, cut(tracks), np.arange(4), 0)) == {0, 1, 2, 3}


def crossing(swap: bool) -> tuple[Gallery, np.ndarray]:
    """Two wedges, a darker and a lighter one, that meet again and again; where they do, tracking may swap them."""
    gallery, truth = Gallery(SIZE), []
    for t, (boxes, pictures) in enumerate(meetings()):
        names = (1, 0) if swap and (t // 60) % 2 else (0, 1)
        gallery.add(Tracks(np.full(2, t), np.array(names), boxes), dict(zip(names, pictures, strict=True)))
        truth += [0, 1] if names[0] == 0 else [1, 0]
    return gallery, np.array(truth)


@cache
def meetings() -> list[tuple[np.ndarray, list[np.ndarray]]]:
    """Their boxes ``[2, 4]`` in each frame, and their portraits."""
    rng, found = np.random.default_rng(1), []
    flat = np.full((*SIZE, 1), 128.0)
    for t in range(240):
        angle = 2 * np.pi * t / 60
        places = [(80 + 30 * np.cos(angle), 25 + 70 * i * np.sin(angle / 2) ** 2) for i in range(2)]
        images = [fish(*place, 9 * t + 70 * i, dark=(50, 90)[i]) for i, place in enumerate(places)]
        boxes = np.stack([around(image) for image in images])
        noise = rng.normal(0, 3, (*SIZE, 1))
        pictures = [portrait(i + noise, flat, np.zeros(1), box, 20.0) for i, box in zip(images, boxes, strict=True)]
        found.append((boxes, [image for image in pictures if image is not None]))
    return found


@pytest.mark.parametrize(("swap", "count"), [(True, 0), (True, 2), (False, 0)])
def test_individuals_are_told_by_their_looks(swap: bool, count: int) -> None:
    gallery, truth = crossing(swap)
    who = gallery.identify(count)
    assert len(cut(who.tracks)) >= 8, "they touch"
    assert (who.ids == truth).mean() > 0.97
    again = gallery.identify(count)
    assert (again.ids == who.ids).all(), "chance is seeded"


def test_chance_elsewhere_does_not_depend_on_it() -> None:
    gallery, _ = crossing(False)
    torch.manual_seed(3)
    before = torch.rand(1)
    torch.manual_seed(3)
    gallery.identify()
    assert torch.rand(1) == before


def test_portraits_are_bounded_and_spread_over_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galleries, "LARGEST", 150 * SIDE * SIDE)
    gallery, truth = crossing(False)
    assert 70 < len(gallery._portraits) <= 150
    for mine in range(2):
        frames = np.array([frame for frame, name in gallery._portraits if name == mine])
        assert np.histogram(frames, 4, (0, 240))[0].min() > 7, "of each"
    assert (gallery.identify().ids == truth).all()


@pytest.mark.parametrize("spans", [[], [(0, 0, 9, 0)], [(0, 0, 9, 0), (0, 12, 20, 0)], [(0, 0, 9, 0), (1, 0, 9, 90)]])
def test_where_nothing_is_to_be_decided_ids_stay(spans: list[tuple[int, int, int, float]]) -> None:
    gallery = Gallery(SIZE)
    tracks = straight(*spans) if spans else Tracks.empty()
    for t in range(21):
        now = tracks.at(t)
        gallery.add(now, {int(name): np.ones((SIDE, SIDE, 1), np.int8) for name in now.id})
    who = gallery.identify()
    assert who.ids.tolist() == tracks.id.tolist() and who.frames == 21 and len(who.renamed()) == len(tracks)


def test_where_nobody_is_seen_beside_another_ids_stay() -> None:
    tracks = straight((0, 0, 9, 0), (1, 0, 30, 90), (0, 12, 20, 0))
    gallery = Gallery(SIZE)
    for t in range(31):
        gallery.add(tracks.at(t), {0: np.ones((SIDE, SIDE, 1), np.int8)})
    assert gallery.identify().ids.tolist() == tracks.id.tolist()


def test_rows_of_nobody_are_left_out() -> None:
    tracks = straight((0, 0, 2, 0), (5, 0, 2, 90))
    kept = Identified(tracks, np.array([1, -1] * 3), 3).renamed()
    assert kept.id.tolist() == [1, 1, 1] and kept.box[:, 1].tolist() == [0, 0, 0]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three wedges that go to and fro and meet."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("film") / "clip.mp4"

    def frame(t: int) -> np.ndarray:
        image = np.full((*SIZE, 1), 128.0)
        for i in range(3):
            y, x = 30 + 30 * i + 30 * np.sin(t / (9 + 2 * i)), 80 + 50 * np.cos(t / (11 + 3 * i))
            image += fish(x, y, 20 * t, dark=(20, 70, 230)[i]) - 128.0
        return np.clip(image[..., 0] + rng.normal(0, 2, SIZE), 0, 255).astype(np.uint8)

    write_video(path, (frame(t) for t in range(25)), 20)
    return path


def test_files_of_a_clip_agree_on_who_is_who(film: Path, tmp_path: Path) -> None:
    for name, more in {"with": ["--overlay", "--gif"], "without": ["--no-reid"]}.items():
        words = ["--source", str(film), "--output", str(tmp_path / name), "--json", "--format", "csv", "--masks", *more]
        assert cli.run("track", words) == 0
    assert {p.suffix for p in (tmp_path / "with").iterdir()} == {".txt", ".csv", ".jsonl", ".npz", ".mp4", ".gif"}
    boxes = []
    for name in ("with", "without"):
        folder = tmp_path / name
        rows = read_mot(folder / "clip.txt")
        masks = np.load(folder / "clip.masks.npz")["masks"]
        lines = [json.loads(line) for line in (folder / "clip.jsonl").read_text().splitlines()]
        assert len(lines) == len(masks) == 25
        for t, line in enumerate(lines):
            now = rows.at(t)
            assert [thing["id"] for thing in line["objects"]] == (now.id + 1).tolist()
            assert np.allclose([thing["box"] for thing in line["objects"]], now.box, atol=0.02)
            assert set(np.unique(masks[t])) <= {0, *(now.id + 1).tolist()}
        boxes.append(sorted(map(tuple, rows.box.round(2))))
        table = pandas.read_csv(folder / "clip.csv")
        assert table.id.tolist() == (rows.id + 1).tolist() and table.frame.tolist() == (rows.frame + 1).tolist()
        assert np.allclose(table[["x", "y", "w", "h"]], rows.box, atol=0.02)
    assert boxes[0] == boxes[1], "only ids differ"


def test_embeddings_lie_apart_before_training() -> None:
    portraits = 0.02 * torch.randn(300, 1, SIDE, SIDE)
    embedded = Embedding(portraits)(portraits)
    assert embedded.var(0).sum().item() == pytest.approx(1, rel=0.2)
