"""The assignment of objects to places, against all permutations."""

from itertools import permutations

import torch

from sqair.assign import deal, match


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


def test_those_that_are_known_are_told_at_the_least_cost() -> None:
    new, old = torch.tensor([0, 1, 0, 0]), torch.tensor([0, 0, 2])
    cost = torch.tensor([[1.0, 2, 0], [0, 0, 0], [2, 4, 0], [9, 9, 0]])
    assert match(new, old, cost, 5.0, torch.full((3,), 9)).tolist() == [1, -1, 0, -1]
    assert match(new, old, cost, 3.5, torch.full((3,), 9)).tolist() == [1, -1, 0, -1]
    assert match(new, old, cost, 1.5, torch.full((3,), 9)).tolist() == [0, -1, -1, -1]


def test_no_more_are_strangers_than_may_be_while_there_are_others_to_be() -> None:
    new, old = torch.tensor([0, 0, 0]), torch.tensor([0, 0])
    cost = torch.tensor([[1.0, 2.0], [8.0, 9.0], [30.0, 20.0]])
    assert match(new, old, cost, 0.0, torch.tensor([3])).tolist() == [-1, -1, -1]
    assert sorted(match(new, old, cost, 0.0, torch.tensor([1])).tolist()) == [-1, 0, 1]
    assert sorted(match(new, old, cost, 0.0, torch.tensor([0])).tolist()) == [-1, 0, 1]
    assert match(new, old[:0], cost[:, :0], 0.0, torch.tensor([0])).tolist() == [-1, -1, -1]
