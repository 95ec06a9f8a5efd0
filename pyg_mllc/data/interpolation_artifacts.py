"""Values that lie only along outlines: traces of interpolation or of lossy compression."""

import numpy as np

THIN = 0.01  # share of inner pixels below which a value lies only along outlines
FEW = 3  # fewer values than this may well be thin objects, such as wires
MOST = 0.7  # share of all pixels that outlines may take; beyond, the mask itself is fine-grained
MEND = (
    "smoothing, scaling or JPEG made them; save the masks anew without any of these (scale with "
    "the nearest neighbor)."
)


def inner_pixels(values: np.ndarray) -> np.ndarray:
    """Return where a pixel and its eight neighbors have the same value.

    Args:
        values: Ids or labels, (H, W).

    Returns:
        Bool (H - 2, W - 2), without the border; empty for a smaller map.

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
    """Return the positions of values that lie only along outlines.

    A mask that was blurred, scaled with interpolation or saved as JPEG has many such values. Some
    thin objects, or masks that consist of single pixels, are no such case: then there are none.

    Args:
        pixels: Pixels of each value, (n,).
        inner: Those of them whose neighbors all have the value, (n,).

    Returns:
        Positions, (m,).
    """
    thin = np.flatnonzero((pixels > 0) & (inner < THIN * pixels))
    enough = len(thin) >= max(FEW, np.count_nonzero(pixels) / 2)
    return thin if enough and pixels[thin].sum() < MOST * pixels.sum() else thin[:0]
