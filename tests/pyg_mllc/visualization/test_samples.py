import numpy as np
import pytest
import torch

from pyg_mllc.data import DatasetSpec
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE
from pyg_mllc.visualization.samples import sample_sheet

SPEC = DatasetSpec("three", ("a", "b", "$c"), ((200, 0, 0), (0, 200, 0), (0, 0, 200)))


def test_labels_lie_half_transparent_over_their_images():
    image = torch.full((3, 4, 6), 100, dtype=torch.uint8)
    label = torch.full((4, 6), 2)
    label[0] = IGNORE
    known = {"image": image, "label": label, "name": "x"}
    figure = sample_sheet([("one", known), ("bare", {"image": image, "name": "y"})], SPEC)
    first, second = (np.asarray(axis.get_images()[0].get_array()) for axis in figure.axes[:2])
    assert np.all(first[1:] == (50, 50, 150)) and np.all(first[0] > 140)
    assert np.all(second == 100)
    assert [axis.get_title() for axis in figure.axes] == ["one", "bare", "", ""]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["$c", "void or beside the image"]


def test_a_sheet_of_nothing_is_refused():
    with pytest.raises(InputError, match="at least one sample"):
        sample_sheet([], SPEC)
