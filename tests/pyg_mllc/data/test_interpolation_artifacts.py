import numpy as np
import pytest
from PIL import Image, ImageFilter

from pyg_mllc.data.interpolation_artifacts import find_interpolated, inner_pixels


def block(value=255):
    mask = np.zeros((60, 80), dtype=np.uint8)
    mask[15:45, 20:60] = value
    return mask


def thin_values(mask):
    """Values that lie only along outlines."""
    values, place = np.unique(mask, return_inverse=True)
    place = place.reshape(mask.shape)
    inner = place[1:-1, 1:-1][inner_pixels(mask)]
    counts = [np.bincount(p.ravel(), minlength=len(values)) for p in (place, inner)]
    return values[find_interpolated(*counts)].tolist()


def test_inner_pixels_are_those_whose_eight_neighbors_are_alike():
    mask = np.random.default_rng(0).integers(0, 2, (9, 12))
    for y in range(1, 8):
        for x in range(1, 11):
            expected = len(np.unique(mask[y - 1 : y + 2, x - 1 : x + 2])) == 1
            assert inner_pixels(mask)[y - 1, x - 1] == expected
    assert inner_pixels(mask[:2]).size == 0


@pytest.mark.parametrize("radius", [0.5, 0.7, 1.5, 3])
def test_blurred_masks_have_values_along_outlines(radius):
    blurred = Image.fromarray(block()).filter(ImageFilter.GaussianBlur(radius))
    thin = thin_values(np.asarray(blurred))
    assert len(thin) >= 3 and not {0, 255} & set(thin)


def test_masks_scaled_with_interpolation_have_them_too():
    scaled = Image.fromarray(block()).resize((151, 97), Image.Resampling.BILINEAR)
    assert len(thin_values(np.asarray(scaled))) >= 3


@pytest.mark.parametrize("kind", ["sharp", "wires", "pixels"])
def test_sound_masks_have_none(kind):
    mask = block(1)
    if kind == "wires":  # two thin classes, as cables and poles are
        mask[5], mask[:, 70] = 2, 3
    if kind == "pixels":  # a mask of single pixels has no outlines
        mask = np.random.default_rng(0).integers(0, 9, mask.shape)
    assert thin_values(mask) == []
