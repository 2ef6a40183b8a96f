"""Weights of the hub: from a cache of its layout, from a server that answers as it does, and what goes wrong."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants

from conftest import TINY, spots, tiny_model
from sqair.errors import UserError
from sqair.files.pretrained import weights_files
from sqair.model import SQAIR
from sqair.scripts import cli

COMMITS = [str(i) * 40 for i in range(1, 4)]
FILES = ("README.md", "config.json", "model.safetensors")


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, an empty cache, no network."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def publish(cache: Path, model: SQAIR, commit: str, *refs: str, repository: str = "org/name") -> Path:
    """Puts a model into a cache as the hub's own downloads do: blobs, and a snapshot of links to them."""
    root = cache / f"models--{repository.replace('/', '--')}"
    snapshot = root / "snapshots" / commit
    model.save_pretrained(root / "made")
    snapshot.mkdir(parents=True)
    (root / "blobs").mkdir(exist_ok=True)
    for name in FILES:
        (root / "made" / name).rename(root / "blobs" / f"{commit}-{name}")
        (snapshot / name).symlink_to(f"../../blobs/{commit}-{name}")
    (root / "made").rmdir()
    (root / "refs").mkdir(exist_ok=True)
    for ref in refs:
        (root / "refs" / ref).write_text(commit)
    return snapshot


def same(a: SQAIR, b: SQAIR) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return a.config == b.config and a.price == b.price and all(torch.equal(x, y) for x, y in pairs)


def refusal(name: str) -> str:
    with pytest.raises(UserError) as caught:
        SQAIR.from_pretrained(name)
    message = str(caught.value)
    assert name in message and "\n" not in message and "Traceback" not in message
    return message


def test_a_repository_loads_from_the_cache_bit_for_bit_and_by_revision(tmp_path: Path) -> None:
    old, new = tiny_model(seed=1, price=3.0), tiny_model(seed=2, price=4.0)
    publish(tmp_path / "hub", old, COMMITS[0], "v1")
    publish(tmp_path / "hub", new, COMMITS[1], "main")
    assert same(SQAIR.from_pretrained("org/name"), new)
    assert same(SQAIR.from_pretrained("org/name@v1"), old)
    assert same(SQAIR.from_pretrained(f"org/name@{COMMITS[0]}"), old)
    assert not same(old, new)


def test_track_takes_a_repository_and_writes_what_its_folder_gives(tmp_path: Path) -> None:
    """In a process of its own, so that the environment alone says where the cache is and that there is no network."""
    model = tiny_model(price=-2.0)
    publish(tmp_path / "hub", model, COMMITS[0], "main")
    model.save_pretrained("local")
    frames = spots(TINY, 4, 1).clamp(0, 1).mul(255).byte().numpy()[:, :, 0].swapaxes(0, 1)
    np.savez("clip.npz", frames=frames)
    assert cli.run("track", ["--source", "clip.npz", "--model", "local", "--output", "a"]) == 0
    words = ["track", "--source", "clip.npz", "--model", "org/name", "--output", "b"]
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "sqair.scripts.cli", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    written = [sorted(path.read_text() for path in Path(folder).iterdir()) for folder in "ab"]
    assert written[0] == written[1] and any(written[0])


def test_what_is_here_wins(tmp_path: Path) -> None:
    here, there = tiny_model(seed=1), tiny_model(seed=2)
    publish(tmp_path / "hub", there, COMMITS[0], "main")
    here.save_pretrained("org/name")
    assert same(SQAIR.from_pretrained("org/name"), here)
    assert refusal("org/other") == "no such weights folder: org/other"
    plain = r"^no (such weights folder: [\w./]+|built-in weights 'other'; there are: .*)$"
    for name in ("./other/name", "a/b/c", "../x", "other/", "/other/name", "other"):
        with pytest.raises(UserError, match=plain):
            SQAIR.from_pretrained(name)


def test_only_data_is_read_and_it_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint, which a run's folder would be loaded from, is not looked at; a damaged file is refused."""
    model = tiny_model()
    model.trained = (3, 9)
    monkeypatch.setattr("sqair.files.pretrained.training_of", lambda path: pytest.fail(f"{path} was read"))
    snapshot = publish(tmp_path / "hub", model, COMMITS[0], "main")
    (snapshot / "checkpoint.pt").write_bytes(b"not a checkpoint")
    assert same(SQAIR.from_pretrained("org/name"), model)
    blob = (snapshot / "model.safetensors").resolve()
    blob.write_bytes(blob.read_bytes()[:-1])
    with pytest.raises(UserError, match="cut short, damaged, or not what config.json was saved with"):
        SQAIR.from_pretrained("org/name")


def test_what_is_read_from_the_cache_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    snapshot = publish(tmp_path / "hub", tiny_model(), COMMITS[0], "main")
    assert snapshot / "config.json" in weights_files("org/name")
    blob = (snapshot / "config.json").resolve()
    before = blob.read_bytes()
    assert cli.run("bench", ["--tiny", "--model", "org/name", "--output", str(blob)]) == 2
    assert "would be replaced" in capsys.readouterr().err and blob.read_bytes() == before
    assert snapshot / "config.json" not in weights_files("org/other")


def test_without_network_what_is_not_in_the_cache_is_said(tmp_path: Path) -> None:
    said = refusal("org/name")
    assert said.startswith("no such weights folder: org/name; ") and str(tmp_path / "hub") in said
    assert "HF_HUB_OFFLINE is set: unset it" in said
    publish(tmp_path / "hub", tiny_model(), COMMITS[0], "main")
    assert "does not have it" in refusal("org/name@v9")
    assert "be called so" in refusal("org/na--me") and "be called so" not in said


def test_a_repository_of_something_else_is_named(tmp_path: Path) -> None:
    snapshot = publish(tmp_path / "hub", tiny_model(), COMMITS[0], "main")
    (snapshot / "model.safetensors").unlink()
    assert "holds no model.safetensors: it is no weights folder of sqair" in refusal("org/name")


def test_without_the_package_it_is_said_how_to_have_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert 'pip install "sqair[hub]"' in refusal("org/name")
    np.savez("clip.npz", frames=np.zeros((1, 3, 20, 24), np.uint8))
    assert cli.run("track", ["--source", "clip.npz", "--model", "org/name", "--output", "out"]) == 2
    assert 'error: no such weights folder: org/name; to fetch it' in capsys.readouterr().err
    assert not Path("out").exists()


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers as the hub does: org/name has the files of ``folder``, and others what is wrong with them."""

    folder: Path
    address: str
    asked: list[str]
    wrong = {"gated": (403, "GatedRepo"), "none": (404, "RepoNotFound"), "broken": (500, None)}

    def do_GET(self) -> None:
        self.asked.append(self.path)
        name = self.path.split("?")[0].split("/")[-1]
        for repository, (status, code) in self.wrong.items():
            if f"org/{repository}/" in self.path or self.path.endswith(f"org/{repository}"):
                return self.answer(status, {"X-Error-Code": code} if code else {})
        if "/revision/" in self.path and name not in ("main", COMMITS[0]):
            return self.answer(404, {"X-Error-Code": "RevisionNotFound"})
        files = sorted(os.listdir(self.folder))
        if "/tree/" in self.path:
            entries = [{"type": "file", "path": file, "size": self.size(file), "oid": file} for file in files]
            return self.answer(200, {}, json.dumps(entries).encode())
        if "/resolve/" in self.path and name in files:
            headers = {"X-Repo-Commit": COMMITS[0], "ETag": f'"{name}"', "Accept-Ranges": "bytes"}
            return self.answer(200, headers, (self.folder / name).read_bytes())
        self.answer(200, {}, json.dumps({"id": "org/name", "sha": COMMITS[0], "siblings": []}).encode())

    do_HEAD = do_GET

    def size(self, file: str) -> int:
        return (self.folder / file).stat().st_size

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[type[Answers]]:
    """The hub, on this machine."""
    answers = type("Here", (Answers,), {"folder": tmp_path / "served", "asked": []})
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), answers)
    answers.address = f"http://127.0.0.1:{serving.server_port}"
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield answers
    serving.shutdown()
    serving.server_close()
    thread.join()


LOADING = """
import sys
from sqair import SQAIR
from sqair.errors import UserError
for name in sys.argv[1:]:
    try:
        print("loaded", SQAIR.from_pretrained(name).price)
    except UserError as error:
        print(error)
"""


def loaded(cache: Path, address: str, *names: str) -> list[str]:
    """What comes of the names, one after another, in a process for which the hub is at ``address``."""
    environment = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": address}
    environment.update(HF_HUB_DISABLE_XET="1", NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
    command = [sys.executable, "-c", LOADING, *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_repository_is_fetched_and_nothing_but_its_weights(tmp_path: Path, server: type[Answers]) -> None:
    model = tiny_model(price=5.5)
    model.save_pretrained(tmp_path / "served")
    (tmp_path / "served" / "modeling.py").write_text("raise SystemExit('executed')")
    assert loaded(tmp_path / "hub", server.address, "org/name") == ["loaded 5.5"]
    assert not any("modeling.py" in path for path in server.asked)
    assert sorted(path.name for path in (tmp_path / "hub").rglob("snapshots/*/*")) == list(FILES)
    server.asked.clear()
    assert same(SQAIR.from_pretrained("org/name"), model) and not server.asked


def test_what_the_hub_refuses_is_said_in_a_line_with_what_helps(tmp_path: Path, server: type[Answers]) -> None:
    tiny_model().save_pretrained(tmp_path / "served")
    (tmp_path / "served" / "config.json").unlink()
    names = ("org/gated", "org/none", "org/name@v9", "org/broken", "org/name")
    lines = loaded(tmp_path / "hub", server.address, *names)
    begin = [f"no such weights folder: {name}; " for name in names[:-1]]
    assert [line.startswith(said) for line, said in zip(lines, begin, strict=False)] == [True] * 4
    gated, missing, revision, broken, other = lines
    assert f"ask for access at {server.address}/org/gated" in gated and "HF_TOKEN" in gated
    assert f"nor is there a repository org/none at {server.address}" in missing and "HF_TOKEN" in missing
    assert revision.endswith(f"the repository org/name at {server.address} has no revision v9")
    assert f"{server.address} cannot be reached" in broken
    assert other == "org/name on the Hugging Face hub holds no config.json: it is no weights folder of sqair"


def test_a_network_that_is_not_there_is_named(tmp_path: Path) -> None:
    (line,) = loaded(tmp_path / "hub", "http://127.0.0.1:9", "org/name")  # nobody listens
    why = "http://127.0.0.1:9 cannot be reached: is there a network?"
    assert line == f"no such weights folder: org/name; {tmp_path / 'hub'} does not have it, and {why}"
