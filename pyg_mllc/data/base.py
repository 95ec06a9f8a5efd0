"""Base classes of data sets."""

import logging
from collections.abc import Iterator
from typing import Any

from torch.utils.data import Dataset

from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.errors import InputError

log = logging.getLogger(__name__)

Sample = dict[str, Any]
"""``image`` uint8 (3, H, W) and ``name``, with ``label`` int64 (H, W) or ``valid`` bool (H, W).

Collated samples have the same keys and a leading dimension.
"""


class SampleSet(Dataset[Sample]):
    """Samples of one size.

    Labeled samples have a ``label``, `IGNORE` in void and padding. Unlabeled ones have ``valid``,
    False in padding.

    Attributes:
        spec: Classes and colors.
        size: Height and width (H, W) of the samples.
    """

    spec: DatasetSpec
    size: tuple[int, int]

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> Sample:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


class ReadableSet(SampleSet):
    """Data set that adds ``index`` to its samples and can skip unreadable ones.

    Args:
        samples: Data set.
        skip: Whether the next readable sample replaces an unreadable one, with a warning that names
            the file. Otherwise reading it raises `InputError`.
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
