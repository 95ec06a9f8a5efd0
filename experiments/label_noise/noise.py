"""Label noise: functions of a mask, an image, a share of pixels and a random generator."""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.segmentation import slic

Mask = np.ndarray  # (H, W), class numbers, 255 void


def flips(mask: Mask, image: np.ndarray, share: float, rng: np.random.Generator) -> Mask:
    """Replace the class of single pixels by any other class of the image."""
    classes = np.unique(mask[mask != 255])
    if len(classes) < 2:
        return mask
    other = (np.searchsorted(classes, mask) + rng.integers(1, len(classes), mask.shape)) % len(
        classes
    )
    wrong = (rng.random(mask.shape) < share) & (mask != 255)
    return np.where(wrong, classes[other], mask)


def confusions(mask: Mask, image: np.ndarray, share: float, rng: np.random.Generator) -> Mask:
    """Replace the class of superpixels by the class that it is confused with in this image."""
    classes = rng.permutation(np.unique(mask[mask != 255]))
    partner = np.full(256, 255)
    partner[classes] = np.roll(classes, 1)
    return _by_superpixel(mask, image, share, rng, lambda m: partner[m])


def missing(mask: Mask, image: np.ndarray, share: float, rng: np.random.Generator) -> Mask:
    """Replace the class of superpixels by the most common class of the image."""
    common = np.bincount(mask[mask != 255]).argmax()
    return _by_superpixel(mask, image, share, rng, lambda m: np.full_like(m, common))


def boundaries(mask: Mask, image: np.ndarray, share: float, rng: np.random.Generator) -> Mask:
    """Shift outlines: warp the mask until enough pixels change."""
    field = np.stack([gaussian_filter(rng.standard_normal(mask.shape), 6) for _ in range(2)])
    field /= np.abs(field).max()
    at = np.indices(mask.shape)
    for strength in range(1, max(mask.shape)):
        warped = map_coordinates(mask, at + strength * field, order=0, mode="nearest")
        if (warped != mask)[(mask != 255) & (warped != 255)].mean() >= share:
            break
    return np.where((warped == 255) | (mask == 255), mask, warped)


def _by_superpixel(
    mask: Mask,
    image: np.ndarray,
    share: float,
    rng: np.random.Generator,
    change: Callable[[Mask], Mask],
) -> Mask:
    parts = slic(image, n_segments=200, compactness=10, start_label=0)
    wrong, changed = np.zeros(mask.shape, bool), change(mask)
    for part in rng.permutation(parts.max() + 1):
        wrong |= (parts == part) & (mask != 255) & (changed != mask)
        if wrong[mask != 255].mean() >= share:
            break
    return np.where(wrong, changed, mask)


KINDS = {f.__name__: f for f in (flips, confusions, boundaries, missing)}
