"""Checkpoints: what is saved is loaded, damage is refused, and no accident of a save loses the one before."""

import errno
import fcntl
import hashlib
import os
import pickle
import random
import resource
import struct
import subprocess
import sys
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sqair.config import ModelConfig
from sqair.errors import UserError
from sqair.files.checkpoint import MAGIC, load_checkpoint, save_checkpoint
from sqair.model import SQAIR

SMALL = ModelConfig(height=20, width=18, slots=2, first_steps=2, glimpse=6, z_what=5, hidden=8, features=8)


def equal(a: Any, b: Any) -> bool:
    """Same types, same values, same bits of tensors."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and bytes_of(a) == bytes_of(b)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return struct.pack("<d", a) == struct.pack("<d", b) if isinstance(a, float) else a == b


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def training_state() -> dict[str, Any]:
    """The state of a training run after one step of Adam."""
    torch.manual_seed(0)
    model = SQAIR(SMALL)
    optimizer = torch.optim.Adam(model.parameters())
    sum(p.square().sum() for p in model.parameters()).backward()  # type: ignore[union-attr]
    optimizer.step()
    return {
        "model": dict(model.state_dict()),
        "optimizer": optimizer.state_dict(),
        "generator": torch.Generator().manual_seed(3).get_state(),
        "random": random.Random(1).getstate(),
        "step": 12,
        "note": "line\nΩ",
        "flags": [True, None, -0.0, float("nan"), float("inf"), 5e-324, 2**80],
        "tensors": (torch.tensor([float("nan"), -0.0]), torch.zeros(0, 3), torch.tensor(1)),
    }


def refusal(path: Path) -> str:
    """The one line with which ``path`` is refused."""
    with pytest.raises(UserError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


def test_round_trip_is_bit_equal(tmp_path: Path) -> None:
    state = training_state()
    save_checkpoint(tmp_path / "deep" / "last.ckpt", state)
    loaded = load_checkpoint(tmp_path / "deep" / "last.ckpt")
    assert equal(loaded, state)
    save_checkpoint(tmp_path / "again.ckpt", loaded)
    assert (tmp_path / "again.ckpt").read_bytes() == (tmp_path / "deep" / "last.ckpt").read_bytes()


def test_shared_memory_stays_shared_and_views_leave_the_rest_behind(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.randn(100, 100))
    save_checkpoint(tmp_path / "a", OrderedDict(a=weight, b=weight, row=weight[3]))
    loaded = load_checkpoint(tmp_path / "a")
    assert type(loaded) is dict and type(loaded["a"]) is torch.Tensor and not loaded["a"].requires_grad
    assert loaded["a"].data_ptr() == loaded["b"].data_ptr()
    assert torch.equal(loaded["row"], weight[3]) and loaded["row"].untyped_storage().nbytes() == 400
    assert (tmp_path / "a").stat().st_size < 45_000


@dataclass
class Plain:
    x: int = 1


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (np.float64(1.0), "numpy.float64"),
        (np.zeros(2), "numpy.ndarray"),
        (np.random.RandomState(0).get_state(), "numpy.ndarray"),
        (Path("x"), "Path"),
        (Plain(), "Plain"),
        ({1, 2}, "set"),
        (b"bytes", "bytes"),
        (torch.Size([1]), "Size"),
        ({(1, 2): 3}, r"key \(1, 2\)"),
        (torch.eye(2).to_sparse(), "torch.Tensor"),
        (print, "builtin_function_or_method"),
    ],
)
def test_what_is_not_plain_is_refused_when_saved(tmp_path: Path, value: Any, named: str) -> None:
    with pytest.raises(TypeError, match=rf"payload\['a'\]\[1\].*{named}"):
        save_checkpoint(tmp_path / "c", {"a": [0, value]})
    with pytest.raises(TypeError, match="a checkpoint is a dict"):
        save_checkpoint(tmp_path / "c", [value])  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    assert "no such checkpoint" in refusal(tmp_path / "none")
    assert "directory" in refusal(tmp_path)
    path = tmp_path / "c"
    for content in (b"hello", bytes(200), pickle.dumps({"a": 1}), b"PK\x03\x04" + bytes(100)):
        path.write_bytes(content)
        assert "not a checkpoint" in refusal(path)
    path.write_bytes(b"")
    assert "cut short" in refusal(path)
    torch.save({"a": 1}, path)
    assert "not a checkpoint" in refusal(path)
    save_checkpoint(path, {"a": 1})
    with pytest.raises(UserError, match="no device 'quantum'"):
        load_checkpoint(path, map_location="quantum")


def test_the_format_is_number_1_and_so_are_files_of_earlier_versions(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", {"step": 1})
    magic, version = struct.unpack("<8sI", (tmp_path / "c.pt").read_bytes()[:12])
    assert magic == MAGIC and version == 1


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", {"a": 1})
    data = bytearray((tmp_path / "c").read_bytes())
    data[8:12] = struct.pack("<I", 7)
    (tmp_path / "c").write_bytes(data)
    assert "has format 7" in refusal(tmp_path / "c")


def test_truncation_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c"
    save_checkpoint(path, training_state())
    data = path.read_bytes()
    lengths = random.Random(0).sample(range(len(data)), 100)
    for length in [0, 5, 8, 51, 52, len(data) - 1, *lengths]:
        path.write_bytes(data[:length])
        assert "cut short" in refusal(path)
    path.write_bytes(data + b"\0")
    assert "damaged" in refusal(path)


def test_flipped_bits_anywhere_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c"
    save_checkpoint(path, training_state())
    data = path.read_bytes()
    places = random.Random(0).sample(range(52 * 8, len(data) * 8), 100)
    for place in [*range(0, 52 * 8, 3), *places]:
        path.write_bytes(flipped(data, place))
        message = refusal(path)
        assert place < 52 * 8 or "damaged" in message


def flipped(data: bytes, bit: int) -> bytes:
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


class Attack:
    """Runs a command when it is unpickled by a reader that runs code."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def test_a_crafted_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    marker, path = tmp_path / "executed", tmp_path / "c"
    attack = {"model": Attack(marker)}
    torch.save(attack, path)
    bodies = [path.read_bytes(), *(pickle.dumps(value, protocol=2) for value in (attack, [1], {"a": 1}))]
    for body in bodies:
        path.write_bytes(body)
        assert "not a checkpoint" in refusal(path)
        header = MAGIC + struct.pack("<IQ", 1, len(body)) + hashlib.sha256(body).digest()
        path.write_bytes(header + body)
        assert "was not loaded" in refusal(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(attack))
    assert marker.exists(), "the attack itself is harmless: this test would prove nothing"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "c"
    save_checkpoint(path, {"step": 1})

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(UserError, match=f"cannot write {path}: No space left on device"):
        save_checkpoint(path, {"step": 2})
    monkeypatch.undo()
    assert load_checkpoint(path) == {"step": 1}
    assert os.listdir(tmp_path) == ["c"]


def test_a_write_that_the_system_cuts_off_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c"
    save_checkpoint(path, {"step": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(UserError, match="File too large"):
            save_checkpoint(path, {"step": 2, "a": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_checkpoint(path) == {"step": 1}
    assert os.listdir(tmp_path) == ["c"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder" / "c").mkdir(parents=True)
    for path in (tmp_path / "file" / "c", tmp_path / "folder" / "c"):
        with pytest.raises(UserError, match=f"cannot write {path}"):
            save_checkpoint(path, {"step": 1})
    assert os.listdir(tmp_path / "folder") == ["c"]


def test_leftovers_of_killed_saves_are_swept_and_nothing_else(tmp_path: Path) -> None:
    left = [".c.0123456789abcdef.sqair-partial", ".other.aaaaaaaaaaaaaaaa.sqair-partial"]
    kept = [".c.tmp", left[0][1:], ".c.01.sqair-partial", left[0] + ".x"]
    for name in left + kept:
        (tmp_path / name).write_text("x")
    running = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(running, fcntl.LOCK_SH)  # as a save that is under way does
    save_checkpoint(tmp_path / "c", {"step": 1})
    assert sorted(os.listdir(tmp_path)) == sorted([*left, *kept, "c"])
    fcntl.flock(running, fcntl.LOCK_EX)
    save_checkpoint(tmp_path / "c", {"step": 2})  # waits a little, not for ever
    assert load_checkpoint(tmp_path / "c") == {"step": 2}
    os.close(running)
    save_checkpoint(tmp_path / "c", {"step": 3})
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "c"])


def test_a_save_inside_a_save_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a signal handler saves while the program does."""
    path, fsync = tmp_path / "c", os.fsync

    def interrupted(handle: int) -> None:
        monkeypatch.setattr(os, "fsync", fsync)
        save_checkpoint(path, {"step": 2})
        fsync(handle)

    monkeypatch.setattr(os, "fsync", interrupted)
    save_checkpoint(path, {"step": 1})
    assert load_checkpoint(path) == {"step": 1}
    assert os.listdir(tmp_path) == ["c"]


def test_kill_during_saves_never_loses_the_checkpoint(tmp_path: Path) -> None:
    command = [sys.executable, Path(__file__).with_name("dying.py"), "checkpoints", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3, "hardly a kill hit a save: the test proved nothing"
