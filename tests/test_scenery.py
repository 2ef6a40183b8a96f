"""Scenes of short clips, in which things hardly get out of the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from conftest import TINY
from sqair.datasets.footage import scene_image
from sqair.datasets.generate import make_clips, make_segments
from sqair.datasets.recipes import get_recipe
from sqair.scenery import most_shown, still_image, uncovered

SIDE, LENGTH = 40, 10


def scene() -> Tensor:
    """Colours ``[3, H, W]`` that change slowly."""
    y, x = torch.meshgrid(*2 * [torch.linspace(0, 3, SIDE)], indexing="ij")
    return torch.stack([0.5 + 0.3 * torch.sin(x + y), 0.5 + 0.3 * torch.cos(x - y), 0.4 + 0.1 * x])


def clip(path: list[tuple[float, float]], radius: float, *, textured: bool = True) -> tuple[Tensor, Tensor]:
    """Frames ``[T, 3, H, W]`` of a disc on a path of centres (x, y), and the pixels that it covers ``[T, H, W]``."""
    y, x = torch.meshgrid(*2 * [torch.arange(SIDE) + 0.5], indexing="ij")
    frames, masks = [], []
    for cx, cy in path:
        mask = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
        colour = torch.tensor([0.9, 0.1, 0.1])[:, None, None]
        if textured:
            colour = colour + 0.08 * torch.sin(2 * (x - cx) + (y - cy))
        frames.append(torch.where(mask, colour, scene()))
        masks.append(mask)
    return torch.stack(frames), torch.stack(masks)


def worst(image: Tensor) -> float:
    return float((image - scene()).abs().max())


def test_what_most_frames_show_is_a_ghost_where_the_scene_is_told_from_its_surroundings() -> None:
    """A disc that moves by its own size in all: its middle is covered in most frames, or in all of them."""
    frames, masks = clip([(14 + t, 20) for t in range(LENGTH)], 6)
    assert masks.all(0).any() and worst(most_shown(frames[:, None])[0]) > 0.4
    assert worst(uncovered(frames)) < 0.1
    seen = ~masks.all(0)
    assert float((uncovered(frames) - scene()).abs()[:, seen].max()) < 0.03, "what some frame shows is that"


def test_the_inside_of_what_turns_on_the_spot_is_no_scene() -> None:
    """It looks the same in all frames, but is surrounded by what does not."""
    frames, masks = clip([(20 + 1.5 * np.sin(t), 20 + 1.5 * np.cos(t)) for t in range(LENGTH)], 5, textured=False)
    inside = masks.all(0)
    assert (frames[:, :, inside] == frames[0, :, inside]).all()
    assert worst(uncovered(frames)) < 0.15


def test_where_nothing_moves_everything_is_scene() -> None:
    frames = scene().expand(LENGTH, -1, -1, -1)
    assert torch.equal(uncovered(frames), most_shown(frames[:, None])[0])
    noise = torch.rand(LENGTH, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(uncovered(noise), most_shown(noise[:, None])[0]), "nor is there any where all does"


def test_it_is_the_scene_of_sets_in_layers_and_of_no_others() -> None:
    frames = (255 * clip([(14 + t, 20) for t in range(LENGTH)], 6)[0]).round() / 255
    layered = replace(TINY, channels=3, objects="layered", background="still")
    assert torch.equal(still_image(frames[:, None], layered)[0], uncovered(frames))
    opaque = replace(layered, objects="opaque")
    assert torch.equal(still_image(frames[:, None], opaque), most_shown(frames[:, None]))
    bytes_ = (255 * frames).round().byte().permute(0, 2, 3, 1).numpy()
    for short, image in ((True, uncovered(frames)), (False, most_shown(frames[:, None])[0])):
        np.testing.assert_allclose(scene_image(bytes_, short=short), 255 * image.permute(1, 2, 0), atol=2)


def test_fewer_pixels_are_wrong_in_clips_of_the_benchmark_than_by_what_most_frames_show() -> None:
    """Of those that things pass and that some frame shows bare, a third at most."""
    recipe = get_recipe("texvmds-style")
    frames = make_clips(recipe, "train", 0, 0, 20, truth=False).frames
    bare = np.stack(list(make_segments(recipe, "train", 0, 0, 20))) == 0  # [N, T, H, W]
    passed = ~bare.all(1) & bare.any(1)
    images = torch.from_numpy(frames).permute(1, 0, 4, 2, 3).float() / 255  # [T, N, C, H, W]
    weight = torch.from_numpy(bare).transpose(0, 1)[:, :, None].float()
    true = (images * weight).sum(0) / weight.sum(0).clamp_min(1)

    def wrong(scenes: Tensor) -> float:
        away = (scenes - true).abs().amax(1)
        return float((away >= 0.15)[torch.from_numpy(passed)].float().mean())

    ghosts = wrong(most_shown(images))
    assert ghosts > 0.05 and wrong(torch.stack([uncovered(clip) for clip in images.unbind(1)])) < ghosts / 3
