from pathlib import Path

import numpy as np
import pytest
import skimage
import skimage.data._fetchers as fetchers

from pyg_mllc.data.synthetic.photographs import GAP, PHOTOGRAPHS, Photograph, part, pyramid


class Columns(Photograph):
    """A photograph whose value is the column, 0 to 199."""

    def read(self):
        return np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (80, 200, 3))


@pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=lambda photograph: photograph.label)
def test_photographs_ship_inside_the_wheel(photograph, monkeypatch):
    package = Path(skimage.__file__).parent
    fetched = []
    fetch = fetchers._fetch
    monkeypatch.setattr(fetchers, "_fetch", lambda name: fetched.append(name) or fetch(name))
    pixels = photograph.read()
    assert [(package / name).is_file() for name in fetched] == [True]
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3 and pixels.std() > 5


def test_parts_leave_a_gap():
    pixels = Columns("columns", "", (0, 0, 0)).read()
    train, val = part(pixels, "train"), part(pixels, "val")
    assert train.min() == 0 and val.max() == 199
    assert val.min() - train.max() == GAP + 1


@pytest.mark.parametrize("zoom", [1.0, 0.5, 0.37])
def test_resizing_carries_nothing_over_the_cut(zoom):
    photograph = Columns("columns", "", (0, 0, 0), zoom=zoom)
    for image in pyramid(photograph, "train"):
        assert image.max() * 255 <= 129.01
    for image in pyramid(photograph, "val"):
        assert image.min() * 255 >= 145.99


def test_pyramid_halves_and_decodes_once():
    full, half = pyramid(PHOTOGRAPHS[0], "val")
    assert full.shape[2] // 2 == half.shape[2]
    assert pyramid(PHOTOGRAPHS[0], "val")[0] is full
