"""The weights for any camera: fitted to a clip that they have never seen, and tracking it at once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sqair.datasets.clip import ClipSource, evenly
from sqair.datasets.seen import Survey
from sqair.datasets.suggest import OBJECT, UNTRAINED, untrained
from sqair.errors import UserError
from sqair.eval.mot import score
from sqair.files.mot_io import read_mot
from sqair.files.pretrained import pretrained
from sqair.model import SQAIR
from sqair.scripts import cli
from sqair.scripts.any_camera import ANY_CAMERA, any_camera
from sqair.scripts.experiments.shape_clip import shape_clip
from sqair.scripts.footage import plan
from sqair.scripts.track import Args
from sqair.scripts.track_frames import model_name
from sqair.scripts.tracking import track
from sqair.tracks import Tracks

SEEN = Survey((480, 640), False, 0.004, 0.3, 6.0, 4.0, 40.0, 30.0, 500.0, 60.0, 0.3, 300)


@pytest.fixture(scope="module")
def trained() -> SQAIR:
    return SQAIR.from_pretrained(ANY_CAMERA)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tracks]:
    """A clip of 80 frames that the weights have never seen, and its truth."""
    frames, truth = shape_clip(7, 80, 0.0)
    path = tmp_path_factory.mktemp("shapes") / "clip.npy"
    np.save(path, np.stack(list(frames)))
    return path, truth


@pytest.fixture(scope="module")
def few(shapes: tuple[Path, Tracks]) -> Path:
    """The first 16 of those frames."""
    path = shapes[0].with_name("few.npy")
    np.save(path, np.load(shapes[0])[:16])
    return path


def test_the_weights_are_small_enough_to_ship() -> None:
    assert sum(file.stat().st_size for file in pretrained(ANY_CAMERA).iterdir()) <= 10e6


def test_sizes_follow_from_the_footage(trained: SQAIR) -> None:
    config = untrained(SEEN, trained.config)
    assert config.size_mean == pytest.approx(OBJECT, abs=0.3)
    assert config.width / config.height == pytest.approx(640 / 480, rel=0.01)
    assert config.width == round(640 * OBJECT / np.sqrt(40 * 30))
    small = untrained(replace(SEEN, height=4.0, width=3.0), trained.config)
    assert max(small.height, small.width) == UNTRAINED and small.size_mean < OBJECT / 4
    crowd = untrained(replace(SEEN, most=40.0), trained.config)
    assert crowd.slots == crowd.first_steps == crowd.later_steps == 61


def test_contrast_and_noise_set_the_deviation(trained: SQAIR) -> None:
    """Faint things are stretched to a contrast of .24, by 4 at most; so is noise, and its double is the least."""
    seen = [untrained(replace(SEEN, contrast=c, noise=n), trained.config)
            for c, n in ((0.5, 0.0), (0.24, 0.0), (0.12, 0.0), (0.03, 0.0), (0.03, 0.006), (0.01, 0.0))]  # fmt: skip
    assert [config.stretch for config in seen] == [1, 1, 2, 4, 4, 4]
    assert [config.likelihood_std for config in seen] == [0.06, 0.06, 0.06, 0.036, 0.048, 0.02]


def test_refitted_weights_are_the_same(trained: SQAIR) -> None:
    model = trained.refitted(replace(trained.config, height=70, width=90, size_mean=9.0), 12.0)
    assert model.price == 12.0 and model.config.width == 90 and not model.training
    for name, tensor in trained.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    with pytest.raises(UserError, match="another model"):
        trained.refitted(replace(trained.config, z_what=3), 12.0)


def test_a_clip_is_tracked_at_once(shapes: tuple[Path, Tracks], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path, truth = shapes
    track(Args(str(path), tmp_path))
    assert "things move at a time" in capsys.readouterr().out
    found = read_mot(tmp_path / "clip.txt")
    assert score({"clip": truth}, {"clip": found}, {"clip": 80}).overall["mota"] > 0.6


def test_what_auto_stands_for() -> None:
    def clip(size: tuple[int, int], length: int | None, path: Path | str) -> ClipSource:
        return ClipSource("clip", path, size, length, 10.0, lambda: evenly([], 10.0))

    digits, footage = clip((50, 50), 9, Path("a.npz")), clip((480, 640), 9, Path("b.mp4"))
    assert model_name([digits], "auto") == "moving-mnist"
    assert model_name([digits, footage], "auto") == model_name([footage], "auto") == ANY_CAMERA
    assert model_name([footage], "runs/mine") == "runs/mine"
    with pytest.raises(UserError, match="camera 0: what fits is told from a clip"):
        any_camera([clip((480, 640), None, "camera 0")], "cpu")


def test_training_starts_from_them(few: Path, trained: SQAIR, tmp_path: Path) -> None:
    words = ["--data", str(few), "--train.stages", "1x2x4", "5x1x2", "--validate-every", "0", "--validation-clips", "2"]
    assert cli.run("train", [*words, "--output", str(tmp_path / "run")]) == 0
    assert f"start: {ANY_CAMERA}" in (tmp_path / "run" / "config.yaml").read_text()
    model = SQAIR.from_pretrained(tmp_path / "run")
    before, after = (torch.cat([p.detach().flatten() for p in of.parameters()]) for of in (trained, model))
    assert 0 < (after - before).abs().max() < 0.1
    assert 0.3 < model.price / trained.price < 1.001


def test_weights_of_another_model_are_refused(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(few), "--output", str(tmp_path / "run"), "--train.stages", "1x1x1"]
    assert cli.run("train", [*words, "--model.z-what", "3"]) == 2
    assert "--from any-camera: the weights are those of another model: --from none" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_sets_of_clips_start_from_nothing() -> None:
    start, model, _ = plan(replace(SEEN, scenes="plain", length=10, clips=100))
    assert start == "none" and model.objects == "layered"
    assert plan(SEEN)[0] == ANY_CAMERA and plan(SEEN, "none")[0] == "none"
