import numpy as np
import pytest
from PIL import Image

from pyg_mllc.data.class_table import infer_classes, read_as_binary, read_classes
from pyg_mllc.errors import InputError

IDS = {0: 0, 1: 1, 255: 255}


def read(tmp_path, text):
    path = tmp_path / "classes.csv"
    path.write_text(text)
    return read_classes(path)


@pytest.mark.parametrize(
    "text, ids, palette",
    [
        ("road\ncar", IDS, None),
        ("name\nroad\n\ncar\n", IDS, None),
        ("0,road\n255,car", {0: 0, 255: 1}, None),
        ("road,9,8,7\r\ncar,1,2,3\r\n", IDS, {(9, 8, 7): 0, (1, 2, 3): 1}),
        ("name,r,g,b\nVoid,0,0,0\nroad,9,8,7\ncar,1,2,3", {1: 0, 2: 1, 0: 255, 255: 255},
         {(9, 8, 7): 0, (1, 2, 3): 1, (0, 0, 0): 255}),
        ("id,name,r,g,b\n7,road,9,8,7\n300,car,1,2,3", {7: 0, 300: 1, 255: 255},
         {(9, 8, 7): 0, (1, 2, 3): 1}),
        ("\nid;name\n0;road\n255;car", {0: 0, 255: 1}, None),
        ("name\tr\tg\tb\nroad\t9\t8\t7\ncar\t1\t2\t3", IDS, {(9, 8, 7): 0, (1, 2, 3): 1}),
        ("\ufeffr,g,b,name\n9,8,7,road\n1,2,3,car", IDS, {(9, 8, 7): 0, (1, 2, 3): 1}),
    ],
)  # fmt: skip
def test_tables(tmp_path, text, ids, palette):
    spec = read(tmp_path, text)
    assert spec.classes == ("road", "car") and spec.ids == ids
    assert palette is None or spec.palette == palette
    assert len(set(spec.colors)) == 2


def test_no_class_gets_the_color_that_another_one_has(tmp_path):
    spec = read(tmp_path, "name,r,g,b\nroad,128,0,0\ncar,,,\nvoid,0,0,0")
    assert len({*spec.colors, (0, 0, 0)}) == 3 and spec.palette[128, 0, 0] == 0


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "names no class"),
        ("void", "names no class"),
        ("road\ncar,1,2", r"line 2: 'car,1,2' is not understood"),
        ("road,1,2,x", r"line 1: .*invalid literal"),
        ("road,1,2,256", "three numbers from 0 to 255"),
        ("7,road\n7,car", r"line 2: .*the id 7 is given twice"),
        ("road\nroad", "gives road to two classes"),
        ("road,1,1,1\ncar,1,1,1", r"gives \(1, 1, 1\) to two classes"),
        ("road,1,1,1\nvoid,1,1,1", r"gives \(1, 1, 1\) to two classes"),
        (f"{10**12},road", "from -1 to 65535"),
        ("x" * 200_000, "field larger than"),
        ("id,name\n7,", "a class has a name"),
        ("id,name\n7", "line 2"),
        ("index,name\n1,car\n0,road", r"columns index, name, and 'index' means nothing here"),
        ("name,red,green,blue\nroad,9,8,7\ncar,1,2,3", r"call the columns id, name, r, g, b"),
        ("\n".join(f"c{i}" for i in range(300)), "300 classes"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


def test_missing_and_binary_tables_are_named(tmp_path):
    with pytest.raises(InputError, match=r"data\.classes=.*none\.csv cannot be read \(No "):
        read_classes(tmp_path / "none.csv")
    (tmp_path / "classes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"classes\.csv cannot be read"):
        read_classes(tmp_path / "classes.csv")


def mask(tmp_path, name, values):
    Image.fromarray(np.array(values, dtype=np.uint8)).save(tmp_path / name)
    return tmp_path / name


def test_classes_are_found_in_masks(tmp_path):
    masks = [mask(tmp_path, "a.png", [[0, 255]]), mask(tmp_path, "b.png", [[3, 0]])]
    (tmp_path / "broken.png").write_bytes(b"")
    spec = infer_classes([*masks, tmp_path / "broken.png"], [255], tmp_path / "classes.csv")
    assert spec.classes == ("class 0", "class 1", "class 2", "class 3")
    assert spec.ids == {0: 0, 1: 1, 2: 2, 3: 3, 255: 255}


@pytest.mark.parametrize(
    "values, message",
    [
        ([[[0, 0, 0], [9, 1, 2]]], r"such as \(9, 1, 2\), .*classes\.csv, lines of name,r,g,b"),
        ([[0, 255]], r"only 0 and 255 for void, .*'0,background' and '255,object'"),
        ([[0, 0]], "'0,background' and '1,object'"),
        ([[255, 255]], "only 255 for void"),
    ],
)
def test_masks_that_do_not_tell_their_classes(tmp_path, values, message):
    with pytest.raises(InputError, match=message):
        infer_classes([mask(tmp_path, "a.png", values)], [255], tmp_path / "classes.csv")


NAMES = "background\nobject\n"


@pytest.mark.parametrize(
    "text, values, ids",
    [
        (NAMES, [[[0, 255]], [[0, 0]]], {0: 0, 255: 1}),  # black and white pictures
        ("name,r,g,b\nbackground,9,9,9\nobject,0,9,0\n", [[[0, 255]]], {0: 0, 255: 1}),
        (NAMES, [[[0, 255]], [[255, 1]]], IDS),  # 255 is void beside 1
        ("0,background\n1,object\n255,void\n", [[[0, 255]], [[0, 1]]], IDS),
        (NAMES, [[[0, 0]]], IDS),
        (NAMES, [[[255, 255]]], IDS),
        ("0,background\n1,object\n255,void\n", [[[0, 255]]], IDS),  # somebody says so
        ("background\nobject\nother\n", [[[0, 255]]], {0: 0, 1: 1, 2: 2, 255: 255}),
        (NAMES, [[[[0, 0, 0], [255, 255, 255]]]], IDS),
    ],
)
def test_black_and_white_masks_of_two_classes(tmp_path, caplog, text, values, ids):
    masks = [mask(tmp_path, f"{number}.png", value) for number, value in enumerate(values)]
    spec = read_as_binary(read(tmp_path, text), masks)
    assert spec.ids == ids and spec.palette == read(tmp_path, text).palette
    told = "255 is read as 'object' and 0 as 'background'" in caplog.text
    assert told == (ids[255] == 1)


def test_255_for_the_object_in_some_masks_and_1_in_others_is_refused(tmp_path):
    masks = [mask(tmp_path, "a.png", [[0, 255]]), mask(tmp_path, "b.png", [[0, 1]])]
    with pytest.raises(InputError, match=r"a\.png holds 255 and .*b\.png holds 1, but no mask"):
        read_as_binary(read(tmp_path, NAMES), masks)


def test_masks_of_which_none_can_be_read_say_why(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"broken\.png cannot be read as an image"):
        infer_classes([tmp_path / "broken.png"], [255], tmp_path / "classes.csv")


@pytest.mark.parametrize(
    "text, assumed", [(NAMES, True), ("0,a\n1,b\n255,void", False), ("0,a\n255,b", False)]
)
def test_void_that_nobody_names_is_known_as_such(tmp_path, text, assumed):
    assert read(tmp_path, text).assumes_void == assumed
    (tmp_path / "classes.csv").write_text(text)
    assert not read_classes(tmp_path / "classes.csv", void=[255, 9]).assumes_void
