import pytest

from pyg_mllc.data import TEXTURES, DatasetSpec
from pyg_mllc.errors import InputError


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
