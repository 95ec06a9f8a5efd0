import numpy as np
import pytest
from PIL import Image

from pyg_mllc.data import VOC, DatasetSpec, SegmentationDataset, textures
from pyg_mllc.data.label_warnings import SAMPLED, find_label_warnings
from pyg_mllc.errors import InputError

OWN = DatasetSpec("folder", ("sky", "road", "car"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))


@pytest.fixture
def samples(tmp_path):
    """Make samples whose masks hold ids in bands; images are not looked at."""

    def make(*masks, spec=OWN):
        paths = []
        for ids in masks:
            paths.append(tmp_path / f"{len(list(tmp_path.iterdir()))}.png")
            bands = np.repeat(np.array(ids, dtype=np.uint8), 6)[:, None].repeat(8, axis=1)
            Image.fromarray(bands).save(paths[-1])
        return SegmentationDataset(paths, paths, spec, (8, 8))

    return make


def test_sound_labels_leave_no_doubt(samples):
    assert find_label_warnings(samples([0, 1], [1, 2]), samples([0, 1, 2])) == []
    assert (
        find_label_warnings(textures(3, 0, 2, (8, 8)).labeled, textures(3, 0, 2, (8, 8)).val) == []
    )


def test_labels_of_one_class_are_refused_where_they_are_ones_own(samples):
    with pytest.raises(InputError, match=r"the labeled masks \(2 of 2 read\) show 'sky' alone"):
        find_label_warnings(samples([0], [0]), samples([0, 1, 2]))
    few = find_label_warnings(samples([0], spec=VOC), samples([0, 1], spec=VOC))
    assert "show 'background' alone" in few[0]


def test_labels_that_no_class_explains_are_refused_with_what_they_may_mean(samples):
    with pytest.raises(InputError, match="'0,sky', '85,road' and '170,car'"):
        find_label_warnings(samples([0, 85, 170]), samples([0, 85, 170]))


def test_one_strange_mask_of_several_is_doubted(samples):
    [doubt] = find_label_warnings(samples([0, 1, 2], [0, 7]), samples([0, 1, 2]))
    assert "nothing names [7]" in doubt


def test_classes_are_looked_for_in_all_labeled_masks(samples):
    masks = [[0, 1]] * (2 * SAMPLED)
    assert "no pixel of 'car'" in find_label_warnings(samples(*masks), samples([0, 1, 2]))[0]
    masks[SAMPLED + 1] = [0, 1, 2]
    assert find_label_warnings(samples(*masks), samples([0, 1, 2])) == []


def test_what_is_measured_on_alone_is_looked_at_too(samples):
    [doubt] = find_label_warnings(None, samples([1], [1]))
    assert "the validation masks (2 of 2 read) show 'road' alone" in doubt
