"""Boxes and the spatial transformer, against torch's own sampling grid, finite differences and pixel counts."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from conftest import TINY
from sqair.config import ModelConfig
from sqair.geometry import centre_to_where, read, read_weights, top_left_box, where_to_box, write, write_weights

pytestmark = pytest.mark.usefixtures("float64")

H, W = 20, 27


def image(m: int = 1, channels: int = 2) -> Tensor:
    return torch.rand(m, channels, H, W)


def boxes(m: int, low: float, high: float, margin: float = 0.0) -> Tensor:
    """Boxes (centre, size) with sides between ``low`` and ``high`` and centres up to ``margin`` off the canvas."""
    size = low + (high - low) * torch.rand(m, 2)
    centre = torch.rand(m, 2) * (torch.tensor([W, H]) + 2 * margin) - margin
    return torch.cat([centre, size], -1)


def affine_read(picture: Tensor, box: Tensor, cells: int) -> Tensor:
    """The glimpse by torch's sampling grid: zeros outside, corners not aligned."""
    canvas = torch.tensor([picture.shape[-1], picture.shape[-2]])
    scale, shift = box[:, 2:] / canvas, 2 * box[:, :2] / canvas - 1
    theta = torch.zeros(len(box), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale[:, 0], scale[:, 1], shift
    grid = F.affine_grid(theta, [len(box), picture.shape[1], cells, cells], align_corners=False)
    return F.grid_sample(picture, grid, padding_mode="zeros", align_corners=False)


def affine_write(glimpse: Tensor, box: Tensor, height: int, width: int) -> Tensor:
    """The canvas by torch's sampling grid, of the inverse transform."""
    canvas = torch.tensor([width, height])
    scale, shift = canvas / box[:, 2:], (canvas - 2 * box[:, :2]) / box[:, 2:]
    theta = torch.zeros(len(box), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale[:, 0], scale[:, 1], shift
    grid = F.affine_grid(theta, [len(box), glimpse.shape[1], height, width], align_corners=False)
    return F.grid_sample(glimpse, grid, padding_mode="zeros", align_corners=False)


# z_where and boxes


@pytest.mark.parametrize("config", [ModelConfig(), TINY, replace(TINY, height=64, width=40, aspect=2.5)])
def test_where_to_box_says_what_the_docstring_says(config: ModelConfig) -> None:
    where = torch.randn(9, 4)
    box = where_to_box(where, config)
    for z, b in zip(where.tolist(), box.tolist(), strict=True):
        assert b[0] == pytest.approx(config.width / 2 * (1 + config.position_std * z[0]), abs=1e-12)
        assert b[1] == pytest.approx(config.height / 2 * (1 + config.position_std * z[1]), abs=1e-12)
        wide, high = config.size_mean / math.sqrt(config.aspect), config.size_mean * math.sqrt(config.aspect)
        assert b[2] == pytest.approx(wide * math.exp(config.size_std * z[2]), abs=1e-12)
        assert b[3] == pytest.approx(high * math.exp(config.size_std * z[3]), abs=1e-12)


def test_boxes_and_where_round_trip() -> None:
    where = torch.randn(30, 4)
    box = where_to_box(where, TINY)
    torch.testing.assert_close(centre_to_where(box[:, :2], TINY), where[:, :2], rtol=0, atol=1e-12)
    sizes = (box[:, 2:] / TINY.size_mean).log() / TINY.size_std
    torch.testing.assert_close(sizes, where[:, 2:], rtol=0, atol=1e-12)
    corner = top_left_box(box)
    torch.testing.assert_close(corner[:, :2] + corner[:, 2:] / 2, box[:, :2], rtol=0, atol=1e-12)
    assert torch.equal(corner[:, 2:], box[:, 2:])


def test_no_where_gives_a_degenerate_box() -> None:
    where = torch.tensor([[0.0, 0.0, -1e6, 1e6]], requires_grad=True)
    box = where_to_box(where, TINY)
    assert box.isfinite().all() and (box[:, 2:] > 0).all()
    assert torch.autograd.grad(box.sum(), where)[0].isfinite().all()


# reading and writing


@pytest.mark.parametrize("margin", [0.0, 6.0])
def test_magnifying_reads_equal_grid_sample(margin: float) -> None:
    box = boxes(40, 2.0, 8.0, margin)
    picture = image(40)
    torch.testing.assert_close(read(picture, box, 8), affine_read(picture, box, 8), rtol=0, atol=1e-10)


@pytest.mark.parametrize("margin", [0.0, 6.0])
def test_magnifying_writes_equal_grid_sample(margin: float) -> None:
    box = boxes(40, 8.0, 16.0, margin)
    glimpse = torch.rand(40, 2, 8, 8)
    torch.testing.assert_close(write(glimpse, box, H, W), affine_write(glimpse, box, H, W), rtol=0, atol=1e-10)


def test_a_minifying_read_averages_where_grid_sample_skips() -> None:
    """One bright pixel between the sampling points of a coarse window must not vanish."""
    picture = torch.zeros(1, 1, 24, 24)
    picture[0, 0, 10, 13] = 1
    box = torch.tensor([[12.0, 12.0, 24.0, 24.0]])
    assert float(affine_read(picture, box, 4).sum()) == 0
    assert float(read(picture, box, 4).sum()) == pytest.approx(1 / 36, rel=0.01)  # a cell is 6 x 6 pixels


@pytest.mark.parametrize("cells", [4, 7])
def test_reading_what_was_written_on_the_pixel_grid_is_the_identity(cells: int) -> None:
    glimpse = torch.rand(3, 2, cells, cells)
    corner = torch.tensor([[0.0, 0.0], [5.0, 9.0], [W - cells, H - cells]])
    box = torch.cat([corner + cells / 2, torch.full((3, 2), float(cells))], -1)
    canvas = write(glimpse, box, H, W)
    torch.testing.assert_close(read(canvas, box, cells), glimpse, rtol=0, atol=1e-12)
    for i, (x, y) in enumerate(corner.long().tolist()):
        expected = torch.zeros(2, H, W)
        expected[:, y : y + cells, x : x + cells] = glimpse[i]
        torch.testing.assert_close(canvas[i], expected, rtol=0, atol=1e-12)


def test_reading_what_was_written_anywhere_is_close_for_smooth_glimpses() -> None:
    ramp = torch.linspace(-1.2, 1.2, 8)
    glimpse = torch.exp(-(ramp[:, None] ** 2 + ramp**2)).expand(20, 1, 8, 8)
    box = boxes(20, 8.0, 8.0, margin=-7.0)
    back = read(write(glimpse, box, H, W), box, 8)
    assert (back - glimpse)[..., 1:-1, 1:-1].abs().max() < 0.1


@pytest.mark.parametrize(("low", "high"), [(2.0, 8.0), (16.0, 16.0)])
def test_reads_preserve_constants(low: float, high: float) -> None:
    """A grey canvas reads as the same grey: magnified, and averaged over whole numbers of pixels."""
    box = boxes(40, low, high, margin=-9.5)
    glimpse = read(torch.full((40, 1, 3 * H, 3 * W), 0.7), box + torch.tensor([W, H, 0, 0]), 8)
    torch.testing.assert_close(glimpse, torch.full_like(glimpse, 0.7), rtol=0, atol=1e-12)


def test_reads_preserve_constants_at_any_scale() -> None:
    box = boxes(60, 8.0, 24.0)
    glimpse = read(torch.ones(60, 1, 3 * H, 3 * W), box + torch.tensor([W, H, 0, 0]), 8)
    torch.testing.assert_close(glimpse, torch.ones_like(glimpse), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("low", "high"), [(8.0, 16.0), (4.0, 4.0)])
def test_writes_preserve_constants_inside_the_box(low: float, high: float) -> None:
    assert inside(write_ones(boxes(60, low, high), 8), 8).sub(1).abs().max() < 1e-12


def test_writes_preserve_constants_inside_the_box_at_any_scale() -> None:
    """A bright object that is smaller than its glimpse is as bright, wherever it lies between pixels."""
    assert inside(write_ones(boxes(200, 3.0, 8.0), 8), 8).sub(1).abs().max() < 1e-9


def write_ones(box: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    return write(torch.ones(len(box), 1, cells, cells), box, H, W), box


def inside(drawn: tuple[Tensor, Tensor], cells: int) -> Tensor:
    """The values of those pixels that are a pixel and a cell away from the edges of their boxes."""
    canvas, box = drawn
    x, y = torch.arange(W) + 0.5, torch.arange(H) + 0.5
    room = box[:, 2:] / 2 - torch.maximum(box[:, 2:] / cells, torch.ones(())) - 0.01
    mask = ((y - box[:, 1, None]).abs() < room[:, 1, None])[:, :, None]
    mask = mask & ((x - box[:, 0, None]).abs() < room[:, 0, None])[:, None, :]
    assert mask.any()
    return canvas[:, 0][mask]


def test_a_written_canvas_never_exceeds_its_glimpse() -> None:
    """The canvas is a probability of ink per pixel: log(1 - g) needs values in [0, 1]."""
    canvas, _ = write_ones(boxes(200, 0.5, 40.0, margin=5.0), 8)
    assert canvas.min() >= 0 and canvas.max() <= 1 + 1e-12


@pytest.mark.parametrize("cells", [4, 8])
def test_an_object_written_in_a_box_has_its_ink_there(cells: int) -> None:
    """Box x, y, w, h: the ink covers pixels x to x + w and y to y + h, pixel i being [i, i + 1)."""
    x, y, w, h = 5, 3, 12, 9
    box = torch.tensor([[x + w / 2, y + h / 2, float(w), float(h)]])
    assert top_left_box(box).tolist() == [[x, y, w, h]]
    canvas = write_ones(box, cells)[0][0, 0]
    assert (canvas.amax(0) > 0.5).nonzero()[:, 0].tolist() == list(range(x, x + w))
    assert (canvas.amax(1) > 0.5).nonzero()[:, 0].tolist() == list(range(y, y + h))


def test_centroids_of_written_objects_follow_the_box_between_pixels() -> None:
    centre = torch.tensor([[9.3, 8.6], [12.75, 10.1], [14.5, 9.9]])
    box = torch.cat([centre, torch.full((3, 2), 8.0)], -1)
    ramp = torch.linspace(-3.5, 3.5, 8)
    spot = torch.exp(-(ramp[:, None] ** 2 + ramp**2) / 2)
    canvas = write(spot.expand(3, 1, 8, 8), box, H, W)[:, 0]
    mass = canvas.sum((1, 2))
    x = (canvas.sum(1) * (torch.arange(W) + 0.5)).sum(1) / mass
    y = (canvas.sum(2) * (torch.arange(H) + 0.5)).sum(1) / mass
    torch.testing.assert_close(torch.stack([x, y], -1), centre, rtol=0, atol=2e-3)


def test_a_retina_is_read_in_pixels_of_the_canvas() -> None:
    """Reading the half-resolution image with stride 2 sees what reading the canvas sees."""
    x, y = torch.arange(48) + 0.5, torch.arange(40) + 0.5
    smooth = torch.sin(x / 9) + torch.cos(y / 7)[:, None]
    canvas = smooth.expand(10, 1, 40, 48)
    box = torch.cat([14 + 12 * torch.rand(10, 2), torch.full((10, 2), 12.0)], -1)
    coarse = read(F.avg_pool2d(canvas, 2), box, 6, stride=2)
    torch.testing.assert_close(coarse, read(canvas, box, 6), rtol=0, atol=0.03)
    glimpse = torch.rand(10, 1, 6, 6)
    drawn = F.avg_pool2d(write(glimpse, box, 40, 48), 2)
    assert (write(glimpse, box, 20, 24, 2) - drawn).abs().mean() < 0.2 * drawn.mean()


def test_what_lies_off_the_canvas_is_black_and_draws_nothing() -> None:
    away = torch.tensor([[-30.0, 5.0, 8.0, 8.0], [5.0, H + 30.0, 8.0, 8.0]])
    assert read(torch.ones(2, 1, H, W), away, 6).abs().max() == 0
    assert write(torch.ones(2, 1, 6, 6), away, H, W).abs().max() == 0


@pytest.mark.parametrize("size", [3.3, 9.7])
def test_gradients_of_write_and_read_equal_finite_differences(size: float) -> None:
    glimpse = torch.rand(2, 1, 4, 4, requires_grad=True)
    picture = torch.rand(2, 1, 6, 7, requires_grad=True)
    box = torch.tensor([[3.13, 2.31, size, 0.9 * size], [3.77, 3.19, 0.8 * size, size]], requires_grad=True)
    assert torch.autograd.gradcheck(lambda g, b: write(g, b, 6, 7), (glimpse, box))
    assert torch.autograd.gradcheck(lambda p, b: read(p, b, 4), (picture, box))


def test_weights_have_their_shapes_on_canvases_that_are_not_square() -> None:
    box = torch.tensor([[3.0, 2.0, 4.0, 5.0]])
    assert read_weights(box, 5, 9).shape == (1, 2, 5, 9)
    assert write_weights(box, 5, 9).shape == (1, 2, 9, 5)
    assert read(torch.rand(1, 3, 7, 9), torch.tensor([[3.0, 3.0, 4.0, 4.0]]), 5).shape == (1, 3, 5, 5)
    assert write(torch.rand(1, 3, 5, 5), torch.tensor([[3.0, 3.0, 4.0, 4.0]]), 7, 9).shape == (1, 3, 7, 9)
