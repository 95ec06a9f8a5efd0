"""What every data set of this package is: a list of samples of one size."""

import logging
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from pyg_mllc.data.specs import DatasetSpec
from pyg_mllc.errors import InputError

log = logging.getLogger(__name__)

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


class ReadableSet(SampleSet):
    """A data set whose samples carry their position, and that may pass over unreadable ones.

    Args:
        samples: Data set.
        skip: Whether the next readable sample takes the place of an unreadable one, with a warning
            that names the file; else reading it raises `InputError`.
    """

    def __init__(self, samples: SampleSet, skip: bool = False) -> None:
        self.samples, self.skip = samples, skip

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        for position in [*range(index, len(self)), *range(index)]:
            try:
                return {**self.samples[position], "index": position}
            except InputError as error:
                if not self.skip:
                    raise InputError(
                        f"{error} Or pass over such images: trainer.on_unreadable=skip."
                    ) from error
                log.warning("skipped: %s", error)
        raise InputError("No sample of the data set can be read; the warnings name the files.")


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


def evenly_spaced(length: int, count: int | None) -> list[int]:
    """Give at most ``count`` of ``length`` positions, evenly spaced from first to last.

    Example:
        >>> evenly_spaced(101, 5)
        [0, 25, 50, 75, 100]
    """
    if count is None or count >= length:
        return list(range(length))
    return np.linspace(0, length - 1, count).round().astype(int).tolist()


def check_size(size: Any, option: str = "data.size") -> tuple[int, int]:
    """Give the size as a plain ``(H, W)`` tuple, whatever sequence a configuration holds.

    Raises:
        InputError: If it is not two positive whole numbers.
    """
    sides = [] if isinstance(size, str | int | float | None) else list(size)
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or min(sides) < 1:
        raise InputError(
            f"{option}={size} must be two positive whole numbers of pixels, [height, width]."
        )
    return sides[0], sides[1]
