"""Image files of every kind: all that is in them comes out, or they are refused by what they are."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from sqair.datasets.clip import TruncatedClip
from sqair.datasets.images import opencv
from sqair.datasets.stills import open_still, read_still
from sqair.errors import UserError

random = np.random.default_rng(0)
GREY = random.integers(0, 256, (40, 48), dtype=np.uint8)
COLOUR = random.integers(0, 256, (40, 48, 3), dtype=np.uint8)
ALPHA = random.integers(0, 256, (40, 48), dtype=np.uint8)
PAGES = random.integers(0, 4096, (6, 40, 48), dtype=np.uint16)


def over_black(colour: np.ndarray, alpha: np.ndarray, full: int = 255) -> np.ndarray:
    alpha = alpha if colour.ndim == 2 else alpha[..., None]
    return np.rint(colour.astype(float) * alpha / full)


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        for _ in open_still(path).images(None):
            pass
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


# alpha


@pytest.mark.parametrize("kind", ["png", "webp", "tif"])
@pytest.mark.parametrize("colour", [GREY, COLOUR], ids=["grey", "colour"])
def test_alpha_is_composed_over_black(tmp_path, kind, colour):
    if kind == "webp" and colour.ndim == 2:
        pytest.skip("WebP has no grey images")
    image = Image.fromarray(colour)
    image.putalpha(Image.fromarray(ALPHA))
    more: dict[str, Any] = {"lossless": True, "exact": True} if kind == "webp" else {}
    image.save(tmp_path / f"a.{kind}", **more)
    np.testing.assert_array_equal(read_still(tmp_path / f"a.{kind}"), over_black(colour, ALPHA))


def test_alpha_of_sixteen_bits(tmp_path):
    cv2 = opencv()
    deep = np.dstack([COLOUR, ALPHA]).astype(np.uint16) * 257
    for kind in ("png", "tif"):
        cv2.imwrite(str(tmp_path / f"a.{kind}"), deep[..., [2, 1, 0, 3]])
        image = read_still(tmp_path / f"a.{kind}")
        assert image.dtype == np.uint16
        np.testing.assert_array_equal(image, over_black(deep[..., :3], deep[..., 3], 65535))


def test_colours_and_palette_entries_that_are_transparent(tmp_path):
    few = COLOUR // 64
    few[:4] = (1, 2, 3)
    Image.fromarray(few).save(tmp_path / "key.png", transparency=(1, 2, 3))
    np.testing.assert_array_equal(read_still(tmp_path / "key.png"), few * (few != (1, 2, 3)).any(-1, keepdims=True))
    Image.fromarray(GREY // 16).save(tmp_path / "grey.png", transparency=7)
    np.testing.assert_array_equal(read_still(tmp_path / "grey.png"), GREY // 16 * (GREY // 16 != 7))
    shades = bytes([0, 128, *[255] * 6])
    Image.fromarray(COLOUR).quantize(8).save(tmp_path / "palette.png", transparency=shades)
    rgba = np.array(Image.open(tmp_path / "palette.png").convert("RGBA"))
    assert len(np.unique(rgba[..., 3])) == 3
    np.testing.assert_array_equal(read_still(tmp_path / "palette.png"), over_black(rgba[..., :3], rgba[..., 3]))


@pytest.mark.parametrize(("extra", "multiplied"), [("unassalpha", False), ("assocalpha", True)])
def test_alpha_of_tiff_may_be_in_the_colours_already(tmp_path, extra, multiplied):
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([COLOUR, ALPHA]), photometric="rgb", extrasamples=[extra])
    expected = COLOUR if multiplied else over_black(COLOUR, ALPHA)
    np.testing.assert_array_equal(read_still(tmp_path / "a.tif"), expected)


def test_a_channel_that_is_not_said_to_be_alpha_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([COLOUR, ALPHA]), photometric="rgb", extrasamples=["unspecified"])
    assert "does not say what its last channel is" in refused(tmp_path / "a.tif")


def test_the_fourth_byte_of_a_plain_bmp_is_nothing(tmp_path):
    image = Image.fromarray(COLOUR)
    image.putalpha(0)
    image.save(tmp_path / "a.bmp")
    np.testing.assert_array_equal(read_still(tmp_path / "a.bmp"), COLOUR)


# palettes, bits, colour spaces


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate", "group4", "jpeg"])
@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "CMYK", "YCbCr", "I;16", "F"])
def test_tiff_as_another_reader_reads_it(tmp_path, mode, compression):
    path = tmp_path / "a.tif"
    smooth = Image.fromarray(COLOUR[:5, :6]).resize((48, 40))
    image = {
        "P": lambda: smooth.quantize(8),
        "I;16": lambda: Image.fromarray(PAGES[0]),
        "F": lambda: Image.fromarray((PAGES[0] / 4096).astype(np.float32)),
    }.get(mode, lambda: smooth.convert(mode))()
    if (compression == "group4") != (mode == "1") and compression in ("group4", "jpeg"):
        pytest.skip("no such files")
    if compression == "jpeg" and mode in ("1", "P", "I;16", "F"):
        pytest.skip("no such files")
    image.save(path, compression=compression)
    with Image.open(path) as again:
        same = again if mode in ("L", "I;16", "F") else again.convert("L" if mode == "1" else "RGB")
        expected = np.array(same)
    read = read_still(path)
    assert read.shape == expected.shape
    assert np.abs(read.astype(float) - expected).max() <= (1 if mode == "YCbCr" else 0)


@pytest.mark.parametrize("kind", ["int16", "uint16", "int32", "uint32", "float16", "float32", "float64"])
def test_types_of_tiff(tmp_path, kind):
    image = (PAGES[0].astype(float) - (400 if kind[0] != "u" else 0)).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", image)
    read = read_still(tmp_path / "a.tif")
    assert read.dtype == kind
    np.testing.assert_array_equal(read, image)


def test_twelve_bits_packed(tmp_path):
    bits = "".join(f"{value:012b}" for value in PAGES[0].ravel())
    raw = int(bits, 2).to_bytes(len(bits) // 8, "big")
    tags = {256: 48, 257: 40, 258: 12, 259: 1, 262: 1, 273: 8 + 2 + 9 * 12 + 4, 277: 1, 278: 40, 279: len(raw)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0)
    (tmp_path / "a.tif").write_bytes(head + raw)
    np.testing.assert_array_equal(read_still(tmp_path / "a.tif"), PAGES[0])


def test_planes_white_as_zero_and_deep_colour(tmp_path):
    tifffile.imwrite(tmp_path / "p.tif", np.moveaxis(COLOUR, -1, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_still(tmp_path / "p.tif"), COLOUR)
    tifffile.imwrite(tmp_path / "w.tif", GREY, photometric="miniswhite")
    np.testing.assert_array_equal(read_still(tmp_path / "w.tif"), 255 - GREY)
    deep = COLOUR.astype(np.uint16) * 16
    tifffile.imwrite(tmp_path / "d.tif", deep, photometric="rgb")
    np.testing.assert_array_equal(read_still(tmp_path / "d.tif"), deep)


def test_cmyk_jpeg(tmp_path):
    smooth = Image.fromarray(COLOUR[:5, :6]).resize((48, 40)).convert("CMYK")
    smooth.save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        expected = np.array(image.convert("RGB")).astype(int)
    assert np.abs(read_still(tmp_path / "a.jpg") - expected).max() <= 2


def test_an_orientation_is_followed(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6  # to be shown turned by 90 degrees
    Image.fromarray(GREY).save(tmp_path / "a.jpg", quality=100, exif=exif)
    assert read_still(tmp_path / "a.jpg").shape == (48, 40)


def test_unsupported_is_called_unsupported(tmp_path):
    Image.fromarray(COLOUR).convert("LAB").save(tmp_path / "lab.tif")
    assert "CIELAB, 3 x 8 bits is not supported" in refused(tmp_path / "lab.tif")
    two = Image.fromarray(GREY)
    two.putalpha(Image.fromarray(ALPHA))
    two.save(tmp_path / "lzw.tif", compression="tiff_lzw")
    assert "LZW compression, MINISBLACK, 2 x 8 bits is not supported" in refused(tmp_path / "lzw.tif")


# many images in a file


@pytest.mark.parametrize("kind", ["png", "webp", "gif"])
def test_animations_are_whole_with_their_times(tmp_path, kind):
    frames = [Image.fromarray(np.roll(GREY[:5, :6], t, 1)).resize((48, 40), 0) for t in range(6)]
    times = [100, 200, 100, 100, 50, 300]
    more: dict[str, Any] = {"lossless": True} if kind == "webp" else {}
    frames[0].save(tmp_path / f"a.{kind}", save_all=True, append_images=frames[1:], duration=times, **more)
    still = open_still(tmp_path / f"a.{kind}")
    assert (still.count, still.fps) == (6, 10)
    images = list(still.images(None))
    assert [round(1000 * (seconds or 0)) for _, seconds in images] == times
    for (image, _), frame in zip(images, frames, strict=True):
        np.testing.assert_array_equal(image if image.ndim == 2 else image[..., 0], np.array(frame))
    some = [image for image, _ in still.images([1, 4])]
    np.testing.assert_array_equal(some, [images[1][0], images[4][0]])


def test_the_picture_that_stands_in_for_an_animated_png_is_no_frame(tmp_path):
    frames = [Image.fromarray(np.full((4, 5), 40 * t, np.uint8)) for t in range(4)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=100, default_image=True)
    assert [image[0, 0] for image, _ in open_still(tmp_path / "a.png").images(None)] == [40, 80, 120]


def write_pages(path: Path, how: str) -> None:
    cv2 = opencv()
    if how == "opencv":
        cv2.imwritemulti(str(path), list(PAGES))
    elif how == "pillow":
        first, *others = [Image.fromarray(page) for page in PAGES]
        first.save(path, save_all=True, append_images=others, compression="tiff_lzw")
    elif how == "imagej":
        tifffile.imwrite(path, PAGES, imagej=True, metadata={"axes": "TYX", "finterval": 0.05})
    elif how == "ome":
        tifffile.imwrite(path, PAGES, ome=True, metadata={"axes": "TYX"})
    elif how == "one by one":
        with tifffile.TiffWriter(path) as file:
            for page in PAGES:
                file.write(page, contiguous=False, metadata=None, compression="zlib")
    else:
        tifffile.imwrite(path, PAGES, bigtiff=how == "bigtiff", byteorder=">" if how == "big-endian" else None)


WRITERS = ["opencv", "pillow", "imagej", "ome", "one by one", "tifffile", "bigtiff", "big-endian"]


@pytest.mark.parametrize("how", WRITERS)
def test_every_page_of_a_stack(tmp_path, how):
    write_pages(tmp_path / "a.tif", how)
    still = open_still(tmp_path / "a.tif")
    assert (still.count, still.fps) == (6, 20 if how == "imagej" else None)
    np.testing.assert_array_equal([image for image, _ in still.images(None)], PAGES)
    np.testing.assert_array_equal([image for image, _ in still.images([2, 5])], PAGES[[2, 5]])


@pytest.mark.parametrize("how", WRITERS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.8])
def test_a_stack_cut_short_is_noticed(tmp_path, how, share):
    write_pages(tmp_path / "a.tif", how)
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data[: int(share * len(data))])
    read = []
    with pytest.raises(UserError, match=r"a\.tif: .*(cut short|not an image)") as caught:
        for image, _ in open_still(tmp_path / "a.tif").images(None):
            read.append(image)
    np.testing.assert_array_equal(np.array(read, np.uint16).reshape(-1, 40, 48), PAGES[: len(read)])
    assert not isinstance(caught.value, TruncatedClip) or caught.value.frames == len(read)


def test_imagej_writes_large_stacks_behind_one_page(tmp_path):
    write_pages(tmp_path / "a.tif", "imagej")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        start, order = tif.pages.first.offset, tif.byteorder
    (tags,) = struct.unpack_from(f"{order}H", data, start)
    struct.pack_into(f"{order}I", data, start + 2 + 12 * tags, 0)  # there is no second page
    (tmp_path / "a.tif").write_bytes(data)
    assert open_still(tmp_path / "a.tif").count == 6
    np.testing.assert_array_equal([image for image, _ in open_still(tmp_path / "a.tif").images(None)], PAGES)
    (tmp_path / "a.tif").write_bytes(data[: len(data) // 2])
    assert "cut short" in refused(tmp_path / "a.tif")


def test_stacks_that_are_no_clip(tmp_path):
    tifffile.imwrite(tmp_path / "c.tif", PAGES.reshape(3, 2, 40, 48), imagej=True, metadata={"axes": "TCYX"})
    assert "holds 3 along T, 2 along C" in refused(tmp_path / "c.tif")
    with tifffile.TiffWriter(tmp_path / "sizes.tif") as file:
        file.write(PAGES[0])
        file.write(PAGES[0, :20])
    assert "images of several kinds ([40, 48], [20, 48])" in refused(tmp_path / "sizes.tif")


def test_where_one_image_is_expected_a_stack_is_refused(tmp_path):
    write_pages(tmp_path / "a.tif", "tifffile")
    with pytest.raises(UserError, match="holds 6 images where one is expected"):
        read_still(tmp_path / "a.tif")


def test_a_pgm_with_a_second_image_is_refused(tmp_path):
    image = b"P5 3 2 255\n" + bytes(6)
    (tmp_path / "a.pgm").write_bytes(image)
    assert read_still(tmp_path / "a.pgm").shape == (2, 3)
    (tmp_path / "a.pgm").write_bytes(image + image)
    assert "holds several images" in refused(tmp_path / "a.pgm")


def test_flipped_bits_are_an_error_or_garbage_never_a_crash(tmp_path):
    write_pages(tmp_path / "a.tif", "pillow")
    frames = [Image.fromarray(np.full((9, 8), 40 * t, np.uint8)) for t in range(4)]
    for kind in ("png", "webp"):
        frames[0].save(tmp_path / f"a.{kind}", save_all=True, append_images=frames[1:], duration=100)
    for kind in ("tif", "png", "webp"):
        data = np.frombuffer((tmp_path / f"a.{kind}").read_bytes(), np.uint8)
        for seed in range(60):
            damaged, chance = data.copy(), np.random.default_rng(seed)
            start = 32 if kind == "webp" else 0  # where WebP says how large it is: any size is allowed
            places = chance.integers(start, len(data) if seed % 2 else min(len(data), 200), 4)
            damaged[places] ^= np.uint8(1) << chance.integers(0, 8, 4, dtype=np.uint8)
            (tmp_path / f"b.{kind}").write_bytes(damaged.tobytes())
            try:
                for image, _ in open_still(tmp_path / f"b.{kind}").images(None):
                    assert image.ndim in (2, 3)
            except UserError as error:
                assert f"b.{kind}" in str(error)
                assert "\n" not in str(error)


def test_content_counts_and_not_the_name(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, "PNG")
    (tmp_path / "a.tif").write_bytes(buffer.getvalue())
    np.testing.assert_array_equal(read_still(tmp_path / "a.tif"), GREY)
