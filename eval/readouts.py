"""What can be read out of z_what: classes of objects, and sums of two, by a linear read-out and by a small network.

A read-out is trained on objects of training digits and tried on others; what it leaves open, its penalty or when to
stop, is decided by a tenth of the training objects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sqair.eval.accounts import Account

HIDDEN = 256
"""Units of the small network."""
_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
_HELD_OUT = 10
_PASSES, _STEPS, _BATCH, _RATE, _DECAY = 50, 50, 128, 2e-3, 1e-2
"""Of the network: looks at what is held out, steps before each, objects of a step, rate and weight decay of AdamW."""
_PAIRS = 20_000


@dataclass
class Looks:
    """M objects: ``what [M, D]``, the mean of z_what over frames, the ``clip [M]`` of each and its ``label [M]``."""

    what: np.ndarray
    clip: np.ndarray
    label: np.ndarray


def looks(account: Account, which: np.ndarray, labels: np.ndarray) -> Looks:
    """The objects that are there, ``which [R]`` by their place in ``labels [N, K]``, as ``accounts.matched`` says."""
    kept = which >= 0
    name, of = np.unique(np.stack([account.clip[kept], which[kept]], 1), axis=0, return_inverse=True)
    of = of.reshape(-1)
    what = np.zeros((len(name), account.what.shape[1]))
    np.add.at(what, of, account.what[kept])
    what /= np.bincount(of, minlength=len(name))[:, None]
    return Looks(what, name[:, 0], labels[name[:, 0], name[:, 1]])


class ReadOut:
    """p(class | z_what): multinomial logistic regression, or with ``hidden`` units of one layer before it."""

    def __init__(self, train: Looks, classes: int, hidden: int = 0, seed: int = 0) -> None:
        """Trained on ``train``; labels are 0 to ``classes - 1``."""
        self.mean, self.std = train.what.mean(0), train.what.std(0) + 1e-6
        held = np.random.default_rng(seed).permutation(len(train.clip)) < max(1, len(train.clip) // _HELD_OUT)
        x, y = self._inputs(train.what), torch.from_numpy(train.label)
        parts = x[~held], y[~held], x[held], y[held]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if hidden:
                self.net = _perceptron(*parts, classes, hidden)
            else:
                tried = [(_logistic(*parts[:2], classes, penalty), penalty) for penalty in _PENALTIES]
                with torch.no_grad():
                    best = min(tried, key=lambda one: float(F.cross_entropy(one[0](parts[2]), parts[3])))[1]
                self.net = _logistic(x, y, classes, best)

    @torch.no_grad()
    def probabilities(self, what: np.ndarray) -> np.ndarray:
        """``[M, classes]`` of ``what [M, D]``."""
        return self.net(self._inputs(what)).softmax(-1).numpy()

    def _inputs(self, what: np.ndarray) -> Tensor:
        return torch.from_numpy((what - self.mean) / self.std).float()


def _logistic(x: Tensor, y: Tensor, classes: int, penalty: float) -> nn.Module:
    net = nn.Linear(x.shape[1], classes)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    optimiser = torch.optim.LBFGS(net.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimiser.zero_grad()
        value = F.cross_entropy(net(x), y) + penalty * net.weight.square().sum()
        value.backward()
        return float(value.detach())

    optimiser.step(loss)
    return net


def _perceptron(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor, classes: int, hidden: int) -> nn.Module:
    """The network, of all that training comes through, that is best on what is held out."""
    net = nn.Sequential(nn.Linear(x.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, classes))
    optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
    best, kept = float("inf"), {}
    for _ in range(_PASSES):
        for _ in range(_STEPS):
            part = torch.randint(len(x), (_BATCH,))
            optimiser.zero_grad()
            F.cross_entropy(net(x[part]), y[part]).backward()
            optimiser.step()
        with torch.no_grad():
            loss = float(F.cross_entropy(net(held_x), held_y))
        if loss < best:
            best, kept = loss, {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(kept)
    return net


def pairs(objects: Looks) -> Looks:
    """Clips of two objects: both z_what side by side ``[P, 2 D]``, and the sum of their labels."""
    clip, number = np.unique(objects.clip, return_counts=True)
    both = np.flatnonzero(np.isin(objects.clip, clip[number == 2])).reshape(-1, 2)  # looks are ordered by clips
    return _paired(objects, both)


def random_pairs(objects: Looks, seed: int = 0) -> Looks:
    """Pairs of any two of the objects, to learn sums from: objects of a clip have nothing to do with each other."""
    return _paired(objects, np.random.default_rng(seed).integers(0, len(objects.clip), (_PAIRS, 2)))


def _paired(objects: Looks, both: np.ndarray) -> Looks:
    what = objects.what[both].reshape(len(both), 2 * objects.what.shape[1])
    return Looks(what, objects.clip[both[:, 0]], objects.label[both].sum(1))


def sums_by_class(of: ReadOut, two: Looks) -> np.ndarray:
    """The most likely sum ``[P]`` of each of ``pairs``, by the classes of its objects one by one."""
    first, second = (of.probabilities(part) for part in np.split(two.what, 2, axis=1))
    classes = first.shape[1]
    total = np.zeros((len(first), 2 * classes - 1))
    for digit in range(classes):
        total[:, digit : digit + classes] += first[:, digit : digit + 1] * second
    return total.argmax(1)
