"""Weights and checkpoints that are damaged or crafted, and whether loading them is exact, refused or worse."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import random
import struct
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sqair.config import ModelConfig
from sqair.errors import UserError
from sqair.files.checkpoint import MAGIC, VERSION, load_checkpoint, save_checkpoint
from sqair.files.pretrained import save_weights
from sqair.model import SQAIR
from sqair.scripts.experiments.study import Line

SMALL = ModelConfig(height=20, width=24, slots=3, first_steps=2, glimpse=6, z_what=4, hidden=8, features=8)
FILES = ("config.json", "model.safetensors", "checkpoint.pt")
EXACT, REFUSED, WRONG, BROKEN = "exact", "refused", "wrong values", "other error"


def flip(data: bytes, bits: Iterable[int]) -> bytes:
    """``data`` with some bits flipped."""
    damaged = bytearray(data)
    for bit in bits:
        damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


KINDS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut short": lambda data, chance: data[: chance.randrange(len(data))],
    "a bit flipped": lambda data, chance: flip(data, [chance.randrange(8 * len(data))]),
}


def saved(folder: Path) -> None:
    """Makes a folder of weights, and in it the checkpoint of a training of theirs."""
    torch.manual_seed(0)
    model = SQAIR(SMALL)
    model.price = 31.7
    optimizer = torch.optim.Adam(model.parameters())
    torch.stack([p.square().sum() for p in model.parameters()]).sum().backward()
    optimizer.step()
    save_weights(folder, model, {"command": "sqair train", "seed": 3})
    state = {"model": dict(model.state_dict()), "optimizer": optimizer.state_dict(), "step": 1, "price": model.price}
    save_checkpoint(folder / "checkpoint.pt", state)


def read(folder: Path, name: str) -> bytes:
    """All that loading the file ``name`` gives, as bytes."""
    if name == "checkpoint.pt":
        content: Any = load_checkpoint(folder / name)
    else:
        model = SQAIR.from_pretrained(folder)
        content = [dict(model.state_dict()), repr(model.config), model.price]
    return _bytes(content)


def _bytes(value: Any) -> bytes:
    if isinstance(value, torch.Tensor):
        plain = value.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        return repr((value.dtype, value.shape)).encode() + plain
    if isinstance(value, dict):
        return b"".join(repr(key).encode() + _bytes(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return b"".join(map(_bytes, value))
    return repr(value).encode()


def outcome(load: Callable[[], bytes], right: bytes | None) -> str:
    """How loading ended, ``right`` being what it may give."""
    try:
        return EXACT if load() == right else WRONG
    except UserError as error:
        return REFUSED if "\n" not in str(error) else BROKEN
    except Exception:
        return BROKEN


def damage(output: Path, name: str, kind: str, trials: int) -> Line:
    """Damages one file ``trials`` times, each time in another place."""
    folder = output / f"{name}-{kind}".replace(" ", "-")
    saved(folder)
    chance, data, right = random.Random(f"{name} {kind}"), (folder / name).read_bytes(), read(folder, name)
    tally = Counter[str]()
    for _ in range(trials):
        (folder / name).write_bytes(KINDS[kind](data, chance))
        tally[outcome(partial(read, folder, name), right)] += 1
    return dict(tally)


class Call:
    """Calls a function when it is unpickled by a reader that runs code."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.made = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made


def attacks(marker: Path) -> dict[str, bytes]:
    """Pickles that make the file ``marker`` when they are read without care."""
    touch, code = f"touch {marker}", f"open({str(marker)!r}, 'w').close()"
    text = touch.encode()
    legacy = io.BytesIO()
    torch.save(Call(os.system, touch), legacy, _use_new_zipfile_serialization=False)
    objects = {
        "os.system": Call(os.system, touch),
        "exec": Call(exec, code),
        "eval": Call(eval, code),
        "partial": Call(partial(os.system, touch)),
        "open": Call(open, str(marker), "w"),
        "in a dict": {"step": 1, "model": [Call(os.system, touch)]},
        "as a key": {Call(os.system, touch): 1},
        "as a state": Call(dict, state={"a": Call(os.system, touch)}),
        "torch.load": Call(torch.storage._load_from_bytes, legacy.getvalue()),
    }
    made = {name: pickle.dumps(value, protocol=2) for name, value in objects.items()}
    made["protocol 4"] = pickle.dumps(objects["os.system"], protocol=4)
    made["GLOBAL"] = b"cposix\nsystem\n(V" + text + b"\ntR."
    made["INST"] = b"(V" + text + b"\niposix\nsystem\n."
    made["OBJ"] = b"(cposix\nsystem\nV" + text + b"\no."
    made["getattr"] = b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(Vos\ntRVsystem\ntR(V" + text + b"\ntR."
    return made


def greedy() -> dict[str, bytes]:
    """Pickles that run no code but want all memory, or all of the stack."""
    size = struct.pack("<Q", 2**62)
    return {
        "a string of 4 EB": b"\x80\x04\x8d" + size + b"a.",
        "bytes of 4 EB": b"\x80\x04\x8e" + size + b"a.",
        "nested 100000 times": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        "pops an empty stack": b"0.",
        "never stops": b"\x80\x02]",
    }


def craft(folder: Path) -> Line:
    """Gives every attack, in every wrapping, to both loaders; none may load, and none may run."""
    saved(folder)
    warnings.simplefilter("ignore")  # of PyTorch, about protocols of pickle
    marker, tally = folder / "executed", Counter[str]()
    checkpoint, tensors = folder / "checkpoint.pt", folder / "model.safetensors"
    bodies = attacks(marker)
    for body in [*bodies.values(), *greedy().values()]:
        for content in (body, _archive(body), _signed(body), _signed(_archive(body))):
            checkpoint.write_bytes(content)
            tally[outcome(partial(read, folder, checkpoint.name), None)] += 1
            tensors.write_bytes(content)
            _sign_weights(folder)
            tally[outcome(partial(read, folder, tensors.name), None)] += 1
    executed = marker.exists()
    works = sum(_executes(body, marker) for body in bodies.values())
    return {"pickles": len(bodies) + len(greedy()), "that would execute": works, **tally, "executed": int(executed)}


def _executes(body: bytes, marker: Path) -> bool:
    """Whether an attack does what it is meant to when it is read without care."""
    marker.unlink(missing_ok=True)
    with suppress(Exception):
        pickle.loads(body)
    return marker.exists()


def _archive(body: bytes) -> bytes:
    """``body`` in place of the pickle in a file of ``torch.save``."""
    plain, crafted = io.BytesIO(), io.BytesIO()
    torch.save({"a": 1}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(crafted, "w") as target:
        for name in source.namelist():
            target.writestr(name, body if name.endswith("data.pkl") else source.read(name))
    return crafted.getvalue()


def _signed(body: bytes) -> bytes:
    """``body`` with the header of a checkpoint, its checksum right."""
    return struct.pack("<8sIQ32s", MAGIC, VERSION, len(body), hashlib.sha256(body).digest()) + body


def _sign_weights(folder: Path) -> None:
    """Makes the checksums of a folder of weights right again."""
    entries = json.loads((folder / "config.json").read_text())
    del entries["checksum"]
    entries["sha256"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    entries["checksum"] = hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
    (folder / "config.json").write_text(json.dumps(entries))
