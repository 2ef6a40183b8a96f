"""From objects to the canvas, its likelihood, and each object's share in it.

An object covers a share alpha of a pixel and shows its colour c there. Together objects leave e^-W of what is behind
them, W = sum_k w_k with w_k = -z_pres_k log(1 - alpha_k), and show their colours by their shares in W:

    y = e^-W b + (1 - e^-W) / W  sum_k w_k c_k

What two objects both explain is not counted twice, their order does not matter, and taking one out of the picture is a
subtraction. ``Opaque`` is this. ``Light`` is its special case c = 1, the noisy-or y = 1 - (1 - b) prod_k (1 - alpha_k),
with an alpha for each colour channel.

In ``Layered`` objects lie in layers, each of which is drawn like that before those behind it: what is in front covers
what is behind it, and it is a matter of sums all the same. A layer is no latent with a posterior: it is the one that
explains most (layers.py).

What all of them have to keep of objects is their *paint*, of which that of several is the sum: ``[M, P, H, W]`` of
objects, ``[B, P, H, W]`` of all objects of each clip (windows.Patches.total). ``behind`` is b ``[.., C, H, W]``, or
None where all is black.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sqair.deviation import Deviation

_OPAQUE = 0.99
_DIMMEST = 0.3
"""Least 1 - b over which ink is fully told from background."""
MIDDLE = 1
"""Of three layers, the one that objects are in unless they have to be in front or behind."""
_FAINTEST = 0.02
"""Ink of which half is told by its shape as if it was strong."""
_THINNEST = 1e-9
"""Least W that objects are divided by."""


class Light:
    """Objects that brighten what is behind them. Paint is -w: log(1 - alpha) for each channel."""

    layers = 1
    """In which objects can be, from back to front."""
    hides = False
    """Whether objects hide what is behind them, and have colours of their own."""
    shaded = 0.4
    """Share of the pixels of a block taken to be darker than its background: few where objects only add light."""

    def whole(self) -> Light:
        """The same, without a look at what there is to draw."""
        return self

    def channels(self, colours: int) -> tuple[int, int, int]:
        """Channels of what is drawn of an object P, seen of a frame S, and explained of it E, in so many colours."""
        return colours, colours, colours

    def painted(self, colours: int) -> int:
        """Channels of paint, in so many colours."""
        return colours

    def drawing(self, logits: Tensor, tone: Tensor | None) -> Tensor:
        """Images ``[M, P, G, G]`` in (0, 1) of the decoder's ``logits`` of that shape, and the ``tone [M, C]``."""
        return torch.sigmoid(logits)

    def see(self, frame: Tensor, behind: Tensor | None) -> Tensor:
        """Frames ``[.., C, H, W]`` as inference sees them, ``[.., S, H, W]``: their ink."""
        return frame if behind is None else self.ink(frame, behind)

    def focus(self, glimpse: Tensor) -> Tensor:
        """What encoders get of glimpses ``[M, S + E, G, G]`` of what is seen, and of what is explained there."""
        return glimpse

    def unexplained(self, retina: Tensor, explained: Tensor) -> Tensor:
        """Ink that is not explained ``[B, E, h, w]``, of ``retina [B, S, h, w]`` and ``explained [B, E, h, w]``."""
        return (retina - explained).clamp_min(0)

    def terms(self, patch: Tensor) -> Tensor:
        """What a gain is made of, of the object ``[M, J, h, w]``, drawn as ``patch [M, P, h, w]``.

        The gain at a shift is the sum of the products of these, shifted, with the ``factors`` of the frame.
        """
        return torch.cat([patch, -0.5 * patch**2], 1)

    def factors(self, retina: Tensor, others: Tensor) -> Tensor:
        """What it is made of, of the frame ``[R, J, h, w]``, before which the paint ``others [R, P, h, w]`` lies."""
        explained = self.cover(others)
        clear = 1 - explained
        return torch.cat([(retina - explained) * clear, clear**2], 1)

    def visible(self, frame: Tensor, behind: Tensor | None) -> Tensor:
        """Ink as it meets the eye ``[B, C, H, W]``, not made up for what the background outshines."""
        return frame if behind is None else frame - behind

    def paint(self, image: Tensor) -> Tensor:
        """Paint of objects drawn as ``[M, C, H, W]`` in [0, 1]."""
        return torch.log1p(-_OPAQUE * image)

    def cover(self, paint: Tensor) -> Tensor:
        """1 - e^-W: the share of what is behind that does not show through ``paint``."""
        return -torch.expm1(paint)

    def depth(self, paint: Tensor) -> Tensor | None:
        """w ``[.., layers, H, W]`` of objects that hide what is behind them; None of those that only add light."""
        return None

    def canvas(self, paint: Tensor, behind: Tensor | None) -> Tensor:
        """y ``[.., C, H, W]``."""
        return self.cover(paint) if behind is None else 1 - (1 - behind) * paint.exp()

    def alone(self, paint: Tensor, behind: Tensor | None) -> Tensor:
        """What each object does to an otherwise empty canvas, ``[M, C, H, W]`` in [0, 1]."""
        return self.cover(paint)

    def _added(self, paint: Tensor, without: Tensor, below: Tensor, behind: Tensor | None) -> Tensor:
        """What ``paint`` adds to the canvas ``below`` of the paint ``without`` it."""
        return (1 - below) * self.cover(paint)

    def gain(self, frame: Tensor, paint: Tensor, without: Tensor, behind: Tensor | None, std: Deviation) -> Tensor:
        """Log-likelihood ``[M]`` with each object minus without it, exactly.

        Args:
            frame: ``[M, C, H, W]``, of each object's clip.
            paint: ``[M, P, H, W]``, its own; without: ``[M, P, H, W]``, of all others there.
            behind: ``[M, C, H, W]``, the background of its clip.
            std: standard deviation of the likelihood, or ``[M, 1, H, W]``.
        """
        below = self.canvas(without, behind)
        added = self._added(paint, without, below, behind)
        gained = added * (2 * (frame - below) - added)
        if isinstance(std, Tensor):
            return (gained / (2 * std * std)).flatten(1).sum(1)
        return gained.flatten(1).sum(1) / (2 * std * std)

    def missing(self, frame: Tensor, canvas: Tensor) -> Tensor:
        """What further objects could explain ``[B, C, H, W]``: they only add light."""
        return (frame - canvas).clamp_min(0)

    def ink(self, frame: Tensor, behind: Tensor) -> Tensor:
        """The ink of objects ``[.., C, H, W]`` in [0, 1]: frames without their backgrounds.

        It is what makes 1 - (1 - b) (1 - ink) the frame; less than that where the background is nearly white, and what
        lies before it can hardly be seen.
        """
        return ((frame - behind) / (1 - behind).clamp_min(_DIMMEST)).clamp(0, 1)

    def contrast(self, behind: Tensor) -> Tensor:
        """Share ``[B]`` of what objects are worth on black, in nats, that is left over backgrounds ``behind``.

        Errors of a canvas shrink by 1 - b, and nats with their squares: the mean of (1 - b)^2.
        """
        return (1 - behind).square().flatten(1).mean(1)


class Opaque(Light):
    """Objects with colours of their own, lighter or darker than what is behind. Paint is -w and w c.

    Inference sees how much ink there is in any channel, the ink, and the frame itself.
    """

    hides = True
    shaded = 0.5

    def channels(self, colours: int) -> tuple[int, int, int]:
        return 1 + colours, 1 + 2 * colours, 1

    def painted(self, colours: int) -> int:
        return 1 + colours

    def drawing(self, logits: Tensor, tone: Tensor | None) -> Tensor:
        assert tone is not None
        alpha = torch.sigmoid(logits[:, :1])
        colour = torch.sigmoid(logits[:, 1:] + tone[:, :, None, None])
        return torch.cat([alpha, alpha * colour], 1)

    def see(self, frame: Tensor, behind: Tensor | None) -> Tensor:
        ink = frame if behind is None else self.ink(frame, behind)
        return torch.cat([ink.abs().amax(-3, keepdim=True), ink, frame], -3)

    def focus(self, glimpse: Tensor) -> Tensor:
        colours = (glimpse.shape[1] - 2) // 2
        amount, ink, frame, explained = glimpse.split([1, colours, colours, 1], 1)
        shape = self._shape(amount)
        return torch.cat([shape, ink, shape * frame, explained], 1)

    def _shape(self, amount: Tensor) -> Tensor:
        """What is told of an object's shape by the ``amount [M, 1, G, G]`` of its ink: that itself."""
        return amount

    def unexplained(self, retina: Tensor, explained: Tensor) -> Tensor:
        return retina[:, :1] * (1 - explained)

    def terms(self, patch: Tensor) -> Tensor:
        alpha, shown = patch[:, :1], patch[:, 1:]
        power = (shown**2).sum(1, keepdim=True)
        return torch.cat([shown, alpha, -0.5 * power, alpha * shown, -0.5 * alpha**2], 1)

    def factors(self, retina: Tensor, others: Tensor) -> Tensor:
        ink, frame = retina[:, 1:].chunk(2, 1)
        behind = frame - ink
        clear = 1 - self.cover(others)
        rest = clear * (frame - self.canvas(others, behind))
        power = (behind**2).sum(1, keepdim=True)
        against = -(behind * rest).sum(1, keepdim=True)
        return torch.cat([rest, against, clear**2, clear**2 * behind, clear**2 * power], 1)

    def visible(self, frame: Tensor, behind: Tensor | None) -> Tensor:
        return super().visible(frame, behind).abs()

    def paint(self, image: Tensor) -> Tensor:
        """Paint of objects drawn as ``[M, 1 + C, H, W]`` in [0, 1]: alpha, and alpha times c."""
        alpha, shown = image[:, :1], image[:, 1:]
        some = alpha.clamp_min(1e-6)
        return torch.cat([torch.log1p(-_OPAQUE * alpha), -torch.log1p(-_OPAQUE * some) / some * shown], 1)

    def cover(self, paint: Tensor) -> Tensor:
        return -torch.expm1(paint[:, :1])

    def depth(self, paint: Tensor) -> Tensor | None:
        return -paint[:, :1]

    def canvas(self, paint: Tensor, behind: Tensor | None) -> Tensor:
        depth = (-paint[:, :1]).clamp_min(_THINNEST)
        shown = -torch.expm1(-depth) / depth * paint[:, 1:]
        return shown if behind is None else shown + paint[:, :1].exp() * behind

    def alone(self, paint: Tensor, behind: Tensor | None) -> Tensor:
        shown = self.canvas(paint, behind)
        return shown if behind is None else (shown - behind).abs()

    def _added(self, paint: Tensor, without: Tensor, below: Tensor, behind: Tensor | None) -> Tensor:
        return self.canvas(without + paint, behind) - below

    def missing(self, frame: Tensor, canvas: Tensor) -> Tensor:
        """What further objects could explain ``[B, C, H, W]``: whatever differs."""
        return frame - canvas

    def ink(self, frame: Tensor, behind: Tensor) -> Tensor:
        """How frames differ from their backgrounds, ``[.., C, H, W]`` in [-1, 1]."""
        return frame - behind

    def contrast(self, behind: Tensor) -> Tensor:
        """All of it: objects differ from any background."""
        return behind.new_ones(len(behind))


class Layered(Opaque):
    """Opaque objects in layers, of which each covers those behind it. Paint is that of opaque ones, layer by layer."""

    layers = 3

    def painted(self, colours: int) -> int:
        return self.layers * (1 + colours)

    def _shape(self, amount: Tensor) -> Tensor:
        """The same whatever the contrast, but of what is hardly there: one network has to know all of them."""
        return amount / (amount.amax((-2, -1), keepdim=True) + _FAINTEST)

    def paint(self, image: Tensor) -> Tensor:
        """Paint of objects drawn as ``[M, 1 + C, H, W]`` in [0, 1], in the layer in the middle."""
        paint = super().paint(image)
        nothing = torch.zeros_like(paint)
        return torch.cat([nothing, paint, nothing], 1)

    def placed(self, paint: Tensor, layer: Tensor) -> Tensor:
        """The paint ``[M, P, H, W]`` of objects, each in one layer, moved to ``layer [M]``."""
        there = layer[:, None] == torch.arange(self.layers, device=layer.device)
        return (there[:, :, None, None, None] * self._by_layer(paint).sum(1, keepdim=True)).flatten(1, 2)

    def cover(self, paint: Tensor) -> Tensor:
        return -torch.expm1(self._by_layer(paint)[..., :1, :, :].sum(-4))

    def depth(self, paint: Tensor) -> Tensor | None:
        return -self._by_layer(paint)[..., 0, :, :]

    def canvas(self, paint: Tensor, behind: Tensor | None) -> Tensor:
        for i, layer in enumerate(self._by_layer(paint).unbind(-4)):
            if i == MIDDLE or self._shows(layer):
                behind = super().canvas(layer, behind)
        assert behind is not None
        return behind

    def _shows(self, layer: Tensor) -> bool:
        """Whether there may be anything in a ``layer [.., 1 + C, H, W]`` of paint."""
        return bool(layer[..., 0, :, :].any())

    def whole(self) -> Light:
        return _WHOLE

    def _by_layer(self, paint: Tensor) -> Tensor:
        """``[.., P, H, W]`` as ``[.., layers, 1 + C, H, W]``, from back to front."""
        return paint.unflatten(-3, (self.layers, -1))


class _Whole(Layered):
    def _shows(self, layer: Tensor) -> bool:
        return True


_WHOLE = _Whole()
RENDERERS: dict[str, Light] = {"light": Light(), "opaque": Opaque(), "layered": Layered()}


def background(image: Tensor) -> Tensor:
    """b as it is drawn: never so bright that no light shows before it."""
    return _OPAQUE * image


def log_likelihood(frame: Tensor, canvas: Tensor, std: Deviation) -> Tensor:
    """log Normal(frame; canvas, std), summed over pixels, ``[B]``, of ``[B, C, H, W]``, or ``[B, 1, H, W]`` of std."""
    if isinstance(std, Tensor):
        log_p = -((frame - canvas) ** 2) / (2 * std * std) - (std * math.sqrt(2 * math.pi)).log()
        return log_p.flatten(1).sum(1)
    constant = math.log(std * math.sqrt(2 * math.pi)) * frame[0].numel()
    return -((frame - canvas) ** 2).flatten(1).sum(1) / (2 * std * std) - constant
