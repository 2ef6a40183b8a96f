"""The training of the weights that ship for any camera, in small."""

from pathlib import Path

import numpy as np

from sqair.model import SQAIR
from sqair.scripts.experiments import general
from sqair.scripts.experiments.general import LENGTH, SIDE, TRACKING, Args, Pool


def test_it_trains_goes_on_and_writes_weights(tmp_path: Path, capsys) -> None:
    args = Args(tmp_path, clips=3, steps=0.001)
    general.main(args)
    model = SQAIR.from_pretrained(tmp_path / "weights" / "any-camera")
    assert model.config == TRACKING and model.price > 0 and model.trained == (4, 4)
    saved = (tmp_path / "weights" / "any-camera" / "model.safetensors").read_bytes()
    general.main(args)
    assert (tmp_path / "weights" / "any-camera" / "model.safetensors").read_bytes() == saved
    assert capsys.readouterr().out.count("trained in") == 2


def test_a_clip_of_the_pool_comes_with_its_scene() -> None:
    pool = Pool(4, 1)
    assert pool(3, 5).shape == (5, LENGTH, SIDE, SIDE, 3) and pool.scenes(3, 5).shape == (5, SIDE, SIDE, 3)
    assert np.array_equal(pool(3, 5)[2:], pool(5, 3)) and np.array_equal(pool.scenes(3, 5)[2:], pool.scenes(5, 3))
    for clip, scene in zip(pool(0, 8), pool.scenes(0, 8), strict=True):
        away = [np.abs(clip.astype(float) - image).mean() for image in pool.images]
        assert np.array_equal(pool.images[int(np.argmin(away))], scene)
