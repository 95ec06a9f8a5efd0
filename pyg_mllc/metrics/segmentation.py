"""What is measured of an image's labels, and summed over a split."""

from dataclasses import dataclass

from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from pyg_mllc.metrics.boundary import boundary_counts, boundary_f
from pyg_mllc.metrics.calibration import calibration_error, reliability
from pyg_mllc.typing import IGNORE


def iou(confusion: Tensor) -> Tensor:
    """Intersection over union per class of a confusion matrix `(C, C)`; NaN for absent classes.

    >>> import torch
    >>> iou(torch.tensor([[3, 1, 0], [1, 3, 0], [0, 0, 0]]))
    tensor([0.6000, 0.6000,    nan])
    """
    confusion = confusion.cpu().double()
    hit = confusion.diag()
    return (hit / (confusion.sum(0) + confusion.sum(1) - hit)).float()


@dataclass(frozen=True)
class Measures:
    """Counts of one image, or with `+` of many; all figures come from them.

    Args:
        confusion: `(C, C)`, pixels of each true class (row) and label (column), void aside.
        reliability: `(bins, 3)`, see `reliability`.
        boundary: `(C, 4)`, see `boundary_counts`.
    """

    confusion: Tensor
    reliability: Tensor
    boundary: Tensor

    @classmethod
    def of(cls, belief: Tensor, truth: Tensor) -> "Measures":
        """Measure the labels that an image gets.

        Args:
            belief: probabilities `(C, H, W)`.
            truth: `(H, W)`, IGNORE where void.
        """
        confidence, label = belief.max(0)
        known, classes = truth != IGNORE, len(belief)
        return cls(
            multiclass_confusion_matrix(label, truth, classes, ignore_index=IGNORE).cpu(),
            reliability(confidence[known], (label == truth)[known]).cpu(),
            boundary_counts(label, truth, classes),
        )

    def __add__(self, other: "Measures") -> "Measures":
        return Measures(
            self.confusion + other.confusion,
            self.reliability + other.reliability,
            self.boundary + other.boundary,
        )

    @property
    def class_iou(self) -> list[float]:
        """IoU of each class; NaN where neither truth nor label has it."""
        return iou(self.confusion).tolist()

    @property
    def miou(self) -> float:
        """Mean IoU of the classes that there are."""
        return float(iou(self.confusion).nanmean())

    @property
    def accuracy(self) -> float:
        """Share of the pixels, void aside, that are right; NaN if all are void."""
        return float(self.confusion.diag().sum() / self.confusion.sum())

    @property
    def class_boundary_f(self) -> list[float]:
        """Boundary F-score of each class; NaN where neither truth nor label has an outline."""
        return boundary_f(self.boundary).tolist()

    @property
    def boundary_f(self) -> float:
        """Mean boundary F-score of the classes that there are."""
        return float(boundary_f(self.boundary).nanmean())

    @property
    def calibration_error(self) -> float:
        """Expected calibration error, see `calibration_error`."""
        return calibration_error(self.reliability)
