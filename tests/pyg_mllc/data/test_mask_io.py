import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pyg_mllc.data import VOC, DatasetSpec, folder
from pyg_mllc.data.builtin_specs import voc_color
from pyg_mllc.data.class_table import read_classes
from pyg_mllc.data.mask_io import read_mask, read_raw_mask
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE

SPEC = DatasetSpec("three", ("a", "b", "c"), ((0, 0, 0), (9, 9, 9), (5, 5, 5)), void=(7, 255))

BLACK, RED, BLUE, GREEN = (0, 0, 0), (255, 0, 0), (0, 0, 255), (0, 255, 0)
CLASSES = np.array([[0, 1, 2], [2, 2, 1]])
TABLE = "name,r,g,b\nground,0,0,0\nblock,255,0,0\nsky,0,0,255\n"


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


def test_missing_and_text_files_are_input_errors(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    for name in ("text.png", "missing.png"):
        with pytest.raises(InputError, match=name):
            read_mask(tmp_path / name, SPEC)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_masks_that_jpeg_has_changed_are_refused(tmp_path, mode):
    Image.new(mode, (8, 8)).save(tmp_path / "mask.png", "JPEG")  # whatever its name says
    with pytest.raises(InputError, match=r"mask\.png is a JPEG, which changes the numbers"):
        read_mask(tmp_path / "mask.png", SPEC)


@pytest.fixture
def read(tmp_path):
    """Read a mask of numbers with a palette through a table of classes."""

    def reading(ids, palette, table=TABLE, name="mask.png", **options):
        (tmp_path / "classes.csv").write_text(table)
        mask = Image.fromarray(np.array(ids, dtype=np.uint8)).convert("P")
        mask.putpalette([channel for color in palette for channel in color])
        mask.save(tmp_path / name, **options)
        return read_mask(tmp_path / name, read_classes(tmp_path / "classes.csv"))

    return reading


@pytest.mark.parametrize("name", ["mask.png", "mask.gif", "mask.bmp", "mask.tif"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_colors_of_the_table_count_in_any_order(read, name, order):
    palette = [(BLACK, RED, BLUE)[label] for label in order]
    assert np.array_equal(read(np.argsort(order)[CLASSES], palette, name=name), CLASSES)


def test_colors_of_the_table_count_at_numbers_that_are_no_ids(read):
    palette = [GREEN] * 40 + [BLUE, RED, BLACK]
    assert np.array_equal(read(np.array([42, 41, 40])[CLASSES], palette), CLASSES)


def test_one_class_under_two_numbers(read):
    assert read([[0, 1, 2, 3]], [RED, RED, BLACK, BLUE]).tolist() == [[1, 1, 0, 2]]


@pytest.mark.parametrize(
    "palette",
    [
        [voc_color(label) for label in range(256)],  # agrees in black alone
        [(200, 10, 10)] * 256,
        [(9 * label, 3, 3) for label in range(9)],
        [BLACK, RED, BLUE],
    ],
)
def test_ids_count_where_no_color_contradicts_them(read, palette):
    assert np.array_equal(read(CLASSES, palette), CLASSES)


def test_grays_of_their_own_value_say_nothing(read):
    table = "name,r,g,b\nground,255,0,0\nblock,0,0,255\nsky,0,255,0\nvoid,0,0,0\n"
    gray = [(label,) * 3 for label in range(256)]
    assert np.array_equal(read(CLASSES, gray, table), CLASSES)


def test_ids_count_where_the_table_has_no_colors(read):
    for palette in ([BLUE, BLACK, RED], [voc_color(2), voc_color(0), voc_color(1)]):
        assert np.array_equal(read(CLASSES, palette, "ground\nblock\nsky\n"), CLASSES)


def test_void_has_a_color_or_a_number(read):
    table = TABLE + "void,0,255,0\n"
    palette = [GREEN, BLUE, RED, BLACK]
    assert read([[0, 1, 2, 3]], palette, table).tolist() == [[IGNORE, 2, 1, 0]]
    shown = [BLACK, RED, BLUE] + [BLACK] * 252 + [(224, 224, 192)]
    assert read([[0, 1, 2, 255]], shown).tolist() == [[0, 1, 2, IGNORE]]


@pytest.mark.parametrize(
    "ids, palette, message",
    [
        ([[0, 1, 2]], [RED, GREEN, BLUE], r"shows the id 0 in .*255, 0, 0.* id 1 in .*0, 255, 0"),
        # The palette is a stranger's, though the mask uses none of the strange colors.
        ([[0, 0, 0]], [BLUE, GREEN, RED], r"shows the id 0 in .*0, 0, 255.* id 1 in .*0, 255, 0"),
    ],
)
def test_numbers_and_colors_that_disagree_are_refused(read, ids, palette, message):
    with pytest.raises(InputError, match=rf"mask\.png {message}.*: give the palette the colors"):
        read(ids, palette)


def test_published_masks_are_read_as_before(tmp_path):
    ids = np.append(np.arange(21), 255).astype(np.uint8)[None]
    mask = Image.fromarray(ids).convert("P")
    mask.putpalette([channel for label in range(256) for channel in voc_color(label)])
    mask.save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png", VOC), ids)
    animals = VOC.only(["cat", "dog"])
    expected = np.full(22, IGNORE)
    expected[[8, 12]] = 0, 1
    assert np.array_equal(read_mask(tmp_path / "mask.png", animals), expected[None])


def test_masks_of_voc_are_read_by_number(real_data):
    for path in sorted((real_data / "voc2012/SegmentationClass").iterdir())[:5]:
        assert np.array_equal(read_mask(path, VOC), np.asarray(Image.open(path)))


def test_colors_mean_nothing_where_the_table_has_none(tmp_path):
    for number in range(3):
        for part in ("images", "masks"):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.new("RGB", (4, 4), voc_color(1)).save(tmp_path / part / f"{number}.png")
    (tmp_path / "classes.csv").write_text("ground\nblock\n")
    with pytest.raises(InputError, match=r"holds colors, such as \(128, 0, 0\), and no table"):
        folder(tmp_path).labeled[0]
