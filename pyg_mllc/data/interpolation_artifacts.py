"""Detect mask values that interpolation or lossy compression made along outlines."""

import numpy as np

MIN_INNER_SHARE = 0.01  # share of inner pixels below which a value lies only along outlines
MIN_VALUES = 3  # fewer values than this may be thin objects, such as wires
MAX_SHARE = 0.7  # share of pixels along outlines beyond which the mask is merely fine-grained
ADVICE = (
    "smoothing, scaling or JPEG made them; save the masks anew without any of these (scale with "
    "the nearest neighbor)."
)


def inner_pixels(values: np.ndarray) -> np.ndarray:
    """Find the pixels whose eight neighbors have the same value.

    Args:
        values: Ids or labels, (H, W).

    Returns:
        Bool (H - 2, W - 2), without the border; empty if a side is shorter than 3.

    Example:
        >>> inner_pixels(np.pad(np.ones((3, 3), dtype=int), 1)).astype(int).tolist()
        [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    """
    if min(values.shape) < 3:
        return np.zeros((0, 0), dtype=bool)
    rows = (values[:-2] == values[1:-1]) & (values[1:-1] == values[2:])  # (H - 2, W)
    middle = values[1:-1]
    level = (middle[:, :-2] == middle[:, 1:-1]) & (middle[:, 1:-1] == middle[:, 2:])
    return rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:] & level


def find_interpolated(pixels: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Find values that lie only along outlines.

    Masks that were blurred, scaled with interpolation or saved as JPEG have many such values. A few
    thin objects, or masks of scattered single pixels, do not count.

    Args:
        pixels: Number of pixels of each value, (n,).
        inner: Number of those whose neighbors all have the value, (n,).

    Returns:
        Positions of the values, (m,); empty if the masks seem intact.
    """
    thin = np.flatnonzero((pixels > 0) & (inner < MIN_INNER_SHARE * pixels))
    enough = len(thin) >= max(MIN_VALUES, np.count_nonzero(pixels) / 2)
    return thin if enough and pixels[thin].sum() < MAX_SHARE * pixels.sum() else thin[:0]
