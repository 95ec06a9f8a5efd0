"""Count the labeled pixels and images of each class, by seed.

MLLC_DATA=path/to/data python -m experiments.methods.shown

Writes `shown.csv`: of each draw of labeled images, by class, how many show it with at least 50
pixels, and its share of all labeled pixels, at the size of training.
"""

from collections.abc import Iterator
from pathlib import Path

import torch

from experiments.keep import keep
from experiments.trained import splits_of
from pyg_mllc.typing import IGNORE

HERE = Path(__file__).parent
ROWS = ("camvid_23_supervised", "camvid_46_supervised", "voc_54_supervised", "voc_27_supervised")
SEEDS = (0, 1, 2)
PIXELS = 50
HEAD = ("config", "seed", "class", "labeled", "showing_it", "share_of_pixels")


def count() -> Iterator[tuple]:
    """Yield a line for each class of each draw."""
    for row in ROWS:
        for seed in SEEDS:
            splits = splits_of(f"methods/{row}", seed)
            labels = [sample["label"] for sample in splits.labeled]
            counts = torch.stack(
                [torch.bincount(m[m != IGNORE], minlength=splits.spec.num_classes) for m in labels]
            )
            shown, shares = (counts >= PIXELS).sum(0), counts.sum(0) / counts.sum()
            for name, n, share in zip(splits.spec.classes, shown, shares, strict=True):
                yield row, seed, name, len(labels), int(n), f"{100 * share:.2f}"


if __name__ == "__main__":
    keep(HERE / "shown.csv", HEAD, count())
