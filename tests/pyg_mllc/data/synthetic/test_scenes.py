import numpy as np
import pytest
import torch

from pyg_mllc.data.synthetic.scenes import draw_patch, draw_regions, draw_scene, relight

SIZES = [(64, 64), (40, 96), (128, 48)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 4, 8])
def test_every_region_occurs(size, count):
    for seed in range(20):
        regions = draw_regions(np.random.default_rng(seed), count, size)
        assert regions.shape == size and regions.dtype == np.int64
        assert np.array_equal(np.unique(regions), np.arange(count))


def test_regions_vary_in_size():
    shares = [
        np.bincount(draw_regions(np.random.default_rng(seed), 6, (64, 64)).ravel()) / 64**2
        for seed in range(30)
    ]
    assert np.mean(np.min(shares, axis=1)) < 0.08 and np.mean(np.max(shares, axis=1)) > 0.3


def test_patches_show_only_their_photograph():
    image = torch.linspace(0.4, 0.6, 30 * 20).view(1, 1, 30, 20).expand(1, 3, 30, 20)
    rows, columns = np.nonzero(np.ones((90, 70)))
    for seed in range(20):
        colors = draw_patch(
            np.random.default_rng(seed), (image, image[..., ::2, ::2]), rows, columns
        )
        assert colors.shape == (90 * 70, 3)
        assert colors.min() >= 0.4 - 1e-6 and colors.max() <= 0.6 + 1e-6
        assert colors.std() > 0.01


def test_patches_are_scaled_by_at_most_two():
    ramp = torch.linspace(0, 1, 1001).expand(1, 3, 1001, 1001)
    rows, columns = np.nonzero(np.ones((9, 9)))
    steepest = []
    for seed in range(50):
        patch = draw_patch(np.random.default_rng(seed), (ramp, ramp[..., ::2, ::2]), rows, columns)
        plane = patch[:, 0].reshape(9, 9) * 1000
        steepest.append(np.hypot(*np.gradient(plane))[4, 4])
    assert 0.45 < min(steepest) < 0.7 and 1.4 < max(steepest) < 2.1


def test_relight_keeps_black_black_and_order():
    gray = np.linspace(0, 1, 11, dtype=np.float32)[:, None].repeat(3, axis=1)
    lit = relight(np.random.default_rng(0), gray)
    assert np.all(lit[0] == 0) and np.all(np.diff(lit, axis=0) > 0)


@pytest.mark.parametrize("size", SIZES)
def test_masks_are_exact(size):
    """Photographs of one brightness each: the scene shows its mask."""
    classes = np.array([3, 8, 5, 0])
    flat = {0: 0.1, 3: 0.5, 5: 0.9, 8: 0.3}
    photographs = [
        (torch.full((1, 3, 8, 8), flat[c]), torch.full((1, 3, 4, 4), flat[c])) for c in classes
    ]
    image, label = draw_scene(np.random.default_rng(1), classes, photographs, size)
    assert image.shape == (*size, 3) and image.dtype == np.uint8
    assert label.shape == size and label.dtype == np.int64 and set(np.unique(label)) == set(classes)
    # Away from blurred borders, the brightness of a pixel is nearest to its own region's.
    means = np.stack([image[label == c].mean(axis=0) for c in classes])
    found = classes[np.linalg.norm(image[:, :, None] - means, axis=-1).argmin(axis=-1)]
    assert (found == label).mean() > 0.95
