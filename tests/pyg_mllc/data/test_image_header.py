"""What a file says beside its pixels is heeded, or the file is refused in one sentence."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from pyg_mllc.data.image_io import as_tensor, read_image
from pyg_mllc.data.mask_io import read_raw_mask
from pyg_mllc.errors import InputError

RGB = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
GRAY, NIR = RGB[..., 0], np.dstack([RGB, 255 - RGB[..., 0]])
IDS = np.random.default_rng(1).integers(0, 3, (12, 16), dtype=np.uint8)
FOUR, DEEP = r"has 4 channels, 1 of them neither color nor", r"has more than 8 bits per channel"
MANY, HIDDEN = r"holds 3 pictures, and one is expected", r"called transparency but leaves most"


def tiff(pixels, **options):
    return lambda path: tifffile.imwrite(path, pixels, **options)


def pillow(pixels, mode=None, kind=None, **options):
    picture = Image.fromarray(pixels)
    return lambda path: (picture.convert(mode) if mode else picture).save(path, kind, **options)


def frames(pixels):
    more = [Image.fromarray(pixels // n) for n in (2, 3)]
    return pillow(pixels, save_all=True, append_images=more)


def png(pixels, bits, color):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", pixels.shape[1], len(pixels), bits, color, 0, 0, 0)
    whole = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + whole)


def pnm(head, pixels):
    return lambda path: path.write_bytes(head + b"\n" + pixels.tobytes())


def sgi(path):
    head = struct.pack(">hBBHHHH", 474, 0, 2, 3, 16, 12, 3).ljust(512, b"\0")
    path.write_bytes(head + RGB.astype(">u2").transpose(2, 0, 1).tobytes())


def shape_in_alpha(path):
    Image.merge("LA", [Image.new("L", (16, 12)), Image.fromarray(120 * IDS)]).save(path)


REFUSED_IMAGES = {
    "nir.tif": (tiff(NIR, photometric="rgb", extrasamples=["unspecified"]), FOUR),
    "planes.tif": (
        tiff(NIR.transpose(2, 0, 1), photometric="rgb", planarconfig="separate",
             extrasamples=["unspecified"]), FOUR,
    ),
    "bands.tif": (tiff(NIR, photometric="minisblack", planarconfig="contig"), r"has 4 channels, 3"),
    "two.tif": (tiff(RGB[..., :2], photometric="minisblack", planarconfig="contig"), r"2 channels"),
    "alpha.tif": (tiff(NIR, photometric="rgb", extrasamples=["unassalpha"]), HIDDEN),
    "alpha.png": (pillow(NIR), HIDDEN),
    "raw.j2k": (pillow(NIR), FOUR),
    "shape.png": (shape_in_alpha, r"shows something by its transparency alone"),
    "12bit.tif": (tiff(16 * RGB.astype(np.uint16), photometric="rgb"), DEEP),
    "planes16.tif": (
        tiff(16 * RGB.astype(np.uint16).transpose(2, 0, 1), photometric="rgb",
             planarconfig="separate"), DEEP,
    ),
    "gray16.tif": (tiff(GRAY.astype(np.uint16)), DEEP),
    "half.tif": (tiff(GRAY.astype(np.float16)), DEEP + r" \(float numbers\)"),
    "float.tif": (tiff(RGB.astype(np.float32), photometric="rgb"), DEEP),
    "signed.tif": (tiff(GRAY.astype(np.int8)), r"has 8 bits per channel \(signed numbers\)"),
    "gray16.png": (png(GRAY, 16, 0), DEEP),
    "color16.png": (png(RGB, 16, 2), DEEP),
    "gray16.jp2": (pillow(16 * GRAY.astype(np.uint16)), DEEP),
    "color16.sgi": (sgi, DEEP),
    "color12.ppm": (pnm(b"P6 16 12 4095", RGB.astype(">u2")), DEEP),
    "lab.tif": (tiff(RGB, photometric="cielab"), r"has the colors of LAB: save it as gray or RGB"),
    "stack.tif": (tiff(np.stack([RGB] * 3), photometric="rgb"), MANY),
    "imagej.tif": (tiff(np.stack([GRAY] * 3), imagej=True), MANY),
    "volume.tif": (
        tiff(np.stack([GRAY] * 3), photometric="minisblack", volumetric=True, tile=(3, 16, 16)),
        MANY,
    ),
    "moving.gif": (frames(RGB), MANY),
    "moving.png": (frames(RGB), MANY),
    "moving.webp": (frames(RGB), MANY),
    "moving.avif": (frames(RGB), MANY),
    "stereo.mpo": (frames(RGB), MANY),
    "sizes.ico": (pillow(np.tile(RGB, (4, 3, 1)), sizes=[(16, 16), (24, 24), (32, 32)]), MANY),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_IMAGES)
def test_images_that_say_more_than_rgb_are_refused(tmp_path, name):
    write, message = REFUSED_IMAGES[name]
    write(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}.*{message}") as told:
        read_image(tmp_path / name)
    assert str(told.value).count(". ") == 0 and str(told.value).endswith(".")


def test_images_in_memory_pass_the_same_checks(tmp_path):
    tifffile.imwrite(tmp_path / "12bit.tif", 16 * RGB.astype(np.uint16), photometric="rgb")
    with pytest.raises(InputError, match=f"the image {DEEP}"):
        as_tensor(Image.open(tmp_path / "12bit.tif"))
    tifffile.imwrite(tmp_path / "nir.tif", NIR, photometric="rgb", extrasamples=["unspecified"])
    with pytest.raises(InputError, match=f"the image {FOUR}"):
        as_tensor(Image.open(tmp_path / "nir.tif"))
    Image.fromarray(np.dstack([RGB, 0 * GRAY + 255])).save(tmp_path / "opaque.jp2")
    expected = torch.from_numpy(RGB).permute(2, 0, 1) / 255
    for picture in (Image.fromarray(RGB), Image.open(tmp_path / "opaque.jp2")):
        assert torch.equal(as_tensor(picture), expected)


SHOWN_IMAGES = {
    "gray.tif": (tiff(GRAY), GRAY),
    "white.tif": (tiff(255 - GRAY, photometric="miniswhite"), GRAY),
    "planes.tif": (
        tiff(RGB.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"), RGB,
    ),
    "big.tif": (tiff(RGB, photometric="rgb", bigtiff=True), RGB),
    "motorola.tif": (tiff(RGB, photometric="rgb", byteorder=">"), RGB),
    "ink.tif": (tiff(np.dstack([255 - RGB, 0 * GRAY]), photometric="separated"), RGB),
    "opaque.tif": (
        tiff(np.dstack([RGB, 0 * GRAY + 255]), photometric="rgb", extrasamples=["assocalpha"]), RGB,
    ),
    "cut_out.png": (pillow(np.dstack([RGB, 255 * (IDS > 0)]).astype(np.uint8)), RGB),
    "key.png": (pillow(RGB, transparency=(0, 0, 0)), RGB),
    "bilevel.png": (pillow(IDS > 0), 255 * (IDS > 0)),
    "four_bits.png": (pillow(GRAY // 16, "P", bits=4), None),
    "scaled.ppm": (pnm(b"P6 16 12 51", RGB // 5), RGB // 5 * 5),
    "lossless.webp": (pillow(RGB, lossless=True), RGB),
    "lossless.jp2": (pillow(RGB), RGB),
    "still.gif": (pillow(GRAY), GRAY),
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN_IMAGES)
def test_images_are_read_as_they_show(tmp_path, name):
    write, expected = SHOWN_IMAGES[name]
    write(tmp_path / name)
    found = np.asarray(read_image(tmp_path / name))
    if expected is None:
        expected = np.asarray(Image.open(tmp_path / name).convert("RGB"))
    assert np.array_equal(found, np.broadcast_to(np.atleast_3d(expected), (12, 16, 3)))


def test_inverted_ink_of_jpeg_is_read_as_it_shows(tmp_path):
    flat = np.full((16, 16, 3), (200, 60, 40), dtype=np.uint8)
    Image.fromarray(flat).convert("CMYK").save(tmp_path / "ink.jpg", quality=95)
    assert np.abs(np.asarray(read_image(tmp_path / "ink.jpg")).astype(int) - flat).max() <= 4


LOSSY, FLOATS = "which changes the numbers and colors of a mask", "stores float numbers"
REFUSED_MASKS = {
    "float.tif": (tiff(IDS.astype(np.float32)), FLOATS),
    "double.tif": (tiff(IDS.astype(np.float64)), FLOATS),
    "long.tif": (tiff(IDS.astype(np.int64)), r"has 64 bits per pixel: save the mask with 8 or 16"),
    "white.tif": (tiff(IDS, photometric="miniswhite"), r"stores 0 as white"),
    "stack.tif": (tiff(np.stack([IDS] * 3), photometric="minisblack"), MANY),
    "two.tif": (tiff(RGB[..., :2], photometric="minisblack", planarconfig="contig"), r"2 channels"),
    "jpeg.tif": (pillow(IDS, compression="jpeg"), f"a TIFF with lossy compression, {LOSSY}"),
    "lossy.webp": (pillow(RGB), f"is a lossy WebP, {LOSSY}"),
    "some.avif": (pillow(RGB), f"is an AVIF file, {LOSSY}"),
    "some.jp2": (pillow(IDS), f"is a JPEG 2000 file, {LOSSY}"),
    "preview.mpo": (frames(RGB), MANY),
    "color16.png": (png(RGB, 16, 2), r"has 16 bits in each of 3 channels"),
    "moving.gif": (frames(120 * IDS), MANY),
    "hidden.png": (
        pillow(np.dstack([RGB, 255 * (IDS > 0)]).astype(np.uint8)), r"has transparent pixels, and",
    ),
    "gray_hidden.png": (shape_in_alpha, r"has transparent pixels, and nothing says"),
    "inks.tif": (tiff(np.dstack([RGB, GRAY]), photometric="separated"), r"in the wrong mode"),
    "luma.tif": (tiff(RGB, photometric="ycbcr"), r"in the wrong mode"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_MASKS)
def test_masks_whose_numbers_are_in_doubt_are_refused(tmp_path, name):
    write, message = REFUSED_MASKS[name]
    write(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}.*{message}"):
        read_raw_mask(tmp_path / name)


def palette(path, **options):
    mask = Image.fromarray(IDS).convert("P")
    mask.putpalette([0, 0, 0, 9, 9, 9, 5, 5, 5])
    mask.save(path, **options)


READ_MASKS = {
    "ids.tif": tiff(IDS),
    "16.tif": tiff(IDS.astype(np.uint16), byteorder=">"),
    "signed16.tif": tiff(IDS.astype(np.int16)),
    "signed8.tif": tiff(IDS.astype(np.int8)),
    "32.tif": tiff(IDS.astype(np.uint32)),
    "packed.tif": tiff(IDS, compression="zlib"),
    "palette.tif": tiff(IDS, photometric="palette", colormap=np.zeros((3, 256), dtype=np.uint16)),
    "scaled.pgm": pnm(b"P5 16 12 2", IDS),
    "wide.pgm": pnm(b"P5 16 12 1000", IDS.astype(">u2")),
    "plain.pgm": lambda p: p.write_text("P2 16 12 3\n" + " ".join(map(str, IDS.ravel()))),
    "four_bits.png": lambda p: palette(p, bits=4),
    "clear.png": lambda p: palette(p, transparency=0),
    "palette.gif": palette,
    "palette.bmp": palette,
    "gray.bmp": pillow(IDS),
    "opaque.png": pillow(IDS, "LA"),
    "key.png": pillow(IDS, transparency=0),
}


@pytest.mark.parametrize("name", READ_MASKS)
def test_masks_are_read_as_stored(tmp_path, name):
    READ_MASKS[name](tmp_path / name)
    assert np.array_equal(read_raw_mask(tmp_path / name), IDS)


def test_negative_ids_keep_their_sign(tmp_path):
    for kind in (np.int8, np.int16, np.int32):
        tifffile.imwrite(tmp_path / "mask.tif", IDS.astype(kind) - kind(1))
        assert np.array_equal(read_raw_mask(tmp_path / "mask.tif"), IDS.astype(int) - 1)


@pytest.mark.parametrize("name, options", [
    ("mask.png", {}), ("mask.tif", {"compression": "group4"}), ("mask.bmp", {}), ("mask.pbm", {}),
])  # fmt: skip
def test_bilevel_masks_are_1_where_they_show_white(tmp_path, name, options):
    Image.fromarray(IDS > 0).save(tmp_path / name, **options)
    assert np.array_equal(read_raw_mask(tmp_path / name), IDS > 0)
