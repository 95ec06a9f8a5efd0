import pytest

from pyg_mllc.data import CITYSCAPES, TEXTURES, VOC, DatasetSpec
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE


def test_every_texture_has_a_name_and_a_color_of_its_own():
    spec = TEXTURES
    assert spec.num_classes == len(set(spec.classes)) == len(set(spec.colors)) == 10
    assert not set(spec.void) & set(range(10))


def test_codes_of_one_kind_leave_the_other_as_it_is():
    spec = DatasetSpec("mine", ("a", "b"), ((1, 1, 1), (2, 2, 2)), codes={(3, 3, 3): 1})
    assert spec.ids == {0: 0, 1: 1, 255: 255} and spec.palette == {(3, 3, 3): 1}


def test_colors_must_match_classes():
    with pytest.raises(InputError, match="'mine' has 2 classes and 1 colors"):
        DatasetSpec("mine", ("a", "b"), ((0, 0, 0),))


def test_classes_must_leave_room_for_void():
    with pytest.raises(InputError, match="256 classes"):
        DatasetSpec("mine", tuple(map(str, range(256))), ((0, 0, 0),) * 256)


def test_some_classes_of_a_data_set_by_ids_and_by_colors():
    spec = VOC.only(["dog", "background"])
    assert spec.classes == ("dog", "background") and spec.colors == ((64, 0, 128), (0, 0, 0))
    assert spec.ids == {12: 0, 0: 1} | {i: IGNORE for i in (*range(1, 12), *range(13, 21), IGNORE)}
    kept = {color: label for color, label in spec.palette.items() if label != IGNORE}
    assert kept == {(64, 0, 128): 0, (0, 0, 0): 1}
    assert set(spec.palette) == {*VOC.palette}


def test_some_classes_where_ids_differ_from_classes():
    spec = CITYSCAPES.only(["car", "person"])
    assert {i: label for i, label in spec.ids.items() if label != IGNORE} == {26: 0, 24: 1}
    assert set(spec.ids) == set(CITYSCAPES.ids)


@pytest.mark.parametrize("classes", [["dog", "unicorn"], [], ["dog", "dog"]])
def test_classes_that_are_not_there(classes):
    with pytest.raises(InputError, match="should be some of background, aeroplane"):
        VOC.only(classes)


def test_one_class_leaves_nothing_to_tell_apart():
    for classes in ("dog", ["dog"]):
        with pytest.raises(InputError, match="only the class 'dog'"):
            VOC.only(classes)
