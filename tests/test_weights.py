"""Weights folders: a loaded model is the saved one bit for bit; what does not belong is named and refused."""

import dataclasses
import errno
import hashlib
import json
import os
import random
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest
import safetensors.torch
import torch

import sqair.files.pretrained
from sqair.config import ModelConfig, TemporalConfig
from sqair.errors import UserError
from sqair.files.pretrained import config_from_dict, pretrained, pretrained_names, save_weights
from sqair.inference import Inference
from sqair.model import SQAIR

SMALL = ModelConfig(
    height=20, width=18, slots=2, first_steps=2, glimpse=6, z_what=5, hidden=8, features=8, size_mean=9,
    temporal=TemporalConfig(appearance=False),
)  # fmt: skip
BIAS = "decoder.net.0.bias"
INFO = {"command": "sqair train", "seed": 3, "scores": {"mota": 0.98, "nan": float("nan")}}


def make_model(config: ModelConfig = SMALL, seed: int = 0) -> SQAIR:
    torch.manual_seed(seed)
    model = SQAIR(config)
    model.price = 31.7
    return model


def explain(model: SQAIR) -> list[torch.Tensor]:
    """What the model makes of two clips, with its random generator's state fixed."""
    frames = torch.rand(3, 2, 1, 20, 18, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(5)
    with torch.no_grad():
        steps = model(frames, Inference(torch.Generator().manual_seed(2)))
    return [t for s in steps for t in (s.canvas, s.log_likelihood, s.objects.where, s.objects.hidden)]


def same_bits(a: SQAIR, b: SQAIR) -> bool:
    old, new = a.state_dict(), b.state_dict()
    same = all(torch.equal(old[n], new[n]) and old[n].dtype == new[n].dtype for n in old)
    return same and list(old) == list(new) and a.config == b.config and a.price == b.price


def refusal(folder: Path) -> str:
    """The one line with which ``folder`` is refused."""
    with pytest.raises(UserError) as caught:
        SQAIR.from_pretrained(folder)
    message = str(caught.value)
    assert str(folder) in message and "\n" not in message
    return message


def edit(folder: Path, change: Callable[[dict[str, Any]], Any], checksum: bool = False) -> None:
    """Edits config.json; with ``checksum``, as an attacker or another version would, to be consistent."""
    entries = json.loads((folder / "config.json").read_text())
    change(entries)
    if checksum:
        entries.pop("checksum")
        entries["sha256"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        text = json.dumps(entries, sort_keys=True)
        entries["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "config.json").write_text(json.dumps(entries))


def full_once(call: Callable[..., Any], nth: int) -> Callable[..., Any]:
    """``call``, but the ``nth`` time it finds the disk full."""
    calls = iter(range(10**6))

    def maybe_full(*args: Any) -> Any:
        if next(calls) == nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return call(*args)

    return maybe_full


def test_a_loaded_model_computes_the_same_to_the_last_bit(tmp_path: Path) -> None:
    model = make_model()
    save_weights(tmp_path / "a" / "b", model, INFO)
    state = torch.random.get_rng_state()
    loaded = SQAIR.from_pretrained(tmp_path / "a" / "b")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert same_bits(loaded, model) and loaded.price == 31.7 and not loaded.training
    assert all(torch.equal(a, b) for a, b in zip(explain(loaded), explain(model), strict=True))
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert sorted(os.listdir(tmp_path / "a" / "b")) == ["README.md", "config.json", "model.safetensors"]
    config = json.loads((tmp_path / "a" / "b" / "config.json").read_text())
    assert config["model"] == dataclasses.asdict(SMALL) and config["info"]["seed"] == 3
    assert config["format"] == 1 and config["price"] == 31.7
    save_weights(tmp_path / "again", loaded, INFO)
    first, second = (tmp_path / folder / "model.safetensors" for folder in ("a/b", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_double_precision_is_kept_whatever_the_default(tmp_path: Path) -> None:
    single, double = make_model(), make_model().double()
    save_weights(tmp_path / "single", single, {})
    save_weights(tmp_path / "double", double, {})
    assert same_bits(SQAIR.from_pretrained(tmp_path / "double"), double)
    torch.set_default_dtype(torch.float64)
    try:
        assert same_bits(SQAIR.from_pretrained(tmp_path / "single"), single)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_later_save_replaces_the_earlier(tmp_path: Path) -> None:
    other = make_model(replace(SMALL, hidden=6), seed=1)
    save_weights(tmp_path / "w", make_model(), {})
    save_weights(tmp_path / "w", other, {})
    assert same_bits(SQAIR.from_pretrained(tmp_path / "w"), other)
    assert os.listdir(tmp_path) == ["w"]


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "thesis.txt").write_text("x")
    with pytest.raises(UserError, match="holds thesis.txt"):
        save_weights(tmp_path / "w", make_model(), {})
    assert os.listdir(tmp_path / "w") == ["thesis.txt"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot write"):
        save_weights(tmp_path / "file", make_model(), {})
    with pytest.raises(TypeError, match="set"):
        save_weights(tmp_path / "x", make_model(), {"a": {1, 2}})
    assert sorted(os.listdir(tmp_path)) == ["file", "w"]


def test_a_run_folder_and_a_link_lead_to_the_weights(tmp_path: Path) -> None:
    model = make_model()
    save_weights(tmp_path / "run" / "weights", model, {})
    (tmp_path / "run" / "config.json").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    assert same_bits(SQAIR.from_pretrained(tmp_path / "run"), model)
    assert same_bits(SQAIR.from_pretrained(str(tmp_path / "link")), model)
    save_weights(tmp_path / "link" / "weights", make_model(seed=4), {})
    assert same_bits(SQAIR.from_pretrained(tmp_path / "run"), make_model(seed=4))


def test_built_in_weights_go_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    save_weights(tmp_path / "shipped" / "tiny", model, {})
    save_weights(tmp_path / "shipped" / "other", make_model(seed=1), {})
    monkeypatch.setattr(sqair.files.pretrained, "BUILT_IN", tmp_path / "shipped")
    monkeypatch.chdir(tmp_path)
    assert pretrained_names() == ["other", "tiny"] and pretrained("tiny") == tmp_path / "shipped" / "tiny"
    assert same_bits(SQAIR.from_pretrained("tiny"), model)
    with pytest.raises(UserError, match="no built-in weights 'huge'; there are: other, tiny"):
        SQAIR.from_pretrained("huge")
    with pytest.raises(UserError, match="no such weights folder: tiny/x"):
        SQAIR.from_pretrained("tiny/x")
    save_weights("tiny", make_model(seed=2), {})
    assert same_bits(SQAIR.from_pretrained("tiny"), make_model(seed=2))


def test_shipped_weights_load() -> None:
    for name in pretrained_names():
        assert SQAIR.from_pretrained(name).config == SQAIR.from_pretrained(pretrained(name)).config


def test_missing_things_are_named(tmp_path: Path) -> None:
    assert "holds no weights" in refusal(tmp_path)
    assert "no such weights folder" in refusal(tmp_path / "none")
    with pytest.raises(UserError, match="no weights"):
        SQAIR.from_pretrained("/")
    save_weights(tmp_path / "w", make_model(), {})
    assert "is a file" in refusal(tmp_path / "w" / "config.json")
    with pytest.raises(UserError, match="no device 'quantum'"):
        SQAIR.from_pretrained(tmp_path / "w", device="quantum")
    (tmp_path / "w" / "config.json").rename(tmp_path / "config")
    assert "config.json: No such file" in refusal(tmp_path / "w")
    (tmp_path / "config").rename(tmp_path / "w" / "config.json")
    (tmp_path / "w" / "model.safetensors").unlink()
    assert "model.safetensors: No such file" in refusal(tmp_path / "w")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c["model"].pop("slots"), "'model.slots' is missing"),
        (lambda c: c["model"].update(slot=3), "unknown key 'model.slot'"),
        (lambda c: c["model"]["temporal"].update(smell=True), "unknown key 'model.temporal.smell'"),
        (lambda c: c["model"]["temporal"].pop("hidden"), "'model.temporal.hidden' is missing"),
        (lambda c: c["model"].update(slots="4"), "model.slots is '4' where int is expected"),
        (lambda c: c["model"].update(slots=True), "model.slots is True where int is expected"),
        (lambda c: c["model"].update(slots=2.0), "model.slots is 2.0 where int is expected"),
        (lambda c: c["model"].update(size_std=None), "model.size_std is None where float is expected"),
        (lambda c: c["model"].update(size_std=10**400), "where float is expected"),
        (lambda c: c["model"].update(discovery="guess"), "model.discovery is 'guess' where"),
        (lambda c: c["model"].update(temporal=[]), r"model.temporal is \[\] where TemporalConfig"),
        (lambda c: c["model"]["temporal"].update(hidden=1), "model.temporal.hidden is 1 where bool"),
        (lambda c: c.update(model=3), "model is 3 where ModelConfig is expected"),
        (lambda c: c.pop("price"), "'price' is missing"),
        (lambda c: c.pop("checksum"), "'checksum' is missing"),
        (lambda c: c.update(price="20"), "price is '20' where float is expected"),
        (lambda c: c.update(format=2), "has format 2"),
        (lambda c: c.update(format="1"), "format is '1' where int is expected"),
        (lambda c: c.update({"ex\ntra": 1}), r"unknown key 'ex\\ntra'"),
        (lambda c: c.update(price=21.0), "damaged or was edited"),
        (lambda c: c["model"].update(stay_logit=4.5), "damaged or was edited"),
        (lambda c: c["info"].update(seed=4), "damaged or was edited"),
        (lambda c: c.update(format=0), "damaged or was edited"),
    ],
)
def test_a_wrong_config_is_refused_by_key(tmp_path: Path, change: Callable[[Any], Any], named: str) -> None:
    save_weights(tmp_path / "w", make_model(), INFO)
    edit(tmp_path / "w", change)
    assert re.search(named, refusal(tmp_path / "w"))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"x"', "[" * 99_999, '{"a":' * 99_999, "\xff"])
def test_what_is_no_config_is_refused(tmp_path: Path, text: str) -> None:
    save_weights(tmp_path / "w", make_model(), {})
    (tmp_path / "w" / "config.json").write_bytes(text.encode("latin-1"))
    assert "config.json" in refusal(tmp_path / "w")


def test_weights_of_another_configuration_are_named(tmp_path: Path) -> None:
    save_weights(tmp_path / "a", make_model(), {})
    save_weights(tmp_path / "b", make_model(replace(SMALL, hidden=6)), {})
    weights = (tmp_path / "b" / "model.safetensors").read_bytes()
    (tmp_path / "a" / "model.safetensors").write_bytes(weights)
    assert "not what config.json was saved with" in refusal(tmp_path / "a")
    edit(tmp_path / "a", lambda c: None, checksum=True)
    mismatch = r"another configuration .* its tensor \S+ is float32 \[.*\], the model's is float32 \["
    assert re.search(mismatch, refusal(tmp_path / "a"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.pop(BIAS), f"it has no tensor {BIAS}"),
        (lambda t: t.update(extra=torch.zeros(1)), "the model has no tensor extra"),
        (lambda t: t.update({BIAS: t[BIAS].double()}), "is float32 .* float64|is float64 .* float32"),
        (lambda t: t.update({BIAS: t[BIAS].int()}), rf"{BIAS} is int32 \["),
        (lambda t: t.update({BIAS: t[BIAS][:-1].clone()}), rf"{BIAS} is float32 \["),
        (lambda t: t.clear(), "it has no tensor"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path: Path, change: Callable[[Any], Any], named: str) -> None:
    save_weights(tmp_path / "w", make_model(), {})
    tensors = safetensors.torch.load_file(tmp_path / "w" / "model.safetensors")
    change(tensors)
    safetensors.torch.save_file(tensors, tmp_path / "w" / "model.safetensors")
    edit(tmp_path / "w", lambda c: None, checksum=True)
    assert re.search(named, refusal(tmp_path / "w"))


def test_crafted_contents_with_right_checksums_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", make_model(), {})
    good = (tmp_path / "w" / "model.safetensors").read_bytes()
    header = b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}'
    for data in (b"", b"\xff" * 100, struct.pack("<Q", len(header)) + header + b"abcd", b"\x80\x04N."):
        (tmp_path / "w" / "model.safetensors").write_bytes(data)
        edit(tmp_path / "w", lambda c: None, checksum=True)
        assert "not a file of safetensors" in refusal(tmp_path / "w")
    (tmp_path / "w" / "model.safetensors").write_bytes(good)
    for size in (-1, 10**15, 10**30):
        edit(tmp_path / "w", lambda c, size=size: c["model"].update(hidden=size), checksum=True)
        assert "cannot be built" in refusal(tmp_path / "w")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_truncation_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    model, chance = make_model(), random.Random(0)
    save_weights(tmp_path / "w", model, INFO)
    path = tmp_path / "w" / name
    data = path.read_bytes()
    for length in [0, 1, len(data) - 2, *chance.sample(range(len(data) - 1), 100)]:
        path.write_bytes(data[:length])
        assert name in refusal(tmp_path / "w")
    path.write_bytes(data)
    assert same_bits(SQAIR.from_pretrained(tmp_path / "w"), model)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_flipped_bits_anywhere_are_refused_or_harmless(tmp_path: Path, name: str) -> None:
    model, chance = make_model(), random.Random(1)
    save_weights(tmp_path / "w", model, INFO)
    path = tmp_path / "w" / name
    data, refused, flips = path.read_bytes(), 0, 200 if name == "config.json" else 100
    for bit in chance.sample(range(len(data) * 8), flips):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            assert same_bits(SQAIR.from_pretrained(tmp_path / "w"), model)
        except UserError as error:
            assert name in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 0.95 * flips if name == "config.json" else refused == flips


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_earlier_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    model = make_model()
    save_weights(tmp_path / "w", model, {})
    for nth in range(2):
        with monkeypatch.context() as patch, pytest.raises(UserError, match="No space left on device"):
            patch.setattr(os, call, full_once(getattr(os, call), nth))
            save_weights(tmp_path / "w", make_model(seed=1), {})
        assert same_bits(SQAIR.from_pretrained(tmp_path / "w"), model)
        assert os.listdir(tmp_path) == ["w"]


DYING = Path(__file__).with_name("dying.py")


@pytest.mark.parametrize("dies_at", range(2))
def test_a_save_killed_between_its_renames_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    """Every rename of a save in turn is its last act; then the folder is loaded, and saved again."""
    folder, old, new = tmp_path / "run" / "weights", make_model(), make_model(seed=1)
    save_weights(folder, old, {})
    save_weights(tmp_path / "source", new, {})
    command = [sys.executable, DYING, "between", folder, tmp_path / "source", str(dies_at)]
    assert subprocess.run(command, timeout=250).returncode == 9
    assert same_bits(SQAIR.from_pretrained(folder), [old, new][dies_at])
    assert same_bits(SQAIR.from_pretrained(tmp_path / "run"), [old, new][dies_at])
    for nth in range(2):
        with monkeypatch.context() as patch, pytest.raises(UserError, match="No space left on device"):
            patch.setattr(os, "replace", full_once(os.replace, nth))
            save_weights(folder, make_model(seed=2), {})
        assert same_bits(SQAIR.from_pretrained(folder), [old, new][dies_at])
    save_weights(folder, make_model(seed=2), {})
    assert same_bits(SQAIR.from_pretrained(folder), make_model(seed=2))
    assert os.listdir(tmp_path / "run") == ["weights"]


def test_kill_during_saves_never_leaves_a_mismatching_pair(tmp_path: Path) -> None:
    command = [sys.executable, DYING, "weights", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3, "hardly a kill hit a save: the test proved nothing"


@dataclass(frozen=True)
class Stage:
    length: int
    rate: float = 1.0


@dataclass(frozen=True)
class Settings:
    name: str
    mode: Literal["a", 2]
    seed: int | None
    range: tuple[float, float]
    stages: tuple[Stage, ...]


def test_config_from_dict_is_the_inverse_of_asdict() -> None:
    for config in (
        Settings("x", 2, None, (0.0, 1.0), (Stage(1), Stage(2, 0.5))),
        Settings("", "a", 0, (-1.0, 2.0), ()),
    ):
        as_dict = dataclasses.asdict(config)
        assert config_from_dict(Settings, as_dict) == config
        assert config_from_dict(Settings, json.loads(json.dumps(as_dict))) == config
    assert type(config_from_dict(Stage, {"length": 1, "rate": 2}).rate) is float


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "2"}, "preset: mode is '2' where"),
        ({"mode": 2.0}, "preset: mode is 2.0 where"),
        ({"seed": 1.5}, "preset: seed is 1.5 where int is expected"),
        ({"range": [1.0]}, r"preset: range is \[1.0\] where tuple\[float, float\] is expected"),
        ({"range": [1.0, "2"]}, r"preset: range\[1\] is '2' where float is expected"),
        ({"stages": [{"length": 1, "rate": 1.0}, {"length": 1}]}, r"the key 'stages\[1\].rate' is missing"),
        ({"stages": {"length": 1}}, "preset: stages is "),
    ],
)
def test_config_from_dict_names_what_is_wrong(change: dict[str, Any], message: str) -> None:
    good = dataclasses.asdict(Settings("x", 2, None, (0.0, 1.0), (Stage(1),)))
    with pytest.raises(UserError, match=message):
        config_from_dict(Settings, {**good, **change}, "preset")
    with pytest.raises(UserError, match="the whole is 3 where Settings is expected"):
        config_from_dict(Settings, 3)
