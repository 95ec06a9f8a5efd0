"""Choice of some of many positions."""

import numpy as np


def evenly_spaced(length: int, count: int | None) -> list[int]:
    """Choose evenly spaced positions, from the first to the last.

    Args:
        length: Number of positions.
        count: Largest number of positions to choose; None chooses all.

    Returns:
        Positions, ascending.

    Example:
        >>> evenly_spaced(101, 5)
        [0, 25, 50, 75, 100]
    """
    if count is None or count >= length:
        return list(range(length))
    return np.linspace(0, length - 1, count).round().astype(int).tolist()
