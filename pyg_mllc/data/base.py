"""What every data set of this package is: a list of samples of one size."""

import logging
from typing import Any

from torch.utils.data import Dataset

from pyg_mllc.data.spec import DatasetSpec
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
