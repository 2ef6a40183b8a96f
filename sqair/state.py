"""What goes from frame to frame, and what a frame becomes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from sqair.background import Behind
from sqair.objects import Objects
from sqair.roster import EXACT, Exact
from sqair.scene import Rows
from sqair.windows import Patches


@dataclass
class State:
    """What is carried from frame to frame: the objects, and the next free id of each clip ``[B]``."""

    objects: Objects
    next_id: Tensor
    begun: bool = False
    """Whether there was a frame."""
    background: Tensor | None = None
    """What the background carries ``[B, ...]``, of a model that has one."""


@dataclass
class Step:
    """One frame explained: the canvas ``[B, C, H, W]``, its log-likelihood ``[B]``, and the terms of the bound."""

    canvas: Tensor
    log_likelihood: Tensor
    log_p_nothing: Tensor
    """``[B]``, log prior of finding nothing more where the search saw nothing, so that q(z_pres = 0) is 1."""
    rows: list[Rows]
    objects: Objects
    patches: Patches
    """``[M, C, h, w]``, what each object of ``objects`` does to an otherwise empty canvas; no gradient."""
    confidence: Tensor
    """``[M]``, q(z_pres = 1) of each object of ``objects``; no gradient."""
    behind: Behind | None = None
    """The background, of a model that has one."""
    depth: Patches | None = None
    """``[M, layers, h, w]``, w of the objects (render.py), if they hide what is behind; no gradient."""
    roster: Exact = EXACT
    """Who is on the list ``objects``."""

    def living(self) -> Step:
        """The same without the rows of empty seats, for whoever reads the result; not of its ``rows``."""
        if not self.roster.fixed:
            return self
        row = self.objects.there.nonzero()[:, 0]
        return replace(
            self,
            canvas=self.canvas.clone(),
            behind=None if self.behind is None else replace(self.behind, image=self.behind.image.clone()),
            objects=self.objects.rows(row),
            patches=self.patches.rows(row),
            confidence=self.confidence[row],
            depth=None if self.depth is None else self.depth.rows(row),
            roster=EXACT,
        )

    @property
    def images(self) -> Tensor:
        """``patches`` on canvases of their own, ``[M, C, H, W]``."""
        return self.patches.full()
