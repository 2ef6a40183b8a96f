"""Where an object of the last frame is in this one: where it, as it looked last, best explains the frame.

Under the model's Gaussian likelihood the gain in log-likelihood for every shift of the object is a few correlations
(render.Light.factors), and the log prior of its place is added to it. Places are found one after the other where
objects may meet; who is at which is decided for all objects of a clip together. All of it is on the retina, and without
a gradient.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor

from sqair.config import ModelConfig
from sqair.distributions import Gaussian
from sqair.geometry import constant, where_to_box, write
from sqair.roster import EXACT, Exact
from sqair.windows import Windows

_JUMP = {"density": 3.0, "prices": 20.0}
"""Most that a displacement costs which the prior of z_where does not foresee, in prices of an object."""
_NEAREST = 0.5
"""Least standard deviation of that prior where an object is looked for, pixels."""
_LOOSE = 0.18
"""Standard deviation of a displacement that is always allowed for where it costs prices, in sides of the object."""
_LOOSEST = 0.25
"""Most of what the prior of z_where may add to that, in the same unit."""


def _peak(score: Tensor) -> tuple[Tensor, Tensor]:
    """The maximum of each map ``[M, h, w]``: (x, y) in cells, refined by a parabola, and its value."""
    m, height, width = score.shape
    index = score.flatten(1).argmax(1)
    y, x = (index // width).clamp(1, height - 2), (index % width).clamp(1, width - 2)
    row = torch.arange(m, device=score.device)
    centre = score[row, y, x]

    def vertex(before: Tensor, after: Tensor) -> Tensor:
        curvature = (2 * centre - before - after).clamp_min(1e-6)
        return ((after - before) / (2 * curvature)).clamp(-0.5, 0.5)

    dx = vertex(score[row, y, x - 1], score[row, y, x + 1])
    dy = vertex(score[row, y - 1, x], score[row, y + 1, x])
    return torch.stack([x + dx, y + dy], -1), centre


class Matcher:
    """Finds each object of the last frame again by what it looked like. All inputs are detached."""

    def __init__(
        self, retina: Tensor, clip: Tensor, glimpse: Tensor, prior: Gaussian, config: ModelConfig,
        price: float | Tensor, there: Tensor | None = None, roster: Exact = EXACT,
    ) -> None:  # fmt: skip
        """
        Args:
            retina: ``[B, S, h, w]``.
            clip: ``[M]``, the clip of each object; glimpse: ``[M, P, G, G]``, what it looks like.
            prior: of z_where, ``[M, 4]``; price: of an object over black, nats.
            there: bool ``[M]``, which rows are objects: all by default; roster: who is on their list.
        """
        self.retina, self.config, self.clip, self.glimpse = retina, config, clip, glimpse
        self.roster, self.there = roster, torch.ones_like(clip, dtype=torch.bool) if there is None else there
        self.render = roster.render(config.render)
        self.box = where_to_box(prior.mean, config)
        reach = config.max_size + 4 * config.search_margin
        canvas = (retina.shape[-2], retina.shape[-1])
        self.region = Windows.around(self.box[:, :2], clip, reach, canvas, config.retina)
        self.seen = self.region.cut(retina)
        """Where each object is looked for ``[M, S, h', w']``."""
        self.cells = int(-(-config.max_size // config.retina))
        self.span = (self.region.size[0] + self.cells - 1, self.region.size[1] + self.cells - 1)
        middle = torch.full_like(self.box[:, :2], self.cells * config.retina / 2)
        patch_box = torch.cat([middle, self.box[:, 2:]], -1)
        patch = write(glimpse, patch_box, self.cells, self.cells, config.retina)
        self.padded = [next_fast_len(n, real=True) for n in self.span]
        self.patch_fft = torch.fft.rfft2(self.render.terms(patch), s=self.padded).conj()
        half = constant((config.width / 2, config.height / 2), middle.dtype, middle.device)
        self.std = prior.log_std[:, :2].exp() * config.position_std * half
        """Of the prior of its place ``[M, 2]``, pixels."""
        side = self.box[:, 2:].prod(-1, keepdim=True).sqrt()
        self.variance = torch.minimum(self.std, _LOOSEST * side) ** 2 + (_LOOSE * side) ** 2
        """Of the displacement ``[M, 2]`` that costs half a price, pixels^2."""
        self.price = price
        self.trust: Tensor | None = None
        """Share of the least standard deviation in that of the cells of ``seen``, ``[M, 1, h', w']``."""
        self.log_prior = self._log_prior()

    def _log_prior(self) -> Tensor:
        """What every shift of the patch costs, ``[M, *span]``, nats, and no lower than ``-_JUMP`` prices.

        log p(z_where), or half a price for the square of a deviation.
        """
        by_price = self.config.displacement == "prices"
        std = self.variance.sqrt() if by_price else self.std.clamp_min(_NEAREST)
        unit = self.price if by_price else 1.0
        offsets = [torch.arange(n, device=self.box.device) - (self.cells - 1) + self.cells / 2 for n in self.span]
        y, x = ((o + self.region.corner[:, i, None]) * self.config.retina for o, i in zip(offsets, (1, 0), strict=True))
        dy = (y - self.box[:, 1, None]) / std[:, 1, None]
        dx = (x - self.box[:, 0, None]) / std[:, 0, None]
        most = _JUMP[self.config.displacement] * self.price
        return (-0.5 * unit * (dy[:, :, None] ** 2 + dx[:, None, :] ** 2)).clamp_min(-most)

    def gains(self, row: Tensor | slice, others: Tensor) -> Tensor:
        """What the rows ``row [R]`` would gain at every shift ``[R, *span]``, nats; the paint of others is
        ``others [R, P, h', w']``."""
        config = self.config
        images = self.render.factors(self.seen[row], others)
        if self.trust is not None:
            images = images * self.trust[row] ** 2
        shift = (self.cells - 1, self.cells - 1)
        padded = F.pad(images, (shift[1], 0, shift[0], 0))
        spectrum = torch.fft.rfft2(padded, s=self.padded)
        match = torch.fft.irfft2((spectrum * self.patch_fft[row]).sum(1), s=self.padded)
        return config.retina**2 / config.likelihood_std**2 * match[:, : self.span[0], : self.span[1]]

    def fixate(self, row: Tensor | slice, gains: Tensor) -> tuple[Tensor, Tensor]:
        """Centres ``[R, 2]`` in pixels of the rows ``row [R]``, which gain ``gains [R, *span]``.

        The second result is the score there ``[R]``, nats: what the object would gain, plus the log prior.
        """
        peak, score = _peak(gains + self.log_prior[row])
        return (peak - (self.cells - 1) + self.cells / 2 + self.region.corner[row]) * self.config.retina, score

    def run(self) -> tuple[Tensor, Tensor]:
        """Fixates all objects: in each clip the one that explains most comes first and explains away what it matched.

        Only objects whose regions meet see each other's paint. So those of a round are settled together that explain
        more than all that wait where their regions meet: one after the other they would take the same places, unless
        what one explains away makes another worth more than before. An object that explains nothing anywhere is looked
        for where its prior expects it, explains nothing away, and lets nobody wait.

        Returns:
            Centres ``[M, 2]`` in pixels, and what the *other* objects cover of ``seen`` at their fixations,
            ``[M, E, h', w']``.
        """
        clips, channels, roster = len(self.retina), self.config.painted, self.roster
        explained = self.retina.new_zeros(clips, channels, *self.retina.shape[-2:])
        every = torch.arange(len(self.clip), device=self.clip.device)
        alone = self.gains(every, self.region.cut(explained))
        place, score = self.fixate(every, alone)
        score = torch.where(self.there, score, -1.0)
        centre, there = self.box[:, :2].clone(), score > 0
        waiting, (i, k) = torch.ones_like(there), self._pairs()
        for _ in roster.rounds(len(self.clip) // clips):
            if roster.none(waiting):
                break
            before = (score[k] > 0) & ((score[k] > score[i]) | ((score[k] == score[i]) & (k < i)))
            first = waiting & ~_any(i, before, waiting)
            row = roster.pick(first)
            there[row] = roster.only(first, score[row] > 0, there)
            found = there & first
            centre[row] = torch.where(found[row, None], place[row], centre[row])
            explained = explained + self.region.rows(row).add(self._draw(row, centre, found), clips)
            waiting = waiting & ~first
            box = torch.cat([centre, self.box[:, 2:]], 1)
            changed = _any(i, waiting[i] & found[k] & self._near(i, box[k]), waiting)
            if not roster.none(changed):
                row = roster.pick(changed)
                gains = self.gains(row, self.region.rows(row).cut(explained))
                again, more = self.fixate(row, gains)
                place[row], score[row] = roster.only(changed, again, place), roster.only(changed, more, score)
            i, k = self._of(waiting[i] & waiting[k], i, k)
        centre = self._trade(alone, centre, there)
        own = self._draw(every, centre, there)
        explained = self.region.add(own, clips)
        return centre, self.render.cover(self.region.cut(explained) - own)

    def _pairs(self) -> tuple[Tensor, Tensor]:
        """Two objects each of a clip whose regions meet, both ways around, ``[E]`` and ``[E]``."""
        i, k = self.roster.pairs(self.clip, len(self.retina))
        corner = self.region.corner
        meet = ((corner[i] - corner[k]).abs() < self._whole(1, corner.dtype)).all(-1)
        return self._of(meet & (i != k), i, k)

    def _of(self, mask: Tensor, i: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the pairs ``i [E]`` and ``k [E]`` that a ``mask [E]`` means; where sizes are fixed, what it does not
        mean becomes a pair of an object with itself, which asks for nothing."""
        pair = self.roster.pick(mask)
        i, k = i[pair], k[pair]
        return i, self.roster.only(mask, k, i)

    def _whole(self, stride: int, dtype: torch.dtype) -> Tensor:
        """Width and height of the regions ``[2]``, in cells or, with the ``stride`` of the retina, in pixels."""
        height, width = self.region.size
        return constant((stride * width, stride * height), dtype, self.clip.device)

    def _draw(self, row: Tensor | slice, centre: Tensor, there: Tensor) -> Tensor:
        """Paint ``[R, P, h', w']`` of the rows ``row [R]`` in their regions; ``centre [M, 2]``, ``there [M]``."""
        region = self.region.rows(row)
        box = torch.cat([centre[row], self.box[row, 2:]], -1)
        drawn = write(self.glimpse[row], region.local(box), *region.size, self.config.retina)
        return self.render.paint(drawn) * there[row, None, None, None]

    def _trade(self, alone: Tensor, centre: Tensor, there: Tensor) -> Tensor:
        """The places ``centre [M, 2]`` that were found, dealt out anew to those of a clip that are ``there [M]``.

        The first to choose may have taken the place of a neighbour that looks much the same, which then took that of
        the first: both ways they gain about as much together, ``alone [M, *span]`` being what each does by itself.
        Pixels do not err alone, so what is left of a difference is many nats and no evidence: against it stands what a
        displacement costs.
        """
        row, numbers = self.roster.pick(there), self.roster.row_numbers(there)
        i, k = (numbers[index] for index in self.roster.pairs(self.clip[row], len(self.retina)))
        offset = centre[k] / self.config.retina - self.region.corner[i] - self.cells / 2 + (self.cells - 1)
        last = constant((self.span[1] - 1, self.span[0] - 1), torch.int64, self.clip.device)
        cell = torch.minimum(offset.round().long().clamp_min(0), last)
        cost = displacement_cost(centre[k] - self.box[i, :2], self.variance[i], self.price)
        order = self.roster.deal(self.clip[row], alone[i, cell[:, 1], cell[:, 0]] - cost, there)
        return centre.index_copy(0, numbers, centre[numbers[order]])

    def _near(self, row: Tensor, box: Tensor) -> Tensor:
        """Whether something changes in the region of each of the rows ``row [E]`` when in its clip something is drawn
        in a box ``box [E, 4]``: ``[E]``."""
        size = self._whole(self.config.retina, self.region.corner.dtype)
        middle = self.region.corner[row] * self.config.retina + size / 2
        apart = (middle - box[:, :2]).abs() - box[:, 2:] / 2 - self.config.retina
        return (apart < size / 2).all(-1)


def _any(row: Tensor, mask: Tensor, like: Tensor) -> Tensor:
    """In which rows ``[M]``, as many as ``like [M]`` has, a ``mask [E]`` of the rows ``row [E]`` is true anywhere."""
    return torch.zeros_like(like, dtype=torch.int64).index_add(0, row, mask.long()) > 0


def displacement_cost(by: Tensor, variance: Tensor, price: float | Tensor) -> Tensor:
    """What it costs to take an object for one that was expected elsewhere ``[...]``, nats.

    It is half the price of an object over black for the square of the ratio of the displacement ``by [..., 2]`` to its
    deviation, of ``variance [..., 2]`` or ``[..., 1]``, both in pixels.
    """
    return 0.5 * price * (by.square() / variance).sum(-1)
