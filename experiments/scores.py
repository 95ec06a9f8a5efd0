"""Accuracy and mIoU, as in all tables."""

from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from pyg_mllc.metrics.segmentation import iou
from pyg_mllc.typing import IGNORE


def scores(label: Tensor, truth: Tensor, classes: int) -> tuple[float, float]:
    """Compute accuracy and mIoU over all pixels together, in percent, without void.

    >>> import torch
    >>> scores(torch.tensor([[0, 1, 1, 0]]), torch.tensor([[0, 1, 0, 255]]), 2)
    (66.66..., 50.0)
    """
    return of_confusion(multiclass_confusion_matrix(label, truth, classes, ignore_index=IGNORE))


def of_confusion(confusion: Tensor) -> tuple[float, float]:
    """Compute accuracy and mIoU, in percent, from a confusion matrix `(C, C)`."""
    accuracy = confusion.diag().sum() / confusion.sum()
    return 100 * float(accuracy), 100 * float(iou(confusion).nanmean())
