"""The assignment of objects to places, against all permutations."""

from itertools import permutations

import torch

from sqair.assign import deal


def test_every_clip_has_the_assignment_of_the_greatest_sum() -> None:
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        clip = torch.randint(0, 4, (9,), generator=generator)
        pairs = torch.nonzero(clip[:, None] == clip)
        table = torch.full((9, 9), -torch.inf, dtype=torch.float64)
        table[pairs[:, 0], pairs[:, 1]] = torch.randn(len(pairs), generator=generator, dtype=torch.float64)
        order = deal(clip, table[pairs[:, 0], pairs[:, 1]])
        for c in clip.unique():
            mine = torch.nonzero(clip == c)[:, 0].tolist()
            best = max(permutations(mine), key=lambda p: float(sum(table[i, k] for i, k in zip(mine, p, strict=True))))
            assert order[mine].tolist() == list(best)


def test_an_object_by_itself_keeps_its_place() -> None:
    assert deal(torch.tensor([3, 0, 1]), torch.tensor([-5.0, 1.0, 0.0])).tolist() == [0, 1, 2]
    assert deal(torch.tensor([], dtype=torch.int64), torch.tensor([])).tolist() == []
