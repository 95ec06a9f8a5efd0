"""Labeled samples as pairs of image and label, for what is computed from all of them at once."""

from collections.abc import Iterator

from rich.console import Console
from rich.progress import track
from torch import Tensor

from pyg_mllc.data.base import SampleSet
from pyg_mllc.data.batch import to_float


class LabeledPairs:
    """Image `(3, H, W)` in [0, 1] and label `(H, W)` of each labeled sample, read one by one.

    Args:
        samples: Samples with labels.
        progress: Whether to show a progress bar, on the error output.
    """

    def __init__(self, samples: SampleSet, progress: bool = False) -> None:
        self.samples, self.progress = samples, progress

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        numbers, console, hidden = range(len(self)), Console(stderr=True), not self.progress
        for number in track(numbers, "labeled images", console=console, disable=hidden):
            sample = self.samples[number]
            if sample.get("index", number) != number:  # which stands for an unreadable one
                continue
            yield to_float(sample["image"]), sample["label"]
