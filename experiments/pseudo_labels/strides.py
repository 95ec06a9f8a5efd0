"""Measure the truth that remains at the stride of a network.

MLLC_DATA=path/to/data python -m experiments.pseudo_labels.strides

Shares of the classes in each cell, made larger again as logits are, bilinearly. A network's logits
may place an outline better than shares do, so this is no bound; it tells what a cell can hold.
Validation images at the size of the tables. Writes `strides.csv`.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.keep import keep
from experiments.scores import of_confusion
from experiments.trained import confusions, splits_of
from pyg_mllc.utils.resize import upsample

HERE = Path(__file__).parent
ROWS = {"camvid": "methods/camvid_46_supervised", "voc": "methods/voc_54_supervised"}
STRIDES = (4, 8, 16)


def through(label: Tensor, classes: int, stride: int) -> Tensor:
    """Return scores `(C, H, W)` of labels `(H, W)`: class shares in cells of a stride."""
    shares = torch.stack([(label == c).float() for c in range(classes)])[None]
    small = F.interpolate(shares, [max(round(n / stride), 1) for n in label.shape], mode="area")
    return upsample(small, label.shape)[0]


def measure() -> Iterator[tuple[str, ...]]:
    """Score the truth of each data set at each stride."""
    for data, row in ROWS.items():
        splits, matrices = splits_of(row), []
        for sample in splits.val:
            truth = sample["label"].long()
            seen = [through(truth, splits.spec.num_classes, stride) for stride in STRIDES]
            matrices.append(confusions(torch.stack(seen), truth))
        for stride, matrix in zip(STRIDES, torch.stack(matrices).sum(0), strict=True):
            yield data, str(stride), *(f"{value:.1f}" for value in of_confusion(matrix))


if __name__ == "__main__":
    keep(HERE / "strides.csv", ("data", "stride", "accuracy", "miou"), measure())
