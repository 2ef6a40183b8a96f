"""What clips are like to a model: how many objects they hold, of what places, sizes and looks, and how they stray.

It is fitted to what the model finds in them (alike.py), and takes the place of the priors p(n), p(z_where) and
p(z_what) of new objects, of who stays, and of the widths of p(z_t | past). The decoder and the means of motion are the
model's own.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sqair.errors import UserError
from sqair.files.durable import write_bytes

_WIDTHS = (0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Of kernels, of which the best is chosen, in standard deviations; 1 is a single Gaussian."""
_RIDGE = 0.02
"""Share of its variance that a covariance is moved towards its diagonal: latents may hardly vary."""


class Spread(NamedTuple):
    """Shares of the standard deviations of the model's own motion prior; 0 is its mean."""

    place: float = 1.0
    size: float = 1.0
    look: float = 1.0


OWN = Spread()
"""As the model has it."""


class Kernels(NamedTuple):
    """A density of vectors ``[D]``: a Gaussian kernel around each of the ``points [K, D]``, drawn in so that mean and
    covariance are those of the points, which ``root [D, D]`` is a Cholesky factor of. (Wand and Jones, Kernel
    Smoothing, 1995, 2.9.)"""

    points: Tensor
    root: Tensor
    width: float

    @staticmethod
    def fit(points: Tensor) -> Kernels:
        """Of the width under which each of the points ``[K, D]``, K > 1, is likeliest by the others."""
        off = points - points.mean(0)
        covariance = off.T @ off / len(points)
        diagonal = torch.diag(covariance.diagonal().clamp_min(1e-6))
        root = torch.linalg.cholesky((1 - _RIDGE) * covariance + _RIDGE * diagonal)
        white = torch.linalg.solve_triangular(root, off.T, upper=False).T
        return Kernels(points, root, max(_WIDTHS, key=lambda width: _left_out(white, width)))

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Samples ``[count, D]``."""
        which = torch.randint(len(self.points), (count,), generator=generator)
        noise = torch.randn(count, self.points.shape[1], generator=generator, dtype=self.points.dtype)
        mean = self.points.mean(0)
        inward = (1 - self.width**2) ** 0.5
        return mean + inward * (self.points[which] - mean) + self.width * noise @ self.root.T


def _left_out(white: Tensor, width: float) -> float:
    """The mean log density of points ``[K, D]``, of covariance I, each by the others' kernels, less a constant."""
    inward = (1 - width**2) ** 0.5
    square = torch.cdist(white, inward * white).square().fill_diagonal_(torch.inf)
    return float((torch.logsumexp(-square / (2 * width**2), 1) - white.shape[1] * np.log(width)).mean())


@dataclass(frozen=True)
class Likeness:
    """What clips are like to the model of checksum ``model``.

    Attributes:
        counts: ``[N + 1]``, the share of clips that begin with so many objects.
        born: objects that appear in a clip in each later frame.
        stay: the chance that an object is there still in the next frame.
        new: the density of z_where and z_what of new objects, ``[4 + D]``; None, for the model's own, if fewer than two
            were found.
        spread: shares of the motion prior's standard deviations.
        clips: from how many clips this comes.
        model: ``checksum`` of the model that found all this.
    """

    counts: Tensor
    born: float
    stay: float
    new: Kernels | None
    spread: Spread
    clips: int
    model: int

    def save(self, path: str | Path) -> None:
        """Writes an ``.npz``. Raises UserError if it cannot."""
        held = io.BytesIO()
        new = self.new or Kernels(torch.zeros(0, 4), torch.zeros(4, 4), 1.0)
        numbers = np.array([self.born, self.stay, new.width, *self.spread])
        np.savez_compressed(
            held, likeness=np.array([self.clips, self.model]), counts=self.counts.numpy(), numbers=numbers,
            points=new.points.numpy(), root=new.root.numpy(),
        )  # fmt: skip
        write_bytes(path, held.getvalue())

    @staticmethod
    def load(path: str | Path) -> Likeness:
        """What ``save`` wrote. Raises UserError if the file is another, or cannot be read."""
        try:
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as held:
                clips, model = held["likeness"].tolist()
                born, stay, width, *spread = held["numbers"].tolist()
                points, root = torch.from_numpy(held["points"]), torch.from_numpy(held["root"])
                counts = torch.from_numpy(held["counts"])
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(f"{path} cannot be read as a likeness of `sqair imagine`: make it anew") from error
        new = Kernels(points, root, width) if len(points) else None
        return Likeness(counts, born, stay, new, Spread(*spread), clips, model)


def is_likeness(path: str | Path) -> bool:
    """Whether the file is one that ``Likeness.save`` wrote."""
    try:
        with zipfile.ZipFile(path) as held:
            return "likeness.npy" in held.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def checksum(model: nn.Module) -> int:
    """Of the weights of a model."""
    total = 0
    for tensor in model.state_dict().values():
        total = zlib.crc32(tensor.cpu().numpy().tobytes(), total)
    return total
