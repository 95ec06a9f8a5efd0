import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from skimage.segmentation import find_boundaries

from pyg_mllc.metrics.boundary import boundary_counts, boundary_f, outlines
from pyg_mllc.typing import IGNORE


def blobs(size=(40, 60), classes=3):
    coarse = torch.rand(1, classes, size[0] // 10, size[1] // 10)
    return torch.nn.functional.interpolate(coarse, size, mode="bilinear")[0].argmax(0)


def test_outlines_are_those_of_scikit_image():
    label = blobs()
    expected = find_boundaries(label.numpy(), connectivity=2, mode="inner")
    # Its value 0 is background, without an outline of its own.
    found = outlines(label, 3)
    assert np.array_equal(found[1:].any(0).numpy(), expected & (label.numpy() > 0))
    assert torch.equal(found.any(0) & (label == 0), outlines(2 - label, 3)[2])


@pytest.mark.parametrize("share", [0.02, 0.05])
def test_counts_are_those_of_a_distance_transform(share):
    guess, truth = blobs(), blobs()
    counts = boundary_counts(guess, truth, 3, share)
    reach = share * np.hypot(40, 60)
    for c in range(3):
        mine, other = outlines(guess, 3)[c].numpy(), outlines(truth, 3)[c].numpy()
        columns = []
        for line, theirs in ((mine, other), (other, mine)):
            near = distance_transform_edt(~theirs) <= reach + 1e-6
            columns += [(line & near).sum(), line.sum()]
        assert counts[c].tolist() == columns


def test_the_truth_meets_itself_and_a_far_guess_meets_nothing():
    truth = torch.zeros(40, 60, dtype=torch.long)
    truth[:, 30:] = 1
    assert boundary_f(boundary_counts(truth, truth, 3))[:2].tolist() == [1, 1]
    assert boundary_f(boundary_counts(truth, truth, 3))[2].isnan()
    # A pixel aside is near; what is rolled in at the edge makes half of the outline wrong: P = 1/2.
    shifted = boundary_f(boundary_counts(truth.roll(1, 1), truth, 3))
    assert shifted[0].item() == pytest.approx(2 / 3)
    far = torch.zeros_like(truth)
    far[:, 50:] = 1
    assert boundary_f(boundary_counts(far, truth, 3))[:2].tolist() == [0, 0]


def test_an_outline_under_a_band_of_void_runs_along_its_middle():
    truth = torch.zeros(40, 60, dtype=torch.long)
    truth[:, 30:] = 1
    band = truth.clone()
    band[:, 28:32] = IGNORE
    assert boundary_f(boundary_counts(truth, band, 2, share=0.04)).tolist() == [1, 1]


def test_void_far_from_all_that_is_known_takes_no_part():
    truth = torch.zeros(40, 60, dtype=torch.long)
    truth[:, 20:] = IGNORE
    guess = torch.zeros_like(truth)
    guess[:, 40:] = 1  # an outline that nobody can judge
    assert boundary_counts(guess, truth, 2).sum() == 0
    assert boundary_counts(guess, torch.full_like(truth, IGNORE), 2).sum() == 0
