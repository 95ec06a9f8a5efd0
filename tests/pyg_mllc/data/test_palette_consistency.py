import numpy as np
import pytest
from PIL import Image

from pyg_mllc.data import folder
from pyg_mllc.data.palette_consistency import check_palettes
from pyg_mllc.errors import InputError

RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)


def save(path, ids, palette=None):
    path.parent.mkdir(exist_ok=True)
    mask = Image.fromarray(np.array(ids, dtype=np.uint8))
    if palette:
        mask = mask.convert("P")
        mask.putpalette([channel for color in palette for channel in color])
    mask.save(path)
    return path


@pytest.mark.parametrize(
    "second",
    [([[1, 0]], (BLUE, RED)), ([[1, 1]], (GREEN, RED))],
    ids=["the same colors", "another color"],
)
def test_a_color_under_two_numbers_is_refused(tmp_path, second):
    masks = [save(tmp_path / "a.png", [[0, 1]], (RED, BLUE)), save(tmp_path / "b.png", *second)]
    with pytest.raises(InputError, match=r"a\.png shows the id \d in .*, and .*b\.png the id"):
        check_palettes(masks)


@pytest.mark.parametrize(
    "second",
    [
        ([[0, 1]], (RED, BLUE)),
        ([[1, 2]], (RED, BLUE, GREEN)),  # cut behind the last color that a mask needs
        ([[0, 0]], (RED, GREEN)),  # differs in what no mask shows
        ([[0, 1]], None),
    ],
)
def test_palettes_that_go_with_each_other_pass(tmp_path, caplog, second):
    masks = [save(tmp_path / "a.png", [[0, 1]], (RED, BLUE)), save(tmp_path / "b.png", *second)]
    check_palettes([*masks, tmp_path / "missing.png"])
    assert not caplog.text


def test_palettes_of_one_color_tell_nothing(tmp_path):
    masks = [save(tmp_path / f"{n}.png", [[0, 1, 2]], (RED,) * (3 + n)) for n in range(2)]
    check_palettes([*masks, save(tmp_path / "c.png", [[0, 1]], (BLUE, BLUE))])


def test_a_number_in_two_colors_is_told(tmp_path, caplog):
    check_palettes(
        [
            save(tmp_path / "a.png", [[0, 1]], (RED, BLUE)),
            save(tmp_path / "b.png", [[1]], (RED, GREEN)),
        ]
    )
    assert "show the ids [1] in several colors: the ids count" in caplog.text


@pytest.mark.parametrize("table", ["ground\nblock\n", ""])
def test_folders_without_colors_in_a_table_are_checked(tmp_path, table):
    for number in range(3):
        save(tmp_path / "images" / f"{number}.png", [[9, 9]])
        shown = (RED, BLUE) if number else (BLUE, RED)
        save(tmp_path / "masks" / f"{number}.png", [[0, 1]], shown)
    if table:
        (tmp_path / "classes.txt").write_text(table)
    with pytest.raises(InputError, match="so that ids do not say which class is meant: give the"):
        folder(tmp_path)
    (tmp_path / "classes.csv").write_text("ground,255,0,0\nblock,0,0,255\n")
    splits = folder(tmp_path, size=(1, 2), val_share=0.4)
    read = {s["name"]: s["label"].tolist() for s in (*splits.labeled, *splits.val)}
    assert read == {"0": [[1, 0]], "1": [[0, 1]], "2": [[0, 1]]}
