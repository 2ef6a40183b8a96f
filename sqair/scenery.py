"""Images of scenes: what stays in a clip of a camera that does not move.

What most frames show of a pixel is the scene, where things cover it for less than half of them. In a short clip they
hardly get out of the way. There, all frames agree where nothing passes, and from there inwards a pixel is what one of
the frames shows that goes on best from its neighbours; or what they are themselves, where no frame does.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sqair.config import ModelConfig

_CLEAR = 0.2
"""Share of the time for which objects that only add light leave a pixel."""
SAME = 0.04
"""Least difference in some channel for which two frames show different things in a pixel."""
_LIT = 0.1
"""Least level of a pixel that tells how light a scene is."""
_PLAIN = 0.8
"""Share of a typical frame that is of one colour, where the scene is."""
_NOISES, _NEAR = 4.0, (3.0, 32.0)
"""How far from a colour a pixel may be and have it: so many standard deviations of the noise; and grey levels that this
is at least, and at most, or else no colour can be told."""
_SAMPLES = 64
"""About so many rows and columns of pixels are asked."""
_SURE = 0.9
"""Share of the frames that agree where nothing passes."""
_LARGE = 0.1
"""Share of the picture that a part of it has to be of which all frames agree, with others around of which they do not:
smaller ones are the inside of things that turn on the spot."""
_GOES_ON = 0.2
"""How far what a frame shows may be from its neighbours and still be the scene, of 1."""
_BESIDE = 2
"""Neighbours, of eight, from which a pixel is told; fewer where none has as many."""


def still_image(frames: Tensor, config: ModelConfig) -> Tensor:
    """What stays ``[B, C, H, W]`` of clips ``[T, B, C, H, W]``.

    Where objects only add light, each pixel is darker than that in a share ``_CLEAR`` of the frames. Otherwise it is
    what most frames show: the mean of those that agree with the frame with which most agree; or, in the short clips of
    which sets with layers are, what is uncovered.
    """
    if config.objects == "layered":
        return torch.stack([uncovered(clip) for clip in frames.unbind(1)])
    if config.render.hides:
        return most_shown(frames)
    return frames.kthvalue(1 + int(_CLEAR * (len(frames) - 1)), 0).values


def exposure(frames: Tensor, scene: Tensor) -> Tensor:
    """By what factor the light of ``frames [..., C, H, W]`` differs from that of their ``scene``, ``[..., C, 1, 1]``.

    It is the median over pixels, so that objects which cover less than half of a frame do not matter.
    """
    every = tuple(max(1, side // _SAMPLES) for side in scene.shape[-2:])
    frames, scene = (v[..., :: every[0], :: every[1]].flatten(-2) for v in (frames, scene.expand_as(frames)))
    ratio = torch.where(scene > _LIT, frames / scene.clamp_min(_LIT), torch.nan)
    return ratio.nanmedian(-1).values.nan_to_num(1.0).clamp(0.5, 2.0)[..., None, None]


def most_shown(frames: Tensor) -> Tensor:
    """What most of the frames ``[T, B, C, H, W]``, in the same light, show in each pixel, ``[B, C, H, W]``; one colour
    where the scene is plain (``plain_colour``)."""
    lit, image, _ = agreement(frames)
    for b, clip in enumerate(lit.unbind(1)):
        clip = 255 * clip.movedim(1, -1).numpy(force=True)
        colour = plain_colour(clip, np.median(clip, axis=0))
        if colour is not None:
            image[b] = torch.from_numpy(colour / 255).to(image)[:, None, None]
    return image


def plain_colour(frames: np.ndarray, typical: np.ndarray) -> np.ndarray | None:
    """The colour ``[C]`` of a plain scene in ``frames [T, H, W, C]`` of 255, whose medians are ``typical [H, W, C]``.

    Things that hardly move are in the median frame. Where it is plain but for a few things, and most of those are
    elsewhere at some time, the scene is the plain colour; None where it is not.
    """
    colour = np.median(typical, axis=(0, 1))
    noise = 1.4826 * float(np.median(np.abs(frames[:, ::4, ::4] - typical[::4, ::4])))
    within = max(_NEAR[0], _NOISES * noise)
    other = np.abs(typical - colour).max(-1)
    if within > _NEAR[1] or (other <= within).mean() < _PLAIN:
        return None
    things = other > 2 * within
    absent = np.any([np.abs(frame - colour).max(-1) <= within for frame in frames], axis=0)
    return colour if not things.any() or absent[things].mean() > 0.5 else None


def agreement(frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The frames ``[T, B, C, H, W]`` in the same light, what most of them show, ``[B, C, H, W]``, and the share of them
    that do, ``[B, 1, H, W]``."""
    frames = frames / exposure(frames, frames.median(0).values)

    def agree(image: Tensor) -> Tensor:
        return (frames - image).abs().amax(2, keepdim=True) < SAME

    number, typical = torch.stack([agree(frame).sum(0) for frame in frames]).max(0, keepdim=True)
    same = agree(frames.gather(0, typical.expand(-1, -1, *frames.shape[2:]))[0])
    image = ((frames * same).sum(0) / same.sum(0)).clamp(0, 1)
    return frames, image, number[0] / len(frames)


def uncovered(frames: Tensor) -> Tensor:
    """The scene ``[C, H, W]`` of a clip ``[T, C, H, W]`` in [0, 1]."""
    lit, image, share = agreement(frames[:, None])
    lit, image = lit[:, 0], image[0]
    known = torch.from_numpy(_large(share[0, 0].numpy(force=True) >= _SURE)).to(frames.device)
    if not known.any() or known.all():
        return image
    y, x = (_reach(~known.all(axis)) for axis in (1, 0))
    image[:, y, x] = _filled(lit[..., y, x], image[:, y, x], known[y, x])
    return image


def _filled(lit: Tensor, image: Tensor, known: Tensor) -> Tensor:
    """The ``image [C, h, w]`` with what is not ``known [h, w]`` of it told from the frames ``lit [T, C, h, w]``."""
    known = known.to(image)
    image, least = image * known, _BESIDE
    while not known.all():
        beside = _around(known[None])[0]
        front = (known == 0) & (beside >= least)
        y, x = front.nonzero(as_tuple=True)
        if not len(y):
            least -= 1
            continue
        expected = (_around(image) / beside.clamp_min(1))[:, y, x]  # [C, M]
        shown = lit[..., y, x]  # [T, C, M]
        nearest = (shown - expected).abs().amax(1).min(0)
        best = shown.gather(0, nearest.indices.expand(1, shown.shape[1], -1))
        same = (shown - best).abs().amax(1, keepdim=True) < SAME
        mean = (shown * same).sum(0) / same.sum(0)
        image[:, y, x] = torch.where(nearest.values < _GOES_ON, mean, expected).clamp(0, 1)
        known[y, x], least = 1, _BESIDE
    return image


def _around(image: Tensor) -> Tensor:
    """Sums ``[C, h, w]`` of each pixel and its eight neighbours."""
    return 9 * F.avg_pool2d(image[None], 3, 1, 1)[0]


def _large(mask: np.ndarray) -> np.ndarray:
    """A mask without its parts that are smaller than ``_LARGE``."""
    _, label, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= _LARGE * mask.size
    large[0] = False
    return large[label.astype(np.int64)]


def _reach(there: Tensor) -> slice:
    """From the first to the last place of which it is true, and one more on both sides."""
    places = there.nonzero()
    return slice(max(0, int(places[0]) - 1), int(places[-1]) + 2)
