import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pyg_mllc.data.id_counts import IdCounts, count_ids, describe_unknown_ids
from pyg_mllc.errors import InputError


def stored(*values):
    """Ids of masks, each in bands of five rows."""
    ids = IdCounts()
    for number, mask in enumerate(values):
        ids.add(Path(f"{number}.png"), count_ids(np.repeat(mask, 5)[:, None].repeat(20, axis=1)))
    return ids


def test_pixels_masks_and_inner_pixels_are_counted():
    ids = stored([0, 3], [3, 3])
    assert ids.pixels == {0: 100, 3: 300} and ids.masks == {0: 1, 3: 2}
    assert ids.inner == {0: 3 * 18, 3: 3 * 18 + 8 * 18}  # without borders and both outlines
    assert ids.example == {0: Path("0.png"), 3: Path("0.png")}


@pytest.mark.parametrize("ids", [[0, 1, 2], [0, 1, 3], [1, 2, 3], [0, 2], [0, 3], [0, 1, 2, 255]])
def test_ids_of_which_few_are_left_out_are_classes(ids):
    assert stored(ids).infer_num_classes({255}, "write a table") == max({*ids} - {255}) + 1


@pytest.mark.parametrize(
    "ids, message",
    [
        ([0], r"hold only 0, .*write a table, lines of .*'0,background' and '1,object'"),
        ([0, 255], r"hold only 0 and 255 for void, .* '0,background' and '255,object'"),
        ([255], r"hold only 255 for void"),
        ([-1, 0, 1], r"ids \[-1, 0, 1\], and -1, as in 0\.png, is none of 0 to 254"),
        ([0, 1, 64_250], r"and 64250, as in 0\.png, is none of 0 to 254: take the file out"),
    ],
)
def test_ids_that_are_no_classes_or_a_single_one_are_refused(ids, message):
    with pytest.raises(InputError, match=message):
        stored(ids).infer_num_classes({255}, "write a table")


@pytest.mark.parametrize(
    "ids, meant",
    [
        ([0, 50, 100], "'0,class 0', '50,class 50' and '100,class 100'"),
        ([0, 85, 170, 255], "'0,class 0', '85,class 85' and '170,class 170'"),
        ([0, 2, 4], "'0,class 0', '2,class 2' and '4,class 4'"),
        ([0, 128, 255], "'0,class 0' and '128,class 128'"),
    ],
)
def test_ids_with_many_gaps_are_refused_with_the_lines_to_write(ids, meant):
    with pytest.raises(InputError, match=f"leave out many numbers: write a table.*{meant}"):
        stored(ids).infer_num_classes({255}, "write a table")


def test_a_slip_of_the_brush_is_named():
    with pytest.raises(InputError, match=r"200 is in 2\.png alone, 100 pixels"):
        stored([0, 1], [0, 1], [0, 1, 200]).infer_num_classes({255}, "write a table")


def test_blurred_masks_are_refused():
    mask = np.zeros((40, 60), dtype=np.uint8)
    mask[10:30, 15:45] = 255
    blurred = Image.fromarray(mask).filter(ImageFilter.GaussianBlur(0.7))
    ids = IdCounts()
    ids.add(Path("soft.png"), count_ids(np.asarray(blurred)))
    with pytest.raises(InputError, match=r"lie only along outlines, as in soft\.png"):
        ids.infer_num_classes({255}, "write a table")


@pytest.mark.parametrize(
    "ids, message",
    [
        ([0, 1, 255], ""),
        ([0, 85, 170], "'0,sky', '85,road' and '170,car'"),
        ([1, 2, 3, 255], "'1,sky', '2,road' and '3,car'"),
        ([0, 128, 255], "'0,sky', '128,road' and '255,car'"),
        ([0, 1, 2, 7], r"nothing names \[7\], as in 0\.png, 100 pixels"),
    ],
)
def test_ids_that_no_class_has_come_with_what_they_may_mean(ids, message):
    known = {0: 0, 1: 1, 2: 2, 255: 255}
    told = describe_unknown_ids(stored(ids), known, ["sky", "road", "car"])
    assert re.search(message, told) if message else told == ""


def test_void_is_no_class_where_the_masks_lack_one():
    names = ["background", "cat", "cow", "horse", "sheep"]
    told = describe_unknown_ids(stored([0, 1, 2, 4, 255]), {0: 0, 8: 1, 255: 255}, names)
    assert "'3,horse' and '4,sheep' into the table" in told and "255," not in told.split("if")[1]
