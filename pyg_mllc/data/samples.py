"""What every data set of this package is: a list of samples of one size."""

from typing import Any

from torch.utils.data import Dataset

from pyg_mllc.data.specs import DatasetSpec
from pyg_mllc.errors import InputError

Sample = dict[str, Any]  # tensors and a name
"""``image`` uint8 (3, H, W) and ``name``, with ``label`` int64 (H, W) or ``valid`` bool (H, W)."""


class SampleSet(Dataset[Sample]):
    """Samples of one size, with the metadata that travels along.

    Labeled samples have a ``label`` (`IGNORE` in void and padding); unlabeled ones have ``valid``
    instead (False in padding).
    """

    spec: DatasetSpec
    size: tuple[int, int]

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> Sample:
        raise NotImplementedError


def check_index(index: int, length: int) -> int:
    """Give the position that an index, possibly negative, means.

    Raises:
        IndexError: If there is none; this is also what ends a ``for`` loop over a data set.
    """
    if not -length <= index < length:
        raise IndexError(f"sample {index} of a data set that has {length}")
    return index % length


def check_count(option: str, value: int, minimum: int) -> None:
    """Refuse a value that is no whole number of at least ``minimum``.

    Raises:
        InputError: If so, naming the option.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise InputError(f"{option}={value} must be a whole number of at least {minimum}.")


def check_size(size: tuple[int, int]) -> tuple[int, int]:
    """Give the size as a plain ``(H, W)`` tuple, whatever sequence a configuration holds.

    Raises:
        InputError: If it is not two positive whole numbers.
    """
    sides = [] if isinstance(size, str | int | float | None) else list(size)
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or min(sides) < 1:
        raise InputError(
            f"data.size={size} must be two positive whole numbers of pixels, [height, width]."
        )
    return sides[0], sides[1]
