"""Models to compare with, by the same commands: what they write, what goes on, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import TINY, seeded, spots, tiny_model
from sqair.bounds import Terms, iwae
from sqair.config import TemporalConfig
from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import get_recipe
from sqair.eval import readouts
from sqair.eval.accounts import accounts
from sqair.eval.linking import linked
from sqair.files.checkpoint import load_checkpoint
from sqair.files.mot_io import read_mot
from sqair.files.pretrained import save_weights
from sqair.inference import Sampled
from sqair.likelihood import Swarm, apart, importance
from sqair.model import SQAIR
from sqair.scripts import cli, train
from sqair.scripts.presets import PRESETS
from sqair.scripts.run_folder import read_metrics
from sqair.scripts.training import Session
from sqair.tracks import Tracks

Capture = pytest.CaptureFixture[str]
SMALL = ("--vrnn.size", "small", "--train.stages", "2x3x4", "4x3x4", "--data.length", "4", "--validation-clips", "2")
APART = TemporalConfig(False, False, False, False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VRNN of a few steps."""
    folder = tmp_path_factory.mktemp("runs") / "vrnn"
    words = ["--preset", "vrnn-mlp", *SMALL, "--validate-every", "4", "--output", str(folder)]
    assert cli.run("train", words) == 0
    return folder


def test_a_run_leaves_what_every_run_does(run: Path) -> None:
    lines = read_metrics(run / "metrics.jsonl")
    assert [line["step"] for line in lines if line["kind"] == "validation"] == [4, 6]
    assert {"elbo", "log_likelihood", "kl_z", "cpu_seconds"} <= lines[-1].keys()
    assert sorted(path.name for path in (run / "pictures").iterdir()) == ["000004.png", "000006.png"]
    info = json.loads((run / "weights" / "config.json").read_text())["info"]
    assert info["settings"]["baseline"] == "vrnn" and info["settings"]["vrnn"]["size"] == "small"
    assert info["steps"] == info["total_steps"] == 6


def test_a_run_goes_on_bit_for_bit(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    step: Callable = Session.step

    def failing(self: Session) -> dict[str, float]:
        if self.trainer.step == 3:
            raise KeyboardInterrupt
        told = step(self)
        self.save()
        return told

    monkeypatch.setattr(Session, "step", failing)
    again = tmp_path / "again"
    assert cli.run("train", ["--config", str(run / "config.yaml"), "--output", str(again)]) == cli.INTERRUPTED
    monkeypatch.undo()
    assert cli.run("evaluate", ["--model", str(again), "--output", str(tmp_path / "out")]) == 2
    assert "has no weights yet" in capsys.readouterr().err
    assert cli.run("train", ["--resume", "--output", str(again)]) == 0
    assert (again / "weights/model.safetensors").read_bytes() == (run / "weights/model.safetensors").read_bytes()
    states = [load_checkpoint(folder / "checkpoint.pt")["trainer"] for folder in (run, again)]
    assert torch.equal(states[0]["generator"], states[1]["generator"])
    other = ["--resume", "--config", str(again / "config.yaml"), "--vrnn.z", "9", "--output", str(again)]
    assert cli.run("train", other) == 2
    assert "its vrnn.z is 165, not 9" in capsys.readouterr().err


def test_evaluate_measures_all_but_objects(
    run: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readouts, "_PASSES", 2)
    words = ["--clips", "4", "--particles", "3", "--filter", "--readout-clips", "200", "--output", str(tmp_path / "o")]
    assert cli.run("evaluate", ["--model", str(run), *words]) == 0
    found, said = json.loads((tmp_path / "o" / "evaluation.json").read_text()), capsys.readouterr().out
    assert set(found["left_out"]) == {"counting", "changes"} and "Left out: counting: a VRNN has no objects" in said
    told = {name: figure["value"] for name, figure in found["likelihood"].items()}
    assert told["bound"] == pytest.approx(told["log_likelihood"] - told["kl_z"], rel=1e-4)
    assert told["bound"] < told["log_p"] < told["most"] and told["bound"] < told["log_p_filter"]
    assert set(found["prediction"]["by_frame"]) == {"model", "samples", "stays"}
    assert len(found["prediction"]["by_frame"]["samples"]) == 5
    assert found["reconstruction"]["elsewhere"]["value"] < found["reconstruction"]["ink"]["value"]
    assert set(found["readouts"]["right"]) == {"sum of two, linear", "sum of two, network"}
    page = (tmp_path / "o" / "evaluation.html").read_text()
    assert "What z holds" in page and "makes up" in page and "An object costs" not in page and "data:image/png" in page


@pytest.mark.parametrize("command", ["track", "report"])
def test_what_needs_objects_says_so(run: Path, tmp_path: Path, capsys: Capture, command: str) -> None:
    np.save(tmp_path / "clips.npy", np.zeros((2, 4, 50, 50), np.uint8))
    source = str(tmp_path / "clips.npy")
    words = ["--source", source] if command == "track" else [source]
    assert cli.run(command, [*words, "--model", str(run), "--output", str(tmp_path / "o")]) == 2
    assert "finds no objects: sqair evaluate measures it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--estimator", "vimco"), "has no objects: leave out --train.estimator"),
        (("--model.slots", "3", "--train.snug", "0"), "leave out --model.slots, --train.snug"),
        (("--from", "moving-mnist"), "leave out --from"),
        (("--processes", "2"), "leave out --processes"),
        (("--particles", "0"), "--particles is 0"),
        (("--vrnn.z", "0"), "--vrnn.z is 0"),
        (("--vrnn.likelihood-std", "0"), "--vrnn.likelihood-std is 0"),
        (("--train.stages", "9x1x1"), "clips of 9 frames, the data has 4"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, capsys: Capture, words: tuple[str, ...], said: str) -> None:
    assert cli.run("train", ["--preset", "vrnn-conv", *SMALL, *words, "--output", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and said in error[0]
    assert not (tmp_path / "run").exists()


def test_clips_on_disk_are_refused(tmp_path: Path, capsys: Capture) -> None:
    np.save(tmp_path / "clips.npy", make_clips(get_recipe("moving-mnist"), "val", 0, 0, 6).frames)
    words = ["--preset", "vrnn-mlp", "--data", str(tmp_path / "clips.npy"), "--output", str(tmp_path / "run")]
    assert cli.run("train", words) == 2
    assert "is trained on generated video: give --recipe" in capsys.readouterr().err


def test_runs_without_a_baseline_say_nothing_of_one() -> None:
    settings = train.settings(train.parse(["--output", "run"]))
    assert "baseline" not in settings and "vrnn" not in settings


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if "conv" in name or name == "air"])
def test_presets_to_compare_with(name: str) -> None:
    args = train.parse(["--preset", name, "--output", "run"])
    assert args.data.length == 10
    if name.startswith("air"):
        assert not args.model.temporal.any() and {stage.length for stage in args.train.stages} == {1}
    if name.endswith("conv"):
        assert "conv" in (args.model.glimpse_net, args.vrnn.net)


def test_convolutions_learn_glimpses_too() -> None:
    config = replace(TINY, glimpse=8, glimpse_net="conv")
    model, frames = tiny_model(config), spots(config, 2, 3).float()
    loss = -Terms(model(frames, Sampled(seeded(0)))).elbo.mean()
    loss.backward()
    convolved = [p for p in model.parameters() if p.ndim == 4]
    assert len(convolved) == 3 * 4 + 4, "encoders of discovery, propagation and appearance, and the decoder"
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.decoder.parameters())
    colour = SQAIR(replace(config, objects="opaque", channels=3))
    glimpse = colour.decoder(torch.zeros(2, config.z_what))
    assert glimpse.shape == (2, 4, 8, 8) and (glimpse[:, 0] < 0.4).all(), "alpha is faint at first, colours are not"


def test_glimpses_of_convolutions_have_sides_of_four(tmp_path: Path, capsys: Capture) -> None:
    words = ["--preset", "sqair-conv", "--model.glimpse", "10", "--output", str(tmp_path / "run")]
    assert cli.run("train", words) == 2
    assert "--model.glimpse is 10: with --model.glimpse-net conv" in capsys.readouterr().err


def crossing(length: int = 6) -> Tracks:
    """Two boxes that pass each other, each under a new id in every frame."""
    t = np.arange(length)
    side = np.full(length, 8)
    boxes = [np.stack([3 * t, 0 * t, side, side], 1), np.stack([20 - 3 * t, 0 * t + 5, side, side], 1)]
    return Tracks(np.tile(t, 2), np.random.default_rng(0).permutation(2 * length), np.concatenate(boxes))


def test_boxes_are_linked_by_overlap_with_where_speed_brings_them() -> None:
    tracks = linked(crossing(), 6)
    assert sorted(set(tracks.id.tolist())) == [0, 1]
    for name in (0, 1):
        assert len(set(tracks.box[tracks.id == name, 1].tolist())) == 1
    assert len(linked(Tracks.empty(), 4)) == 0


def test_frames_explained_apart_are_tracked_by_overlap(tmp_path: Path) -> None:
    model = SQAIR.from_pretrained("moving-mnist")
    model = model.refitted(replace(model.config, temporal=APART), model.price)
    save_weights(tmp_path / "weights", model, {})
    words = ["--count", "1", "--min-objects", "2", "--split", "val", "--format", "npz"]
    assert cli.run("generate", [*words, "--output", str(tmp_path / "clips")]) == 0
    (source,) = (tmp_path / "clips").glob("*.npz")
    words = ["--source", str(source), "--model", str(tmp_path / "weights"), "--output", str(tmp_path / "out")]
    for way in (("--passes", "1", "--tries", "1"), ("--json",)):
        assert cli.run("track", [*words, *way, "--masks", "--overwrite"]) == 0
        (rows,) = (tmp_path / "out").glob("*.txt")
        tracks = read_mot(rows)
        assert len(tracks) > 12 and len(set(tracks.id.tolist())) <= 4
        (masks,) = (tmp_path / "out").glob("*.masks.npz")
        shown = np.load(masks)["masks"]
        for t in range(10):
            assert set(np.unique(shown[t])) == {0, *(1 + tracks.at(t).id).tolist()}
    clips = np.load(source)["frames"]
    (account,) = accounts(model, clips)
    assert len(set(account.id.tolist())) <= 4 and len(account.id) > 12


def test_the_likelihood_of_frames_apart_is_that_of_each() -> None:
    config = replace(TINY, temporal=APART)
    model, frames = tiny_model(config), spots(config, 3, 2).float()
    assert apart(config) and not apart(TINY) and not apart(replace(config, background="smooth"))
    told = importance(model, frames, 6, seeded(0))
    swarm = Swarm(model, frames, 6, seeded(0), None, 64)
    weights = [swarm.weigh(t) for t in range(3)]
    torch.testing.assert_close(told.log_p, sum(iwae(weight) for weight in weights))
    torch.testing.assert_close(told.bound, sum(weight.mean(0) for weight in weights))
    assert (told.log_p > told.bound).all()
