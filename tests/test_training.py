"""A short training learns: what no test of a part would notice if the parts did not work together.

Ten seeds of it, of 20 to 27 CPU-seconds each, had on 60 validation clips (mean, standard deviation), by the amortised
posteriors, count accuracy .920 (.018), MOTA .856 (.017), IDF1 .921 (.011); refined .926 (.019), .874 (.033), .934
(.019). The least values asked for are 5.8 standard deviations or more below the means: if scores of seeds are normal,
and another machine is as another seed, fewer than one in ten million falls below.
"""

import pytest
import torch

from sqair.config import ModelConfig, Stage, TrainConfig
from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import get_recipe
from sqair.eval.mot import score
from sqair.scripts.training import Generated
from sqair.tracker import track_clips
from sqair.trainer import Trainer

CLIPS = 60
LEAST = {
    False: {"count_accuracy": 0.81, "mota": 0.75, "idf1": 0.85},
    True: {"count_accuracy": 0.81, "mota": 0.68, "idf1": 0.82},
}
"""Of amortised and of refined tracks."""


@pytest.mark.timeout(600)
def test_twenty_seconds_of_training_find_and_follow_digits() -> None:
    recipe = get_recipe("moving-mnist")
    stages = (Stage(1, 350, 64), Stage(3, 60, 32), Stage(6, 40, 16))
    trainer = Trainer(ModelConfig(), TrainConfig(stages=stages, price_steps=350), Generated(recipe, 0))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in trainer.run():
        pass
    torch.set_num_threads(threads)
    clips, names = make_clips(recipe, "val", 3, 0, CLIPS), [str(i) for i in range(CLIPS)]
    truth = dict(zip(names, clips.truth, strict=True))
    for refine, least in LEAST.items():
        tracks = dict(zip(names, track_clips(trainer.model, clips.frames, refine=refine), strict=True))
        overall = score(truth, tracks, dict.fromkeys(names, recipe.length)).overall
        assert all(overall[name] > value for name, value in least.items()), (refine, overall)
