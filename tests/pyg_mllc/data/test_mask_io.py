import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pyg_mllc.data import DatasetSpec
from pyg_mllc.data.mask_io import (
    fitted_size,
    letterbox,
    read_image,
    read_mask,
    read_raw_mask,
)
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE

SPEC = DatasetSpec("three", ("a", "b", "c"), ((0, 0, 0), (9, 9, 9), (5, 5, 5)), void=(7, 255))


def picture(height=5, width=7):
    return Image.fromarray(np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "RGB"])
def test_every_mode_becomes_rgb_of_the_same_colors(tmp_path, mode):
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[:, 3:] = 255
    Image.fromarray(pixels).convert(mode).save(tmp_path / "image.png")
    found = read_image(tmp_path / "image.png")
    assert found.mode == "RGB"
    assert np.array_equal(np.asarray(found), pixels)


def test_transparent_palette_reads_without_warning(tmp_path, recwarn):
    image = picture().convert("P")
    image.save(tmp_path / "image.png", transparency=bytes([0, 128] * 8))
    assert np.array_equal(read_image(tmp_path / "image.png"), image.convert("RGB"))
    assert not recwarn.list


@pytest.mark.parametrize("bits", [2, 4])
def test_masks_of_few_bits_are_read_as_stored(tmp_path, bits):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", 4, 1, bits, 0, 0, 0, 0)  # 4 x 1 pixels, gray
    row = {2: b"\x1b", 4: b"\x01\x23"}[bits]  # 0, 1, 2, 3
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    (tmp_path / "mask.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    assert read_raw_mask(tmp_path / "mask.png").tolist() == [[0, 1, 2, 3]]


def test_palette_mask_is_read_as_ids(tmp_path):
    ids = np.array([[0, 1, 2], [7, 255, 1]], dtype=np.uint8)
    mask = Image.fromarray(ids).convert("P")
    mask.putpalette([200, 10, 10] * 256)
    mask.save(tmp_path / "mask.png")
    assert Image.open(tmp_path / "mask.png").mode == "P"
    assert read_mask(tmp_path / "mask.png", SPEC).tolist() == [[0, 1, 2], [IGNORE, IGNORE, 1]]


def test_sixteen_bit_masks_are_read_as_ids(tmp_path):
    Image.fromarray(np.array([[0, 2]], dtype=np.uint16)).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", SPEC).tolist() == [[0, 2]]


def test_unknown_ids_name_file_and_ids(tmp_path):
    Image.fromarray(np.array([[0, 3, 200]], dtype=np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"mask\.png holds the ids 3, 200, but .* 0 to 2"):
        read_mask(tmp_path / "mask.png", SPEC)


def test_many_unknown_ids_are_cut_short(tmp_path):
    Image.fromarray(np.arange(250, dtype=np.uint8)[None]).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"3, 4, 5, 6, 8, 9, 10, 11 and 238 more, but"):
        read_mask(tmp_path / "mask.png", SPEC)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_masks_in_color_are_read_through_the_table(tmp_path, mode):
    spec = replace(SPEC, void=(255, (1, 2, 3)), codes={(5, 5, 5): 2, (5, 5, 6): 2, (0, 0, 0): 0})
    pixels = np.array([[[0, 0, 0], [5, 5, 5]], [[5, 5, 6], [1, 2, 3]]], dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", spec).tolist() == [[0, 2], [2, IGNORE]]


@pytest.mark.parametrize(
    "color, name, message",
    [
        ((9, 9, 8), "mask.png", r"mask\.png holds the colors \(9, 9, 8\), .* add the colors to"),
        ((2, 2, 2), "mask.png", r"if these gray values are ids, save the mask with one channel"),
    ],
)
def test_unknown_colors_are_named(tmp_path, color, name, message):
    Image.new("RGB", (4, 4), color).save(tmp_path / name)
    with pytest.raises(InputError, match=message):
        read_mask(tmp_path / name, SPEC)


@pytest.mark.parametrize(
    "mode, message",
    [("F", "stores float numbers: save"), ("CMYK", r"is a mask in the wrong mode .*CMYK")],
)
def test_masks_in_the_wrong_mode_are_refused(tmp_path, mode, message):
    Image.new(mode, (4, 4)).save(tmp_path / "mask.tif")
    with pytest.raises(InputError, match=rf"mask\.tif {message}"):
        read_mask(tmp_path / "mask.tif", SPEC)


def test_ids_of_their_own_are_classes_in_order(tmp_path):
    spec = replace(SPEC, codes={300: 0, 7000: 1, 9: 1}, void=(0,))
    path = tmp_path / "mask.png"
    Image.fromarray(np.array([[300, 7000, 9, 0]], dtype=np.uint16)).save(path)
    assert read_mask(path, spec).tolist() == [[0, 1, 1, IGNORE]]
    Image.fromarray(np.array([[1]], dtype=np.uint8)).save(path)
    with pytest.raises(InputError, match=r"holds the ids 1, but .* have the ids 300, 7000, 9"):
        read_mask(path, spec)


@pytest.mark.parametrize("mode, kind", [("1", "png"), ("LA", "png"), ("PA", "tif"), ("L", "webp")])
def test_ids_in_other_modes(tmp_path, mode, kind):
    ids = Image.fromarray(np.array([[0, 1, 1], [1, 0, 0]], dtype=np.uint8))
    mask = ids.point(lambda value: 255 * value).convert("1") if mode == "1" else ids.convert(mode)
    mask.save(tmp_path / f"mask.{kind}", lossless=True)
    spec = replace(SPEC, codes={(1, 1, 1): 1, (0, 0, 0): 0})  # WebP knows colors only
    assert read_mask(tmp_path / f"mask.{kind}", spec).tolist() == np.asarray(ids).tolist()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_broken_files_are_input_errors(tmp_path, kind):
    stream = io.BytesIO()
    picture(64, 64).save(stream, kind)
    whole = stream.getvalue()
    path = tmp_path / "broken"
    for length in (0, 1, 20, len(whole) // 3, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="broken cannot be read as an image"):
            read_image(path)


def test_missing_and_text_files_are_input_errors(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    for name in ("text.png", "missing.png"):
        with pytest.raises(InputError, match=name):
            read_mask(tmp_path / name, SPEC)


@settings(deadline=None)
@given(*[st.integers(1, 500)] * 4)
def test_fitted_size_fits_and_touches_a_side(height, width, high, wide):
    fitted = fitted_size(height, width, (high, wide))
    assert 1 <= fitted[0] <= high and 1 <= fitted[1] <= wide
    assert fitted[0] == high or fitted[1] == wide


def test_letterbox_repeats_ids_and_fills_the_rest():
    ids = Image.fromarray(np.array([[1, 2, 0], [0, 1, 2]], dtype=np.int32))
    boxed = letterbox(ids, (7, 6), nearest=True, fill=IGNORE)
    expected = np.full((7, 6), IGNORE)
    expected[:4] = np.kron([[1, 2, 0], [0, 1, 2]], np.ones((2, 2), dtype=int))
    assert np.array_equal(boxed, expected)


def test_letterbox_shrinks_images_to_means():
    stripes = np.zeros((32, 32, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    boxed = letterbox(Image.fromarray(stripes), (4, 8), nearest=False, fill=0)
    # Without antialiasing the stripes would come out as 0 or 200.
    assert np.all(np.abs(boxed[:4, :4].astype(int) - 100) <= 30)
    assert np.all(boxed[:, 4:] == 0)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_masks_that_jpeg_has_changed_are_refused(tmp_path, mode):
    Image.new(mode, (8, 8)).save(tmp_path / "mask.png", "JPEG")  # whatever its name says
    with pytest.raises(InputError, match=r"mask\.png is a JPEG, which changes the numbers"):
        read_mask(tmp_path / "mask.png", SPEC)
