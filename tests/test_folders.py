"""Clips on disk, and the command that puts them there."""

import configparser
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sqair.datasets import folders
from sqair.datasets.folders import read_npz, write_mot_folder, write_npz
from sqair.datasets.generate import Clips, make_clips
from sqair.datasets.recipes import RECIPES, get_recipe
from sqair.datasets.staging import staged
from sqair.errors import UserError
from sqair.files.mot_io import read_mot
from sqair.scripts.generate import Args, main
from sqair.tracks import Tracks
from test_generate import same

COLUMNS = ("frame", "id", "box", "score", "visibility")


def clips_of(name: str, n: int = 6, **overrides) -> Clips:
    return make_clips(get_recipe(name, **overrides), "test", 0, 0, n)


def close(a: Tracks, b: Tracks) -> bool:
    """Equal, visibilities to the sixth decimal that files hold."""
    return all(np.allclose(getattr(a, c), getattr(b, c), rtol=0, atol=1e-6) for c in COLUMNS)


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", RECIPES)
def test_mot_folder(name, tmp_path):
    from sqair.datasets.video import read_image

    clips = clips_of(name, height=40, width=52, length=4)
    write_mot_folder(tmp_path, f"{name}-test", [make_part(clips, 0, 4), make_part(clips, 4, 6)])
    root = tmp_path / f"{name}-test"
    names = [f"{i:06d}" for i in range(6)]
    assert (tmp_path / "seqmaps" / f"{name}-test.txt").read_text().split() == ["name", *names]
    assert sorted(p.name for p in root.iterdir() if p.is_dir()) == names
    for i, clip in enumerate(names):
        assert close(read_mot(root / clip / "gt" / "gt.txt"), clips.truth[i])
        assert close(read_mot(root / clip / "gt" / "full.txt"), clips.full[i])
        numerals = [line.split(",") for line in (root / clip / "gt" / "digits.txt").read_text().split()]
        expected = {k + 1: label for k, label in enumerate(clips.labels[i].tolist()) if label >= 0}
        assert {int(k): int(label) for k, label in numerals} == expected
        images = sorted((root / clip / "img1").iterdir())
        assert [p.name for p in images] == [f"{t:08d}.png" for t in (1, 2, 3, 4)]
        assert np.array_equal([read_image(p) for p in images], clips.frames[i])
        info = configparser.ConfigParser()
        info.read(root / clip / "seqinfo.ini")
        assert dict(info["Sequence"]) == {
            "name": clip,
            "imdir": "img1",
            "framerate": "10",
            "seqlength": "4",
            "imwidth": "52",
            "imheight": "40",
            "imext": ".png",
        }


def make_part(clips: Clips, start: int, stop: int) -> Clips:
    part = slice(start, stop)
    return Clips(*(getattr(clips, name)[part] for name in Clips.__dataclass_fields__))


@pytest.mark.parametrize("name", RECIPES)
def test_npz_round_trip(name, tmp_path):
    clips = clips_of(name, 8)
    write_npz(tmp_path / "a.npz", [make_part(clips, 0, 3), make_part(clips, 3, 8)], {"seed": 0})
    assert same(read_npz(tmp_path / "a.npz"), clips)
    with np.load(tmp_path / "a.npz") as data:
        assert json.loads(str(data["source"])) == {"seed": 0}


def test_damaged_npz_is_refused_or_whole(tmp_path):
    """Cut short or with a flipped bit: an error, or the very same clips (a bit that nobody reads)."""
    clips = clips_of("sqair-script", 3)
    path, rng = tmp_path / "a.npz", np.random.default_rng(0)
    write_npz(path, [clips])
    good = path.read_bytes()
    refused = 0
    for trial in range(120):
        bad = bytearray(good)
        if trial % 4:
            bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
        else:
            del bad[rng.integers(len(bad)) :]
        path.write_bytes(bad)
        try:
            assert same(read_npz(path), clips)
        except UserError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 80


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": None}, "no array 'frames'"),
        ({"labels": None}, "no array 'labels'"),
        ({"frames": np.zeros((3, 10, 50, 50), np.float32)}, "frames is float32"),
        ({"frames": np.zeros((3, 10, 50), np.uint8)}, r"it should be uint8 \[N, T, H, W\]"),
        ({"frames": np.zeros((3, 10, 50, 50, 2), np.uint8)}, "axis C of frames has 2 entries, elsewhere 3"),
        ({"frames": np.zeros((4, 10, 50, 50), np.uint8)}, "axis N of count has 3 entries, elsewhere 4"),
        ({"full_box": np.zeros((3, 10, 2, 5))}, "axis 4 of full_box"),
        ({"count": np.array([None])}, "not a readable"),
    ],
)
def test_npz_of_something_else(change, message, tmp_path):
    write_npz(tmp_path / "a.npz", [clips_of("moving-mnist", 3)])
    with np.load(tmp_path / "a.npz") as data:
        arrays = {**data, **change}
    np.savez(tmp_path / "b.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(UserError, match=message):
        read_npz(tmp_path / "b.npz")


def test_missing_npz(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_npz(tmp_path / "nothing.npz")
    with pytest.raises(UserError, match="not a readable"):
        read_npz(tmp_path)


def test_staged_puts_everything_in_place_or_nothing(tmp_path):
    root = tmp_path / "deep" / "out"
    with pytest.raises(ZeroDivisionError), staged(root, ["a"]) as stage:
        (stage / "a").write_text("half")
        raise ZeroDivisionError
    assert not root.exists()
    with staged(root, ["a", "b/c"]) as stage:
        (stage / "b").mkdir()
        (stage / "a").write_text("1")
        (stage / "b" / "c").write_text("1")
        assert not (root / "a").exists()
    (root / "other").write_text("mine")
    before = {"a": b"1", "b/c": b"1", "other": b"mine"}
    assert contents(root) == before
    with pytest.raises(UserError, match="--overwrite to replace a in it"), staged(root, ["a"]):
        pass
    with pytest.raises(UserError, match="cannot write"), staged(root, ["a", "b/c"], overwrite=True) as stage:
        (stage / "a").write_text("2")  # and no b/c
    assert contents(root) == before
    with staged(root, ["a"], overwrite=True) as stage:
        (stage / "a").write_text("2")
    assert contents(root) == {**before, "a": b"2"}


def test_output_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match=f"cannot write to {root}"), staged(root, ["a"]):
            pass


def test_generate_command(tmp_path, capsys):
    args = Args(
        tmp_path / "out", recipe="birth-death", split="val", count=35, seed=3, length=5, max_objects=1
    )
    main(args)
    clips = make_clips(get_recipe("birth-death", length=5, max_objects=1), "val", 3, 0, 35)
    assert same(read_npz(args.output / "birth-death-val.npz"), clips)
    names = sorted(p.name for p in (args.output / "birth-death-val").iterdir() if p.is_dir())
    assert names == [f"{i:06d}" for i in range(35)]
    for i in (0, 31, 32, 34):
        assert close(read_mot(args.output / "birth-death-val" / names[i] / "gt" / "gt.txt"), clips.truth[i])
    source = json.loads((args.output / "birth-death-val" / "source.json").read_text())
    assert source["seed"] == 3 and source["recipe"]["length"] == 5
    assert "35 clips of 5 frames, 50x50" in capsys.readouterr().out


@pytest.mark.parametrize(("form", "entries"), [("npz", {"a"}), ("mot", {"b", "seqmaps"})])
def test_formats(form, entries, tmp_path):
    main(Args(tmp_path / "out", count=2, format=form))
    names = {"a": "moving-mnist-test.npz", "b": "moving-mnist-test"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == {names.get(e, e) for e in entries}


def test_generate_overwrites_only_when_told_and_only_as_a_whole(tmp_path, monkeypatch):
    args = Args(tmp_path / "out", count=3)
    main(args)
    (args.output / "notes.txt").write_text("mine")
    before = contents(args.output)
    with pytest.raises(UserError, match="--overwrite"):
        main(replace(args, count=2))
    with monkeypatch.context() as patch:
        patch.setattr(
            "sqair.scripts.generate.write_npz", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "no space"))
        )
        with pytest.raises(UserError, match="no space"):
            main(replace(args, count=2, seed=1, overwrite=True))
    with monkeypatch.context() as patch:
        patch.setattr(folders, "write_mot", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            main(replace(args, count=2, seed=1, overwrite=True))
    assert contents(args.output) == before
    main(replace(args, count=2, seed=1, overwrite=True))
    after = contents(args.output)
    assert after["notes.txt"] == b"mine"
    assert len(read_npz(args.output / "moving-mnist-test.npz")) == 2
    assert not any("test/000002/" in name for name in after)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "mnist"}, "unknown recipe 'mnist'"),
        ({"split": "testing"}, "unknown split"),
        ({"count": 0}, "--count is 0"),
        ({"length": 0}, "length is 0"),
        ({"idx_path": "/nowhere"}, "/nowhere is not a folder"),
        ({"digit_size": 200}, "do not fit a canvas"),
    ],
)
def test_bad_settings_leave_nothing_behind(change, message, tmp_path):
    with pytest.raises(UserError, match=message):
        main(Args(**{"output": tmp_path / "out", "count": 2, **change}))
    assert not (tmp_path / "out").exists()
