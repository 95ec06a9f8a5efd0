import numpy as np
import torch

from pyg_mllc.typing import IGNORE
from pyg_mllc.visualization.masks import changes_picture, overlay_picture

COLORS = [(0, 0, 0), (200, 0, 100)]


def test_void_and_black_leave_the_image_as_it_is():
    image, label = torch.full((3, 1, 3), 0.4), torch.tensor([[0, 1, IGNORE]])
    shown = np.asarray(overlay_picture(image, label, COLORS))[0].tolist()
    assert shown == [[102] * 3, [151, 51, 101], [102] * 3]


def test_changed_pixels_have_their_class_color_and_other_suspected_ones_are_red():
    image, label = torch.zeros(3, 1, 3), torch.tensor([[1, 1, 0]])
    changed, suspected = torch.tensor([[True, False, False]]), torch.tensor([[True, True, False]])
    shown = np.asarray(changes_picture(image, label, changed, suspected, COLORS))[0].tolist()
    assert shown == [[200, 0, 100], [155, 55, 55], [155] * 3]
