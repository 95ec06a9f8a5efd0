import pytest

from pyg_mllc.data import CAMVID, TEXTURES, VOC, DatasetSpec
from pyg_mllc.errors import InputError


@pytest.mark.parametrize("spec, num_classes", [(CAMVID, 11), (VOC, 21), (TEXTURES, 10)])
def test_every_class_has_a_name_and_a_color_of_its_own(spec, num_classes):
    assert spec.num_classes == len(set(spec.classes)) == len(set(spec.colors)) == num_classes
    assert all(0 <= channel <= 255 for color in spec.colors for channel in color)
    assert not set(spec.void) & set(range(num_classes))


def test_voc_colors_are_the_published_ones():
    assert VOC.colors[:5] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128))
    assert VOC.colors[VOC.classes.index("person")] == (192, 128, 128)
    assert VOC.colors[VOC.classes.index("tvmonitor")] == (0, 64, 128)


def test_colors_must_match_classes():
    with pytest.raises(InputError, match="'mine' has 2 classes and 1 colors"):
        DatasetSpec("mine", ("a", "b"), ((0, 0, 0),))


def test_classes_must_leave_room_for_void():
    with pytest.raises(InputError, match="256 classes"):
        DatasetSpec("mine", tuple(map(str, range(256))), ((0, 0, 0),) * 256)
