"""Faults: what ``sqair experiments faults`` does at length in its quick form, and what it found."""

from __future__ import annotations

import errno
import io
import os
import resource
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import TINY, tiny_model
from sqair.datasets.images import encode_png, read_image
from sqair.datasets.video_out import write_video
from sqair.errors import UserError
from sqair.files.checkpoint import load_checkpoint, save_checkpoint
from sqair.files.pretrained import save_weights
from sqair.scripts import cli
from sqair.scripts.experiments import (
    fault_damage,
    fault_disk,
    fault_kills,
    fault_plant,
    fault_training,
    fault_videos,
    faults,
)
from sqair.scripts.experiments.fault_commands import Ended, start
from sqair.scripts.experiments.fault_commands import run as run_process
from sqair.scripts.run_folder import read_metrics
from sqair.trainer import Trainer

SHORT = (
    "--preset", "tiny", "--train.stages", "1x9x4", "--save-seconds", "0", "--validate-every", "0",
    "--model.glimpse", "8", "--data.length", "3",
)  # fmt: skip


def here(words: Sequence[str]) -> Ended:
    """``sqair WORDS`` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.run(words[0], words[1:])
    return Ended(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...]], Path]:
    """The run of SHORT, and of more words, that nothing is planted in."""

    @cache
    def trained(more: tuple[str, ...]) -> Path:
        folder = tmp_path_factory.mktemp("whole") / "run"
        assert here(["train", *SHORT, *more, "--device", "cpu", "--output", str(folder)]).outcome == "works"
        return folder

    return trained


def test_how_a_command_ended() -> None:
    assert Ended(0, "done\n", "").outcome == "works"
    assert Ended(2, "", "error: no\n").outcome == "refused"
    assert Ended(None, "", "").outcome == "hangs"
    for broken in (Ended(0, "", "careful\n"), Ended(2, "", "careful\nerror: no\n"), Ended(1, "", "error: no\n")):
        assert broken.outcome == "breaks"
    assert Ended(2, "", "error: no file /a/b/c\n").said(Path("/a/b")) == "error: no file c"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks up names of open files in /proc")
def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    whole, killed, words = tmp_path / "whole", tmp_path / "killed", ("--train.stages", "1x14x4", "--overwrite")
    assert here(fault_kills.train(whole, *words)).outcome == "works"
    with start(fault_kills.train(killed, *words), ("sync", "8", "0", "-")) as process:
        assert process.stdout is not None and process.stdout.readline() == "in a save\n", process.communicate()
        process.kill()
    assert not (killed / "weights").exists() and fault_kills.saved_step(killed / "checkpoint.pt") == 7
    assert here(fault_kills.resume(killed)).outcome == "works"
    assert fault_kills.same(whole, killed)


@pytest.mark.parametrize("name", fault_damage.FILES)
@pytest.mark.parametrize("kind", fault_damage.KINDS)
def test_damaged_files_load_exactly_or_not_at_all(name: str, kind: str, tmp_path: Path) -> None:
    assert set(fault_damage.damage(tmp_path, name, kind, 40)) <= {"refused", "exact"}


def test_crafted_pickles_are_refused_and_not_executed(tmp_path: Path) -> None:
    line = fault_damage.craft(tmp_path)
    assert line["executed"] == 0 and line["that would execute"] == len(fault_damage.attacks(tmp_path))
    assert line["refused"] == 8 * line["pickles"]


def test_wrong_values_would_be_seen(tmp_path: Path) -> None:
    fault_damage.saved(tmp_path)
    right = fault_damage.read(tmp_path, "checkpoint.pt")
    state = load_checkpoint(tmp_path / "checkpoint.pt")
    name = next(iter(state["model"]))
    state["model"][name] = state["model"][name].clone()
    state["model"][name].view(-1)[0] += 1e-6
    save_checkpoint(tmp_path / "checkpoint.pt", state)
    assert fault_damage.outcome(lambda: fault_damage.read(tmp_path, "checkpoint.pt"), right) == "wrong values"
    assert fault_damage.outcome(lambda: b"", b"") == "exact"
    assert fault_damage.outcome(lambda: bytes([256]), b"") == "other error"


def test_every_broken_video_is_tracked_as_far_as_it_goes_or_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """By a small model that finds something in every frame: how files are read is asked, not what is found."""
    size = {"height": fault_videos.SIDE, "width": fault_videos.SIDE}
    save_weights(tmp_path / "small", tiny_model(replace(TINY, **size, slots=1, first_steps=1), price=-2.0), {})

    def small(words: Sequence[str]) -> Ended:
        return here([str(tmp_path / "small") if word == "moving-mnist" else word for word in words])

    sources = fault_videos.make_sources(tmp_path / "sources")
    lines = {n: fault_videos.track(tmp_path / "sources", n, e, small) for n, e in sources.items()}
    assert {name: line for name, line in lines.items() if not line["good"]} == {}
    assert {line["outcome"] for line in lines.values()} > {fault_videos.WHOLE, fault_videos.TOLD, fault_videos.REFUSED}
    assert capfd.readouterr() == ("", ""), "a library talks on its own"


def test_a_refused_video_is_one_line_in_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "words.mp4").write_text("these are words\n" * 99)
    ended = run_process(["track", "--source", str(tmp_path / "words.mp4"), "--output", str(tmp_path / "out")])
    assert ended.outcome == "refused", ended.err


def test_checksums_of_png(tmp_path: Path) -> None:
    data = encode_png(np.arange(40, dtype=np.uint8).reshape(5, 8))
    (tmp_path / "a.png").write_bytes(data + b"more")
    assert read_image(tmp_path / "a.png").shape == (5, 8)
    for spoiled in (data[:-1], data[:30], data[:8], data[:40] + bytes([data[40] ^ 1]) + data[41:]):
        (tmp_path / "a.png").write_bytes(spoiled)
        with pytest.raises(UserError, match="not an image that can be decoded"):
            read_image(tmp_path / "a.png")


@pytest.mark.parametrize("name", fault_training.PLANTED)
def test_what_is_not_finite_is_named_and_spares_the_checkpoint(
    name: str, whole: Callable[[tuple[str, ...]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kind, value, where), named, more = fault_training.PLANTED[name]
    expected = whole(more)
    for method in ("batch", "_descend"):
        monkeypatch.setattr(Trainer, method, getattr(Trainer, method))
    fault_plant.plant(kind, "5", value, where)
    ended = here(["train", *SHORT, *more, "--device", "cpu", "--output", str(tmp_path / "run")])
    monkeypatch.undo()
    assert ended.outcome == "refused" and named in ended.err and str(tmp_path / "run" / "checkpoint.pt") in ended.err
    assert f"step {6 if 'Adam' in name else 5}: " in ended.err
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["trainer"]["step"] == 5
    assert here(["train", "--resume", "--output", str(tmp_path / "run")]).outcome == "works"
    assert fault_kills.same(expected, tmp_path / "run")


def test_what_is_not_finite_without_any_gradient_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    step = Trainer._descend
    monkeypatch.setattr(Trainer, "_descend", lambda self, loss, frames: step(self, loss.detach() * np.nan, frames))
    ended = here(["train", *SHORT, "--output", str(tmp_path / "run")])
    assert ended.outcome == "refused" and "step 0: the loss is not finite" in ended.err


def test_footage_trains_or_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of clips of 12 frames at most."""
    walk = fault_training.walk
    monkeypatch.setattr(fault_training, "walk", lambda length, *how, **more: walk(min(length, 12), *how, **more))
    lines = {n: fault_training.learn(tmp_path, n, e, here) for n, e in fault_training.make_footage(tmp_path).items()}
    assert {name: line for name, line in lines.items() if not line["good"]} == {}
    assert capfd.readouterr() == ("", "")


def test_a_damaged_log_does_not_keep_a_run_from_going_on(tmp_path: Path) -> None:
    for garbage in (b"\xff\xfe\x00\n", b"[1]\n", b"3\n", b'{"kind": "train"}\n', b'{"step": "x"}\n', b"\0" * 99):
        (tmp_path / "log").write_bytes(b'{"kind": "train", "step": 1}\n' + garbage + b'{"kind": "train", "step": 2}\n')
        assert [line["step"] for line in read_metrics(tmp_path / "log")] == [1]


def test_a_checkpoint_of_another_program_or_version_is_one_line(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert here(["train", *SHORT, "--output", str(run)]).outcome == "works"
    state = load_checkpoint(run / "checkpoint.pt")
    trainer = state["trainer"]
    renamed = {f"new.{name}": tensor for name, tensor in trainer["model"].items()}
    smaller = {name: tensor.flatten()[:1] for name, tensor in trainer["model"].items()}
    for spoiled in (
        {"a": torch.zeros(3)},
        {**state, "settings": 3},
        {**state, "trainer": 3},
        {**state, "trainer": {**trainer, "model": renamed}},
        {**state, "trainer": {**trainer, "model": smaller}},
        {**state, "trainer": {**trainer, "generator": torch.zeros(3)}},
        {**state, "trainer": {**trainer, "optimizer": {}}},
        {**state, "trainer": {key: value for key, value in trainer.items() if key != "next_clip"}},
    ):
        save_checkpoint(run / "checkpoint.pt", spoiled)
        ended = here(["train", "--resume", "--output", str(run)])
        assert ended.outcome == "refused" and "checkpoint" in ended.err, ended.err


@pytest.mark.parametrize("more", [(), ("--overlay",)])
def test_what_the_system_cuts_off_leaves_earlier_tracks(more: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_video(tmp_path / "clip.mp4", fault_videos.film(), 12)
    words = ["track", "--source", str(tmp_path / "clip.mp4"), "--output", str(out), "--overwrite", *more]
    assert here(words).outcome == "works"
    earlier = fault_disk.contents(out)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400 if not more else 3000, limits[1]))
    try:
        ended = here(words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert ended.outcome == "refused" and fault_disk.contents(out) == earlier, ended.err


def test_a_full_disk_anywhere_is_one_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    from sqair.scripts import score

    def fail(args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a/b.txt")

    monkeypatch.setattr(score, "main", fail)
    monkeypatch.setattr(cli, "_drop_output", lambda: None)
    assert cli.run("score", ["--truth", "a", "--pred", "b"]) == 2
    assert capfd.readouterr().err == "error: No space left on device: a/b.txt\n"


def test_the_tally() -> None:
    lines = [
        {"key": ["kills", "SIGKILL", seed], "kills": 10, "checkpoints lost": seed, "resumed": 9} for seed in range(2)
    ]
    lines += [{"key": ["videos", str(i), ""], "outcome": "refused", "good": i > 0, "said": ""} for i in range(3)]
    lines += [{"key": ["damage", "config.json", "cut short"], "refused": 5}]
    rows = faults.table(lines).splitlines()[2:]
    assert rows == [
        "| kills | SIGKILL | 20 kills, 18 resumed | 1 checkpoints lost |",
        "| videos |  | 3 refused | 1 not as it should be |",
        "| damage | config.json cut short | 5 refused | 0 |",
    ]
