"""Masks with a palette are read by the color where the table's colors say so, else by number."""

import numpy as np
import pytest
from PIL import Image

from pyg_mllc.data import VOC, folder
from pyg_mllc.data.catalog import spread_color
from pyg_mllc.data.class_table import read_classes
from pyg_mllc.data.mask_io import read_mask
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE

BLACK, RED, BLUE, GREEN = (0, 0, 0), (255, 0, 0), (0, 0, 255), (0, 255, 0)
CLASSES = np.array([[0, 1, 2], [2, 2, 1]])
TABLE = "name,r,g,b\nground,0,0,0\nblock,255,0,0\nsky,0,0,255\n"


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
        [spread_color(label) for label in range(256)],  # agrees in black alone
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
    for palette in ([BLUE, BLACK, RED], [spread_color(2), spread_color(0), spread_color(1)]):
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
    mask.putpalette([channel for label in range(256) for channel in spread_color(label)])
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
            Image.new("RGB", (4, 4), spread_color(1)).save(tmp_path / part / f"{number}.png")
    (tmp_path / "classes.csv").write_text("ground\nblock\n")
    with pytest.raises(InputError, match=r"holds colors, such as \(128, 0, 0\), and no table"):
        folder(tmp_path).labeled[0]
